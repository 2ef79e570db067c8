/*
 * A provider's connection to the push stand-in: see apns_h2.h. Main thread, non-blocking.
 */
#include "program/sim/apns_h2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

enum {
    STREAMS_MAX = 1000, /* as Apple's SETTINGS say */
    HEADER_LIST_MAX = 8000,
    READ_BYTES = 16384,
    REPLY_BYTES = 128,
    OUT_MAX = 4 * 1024 * 1024,
    LOG_LINE_MAX = 32 * 1024,
};

typedef struct stream stream_t;
struct stream {
    stream_t *before, *after;
    int32_t id;
    apns_request_t request;
    buf_t body;
    bool body_over;
    bool waiting; /* complete, answer due at due_ms */
    int64_t due_ms;
    apns_fault_t fault;
    char reply[REPLY_BYTES];
    size_t reply_n, reply_sent;
};

struct apns_h2 {
    apns_t *apns;
    int fd;
    tls_conn_t *tls;
    bool shaken;
    bool broken;  /* scripted close */
    int32_t last; /* after GOAWAY: streams above are not handled; 0 before */
    char topic[APNS_FIELD];
    nghttp2_session *session;
    stream_t *streams;
    buf_t out; /* bytes for the socket */
    size_t out_sent;
};

static void stream_free(apns_h2_t *conn, stream_t *s) {
    if (s->before) s->before->after = s->after;
    else conn->streams = s->after;
    if (s->after) s->after->before = s->before;
    buf_done(&s->body);
    mem_free(s);
}

void apns_h2_free(apns_h2_t *conn) {
    if (!conn) return;
    if (conn->session) nghttp2_session_del(conn->session);
    while (conn->streams) stream_free(conn, conn->streams);
    tls_conn_free(conn->tls);
    fd_close(conn->fd);
    buf_done(&conn->out);
    mem_free(conn);
}

int apns_h2_fd(const apns_h2_t *conn) { return conn->fd; }

bool apns_h2_wants_write(const apns_h2_t *conn) {
    return conn->out.n > conn->out_sent ||
           (conn->session && nghttp2_session_want_write(conn->session));
}

int64_t apns_h2_due(const apns_h2_t *conn) {
    int64_t due = INT64_MAX;
    for (const stream_t *s = conn->streams; s; s = s->after)
        if (s->waiting && s->due_ms < due) due = s->due_ms;
    return due;
}

/* ---- answering ---- */

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *p, size_t max,
                          uint32_t *flags, nghttp2_data_source *source, void *ctx) {
    stream_t *s = source->ptr;
    (void)session;
    (void)id;
    (void)ctx;
    size_t n = s->reply_n - s->reply_sent;
    if (n > max) n = max;
    memcpy(p, s->reply + s->reply_sent, n);
    s->reply_sent += n;
    if (s->reply_sent == s->reply_n) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* nghttp2 takes names and values as writable, and copies them. */
static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void answer(apns_h2_t *conn, stream_t *s, unsigned status, const char *reason) {
    char number[8];
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_reply};
    (void)snprintf(number, sizeof number, "%u", status);
    const nghttp2_nv headers[] = {header(":status", number),
                                  header("content-type", "application/json")};
    int n = 0;
    if (status == 410)
        n = snprintf(s->reply, sizeof s->reply, "{\"reason\":\"%s\",\"timestamp\":%lld}", reason,
                     (long long)clk_unix_ms(conn->apns->clk));
    else if (status != 200) n = snprintf(s->reply, sizeof s->reply, "{\"reason\":\"%s\"}", reason);
    s->reply_n = n > 0 ? (size_t)n : 0;
    int sent = status == 200 ? nghttp2_submit_response(conn->session, s->id, headers, 1, NULL)
                             : nghttp2_submit_response(conn->session, s->id, headers, 2, &provider);
    if (sent != 0) conn->broken = true;
}

static err_t *log_line_of(const apns_verdict_t *v, bool delivered, bytes_t body, int64_t now,
                          buf_t *line) {
    CLEANUP(jso_free) json_t *object = NULL;
    TRY(jso_object(&object));
    TRY(jso_set_time(object, "time", now));
    TRY(jso_set_int(object, "status", (int64_t)v->status));
    TRY(jso_set_str(object, "reason", v->reason));
    TRY(jso_set_str(object, "token", v->token));
    TRY(jso_set_str(object, "magic", v->magic));
    TRY(jso_set_int(object, "expiration", v->expiry));
    TRY(jso_set_bool(object, "delivered", delivered));
    if (v->app) TRY(jso_set_string(object, "payload", body));
    TRY(jso_write(object, false, line));
    return buf_add_byte(line, '\n');
}

static void log_request(const apns_t *apns, const apns_verdict_t *v, bool delivered, bytes_t body) {
    CLEANUP(buf_done) buf_t line;
    buf_init(&line, LOG_LINE_MAX);
    if (apns->log < 0) return;
    err_t *e = log_line_of(v, delivered, body, clk_unix(apns->clk), &line);
    if (!e) e = file_write_fd(apns->log, buf_bytes(&line));
    err_free(e); /* a full disk must not change what the stand-in answers */
}

/* Judges a complete request, delivers and answers. */
static void handle(apns_h2_t *conn, stream_t *s) {
    apns_t *apns = conn->apns;
    bool delivered = false;
    s->waiting = false;
    apns_verdict_t v = apns_check(&s->request, buf_bytes(&s->body), conn->topic);
    if (s->body_over) v = (apns_verdict_t){.status = 413, .reason = "PayloadTooLarge"};
    if (s->fault.status) {
        v.status = s->fault.status;
        v.reason = s->fault.reason;
    }
    if (v.status == 200 && !v.app) {
        err_t *e = apns_lines_push(apns->lines, v.token, v.magic, v.expiry, clk_unix(apns->clk),
                                   &delivered);
        if (e) {
            v.status = 500;
            v.reason = "InternalServerError";
        }
        err_free(e);
    }
    if (v.status == 200) apns->pushes++;
    else apns->refused++;
    log_request(apns, &v, delivered, buf_bytes(&s->body));
    answer(conn, s, v.status, v.reason);
}

static void complete(apns_h2_t *conn, stream_t *s) {
    apns_verdict_t v = apns_check(&s->request, buf_bytes(&s->body), conn->topic);
    if (conn->last && s->id > conn->last) return; /* GOAWAY said that it is not handled */
    s->fault = apns_script_next(&conn->apns->script, v.token);
    if (s->fault.close) {
        conn->broken = true;
        return;
    }
    if (s->fault.goaway) {
        conn->last = s->id;
        if (nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR, NULL,
                                  0) != 0)
            conn->broken = true;
    }
    if (s->fault.stall_ms) {
        s->waiting = true;
        s->due_ms = clk_mono_ms(conn->apns->clk) + s->fault.stall_ms;
        return;
    }
    handle(conn, s);
}

/* ---- nghttp2's callbacks ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx) {
    apns_h2_t *conn = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    stream_t *s = mem_zalloc(sizeof *s);
    if (!s) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    s->id = frame->hd.stream_id;
    buf_init(&s->body, LIMIT_APNS_PAYLOAD);
    s->after = conn->streams;
    if (s->after) s->after->before = s;
    conn->streams = s;
    return nghttp2_session_set_stream_user_data(session, s->id, s) == 0
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
                     void *ctx) {
    stream_t *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)ctx;
    if (s) apns_request_header(&s->request, bytes_make(name, name_n), bytes_make(value, value_n));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *ctx) {
    stream_t *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    (void)ctx;
    if (!s) return 0;
    err_t *e = buf_add(&s->body, bytes_make(p, n));
    if (e) s->body_over = true;
    err_free(e);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx) {
    bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    stream_t *s = ends ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
    if (s) complete(ctx, s);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx) {
    stream_t *s = nghttp2_session_get_stream_user_data(session, id);
    (void)code;
    if (s) stream_free(ctx, s);
    return 0;
}

static err_t *session_start(apns_h2_t *conn) {
    nghttp2_session_callbacks *callbacks = NULL;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX},
    };
    if (nghttp2_session_callbacks_new(&callbacks) != 0) return err_nomem();
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    int made = nghttp2_session_server_new(&conn->session, callbacks, conn);
    nghttp2_session_callbacks_del(callbacks);
    if (made != 0) return err_nomem();
    if (nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, 2) != 0)
        return err_new(ERR_INTERNAL, "HTTP/2 settings");
    return NULL;
}

/* ---- moving bytes ---- */

err_t *apns_h2_new(apns_t *apns, tls_server_t *tls, int fd, apns_h2_t **ret_conn) {
    CLEANUP(apns_h2_free) apns_h2_t *conn = mem_zalloc(sizeof *conn);
    if (!conn) {
        fd_close(fd);
        return err_nomem();
    }
    conn->apns = apns;
    conn->fd = fd;
    buf_init(&conn->out, OUT_MAX);
    TRY(tls_conn_new(tls, fd, &conn->tls));
    *ret_conn = STEAL(conn);
    return NULL;
}

static err_t *shake(apns_h2_t *conn) {
    CLEANUP(cert_free) cert_t *peer = NULL;
    tls_state_t state = TLS_OK;
    TRY(tls_conn_handshake(conn->tls, &state));
    if (state != TLS_OK) return NULL;
    TRY(tls_conn_peer(conn->tls, &peer));
    const char *topic = cert_subject_get(peer, OID_UID);
    if (!topic) topic = cert_subject_get(peer, "UID");
    (void)snprintf(conn->topic, sizeof conn->topic, "%s", topic ? topic : "");
    conn->shaken = true;
    return session_start(conn);
}

static err_t *receive(apns_h2_t *conn, bool *ret_open) {
    uint8_t in[READ_BYTES];
    while (!conn->broken) {
        size_t n = 0;
        tls_state_t state = TLS_OK;
        TRY(tls_conn_read(conn->tls, in, sizeof in, &n, &state));
        if (state == TLS_CLOSED) *ret_open = false;
        if (state != TLS_OK) return NULL;
        ssize_t taken = nghttp2_session_mem_recv(conn->session, in, n);
        if (taken < 0) return err_new(ERR_INVALID, "HTTP/2: %s", nghttp2_strerror((int)taken));
    }
    return NULL;
}

static err_t *gather(apns_h2_t *conn) {
    const uint8_t *p = NULL;
    if (conn->out_sent == conn->out.n) {
        buf_clear(&conn->out);
        conn->out_sent = 0;
    }
    for (;;) {
        ssize_t n = nghttp2_session_mem_send(conn->session, &p);
        if (n < 0) return err_new(ERR_INVALID, "HTTP/2: %s", nghttp2_strerror((int)n));
        if (n == 0) return NULL;
        TRY(buf_add(&conn->out, bytes_make(p, (size_t)n)));
    }
}

static err_t *transmit(apns_h2_t *conn) {
    TRY(gather(conn));
    while (conn->out_sent < conn->out.n) {
        size_t n = 0;
        tls_state_t state = TLS_OK;
        TRY(tls_conn_write(conn->tls, bytes_from(buf_bytes(&conn->out), conn->out_sent), &n,
                           &state));
        if (state != TLS_OK) return NULL;
        conn->out_sent += n;
    }
    return NULL;
}

static void answer_due(apns_h2_t *conn) {
    int64_t now = clk_mono_ms(conn->apns->clk);
    for (stream_t *s = conn->streams; s;) {
        stream_t *after = s->after;
        if (s->waiting && s->due_ms <= now) handle(conn, s);
        s = after;
    }
}

err_t *apns_h2_step(apns_h2_t *conn, bool *ret_open) {
    *ret_open = true;
    if (!conn->shaken) TRY(shake(conn));
    if (!conn->shaken) return NULL;
    TRY(receive(conn, ret_open));
    answer_due(conn);
    if (conn->broken) *ret_open = false;
    if (!*ret_open) return NULL;
    TRY(transmit(conn));
    bool alive = nghttp2_session_want_read(conn->session) ||
                 nghttp2_session_want_write(conn->session) || conn->out_sent < conn->out.n;
    *ret_open = alive;
    return NULL;
}
