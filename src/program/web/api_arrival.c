/*
 * /push/v1/hook and /push/v1/stream: see api_arrival.h. Worker threads; a stream then holds none.
 */
#include "program/web/api_arrival.h"

#include "arrival/record.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "http/auth.h"
#include "program/web/streams.h"

enum { SECRET_MAX = 128, HEARD_EVERY_MS = 60 * 1000, SOURCE_MAX = 160 };

/* ---- from mail servers ---- */

typedef struct {
    web_t *web;
    arena_t *arena;
    bytes_t hash;
    db_mail_hook_t hook;
    bool found;
    const char *source;
    arrival_hook_t says;
    int64_t now_ms;
    arrival_end_t end;
} hook_job_t;

/* Dovecot sends Basic, from the name and password of its URL; others may send Bearer. */
static err_t *get_secret(http_request_t *request, buf_t *secret) {
    CLEANUP(buf_done) buf_t name;
    bytes_t authorization, token;
    bool found = false;
    buf_init(&name, SECRET_MAX);
    TRY(http_request_header_once(request, "Authorization", &authorization, &found));
    if (!found) return NULL;
    TRY(http_auth_basic(authorization, &name, secret, &found));
    if (found) return NULL;
    TRY(http_auth_bearer(authorization, &token, &found));
    return found ? buf_add(secret, token) : NULL;
}

/* Who it is; what it says is not looked at before. */
static err_t *find_hook(db_conn_t *conn, void *arg) {
    hook_job_t *job = arg;
    return db_mail_hooks_find(conn, job->arena, job->hash, &job->hook, &job->found);
}

static err_t *authenticate(http_request_t *request, hook_job_t *job) {
    CLEANUP(buf_done) buf_t secret;
    uint8_t hash[DIGEST_SHA256_SIZE];
    buf_init_secret(&secret, SECRET_MAX);
    err_t *e = get_secret(request, &secret);
    if (e && err_code(e) != ERR_LIMIT) return e;
    err_free(e);
    TRY(digest_sha256(buf_bytes(&secret), hash));
    job->hash = BYTES_ARRAY(hash);
    err_t *failed = db_read(job->web->db, find_hook, job);
    job->hash = BYTES_NONE;
    if (failed) return failed;
    if (!job->found) return err_new(ERR_AUTH, "a mail server shows the secret of its hook");
    return NULL;
}

/* Most of what a mail server says is of mailboxes that nobody watches: no transaction for those. */
static err_t *look(db_conn_t *conn, void *arg) {
    hook_job_t *job = arg;
    db_mailbox_t box;
    bool found = false, old = false;
    TRY(db_mailboxes_by_login(conn, job->arena, job->source, job->says.login, &box, &found));
    job->end = ARRIVAL_UNKNOWN;
    if (!found) return NULL;
    TRY(arrival_is_old(conn, job->arena, box.account, &job->says.arrival, &old));
    job->end = old ? ARRIVAL_OLD : ARRIVAL_TOLD;
    return NULL;
}

static err_t *record(db_conn_t *conn, void *arg) {
    hook_job_t *job = arg;
    db_mailbox_t box;
    bool found = false;
    TRY(db_mailboxes_by_login(conn, job->arena, job->source, job->says.login, &box, &found));
    job->end = ARRIVAL_UNKNOWN;
    if (!found) return NULL;
    TRY(arrival_record(conn, job->arena, &box, &job->says.arrival, job->now_ms, &job->end));
    if (job->now_ms - job->hook.heard_ms > HEARD_EVERY_MS)
        TRY(db_mail_hooks_heard(conn, job->hook.name, job->now_ms));
    if (job->now_ms - box.heard_ms > HEARD_EVERY_MS)
        TRY(db_mailboxes_heard(conn, box.account, "watched", "", job->now_ms));
    if (job->end == ARRIVAL_TOLD) return db_after_commit(conn, streams_wake, job->web->streams);
    return NULL;
}

err_t *push_hook(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    char source[SOURCE_MAX];
    bool new_mail = false;
    hook_job_t job = {.web = web, .arena = request->arena, .now_ms = clk_unix_ms(clk_real())};
    TRY(authenticate(request, &job));
    TRY(arrival_hook_parse(request->arena, request->body, &job.says, &new_mail));
    if (!new_mail) return http_reply_empty(reply, 204);
    (void)snprintf(source, sizeof source, "hook:%s", job.hook.name);
    job.source = source;
    TRY(db_read(web->db, look, &job));
    if (job.end == ARRIVAL_TOLD) TRY(db_write(web->db, record, &job));
    return http_reply_empty(reply, 204);
}

/* ---- to devices ---- */

/* -1: there is none, or what it says is no number of ours. */
static err_t *get_last_event(const http_request_t *request, int64_t *ret_last) {
    bytes_t text;
    uint64_t last = 0;
    bool found = false;
    *ret_last = -1;
    TRY(http_request_header_once(request, "Last-Event-ID", &text, &found));
    if (!found || text.n == 0) return NULL;
    TRY(text_u64(text, INT64_MAX, &last));
    *ret_last = (int64_t)last;
    return NULL;
}

err_t *push_stream(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    device_caller_t caller;
    stream_peer_t peer = {0};
    CLEANUP(http_stream_free) http_stream_t *stream = NULL;
    TRY(push_find_device(web, request, &caller));
    TRY(api_flag(request, "release", &peer.release));
    TRY(get_last_event(request, &peer.last_event));
    peer.device_id = caller.device_id;
    peer.actor = caller.actor;
    peer.by_identity = caller.by_identity;
    memcpy(peer.shown, caller.shown, sizeof peer.shown);
    TRY(http_stream_new(LIMIT_STREAM_BYTES, &stream));
    TRY(http_reply_stream(reply, 200, "text/event-stream", stream));
    return streams_add(web->streams, &peer, stream);
}
