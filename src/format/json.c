/*
 * JSON over jansson: see json.h. jansson allocates with malloc; its allocator hook is global to
 * the process and therefore left alone. Any process, any thread.
 */
#include "format/json.h"

#include <stdarg.h>

#include "base/limits.h"
#include "base/text.h"

void jso_init(void) { json_object_seed(0); }

void jso_free(json_t *json) { json_decref(json); }

/* jansson's own nesting limit is 2048 and fixed when it is built. Strings are skipped. */
static err_t *check_depth(bytes_t text) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > LIMIT_JSON_DEPTH)
                return err_new(ERR_LIMIT, "JSON nested deeper than %d", (int)LIMIT_JSON_DEPTH);
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return NULL;
}

err_t *jso_parse_max(bytes_t text, size_t max, json_t **ret_json) {
    if (text.n > max)
        return err_new(ERR_LIMIT, "JSON of %zu bytes, at most %zu are allowed", text.n, max);
    TRY(check_depth(text));
    json_error_t error;
    const char *start = text.n ? (const char *)text.p : "";
    json_t *json = json_loadb(start, text.n, JSON_REJECT_DUPLICATES, &error);
    if (!json && json_error_code(&error) == json_error_out_of_memory) return err_nomem();
    if (!json)
        return err_new(ERR_INVALID, "JSON, line %d, column %d: %s", error.line, error.column,
                       error.text);
    *ret_json = json;
    return NULL;
}

err_t *jso_parse(bytes_t text, json_t **ret_json) {
    return jso_parse_max(text, LIMIT_JSON_BYTES, ret_json);
}

err_t *jso_parse_object(bytes_t text, json_t **ret_object) {
    json_t *json CLEANUP(jso_free) = NULL;
    TRY(jso_parse(text, &json));
    if (!json_is_object(json)) return err_new(ERR_INVALID, "expected a JSON object");
    *ret_object = STEAL(json);
    return NULL;
}

/* *ret_value is NULL when the member is absent or null and may be. */
static err_t *find(const json_t *object, const char *key, bool required, json_t **ret_value) {
    if (!json_is_object(object))
        return err_new(ERR_INVALID, "expected an object with the member %s", key);
    json_t *value = json_object_get(object, key);
    if (json_is_null(value)) value = NULL;
    if (!value && required) return err_new(ERR_INVALID, "the member %s is missing", key);
    *ret_value = value;
    return NULL;
}

static err_t *wrong_type(const char *key, const char *expected) {
    return err_new(ERR_INVALID, "the member %s must be %s", key, expected);
}

err_t *jso_get_string(const json_t *object, const char *key, size_t max, bool required,
                      bytes_t *ret_text) {
    json_t *value = NULL;
    TRY(find(object, key, required, &value));
    if (!value) return NULL;
    if (!json_is_string(value)) return wrong_type(key, "a string");
    if (json_string_length(value) > max)
        return err_new(ERR_LIMIT, "the member %s may have at most %zu bytes", key, max);
    *ret_text = bytes_make(json_string_value(value), json_string_length(value));
    return NULL;
}

err_t *jso_get_base64(const json_t *object, const char *key, bool required, buf_t *out) {
    bytes_t text = BYTES_NONE;
    TRY(jso_get_string(object, key, LIMIT_JSON_BYTES, required, &text));
    TRY_WRAP(text_unbase64(text, out), "the member %s", key);
    return NULL;
}

err_t *jso_get_int(const json_t *object, const char *key, int64_t min, int64_t max, bool required,
                   int64_t *ret_value) {
    json_t *value = NULL;
    TRY(find(object, key, required, &value));
    if (!value) return NULL;
    if (!json_is_integer(value)) return wrong_type(key, "an integer");
    int64_t number = json_integer_value(value);
    if (number < min || number > max)
        return err_new(ERR_INVALID, "the member %s must be from %lld to %lld", key, (long long)min,
                       (long long)max);
    *ret_value = number;
    return NULL;
}

err_t *jso_get_real(const json_t *object, const char *key, bool required, double *ret_value) {
    json_t *value = NULL;
    TRY(find(object, key, required, &value));
    if (!value) return NULL;
    if (!json_is_number(value)) return wrong_type(key, "a number");
    *ret_value = json_number_value(value);
    return NULL;
}

err_t *jso_get_bool(const json_t *object, const char *key, bool required, bool *ret_value) {
    json_t *value = NULL;
    TRY(find(object, key, required, &value));
    if (!value) return NULL;
    if (!json_is_boolean(value)) return wrong_type(key, "true or false");
    *ret_value = json_is_true(value);
    return NULL;
}

err_t *jso_get_object(const json_t *object, const char *key, bool required, json_t **ret_object) {
    json_t *value = NULL;
    TRY(find(object, key, required, &value));
    if (!value) return NULL;
    if (!json_is_object(value)) return wrong_type(key, "an object");
    *ret_object = value;
    return NULL;
}

err_t *jso_get_array(const json_t *object, const char *key, size_t max, bool required,
                     json_t **ret_array) {
    json_t *value = NULL;
    TRY(find(object, key, required, &value));
    if (!value) return NULL;
    if (!json_is_array(value)) return wrong_type(key, "an array");
    if (json_array_size(value) > max)
        return err_new(ERR_LIMIT, "the member %s may have at most %zu elements", key, max);
    *ret_array = value;
    return NULL;
}

err_t *jso_get_time(const json_t *object, const char *key, bool required, int64_t *ret_unix) {
    bytes_t text = {0};
    TRY(jso_get_string(object, key, TEXT_TIME_SIZE, required, &text));
    if (text.p) TRY_WRAP(text_parse_time(text, ret_unix), "the member %s", key);
    return NULL;
}

err_t *jso_at_string(const json_t *array, size_t index, size_t max, bytes_t *ret_text) {
    json_t *value = json_array_get(array, index);
    if (!json_is_string(value)) return err_new(ERR_INVALID, "element %zu must be a string", index);
    if (json_string_length(value) > max)
        return err_new(ERR_LIMIT, "element %zu may have at most %zu bytes", index, max);
    *ret_text = bytes_make(json_string_value(value), json_string_length(value));
    return NULL;
}

static bool is_listed(const char *name, va_list list) {
    for (const char *known; (known = va_arg(list, const char *));)
        if (strcmp(name, known) == 0) return true;
    return false;
}

err_t *jso_only(const json_t *object, ...) {
    const char *name = NULL;
    json_t *value = NULL;
    if (!json_is_object(object)) return err_new(ERR_INVALID, "expected a JSON object");
    /* jansson's iterators take a mutable object but do not change it. */
    json_t *walked = (json_t *)(uintptr_t)object;
    json_object_foreach(walked, name, value) {
        va_list list;
        va_start(list, object);
        bool listed = is_listed(name, list);
        va_end(list);
        if (!listed) return err_new(ERR_INVALID, "the member %.64s is unknown here", name);
    }
    return NULL;
}

err_t *jso_object(json_t **ret_object) {
    json_t *object = json_object();
    if (!object) return err_nomem();
    *ret_object = object;
    return NULL;
}

err_t *jso_array(json_t **ret_array) {
    json_t *array = json_array();
    if (!array) return err_nomem();
    *ret_array = array;
    return NULL;
}

static err_t *check_key(const char *key) {
    if (text_utf8_valid(bytes_str(key))) return NULL;
    return err_new(ERR_INVALID, "the name of a JSON member is not UTF-8");
}

err_t *jso_set(json_t *object, const char *key, json_t *value) {
    json_t *held CLEANUP(jso_free) = value;
    if (!held) return err_nomem(); /* the constructor that made it had no memory */
    if (!json_is_object(object)) return err_new(ERR_INTERNAL, "a member is set in no object");
    TRY(check_key(key));
    return json_object_set_new(object, key, STEAL(held)) == 0 ? NULL : err_nomem();
}

static err_t *new_string(bytes_t text, json_t **ret_string) {
    if (bytes_has_nul(text) || !text_utf8_valid(text))
        return err_new(ERR_INVALID, "text for JSON is not UTF-8 or has a NUL inside");
    json_t *string = json_stringn_nocheck(text.n ? (const char *)text.p : "", text.n);
    if (!string) return err_nomem();
    *ret_string = string;
    return NULL;
}

err_t *jso_set_string(json_t *object, const char *key, bytes_t text) {
    json_t *string = NULL;
    TRY_WRAP(new_string(text, &string), "the member %s", key);
    return jso_set(object, key, string);
}

err_t *jso_set_str(json_t *object, const char *key, const char *text) {
    return text ? jso_set_string(object, key, bytes_str(text)) : jso_set_null(object, key);
}

err_t *jso_set_base64(json_t *object, const char *key, bytes_t data) {
    buf_t text CLEANUP(buf_done);
    buf_init(&text, (size_t)2 * LIMIT_JSON_BYTES);
    TRY_WRAP(text_base64(data, &text), "the member %s", key);
    return jso_set_string(object, key, buf_bytes(&text));
}

err_t *jso_set_int(json_t *object, const char *key, int64_t value) {
    return jso_set(object, key, json_integer(value));
}

err_t *jso_set_real(json_t *object, const char *key, double value) {
    if (!__builtin_isfinite(value))
        return err_new(ERR_INVALID, "the member %s: JSON has no such number", key);
    return jso_set(object, key, json_real(value));
}

err_t *jso_set_bool(json_t *object, const char *key, bool value) {
    return jso_set(object, key, json_boolean(value));
}

err_t *jso_set_null(json_t *object, const char *key) { return jso_set(object, key, json_null()); }

err_t *jso_set_time(json_t *object, const char *key, int64_t unix_seconds) {
    char text[TEXT_TIME_SIZE];
    return jso_set_str(object, key, text_time(unix_seconds, text));
}

err_t *jso_set_object(json_t *object, const char *key, json_t **ret_object) {
    json_t *value = NULL;
    TRY(jso_object(&value));
    TRY(jso_set(object, key, value));
    *ret_object = value;
    return NULL;
}

err_t *jso_set_array(json_t *object, const char *key, json_t **ret_array) {
    json_t *value = NULL;
    TRY(jso_array(&value));
    TRY(jso_set(object, key, value));
    *ret_array = value;
    return NULL;
}

err_t *jso_add(json_t *array, json_t *value) {
    json_t *held CLEANUP(jso_free) = value;
    if (!held) return err_nomem();
    if (!json_is_array(array)) return err_new(ERR_INTERNAL, "an element is added to no array");
    return json_array_append_new(array, STEAL(held)) == 0 ? NULL : err_nomem();
}

err_t *jso_add_string(json_t *array, bytes_t text) {
    json_t *string = NULL;
    TRY(new_string(text, &string));
    return jso_add(array, string);
}

err_t *jso_add_int(json_t *array, int64_t value) { return jso_add(array, json_integer(value)); }

err_t *jso_add_object(json_t *array, json_t **ret_object) {
    json_t *value = NULL;
    TRY(jso_object(&value));
    TRY(jso_add(array, value));
    *ret_object = value;
    return NULL;
}

typedef struct {
    buf_t *out;
    err_t *error;
} sink_t;

static int into_sink(const char *text, size_t n, void *data) {
    sink_t *sink = data;
    sink->error = buf_add(sink->out, bytes_make(text, n));
    return sink->error ? -1 : 0;
}

err_t *jso_write(const json_t *json, bool pretty, buf_t *out) {
    sink_t sink = {.out = out};
    size_t flags = JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
    if (json_dump_callback(json, into_sink, &sink, flags) != 0)
        return sink.error ? sink.error : err_new(ERR_INTERNAL, "JSON could not be written");
    return pretty ? buf_add_byte(out, '\n') : NULL;
}
