/*
 * Tokens from devices: see checkin_token.h. A token is archived by the keeper before the
 * transaction that stores it, for nothing waits inside a transaction; a version taken meanwhile
 * by another request is noticed by the primary key. Any worker thread of coffer-web.
 */
#include "device/checkin_token.h"

#include "audit/note.h"
#include "device/mail_app_internal.h"
#include "device/mail_delivery.h"
#include "device/secret.h"

typedef struct {
    const token_request_t *r;
    const char *kind; /* of the secret at hand, or NULL */
    mdm_sender_t sender;
    device_secret_t before; /* the newest of its kind */
    device_secret_new_t fresh;
    bool has_fresh; /* else an empty row, which means deleted */
    bool accepted;
} token_t;

static err_t *look(db_conn_t *conn, void *arg) {
    token_t *t = arg;
    const token_request_t *r = t->r;
    TRY(mdm_auth_sender(r->devices, conn, r->arena, r->cert, &t->sender));
    const char *key = r->message->key;
    if (!key[0] && t->sender.found) key = t->sender.device.enrolment_key;
    t->accepted = mdm_auth_is(&t->sender, key);
    if (!t->accepted || !t->kind) return NULL;
    return device_secret_find(conn, r->arena, t->sender.device.id, t->kind, 0, &t->before);
}

/* Looks up who sent it, and has `secret` archived if there is one. */
static err_t *prepare(token_t *t, bytes_t secret) {
    devices_t *devices = t->r->devices;
    TRY(db_read(devices->o.db, look, t));
    if (!t->accepted || !t->kind || secret.n == 0) return NULL;
    TRY(device_secret_archive(devices, t->sender.device.id, t->kind, &t->before, secret,
                              &t->fresh));
    t->has_fresh = true;
    return NULL;
}

static err_t *store(db_conn_t *conn, const token_t *t) {
    const db_device_t *device = &t->sender.device;
    char actor[DEVICE_ACTOR];
    if (t->has_fresh)
        return device_secret_keep(t->r->devices, conn, &t->fresh, device->enrolment_key,
                                  device_actor(device->enrolment_key, actor));
    const db_sealed_t row = {.device_id = device->id,
                             .kind = t->kind,
                             .version = t->before.found ? t->before.row.version + 1 : 1,
                             .created_ms = devices_now(t->r->devices)};
    err_t *e = db_sealed_put(conn, &row);
    return e && err_code(e) == ERR_EXISTS ? err_recode(e, ERR_BUSY) : e;
}

/* ---- TokenUpdate ---- */

static err_t *update(db_conn_t *conn, void *arg) {
    token_t *t = arg;
    const mdm_checkin_t *m = t->r->message;
    devices_t *devices = t->r->devices;
    int64_t open = 0;
    char actor[DEVICE_ACTOR];
    TRY(mdm_auth_sender(devices, conn, t->r->arena, t->r->cert, &t->sender));
    t->accepted = mdm_auth_is(&t->sender, m->key);
    if (!t->accepted) return NULL;
    TRY(mdm_auth_follow(devices, conn, &t->sender));
    const db_device_t *device = &t->sender.device;
    bool first = strcmp(device->state, "authenticated") == 0;
    if (t->kind) TRY(store(conn, t));
    TRY(db_devices_set_token(conn, device->id, m->token, m->push_magic, m->topic,
                             devices_now(devices)));
    if (first)
        TRY(device_enqueue_first(devices, conn, t->r->arena, device->id,
                                 m->awaiting_configuration));
    if (first) TRY(mail_app_begin(devices, conn, device->id));
    if (first) TRY(mail_delivery_begin(devices, conn, t->r->arena, device->id));
    TRY(db_commands_count_open(conn, device->id, &open));
    if (open) TRY(device_push_job(devices, conn, device->id, 0));
    if (!first && !t->kind) return NULL;
    return audit_note(devices->o.audit, conn, device_actor(m->key, actor),
                      first ? "device.enrol" : "device.token", actor, "unlock_token",
                      t->kind ? "sealed" : NULL, "awaiting_configuration",
                      m->awaiting_configuration ? "yes" : NULL, "peer", t->r->peer, NULL);
}

static err_t *run_update(token_t *t) {
    const devices_options_t *o = &t->r->devices->o;
    if (t->kind) TRY(prepare(t, t->r->message->unlock_token));
    return !t->kind || t->accepted ? db_write(o->db, update, t) : NULL;
}

err_t *token_update(const token_request_t *request, device_answer_t *answer) {
    const mdm_checkin_t *m = request->message;
    const devices_options_t *o = &request->devices->o;
    if (strcmp(m->topic, o->topic) != 0)
        return err_new(ERR_DENIED, "the device listens to topic %s, not to ours", m->topic);
    token_t t = {.r = request, .kind = m->unlock_token.n ? SECRET_UNLOCK_TOKEN : NULL};
    device_secret_new_init(&t.fresh);
    err_t *e = run_update(&t);
    device_secret_new_done(&t.fresh);
    if (e) return e;
    if (!t.accepted) return device_answer_unrecognised(answer);
    device_answer_empty(answer, 200);
    return NULL;
}

/* ---- bootstrap tokens ---- */

static err_t *set_bootstrap(db_conn_t *conn, void *arg) {
    token_t *t = arg;
    char actor[DEVICE_ACTOR];
    TRY(store(conn, t));
    return audit_note(t->r->devices->o.audit, conn,
                      device_actor(t->sender.device.enrolment_key, actor), "device.token", actor,
                      "bootstrap_token", t->has_fresh ? "sealed" : "deleted", "peer", t->r->peer,
                      NULL);
}

static err_t *run_set(token_t *t) {
    TRY(prepare(t, t->r->message->bootstrap_token));
    bool nothing = !t->has_fresh && !device_secret_is_there(&t->before);
    return t->accepted && !nothing ? db_write(t->r->devices->o.db, set_bootstrap, t) : NULL;
}

err_t *token_set_bootstrap(const token_request_t *request, device_answer_t *answer) {
    token_t t = {.r = request, .kind = SECRET_BOOTSTRAP_TOKEN};
    device_secret_new_init(&t.fresh);
    err_t *e = run_set(&t);
    device_secret_new_done(&t.fresh);
    if (e) return e;
    if (!t.accepted) return device_answer_unrecognised(answer);
    device_answer_empty(answer, 200);
    return NULL;
}

err_t *token_get_bootstrap(const token_request_t *request, device_answer_t *answer) {
    const devices_options_t *o = &request->devices->o;
    token_t t = {.r = request, .kind = SECRET_BOOTSTRAP_TOKEN};
    CLEANUP(buf_done) buf_t secret;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    buf_init_secret(&secret, LIMIT_KEEPER_SECRET);
    TRY(db_read(o->db, look, &t));
    if (!t.accepted) return device_answer_unrecognised(answer);
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    if (device_secret_is_there(&t.before)) {
        TRY(device_secret_fill(request->devices, &t.before, "GetBootstrapToken", &secret));
        TRY(plist_set_data(dict, "BootstrapToken", buf_bytes(&secret)));
    }
    return device_answer_plist(answer, dict);
}
