/*
 * Who is asking, and tokens of devices: see caller.h. Any worker thread of coffer-web.
 */
#include "device/caller.h"

#include "audit/note.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "device/mdm_auth.h"
#include "store/app_pushes.h"
#include "store/device_tokens.h"
#include "store/lease_ends.h"

enum { TOKEN_RANDOM = 32, TOKEN_TEXT_MAX = 64 };

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const cert_t *cert; /* or by hash */
    uint8_t hash[DIGEST_SHA256_SIZE];
    db_device_t device;
    bool found;
} caller_job_t;

static err_t *find_by_cert(db_conn_t *conn, void *arg) {
    caller_job_t *job = arg;
    mdm_sender_t sender;
    TRY(mdm_auth_sender(job->devices, conn, job->arena, job->cert, &sender));
    job->found = sender.ours && sender.found;
    job->device = sender.device;
    return NULL;
}

static err_t *find_by_token(db_conn_t *conn, void *arg) {
    caller_job_t *job = arg;
    return db_device_tokens_find(conn, job->arena, BYTES_ARRAY(job->hash), &job->device,
                                 &job->found);
}

static err_t *find_caller(caller_job_t *job, bytes_t client_cert, bytes_t token) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    db_t *db = job->devices->o.db;
    if (client_cert.n) {
        err_t *e = cert_cache_parse(pki_certs(job->devices->o.pki), client_cert, &cert);
        if (e && err_code(e) == ERR_NOMEM) return e;
        err_free(e); /* not a certificate: nobody's */
        job->cert = cert;
        if (cert) memcpy(job->hash, cert_sha256(cert), sizeof job->hash);
        return cert ? db_read(db, find_by_cert, job) : NULL;
    }
    if (token.n == 0 || token.n > TOKEN_TEXT_MAX) return NULL;
    TRY(digest_sha256(token, job->hash));
    return db_read(db, find_by_token, job);
}

err_t *devices_caller(devices_t *devices, arena_t *arena, bytes_t client_cert, bytes_t token,
                      device_caller_t *ret_caller) {
    caller_job_t job = {.devices = devices, .arena = arena};
    char actor[DEVICE_ACTOR];
    device_caller_t caller = {.by_identity = client_cert.n > 0};
    TRY(find_caller(&job, client_cert, token));
    if (!job.found || strcmp(job.device.state, "enrolled") != 0)
        return err_new(ERR_AUTH, "a device shows its identity certificate or its token");
    (void)device_actor(job.device.enrolment_key, actor);
    TRY(device_str(arena, bytes_str(actor), &caller.actor));
    TRY(device_str(arena, bytes_str(job.device.id), &caller.device_id));
    memcpy(caller.shown, job.hash, sizeof caller.shown);
    *ret_caller = caller;
    return NULL;
}

err_t *device_end_reach(db_conn_t *conn, const char *device_id, const char *reason,
                        int64_t now_ms) {
    TRY(db_lease_ends_add(conn, device_id, reason, now_ms));
    TRY(db_device_tokens_remove(conn, device_id));
    return db_app_pushes_remove(conn, device_id, INT64_MAX);
}

err_t *device_end_reach_of(db_conn_t *conn, arena_t *arena, const char *person_id,
                           const char *reason, int64_t now_ms) {
    const char **ids = NULL;
    size_t count = 0;
    TRY(db_devices_of_person(conn, arena, person_id, &ids, &count));
    for (size_t i = 0; i < count; i++) TRY(device_end_reach(conn, ids[i], reason, now_ms));
    return NULL;
}

/* ---- tokens ---- */

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const char *device, *actor;
    const char *command; /* that offers it; NULL: it takes the place of the one before */
    bytes_t hash;
    bool open; /* the command is; nothing else may bring a token */
} token_job_t;

/* An admin may have called the command back since it was picked. */
static err_t *offer(db_conn_t *conn, token_job_t *job, const char *device_id) {
    db_command_t command;
    bool found = false;
    TRY(db_commands_get(conn, job->arena, job->command, &command, &found));
    job->open = found && strcmp(command.state, "sent") == 0;
    if (!job->open) return NULL;
    return db_device_tokens_offer(conn, device_id, job->command, job->hash,
                                  devices_now(job->devices));
}

static err_t *write_token(db_conn_t *conn, void *arg) {
    token_job_t *job = arg;
    db_device_t device;
    char object[DEVICE_ACTOR];
    TRY(device_find(conn, job->arena, job->device, &device));
    TRY(device_require_enrolled(&device));
    TRY(job->command ? offer(conn, job, device.id)
                     : db_device_tokens_set(conn, device.id, job->hash, devices_now(job->devices)));
    if (!job->open) return NULL;
    return audit_note(job->devices->o.audit, conn, job->actor, "device.token",
                      device_actor(device.enrolment_key, object), NULL);
}

static err_t *make_text(const rnd_t *rnd, buf_t *out) {
    uint8_t random[TOKEN_RANDOM];
    TRY(rnd_fill(rnd, random, sizeof random));
    err_t *e = buf_add_str(out, "cfd_");
    if (!e) e = text_base64url(BYTES_ARRAY(random), out);
    mem_wipe(random, sizeof random);
    return e;
}

static err_t *make_token(devices_t *devices, token_job_t *job, buf_t *ret_token) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t text;
    uint8_t hash[DIGEST_SHA256_SIZE];
    buf_init_secret(&text, TOKEN_TEXT_MAX);
    TRY(arena_new(DEVICE_ARENA, &arena));
    TRY(make_text(devices->o.rnd, &text));
    TRY(digest_sha256(buf_bytes(&text), hash));
    job->devices = devices;
    job->arena = arena;
    job->hash = BYTES_ARRAY(hash);
    job->open = true;
    TRY(db_write(devices->o.db, write_token, job));
    return job->open ? buf_add(ret_token, buf_bytes(&text)) : NULL;
}

err_t *devices_token_make(devices_t *devices, const char *device, const char *actor,
                          buf_t *ret_token) {
    token_job_t job = {.device = device, .actor = actor};
    return make_token(devices, &job, ret_token);
}

err_t *devices_token_offer(devices_t *devices, const char *device_id, const char *command,
                           const char *actor, bool *ret_open, buf_t *ret_token) {
    token_job_t job = {.device = device_id, .actor = actor, .command = command};
    TRY(make_token(devices, &job, ret_token));
    *ret_open = job.open;
    return NULL;
}
