/*
 * Logging in, chain and keys of a region: see sync_view.h. Main thread; blocking.
 */
#include "program/coffer/sync_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/prompt.h"
#include "program/coffer/sync_home.h"

#define LOGIN_DOMAIN "coffer/v1/sync/login"

enum { PATH_MAX_BYTES = 512, NONCE = 32, TOKEN_MAX = 512, ANSWER_MAX = 16 * 1024 * 1024 };

void sync_view_done(sync_view_t *view) {
    sync_device_key_done(&view->device);
    sync_chain_free(view->chain);
    secret_free(view->key);
    *view = (sync_view_t){0};
}

/* ---- requests ---- */

err_t *sync_view_call(sync_view_t *view, const char *method, const char *path, bytes_t body,
                      size_t max, buf_t *ret_answer) {
    char whole[PATH_MAX_BYTES];
    (void)snprintf(whole, sizeof whole, "/sync/r/%s%s", view->hex, path);
    return remote_bytes(view->cli, method, whole, "application/octet-stream", body, max,
                        ret_answer);
}

err_t *sync_view_json(sync_view_t *view, const char *method, const char *path, const json_t *body,
                      json_t **ret_json) {
    char whole[PATH_MAX_BYTES];
    (void)snprintf(whole, sizeof whole, "/sync/r/%s%s", view->hex, path);
    return remote_call(view->cli, method, whole, body, ret_json);
}

/* ---- logging in ---- */

static err_t *set_hex(json_t *object, const char *name, bytes_t data) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(data, &hex));
    return jso_set_str(object, name, hex);
}

static err_t *who(const sync_view_t *view, json_t **ret_body) {
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(jso_object(&body));
    TRY(set_hex(body, "region", BYTES_ARRAY(view->region)));
    TRY(set_hex(body, "device", BYTES_ARRAY(view->device.id)));
    *ret_body = STEAL(body);
    return NULL;
}

static err_t *ask_nonce(const sync_view_t *view, uint8_t ret_nonce[NONCE]) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(buf_done) buf_t nonce;
    bytes_t hex;
    buf_init(&nonce, 2 * NONCE);
    TRY(who(view, &body));
    TRY(remote_call(view->cli, "POST", "/sync/session", body, &answer));
    TRY(jso_get_string(answer, "nonce", 2 * NONCE, true, &hex));
    TRY(text_unhex(hex, &nonce));
    if (nonce.n != NONCE) return err_new(ERR_INVALID, "the server's nonce is none");
    memcpy(ret_nonce, nonce.p, NONCE);
    return NULL;
}

/* Signed for this server's name: another server can't use it. */
static err_t *sign_login(const sync_view_t *view, const char *host, const uint8_t nonce[NONCE],
                         buf_t *signature) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, 1024);
    TRY(wire_put_str(&message, host));
    TRY(record_put_raw(&message, view->region, SYNC_HASH));
    TRY(record_put_raw(&message, view->device.id, SYNC_HASH));
    TRY(record_put_raw(&message, nonce, NONCE));
    return pkey_sign(view->device.login, LOGIN_DOMAIN, buf_bytes(&message), signature);
}

err_t *sync_view_log_in(sync_view_t *view) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(buf_done) buf_t signature;
    uint8_t nonce[NONCE];
    const char *host = NULL;
    bytes_t token;
    buf_init(&signature, SYNC_SIGNATURE);
    TRY(remote_name(view->cli, &host, &view->origin));
    TRY(ask_nonce(view, nonce));
    TRY(sign_login(view, host, nonce, &signature));
    TRY(who(view, &body));
    TRY(set_hex(body, "nonce", BYTES_ARRAY(nonce)));
    TRY(set_hex(body, "signature", buf_bytes(&signature)));
    TRY(remote_call(view->cli, "POST", "/sync/session/proof", body, &answer));
    TRY(jso_get_string(answer, "token", TOKEN_MAX, true, &token));
    return remote_be(view->cli, token);
}

/* ---- chain and key ---- */

err_t *sync_view_refresh(sync_view_t *view) {
    CLEANUP(buf_done) buf_t runs;
    buf_init(&runs, 0);
    for (;;) {
        char path[64];
        bytes_t entry;
        (void)snprintf(path, sizeof path, "/chain?after=%zu", sync_chain_count(view->chain));
        TRY(sync_view_call(view, "GET", path, BYTES_NONE, ANSWER_MAX, &runs));
        wire_reader_t r = wire_reader(buf_bytes(&runs));
        if (r.rest.n == 0) break;
        while (r.rest.n) {
            TRY(wire_get_bytes(&r, LIMIT_SYNC_ENTRY, &entry));
            TRY_WRAP(sync_chain_append(view->chain, entry), "the server's device chain");
        }
    }
    TRY_WRAP(sync_chain_head(view->chain, &view->head), "the server's device chain");
    if (memcmp(view->head.region, view->region, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the server shows the device chain of another region");
    return NULL;
}

/* The newest that was delivered to us; what does not hold is passed over. */
static err_t *read_key(sync_view_t *view) {
    CLEANUP(buf_done) buf_t runs;
    buf_init(&runs, 0);
    TRY(sync_view_call(view, "GET", "/deliveries", BYTES_NONE, ANSWER_MAX, &runs));
    wire_reader_t r = wire_reader(buf_bytes(&runs));
    while (r.rest.n) {
        bytes_t record;
        sync_delivery_t delivery;
        secret_t *key = NULL;
        TRY(wire_get_bytes(&r, LIMIT_SYNC_DELIVERY, &record));
        err_t *e = sync_delivery_parse(record, &delivery);
        if (!e && delivery.epoch > view->epoch)
            e = sync_delivery_open(view->chain, &delivery, &view->device, &key);
        if (e && err_code(e) == ERR_NOMEM) return e;
        err_free(e);
        if (!key) continue;
        secret_free(view->key);
        view->key = key;
        view->epoch = delivery.epoch;
    }
    return NULL;
}

err_t *sync_view_key(const sync_view_t *view, uint64_t epoch, secret_t **ret_key) {
    if (!view->key || epoch > view->epoch)
        return err_new(ERR_DENIED, "this device was not given the key of epoch %" PRIu64, epoch);
    return sync_epoch_walk(view->chain, view->key, view->epoch, epoch, ret_key);
}

/* ---- opening ---- */

static err_t *read_device(cli_t *cli, const args_t *args, sync_device_key_t *ret_device) {
    CLEANUP(buf_done) buf_t record;
    CLEANUP(buf_done) buf_t passphrase;
    const char *file = args_value(args, "device"), *secret = args_value(args, "passphrase-file");
    bool sealed = false;
    buf_init_secret(&record, LIMIT_SYNC_KEY_FILE);
    buf_init_secret(&passphrase, LIMIT_PASSWORD_MAX);
    TRY(file_read_private(file, &record));
    TRY_WRAP(sync_device_key_sealed(buf_bytes(&record), &sealed), "%s", file);
    if (sealed && secret) TRY(prompt_secret_file(secret, &passphrase));
    else if (sealed) TRY(prompt_password(cli, "Passphrase of", file, &passphrase));
    return sync_device_key_open(buf_bytes(&record), buf_bytes(&passphrase), ret_device);
}

static err_t *read_region(const args_t *args, uint8_t ret_region[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t region;
    const char *hex = args_value(args, "region");
    buf_init(&region, 2 * SYNC_HASH);
    if (!hex) return err_new(ERR_USAGE, "--device needs --region REGION too");
    err_t *e = strlen(hex) == 2 * (size_t)SYNC_HASH ? text_unhex(bytes_str(hex), &region) : NULL;
    err_free(e);
    if (region.n != SYNC_HASH) return err_new(ERR_USAGE, "a region has 64 hexadecimal digits");
    memcpy(ret_region, region.p, SYNC_HASH);
    return NULL;
}

/* With device and region filled in. */
static err_t *open_view(sync_view_t *view) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(BYTES_ARRAY(view->region), &hex));
    memcpy(view->hex, hex, sizeof view->hex);
    TRY(sync_chain_new(&view->chain));
    TRY(sync_view_log_in(view));
    TRY(sync_view_refresh(view));
    return read_key(view);
}

/* What coffer sync init and join made: keys, region, where the server is. */
static err_t *use_home(cli_t *cli, sync_view_t *view) {
    CLEANUP(sync_home_done) sync_home_t home = {0};
    TRY(sync_home_read(cli, &home));
    TRY(sync_home_keys(cli, home.path, &view->device));
    memcpy(view->region, home.region, SYNC_HASH);
    return remote_at(cli, home.server, home.ca_file, home.resolve);
}

err_t *sync_view_open(cli_t *cli, const args_t *args, sync_view_t *ret_view) {
    CLEANUP(sync_view_done) sync_view_t view = {.cli = cli};
    TRY(crypto_init());
    if (args_value(args, "device")) {
        TRY(read_device(cli, args, &view.device));
        TRY(read_region(args, view.region));
    } else {
        TRY(use_home(cli, &view));
    }
    TRY(open_view(&view));
    *ret_view = view;
    view = (sync_view_t){0};
    return NULL;
}

/* The keys once more: what is opened owns what it has. */
static err_t *copy_device(const sync_view_t *from, sync_device_key_t *ret_device) {
    CLEANUP(buf_done) buf_t record;
    buf_init_secret(&record, LIMIT_SYNC_KEY_FILE);
    TRY(sync_device_key_write(&from->device, from->cli->rnd, BYTES_NONE, NULL, &record));
    return sync_device_key_open(buf_bytes(&record), BYTES_NONE, ret_device);
}

err_t *sync_view_other(const sync_view_t *view, const uint8_t region[SYNC_HASH],
                       sync_view_t *ret_view) {
    CLEANUP(sync_view_done) sync_view_t other = {.cli = view->cli};
    TRY(copy_device(view, &other.device));
    memcpy(other.region, region, SYNC_HASH);
    TRY(open_view(&other));
    *ret_view = other;
    other = (sync_view_t){0};
    return NULL;
}
