/*
 * Leases of a device: see lease.h. In coffer-mailbox.
 */
#include "box/lease.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/hpke.h"
#include "format/json.h"
#include "http/client.h"
#include "ipc/wire.h"

enum {
    INFO_MAX = 2048,
    SEALED_MAX = 1024,
    URL_MAX = 2048,
    HEADER_MAX = 2048,
    PUSH_KEY = 32,
    CONNECT_MS = 10 * 1000,
    TOTAL_MS = 30 * 1000
};

/* ---- requests ---- */

static err_t *check(const http_response_t *r, const char *path) {
    switch (r->status) {
    case 200:
    case 204: return NULL;
    case 401:
    case 403: return err_new(ERR_AUTH, "the server refuses this device (%u)", r->status);
    case 404: return err_new(ERR_NOT_FOUND, "the server has nothing at %s", path);
    case 409: return err_new(ERR_EXISTS, "the server has a later epoch");
    case 429: return err_new(ERR_BUSY, "the server says: later");
    default: return err_new(ERR_UNAVAILABLE, "the server answered %u to %s", r->status, path);
    }
}

static err_t *request(const box_server_t *server, const char *method, const char *path,
                      bytes_t body, http_response_t *response) {
    CLEANUP(http_client_free) http_client_t *client = NULL;
    CLEANUP(buf_done) buf_t token;
    const char *header = NULL;
    char url[URL_MAX];
    buf_init_secret(&token, HEADER_MAX);
    int n = snprintf(url, sizeof url, "%s/push/v1%s", server->url, path);
    if (n < 0 || (size_t)n >= sizeof url) return err_new(ERR_USAGE, "too long a URL");
    TRY(buf_add_str(&token, "Authorization: Bearer "));
    TRY(buf_add(&token, server->token));
    TRY(buf_cstr(&token, &header));
    const http_client_config_t config = {.ca_pem = server->ca_pem,
                                         .version = HTTP_VERSION_1_1,
                                         .connect_ms = CONNECT_MS,
                                         .total_ms = TOTAL_MS,
                                         .go_on = server->go_on,
                                         .go_on_arg = server->arg};
    const char *const headers[] = {header, "Content-Type: application/json", NULL};
    TRY(http_client_init());
    TRY(http_client_new(&config, &client));
    TRY_WRAP(http_client_do(client, method, url, headers, body, response), "%s", server->url);
    return check(response, path);
}

static err_t *request_json(const box_server_t *server, const char *method, const char *path,
                           const json_t *body, json_t **ret_json) {
    http_response_t response CLEANUP(http_response_done);
    CLEANUP(buf_done) buf_t text;
    http_response_init(&response);
    buf_init(&text, SEALED_MAX * 4);
    if (body) TRY(jso_write(body, false, &text));
    TRY(request(server, method, path, buf_bytes(&text), &response));
    return ret_json ? jso_parse_object(buf_bytes(&response.body), ret_json) : NULL;
}

/* ---- what ciphertexts are bound to ---- */

static err_t *put_lease(const char *what, const box_server_t *server, const box_lease_t *lease,
                        buf_t *out) {
    CLEANUP(pkey_free) pkey_t *push = NULL;
    uint8_t public[PUSH_KEY];
    TRY(pkey_from_raw_private(PKEY_X25519, secret_bytes(server->push_key), &push));
    TRY(pkey_raw_public(push, public));
    TRY(wire_put_str(out, what));
    TRY(wire_put_str(out, lease->device));
    TRY(wire_put_str(out, server->account));
    TRY(wire_put_u64(out, lease->epoch));
    TRY(wire_put_i64(out, lease->expires));
    return buf_add(out, BYTES_ARRAY(public));
}

/* ---- asking ---- */

typedef err_t *(*on_lease_t)(void *arg, const json_t *lease);

/* The account's lease in the server's list, if it is there. */
static err_t *find_lease(const box_server_t *server, on_lease_t on, void *arg) {
    CLEANUP(jso_free) json_t *answer = NULL;
    json_t *list = NULL;
    bytes_t account;
    TRY(request_json(server, "GET", "/leases", NULL, &answer));
    TRY(jso_get_array(answer, "leases", LIMIT_LEASES_DEVICE, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *lease = json_array_get(list, i);
        TRY(jso_get_string(lease, "account", LIMIT_LEASE_ACCOUNT, true, &account));
        if (bytes_eq_str(account, server->account)) TRY(on(arg, lease));
    }
    return NULL;
}

static err_t *take_epoch(void *arg, const json_t *lease) {
    int64_t epoch = 0;
    TRY(jso_get_int(lease, "epoch", 0, INT64_MAX, true, &epoch));
    *(uint64_t *)arg = (uint64_t)epoch;
    return NULL;
}

err_t *box_lease_epoch(const box_server_t *server, uint64_t *ret_epoch) {
    *ret_epoch = 0;
    return find_lease(server, take_epoch, ret_epoch);
}

typedef struct {
    err_t *(*each)(void *arg, const char *event);
    void *arg;
} waiting_t;

static err_t *take_events(void *arg, const json_t *lease) {
    const waiting_t *w = arg;
    json_t *list = NULL;
    bytes_t event;
    TRY(jso_get_array(lease, "events", LIMIT_LEASE_EVENTS, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(jso_at_string(list, i, LIMIT_LEASE_EVENT, &event));
        TRY(w->each(w->arg, (const char *)event.p));
    }
    return NULL;
}

err_t *box_lease_waiting(const box_server_t *server, err_t *(*each)(void *arg, const char *event),
                         void *arg) {
    waiting_t w = {each, arg};
    return find_lease(server, take_events, &w);
}

static err_t *account_path(const box_server_t *server, const char *behind, buf_t *out,
                           const char **ret_path) {
    TRY(buf_add_str(out, "/leases/"));
    TRY(text_percent(bytes_str(server->account), out));
    TRY(buf_add_str(out, behind));
    return buf_cstr(out, ret_path);
}

err_t *box_lease_ask(const box_server_t *server, const char *event, buf_t *ret_sealed) {
    CLEANUP(jso_free) json_t *body = NULL, *answer = NULL;
    CLEANUP(buf_done) buf_t path;
    const char *text = NULL;
    buf_init(&path, URL_MAX);
    TRY(account_path(server, "/release", &path, &text));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "event", event));
    TRY(request_json(server, "POST", text, body, &answer));
    return jso_get_base64(answer, "sealed", true, ret_sealed);
}

err_t *box_lease_revoke(const box_server_t *server) {
    CLEANUP(buf_done) buf_t path;
    const char *text = NULL;
    buf_init(&path, URL_MAX);
    TRY(account_path(server, "", &path, &text));
    return request_json(server, "DELETE", text, NULL, NULL);
}

/* ---- leaving ---- */

static err_t *learn(const box_server_t *server, box_lease_t *lease, pkey_t **ret_key) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(buf_done) buf_t key;
    bytes_t device;
    buf_init(&key, SEALED_MAX);
    TRY(request_json(server, "GET", "/lease-key", NULL, &answer));
    TRY(jso_get_string(answer, "device", BOX_DEVICE_MAX, true, &device));
    TRY(jso_get_base64(answer, "key", true, &key));
    bytes_put(lease->device, device);
    lease->device[device.n] = '\0';
    return pkey_parse_public_der(buf_bytes(&key), ret_key);
}

static err_t *seal_put(const box_server_t *server, const box_lease_t *lease, const pkey_t *keeper,
                       const secret_t *kek, json_t *body) {
    CLEANUP(buf_done) buf_t info, sealed;
    buf_init(&info, INFO_MAX);
    buf_init(&sealed, SEALED_MAX);
    TRY(put_lease("coffer/v1/lease/put", server, lease, &info));
    TRY(hpke_seal(HPKE_AES256_GCM, keeper, buf_bytes(&info), BYTES_NONE, secret_bytes(kek),
                  &sealed));
    TRY(jso_set_int(body, "epoch", (int64_t)lease->epoch));
    TRY(jso_set_time(body, "expires", lease->expires));
    TRY(jso_set_base64(body, "push_key",
                       bytes_from(buf_bytes(&info), info.n - PUSH_KEY))); /* it comes last */
    return jso_set_base64(body, "sealed", buf_bytes(&sealed));
}

err_t *box_lease_put(const box_server_t *server, const secret_t *kek, uint64_t epoch,
                     int64_t expires, box_lease_t *ret_lease) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(pkey_free) pkey_t *keeper = NULL;
    CLEANUP(buf_done) buf_t path;
    const char *text = NULL;
    box_lease_t lease = {.epoch = epoch, .expires = expires};
    buf_init(&path, URL_MAX);
    TRY(learn(server, &lease, &keeper));
    TRY(jso_object(&body));
    TRY(seal_put(server, &lease, keeper, kek, body));
    TRY(account_path(server, "", &path, &text));
    TRY(request_json(server, "PUT", text, body, NULL));
    *ret_lease = lease;
    return NULL;
}

err_t *box_lease_open(const box_server_t *server, const box_lease_t *lease, const char *event,
                      bytes_t sealed, buf_t *ret_kek) {
    CLEANUP(buf_done) buf_t info;
    CLEANUP(pkey_free) pkey_t *push = NULL;
    buf_init(&info, INFO_MAX);
    TRY(put_lease("coffer/v2/lease/release", server, lease, &info));
    TRY(wire_put_str(&info, event));
    TRY(pkey_from_raw_private(PKEY_X25519, secret_bytes(server->push_key), &push));
    return hpke_open(HPKE_AES256_GCM, push, buf_bytes(&info), BYTES_NONE, sealed, ret_kek);
}
