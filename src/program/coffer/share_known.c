/*
 * People whose digits were compared: see share_known.h. Main thread.
 */
#include "program/coffer/share_known.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { FILE_MAX_BYTES = 4 * 1024 * 1024, FILE_MODE = 0600 };

/* Beside the own region's keys; a share's home of before has it in itself. */
static err_t *known_path(const sync_home_t *home, char **ret_path) {
    bool own = home->own_path && file_exists(home->own_path);
    return file_path(own ? home->own_path : home->path, "known.json", ret_path);
}

static err_t *load(const char *path, json_t **ret_json, json_t **ret_people) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, FILE_MAX_BYTES);
    if (file_exists(path)) {
        TRY(file_read(path, &text));
        TRY_WRAP(jso_parse_object(buf_bytes(&text), &json), "%s", path);
        TRY_WRAP(jso_get_object(json, "people", true, ret_people), "%s", path);
    } else {
        TRY(jso_object(&json));
        TRY(jso_set_int(json, "version", 1));
        TRY(jso_set_object(json, "people", ret_people));
    }
    *ret_json = STEAL(json);
    return NULL;
}

err_t *share_known_find(const sync_home_t *home, const char *person, bool *ret_found,
                        uint8_t ret_region[SYNC_HASH]) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t raw;
    json_t *people = NULL;
    bytes_t hex = BYTES_NONE;
    buf_init(&raw, SYNC_HASH);
    TRY(known_path(home, &path));
    TRY(load(path, &json, &people));
    TRY_WRAP(jso_get_string(people, person, 2 * (size_t)SYNC_HASH, false, &hex), "%s", path);
    *ret_found = hex.n > 0;
    if (!*ret_found) return NULL;
    TRY_WRAP(text_unhex(hex, &raw), "%s", path);
    if (raw.n != SYNC_HASH) return err_new(ERR_INVALID, "%s: a region of another length", path);
    bytes_put(ret_region, buf_bytes(&raw));
    return NULL;
}

err_t *share_known_put(const sync_home_t *home, const char *person,
                       const uint8_t region[SYNC_HASH]) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t text;
    json_t *people = NULL;
    buf_init(&text, FILE_MAX_BYTES);
    TRY(known_path(home, &path));
    TRY(load(path, &json, &people));
    TRY(text_hex_new(bytes_make(region, SYNC_HASH), &hex));
    TRY(jso_set_str(people, person, hex));
    TRY(jso_write(json, true, &text));
    return file_write(path, buf_bytes(&text), FILE_MODE);
}
