/*
 * The command channel (Apple "Sending MDM commands to a device"): takes a result, gives the next
 * command. What came and what is sent are one transaction, and the reply follows its commit: an
 * answer that is lost on the way is asked for again, so a command may be delivered twice and a
 * result come twice, but neither is ever lost. In coffer-web: on a worker, or in halves on an
 * event thread, with the transaction on whichever thread leads its group.
 */
#include "audit/note.h"
#include "base/mem.h"
#include "device/command_schema.h"
#include "device/mail_app_internal.h"
#include "device/result.h"
#include "device/session_internal.h"
#include "store/lease_ends.h"

/* ---- the result ---- */

static const char *final_state(mdm_status_t status) {
    switch (status) {
    case MDM_ACKNOWLEDGED: return "acknowledged";
    case MDM_ERROR: return "error";
    case MDM_COMMAND_FORMAT_ERROR: return "format-error";
    case MDM_IDLE:
    case MDM_NOT_NOW: break;
    }
    return "";
}

static err_t *note(db_conn_t *conn, const device_session_t *x, const char *action, const char *type,
                   const char *why) {
    char actor[DEVICE_ACTOR];
    return audit_note(x->devices->o.audit, conn, device_actor(x->result.key, actor), action, actor,
                      "command", x->result.command_uuid, "type", type, "why", why, NULL);
}

/* Its last word: what it held is gone, nobody else may use a copy, and it may have a new owner. */
static err_t *let_erased_go(db_conn_t *conn, device_session_t *x) {
    char actor[DEVICE_ACTOR], count[24];
    size_t revoked = 0;
    int64_t cancelled = 0;
    TRY(revoke_device(x->devices->o.revoker, conn, x->arena, x->sender.device.identity,
                      REVOKE_ON_ERASE, device_actor(x->result.key, actor), &revoked));
    TRY(device_retire(x->devices, conn, x->arena, x->sender.row.fingerprint, actor, "erased"));
    TRY(device_let_go(x->devices, conn, x->arena, &x->sender.device, actor, &cancelled));
    TRY(db_lease_ends_add(conn, x->sender.device.id, "erased", devices_now(x->devices)));
    x->queue.found = x->queue.not_now = false; /* cancelled all */
    (void)snprintf(count, sizeof count, "%zu", revoked);
    return audit_note(x->devices->o.audit, conn, actor, "device.erased", actor, "command",
                      x->result.command_uuid, "revoked", count, "commands",
                      cancelled ? "cancelled" : NULL, NULL);
}

/* The answer as it came, but for a secret that is in escrow now, or was refused there. */
static err_t *keep_result(db_conn_t *conn, device_session_t *x) {
    const char *uuid = x->result.command_uuid;
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, LIMIT_RESULT_BYTES * 2);
    if (!x->taking.settled)
        return db_results_put(conn, uuid, x->request.body, devices_now(x->devices));
    TRY(result_taking_keep(x->devices, conn, x->result.key, &x->taking));
    TRY(result_secret_strip(&x->taking.what, x->result.dict, &body));
    return db_results_put(conn, uuid, buf_bytes(&body), devices_now(x->devices));
}

/* A supervised device has a bypass code, and tells it for 15 days only. */
static err_t *ask_for_code(db_conn_t *conn, device_session_t *x, const char *type) {
    const plist_t *told = plist_get(x->result.dict, "QueryResponses");
    bool supervised = false, queued = false;
    device_secret_t code;
    if (strcmp(type, "DeviceInformation") != 0 || !told || plist_type(told) != PLIST_DICT)
        return NULL;
    err_free(plist_get_bool(told, "IsSupervised", false, &supervised));
    if (!supervised) return NULL;
    TRY(device_secret_find(conn, x->arena, x->sender.device.id, SECRET_BYPASS_DEVICE, 0, &code));
    if (code.found) return NULL;
    TRY(device_enqueue_plain(x->devices, conn, x->sender.device.id, "ActivationLockBypassCode",
                             "system", &queued));
    /* It goes out in this very session if nothing else waits. */
    return db_commands_look(conn, x->arena, x->sender.device.id, "", &x->queue);
}

/* For people: what the device says of its error, or that it said nothing. */
static const char *failure(const mdm_result_t *r) {
    const char *text = mdm_error_text(r);
    return text[0] ? text : final_state(r->status);
}

static err_t *finish(db_conn_t *conn, device_session_t *x) {
    const mdm_result_t *r = &x->result;
    const char *type = x->queue.answered_type, *state = final_state(r->status), *chain = "";
    const command_schema_t *schema = command_schema_find(bytes_str(type));
    CLEANUP(buf_done) buf_t error;
    bool found = false;
    buf_init(&error, LIMIT_JSON_BYTES);
    err_t *e = mdm_error_chain(r, &error);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (!e) TRY(buf_cstr(&error, &chain)); /* an odd chain holds up no queue: the body is kept */
    err_free(e);
    TRY(db_commands_finish(conn, x->queue.answered_seq, state, chain, devices_now(x->devices),
                           &found));
    if (!found) return err_new(ERR_INTERNAL, "an open command is closed");
    TRY(keep_result(conn, x));
    if (r->status == MDM_ACKNOWLEDGED)
        TRY(result_update_device(conn, x->arena, &x->sender.device, type, r->dict));
    if (r->status == MDM_ACKNOWLEDGED && strcmp(type, "EraseDevice") == 0)
        TRY(let_erased_go(conn, x));
    if (strcmp(type, "InstallProfile") == 0)
        TRY(mail_delivery_done(x->devices, conn, x->arena, x->sender.device.id, r->command_uuid,
                               r->status == MDM_ACKNOWLEDGED ? NULL : failure(r)));
    if (r->status == MDM_ACKNOWLEDGED) TRY(ask_for_code(conn, x, type));
    if (schema && !schema->deed && r->status == MDM_ACKNOWLEDGED) return NULL;
    return note(conn, x, "command.done", type, state);
}

/*
 * It came before, or its command was cancelled meanwhile; or nobody here asked: Apple's devices
 * answer what another server or an older database asked, too.
 */
static err_t *take_other(db_conn_t *conn, device_session_t *x) {
    db_command_t command;
    bool found = false;
    TRY(db_commands_get(conn, x->arena, x->result.command_uuid, &command, &found));
    if (found && strcmp(command.device_id, x->sender.device.id) == 0) return NULL;
    return note(conn, x, "command.unknown", NULL, NULL);
}

static err_t *take_result(db_conn_t *conn, device_session_t *x) {
    const mdm_result_t *r = &x->result;
    const char *device = x->sender.device.id;
    int64_t released = 0;
    if (r->status == MDM_IDLE) TRY(db_commands_release(conn, device, &released));
    TRY(db_commands_look(conn, x->arena, device, r->command_uuid, &x->queue));
    if (r->status == MDM_IDLE) return NULL;
    if (!x->queue.answered) return take_other(conn, x);
    if (strcmp(x->queue.answered_type, "Settings") == 0)
        TRY(mail_app_answered(conn, device, r->command_uuid, r->status));
    if (r->status == MDM_NOT_NOW) return db_commands_mark_not_now(conn, x->queue.answered_seq);
    if (r->status == MDM_ACKNOWLEDGED && !x->taking.settled) {
        bool waits = false;
        TRY(result_taking_look(conn, x->arena, device, x->queue.answered_type, r->dict, &x->taking,
                               &waits));
        if (waits) return NULL; /* nothing is finished before the keeper has it */
    }
    return finish(conn, x);
}

/* ---- the next command ---- */

err_t *device_session_pick(db_conn_t *conn, device_session_t *x) {
    const char *device = x->sender.device.id;
    const db_command_t *next = &x->queue.next;
    if (x->queue.found) {
        TRY(db_commands_mark_sent(conn, next->seq, devices_now(x->devices)));
        if (!next->secret_kind[0]) return NULL;
        if (mail_app_is(next)) return NULL;
        if (mail_delivery_is(next))
            return mail_delivery_pick(x->devices, conn, x->arena, device, &x->mail);
        return device_secret_find(conn, x->arena, device, next->secret_kind, next->secret_version,
                                  &x->secret);
    }
    /* A device asks again by itself only if NotNow was its last word. */
    if (x->result.status == MDM_NOT_NOW || !x->queue.not_now) return NULL;
    return device_push_job(x->devices, conn, device, DEVICE_PUSH_AGAIN_MS);
}

static err_t *step(db_conn_t *conn, void *arg) {
    device_session_t *x = arg;
    TRY(mdm_auth_sender(x->devices, conn, x->arena, x->cert, &x->sender));
    x->accepted = mdm_auth_is(&x->sender, x->result.key);
    if (!x->accepted || x->result.user_channel) return NULL;
    TRY(mdm_auth_follow(x->devices, conn, &x->sender));
    if (strcmp(x->sender.device.state, "enrolled") != 0) return NULL; /* no TokenUpdate yet */
    int64_t now = devices_now(x->devices);
    if (now - x->sender.device.last_seen_ms >= DEVICE_TOUCH_MS)
        TRY(db_devices_touch(conn, x->sender.device.id, now));
    TRY(take_result(conn, x));
    return x->taking.waits ? NULL : device_session_pick(conn, x);
}

/* ---- from a message to its answer ---- */

void device_session_free(device_session_t *x) {
    if (!x) return;
    mdm_result_done(&x->result);
    device_secret_new_done(&x->taking.fresh);
    cert_free(x->cert);
    arena_free(x->arena);
    err_free(x->error);
    mem_free(x);
}

static err_t *session_new(devices_t *devices, const device_request_t *request,
                          device_session_t **ret_session) {
    CLEANUP(device_session_free) device_session_t *x = mem_zalloc(sizeof *x);
    if (!x) return err_nomem();
    x->devices = devices;
    x->request = *request;
    device_secret_new_init(&x->taking.fresh);
    TRY(mdm_auth_open(devices, request, LIMIT_RESULT_BYTES, &x->cert, &x->arena));
    TRY_WRAP(mdm_result_parse(request->body, &x->result), "message from %s", request->peer);
    *ret_session = STEAL(x);
    return NULL;
}

static void on_written(void *arg, err_t *e) {
    device_session_t *x = arg;
    x->error = e;
    x->ready(x->ready_arg);
}

err_t *devices_session_begin(devices_t *devices, const device_request_t *request,
                             void (*ready)(void *arg), void *arg, device_session_t **ret_session) {
    CLEANUP(device_session_free) device_session_t *x = NULL;
    TRY(session_new(devices, request, &x));
    x->ready = ready;
    x->ready_arg = arg;
    TRY_WRAP(db_write_later(devices->o.db, step, on_written, x), "message from %s", request->peer);
    *ret_session = STEAL(x);
    return NULL;
}

bool device_session_waits(const device_session_t *x) {
    if (x->error || !x->accepted) return false;
    return x->taking.waits || (x->queue.found && x->queue.next.secret_kind[0]);
}

/* A secret that came: into escrow, then the transaction again, which finishes the command. */
static err_t *take_secret(device_session_t *x) {
    if (!x->accepted || !x->taking.waits) return NULL;
    TRY(result_taking_ask(x->devices, x->arena, x->sender.device.id, &x->taking));
    return db_write(x->devices->o.db, step, x);
}

err_t *device_session_end(device_session_t *x, device_answer_t *ret_answer) {
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    TRY_WRAP(STEAL(x->error), "message from %s", x->request.peer);
    TRY_WRAP(take_secret(x), "message from %s", x->request.peer);
    if (x->accepted) {
        TRY_WRAP(device_session_reply(x, &answer), "command for %s", x->result.key);
    } else {
        TRY(device_answer_unrecognised(&answer));
    }
    device_answer_move(&answer, ret_answer);
    return NULL;
}

err_t *devices_session(devices_t *devices, const device_request_t *request,
                       device_answer_t *ret_answer) {
    CLEANUP(device_session_free) device_session_t *x = NULL;
    TRY(session_new(devices, request, &x));
    x->error = db_write(devices->o.db, step, x);
    return device_session_end(x, ret_answer);
}
