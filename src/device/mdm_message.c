/*
 * Device messages: see mdm_message.h. Pure; any thread.
 */
#include "device/mdm_message.h"

#include "base/limits.h"
#include "base/text.h"
#include "format/json.h"

enum { ERROR_TEXT = 1024 }; /* bytes of one description */

static const char *const checkin_names[] = {
    [MDM_AUTHENTICATE] = "Authenticate",
    [MDM_TOKEN_UPDATE] = "TokenUpdate",
    [MDM_CHECK_OUT] = "CheckOut",
    [MDM_USER_AUTHENTICATE] = "UserAuthenticate",
    [MDM_SET_BOOTSTRAP_TOKEN] = "SetBootstrapToken",
    [MDM_GET_BOOTSTRAP_TOKEN] = "GetBootstrapToken",
    [MDM_GET_TOKEN] = "GetToken",
    [MDM_DECLARATIVE_MANAGEMENT] = "DeclarativeManagement",
};
enum { CHECKIN_TYPES = sizeof checkin_names / sizeof checkin_names[0] };

const char *mdm_checkin_name(mdm_checkin_type_t type) { return checkin_names[type]; }

/*
 * A text for a column: printable, "" if absent. What is only for people to read and is not
 * printable counts as absent: no device stays out for its name.
 */
static err_t *text_of(const plist_t *dict, const char *key, size_t max, bool required,
                      const char **ret_text) {
    bytes_t text = BYTES_LIT("");
    TRY(plist_get_string(dict, key, max, required, &text));
    bool fit = text_printable(text);
    if (required && (!fit || text.n == 0))
        return err_new(ERR_INVALID, "%s is empty or not printable", key);
    *ret_text = fit && text.n ? (const char *)text.p : "";
    return NULL;
}

/* Who a message is from: user enrolments have an EnrollmentID, all others a UDID. */
static err_t *read_key(const plist_t *dict, bool required, const char **ret_key,
                       const char **ret_udid, bool *ret_user_channel) {
    const char *enrolment = "", *udid = "";
    TRY(text_of(dict, "EnrollmentID", LIMIT_DEVICE_ID, false, &enrolment));
    TRY(text_of(dict, "UDID", LIMIT_DEVICE_ID, false, &udid));
    const char *key = enrolment[0] ? enrolment : udid;
    if (required && !key[0]) return err_new(ERR_INVALID, "neither UDID nor EnrollmentID is given");
    *ret_key = key;
    *ret_udid = udid;
    *ret_user_channel = plist_get(dict, "UserID") || plist_get(dict, "EnrollmentUserID");
    return NULL;
}

static err_t *read_type(const plist_t *dict, mdm_checkin_type_t *ret_type) {
    bytes_t name;
    TRY(plist_get_string(dict, "MessageType", LIMIT_DEVICE_ATTRIBUTE, true, &name));
    for (size_t i = 0; i < CHECKIN_TYPES; i++) {
        if (!bytes_eq_str(name, checkin_names[i])) continue;
        *ret_type = (mdm_checkin_type_t)i;
        return NULL;
    }
    return err_new(ERR_INVALID, "MessageType \"%.*s\" is not known", (int)name.n,
                   (const char *)name.p);
}

static err_t *read_authenticate(const plist_t *dict, mdm_checkin_t *m) {
    TRY(text_of(dict, "SerialNumber", LIMIT_DEVICE_ATTRIBUTE, false, &m->serial_number));
    TRY(text_of(dict, "ProductName", LIMIT_DEVICE_ATTRIBUTE, false, &m->product));
    TRY(text_of(dict, "OSVersion", LIMIT_DEVICE_ATTRIBUTE, false, &m->os_version));
    TRY(text_of(dict, "BuildVersion", LIMIT_DEVICE_ATTRIBUTE, false, &m->build));
    TRY(text_of(dict, "DeviceName", LIMIT_DEVICE_ATTRIBUTE, false, &m->name));
    return text_of(dict, "Topic", LIMIT_DEVICE_ATTRIBUTE, false, &m->topic);
}

static err_t *read_token_update(const plist_t *dict, mdm_checkin_t *m) {
    TRY(text_of(dict, "Topic", LIMIT_DEVICE_ATTRIBUTE, true, &m->topic));
    TRY(plist_get_data(dict, "Token", LIMIT_TOKEN, true, &m->token));
    if (m->token.n == 0) return err_new(ERR_INVALID, "Token is empty");
    TRY(text_of(dict, "PushMagic", LIMIT_PUSH_MAGIC, true, &m->push_magic));
    TRY(plist_get_data(dict, "UnlockToken", LIMIT_UNLOCK_TOKEN, false, &m->unlock_token));
    return plist_get_bool(dict, "AwaitingConfiguration", false, &m->awaiting_configuration);
}

static err_t *read_checkin(const plist_t *dict, mdm_checkin_t *m) {
    TRY(read_type(dict, &m->type));
    /* The schema lists no UDID for SetBootstrapToken and GetBootstrapToken. */
    bool required = m->type != MDM_SET_BOOTSTRAP_TOKEN && m->type != MDM_GET_BOOTSTRAP_TOKEN;
    TRY(read_key(dict, required, &m->key, &m->udid, &m->user_channel));
    switch (m->type) {
    case MDM_AUTHENTICATE: return read_authenticate(dict, m);
    case MDM_TOKEN_UPDATE: return read_token_update(dict, m);
    case MDM_SET_BOOTSTRAP_TOKEN:
        return plist_get_data(dict, "BootstrapToken", LIMIT_UNLOCK_TOKEN, false,
                              &m->bootstrap_token);
    case MDM_CHECK_OUT:
    case MDM_USER_AUTHENTICATE:
    case MDM_GET_BOOTSTRAP_TOKEN:
    case MDM_GET_TOKEN:
    case MDM_DECLARATIVE_MANAGEMENT: return NULL;
    }
    return NULL;
}

err_t *mdm_checkin_parse(bytes_t body, mdm_checkin_t *ret_message) {
    CLEANUP(mdm_checkin_done)
    mdm_checkin_t m = {.topic = "",
                       .serial_number = "",
                       .product = "",
                       .os_version = "",
                       .build = "",
                       .name = "",
                       .push_magic = ""};
    plist_t *dict = NULL;
    TRY(plist_parse_dict(body, &m.doc, &dict));
    TRY(read_checkin(dict, &m));
    *ret_message = m;
    m.doc = NULL;
    return NULL;
}

void mdm_checkin_done(mdm_checkin_t *message) {
    plist_free(message->doc);
    *message = (mdm_checkin_t){0};
}

/* ---- command responses ---- */

static err_t *read_status(const plist_t *dict, mdm_status_t *ret_status) {
    static const char *const names[] = {
        [MDM_IDLE] = "Idle",      [MDM_ACKNOWLEDGED] = "Acknowledged",
        [MDM_ERROR] = "Error",    [MDM_COMMAND_FORMAT_ERROR] = "CommandFormatError",
        [MDM_NOT_NOW] = "NotNow",
    };
    bytes_t name;
    TRY(plist_get_string(dict, "Status", LIMIT_DEVICE_ATTRIBUTE, true, &name));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!bytes_eq_str(name, names[i])) continue;
        *ret_status = (mdm_status_t)i;
        return NULL;
    }
    return err_new(ERR_INVALID, "Status \"%.*s\" is not known", (int)name.n, (const char *)name.p);
}

err_t *mdm_result_parse(bytes_t body, mdm_result_t *ret_result) {
    CLEANUP(mdm_result_done) mdm_result_t r = {.command_uuid = ""};
    const char *udid = NULL;
    TRY(plist_parse_dict(body, &r.doc, &r.dict));
    TRY(read_key(r.dict, true, &r.key, &udid, &r.user_channel));
    TRY(read_status(r.dict, &r.status));
    if (r.status != MDM_IDLE)
        TRY(text_of(r.dict, "CommandUUID", LIMIT_DEVICE_ID, true, &r.command_uuid));
    *ret_result = r;
    r.doc = NULL;
    return NULL;
}

void mdm_result_done(mdm_result_t *result) {
    plist_free(result->doc);
    *result = (mdm_result_t){0};
}

static err_t *add_error(const plist_t *entry, json_t *array) {
    json_t *object = NULL;
    int64_t code = 0;
    bytes_t domain = BYTES_LIT(""), text = BYTES_LIT("");
    TRY(jso_add_object(array, &object));
    TRY(plist_get_int(entry, "ErrorCode", INT64_MIN, INT64_MAX, false, &code));
    TRY(plist_get_string(entry, "ErrorDomain", ERROR_TEXT, false, &domain));
    TRY(plist_get_string(entry, "LocalizedDescription", ERROR_TEXT, false, &text));
    TRY(plist_get_string(entry, "USEnglishDescription", ERROR_TEXT, false, &text));
    TRY(jso_set_int(object, "code", code));
    TRY(jso_set_string(object, "domain", domain));
    return jso_set_string(object, "description", text);
}

const char *mdm_error_text(const mdm_result_t *result) {
    const plist_t *chain = plist_get(result->dict, "ErrorChain");
    bytes_t text = BYTES_NONE;
    if (!chain || plist_type(chain) != PLIST_ARRAY || plist_count(chain) == 0) return "";
    const plist_t *first = plist_at(chain, 0);
    if (plist_type(first) != PLIST_DICT) return "";
    err_free(plist_get_string(first, "LocalizedDescription", ERROR_TEXT, false, &text));
    err_free(plist_get_string(first, "USEnglishDescription", ERROR_TEXT, false, &text));
    return text.n && text_printable(text) ? (const char *)text.p : "";
}

err_t *mdm_error_chain(const mdm_result_t *result, buf_t *out) {
    plist_t *chain = NULL;
    CLEANUP(jso_free) json_t *array = NULL;
    TRY(plist_get_array(result->dict, "ErrorChain", false, &chain));
    if (!chain) return NULL;
    TRY(jso_array(&array));
    for (size_t i = 0; i < plist_count(chain) && i < LIMIT_ERROR_CHAIN; i++)
        TRY_WRAP(add_error(plist_at(chain, i), array), "ErrorChain");
    return jso_write(array, false, out);
}
