/*
 * The check-in channel (Apple's schema mdm/checkin): Authenticate, TokenUpdate, CheckOut and the
 * rest. Any worker thread of coffer-web; everything a message changes is one transaction.
 */
#include "audit/note.h"
#include "device/checkin_token.h"
#include "store/app_pushes.h"
#include "store/device_tokens.h"
#include "store/jobs.h"
#include "store/lease_ends.h"

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const mdm_checkin_t *message;
    const device_request_t *request;
    const cert_t *cert;
    bool accepted; /* false: answer as to an unknown device */
    bool known;    /* it was here before */
} checkin_t;

/* ---- Authenticate ---- */

/*
 * An enrolment speaks for the device that it saw in phase 2 and for no other, and only once phase 3
 * delivered the management profile: the identity of phase 2 serves for phase 3 alone. A certificate
 * that came without an enrolment can bring in a new device but not take an existing one over.
 */
static err_t *may_authenticate(db_conn_t *conn, const checkin_t *x, const mdm_sender_t *sender,
                               const db_enrolment_t *enrolment, bool *ret_may) {
    const mdm_checkin_t *m = x->message;
    db_device_t existing;
    bool found = false;
    *ret_may = false;
    if (sender->found && strcmp(sender->device.enrolment_key, m->key) != 0) return NULL;
    if (!sender->found && enrolment && strcmp(enrolment->state, "delivered") != 0) return NULL;
    bool bound = enrolment && enrolment->udid[0];
    /* The key decides whose row it becomes: a UDID beside an EnrollmentID must not vouch for it. */
    if (bound && strcmp(enrolment->udid, m->key) != 0) return NULL;
    if (bound && m->udid[0] && strcmp(enrolment->udid, m->udid) != 0) return NULL;
    TRY(db_devices_by_key(conn, x->arena, m->key, &existing, &found));
    /*
     * What a device says of itself in phase 2 is not proven: a person's device becomes another's
     * only after it left, was erased, or an administrator released it.
     */
    if (found && bound && existing.person_id[0] && strcmp(existing.state, "removed") != 0 &&
        strcmp(existing.person_id, enrolment->person_id) != 0)
        return NULL;
    *ret_may = !found || bound || (sender->found && strcmp(sender->device.id, existing.id) == 0);
    return NULL;
}

/*
 * Who a device is was said in phase 2, under the factory's signature; without an enrolment its own
 * word must do.
 */
typedef struct {
    const char *person, *serial, *product;
} owner_t;

static owner_t owner_of(const mdm_checkin_t *m, const db_enrolment_t *enrolment) {
    owner_t owner = {"", m->serial_number, m->product};
    if (!enrolment) return owner;
    owner.person = enrolment->person_id;
    if (enrolment->serial_number[0]) owner.serial = enrolment->serial_number;
    if (enrolment->product[0]) owner.product = enrolment->product;
    return owner;
}

static err_t *pin(db_conn_t *conn, checkin_t *x, const owner_t *owner, const char **ret_id) {
    const mdm_checkin_t *m = x->message;
    char uuid[TEXT_UUID_SIZE];
    int64_t now = devices_now(x->devices);
    TRY(rnd_uuid(x->devices->o.rnd, uuid));
    const db_device_t row = {.id = uuid,
                             .enrolment_key = m->key,
                             .udid = m->udid,
                             .serial_number = owner->serial,
                             .product = owner->product,
                             .os_version = m->os_version,
                             .build = m->build,
                             .name = m->name,
                             .person_id = owner->person,
                             .state = "authenticated",
                             .identity = bytes_make(cert_sha256(x->cert), DEVICE_HASH),
                             .topic = m->topic,
                             .info = "{}",
                             .last_seen_ms = now,
                             .created_ms = now};
    return db_devices_authenticate(conn, x->arena, &row, ret_id);
}

/* What the device deposited under its former identity is not for whoever comes with another. */
static err_t *forget_secrets(db_conn_t *conn, const checkin_t *x, const char *id) {
    static const char *const kinds[] = {SECRET_UNLOCK_TOKEN, SECRET_BOOTSTRAP_TOKEN};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        db_sealed_t row;
        bool found = false;
        TRY(db_sealed_latest(conn, x->arena, id, kinds[i], &row, &found));
        if (!found || row.sealed.n == 0) continue;
        row.version++;
        row.sealed = BYTES_NONE;
        row.created_ms = devices_now(x->devices);
        TRY(db_sealed_put(conn, &row));
    }
    if (!x->known) return NULL;
    TRY(db_device_tokens_remove(conn, id));
    TRY(db_app_pushes_remove(conn, id, INT64_MAX));
    return db_lease_ends_anew(conn, id, devices_now(x->devices));
}

/*
 * One identity at a time: the device's former one, and what phase 2 gave it for the enrolment
 * alone, are none any more once this one is pinned.
 */
static err_t *retire_former(db_conn_t *conn, checkin_t *x) {
    bytes_t keep = bytes_make(cert_sha256(x->cert), DEVICE_HASH);
    char actor[DEVICE_ACTOR];
    db_device_t existing;
    db_cert_brief_t *siblings = NULL;
    size_t count = 0;
    bool found = false;
    (void)device_actor(x->message->key, actor);
    TRY(db_devices_by_key(conn, x->arena, x->message->key, &existing, &found));
    x->known = found;
    if (found && !bytes_eq(existing.identity, keep))
        TRY(device_retire(x->devices, conn, x->arena, existing.identity, actor,
                          "another identity is pinned"));
    TRY(db_cert_briefs_of_identity(conn, x->arena, keep, &siblings, &count));
    for (size_t i = 0; i < count; i++)
        if (!bytes_eq(siblings[i].fingerprint, keep))
            TRY(device_retire(x->devices, conn, x->arena, siblings[i].fingerprint, actor,
                              "another identity is pinned"));
    return NULL;
}

/* For the audit: what a device says now, if it is not what its factory certificate vouched for. */
static const char *unlike(const char *said, const char *known) {
    return said[0] && strcmp(said, known) != 0 ? said : NULL;
}

static err_t *authenticate(db_conn_t *conn, void *arg) {
    checkin_t *x = arg;
    mdm_sender_t sender;
    db_enrolment_t enrolment;
    bool enrolled = false, may = false;
    const char *id = NULL;
    int64_t cancelled = 0;
    char actor[DEVICE_ACTOR];
    TRY(mdm_auth_sender(x->devices, conn, x->arena, x->cert, &sender));
    if (!sender.ours) return NULL;
    if (sender.row.enrolment_id[0])
        TRY(db_enrolments_by_id(conn, x->arena, sender.row.enrolment_id, &enrolment, &enrolled));
    TRY(may_authenticate(conn, x, &sender, enrolled ? &enrolment : NULL, &may));
    if (!may) {
        return audit_note(x->devices->o.audit, conn, device_actor(x->message->key, actor),
                          "device.foreign", actor, "identity", sender.row.serial, "peer",
                          x->request->peer, NULL);
    }
    TRY(retire_former(conn, x));
    owner_t owner = owner_of(x->message, enrolled ? &enrolment : NULL);
    TRY(pin(conn, x, &owner, &id));
    if (!sender.found) TRY(forget_secrets(conn, x, id));
    TRY(db_commands_cancel_all(conn, id, devices_now(x->devices), &cancelled));
    x->accepted = true;
    return audit_note(
        x->devices->o.audit, conn, device_actor(x->message->key, actor), "device.authenticate",
        actor, "id", id, "identity", sender.row.serial, "serial", owner.serial, "said_serial",
        unlike(x->message->serial_number, owner.serial), "said_product",
        unlike(x->message->product, owner.product), "person", enrolled ? enrolment.person_id : NULL,
        "commands", cancelled ? "cancelled" : NULL, "peer", x->request->peer, NULL);
}

/* ---- CheckOut ---- */

static err_t *check_out(db_conn_t *conn, void *arg) {
    checkin_t *x = arg;
    mdm_sender_t sender;
    int64_t cancelled = 0;
    char actor[DEVICE_ACTOR];
    TRY(mdm_auth_sender(x->devices, conn, x->arena, x->cert, &sender));
    if (!mdm_auth_is(&sender, x->message->key)) return NULL;
    x->accepted = true;
    TRY(mdm_auth_follow(x->devices, conn, &sender));
    size_t revoked = 0;
    (void)device_actor(x->message->key, actor);
    TRY(revoke_device(x->devices->o.revoker, conn, x->arena, sender.device.identity,
                      REVOKE_ON_CHECKOUT, actor, &revoked));
    TRY(device_retire(x->devices, conn, x->arena, sender.row.fingerprint, actor,
                      "left management"));
    TRY(device_let_go(x->devices, conn, x->arena, &sender.device, actor, &cancelled));
    return audit_note(x->devices->o.audit, conn, device_actor(x->message->key, actor),
                      "device.checkout", actor, "commands", cancelled ? "cancelled" : NULL, "peer",
                      x->request->peer, NULL);
}

/* Messages that change nothing: only who sent them is looked at. */
static err_t *identify(db_conn_t *conn, void *arg) {
    checkin_t *x = arg;
    mdm_sender_t sender;
    TRY(mdm_auth_sender(x->devices, conn, x->arena, x->cert, &sender));
    x->accepted = mdm_auth_is(&sender, x->message->key);
    return NULL;
}

/* ---- all of them ---- */

static err_t *answer_simple(checkin_t *x, err_t *e, int status, device_answer_t *answer) {
    if (e) return e;
    if (!x->accepted) return device_answer_unrecognised(answer);
    device_answer_empty(answer, status);
    return NULL;
}

static err_t *handle(checkin_t *x, device_answer_t *answer) {
    devices_t *devices = x->devices;
    db_t *db = devices->o.db;
    const mdm_checkin_t *m = x->message;
    const token_request_t token = {devices, x->arena, m, x->cert, x->request->peer};
    /*
     * The channel of a person on a shared device is accepted and not used: nothing of it may
     * overwrite what the device itself sent. UserAuthenticate: 410 says that we don't manage it.
     */
    if (m->type == MDM_USER_AUTHENTICATE)
        return answer_simple(x, db_read(db, identify, x), 410, answer);
    if (m->user_channel && m->type != MDM_GET_TOKEN && m->type != MDM_DECLARATIVE_MANAGEMENT)
        return answer_simple(x, db_read(db, identify, x), 200, answer);
    switch (m->type) {
    case MDM_AUTHENTICATE: return answer_simple(x, db_write(db, authenticate, x), 200, answer);
    case MDM_CHECK_OUT: return answer_simple(x, db_write(db, check_out, x), 200, answer);
    case MDM_TOKEN_UPDATE: return token_update(&token, answer);
    case MDM_SET_BOOTSTRAP_TOKEN: return token_set_bootstrap(&token, answer);
    case MDM_GET_BOOTSTRAP_TOKEN: return token_get_bootstrap(&token, answer);
    case MDM_USER_AUTHENTICATE:
    /* Neither is announced in ServerCapabilities; a server that has no such resource says 404. */
    case MDM_GET_TOKEN:
    case MDM_DECLARATIVE_MANAGEMENT: return answer_simple(x, db_read(db, identify, x), 404, answer);
    }
    return NULL;
}

err_t *devices_checkin(devices_t *devices, const device_request_t *request,
                       device_answer_t *ret_answer) {
    CLEANUP(device_answer_done) device_answer_t answer;
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(mdm_checkin_done) mdm_checkin_t message = {0};
    device_answer_init(&answer);
    TRY(mdm_auth_open(devices, request, LIMIT_HTTP_BODY_MDM, &cert, &arena));
    TRY_WRAP(mdm_checkin_parse(request->body, &message), "check-in from %s", request->peer);
    checkin_t x = {
        .devices = devices, .arena = arena, .message = &message, .request = request, .cert = cert};
    TRY_WRAP(handle(&x, &answer), "%s from %s", mdm_checkin_name(message.type), request->peer);
    device_answer_move(&answer, ret_answer);
    return NULL;
}
