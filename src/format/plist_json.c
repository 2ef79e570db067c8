/*
 * Property list to JSON: see plist_json.h. Recursion is bounded by the parser's depth limit.
 */
#include "format/plist_json.h"

#include <math.h>

#include "base/limits.h"
#include "base/text.h"

/* Borrowed by nobody: a new value, or out of memory. */
static err_t *made(json_t *value, json_t **ret_json) {
    if (!value) return err_nomem();
    *ret_json = value;
    return NULL;
}

static err_t *text_json(bytes_t text, json_t **ret_json) {
    return made(json_stringn((const char *)(text.n ? text.p : (const uint8_t *)""), text.n),
                ret_json);
}

static err_t *data_json(bytes_t data, json_t **ret_json) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, data.n / 3 * 4 + 8);
    TRY(text_base64(data, &out));
    return text_json(buf_bytes(&out), ret_json);
}

static err_t *container_json(const plist_t *node, bool dict, json_t **ret_json) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(dict ? jso_object(&out) : jso_array(&out));
    for (size_t i = 0; i < plist_count(node); i++) {
        const plist_t *item = plist_at(node, i);
        json_t *value = NULL;
        TRY(plist_to_json(item, &value));
        bytes_t key = plist_key(item);
        int failed = dict ? json_object_setn_new(out, (const char *)key.p, key.n, value)
                          : json_array_append_new(out, value);
        if (failed) return err_nomem();
    }
    *ret_json = STEAL(out);
    return NULL;
}

static err_t *number_json(const plist_t *node, json_t **ret_json) {
    int64_t i = 0;
    double real = 0;
    err_t *e = plist_int(node, INT64_MIN, INT64_MAX, &i);
    if (!e) return made(json_integer((json_int_t)i), ret_json);
    err_free(e);
    TRY(plist_real(node, &real));
    return made(json_real(real), ret_json);
}

/* RFC 8259 section 6 has no NaN and no infinity; a device may send either. */
static err_t *real_json(double real, json_t **ret_json) {
    return isfinite(real) ? made(json_real(real), ret_json) : made(json_null(), ret_json);
}

err_t *plist_to_json(const plist_t *node, json_t **ret_json) {
    bytes_t text = BYTES_NONE;
    char when[TEXT_TIME_SIZE];
    bool flag = false;
    int64_t date = 0;
    double real = 0;
    switch (plist_type(node)) {
    case PLIST_DICT: return container_json(node, true, ret_json);
    case PLIST_ARRAY: return container_json(node, false, ret_json);
    case PLIST_STRING:
        TRY(plist_string(node, LIMIT_PLIST_BYTES, &text));
        return text_json(text, ret_json);
    case PLIST_DATA:
        TRY(plist_data(node, LIMIT_PLIST_BYTES, &text));
        return data_json(text, ret_json);
    case PLIST_INTEGER: return number_json(node, ret_json);
    case PLIST_REAL: TRY(plist_real(node, &real)); return real_json(real, ret_json);
    case PLIST_BOOLEAN: TRY(plist_bool(node, &flag)); return made(json_boolean(flag), ret_json);
    case PLIST_DATE:
        TRY(plist_date(node, &date));
        return made(json_string(text_time(date, when)), ret_json);
    }
    return err_new(ERR_INTERNAL, "unknown kind of property list node");
}
