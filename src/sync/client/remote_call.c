/*
 * One request to the service, as a device: log-in, tries, what its errors mean. In the client.
 */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "sync/client/remote_internal.h"

#define LOGIN_DOMAIN "coffer/v1/sync/login"

enum {
    CONNECT_MS = 10 * 1000,
    TOTAL_MS = 5 * 60 * 1000,
    TRIES = 4,
    FIRST_WAIT_MS = 250,
    NAP_MS = 200,
    TOKEN_SLACK_S = 60,
    STATE_SESSION = 10, /* table of the local state */
    WORD_MAX = 32,
};

err_t *call_new_client(const sync_http_t *http, http_client_t **ret_client) {
    int64_t up_ms = sync_rate_ms(&http->up, LIMIT_SYNC_PART);
    int64_t down_ms = sync_rate_ms(&http->down, LIMIT_SYNC_PART);
    http_client_config_t config = {.ca_file = http->ca_file,
                                   .connect_ms = CONNECT_MS,
                                   .total_ms = TOTAL_MS + 2 * (up_ms > down_ms ? up_ms : down_ms),
                                   .response_max = SYNC_REMOTE_ANSWER,
                                   .resolve = http->resolve,
                                   .stop = &http->stop,
                                   .send_max = (int64_t)http->up.per_s,
                                   .receive_max = (int64_t)http->down.per_s};
    return http_client_new(&config, ret_client);
}

/* ---- waiting ---- */

static void wait_ms(int64_t ms) {
    const struct timespec nap = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000};
    (void)nanosleep(&nap, NULL);
}

/* In short naps: who stops the client does not wait for it. */
static void wait_out(sync_http_t *http, int64_t ms) {
    int64_t until = clk_mono_ms(http->clk) + ms;
    while (!atomic_load(&http->stop)) {
        int64_t left = until - clk_mono_ms(http->clk);
        if (left <= 0) return;
        wait_ms(left < NAP_MS ? left : NAP_MS);
    }
}

void call_pace(sync_http_t *http, uint64_t up, uint64_t down) {
    if (!http->up.per_s && !http->down.per_s) return;
    (void)pthread_mutex_lock(&http->lock);
    int64_t now = clk_mono_ms(http->clk);
    int64_t up_ms = up ? sync_rate_take(&http->up, now, up) : 0;
    int64_t down_ms = sync_rate_take(&http->down, now, down);
    (void)pthread_mutex_unlock(&http->lock);
    wait_out(http, up_ms > down_ms ? up_ms : down_ms);
}

void call_owe(sync_http_t *http, uint64_t down) {
    if (!http->down.per_s) return;
    (void)pthread_mutex_lock(&http->lock);
    (void)sync_rate_take(&http->down, clk_mono_ms(http->clk), down);
    (void)pthread_mutex_unlock(&http->lock);
}

/* ---- errors ---- */

static err_code_t code_of(unsigned status) {
    if (status == 400 || status == 422) return ERR_VERIFY;
    if (status == 401) return ERR_AUTH;
    if (status == 403) return ERR_DENIED;
    if (status == 404) return ERR_NOT_FOUND;
    if (status == 409) return ERR_EXISTS;
    if (status == 413) return ERR_LIMIT;
    if (status == 507) return ERR_FULL;
    return ERR_UNAVAILABLE;
}

static sync_refusal_t refusal_of(bytes_t word) {
    if (bytes_eq_str(word, "revoked")) return SYNC_REFUSED_REVOKED;
    if (bytes_eq_str(word, "disabled")) return SYNC_REFUSED_DISABLED;
    if (bytes_eq_str(word, "wipe")) return SYNC_REFUSED_WIPE;
    return SYNC_REFUSED_NOT;
}

static bool is_hex(const json_t *object, const char *name, const uint8_t *value, size_t n) {
    CLEANUP(mem_free) char *hex = NULL;
    bytes_t text = BYTES_NONE;
    err_t *e = jso_get_string(object, name, 2 * n, true, &text);
    if (!e) e = text_hex_new(bytes_make(value, n), &hex);
    bool same = !e && bytes_eq_str(text, hex);
    err_free(e);
    return same;
}

/* A wipe of another region or device is none of this one's. */
static void note_wipe(sync_http_t *http, const json_t *answer) {
    CLEANUP(buf_done) buf_t id;
    json_t *wipe = NULL;
    bytes_t text = BYTES_NONE;
    buf_init(&id, SYNC_HTTP_WIPE);
    http->wipe_told = false;
    if (http->refusal != SYNC_REFUSED_WIPE) return;
    err_t *e = jso_get_object(answer, "wipe", true, &wipe);
    if (!e) e = jso_get_string(wipe, "id", 2 * (size_t)SYNC_HTTP_WIPE, true, &text);
    if (!e) e = text_unhex(text, &id);
    bool ours =
        !e && is_hex(wipe, "region", http->region, SYNC_HASH) &&
        (!json_object_get(wipe, "device") || is_hex(wipe, "device", http->device->id, SYNC_HASH));
    err_free(e);
    if (!ours || id.n != SYNC_HTTP_WIPE) return;
    bytes_put(http->wipe, buf_bytes(&id));
    http->wipe_told = true;
}

err_t *call_judge(sync_http_t *http, const http_response_t *reply) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *error = NULL;
    bytes_t word = BYTES_NONE, message = BYTES_NONE;
    if (reply->status < 300 || reply->status == 304) return NULL;
    err_t *e = jso_parse_object(buf_bytes(&reply->body), &json);
    if (!e) e = jso_get_object(json, "error", true, &error);
    if (!e) e = jso_get_string(error, "message", 64 * 1024, true, &message);
    if (!e) e = jso_get_string(error, "reason", WORD_MAX, false, &word);
    err_free(e);
    http->refusal = reply->status == 403 ? refusal_of(word) : SYNC_REFUSED_NOT;
    note_wipe(http, json);
    return err_new(code_of(reply->status), "the service says: %.*s%s%.*s (HTTP status %u)",
                   (int)word.n, (const char *)word.p, word.n ? ", " : "", (int)message.n,
                   (const char *)message.p, reply->status);
}

/* ---- one try ---- */

static err_t *once(sync_http_t *http, const char *method, const char *url, const char *type,
                   const char *range, bytes_t body, http_response_t *reply) {
    char content[96];
    const char *headers[4] = {NULL};
    size_t n = 0;
    (void)snprintf(content, sizeof content, "Content-Type: %s", type);
    if (body.n) headers[n++] = content;
    if (http->authorization[0]) headers[n++] = http->authorization;
    if (range && *range) headers[n++] = range;
    http->requests++;
    http->sent += body.n;
    call_pace(http, body.n, 0);
    err_t *e = http_client_do(http->client, method, url, headers, body, reply);
    call_owe(http, reply->body.n);
    return e;
}

static bool worth_another(const err_t *e, const http_response_t *reply) {
    if (e) return err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT;
    return reply->status == 429 || reply->status == 502 || reply->status == 503;
}

/* All that the service takes may be sent again. */
static err_t *with_tries(sync_http_t *http, const char *method, const char *url, const char *type,
                         const char *range, bytes_t body, http_response_t *reply) {
    int64_t pause = FIRST_WAIT_MS;
    for (int try = 1;; try++, pause *= 3) {
        err_t *e = once(http, method, url, type, range, body, reply);
        if (try == TRIES || atomic_load(&http->stop) || !worth_another(e, reply)) return e;
        err_free(e);
        wait_ms(pause);
    }
}

/* ---- log-in ---- */

err_t *call_bare(sync_http_t *http, const char *path, const json_t *body, http_response_t *reply) {
    CLEANUP(buf_done) buf_t text;
    char url[URL_MAX];
    buf_init(&text, 64 * 1024);
    mem_wipe(http->authorization, sizeof http->authorization);
    TRY(jso_write(body, false, &text));
    (void)snprintf(url, sizeof url, "%s%s", http->base, path);
    TRY(with_tries(http, "POST", url, "application/json", NULL, buf_bytes(&text), reply));
    return call_judge(http, reply);
}

static err_t *ask(sync_http_t *http, const char *path, const json_t *body, json_t **ret_json) {
    CLEANUP(http_response_done) http_response_t reply;
    http_response_init(&reply);
    TRY(call_bare(http, path, body, &reply));
    return jso_parse_object(buf_bytes(&reply.body), ret_json);
}

static err_t *set_hex(json_t *object, const char *name, bytes_t value) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(value, &hex));
    return jso_set_str(object, name, hex);
}

static err_t *prove(sync_http_t *http, bytes_t nonce_hex, json_t *body) {
    CLEANUP(buf_done) buf_t message;
    CLEANUP(buf_done) buf_t nonce;
    CLEANUP(buf_done) buf_t signature;
    buf_init(&message, 4096);
    buf_init(&nonce, SYNC_HASH);
    buf_init(&signature, SYNC_SIGNATURE);
    TRY(text_unhex(nonce_hex, &nonce));
    if (nonce.n != SYNC_HASH) return err_new(ERR_INVALID, "the service's nonce");
    TRY(wire_put_str(&message, http->host));
    TRY(buf_add(&message, BYTES_ARRAY(http->region)));
    TRY(buf_add(&message, bytes_make(http->device->id, SYNC_HASH)));
    TRY(buf_add(&message, buf_bytes(&nonce)));
    TRY(pkey_sign(http->device->login, LOGIN_DOMAIN, buf_bytes(&message), &signature));
    TRY(set_hex(body, "nonce", buf_bytes(&nonce)));
    return set_hex(body, "signature", buf_bytes(&signature));
}

static err_t *keep_session(const sync_http_t *http, bytes_t token) {
    CLEANUP(buf_done) buf_t value;
    CLEANUP(buf_done) buf_t changes;
    buf_init_secret(&value, TOKEN_MAX * 2);
    buf_init_secret(&changes, TOKEN_MAX * 4);
    if (!http->state) return NULL;
    TRY(wire_put_i64(&value, http->expires));
    TRY(wire_put_bytes(&value, token));
    TRY(db_local_put(&changes, STATE_SESSION, BYTES_LIT("token"), buf_bytes(&value)));
    return db_local_apply(http->state, buf_bytes(&changes));
}

static void set_token(sync_http_t *http, bytes_t token) {
    (void)snprintf(http->authorization, sizeof http->authorization, "Authorization: Bearer %.*s",
                   (int)token.n, (const char *)token.p);
}

static err_t *log_in(sync_http_t *http) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(jso_free) json_t *session = NULL;
    bytes_t nonce, token;
    TRY(jso_object(&body));
    TRY(set_hex(body, "region", BYTES_ARRAY(http->region)));
    TRY(set_hex(body, "device", bytes_make(http->device->id, SYNC_HASH)));
    TRY(ask(http, "/session", body, &answer));
    TRY(jso_get_string(answer, "nonce", 2 * SYNC_HASH, true, &nonce));
    TRY(prove(http, nonce, body));
    TRY(ask(http, "/session/proof", body, &session));
    TRY(jso_get_string(session, "token", TOKEN_MAX, true, &token));
    TRY(jso_get_time(session, "expires", true, &http->expires));
    if (!text_printable(token)) return err_new(ERR_INVALID, "the service's token");
    set_token(http, token);
    return keep_session(http, token);
}

static err_t *recall(sync_http_t *http) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    bytes_t token;
    buf_init_secret(&value, TOKEN_MAX * 2);
    if (!http->state || http->authorization[0]) return NULL;
    TRY(db_local_get(http->state, STATE_SESSION, BYTES_LIT("token"), &found, &value));
    if (!found) return NULL;
    wire_reader_t r = wire_reader(buf_bytes(&value));
    TRY(wire_get_i64(&r, &http->expires));
    TRY(wire_get_bytes(&r, TOKEN_MAX, &token));
    set_token(http, token);
    return NULL;
}

err_t *call_login(sync_http_t *http, bool anew) {
    if (!anew) TRY(recall(http));
    bool good = http->authorization[0] && http->expires > clk_unix(http->clk) + TOKEN_SLACK_S;
    return good && !anew ? NULL : log_in(http);
}

err_t *call_do(sync_http_t *http, const char *method, const char *url, const char *type,
               const char *range, bytes_t body, http_response_t *reply) {
    TRY(call_login(http, false));
    TRY(with_tries(http, method, url, type, range, body, reply));
    if (reply->status != 401) return NULL;
    TRY(call_login(http, true));
    return with_tries(http, method, url, type, range, body, reply);
}

err_t *sync_http_log(sync_http_t *http, const char *path, buf_t *ret_body) {
    CLEANUP(http_response_done) http_response_t reply;
    char url[URL_MAX];
    http_response_init(&reply);
    (void)snprintf(url, sizeof url, "%s%s", http->base, path);
    TRY(with_tries(http, "GET", url, "", NULL, BYTES_NONE, &reply));
    TRY(call_judge(http, &reply));
    buf_clear(ret_body);
    return buf_add(ret_body, buf_bytes(&reply.body));
}
