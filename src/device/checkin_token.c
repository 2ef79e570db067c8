/*
 * Tokens from devices: see checkin_token.h. A token is sealed by the keeper before the
 * transaction that stores it, for nothing waits inside a transaction; a version taken meanwhile
 * by another request is noticed by the primary key. Any worker thread of coffer-web.
 */
#include "device/checkin_token.h"

#include "audit/note.h"

typedef struct {
    const token_request_t *r;
    const char *kind; /* of the secret at hand, or NULL */
    mdm_sender_t sender;
    db_sealed_t sealed; /* the newest of its kind */
    bool sealed_found;
    int64_t version; /* to store */
    bytes_t fresh;   /* what the keeper made; none: an empty row, which means deleted */
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
    return db_sealed_latest(conn, r->arena, t->sender.device.id, t->kind, &t->sealed,
                            &t->sealed_found);
}

/* Looks up who sent it, and seals `secret` as the next version if there is one. */
static err_t *prepare(token_t *t, bytes_t secret, buf_t *sealed) {
    const devices_options_t *o = &t->r->devices->o;
    TRY(db_read(o->db, look, t));
    t->version = t->sealed_found ? t->sealed.version + 1 : 1;
    if (!t->accepted || !t->kind || secret.n == 0) return NULL;
    TRY(keeper_seal_secret(o->keeper, t->kind, t->sender.device.id, t->version, secret, sealed));
    t->fresh = buf_bytes(sealed);
    return NULL;
}

static err_t *store(db_conn_t *conn, const token_t *t) {
    const db_sealed_t row = {.device_id = t->sender.device.id,
                             .kind = t->kind,
                             .version = t->version,
                             .sealed = t->fresh,
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
    TRY(db_commands_count_open(conn, device->id, &open));
    if (open) TRY(device_push_job(devices, conn, device->id, 0));
    if (!first && !t->kind) return NULL;
    return audit_note(devices->o.audit, conn, device_actor(m->key, actor),
                      first ? "device.enrol" : "device.token", actor, "unlock_token",
                      t->kind ? "sealed" : NULL, "awaiting_configuration",
                      m->awaiting_configuration ? "yes" : NULL, "peer", t->r->peer, NULL);
}

err_t *token_update(const token_request_t *request, device_answer_t *answer) {
    const mdm_checkin_t *m = request->message;
    const devices_options_t *o = &request->devices->o;
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, LIMIT_KEEPER_SECRET + 1024);
    if (strcmp(m->topic, o->topic) != 0)
        return err_new(ERR_DENIED, "the device listens to topic %s, not to ours", m->topic);
    token_t t = {.r = request, .kind = m->unlock_token.n ? SECRET_UNLOCK_TOKEN : NULL};
    if (t.kind) TRY(prepare(&t, m->unlock_token, &sealed));
    if (!t.kind || t.accepted) TRY(db_write(o->db, update, &t));
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
                      "bootstrap_token", t->fresh.n ? "sealed" : "deleted", "peer", t->r->peer,
                      NULL);
}

err_t *token_set_bootstrap(const token_request_t *request, device_answer_t *answer) {
    token_t t = {.r = request, .kind = SECRET_BOOTSTRAP_TOKEN};
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, LIMIT_KEEPER_SECRET + 1024);
    TRY(prepare(&t, request->message->bootstrap_token, &sealed));
    if (!t.accepted) return device_answer_unrecognised(answer);
    bool nothing = t.fresh.n == 0 && (!t.sealed_found || t.sealed.sealed.n == 0);
    if (!nothing) TRY(db_write(request->devices->o.db, set_bootstrap, &t));
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
    if (t.sealed_found && t.sealed.sealed.n) {
        TRY(keeper_fill_secret(o->keeper, t.kind, t.sender.device.id, t.sealed.version,
                               "GetBootstrapToken", t.sealed.sealed, &secret));
        TRY(plist_set_data(dict, "BootstrapToken", buf_bytes(&secret)));
    }
    return device_answer_plist(answer, dict);
}
