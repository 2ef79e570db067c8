/*
 * The command channel (Apple "Sending MDM commands to a device"): takes a result, gives the next
 * command. What came and what is sent are one transaction, and the reply follows its commit: an
 * answer that is lost on the way is asked for again, so a command may be delivered twice and a
 * result come twice, but neither is ever lost. Any worker thread of coffer-web.
 */
#include "audit/note.h"
#include "base/mem.h"
#include "device/command_schema.h"
#include "device/mdm_auth.h"
#include "device/mdm_message.h"
#include "device/result.h"
#include "format/json.h"

enum {
    REFUSALS_MAX = 16, /* commands skipped in one request because the keeper refuses a secret */
    TEMPLATE_ROOM = 1024,
};

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const mdm_result_t *result;
    const device_request_t *request;
    const cert_t *cert;
    mdm_sender_t sender;
    bool accepted;
    db_command_t next; /* to send now */
    bool next_found;
    db_sealed_t sealed; /* its secret */
    bool sealed_found;
    const char *refusal; /* why the keeper won't fill in next's secret */
} session_t;

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

static err_t *note(db_conn_t *conn, const session_t *x, const char *action, const char *type,
                   const char *why) {
    char actor[DEVICE_ACTOR];
    return audit_note(x->devices->o.audit, conn, device_actor(x->result->key, actor), action, actor,
                      "command", x->result->command_uuid, "type", type, "why", why, NULL);
}

/* Its last word: what it held is gone, nobody else may use a copy, and it may have a new owner. */
static err_t *let_erased_go(db_conn_t *conn, session_t *x) {
    char actor[DEVICE_ACTOR];
    size_t revoked = 0;
    int64_t cancelled = 0;
    TRY(revoke_device(x->devices->o.revoker, conn, x->arena, x->sender.device.identity,
                      REVOKE_ON_ERASE, device_actor(x->result->key, actor), &revoked));
    TRY(device_retire(x->devices, conn, x->arena, x->sender.row.fingerprint, actor, "erased"));
    return device_let_go(x->devices, conn, x->arena, &x->sender.device, actor, &cancelled);
}

static err_t *finish(db_conn_t *conn, session_t *x, const db_command_t *command) {
    const mdm_result_t *r = x->result;
    const char *device = x->sender.device.id, *state = final_state(r->status), *chain = "";
    const command_schema_t *schema = command_schema_find(bytes_str(command->request_type));
    CLEANUP(buf_done) buf_t error;
    bool found = false;
    buf_init(&error, LIMIT_JSON_BYTES);
    err_t *e = mdm_error_chain(r, &error);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (!e) TRY(buf_cstr(&error, &chain)); /* an odd chain holds up no queue: the body is kept */
    err_free(e);
    TRY(db_commands_finish(conn, device, r->command_uuid, state, chain, devices_now(x->devices),
                           &found));
    if (!found) return NULL; /* it came before, or the command was cancelled meanwhile */
    TRY(db_results_put(conn, r->command_uuid, x->request->body, devices_now(x->devices)));
    if (r->status == MDM_ACKNOWLEDGED)
        TRY(result_update_device(conn, x->arena, &x->sender.device, command->request_type,
                                 r->dict));
    if (r->status == MDM_ACKNOWLEDGED && strcmp(command->request_type, "EraseDevice") == 0)
        TRY(let_erased_go(conn, x));
    if (schema && !schema->deed && r->status == MDM_ACKNOWLEDGED) return NULL;
    return note(conn, x, "command.done", command->request_type, state);
}

static err_t *take_result(db_conn_t *conn, session_t *x) {
    const mdm_result_t *r = x->result;
    const char *device = x->sender.device.id;
    db_command_t command;
    bool found = false;
    int64_t released = 0;
    if (r->status == MDM_IDLE) return db_commands_release(conn, device, &released);
    if (r->status == MDM_NOT_NOW) {
        TRY(db_commands_mark_not_now(conn, device, r->command_uuid, &found));
        if (found) return NULL;
    }
    TRY(db_commands_get(conn, x->arena, r->command_uuid, &command, &found));
    /* Apple's devices answer what another server or an older database asked, too. */
    if (!found || strcmp(command.device_id, device) != 0)
        return note(conn, x, "command.unknown", NULL, NULL);
    return r->status == MDM_NOT_NOW ? NULL : finish(conn, x, &command);
}

/* ---- the next command ---- */

static err_t *pick_next(db_conn_t *conn, session_t *x) {
    const char *device = x->sender.device.id;
    int64_t waiting = 0;
    TRY(db_commands_next(conn, x->arena, device, &x->next, &x->next_found));
    if (x->next_found) {
        TRY(db_commands_mark_sent(conn, x->next.uuid, devices_now(x->devices)));
        if (!x->next.secret_kind[0]) return NULL;
        return db_sealed_get(conn, x->arena, device, x->next.secret_kind, x->next.secret_version,
                             &x->sealed, &x->sealed_found);
    }
    /* A device asks again by itself only if NotNow was its last word. */
    if (x->result->status == MDM_NOT_NOW) return NULL;
    TRY(db_commands_count_not_now(conn, device, &waiting));
    return waiting ? device_push_job(x->devices, conn, device, DEVICE_PUSH_AGAIN_MS) : NULL;
}

static err_t *step(db_conn_t *conn, void *arg) {
    session_t *x = arg;
    TRY(mdm_auth_sender(x->devices, conn, x->arena, x->cert, &x->sender));
    x->accepted = mdm_auth_is(&x->sender, x->result->key);
    if (!x->accepted || x->result->user_channel) return NULL;
    TRY(mdm_auth_follow(x->devices, conn, &x->sender));
    if (strcmp(x->sender.device.state, "enrolled") != 0) return NULL; /* no TokenUpdate yet */
    int64_t now = devices_now(x->devices);
    if (now - x->sender.device.last_seen_ms >= DEVICE_TOUCH_MS)
        TRY(db_devices_touch(conn, x->sender.device.id, now));
    TRY(take_result(conn, x));
    return pick_next(conn, x);
}

/* Like a device's ErrorChain, for that is what the column holds. */
static err_t *refusal_chain(const char *why, buf_t *out) {
    CLEANUP(jso_free) json_t *array = NULL;
    json_t *object = NULL;
    TRY(jso_array(&array));
    TRY(jso_add_object(array, &object));
    TRY(jso_set_int(object, "code", 0));
    TRY(jso_set_str(object, "domain", "coffer"));
    TRY(jso_set_str(object, "description", why));
    return jso_write(array, false, out);
}

/* The keeper says no to a command's secret: the command fails, and the queue goes on. */
static err_t *refuse_and_step(db_conn_t *conn, void *arg) {
    session_t *x = arg;
    CLEANUP(buf_done) buf_t error;
    const char *chain = NULL;
    bool found = false;
    char actor[DEVICE_ACTOR];
    buf_init(&error, LIMIT_JSON_BYTES);
    TRY(refusal_chain(x->refusal, &error));
    TRY(buf_cstr(&error, &chain));
    TRY(db_commands_finish(conn, x->sender.device.id, x->next.uuid, "error", chain,
                           devices_now(x->devices), &found));
    TRY(audit_note(x->devices->o.audit, conn, "system", "command.refused",
                   device_actor(x->result->key, actor), "command", x->next.uuid, "type",
                   x->next.request_type, "why", x->refusal, NULL));
    x->next_found = x->sealed_found = false;
    return pick_next(conn, x);
}

/* ---- the reply ---- */

static err_t *build_command(const session_t *x, const char *secret_key, buf_t *xml) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(plist_free) plist_doc_t *stored = NULL;
    plist_t *root = NULL, *command = NULL, *payload = NULL;
    TRY_WRAP(plist_parse_dict(x->next.payload, &stored, &payload), "stored command");
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &root));
    TRY(plist_set_copy(root, "Command", payload));
    TRY(plist_get_dict(root, "Command", true, &command));
    /* A mark that nobody could guess when the command was made: see fill_in. */
    if (secret_key) TRY(plist_set_string(command, secret_key, x->next.uuid));
    TRY(plist_set_string(root, "CommandUUID", x->next.uuid));
    return plist_write(root, xml);
}

/*
 * Puts the secret where the mark stands (the first place that has the command's UUID; the second
 * is CommandUUID itself). As text, so that it lies in wiped memory only.
 */
static err_t *fill_in(const session_t *x, const command_schema_t *schema, bytes_t secret,
                      bytes_t xml, buf_t *out) {
    CLEANUP(mem_free) char *mark = mem_printf("<string>%s</string>", x->next.uuid);
    if (!mark) return err_nomem();
    const uint8_t *at = memmem(xml.p, xml.n, mark, strlen(mark));
    if (!at) return err_new(ERR_INTERNAL, "command without a place for its secret");
    size_t before = (size_t)(at - xml.p);
    TRY(buf_reserve(out, xml.n + secret.n * 2 + TEMPLATE_ROOM));
    TRY(buf_add(out, bytes_make(xml.p, before)));
    TRY(buf_add_str(out, schema->secret_is_data ? "<data>" : "<string>"));
    TRY(schema->secret_is_data ? text_base64(secret, out) : buf_add_xml(out, secret));
    TRY(buf_add_str(out, schema->secret_is_data ? "</data>" : "</string>"));
    return buf_add(out, bytes_from(xml, before + strlen(mark)));
}

static err_t *send_with_secret(session_t *x, device_answer_t *answer) {
    const command_schema_t *schema = command_schema_find(bytes_str(x->next.request_type));
    CLEANUP(buf_done) buf_t secret, xml;
    buf_init_secret(&secret, LIMIT_KEEPER_SECRET);
    buf_init(&xml, LIMIT_HTTP_RESPONSE);
    if (!schema || !schema->secret_key || !x->sealed_found)
        return err_new(ERR_DENIED, "the secret of this command is gone");
    TRY(keeper_fill_secret(x->devices->o.keeper, x->next.secret_kind, x->sender.device.id,
                           x->next.secret_version, x->next.uuid, x->sealed.sealed, &secret));
    TRY(build_command(x, schema->secret_key, &xml));
    buf_done(&answer->body);
    buf_init_secret(&answer->body, LIMIT_HTTP_RESPONSE);
    return fill_in(x, schema, buf_bytes(&secret), buf_bytes(&xml), &answer->body);
}

/* Whether the keeper refused for good, or is only away (then the device asks again). */
static bool is_refusal(const err_t *e) {
    switch (err_code(e)) {
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_NOT_FOUND:
    case ERR_DENIED:
    case ERR_VERIFY:
    case ERR_BUSY: return true;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_USAGE:
    case ERR_EXISTS:
    case ERR_AUTH:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: return false;
    }
    return false;
}

static err_t *reply(session_t *x, device_answer_t *answer) {
    for (int refusals = 0; x->next_found && refusals < REFUSALS_MAX; refusals++) {
        char why[256];
        device_answer_empty(answer, 200);
        answer->content_type = TYPE_PLIST;
        if (!x->next.secret_kind[0]) return build_command(x, NULL, &answer->body);
        err_t *e = send_with_secret(x, answer);
        if (!e || !is_refusal(e)) return e;
        x->refusal = err_text(e, why, sizeof why);
        err_free(e);
        TRY(db_write(x->devices->o.db, refuse_and_step, x));
    }
    device_answer_empty(answer, 200); /* ends the session */
    return NULL;
}

err_t *devices_session(devices_t *devices, const device_request_t *request,
                       device_answer_t *ret_answer) {
    if (request->body.n > LIMIT_RESULT_BYTES)
        return err_new(ERR_LIMIT, "a result has at most %d bytes", LIMIT_RESULT_BYTES);
    CLEANUP(device_answer_done) device_answer_t answer;
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(mdm_result_done) mdm_result_t result = {0};
    device_answer_init(&answer);
    TRY(mdm_auth_certificate(devices, request, &cert));
    TRY_WRAP(mdm_result_parse(request->body, &result), "message from %s", request->peer);
    TRY(arena_new(DEVICE_ARENA, &arena));
    session_t x = {
        .devices = devices, .arena = arena, .result = &result, .request = request, .cert = cert};
    TRY_WRAP(db_write(devices->o.db, step, &x), "message from %s", request->peer);
    if (x.accepted) {
        TRY_WRAP(reply(&x, &answer), "command for %s", result.key);
    } else {
        TRY(device_answer_unrecognised(&answer));
    }
    device_answer_move(&answer, ret_answer);
    return NULL;
}
