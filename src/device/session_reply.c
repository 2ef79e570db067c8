/*
 * What a command session sends: the stored command with its UUID, and with the secret that the
 * keeper fills in. On a worker of coffer-web; a command without a secret also on an event thread.
 */
#include "audit/note.h"
#include "base/mem.h"
#include "device/command_schema.h"
#include "device/mail_app_internal.h"
#include "device/session_internal.h"
#include "format/json.h"

enum {
    REFUSALS_MAX = 16, /* commands skipped in one request because the keeper refuses a secret */
    TEMPLATE_ROOM = 1024,
};

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
    device_session_t *x = arg;
    CLEANUP(buf_done) buf_t error;
    const char *chain = NULL;
    bool found = false;
    char actor[DEVICE_ACTOR];
    buf_init(&error, LIMIT_JSON_BYTES);
    TRY(refusal_chain(x->refusal, &error));
    TRY(buf_cstr(&error, &chain));
    TRY(db_commands_finish(conn, x->queue.next.seq, "error", chain, devices_now(x->devices),
                           &found));
    TRY(audit_note(x->devices->o.audit, conn, "system", "command.refused",
                   device_actor(x->result.key, actor), "command", x->queue.next.uuid, "type",
                   x->queue.next.request_type, "why", x->refusal, NULL));
    if (mail_delivery_is(&x->queue.next))
        TRY(mail_delivery_refused(x->devices, conn, x->arena, &x->mail, x->sender.row.fingerprint,
                                  x->refusal_code, x->refusal));
    x->secret = (device_secret_t){0};
    x->mail = (mail_delivery_t){0};
    TRY(db_commands_look(conn, x->arena, x->sender.device.id, "", &x->queue));
    return device_session_pick(conn, x);
}

/* ---- the reply ---- */

/* Around the dictionary as it was written when the command was queued. */
static err_t *wrap_command(const device_session_t *x, bytes_t command, buf_t *xml) {
    TRY(buf_reserve(xml, command.n + TEMPLATE_ROOM));
    TRY(plist_write_head(xml));
    TRY(buf_add(xml, BYTES_LIT("<dict>\n\t<key>Command</key>\n\t")));
    TRY(buf_add(xml, command));
    TRY(buf_add(xml, BYTES_LIT("\t<key>CommandUUID</key>\n\t<string>")));
    TRY(buf_add_xml(xml, bytes_str(x->queue.next.uuid)));
    TRY(buf_add(xml, BYTES_LIT("</string>\n</dict>\n")));
    return plist_write_tail(xml);
}

/* A mark that nobody could guess when the command was made: see fill_in. */
static err_t *set_mark(const command_schema_t *schema, plist_t *command, const char *mark) {
    if (schema->secret_in) TRY(plist_get_dict(command, schema->secret_in, true, &command));
    return plist_set_string(command, schema->secret_key, mark);
}

/* `schema` of a command with a secret, else NULL. */
static err_t *build_command(const device_session_t *x, const command_schema_t *schema, buf_t *xml) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(plist_free) plist_doc_t *stored = NULL;
    plist_t *root = NULL, *command = NULL, *payload = NULL;
    bytes_t element;
    if (!schema && plist_written_element(x->queue.next.payload, &element) &&
        bytes_starts(element, BYTES_LIT("<dict>\n")))
        return wrap_command(x, element, xml);
    TRY_WRAP(plist_parse_dict(x->queue.next.payload, &stored, &payload), "stored command");
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &root));
    TRY(plist_set_copy(root, "Command", payload));
    TRY(plist_get_dict(root, "Command", true, &command));
    if (schema) TRY(set_mark(schema, command, x->queue.next.uuid));
    TRY(plist_set_string(root, "CommandUUID", x->queue.next.uuid));
    return plist_write(root, xml);
}

/*
 * Puts the secret where the mark stands (the first place that has the command's UUID; the second
 * is CommandUUID itself). As text, so that it lies in wiped memory only.
 */
static err_t *fill_in(const device_session_t *x, const command_schema_t *schema, bytes_t secret,
                      bytes_t xml, buf_t *out) {
    CLEANUP(mem_free) char *mark = mem_printf("<string>%s</string>", x->queue.next.uuid);
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

static err_t *send_with_secret(device_session_t *x, device_answer_t *answer) {
    const command_schema_t *schema = command_schema_find(bytes_str(x->queue.next.request_type));
    CLEANUP(buf_done) buf_t secret, xml;
    buf_init_secret(&secret, LIMIT_KEEPER_SECRET);
    buf_init(&xml, LIMIT_HTTP_RESPONSE);
    if (!schema || !schema->secret_key)
        return err_new(ERR_DENIED, "the secret of this command is gone");
    TRY(device_secret_fill(x->devices, &x->secret, x->queue.next.uuid, &secret));
    TRY(build_command(x, schema, &xml));
    buf_done(&answer->body);
    buf_init_secret(&answer->body, LIMIT_HTTP_RESPONSE);
    return fill_in(x, schema, buf_bytes(&secret), buf_bytes(&xml), &answer->body);
}

static err_t *send_app(device_session_t *x, device_answer_t *answer) {
    CLEANUP(buf_done) buf_t xml;
    buf_init(&xml, LIMIT_HTTP_RESPONSE);
    TRY(build_command(x, NULL, &xml));
    buf_done(&answer->body);
    buf_init_secret(&answer->body, LIMIT_HTTP_RESPONSE);
    TRY(mail_app_fill(x->devices, &x->queue.next, &x->sender.device, buf_bytes(&xml),
                      &answer->body));
    if (!answer->body.n) device_answer_empty(answer, 200); /* called back: a push follows */
    return NULL;
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

err_t *device_session_reply(device_session_t *x, device_answer_t *answer) {
    for (int refusals = 0; x->queue.found && refusals < REFUSALS_MAX; refusals++) {
        char why[256];
        device_answer_empty(answer, 200);
        answer->content_type = TYPE_PLIST;
        if (!x->queue.next.secret_kind[0]) return build_command(x, NULL, &answer->body);
        if (mail_app_is(&x->queue.next)) return send_app(x, answer);
        bool mail = mail_delivery_is(&x->queue.next);
        err_t *e =
            mail ? mail_delivery_make(x->devices, x->arena, &x->mail, x->sender.row.fingerprint,
                                      x->queue.next.uuid, &answer->body)
                 : send_with_secret(x, answer);
        if (!e || !(is_refusal(e) || (mail && err_code(e) == ERR_AUTH))) return e;
        x->refusal_code = err_code(e);
        x->refusal = err_text(e, why, sizeof why);
        err_free(e);
        TRY(db_write(x->devices->o.db, refuse_and_step, x));
    }
    device_answer_empty(answer, 200); /* ends the session */
    return NULL;
}
