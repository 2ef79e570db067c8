/*
 * Objects and shares out of the server's answers: see officer_items.h.
 */
#include "program/coffer/officer_items.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"

enum { SHARE_TEXT_MAX = 64 * 1024 };

static err_t *get_text(const json_t *item, const char *name, char *text, size_t size) {
    bytes_t value;
    TRY(jso_get_string(item, name, size - 1, true, &value));
    bytes_put(text, value);
    text[value.n] = '\0';
    return NULL;
}

err_t *officer_read_object(const json_t *item, escrow_object_t *object) {
    CLEANUP(buf_done) buf_t spki;
    bytes_t id;
    int64_t version = 0;
    buf_init(&spki, 2 * ESCROW_HASH);
    *object = (escrow_object_t){0};
    TRY(jso_get_string(item, "id", ESCROW_ID_TEXT, true, &id));
    TRY(escrow_id_parse(id, object->id));
    TRY(get_text(item, "kind", object->kind, sizeof object->kind));
    TRY(get_text(item, "owner", object->owner, sizeof object->owner));
    TRY(get_text(item, "device", object->device, sizeof object->device));
    TRY(jso_get_int(item, "version", 1, INT64_MAX, true, &version));
    object->version = (uint64_t)version;
    TRY(jso_get_base64(item, "spki", true, &spki));
    object->has_spki = spki.n == ESCROW_HASH;
    if (object->has_spki) memcpy(object->spki, spki.p, ESCROW_HASH);
    return NULL;
}

err_t *officer_read_parts(const json_t *item, escrow_share_t *parts, size_t *ret_count) {
    json_t *list = NULL;
    TRY(jso_get_array(item, "shares", LIMIT_ESCROW_OFFICERS, true, &list));
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        CLEANUP(buf_done) buf_t record;
        bytes_t text;
        buf_init(&record, LIMIT_ESCROW_RECORD);
        TRY(jso_at_string(list, i, SHARE_TEXT_MAX, &text));
        TRY(text_unbase64(text, &record));
        TRY(escrow_share_parse(buf_bytes(&record), &parts[i]));
    }
    *ret_count = n;
    return NULL;
}
