/*
 * Blobs in an S3 bucket: see s3.h. Blocking; any thread: a call borrows one of a few clients, and
 * waits for one if all are in use (`lock` guards who has which).
 */
#include "store/blob/s3.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "format/s3_xml.h"
#include "http/client.h"
#include "store/blob/sigv4.h"

enum {
    TRIES = 4,
    PAUSE_MS = 200,
    PAUSE_MAX_MS = 20 * 1000,
    KEY_MAX = 1024, /* bytes: what S3 allows */
    LISTING_MEMORY = 1024 * 1024,
    HEADERS_MAX = 8,
    QUERY_MAX = 8,
};

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

typedef struct {
    blob_store_t store;
    char *scheme_host; /* "https://host:port", with the bucket in host style */
    char *host;        /* as the Host header has it */
    char *base;        /* path before the keys, encoded: "/bucket/prefix" or "/prefix" */
    char *bucket_path; /* path of listings: "/bucket" or "/" */
    char *prefix, *region, *access_key;
    secret_t *secret_key;
    unsigned tries;
    int64_t pause_ms;
    const clk_t *clk;
    const rnd_t *rnd;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    http_client_t *clients[LIMIT_S3_CLIENTS];
    bool taken[LIMIT_S3_CLIENTS];
} s3_t;

/* ---- one request ---- */

typedef struct {
    const char *method;
    char *path; /* encoded; owned */
    sigv4_pair_t query[QUERY_MAX];
    size_t query_n;
    sigv4_pair_t headers[HEADERS_MAX]; /* beside those that every request has */
    size_t headers_n;
    bytes_t body;
    const char *sha256; /* of the body */
} request_t;

static void request_done(request_t *request) { mem_free(request->path); }
DEFINE_CLEANUP_VALUE(request_t, request_done)

static void request_query(request_t *request, const char *name, const char *value) {
    request->query[request->query_n++] = (sigv4_pair_t){name, value};
}

static err_t *object_request(const s3_t *s3, const char *method, const char *name,
                             request_t *ret_request) {
    *ret_request = (request_t){.method = method, .sha256 = EMPTY_SHA256};
    ret_request->path = mem_printf("%s%s", s3->base, name);
    return ret_request->path ? NULL : err_nomem();
}

typedef struct {
    char *lines[HEADERS_MAX + 5]; /* owned; the last is NULL */
    size_t n;
} lines_t;

static void lines_done(lines_t *lines) {
    for (size_t i = 0; i < lines->n; i++) mem_free(lines->lines[i]);
}
DEFINE_CLEANUP_VALUE(lines_t, lines_done)

static err_t *lines_add(lines_t *lines, const char *name, const char *value) {
    char *line = mem_printf("%s: %s", name, value);
    if (!line) return err_nomem();
    lines->lines[lines->n++] = line;
    return NULL;
}

/* Signs; the headers of the request as lines. */
static err_t *sign_request(const s3_t *s3, const request_t *request, lines_t *lines) {
    char time[SIGV4_TIME];
    int64_t now = clk_unix(s3->clk);
    (void)sigv4_time(now, time);
    sigv4_pair_t headers[HEADERS_MAX + 3] = {
        {"host", s3->host}, {"x-amz-content-sha256", request->sha256}, {"x-amz-date", time}};
    size_t n = 3;
    for (size_t i = 0; i < request->headers_n; i++) headers[n++] = request->headers[i];
    sigv4_request_t to_sign = {.method = request->method,
                               .path = request->path,
                               .query = request->query,
                               .query_n = request->query_n,
                               .headers = headers,
                               .headers_n = n,
                               .payload_sha256 = request->sha256,
                               .time = now,
                               .region = s3->region,
                               .service = "s3",
                               .access_key = s3->access_key,
                               .secret_key = secret_bytes(s3->secret_key)};
    CLEANUP(buf_done) buf_t authorization;
    buf_init(&authorization, 4096);
    const char *text = NULL;
    TRY(sigv4_authorization(&to_sign, &authorization));
    TRY(buf_cstr(&authorization, &text));
    for (size_t i = 0; i < n; i++) TRY(lines_add(lines, headers[i].name, headers[i].value));
    return lines_add(lines, "Authorization", text);
}

static err_t *send_once(s3_t *s3, http_client_t *client, const request_t *request,
                        http_response_t *response) {
    CLEANUP(lines_done) lines_t lines = {.n = 0};
    CLEANUP(buf_done) buf_t url;
    const char *text = NULL;
    buf_init(&url, 16 * 1024);
    TRY(sign_request(s3, request, &lines));
    TRY(buf_printf(&url, "%s%s%s", s3->scheme_host, request->path, request->query_n ? "?" : ""));
    TRY(sigv4_query(request->query, request->query_n, &url));
    TRY(buf_cstr(&url, &text));
    return http_client_do(client, request->method, text, (const char *const *)lines.lines,
                          request->body, response);
}

/* ---- again, and who may ---- */

static http_client_t *take_client(s3_t *s3, size_t *ret_place) {
    (void)pthread_mutex_lock(&s3->lock);
    for (;;) {
        for (size_t i = 0; i < LIMIT_S3_CLIENTS; i++) {
            if (s3->taken[i]) continue;
            s3->taken[i] = true;
            (void)pthread_mutex_unlock(&s3->lock);
            *ret_place = i;
            return s3->clients[i];
        }
        (void)pthread_cond_wait(&s3->freed, &s3->lock);
    }
}

static void give_client(s3_t *s3, size_t place) {
    (void)pthread_mutex_lock(&s3->lock);
    s3->taken[place] = false;
    (void)pthread_cond_signal(&s3->freed);
    (void)pthread_mutex_unlock(&s3->lock);
}

/* Doubles each time, half of it by chance, so that many do not come back at once. */
static void pause_before(const s3_t *s3, unsigned attempt) {
    int64_t ms = s3->pause_ms;
    for (unsigned i = 1; i < attempt && ms < PAUSE_MAX_MS; i++) ms *= 2;
    if (ms > PAUSE_MAX_MS) ms = PAUSE_MAX_MS;
    uint16_t chance = 0;
    err_ignore(rnd_fill(s3->rnd, &chance, sizeof chance));
    ms = ms / 2 + ms / 2 * chance / UINT16_MAX;
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&wait, &wait) != 0 && errno == EINTR) {}
}

static bool status_passes(unsigned status) {
    return status >= 500 || status == 429 || status == 408;
}

/* Everything here is idempotent, so whatever did not get an answer is asked again. */
static bool again(const err_t *e, const http_response_t *response) {
    if (!e) return status_passes(response->status);
    return err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT;
}

static err_t *answer_error(const http_response_t *response, const char *what) {
    s3_error_t said;
    s3_error_parse(buf_bytes(&response->body), &said);
    unsigned status = response->status;
    err_code_t code = status == 404                    ? ERR_NOT_FOUND
                      : status == 403 || status == 401 ? ERR_DENIED
                      : status_passes(status)          ? ERR_UNAVAILABLE
                      : status == 507                  ? ERR_FULL
                                                       : ERR_INVALID;
    return err_new(code, "%s: the store answers %u %s%s%s", what, status, said.code,
                   said.message[0] ? ": " : "", said.message);
}

/* Any answer but 2xx (and 404 with `may_miss`) is an error. */
static err_t *ask(s3_t *s3, const request_t *request, bool may_miss, http_response_t *response) {
    size_t place = 0;
    http_client_t *client = take_client(s3, &place);
    err_t *e = NULL;
    for (unsigned attempt = 0; attempt < s3->tries; attempt++) {
        if (attempt) pause_before(s3, attempt);
        err_free(e);
        e = fault_io() ? err_new(ERR_IO, "cannot send") : send_once(s3, client, request, response);
        if (!again(e, response)) break;
    }
    give_client(s3, place);
    if (e) return err_wrap(e, "%s", request->method);
    unsigned status = response->status;
    if ((status >= 200 && status < 300) || (may_miss && status == 404)) return NULL;
    return answer_error(response, request->method);
}

/* ---- operations ---- */

static err_t *look_at(s3_t *s3, const char *name, bool *ret_found, uint64_t *ret_size, char *etag,
                      size_t etag_size) {
    CLEANUP(request_done) request_t request = {.path = NULL};
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    bytes_t length = BYTES_NONE, tag = BYTES_NONE;
    uint64_t size = 0;
    TRY(object_request(s3, "HEAD", name, &request));
    TRY(ask(s3, &request, true, &response));
    bool found = response.status != 404;
    if (found) {
        if (!http_response_header(&response, "content-length", &length))
            return err_new(ERR_INVALID, "HEAD: the store tells no length");
        TRY_WRAP(text_u64(length, INT64_MAX, &size), "HEAD: Content-Length");
        (void)http_response_header(&response, "etag", &tag);
        if (etag) (void)snprintf(etag, etag_size, "%.*s", (int)tag.n, (const char *)tag.p);
        *ret_size = size;
    }
    *ret_found = found;
    return NULL;
}

static err_t *s3_look(blob_store_t *store, const char *name, bool *ret_found, uint64_t *ret_size) {
    return look_at((s3_t *)store, name, ret_found, ret_size, NULL, 0);
}

static err_t *read_source(const blob_source_t *source, buf_t *out) {
    TRY(buf_reserve(out, (size_t)source->size));
    while (out->n < source->size) {
        ssize_t got = fault_io() ? (errno = EIO, -1)
                                 : pread(source->fd, out->p + out->n, (size_t)source->size - out->n,
                                         (off_t)out->n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(errno, "read");
        if (got == 0) return err_new(ERR_IO, "the file is shorter than it was");
        out->n += (size_t)got;
    }
    return NULL;
}

/*
 * The store has checked the hash that is signed. That the object then is there, with the size it
 * must have and under the tag that the answer named, is asked for anew.
 */
static err_t *check_stored(s3_t *s3, const char *name, uint64_t size,
                           const http_response_t *response) {
    char now[128] = "";
    bytes_t then = BYTES_NONE;
    bool found = false;
    uint64_t found_size = 0;
    if (!http_response_header(response, "etag", &then) || then.n == 0)
        return err_new(ERR_VERIFY, "PUT: the store names no ETag");
    TRY(look_at(s3, name, &found, &found_size, now, sizeof now));
    if (!found) return err_new(ERR_VERIFY, "PUT: what was stored is not there");
    if (found_size != size)
        return err_new(ERR_VERIFY, "PUT: %llu bytes were stored of %llu",
                       (unsigned long long)found_size, (unsigned long long)size);
    if (!bytes_eq_str(then, now))
        return err_new(ERR_VERIFY, "PUT: what is stored has another ETag");
    return NULL;
}

static err_t *s3_put(blob_store_t *store, const char *name, const blob_source_t *source) {
    s3_t *s3 = (s3_t *)store;
    CLEANUP(request_done) request_t request = {.path = NULL};
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(mem_free) char *sha256 = NULL;
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, LIMIT_BLOB_OBJECT);
    http_response_init(&response);
    TRY(read_source(source, &body));
    TRY(text_hex_new(BYTES_ARRAY(source->sha256), &sha256));
    TRY(object_request(s3, "PUT", name, &request));
    request.body = buf_bytes(&body);
    request.sha256 = sha256;
    request.headers[request.headers_n++] =
        (sigv4_pair_t){"content-type", "application/octet-stream"};
    TRY(ask(s3, &request, false, &response));
    return check_stored(s3, name, source->size, &response);
}

static err_t *s3_get(blob_store_t *store, const char *name, uint64_t offset, size_t n, buf_t *out) {
    s3_t *s3 = (s3_t *)store;
    CLEANUP(request_done) request_t request = {.path = NULL};
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    if (n == 0) return NULL;
    char range[64];
    (void)snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)offset,
                   (unsigned long long)(offset + n - 1));
    TRY(object_request(s3, "GET", name, &request));
    request.headers[request.headers_n++] = (sigv4_pair_t){"range", range};
    err_t *e = ask(s3, &request, false, &response);
    if (e && response.status == 416) { /* it ends before offset */
        err_free(e);
        return NULL;
    }
    TRY(e);
    bytes_t body = buf_bytes(&response.body);
    /* A store may answer 200 with the whole of it. */
    if (response.status == 200) body = bytes_slice(body, (size_t)offset, n);
    if (body.n > n) return err_new(ERR_INVALID, "GET: the store sends more than was asked for");
    return buf_add(out, body);
}

static err_t *s3_remove(blob_store_t *store, const char *name) {
    s3_t *s3 = (s3_t *)store;
    CLEANUP(request_done) request_t request = {.path = NULL};
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    TRY(object_request(s3, "DELETE", name, &request));
    return ask(s3, &request, true, &response);
}

static err_t *give_page(const s3_t *s3, const s3_listing_t *listing, size_t max, blob_each_fn each,
                        void *arg) {
    size_t skip = strlen(s3->prefix);
    if (listing->n > max) return err_new(ERR_INVALID, "the store lists more than was asked for");
    for (size_t i = 0; i < listing->n; i++) {
        const s3_object_t *object = &listing->objects[i];
        blob_id_t id;
        uint64_t incarnation = 0;
        if (strncmp(object->key, s3->prefix, skip) != 0) continue;
        const char *name = object->key + skip;
        if (!blob_object_parse(bytes_str(name), &id, &incarnation)) continue;
        blob_entry_t entry = {name, object->size, object->modified};
        TRY(each(arg, &entry));
    }
    return NULL;
}

static err_t *s3_list(blob_store_t *store, const char *prefix, const char *after, size_t max,
                      blob_each_fn each, void *arg, bool *ret_more) {
    s3_t *s3 = (s3_t *)store;
    CLEANUP(request_done) request_t request = {.method = "GET", .sha256 = EMPTY_SHA256};
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(mem_free) char *from = mem_printf("%s%s", s3->prefix, after);
    CLEANUP(mem_free) char *begin = mem_printf("%s%s", s3->prefix, prefix);
    char count[16];
    s3_listing_t listing;
    http_response_init(&response);
    request.path = mem_strdup(s3->bucket_path);
    if (!from || !begin || !request.path) return err_nomem();
    (void)snprintf(count, sizeof count, "%zu", max);
    request_query(&request, "list-type", "2");
    request_query(&request, "max-keys", count);
    if (*begin) request_query(&request, "prefix", begin);
    if (*after) request_query(&request, "start-after", from);
    TRY(ask(s3, &request, false, &response));
    TRY(arena_new(LISTING_MEMORY, &arena));
    TRY(s3_listing_parse(buf_bytes(&response.body), arena, &listing));
    TRY(give_page(s3, &listing, max, each, arg));
    *ret_more = listing.truncated;
    return NULL;
}

/* ---- lifecycle ---- */

static void s3_free(blob_store_t *store) {
    s3_t *s3 = (s3_t *)store;
    for (size_t i = 0; i < LIMIT_S3_CLIENTS; i++) http_client_free(s3->clients[i]);
    mem_free(s3->scheme_host);
    mem_free(s3->host);
    mem_free(s3->base);
    mem_free(s3->bucket_path);
    mem_free(s3->prefix);
    mem_free(s3->region);
    mem_free(s3->access_key);
    secret_free(s3->secret_key);
    (void)pthread_cond_destroy(&s3->freed);
    (void)pthread_mutex_destroy(&s3->lock);
    mem_free(s3);
}

static const blob_store_ops_t s3_ops = {s3_put, s3_get, s3_look, s3_remove, s3_list, s3_free};

static err_t *check_text(const char *what, const char *text, const char *allowed) {
    size_t n = text ? strlen(text) : 0;
    if (n == 0 || n > 255 || strspn(text, allowed) != n)
        return err_new(ERR_INVALID, "the S3 store's %s is not one", what);
    return NULL;
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* "https://host[:port]": the Host header leaves a scheme's own port out. */
static err_t *set_endpoint(s3_t *s3, const blob_s3_config_t *config) {
    const char *endpoint = config->endpoint ? config->endpoint : "";
    bool tls = strncmp(endpoint, "https://", 8) == 0;
    if (!tls && strncmp(endpoint, "http://", 7) != 0)
        return err_new(ERR_INVALID, "an S3 endpoint begins with https:// (or http://)");
    const char *host = endpoint + (tls ? 8 : 7);
    TRY(check_text("endpoint", host, LOWER UPPER DIGITS ".-:[]"));
    size_t n = strlen(host);
    const char *own = tls ? ":443" : ":80";
    if (n > strlen(own) && strcmp(host + n - strlen(own), own) == 0) n -= strlen(own);
    s3->host = config->host_style ? mem_printf("%s.%.*s", config->bucket, (int)n, host)
                                  : mem_strndup(host, n);
    if (!s3->host) return err_nomem();
    s3->scheme_host = mem_printf("%s%s", tls ? "https://" : "http://", s3->host);
    return s3->scheme_host ? NULL : err_nomem();
}

static err_t *set_paths(s3_t *s3, const blob_s3_config_t *config) {
    const char *prefix = config->prefix ? config->prefix : "";
    TRY(check_text("bucket", config->bucket, LOWER UPPER DIGITS "._-"));
    TRY(check_text("region", config->region, LOWER UPPER DIGITS "_-"));
    if (strlen(prefix) > KEY_MAX / 2 || !text_printable(bytes_str(prefix)))
        return err_new(ERR_INVALID, "the S3 store's prefix is not one");
    CLEANUP(buf_done) buf_t base;
    buf_init(&base, 4 * KEY_MAX);
    TRY(buf_add_str(&base, "/"));
    if (!config->host_style) TRY(buf_printf(&base, "%s/", config->bucket));
    TRY(sigv4_path(bytes_str(prefix), &base));
    TRY(buf_steal_str(&base, &s3->base));
    s3->bucket_path = config->host_style ? mem_strdup("/") : mem_printf("/%s", config->bucket);
    s3->prefix = mem_strdup(prefix);
    s3->region = mem_strdup(config->region);
    return s3->bucket_path && s3->prefix && s3->region ? NULL : err_nomem();
}

static bool credential_value(bytes_t line, const char *name, bytes_t *ret_value) {
    size_t equals = bytes_find(line, '=');
    if (equals == line.n || !bytes_eq_str(text_trim(bytes_slice(line, 0, equals)), name))
        return false;
    *ret_value = text_trim(bytes_from(line, equals + 1));
    return true;
}

static err_t *set_credentials(s3_t *s3, bytes_t text) {
    bytes_t rest = text, line, access = BYTES_NONE, secret = BYTES_NONE;
    while (text_split(&rest, '\n', &line))
        if (!credential_value(line, "access_key", &access))
            (void)credential_value(line, "secret_key", &secret);
    if (access.n == 0 || access.n > 128 || secret.n == 0 || secret.n > 512 ||
        !text_printable(access))
        return err_new(ERR_INVALID, "the S3 credentials' file needs the lines \"access_key = ...\" "
                                    "and \"secret_key = ...\"");
    s3->access_key = mem_strndup((const char *)access.p, access.n);
    if (!s3->access_key) return err_nomem();
    return secret_copy(secret, &s3->secret_key);
}

static err_t *make_clients(s3_t *s3, const blob_s3_config_t *config) {
    http_client_config_t http = {.ca_file = config->ca_file,
                                 .version = HTTP_VERSION_1_1,
                                 .connect_ms = config->connect_ms,
                                 .total_ms = config->total_ms,
                                 .response_max = LIMIT_BLOB_OBJECT,
                                 .resolve = config->resolve,
                                 .proxy = config->proxy};
    for (size_t i = 0; i < LIMIT_S3_CLIENTS; i++) TRY(http_client_new(&http, &s3->clients[i]));
    return NULL;
}

err_t *blob_s3_open(const blob_s3_config_t *config, blob_store_t **ret_store) {
    s3_t *s3 = mem_zalloc(sizeof *s3);
    if (!s3) return err_nomem();
    s3->store.ops = &s3_ops;
    s3->store.kind = "s3";
    (void)pthread_mutex_init(&s3->lock, NULL);
    (void)pthread_cond_init(&s3->freed, NULL);
    CLEANUP(blob_store_free) blob_store_t *store = &s3->store;
    store->name = mem_strdup(config->name);
    if (!store->name) return err_nomem();
    s3->tries = config->tries ? config->tries : TRIES;
    if (s3->tries > LIMIT_S3_TRIES) s3->tries = LIMIT_S3_TRIES;
    s3->pause_ms = config->pause_ms ? config->pause_ms : PAUSE_MS;
    s3->clk = config->clk;
    s3->rnd = config->rnd;
    TRY_WRAP(set_paths(s3, config), "store %s", config->name);
    TRY_WRAP(set_endpoint(s3, config), "store %s", config->name);
    TRY_WRAP(set_credentials(s3, config->credentials), "store %s", config->name);
    TRY_WRAP(make_clients(s3, config), "store %s", config->name);
    *ret_store = STEAL(store);
    return NULL;
}
