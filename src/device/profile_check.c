/*
 * Configuration profiles, looked at before they are kept or sent: see profile_check.h. Pure.
 */
#include "device/profile_check.h"

#include "base/limits.h"
#include "base/text.h"
#include "format/plist.h"

static err_t *name_of(const plist_t *dict, const char *key, bytes_t *ret_text) {
    bytes_t text;
    TRY(plist_get_string(dict, key, LIMIT_DEVICE_ATTRIBUTE, true, &text));
    if (text.n == 0 || !text_printable(text))
        return err_new(ERR_INVALID, "%s is empty or not printable", key);
    *ret_text = text;
    return NULL;
}

/* What every payload and the profile itself must have. */
static err_t *check_common(const plist_t *dict, bytes_t *ret_type, bytes_t *ret_uuid) {
    bytes_t identifier;
    int64_t version = 0;
    TRY(name_of(dict, "PayloadType", ret_type));
    TRY(name_of(dict, "PayloadIdentifier", &identifier));
    TRY(name_of(dict, "PayloadUUID", ret_uuid));
    return plist_get_int(dict, "PayloadVersion", 1, INT32_MAX, true, &version);
}

static err_t *check_payloads(const plist_t *profile, bytes_t profile_uuid) {
    plist_t *array = NULL;
    TRY(plist_get_array(profile, "PayloadContent", true, &array));
    size_t n = plist_count(array);
    if (n == 0) return err_new(ERR_INVALID, "PayloadContent is empty");
    if (n > LIMIT_PAYLOADS)
        return err_new(ERR_LIMIT, "a profile has at most %d payloads", LIMIT_PAYLOADS);
    for (size_t i = 0; i < n; i++) {
        bytes_t type, uuid, other = profile_uuid;
        const plist_t *payload = plist_at(array, i);
        if (plist_type(payload) != PLIST_DICT)
            return err_new(ERR_INVALID, "payload %zu is not a dictionary", i + 1);
        TRY_WRAP(check_common(payload, &type, &uuid), "payload %zu", i + 1);
        if (bytes_eq_str(type, "com.apple.mdm"))
            return err_new(ERR_INVALID, "payload %zu: com.apple.mdm comes by enrolment only",
                           i + 1);
        for (size_t k = 0; k <= i; k++) {
            if (text_eq_fold(uuid, other))
                return err_new(ERR_INVALID, "payload %zu: PayloadUUID is there twice", i + 1);
            if (k < i)
                TRY(plist_get_string(plist_at(array, k), "PayloadUUID", LIMIT_DEVICE_ATTRIBUTE,
                                     true, &other));
        }
    }
    return NULL;
}

static err_t *copy(arena_t *arena, bytes_t text, const char **ret_text) {
    bytes_t stored;
    TRY(arena_copy(arena, text, &stored));
    *ret_text = (const char *)stored.p;
    return NULL;
}

static err_t *check(const plist_t *profile, arena_t *arena, const char **ret_identifier,
                    const char **ret_name) {
    bytes_t type, uuid, identifier, name = BYTES_NONE;
    TRY(check_common(profile, &type, &uuid));
    if (!bytes_eq_str(type, "Configuration"))
        return err_new(ERR_INVALID, "PayloadType is %.*s, not Configuration", (int)type.n,
                       (const char *)type.p);
    TRY(check_payloads(profile, uuid));
    TRY(name_of(profile, "PayloadIdentifier", &identifier));
    TRY(plist_get_string(profile, "PayloadDisplayName", LIMIT_NAME, false, &name));
    if (name.n == 0 || !text_printable(name)) name = identifier;
    TRY(copy(arena, identifier, ret_identifier));
    return copy(arena, name, ret_name);
}

err_t *profile_check(bytes_t content, arena_t *arena, const char **ret_identifier,
                     const char **ret_name) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *profile = NULL;
    if (content.n > LIMIT_PROFILE_BYTES)
        return err_new(ERR_LIMIT, "a profile has at most %d bytes", LIMIT_PROFILE_BYTES);
    if (content.n && content.p[0] == 0x30)
        return err_new(ERR_INVALID, "the profile is signed; give the plain XML property list");
    TRY_WRAP(plist_parse_dict(content, &doc, &profile), "profile");
    TRY_WRAP(check(profile, arena, ret_identifier, ret_name), "profile");
    return NULL;
}
