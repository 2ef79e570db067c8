/*
 * One request from its first line to its reply: see server_internal.h.
 *
 * exchange_begin, exchange_step and exchange_end run on libmicrohttpd's event thread of the
 * connection and never block; exchange_run runs on a worker while the connection is suspended.
 * Handing over goes through the pool's lock one way and libmicrohttpd's the other. A request in
 * steps stays with its event thread: only http_request_wake comes from elsewhere.
 */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/server_internal.h"

static void in_flight_change(http_server_t *server, int by) {
    pthread_mutex_lock(&server->lock);
    server->in_flight = (unsigned)((int)server->in_flight + by);
    if (server->in_flight == 0) pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *connection) {
    listener_t *listener = cls;
    http_server_t *server = listener->server;
    exchange_t *x = mem_zalloc(sizeof *x);
    char *target = mem_strdup(uri);
    if (!x || !target) { /* exchange_step closes a connection without an exchange */
        mem_free(x);
        mem_free(target);
        return NULL;
    }
    x->listener = listener;
    x->connection = connection;
    x->target = target;
    buf_init(&x->path, LIMIT_HTTP_QUERY);
    buf_init(&x->body, 0);
    http_reply_init(&x->reply);
    uint64_t number = atomic_fetch_add(&server->requests, 1) + 1;
    (void)snprintf(x->request.id, sizeof x->request.id, "%s-%llx", server->id_prefix,
                   (unsigned long long)number);
    x->request.seen_ms = clk_mono_ms(server->config.clk);
    x->request.tag = listener->tag;
    x->request.tls = listener->tls;
    in_flight_change(server, 1);
    return x;
}

void exchange_end(void *cls, struct MHD_Connection *connection, void **state,
                  enum MHD_RequestTerminationCode why) {
    (void)cls;
    (void)why;
    exchange_t *x = *state;
    if (!x) return;
    *state = NULL;
    http_server_t *server = x->listener->server;
    reaper_await_headers(server, connection);
    atomic_fetch_sub(&server->body_bytes, x->counted);
    if (x->response) MHD_destroy_response(x->response);
    if (x->request.state_free) x->request.state_free(x->request.state);
    http_reply_done(&x->reply);
    arena_free(x->request.arena);
    buf_done(&x->path);
    bodies_give(&server->bodies, &x->body, clk_mono_ms(server->config.clk));
    digest_free(x->digest);
    mem_free(x->target);
    mem_free(x);
    in_flight_change(server, -1);
}

/* ---- the reply ---- */

static struct MHD_Response *response_create(exchange_t *x) {
    http_reply_t *reply = &x->reply;
    if (reply->stream) {
        struct MHD_Response *response =
            stream_response(x->listener->server, x->connection, reply->stream);
        if (response) reply->stream = NULL; /* now the response's */
        return response;
    }
    if (reply->file >= 0) {
        struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(
            reply->file_size, reply->file, reply->file_offset);
        if (response) reply->file = -1; /* now the response's */
        return response;
    }
    if (reply->body.n == 0)
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(reply->body.n, reply->body.p, mem_free);
    if (response) reply->body = (buf_t){.max = reply->body.max};
    return response;
}

/* Turns the reply into libmicrohttpd's; on failure there is none and the connection closes. */
static void response_build(exchange_t *x) {
    err_ignore(http_reply_security(&x->reply, x->listener->hsts));
    struct MHD_Response *response = response_create(x);
    if (!response) return;
    for (size_t i = 0; i < x->reply.headers_n; i++)
        (void)MHD_add_response_header(response, x->reply.headers[i].name,
                                      x->reply.headers[i].value);
    if (atomic_load(&x->listener->server->draining))
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    x->response = response;
}

static enum MHD_Result response_queue(exchange_t *x) {
    x->stage = STAGE_ANSWERED;
    if (!x->response) return MHD_NO;
    enum MHD_Result rc = MHD_queue_response(x->connection, x->reply.status, x->response);
    MHD_destroy_response(x->response);
    x->response = NULL;
    return rc;
}

static void answered(exchange_t *x, const err_t *e) {
    const http_server_config_t *config = &x->listener->server->config;
    if (config->after) config->after(config->ctx, &x->request, &x->reply, e);
    response_build(x);
}

/* The answer to a request that no handler will see. Takes over e. */
static void refuse_error(exchange_t *x, err_t *e) {
    http_reply_error(&x->reply, e, x->request.id,
                     x->match.route ? x->match.route->json_errors : false);
    x->discard = true;
    answered(x, e);
    err_free(e);
}

static bool wants_json(const exchange_t *x) {
    const char *prefix = x->listener->server->config.json_prefix;
    return prefix && bytes_starts(x->request.path, bytes_str(prefix));
}

static void refuse_status(exchange_t *x, unsigned status, const char *text, const char *allow) {
    http_reply_clear(&x->reply);
    if (wants_json(x)) {
        err_t *e = err_new(status == 404 ? ERR_NOT_FOUND : ERR_INVALID, "%s", text);
        http_reply_error(&x->reply, e, x->request.id, true);
        err_free(e);
    } else {
        err_ignore(http_reply_text(&x->reply, status, text));
    }
    x->reply.status = status;
    if (allow) err_ignore(http_reply_header(&x->reply, "Allow", allow));
    x->discard = true;
    answered(x, NULL);
}

/* ---- the request ---- */

typedef struct {
    http_header_t *headers;
    size_t n;
} header_list_t;

static enum MHD_Result header_take(void *cls, enum MHD_ValueKind kind, const char *name,
                                   size_t name_size, const char *value, size_t value_size) {
    (void)kind;
    header_list_t *list = cls;
    if (list->n == LIMIT_HTTP_HEADERS) return MHD_NO;
    list->headers[list->n++] =
        (http_header_t){bytes_make(name, name_size), bytes_make(value, value_size)};
    return MHD_YES;
}

/* The names and values stay in the connection's memory until the reply is out. */
static err_t *take_headers(exchange_t *x) {
    int count = MHD_get_connection_values(x->connection, MHD_HEADER_KIND, NULL, NULL);
    size_t n = count > 0 ? (size_t)count : 0;
    header_list_t list = {.n = 0};
    TRY(arena_alloc(x->request.arena, (n + 1) * sizeof *list.headers, &list.headers));
    (void)MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, header_take, &list);
    x->request.headers = list.headers;
    x->request.headers_n = list.n;
    return NULL;
}

static void take_peer(exchange_t *x) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    x->request.peer = x->peer;
    if (!info || !info->client_addr) return;
    const void *address = info->client_addr;
    if (info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = address;
        (void)inet_ntop(AF_INET, &in->sin_addr, x->peer, sizeof x->peer);
    } else if (info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = address;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            (void)inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], x->peer, sizeof x->peer);
        else (void)inet_ntop(AF_INET6, &in6->sin6_addr, x->peer, sizeof x->peer);
    }
}

/* GnuTLS asked for a certificate and proved that the peer has its key (CertificateVerify); who
 * issued it and whether it still counts is for the handler to find out. */
static err_t *take_certificates(exchange_t *x) {
    if (!x->listener->tls) return NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (!info || !info->tls_session) return NULL;
    unsigned n = 0;
    const gnutls_datum_t *list =
        gnutls_certificate_get_peers((gnutls_session_t)info->tls_session, &n);
    if (!list || n == 0) return NULL;
    if (n > LIMIT_HTTP_CERTIFICATES) return err_new(ERR_LIMIT, "too many client certificates");
    for (unsigned i = 0; i < n; i++)
        if (list[i].size > LIMIT_CERTIFICATE_BYTES)
            return err_new(ERR_LIMIT, "a client certificate is too large");
    bytes_t *more = NULL;
    TRY(arena_alloc(x->request.arena, n * sizeof *more, &more));
    TRY(arena_copy(x->request.arena, bytes_make(list[0].data, list[0].size),
                   &x->request.client_cert));
    for (unsigned i = 1; i < n; i++)
        TRY(arena_copy(x->request.arena, bytes_make(list[i].data, list[i].size), &more[i - 1]));
    x->request.client_more = more;
    x->request.client_more_n = n - 1;
    return NULL;
}

static err_t *take_request(exchange_t *x, const char *method) {
    x->request.method = bytes_str(method);
    take_peer(x);
    TRY(arena_new(LIMIT_HTTP_ARENA, &x->request.arena));
    TRY(http_target_parse(bytes_str(x->target), &x->path, &x->request.raw_query));
    x->request.path = buf_bytes(&x->path);
    TRY(take_headers(x));
    return take_certificates(x);
}

static err_t *too_large(const exchange_t *x) {
    return err_new(ERR_LIMIT, "the body of this request may have at most %zu bytes",
                   x->match.route->body_max);
}

/* 404 and 405, or the route is found and *ret_found true. */
static err_t *find_route(exchange_t *x, bool *ret_found) {
    const http_server_config_t *c = &x->listener->server->config;
    x->match = http_router_match(c->routes, c->routes_n, x->request.method, x->request.path,
                                 x->request.tag);
    *ret_found = x->match.kind == HTTP_MATCH_FOUND;
    switch (x->match.kind) {
    case HTTP_MATCH_FOUND:
        x->request.route = x->match.route;
        x->request.params = x->match.params;
        x->request.params_n = x->match.params_n;
        x->body.max = x->match.route->body_max;
        return c->hashed && x->match.route->handler == c->hashed ? digest_new(&x->digest) : NULL;
    case HTTP_MATCH_NONE: refuse_status(x, 404, "there is nothing here", NULL); return NULL;
    case HTTP_MATCH_METHOD: break;
    }
    CLEANUP(buf_done) buf_t allow;
    const char *text = NULL;
    buf_init(&allow, 256);
    TRY(http_router_allow(c->routes, c->routes_n, x->request.path, x->request.tag, &allow));
    TRY(buf_cstr(&allow, &text));
    refuse_status(x, 405, "this cannot be done here", text);
    return NULL;
}

/* How much the client announced; 0 when it did not (chunked, or no body). libmicrohttpd has
 * refused contradictions already. */
static uint64_t announced(const exchange_t *x) {
    bytes_t value;
    uint64_t n = 0;
    if (!http_request_header(&x->request, "Content-Length", &value)) return 0;
    err_t *e = text_u64(text_trim(value), UINT64_MAX, &n);
    if (e) n = UINT64_MAX;
    err_free(e);
    return n;
}

static enum MHD_Result on_headers(exchange_t *x, const char *method) {
    bool found = false;
    reaper_headers_are_complete(x->connection);
    err_t *e = take_request(x, method);
    x->stage = STAGE_BODY;
    x->announced = announced(x);
    int lines = MHD_get_connection_values(x->connection, MHD_HEADER_KIND, NULL, NULL);
    if (!e && lines > LIMIT_HTTP_HEADERS) {
        refuse_status(x, 431, "too many header lines", NULL);
    } else {
        if (!e) e = find_route(x, &found);
        if (!e && found && x->announced > x->match.route->body_max) e = too_large(x);
        if (e) refuse_error(x, e);
    }
    if (!x->discard) return MHD_YES;
    /*
     * Refused. A client that waits for "100 Continue", or that would send very much, hears it now
     * and the connection closes; a short body is read first, lest the reply be lost in a reset.
     */
    bytes_t expect;
    bool waits = http_request_header(&x->request, "Expect", &expect);
    if (waits || x->announced > LIMIT_HTTP_DISCARD) return response_queue(x);
    return MHD_YES;
}

/* Replaces a reply that stands already, when the body turns out too large for its route. */
static enum MHD_Result on_body(exchange_t *x, bytes_t data) {
    http_server_t *server = x->listener->server;
    int64_t took_ms = clk_mono_ms(server->config.clk) - x->request.seen_ms;
    if (took_ms > (int64_t)LIMIT_HTTP_REQUEST_S * 1000) return MHD_NO;
    x->received += data.n;
    if (x->discard)
        return x->received <= x->body.max + (uint64_t)LIMIT_HTTP_DISCARD ? MHD_YES : MHD_NO;
    if (x->received > x->body.max) {
        refuse_error(x, too_large(x));
        return MHD_YES;
    }
    size_t all = atomic_fetch_add(&server->body_bytes, data.n) + data.n;
    x->counted += data.n;
    err_t *e = all > LIMIT_HTTP_BODIES ? err_new(ERR_UNAVAILABLE, "too many request bodies at once")
                                       : bodies_add(&server->bodies, &x->body, data, x->announced);
    if (!e && x->digest) e = digest_update(x->digest, data);
    if (e) refuse_error(x, e);
    return MHD_YES;
}

/* The reply to a request whose connection is suspended. */
static enum MHD_Result answer_now(exchange_t *x) {
    x->stage = STAGE_ANSWERED;
    MHD_resume_connection(x->connection);
    return MHD_YES;
}

/* To a worker; the connection is suspended. */
static enum MHD_Result park(exchange_t *x) {
    x->stage = STAGE_PARKED;
    if (pool_push(&x->listener->server->pool, x)) return MHD_YES; /* x is the worker's now */
    atomic_fetch_add(&x->listener->server->overloaded, 1);
    refuse_error(x, err_new(ERR_UNAVAILABLE, "too many requests wait"));
    return answer_now(x);
}

static bool asleep_add(http_server_t *server) {
    pthread_mutex_lock(&server->lock);
    bool may = !server->closing;
    if (may) server->asleep++;
    pthread_mutex_unlock(&server->lock);
    return may;
}

static void asleep_remove(http_server_t *server) {
    pthread_mutex_lock(&server->lock);
    if (--server->asleep == 0) pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

void http_request_wake(http_request_t *request) {
    exchange_t *x = (exchange_t *)(void *)request; /* its first member */
    http_server_t *server = x->listener->server;
    atomic_store(&x->woken, true);
    MHD_resume_connection(x->connection); /* x may be gone from here on */
    asleep_remove(server);
}

void steps_stop(http_server_t *server) {
    pthread_mutex_lock(&server->lock);
    server->closing = true;
    while (server->asleep > 0) pthread_cond_wait(&server->idle, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

static void step_failed(exchange_t *x, err_t *e) {
    http_reply_error(&x->reply, e, x->request.id, x->request.route->json_errors);
    answered(x, e);
    err_free(e);
}

/* The connection is suspended before the step: its wake may come at once. */
static enum MHD_Result first_step(exchange_t *x) {
    http_server_t *server = x->listener->server;
    http_next_t next = HTTP_STEP_WORKER;
    if (!asleep_add(server)) return park(x);
    x->stage = STAGE_WAITING;
    err_t *e = server->config.step(server->config.ctx, &x->request, &x->reply, &next);
    if (!e && next == HTTP_STEP_WAIT) return MHD_YES;
    asleep_remove(server);
    if (!e && next == HTTP_STEP_WORKER) return park(x);
    if (e) step_failed(x, e);
    else answered(x, NULL);
    return answer_now(x);
}

static enum MHD_Result second_step(exchange_t *x) {
    const http_server_config_t *config = &x->listener->server->config;
    http_next_t next = HTTP_STEP_WORKER;
    if (!atomic_load(&x->woken)) return MHD_YES;
    err_t *e = config->step(config->ctx, &x->request, &x->reply, &next);
    if (!e && next == HTTP_STEP_WAIT) e = err_new(ERR_INTERNAL, "a request that waits twice");
    if (!e && next == HTTP_STEP_WORKER) {
        MHD_suspend_connection(x->connection);
        return park(x);
    }
    if (e) step_failed(x, e);
    else answered(x, NULL);
    return response_queue(x);
}

static enum MHD_Result on_complete(exchange_t *x) {
    if (x->discard) return response_queue(x);
    x->request.body = buf_bytes(&x->body);
    err_t *e = x->digest ? digest_final(x->digest, x->request.body_sha256) : NULL;
    if (e) refuse_error(x, e);
    if (e) return response_queue(x);
    MHD_suspend_connection(x->connection);
    return x->listener->server->config.step ? first_step(x) : park(x);
}

enum MHD_Result exchange_step(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **state) {
    (void)cls;
    (void)connection;
    (void)url;
    (void)version;
    exchange_t *x = *state;
    if (!x) return MHD_NO;
    switch (x->stage) {
    case STAGE_HEADERS: return on_headers(x, method);
    case STAGE_BODY: {
        size_t n = *data_size;
        if (n == 0) return on_complete(x);
        *data_size = 0;
        return on_body(x, bytes_make(data, n));
    }
    case STAGE_WAITING: return second_step(x);
    case STAGE_PARKED: return MHD_YES;
    case STAGE_ANSWERED: return response_queue(x);
    }
    return MHD_NO;
}

static err_t *handle(exchange_t *x) {
    const http_server_config_t *c = &x->listener->server->config;
    bool done = false;
    if (c->before) TRY(c->before(c->ctx, &x->request, &x->reply, &done));
    return done ? NULL : x->request.route->handler(c->ctx, &x->request, &x->reply);
}

void exchange_run(exchange_t *x, bool refuse) {
    err_t *e = refuse ? err_new(ERR_UNAVAILABLE, "the server is stopping") : handle(x);
    if (e) http_reply_error(&x->reply, e, x->request.id, x->request.route->json_errors);
    answered(x, e);
    err_free(e);
    x->stage = STAGE_ANSWERED;
    MHD_resume_connection(x->connection); /* x belongs to the event thread again */
}
