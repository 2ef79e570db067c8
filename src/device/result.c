/*
 * Results into the device's row: see result.h. Inside a db_write; pure but for its rows.
 */
#include "device/result.h"

#include "format/plist_json.h"

/* A text worth showing, or "". */
static const char *shown(const plist_t *dict, const char *key) {
    bytes_t text = BYTES_NONE;
    err_t *e = plist_get_string(dict, key, LIMIT_DEVICE_ATTRIBUTE, false, &text);
    bool good = !e && text.n && text_printable(text);
    err_free(e);
    return good ? (const char *)text.p : "";
}

/* The row's info with `part` under `name` replaced; "" when it grew too large. */
static err_t *merge(arena_t *arena, const char *info, const char *name, const plist_t *part,
                    const char **ret_text) {
    CLEANUP(jso_free) json_t *all = NULL;
    CLEANUP(buf_done) buf_t text;
    json_t *json = NULL;
    buf_init(&text, LIMIT_DEVICE_INFO);
    bool empty = !info[0] || strcmp(info, "{}") == 0;
    err_t *e = empty ? NULL : jso_parse_object(bytes_str(info), &all);
    err_free(e);
    if (!all) TRY(jso_object(&all));
    TRY(plist_to_json(part, &json));
    TRY(jso_set(all, name, json));
    TRY(jso_write(all, false, &text));
    return device_str(arena, buf_bytes(&text), ret_text);
}

err_t *result_update_device(db_conn_t *conn, arena_t *arena, const db_device_t *device,
                            const char *request_type, const plist_t *result) {
    bool information = strcmp(request_type, "DeviceInformation") == 0;
    bool security = strcmp(request_type, "SecurityInfo") == 0;
    if (!information && !security) return NULL;
    const plist_t *part = plist_get(result, information ? "QueryResponses" : "SecurityInfo");
    if (!part || plist_type(part) != PLIST_DICT) return NULL;
    const char *info = "";
    err_t *e = merge(arena, device->info, request_type, part, &info);
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e); /* too large or not expressible: the result itself has it all */
    if (security) return db_devices_set_info(conn, device->id, "", "", "", "", info);
    return db_devices_set_info(conn, device->id, shown(part, "DeviceName"),
                               shown(part, "OSVersion"), shown(part, "BuildVersion"),
                               shown(part, "ProductName"), info);
}
