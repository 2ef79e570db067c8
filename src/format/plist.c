/*
 * The tree of a property list and its reading: see plist.h. Any process, any thread.
 */
#include "format/plist.h"

#include "base/limits.h"
#include "base/mem.h"
#include "format/plist_internal.h"

err_t *plist_doc_new(plist_doc_t **ret_doc) {
    plist_doc_t *doc CLEANUP(plist_free) = mem_zalloc(sizeof *doc);
    if (!doc) return err_nomem();
    TRY(arena_new(LIMIT_PLIST_TREE, &doc->arena));
    *ret_doc = STEAL(doc);
    return NULL;
}

void plist_free(plist_doc_t *doc) {
    if (!doc) return;
    arena_free(doc->arena);
    mem_free(doc);
}

plist_t *plist_root(const plist_doc_t *doc) { return doc->root; }

err_t *plist_node_new(plist_doc_t *doc, plist_type_t type, plist_t **ret_node) {
    plist_t *node = NULL;
    if (doc->nodes >= LIMIT_PLIST_NODES)
        return err_new(ERR_LIMIT, "property list exceeds %d values", (int)LIMIT_PLIST_NODES);
    TRY(arena_alloc(doc->arena, sizeof *node, &node));
    doc->nodes++;
    node->doc = doc;
    node->type = (uint8_t)type;
    *ret_node = node;
    return NULL;
}

plist_type_t plist_type(const plist_t *node) { return (plist_type_t)node->type; }

const char *plist_type_name(plist_type_t type) {
    switch (type) {
    case PLIST_DICT: return "dict";
    case PLIST_ARRAY: return "array";
    case PLIST_STRING: return "string";
    case PLIST_DATA: return "data";
    case PLIST_INTEGER: return "integer";
    case PLIST_REAL: return "real";
    case PLIST_BOOLEAN: return "boolean";
    case PLIST_DATE: return "date";
    }
    return "unknown";
}

bytes_t plist_key(const plist_t *node) { return node->key; }

unsigned long plist_line(const plist_t *node) { return node->line; }

plist_t *plist_get(const plist_t *dict, const char *key) {
    if (!dict || dict->type != PLIST_DICT) return NULL;
    bytes_t wanted = bytes_str(key);
    for (uint32_t i = 0; i < dict->kids.count; i++)
        if (bytes_eq(dict->kids.items[i]->key, wanted)) return dict->kids.items[i];
    return NULL;
}

size_t plist_count(const plist_t *container) {
    return plist_is_container(container) ? container->kids.count : 0;
}

plist_t *plist_at(const plist_t *container, size_t index) {
    return index < plist_count(container) ? container->kids.items[index] : NULL;
}

static err_t *wrong(const plist_t *node, const char *what) {
    if (!node->line) return err_new(ERR_INVALID, "%s", what);
    return err_new(ERR_INVALID, "line %lu: %s", plist_line(node), what);
}

static err_t *expect(const plist_t *node, plist_type_t type) {
    if (node->type == type) return NULL;
    if (!node->line)
        return err_new(ERR_INVALID, "expected %s, found %s", plist_type_name(type),
                       plist_type_name(plist_type(node)));
    return err_new(ERR_INVALID, "line %lu: expected %s, found %s", plist_line(node),
                   plist_type_name(type), plist_type_name(plist_type(node)));
}

static err_t *expect_bytes(const plist_t *node, plist_type_t type, size_t max, bytes_t *ret) {
    TRY(expect(node, type));
    if (node->bytes.n > max)
        return err_new(ERR_LIMIT, "%s of %zu bytes, at most %zu are allowed", plist_type_name(type),
                       node->bytes.n, max);
    *ret = node->bytes;
    return NULL;
}

err_t *plist_string(const plist_t *node, size_t max, bytes_t *ret_text) {
    return expect_bytes(node, PLIST_STRING, max, ret_text);
}

err_t *plist_data(const plist_t *node, size_t max, bytes_t *ret_data) {
    return expect_bytes(node, PLIST_DATA, max, ret_data);
}

err_t *plist_int(const plist_t *node, int64_t min, int64_t max, int64_t *ret_value) {
    TRY(expect(node, PLIST_INTEGER));
    bool fits = node->integer.negative || node->integer.bits <= INT64_MAX;
    int64_t value = (int64_t)node->integer.bits;
    if (!fits || value < min || value > max)
        return err_new(ERR_INVALID, "the integer must be from %lld to %lld", (long long)min,
                       (long long)max);
    *ret_value = value;
    return NULL;
}

err_t *plist_u64(const plist_t *node, uint64_t *ret_value) {
    TRY(expect(node, PLIST_INTEGER));
    if (node->integer.negative) return wrong(node, "the integer must not be negative");
    *ret_value = node->integer.bits;
    return NULL;
}

err_t *plist_real(const plist_t *node, double *ret_value) {
    if (node->type == PLIST_INTEGER) {
        *ret_value = node->integer.negative ? (double)(int64_t)node->integer.bits
                                            : (double)node->integer.bits;
        return NULL;
    }
    TRY(expect(node, PLIST_REAL));
    *ret_value = node->real;
    return NULL;
}

err_t *plist_bool(const plist_t *node, bool *ret_value) {
    TRY(expect(node, PLIST_BOOLEAN));
    *ret_value = node->boolean;
    return NULL;
}

err_t *plist_date(const plist_t *node, int64_t *ret_unix) {
    TRY(expect(node, PLIST_DATE));
    *ret_unix = node->date;
    return NULL;
}

/* Finds the value; *ret_node is NULL when it is absent and may be. */
static err_t *find(const plist_t *dict, const char *key, bool required, plist_t **ret_node) {
    if (!dict || dict->type != PLIST_DICT)
        return err_new(ERR_INVALID, "expected a dict with the key %s", key);
    plist_t *node = plist_get(dict, key);
    if (!node && required) return err_new(ERR_INVALID, "the key %s is missing", key);
    *ret_node = node;
    return NULL;
}

err_t *plist_get_string(const plist_t *dict, const char *key, size_t max, bool required,
                        bytes_t *ret_text) {
    plist_t *node = NULL;
    TRY(find(dict, key, required, &node));
    if (node) TRY_WRAP(plist_string(node, max, ret_text), "key %s", key);
    return NULL;
}

err_t *plist_get_data(const plist_t *dict, const char *key, size_t max, bool required,
                      bytes_t *ret_data) {
    plist_t *node = NULL;
    TRY(find(dict, key, required, &node));
    if (node) TRY_WRAP(plist_data(node, max, ret_data), "key %s", key);
    return NULL;
}

err_t *plist_get_int(const plist_t *dict, const char *key, int64_t min, int64_t max, bool required,
                     int64_t *ret_value) {
    plist_t *node = NULL;
    TRY(find(dict, key, required, &node));
    if (node) TRY_WRAP(plist_int(node, min, max, ret_value), "key %s", key);
    return NULL;
}

err_t *plist_get_real(const plist_t *dict, const char *key, bool required, double *ret_value) {
    plist_t *node = NULL;
    TRY(find(dict, key, required, &node));
    if (node) TRY_WRAP(plist_real(node, ret_value), "key %s", key);
    return NULL;
}

err_t *plist_get_bool(const plist_t *dict, const char *key, bool required, bool *ret_value) {
    plist_t *node = NULL;
    TRY(find(dict, key, required, &node));
    if (node) TRY_WRAP(plist_bool(node, ret_value), "key %s", key);
    return NULL;
}

err_t *plist_get_date(const plist_t *dict, const char *key, bool required, int64_t *ret_unix) {
    plist_t *node = NULL;
    TRY(find(dict, key, required, &node));
    if (node) TRY_WRAP(plist_date(node, ret_unix), "key %s", key);
    return NULL;
}

static err_t *get_container(const plist_t *dict, const char *key, plist_type_t type, bool required,
                            plist_t **ret_node) {
    plist_t *node = NULL;
    TRY(find(dict, key, required, &node));
    if (!node) return NULL;
    TRY_WRAP(expect(node, type), "key %s", key);
    *ret_node = node;
    return NULL;
}

err_t *plist_get_dict(const plist_t *dict, const char *key, bool required, plist_t **ret_dict) {
    return get_container(dict, key, PLIST_DICT, required, ret_dict);
}

err_t *plist_get_array(const plist_t *dict, const char *key, bool required, plist_t **ret_array) {
    return get_container(dict, key, PLIST_ARRAY, required, ret_array);
}
