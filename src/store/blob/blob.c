/*
 * Names of blobs, and what every kind of store has in common: see blob.h.
 */
#include "store/blob/blob.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"

err_t *blob_id_of(bytes_t ciphertext, blob_id_t *ret_id) {
    blob_id_t id = {0};
    TRY(digest_sha256(ciphertext, id.bytes));
    *ret_id = id;
    return NULL;
}

bool blob_id_eq(const blob_id_t *a, const blob_id_t *b) {
    return memcmp(a->bytes, b->bytes, BLOB_ID) == 0;
}

const char *blob_id_hex(const blob_id_t *id, char out[BLOB_ID_HEX]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < BLOB_ID; i++) {
        out[2 * i] = digits[id->bytes[i] >> 4];
        out[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    out[BLOB_ID_HEX - 1] = '\0';
    return out;
}

err_t *blob_id_parse(bytes_t hex, blob_id_t *ret_id) {
    CLEANUP(buf_done) buf_t id;
    buf_init(&id, BLOB_ID);
    if (hex.n != BLOB_ID_HEX - 1) return err_new(ERR_INVALID, "a blob's name has 64 digits");
    TRY_WRAP(text_unhex(hex, &id), "a blob's name");
    memcpy(ret_id->bytes, id.p, BLOB_ID);
    return NULL;
}

const char *blob_object_name(const blob_id_t *id, uint64_t incarnation,
                             char out[BLOB_OBJECT_NAME]) {
    (void)blob_id_hex(id, out);
    (void)snprintf(out + BLOB_ID_HEX - 1, BLOB_OBJECT_NAME - (BLOB_ID_HEX - 1), "-%016llx",
                   (unsigned long long)incarnation);
    return out;
}

static int digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool blob_object_parse(bytes_t name, blob_id_t *ret_id, uint64_t *ret_incarnation) {
    uint8_t raw[BLOB_ID + 8];
    if (name.n != BLOB_OBJECT_NAME - 1 || name.p[BLOB_ID_HEX - 1] != '-') return false;
    for (size_t i = 0; i < sizeof raw; i++) {
        size_t at = 2 * i + (i >= BLOB_ID ? 1 : 0);
        int high = digit(name.p[at]), low = digit(name.p[at + 1]);
        if (high < 0 || low < 0) return false;
        raw[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret_id->bytes, raw, BLOB_ID);
    uint64_t incarnation = 0;
    for (size_t i = BLOB_ID; i < sizeof raw; i++) incarnation = incarnation << 8 | raw[i];
    *ret_incarnation = incarnation;
    return true;
}

/* A name becomes part of a path: nothing but an object's name may. */
static err_t *check_name(const char *name) {
    blob_id_t id;
    uint64_t incarnation = 0;
    if (blob_object_parse(bytes_str(name), &id, &incarnation)) return NULL;
    return err_new(ERR_INTERNAL, "not the name of an object");
}

void blob_store_free(blob_store_t *store) {
    if (!store) return;
    mem_free(store->name);
    store->ops->free(store);
}

err_t *blob_store_put(blob_store_t *store, const char *name, const blob_source_t *source) {
    TRY(check_name(name));
    if (source->size > LIMIT_BLOB_OBJECT)
        return err_new(ERR_LIMIT, "an object may have %d bytes", LIMIT_BLOB_OBJECT);
    TRY_WRAP(store->ops->put(store, name, source), "store %s", store->name);
    return NULL;
}

err_t *blob_store_get(blob_store_t *store, const char *name, uint64_t offset, size_t n,
                      buf_t *out) {
    TRY(check_name(name));
    if (n > LIMIT_BLOB_OBJECT || offset > LIMIT_BLOB_OBJECT)
        return err_new(ERR_LIMIT, "an object may have %d bytes", LIMIT_BLOB_OBJECT);
    TRY_WRAP(store->ops->get(store, name, offset, n, out), "store %s", store->name);
    return NULL;
}

err_t *blob_store_look(blob_store_t *store, const char *name, bool *ret_found, uint64_t *ret_size) {
    TRY(check_name(name));
    TRY_WRAP(store->ops->look(store, name, ret_found, ret_size), "store %s", store->name);
    return NULL;
}

err_t *blob_store_remove(blob_store_t *store, const char *name) {
    TRY(check_name(name));
    TRY_WRAP(store->ops->remove(store, name), "store %s", store->name);
    return NULL;
}

err_t *blob_store_list(blob_store_t *store, const char *prefix, const char *after, size_t max,
                       blob_each_fn each, void *arg, bool *ret_more) {
    for (const char *c = prefix; *c; c++)
        if (digit((uint8_t)*c) < 0 && *c != '-')
            return err_new(ERR_INVALID, "no object's name begins with \"%s\"", prefix);
    if (*after) TRY(check_name(after));
    if (max < 1 || max > LIMIT_BLOB_PAGE)
        return err_new(ERR_USAGE, "a page has 1 to %d objects", LIMIT_BLOB_PAGE);
    TRY_WRAP(store->ops->list(store, prefix, after, max, each, arg, ret_more), "store %s",
             store->name);
    return NULL;
}
