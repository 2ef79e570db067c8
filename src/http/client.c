/*
 * The blocking client, and one transfer for both clients: see client.h and client_internal.h.
 * Runs on the thread that asks.
 */
#include "http/client.h"

#include <stdio.h>

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/client_internal.h"

enum {
    CONNECT_MS = 10000,
    TOTAL_MS = 60000,
    HEADERS_MAX = 64 * 1024,
    PEM_MAX = 1024 * 1024,
    TRUST_AFTER = 64 * 1024, /* bytes that came before the announced length is believed */
};

struct http_client {
    client_settings_t settings;
    CURL *easy;
};

const char *http_end_name(http_end_t end) {
    switch (end) {
    case HTTP_END_OK: return "ok";
    case HTTP_END_REFUSED: return "refused";
    case HTTP_END_TLS: return "tls";
    case HTTP_END_TIMEOUT: return "timeout";
    case HTTP_END_NOT_HANDLED: return "not-handled";
    case HTTP_END_BROKEN: return "broken";
    case HTTP_END_LIMIT: return "limit";
    case HTTP_END_CANCELLED: return "cancelled";
    case HTTP_END_OTHER: return "other";
    }
    return "other";
}

bool http_end_retry_safe(http_end_t end) {
    switch (end) {
    case HTTP_END_REFUSED:
    case HTTP_END_TLS:
    case HTTP_END_NOT_HANDLED: return true;
    case HTTP_END_OK:
    case HTTP_END_TIMEOUT:
    case HTTP_END_BROKEN:
    case HTTP_END_LIMIT:
    case HTTP_END_CANCELLED:
    case HTTP_END_OTHER: return false;
    }
    return false;
}

/* ---- responses ---- */

void http_response_init(http_response_t *response) {
    *response = (http_response_t){.end = HTTP_END_OTHER};
    buf_init(&response->headers, HEADERS_MAX);
    buf_init(&response->body, LIMIT_HTTP_RESPONSE);
}

void http_response_done(http_response_t *response) {
    buf_done(&response->headers);
    buf_done(&response->body);
}

bool http_response_header(const http_response_t *response, const char *name, bytes_t *ret_value) {
    bytes_t rest = buf_bytes(&response->headers);
    bytes_t line;
    while (text_split(&rest, '\n', &line)) {
        size_t colon = bytes_find(line, ':');
        if (!bytes_eq_str(bytes_slice(line, 0, colon), name)) continue;
        *ret_value = text_trim(bytes_from(line, colon + 1));
        return true;
    }
    return false;
}

/* ---- settings ---- */

static err_t *copy_text(const char *text, char **out) {
    if (!text) return NULL;
    *out = mem_strdup(text);
    return *out ? NULL : err_nomem();
}

static err_t *settings_fill(client_settings_t *s, const http_client_config_t *config) {
    TRY(buf_add(&s->ca_pem, config->ca_pem));
    TRY(buf_add(&s->cert_pem, config->cert_pem));
    TRY(buf_add(&s->key_pem, config->key_pem));
    TRY(copy_text(config->ca_file, &s->ca_file));
    TRY(copy_text(config->unix_socket, &s->unix_socket));
    TRY(copy_text(config->proxy, &s->proxy));
    if (config->resolve) {
        s->resolve = curl_slist_append(NULL, config->resolve);
        if (!s->resolve) return err_nomem();
    }
    return NULL;
}

err_t *client_settings_init(client_settings_t *settings, const http_client_config_t *config) {
    client_settings_t s = {.version = config->version,
                           .connect_ms = config->connect_ms ? config->connect_ms : CONNECT_MS,
                           .total_ms = config->total_ms ? config->total_ms : TOTAL_MS,
                           .stop = config->stop,
                           .go_on = config->go_on,
                           .go_on_arg = config->go_on_arg,
                           .send_max = config->send_max,
                           .receive_max = config->receive_max,
                           .response_max =
                               config->response_max ? config->response_max : LIMIT_HTTP_RESPONSE};
    buf_init(&s.ca_pem, PEM_MAX);
    buf_init(&s.cert_pem, PEM_MAX);
    buf_init_secret(&s.key_pem, PEM_MAX);
    err_t *e = settings_fill(&s, config);
    if (e) {
        client_settings_done(&s);
        return e;
    }
    *settings = s;
    return NULL;
}

void client_settings_done(client_settings_t *s) {
    buf_done(&s->ca_pem);
    buf_done(&s->cert_pem);
    buf_done(&s->key_pem);
    mem_free(s->ca_file);
    mem_free(s->unix_socket);
    mem_free(s->proxy);
    curl_slist_free_all(s->resolve);
    *s = (client_settings_t){.version = HTTP_VERSION_1_1};
}

/* ---- one transfer ---- */

/* Once a part of a large body came, room for all that was announced: it is not copied from one
 * place to a larger one again and again. */
static err_t *make_room(transfer_t *t, size_t more) {
    buf_t *body = &t->response->body;
    curl_off_t announced = -1;
    if (body->n < TRUST_AFTER || body->room > body->n + more) return NULL;
    if (curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced) != CURLE_OK)
        return NULL;
    bool good = announced > (curl_off_t)body->n && (uint64_t)announced <= body->max;
    return good ? buf_reserve(body, (size_t)announced - body->n) : NULL;
}

static size_t on_body(char *data, size_t size, size_t count, void *cls) {
    transfer_t *t = cls;
    err_t *e = make_room(t, size * count);
    if (!e) e = buf_add(&t->response->body, bytes_make(data, size * count));
    if (!e) return size * count;
    if (err_code(e) == ERR_LIMIT) t->over = true;
    else t->no_memory = true;
    err_free(e);
    return 0; /* ends the transfer */
}

/* A status line begins a new block: what an interim response (1xx) said is dropped. */
static err_t *header_line(http_response_t *response, bytes_t line) {
    bytes_t trimmed = text_trim(line);
    if (bytes_starts(trimmed, BYTES_LIT("HTTP/"))) {
        buf_clear(&response->headers);
        return NULL;
    }
    size_t colon = bytes_find(trimmed, ':');
    if (colon == trimmed.n) return NULL;
    size_t before = response->headers.n;
    TRY(buf_add(&response->headers, trimmed));
    for (size_t i = before; i < before + colon; i++) {
        uint8_t *c = &response->headers.p[i];
        if (*c >= 'A' && *c <= 'Z') *c = (uint8_t)(*c - 'A' + 'a');
    }
    return buf_add_byte(&response->headers, '\n');
}

static size_t on_header(char *data, size_t size, size_t count, void *cls) {
    transfer_t *t = cls;
    err_t *e = header_line(t->response, bytes_make(data, size * count));
    if (!e) return size * count;
    if (err_code(e) == ERR_LIMIT) t->over = true;
    else t->no_memory = true;
    err_free(e);
    return 0;
}

static bool set_blob(CURL *easy, CURLoption option, const buf_t *pem) {
    if (pem->n == 0) return true;
    struct curl_blob blob = {.data = pem->p, .len = pem->n, .flags = CURL_BLOB_NOCOPY};
    return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static long version_option(http_version_t version) {
    switch (version) {
    case HTTP_VERSION_1_1: return CURL_HTTP_VERSION_1_1;
    case HTTP_VERSION_ALPN: return CURL_HTTP_VERSION_2TLS;
    case HTTP_VERSION_2_PRIOR: return CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    }
    return CURL_HTTP_VERSION_1_1;
}

static int on_progress(void *cls, curl_off_t down, curl_off_t down_now, curl_off_t up,
                       curl_off_t up_now) {
    const client_settings_t *s = cls;
    (void)down, (void)down_now, (void)up, (void)up_now;
    if (s->stop && atomic_load(s->stop)) return 1;
    return s->go_on && !s->go_on(s->go_on_arg) ? 1 : 0;
}

static bool set_stop(CURL *easy, const client_settings_t *s) {
    if (!s->stop && !s->go_on) return true;
    return curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_XFERINFODATA, s) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

static bool set_speed(CURL *easy, const client_settings_t *s) {
    return curl_easy_setopt(easy, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)s->send_max) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)s->receive_max) ==
               CURLE_OK;
}

static bool set_common(transfer_t *t, const client_settings_t *s) {
    CURL *easy = t->easy;
    bool ok = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROXY, s->proxy ? s->proxy : "") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_USERAGENT, "coffer/" COFFER_VERSION) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)s->total_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version_option(s->version)) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PIPEWAIT, s->wait_for_stream ? 1L : 0L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->message) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HEADERDATA, t) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_RESOLVE, s->resolve) == CURLE_OK;
    ok = ok && set_stop(easy, s) && set_speed(easy, s);
    return ok && (!s->unix_socket ||
                  curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, s->unix_socket) == CURLE_OK);
}

static bool set_tls(CURL *easy, const client_settings_t *s) {
    bool ok = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    /* Own anchors replace the system's, file and directory. */
    if (s->ca_pem.n > 0 || s->ca_file) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
        ok = ok && curl_easy_setopt(easy, CURLOPT_CAINFO, s->ca_file) == CURLE_OK;
    }
    ok = ok && set_blob(easy, CURLOPT_CAINFO_BLOB, &s->ca_pem);
    ok = ok && set_blob(easy, CURLOPT_SSLCERT_BLOB, &s->cert_pem);
    return ok && set_blob(easy, CURLOPT_SSLKEY_BLOB, &s->key_pem);
}

static bool set_request(CURL *easy, const char *method, const char *url, bytes_t body) {
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
    if (strcmp(method, "HEAD") == 0)
        return ok && curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    bool bodiless = body.n == 0 && (strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0);
    if (!bodiless) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
        ok = ok &&
             curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) == CURLE_OK;
        ok = ok && curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.n ? (const char *)body.p : "") ==
                       CURLE_OK;
    }
    return ok && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
}

static err_t *add_header(struct curl_slist **list, const char *line) {
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer) return err_nomem();
    *list = longer;
    return NULL;
}

static err_t *set_headers(transfer_t *t, const char *const *headers) {
    bool typed = false;
    for (size_t i = 0; headers && headers[i]; i++) {
        bytes_t line = bytes_str(headers[i]);
        for (size_t k = 0; k < line.n; k++)
            if (line.p[k] < 0x20 || line.p[k] == 0x7f)
                return err_new(ERR_INVALID, "not a header line");
        bytes_t name = bytes_slice(line, 0, bytes_find(line, ':'));
        typed = typed || text_eq_fold(name, BYTES_LIT("content-type"));
        TRY(add_header(&t->headers, headers[i]));
    }
    /* curl would call any body a form, and wait for "100 Continue" with a large one. */
    if (!typed) TRY(add_header(&t->headers, "Content-Type:"));
    TRY(add_header(&t->headers, "Expect:"));
    if (curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) != CURLE_OK) return err_nomem();
    return NULL;
}

err_t *transfer_begin(transfer_t *transfer, CURL *easy, const client_settings_t *settings,
                      const char *method, const char *url, const char *const *headers, bytes_t body,
                      http_response_t *response) {
    transfer_t *t = transfer;
    *t = (transfer_t){.easy = easy, .response = response};
    buf_t kept = response->body; /* a large one is worth keeping */
    response->body = (buf_t){0};
    http_response_done(response);
    http_response_init(response);
    buf_clear(&kept);
    response->body = kept;
    response->body.max = settings->response_max;
    curl_easy_reset(easy);
    if (fault_io() || !set_common(t, settings) || !set_tls(easy, settings) ||
        !set_request(easy, method, url, body))
        return err_new(ERR_INTERNAL, "cannot prepare a request to %s", url);
    return set_headers(t, headers);
}

void transfer_done(transfer_t *t) {
    curl_slist_free_all(t->headers);
    t->headers = NULL;
}

/* Whether the request's first byte may have left: until the connection (and its TLS) stood, none
 * has. */
static bool may_have_been_sent(const transfer_t *t) {
    curl_off_t pretransfer = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
    return pretransfer > 0;
}

static http_end_t end_of(const transfer_t *t, CURLcode code) {
    switch ((int)code) {
    case CURLE_OK: return HTTP_END_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return HTTP_END_REFUSED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH: return HTTP_END_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        return may_have_been_sent(t) ? HTTP_END_TIMEOUT : HTTP_END_REFUSED;
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED: return t->over ? HTTP_END_LIMIT : HTTP_END_OTHER;
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        /* RFC 9113 section 8.7: a refused stream was not processed. */
        if (strstr(t->message, "REFUSED_STREAM")) return HTTP_END_NOT_HANDLED;
        return may_have_been_sent(t) ? HTTP_END_BROKEN : HTTP_END_REFUSED;
    case CURLE_ABORTED_BY_CALLBACK: return HTTP_END_CANCELLED;
    default: return HTTP_END_OTHER;
    }
}

void transfer_end(transfer_t *t, CURLcode code) {
    http_response_t *response = t->response;
    long status = 0;
    long version = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
    response->end = end_of(t, code);
    response->status = response->end == HTTP_END_OK ? (unsigned)status : 0;
    response->http_major = version >= CURL_HTTP_VERSION_2_0 ? 2 : 1;
    if (t->message[0] == '\0' && code != CURLE_OK)
        (void)snprintf(t->message, sizeof t->message, "%s", curl_easy_strerror(code));
}

/* ---- the blocking client ---- */

err_t *http_client_init(void) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_new(ERR_INTERNAL, "libcurl does not start");
    return NULL;
}

err_t *http_client_new(const http_client_config_t *config, http_client_t **ret_client) {
    TRY(http_client_init());
    CLEANUP(http_client_free) http_client_t *client = mem_zalloc(sizeof *client);
    if (!client) return err_nomem();
    TRY(client_settings_init(&client->settings, config));
    client->easy = curl_easy_init();
    if (!client->easy) return err_nomem();
    *ret_client = STEAL(client);
    return NULL;
}

void http_client_free(http_client_t *client) {
    if (!client) return;
    if (client->easy) curl_easy_cleanup(client->easy);
    client_settings_done(&client->settings);
    mem_free(client);
}

static err_t *end_error(const transfer_t *t, CURLcode code, const char *url) {
    switch (t->response->end) {
    case HTTP_END_OK: return NULL;
    case HTTP_END_REFUSED:
    case HTTP_END_NOT_HANDLED:
    case HTTP_END_BROKEN:
    case HTTP_END_CANCELLED: return err_new(ERR_UNAVAILABLE, "%s: %s", url, t->message);
    case HTTP_END_TIMEOUT: return err_new(ERR_TIMEOUT, "%s: %s", url, t->message);
    case HTTP_END_TLS: return err_new(ERR_VERIFY, "%s: %s", url, t->message);
    case HTTP_END_LIMIT: return err_new(ERR_LIMIT, "%s: the response is too large", url);
    case HTTP_END_OTHER: break;
    }
    if (t->no_memory || code == CURLE_OUT_OF_MEMORY) return err_nomem();
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return err_new(ERR_INVALID, "%s: %s", url, t->message);
    return err_new(ERR_INTERNAL, "%s: %s", url, t->message);
}

err_t *http_client_do(http_client_t *client, const char *method, const char *url,
                      const char *const *headers, bytes_t body, http_response_t *response) {
    transfer_t t;
    err_t *e =
        transfer_begin(&t, client->easy, &client->settings, method, url, headers, body, response);
    if (!e) {
        CURLcode code = curl_easy_perform(client->easy);
        transfer_end(&t, code);
        e = end_error(&t, code, url);
    }
    curl_easy_reset(client->easy); /* it must not point into t any more; connections stay */
    transfer_done(&t);
    return e;
}
