/*
 * JSON parameters into a Command dictionary, checked against command_schema.c. Pure. Recursion
 * follows the tables, or JSON whose depth its parser bounds (LIMIT_JSON_DEPTH).
 */
#include "base/mem.h"
#include "device/command_schema.h"

/* What DeviceInformation asks for when nobody says: what every platform answers. */
static const char *const default_queries[] = {
    "UDID",
    "DeviceName",
    "OSVersion",
    "BuildVersion",
    "ModelName",
    "Model",
    "ProductName",
    "SerialNumber",
    "DeviceCapacity",
    "AvailableDeviceCapacity",
    "IsSupervised",
    "BatteryLevel",
    "IMEI",
    "MEID",
    "WiFiMAC",
    "BluetoothMAC",
    "IsActivationLockEnabled",
    "IsDeviceLocatorServiceEnabled",
};

static err_t *unknown_key(const param_t *params, const char *key) {
    CLEANUP(buf_done) buf_t list;
    const char *text = NULL;
    buf_init(&list, 4096);
    for (const param_t *p = params; p->key; p++) TRY(buf_printf(&list, " %s", p->key));
    TRY(buf_cstr(&list, &text));
    return err_new(ERR_INVALID, "%.100s is not a parameter here; there is:%s", key,
                   params->key ? text : " none");
}

static err_t *check_keys(json_t *object, const param_t *params) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        const param_t *p = params;
        while (p->key && strcmp(p->key, key) != 0) p++;
        if (!p->key) return unknown_key(params, key);
    }
    return NULL;
}

static err_t *check_choice(const param_t *p, bytes_t text) {
    if (!p->choices) return NULL;
    CLEANUP(buf_done) buf_t list;
    const char *names = NULL;
    buf_init(&list, 4096);
    for (const char *const *c = p->choices; *c; c++) {
        if (bytes_eq_str(text, *c)) return NULL;
        TRY(buf_printf(&list, " %s", *c));
    }
    TRY(buf_cstr(&list, &names));
    return err_new(ERR_INVALID, "%s must be one of:%s", p->key, names);
}

/* Null counts as absent, as in jso_get_*. */
static bool absent(const json_t *object, const param_t *p) {
    const json_t *value = json_object_get(object, p->key);
    return !p->required && (!value || json_is_null(value));
}

static err_t *set_string(json_t *object, const param_t *p, plist_t *dict) {
    bytes_t text = BYTES_NONE;
    if (absent(object, p)) return NULL;
    TRY(jso_get_string(object, p->key, (size_t)p->max, p->required, &text));
    if (p->required && text.n == 0) return err_new(ERR_INVALID, "%s is empty", p->key);
    TRY(check_choice(p, text));
    return plist_set_bytes_string(dict, p->key, text);
}

static err_t *set_scalar(json_t *object, const param_t *p, plist_t *dict) {
    bool flag = false;
    int64_t number = 0;
    if (absent(object, p)) return NULL;
    if (p->kind == PARAM_BOOLEAN) {
        TRY(jso_get_bool(object, p->key, p->required, &flag));
        return plist_set_bool(dict, p->key, flag);
    }
    TRY(jso_get_int(object, p->key, p->min, p->max, p->required, &number));
    return plist_set_int(dict, p->key, number);
}

static err_t *set_data(json_t *object, const param_t *p, plist_t *dict) {
    CLEANUP(buf_done) buf_t data;
    buf_init(&data, (size_t)p->max);
    if (absent(object, p)) return NULL;
    TRY(jso_get_base64(object, p->key, p->required, &data));
    return plist_set_data(dict, p->key, buf_bytes(&data));
}

static err_t *set_strings(json_t *object, const param_t *p, plist_t *dict) {
    json_t *array = NULL;
    plist_t *list = NULL;
    TRY(jso_get_array(object, p->key, (size_t)p->max, p->required, &array));
    if (!array) return NULL;
    TRY(plist_set_array(dict, p->key, &list));
    for (size_t i = 0; i < json_array_size(array); i++) {
        bytes_t text;
        TRY_WRAP(jso_at_string(array, i, LIMIT_DEVICE_ATTRIBUTE, &text), "%s", p->key);
        if (text.n == 0 || !text_printable(text))
            return err_new(ERR_INVALID, "%s has an empty or unprintable element", p->key);
        TRY(check_choice(p, text));
        TRY(plist_array_add_bytes_string(list, text));
    }
    return NULL;
}

/* ---- free-form values ---- */

static err_t *any_dict(json_t *object, plist_t *dict);

static err_t *any_array(json_t *array, plist_t *list) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *value = json_array_get(array, i);
        plist_t *child = NULL;
        switch (json_typeof(value)) {
        case JSON_OBJECT:
            TRY(plist_array_add_dict(list, &child));
            TRY(any_dict(value, child));
            break;
        case JSON_ARRAY:
            TRY(plist_array_add_array(list, &child));
            TRY(any_array(value, child));
            break;
        case JSON_STRING: TRY(plist_array_add_string(list, json_string_value(value))); break;
        case JSON_INTEGER: TRY(plist_array_add_int(list, json_integer_value(value))); break;
        case JSON_TRUE:
        case JSON_FALSE: TRY(plist_array_add_bool(list, json_is_true(value))); break;
        case JSON_REAL:
        case JSON_NULL:
            return err_new(ERR_INVALID, "a list may hold texts, integers, booleans, objects and "
                                        "lists");
        }
    }
    return NULL;
}

static err_t *any_dict(json_t *object, plist_t *dict) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        plist_t *child = NULL;
        switch (json_typeof(value)) {
        case JSON_OBJECT:
            TRY(plist_set_dict(dict, key, &child));
            TRY(any_dict(value, child));
            break;
        case JSON_ARRAY:
            TRY(plist_set_array(dict, key, &child));
            TRY(any_array(value, child));
            break;
        case JSON_STRING: TRY(plist_set_string(dict, key, json_string_value(value))); break;
        case JSON_INTEGER: TRY(plist_set_int(dict, key, json_integer_value(value))); break;
        case JSON_REAL: TRY(plist_set_real(dict, key, json_real_value(value))); break;
        case JSON_TRUE:
        case JSON_FALSE: TRY(plist_set_bool(dict, key, json_is_true(value))); break;
        case JSON_NULL: return err_new(ERR_INVALID, "%.100s: null has no place here", key);
        }
    }
    return NULL;
}

/* ---- tables ---- */

static err_t *build(json_t *object, const param_t *params, const char *secret_key, plist_t *dict);

static err_t *set_items(json_t *object, const param_t *p, plist_t *dict) {
    json_t *array = NULL;
    plist_t *list = NULL, *item = NULL;
    TRY(jso_get_array(object, p->key, (size_t)p->max, p->required, &array));
    if (json_array_size(array) == 0) return err_new(ERR_INVALID, "%s is empty", p->key);
    TRY(plist_set_array(dict, p->key, &list));
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *value = json_array_get(array, i);
        bytes_t name;
        if (!json_is_object(value))
            return err_new(ERR_INVALID, "%s must be a list of objects", p->key);
        TRY_WRAP(jso_get_string(value, "Item", LIMIT_DEVICE_ATTRIBUTE, true, &name), "%s", p->key);
        const param_t *params = command_schema_setting(name);
        if (!params)
            return err_new(ERR_INVALID, "%s: Item %.*s is not known", p->key, (int)name.n,
                           (const char *)name.p);
        TRY(plist_array_add_dict(list, &item));
        TRY_WRAP(build(value, params, NULL, item), "%s item %.*s", p->key, (int)name.n,
                 (const char *)name.p);
    }
    return NULL;
}

static err_t *set_nested(json_t *object, const param_t *p, plist_t *dict) {
    json_t *value = NULL;
    plist_t *child = NULL;
    TRY(jso_get_object(object, p->key, p->required, &value));
    if (!value) return NULL;
    TRY(plist_set_dict(dict, p->key, &child));
    if (p->kind == PARAM_ANY) return any_dict(value, child);
    TRY_WRAP(build(value, p->sub, NULL, child), "%s", p->key);
    return NULL;
}

static err_t *set_param(json_t *object, const param_t *p, plist_t *dict) {
    switch (p->kind) {
    case PARAM_STRING: return set_string(object, p, dict);
    case PARAM_BOOLEAN:
    case PARAM_INTEGER: return set_scalar(object, p, dict);
    case PARAM_DATA: return set_data(object, p, dict);
    case PARAM_STRINGS: return set_strings(object, p, dict);
    case PARAM_DICT:
    case PARAM_ANY: return set_nested(object, p, dict);
    case PARAM_ITEMS: return set_items(object, p, dict);
    }
    return NULL;
}

static err_t *build(json_t *object, const param_t *params, const char *secret_key, plist_t *dict) {
    TRY(check_keys(object, params));
    for (const param_t *p = params; p->key; p++)
        if (!secret_key || strcmp(p->key, secret_key) != 0) TRY(set_param(object, p, dict));
    return NULL;
}

/* A PIN of six digits, as Find My wants it. */
static err_t *take_pin(json_t *object, const char *key, buf_t *ret_secret) {
    bytes_t pin = BYTES_NONE;
    TRY(jso_get_string(object, key, LIMIT_DEVICE_ATTRIBUTE, false, &pin));
    if (!pin.p) return NULL;
    bool digits = pin.n == 6;
    for (size_t i = 0; i < pin.n; i++) digits &= pin.p[i] >= '0' && pin.p[i] <= '9';
    if (!digits) return err_new(ERR_INVALID, "%s must be six digits", key);
    return buf_add(ret_secret, pin);
}

static err_t *add_default_queries(plist_t *dict) {
    plist_t *list = NULL;
    TRY(plist_set_array(dict, "Queries", &list));
    for (size_t i = 0; i < sizeof default_queries / sizeof default_queries[0]; i++)
        TRY(plist_array_add_string(list, default_queries[i]));
    return NULL;
}

err_t *command_build(const command_schema_t *schema, json_t *parameters, plist_t *dict,
                     buf_t *ret_secret) {
    TRY(plist_set_string(dict, "RequestType", schema->request_type));
    if (parameters) {
        TRY_WRAP(build(parameters, schema->params, schema->secret_key, dict), "%s",
                 schema->request_type);
        if (schema->secret_key && !schema->secret_is_data)
            TRY_WRAP(take_pin(parameters, schema->secret_key, ret_secret), "%s",
                     schema->request_type);
    } else {
        CLEANUP(jso_free) json_t *empty = NULL;
        TRY(jso_object(&empty));
        TRY_WRAP(build(empty, schema->params, schema->secret_key, dict), "%s",
                 schema->request_type);
    }
    bool asks = strcmp(schema->request_type, "DeviceInformation") == 0;
    return asks && !plist_get(dict, "Queries") ? add_default_queries(dict) : NULL;
}
