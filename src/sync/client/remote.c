/*
 * The service over HTTPS: see remote.h. In the client.
 */
#include "sync/client/remote.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "sync/client/remote_internal.h"
#include "sync/data.h"
#include "sync/folder.h"

enum { PATH_SIZE = 256, PORT_DEFAULT = 443, FETCH_MAX = 16 * 1024 * 1024 };

#define OCTETS "application/octet-stream"

static const char *hex_of(const uint8_t *p, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
    return out;
}

typedef struct {
    char text[2 * SYNC_HASH + 1];
} hex_t;
static hex_t hex32(const uint8_t id[SYNC_HASH]) {
    hex_t hex = {0};
    (void)hex_of(id, SYNC_HASH, hex.text);
    return hex;
}

static void url_of(const sync_http_t *http, const char *path, char out[URL_MAX]) {
    (void)snprintf(out, URL_MAX, "%s%s", http->at_region, path);
}

/* ---- calls ---- */

static err_t *do_call(sync_http_t *http, const char *method, const char *path, const char *type,
                      bytes_t body, http_response_t *reply) {
    char url[URL_MAX];
    url_of(http, path, url);
    return call_do(http, method, url, type, NULL, body, reply);
}

err_t *sync_http_call(sync_http_t *http, const char *method, const char *path, const char *type,
                      bytes_t body, buf_t *ret_body) {
    CLEANUP(http_response_done) http_response_t reply;
    http_response_init(&reply);
    TRY(do_call(http, method, path, type, body, &reply));
    TRY(call_judge(http, &reply));
    if (!ret_body) return NULL;
    buf_clear(ret_body);
    return buf_add(ret_body, buf_bytes(&reply.body));
}

err_t *sync_http_json(sync_http_t *http, const char *method, const char *path, const json_t *body,
                      json_t **ret_json) {
    CLEANUP(buf_done) buf_t text;
    CLEANUP(buf_done) buf_t answer;
    buf_init(&text, 1024 * 1024);
    buf_init(&answer, SYNC_REMOTE_ANSWER);
    if (body) TRY(jso_write(body, false, &text));
    TRY(sync_http_call(http, method, path, "application/json", buf_bytes(&text), &answer));
    if (!ret_json) return NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_parse_max(buf_bytes(&answer), SYNC_REMOTE_ANSWER, &json));
    if (!json_is_object(json)) return err_new(ERR_INVALID, "the service's answer is no object");
    *ret_json = STEAL(json);
    return NULL;
}

/* As POST, telling whether somebody was faster. */
static err_t *post_or_lose(sync_http_t *http, const char *path, bytes_t body, bool *ret_lost) {
    err_t *e = sync_http_call(http, "POST", path, OCTETS, body, NULL);
    *ret_lost = e && err_code(e) == ERR_EXISTS;
    if (!*ret_lost) return e;
    err_free(e);
    return NULL;
}

/* Names at the top; null: all. */
static err_t *read_allowed(sync_http_t *http, const json_t *json) {
    json_t *list = json_object_get(json, "folders");
    CLEANUP(mem_strings_free) char **names = NULL;
    bool all = !list || json_is_null(list);
    if (!all) TRY(jso_get_array(json, "folders", LIMIT_SYNC_ALLOWED, true, &list));
    size_t n = all ? 0 : json_array_size(list);
    if (!all && !(names = mem_array(n + 1, sizeof *names))) return err_nomem();
    for (size_t i = 0; i < n; i++) {
        const json_t *name = json_array_get(list, i);
        const char *text = json_string_value(name);
        if (!text || !sync_name_valid(bytes_str(text)) || json_string_length(name) != strlen(text))
            return err_new(ERR_INVALID, "the service names a folder that there can't be");
        names[i] = mem_strdup(text);
        if (!names[i]) return err_nomem();
    }
    mem_strings_free(http->allowed);
    http->allowed = STEAL(names);
    return NULL;
}

static const char *const *allowed(void *ctx) {
    const sync_http_t *http = ctx;
    return (const char *const *)http->allowed;
}

static err_t *news(void *ctx, const sync_news_t *known, unsigned wait_s, sync_news_t *ret_news) {
    CLEANUP(jso_free) json_t *json = NULL;
    char path[PATH_SIZE];
    int64_t root = 0, entries = 0;
    /* There is always something newer than nothing. */
    (void)snprintf(path, sizeof path, "/events?root=%llu&chain=%llu",
                   wait_s ? (unsigned long long)known->root : 0,
                   wait_s ? (unsigned long long)known->entries : 0);
    TRY(sync_http_json(ctx, "GET", path, NULL, &json));
    TRY(jso_get_int(json, "root", 0, INT64_MAX, true, &root));
    TRY(jso_get_int(json, "chain", 0, INT64_MAX, true, &entries));
    TRY(read_allowed(ctx, json));
    *ret_news = (sync_news_t){.root = (uint64_t)root, .entries = (uint64_t)entries};
    return NULL;
}

static sync_refusal_t refusal(void *ctx) {
    const sync_http_t *http = ctx;
    return http->refusal;
}

static err_t *chain(void *ctx, uint64_t from, buf_t *ret_runs) {
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/chain?after=%llu", (unsigned long long)from);
    return sync_http_call(ctx, "GET", path, OCTETS, BYTES_NONE, ret_runs);
}

static err_t *chain_post(void *ctx, bytes_t entry, bool *ret_lost) {
    return post_or_lose(ctx, "/chain", entry, ret_lost);
}

static err_t *deliveries(void *ctx, buf_t *ret_runs) {
    return sync_http_call(ctx, "GET", "/deliveries", OCTETS, BYTES_NONE, ret_runs);
}

static err_t *deliver(void *ctx, bytes_t runs) {
    return sync_http_call(ctx, "PUT", "/deliveries", OCTETS, runs, NULL);
}

/* ---- data ---- */

/* Parts come under a name that is nobody's root until the root is known. */
static err_t *provisional(const uint8_t upload[SYNC_NODE], hex_t *ret_hex) {
    uint8_t name[SYNC_HASH];
    TRY(digest_sha256(bytes_make(upload, SYNC_NODE), name));
    *ret_hex = hex32(name);
    return NULL;
}

static err_t *put_part(sync_http_t *http, const hex_t *name, uint64_t package_size, uint32_t part,
                       buf_t *data) {
    char path[PATH_SIZE], url[URL_MAX];
    (void)snprintf(path, sizeof path, "/data/%s/%u?size=%llu", name->text, part,
                   (unsigned long long)package_size);
    url_of(http, path, url);
    return send_put(http, url, data);
}

static err_t *upload_held(void *ctx, const uint8_t upload[SYNC_NODE], uint32_t *ret_parts) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *parts = NULL;
    char path[PATH_SIZE];
    hex_t name;
    TRY(provisional(upload, &name));
    (void)snprintf(path, sizeof path, "/data/%s/parts", name.text);
    err_t *e = sync_http_json(ctx, "GET", path, NULL, &json);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        *ret_parts = 0;
        return NULL;
    }
    TRY(e);
    TRY(jso_get_array(json, "parts", SIZE_MAX, true, &parts));
    uint32_t held = 0;
    while (held < json_array_size(parts) &&
           json_integer_value(json_array_get(parts, held)) == (json_int_t)held)
        held++;
    *ret_parts = held;
    return NULL;
}

static err_t *upload_room(void *ctx, size_t bytes) { return send_room(ctx, bytes); }

static err_t *upload_drop(void *ctx, const uint8_t upload[SYNC_NODE]) {
    char path[PATH_SIZE];
    hex_t name;
    TRY(provisional(upload, &name));
    (void)snprintf(path, sizeof path, "/data/%s", name.text);
    err_t *e = sync_http_call(ctx, "DELETE", path, OCTETS, BYTES_NONE, NULL);
    if (!e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    return NULL;
}

static err_t *upload_put(void *ctx, const uint8_t upload[SYNC_NODE], uint64_t package_size,
                         uint32_t part, buf_t *data) {
    hex_t name;
    TRY(provisional(upload, &name));
    return put_part(ctx, &name, package_size, part, data);
}

static err_t *upload_end(void *ctx, const uint8_t upload[SYNC_NODE], uint64_t package_size,
                         const uint8_t root[SYNC_HASH]) {
    CLEANUP(jso_free) json_t *body = NULL;
    char path[PATH_SIZE];
    hex_t name, hex = hex32(root);
    (void)package_size;
    TRY(send_drain(ctx));
    TRY(provisional(upload, &name));
    (void)snprintf(path, sizeof path, "/data/%s/name", name.text);
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "root", hex.text));
    return sync_http_json(ctx, "POST", path, body, NULL);
}

static err_t *data_put(void *ctx, const uint8_t root[SYNC_HASH], buf_t *data) {
    hex_t name = hex32(root);
    return put_part(ctx, &name, data->n, 0, data);
}

/* ---- fetching, with the next part on its way ---- */

static err_t *start_fetch(sync_http_t *http, const uint8_t root[SYNC_HASH], uint64_t package_size,
                          uint32_t part) {
    char path[PATH_SIZE], url[URL_MAX], range[64];
    uint64_t offset = 0, size = 0;
    hex_t name = hex32(root);
    sender_t *sender = NULL;
    if (!sync_part(package_size, part, &offset, &size)) return NULL;
    (void)snprintf(path, sizeof path, "/data/%s", name.text);
    (void)snprintf(range, sizeof range, "Range: bytes=%llu-%llu", (unsigned long long)offset,
                   (unsigned long long)(offset + size - 1));
    url_of(http, path, url);
    TRY(send_fetch(http, url, range, size, &sender));
    http->fetching = sender;
    memcpy(http->fetch_root, root, SYNC_HASH);
    http->fetch_part = part;
    return NULL;
}

static err_t *take_fetch(sync_http_t *http, buf_t *ret_data) {
    sender_t *sender = STEAL(http->fetching);
    return send_fetched(http, sender, ret_data);
}

static err_t *data_get(void *ctx, const uint8_t root[SYNC_HASH], uint64_t package_size,
                       uint32_t part, buf_t *ret_data) {
    sync_http_t *http = ctx;
    if (http->fetching &&
        (memcmp(http->fetch_root, root, SYNC_HASH) != 0 || http->fetch_part != part)) {
        /* Nobody wants it any more. */
        CLEANUP(buf_done) buf_t dropped;
        buf_init(&dropped, FETCH_MAX);
        err_ignore(take_fetch(http, &dropped));
    }
    if (!http->fetching) TRY(start_fetch(http, root, package_size, part));
    if (!http->fetching) return err_new(ERR_INVALID, "a package has no part %u", part);
    TRY(take_fetch(http, ret_data));
    return start_fetch(http, root, package_size, part + 1);
}

/* ---- packages and roots ---- */

static err_t *packages_put(void *ctx, bytes_t runs) {
    TRY(send_drain(ctx));
    return sync_http_call(ctx, "POST", "/packages?many=1", OCTETS, runs, NULL);
}

static err_t *packages_get(void *ctx, bytes_t ids, buf_t *ret_runs) {
    return sync_http_call(ctx, "POST", "/packages/get", OCTETS, ids, ret_runs);
}

static err_t *root_get(void *ctx, bool *ret_found, buf_t *ret_runs) {
    err_t *e = sync_http_call(ctx, "GET", "/root", OCTETS, BYTES_NONE, ret_runs);
    *ret_found = !e;
    if (!e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    return NULL;
}

static err_t *roots(void *ctx, uint64_t after, buf_t *ret_runs) {
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/roots?after=%llu", (unsigned long long)after);
    return sync_http_call(ctx, "GET", path, OCTETS, BYTES_NONE, ret_runs);
}

static err_t *root_post(void *ctx, bytes_t root, bytes_t change, bool *ret_lost) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, root.n + change.n + 8);
    TRY(wire_put_bytes(&body, root));
    TRY(wire_put_bytes(&body, change));
    return post_or_lose(ctx, "/root", buf_bytes(&body), ret_lost);
}

/* ---- life ---- */

static void fill(sync_http_t *http) {
    http->remote = (sync_remote_t){.ctx = http,
                                   .news = news,
                                   .refusal = refusal,
                                   .allowed = allowed,
                                   .chain = chain,
                                   .chain_post = chain_post,
                                   .deliveries = deliveries,
                                   .deliver = deliver,
                                   .upload_held = upload_held,
                                   .upload_room = upload_room,
                                   .upload_drop = upload_drop,
                                   .upload_put = upload_put,
                                   .upload_end = upload_end,
                                   .data_put = data_put,
                                   .data_get = data_get,
                                   .packages_put = packages_put,
                                   .packages_get = packages_get,
                                   .root = root_get,
                                   .roots = roots,
                                   .root_post = root_post};
}

/* The log-in signs the host with its port, always. */
static err_t *set_urls(sync_http_t *http, const char *server) {
    bytes_t rest = bytes_str(server);
    hex_t hex = hex32(http->region);
    if (!bytes_starts(rest, BYTES_LIT("https://")))
        return err_new(ERR_USAGE, "a server is written https://host:port, not \"%s\"", server);
    rest = bytes_from(rest, 8);
    while (rest.n && rest.p[rest.n - 1] == '/') rest.n--;
    size_t bracket = bytes_find(rest, ']');
    bytes_t tail = bracket < rest.n ? bytes_from(rest, bracket) : rest;
    bool port = bytes_find(tail, ':') != tail.n;
    http->host = port ? mem_strndup((const char *)rest.p, rest.n)
                      : mem_printf("%.*s:%d", (int)rest.n, (const char *)rest.p, PORT_DEFAULT);
    if (!http->host) return err_nomem();
    http->base = mem_printf("https://%s/api/v1/sync", http->host);
    if (!http->base) return err_nomem();
    http->at_region = mem_printf("%s/r/%s", http->base, hex.text);
    return http->at_region ? NULL : err_nomem();
}

static err_t *copy_text(const char *text, char **ret_copy) {
    if (!text) return NULL;
    *ret_copy = mem_strdup(text);
    return *ret_copy ? NULL : err_nomem();
}

static void free_parts(sync_http_t *http) {
    http_client_free(http->client);
    mem_wipe(http->authorization, sizeof http->authorization);
    mem_free(http->base);
    mem_free(http->at_region);
    mem_free(http->host);
    mem_free(http->ca_file);
    mem_free(http->resolve);
    mem_free(http);
}

static err_t *prepare(const sync_http_config_t *config, sync_http_t *http) {
    memcpy(http->region, config->region, SYNC_HASH);
    TRY(set_urls(http, config->server));
    TRY(copy_text(config->ca_file, &http->ca_file));
    TRY(copy_text(config->resolve, &http->resolve));
    TRY(http_client_init());
    TRY(call_new_client(http, &http->client));
    return send_start(http);
}

err_t *sync_http_new(const sync_http_config_t *config, sync_http_t **ret_http) {
    sync_http_t *http = mem_zalloc(sizeof *http);
    if (!http) return err_nomem();
    http->device = config->device;
    http->state = config->state;
    http->clk = config->clk;
    http->up.per_s = config->up_max;
    http->down.per_s = config->down_max;
    fill(http);
    err_t *e = prepare(config, http);
    if (e) {
        free_parts(http);
        return e;
    }
    *ret_http = http;
    return NULL;
}

void sync_http_free(sync_http_t *http) {
    if (!http) return;
    send_stop(http);
    mem_strings_free(http->allowed);
    free_parts(http);
}

void sync_http_stop(sync_http_t *http) { atomic_store(&http->stop, true); }

const sync_remote_t *sync_http_remote(sync_http_t *http) { return &http->remote; }

void sync_http_counts(const sync_http_t *http, uint64_t *ret_requests, uint64_t *ret_sent) {
    *ret_requests = http->requests;
    *ret_sent = http->sent;
}
