/*
 * Building property lists: see plist.h. Everything lies in the document's arena, so a failed call
 * leaves the tree as it was. Any process, any thread.
 */
#include "base/limits.h"
#include "format/plist_internal.h"

enum { ROOM_FIRST = 4, ROOM_MAX = LIMIT_PLIST_NODES * 2 };

static err_t *append(plist_t *container, plist_t *node) {
    if (container->kids.count == container->kids.room) {
        uint32_t room = container->kids.room ? container->kids.room * 2 : ROOM_FIRST;
        plist_t **items = NULL;
        if (room > ROOM_MAX) return err_new(ERR_LIMIT, "too many values in one container");
        TRY(arena_alloc(container->doc->arena, room * sizeof(plist_t *), &items));
        if (container->kids.count)
            memcpy(items, container->kids.items, container->kids.count * sizeof(plist_t *));
        container->kids.items = items;
        container->kids.room = room;
    }
    container->kids.items[container->kids.count++] = node;
    return NULL;
}

/* `node` stands in a tree already, or belongs to another document: a defect of the caller. */
static err_t *check_free(const plist_t *container, plist_type_t type, const plist_t *node) {
    if (!container || container->type != type)
        return err_new(ERR_INTERNAL, "a value is set in something that is no %s",
                       plist_type_name(type));
    if (node->attached || node->doc != container->doc || node == container)
        return err_new(ERR_INTERNAL, "a property list node can stand in one place only");
    return NULL;
}

static err_t *put(plist_t *dict, const char *key, plist_t *node) {
    TRY(check_free(dict, PLIST_DICT, node));
    bytes_t wanted = bytes_str(key);
    for (uint32_t i = 0; i < dict->kids.count; i++) {
        plist_t *old = dict->kids.items[i];
        if (!bytes_eq(old->key, wanted)) continue;
        node->key = old->key;
        node->attached = true;
        old->attached = false;
        dict->kids.items[i] = node;
        return NULL;
    }
    TRY_WRAP(plist_check_text(wanted), "a property list key");
    bytes_t copy = BYTES_NONE;
    TRY(arena_copy(dict->doc->arena, wanted, &copy));
    TRY(append(dict, node));
    node->key = copy;
    node->attached = true;
    return NULL;
}

static err_t *add(plist_t *array, plist_t *node) {
    TRY(check_free(array, PLIST_ARRAY, node));
    TRY(append(array, node));
    node->attached = true;
    return NULL;
}

void plist_remove(plist_t *dict, const char *key) {
    plist_t *node = plist_get(dict, key);
    if (!node) return;
    uint32_t to = 0;
    for (uint32_t i = 0; i < dict->kids.count; i++)
        if (dict->kids.items[i] != node) dict->kids.items[to++] = dict->kids.items[i];
    dict->kids.count = to;
    node->attached = false;
}

err_t *plist_new_dict(plist_doc_t *doc, plist_t **ret_dict) {
    return plist_node_new(doc, PLIST_DICT, ret_dict);
}

err_t *plist_new_array(plist_doc_t *doc, plist_t **ret_array) {
    return plist_node_new(doc, PLIST_ARRAY, ret_array);
}

/* Values that stand nowhere yet. */

static err_t *new_bytes(plist_doc_t *doc, plist_type_t type, bytes_t bytes, plist_t **ret_node) {
    plist_t *node = NULL;
    if (type == PLIST_STRING) TRY(plist_check_text(bytes));
    TRY(plist_node_new(doc, type, &node));
    TRY(arena_copy(doc->arena, bytes, &node->bytes));
    *ret_node = node;
    return NULL;
}

static err_t *new_bool(plist_doc_t *doc, bool value, plist_t **ret_node) {
    TRY(plist_node_new(doc, PLIST_BOOLEAN, ret_node));
    (*ret_node)->boolean = value;
    return NULL;
}

static err_t *new_integer(plist_doc_t *doc, uint64_t bits, bool negative, plist_t **ret_node) {
    TRY(plist_node_new(doc, PLIST_INTEGER, ret_node));
    (*ret_node)->integer.bits = bits;
    (*ret_node)->integer.negative = negative;
    return NULL;
}

/* Recursion is bounded by the depth that a document may have anyway. */
static err_t *copy(plist_doc_t *doc, const plist_t *source, int depth, plist_t **ret_copy) {
    plist_t *node = NULL;
    TRY(plist_node_new(doc, plist_type(source), &node));
    switch (plist_type(source)) {
    case PLIST_STRING:
    case PLIST_DATA: TRY(arena_copy(doc->arena, source->bytes, &node->bytes)); break;
    case PLIST_INTEGER: node->integer = source->integer; break;
    case PLIST_REAL: node->real = source->real; break;
    case PLIST_BOOLEAN: node->boolean = source->boolean; break;
    case PLIST_DATE: node->date = source->date; break;
    case PLIST_DICT:
    case PLIST_ARRAY:
        if (depth >= LIMIT_PLIST_DEPTH)
            return err_new(ERR_LIMIT, "nested deeper than %d containers", (int)LIMIT_PLIST_DEPTH);
        for (uint32_t i = 0; i < source->kids.count; i++) {
            const plist_t *from = source->kids.items[i];
            plist_t *kid = NULL;
            TRY(copy(doc, from, depth + 1, &kid));
            if (source->type == PLIST_DICT) TRY(arena_copy(doc->arena, from->key, &kid->key));
            kid->attached = true;
            TRY(append(node, kid));
        }
        break;
    }
    *ret_copy = node;
    return NULL;
}

err_t *plist_copy(plist_doc_t *doc, const plist_t *source, plist_t **ret_copy) {
    return copy(doc, source, 0, ret_copy);
}

err_t *plist_set_string(plist_t *dict, const char *key, const char *text) {
    return plist_set_bytes_string(dict, key, bytes_str(text));
}

err_t *plist_set_bytes_string(plist_t *dict, const char *key, bytes_t text) {
    plist_t *node = NULL;
    TRY_WRAP(new_bytes(dict->doc, PLIST_STRING, text, &node), "key %s", key);
    return put(dict, key, node);
}

err_t *plist_set_data(plist_t *dict, const char *key, bytes_t data) {
    plist_t *node = NULL;
    TRY(new_bytes(dict->doc, PLIST_DATA, data, &node));
    return put(dict, key, node);
}

err_t *plist_set_bool(plist_t *dict, const char *key, bool value) {
    plist_t *node = NULL;
    TRY(new_bool(dict->doc, value, &node));
    return put(dict, key, node);
}

err_t *plist_set_int(plist_t *dict, const char *key, int64_t value) {
    plist_t *node = NULL;
    TRY(new_integer(dict->doc, (uint64_t)value, value < 0, &node));
    return put(dict, key, node);
}

err_t *plist_set_u64(plist_t *dict, const char *key, uint64_t value) {
    plist_t *node = NULL;
    TRY(new_integer(dict->doc, value, false, &node));
    return put(dict, key, node);
}

err_t *plist_set_real(plist_t *dict, const char *key, double value) {
    plist_t *node = NULL;
    TRY(plist_node_new(dict->doc, PLIST_REAL, &node));
    node->real = value;
    return put(dict, key, node);
}

err_t *plist_set_date(plist_t *dict, const char *key, int64_t unix_seconds) {
    static const int64_t year_0 = -62167219200, year_10000 = 253402300800;
    plist_t *node = NULL;
    if (unix_seconds < year_0 || unix_seconds >= year_10000)
        return err_new(ERR_INVALID, "key %s: a date outside of the years 0 to 9999", key);
    TRY(plist_node_new(dict->doc, PLIST_DATE, &node));
    node->date = unix_seconds;
    return put(dict, key, node);
}

err_t *plist_set_node(plist_t *dict, const char *key, plist_t *node) {
    return put(dict, key, node);
}

static err_t *set_container(plist_t *dict, const char *key, plist_type_t type, plist_t **ret) {
    plist_t *node = NULL;
    TRY(plist_node_new(dict->doc, type, &node));
    TRY(put(dict, key, node));
    *ret = node;
    return NULL;
}

err_t *plist_set_dict(plist_t *dict, const char *key, plist_t **ret_dict) {
    return set_container(dict, key, PLIST_DICT, ret_dict);
}

err_t *plist_set_array(plist_t *dict, const char *key, plist_t **ret_array) {
    return set_container(dict, key, PLIST_ARRAY, ret_array);
}

err_t *plist_set_copy(plist_t *dict, const char *key, const plist_t *source) {
    plist_t *node = NULL;
    TRY(plist_copy(dict->doc, source, &node));
    return put(dict, key, node);
}

err_t *plist_array_add_string(plist_t *array, const char *text) {
    return plist_array_add_bytes_string(array, bytes_str(text));
}

err_t *plist_array_add_bytes_string(plist_t *array, bytes_t text) {
    plist_t *node = NULL;
    TRY(new_bytes(array->doc, PLIST_STRING, text, &node));
    return add(array, node);
}

err_t *plist_array_add_data(plist_t *array, bytes_t data) {
    plist_t *node = NULL;
    TRY(new_bytes(array->doc, PLIST_DATA, data, &node));
    return add(array, node);
}

err_t *plist_array_add_bool(plist_t *array, bool value) {
    plist_t *node = NULL;
    TRY(new_bool(array->doc, value, &node));
    return add(array, node);
}

err_t *plist_array_add_int(plist_t *array, int64_t value) {
    plist_t *node = NULL;
    TRY(new_integer(array->doc, (uint64_t)value, value < 0, &node));
    return add(array, node);
}

err_t *plist_array_add_node(plist_t *array, plist_t *node) { return add(array, node); }

static err_t *add_container(plist_t *array, plist_type_t type, plist_t **ret) {
    plist_t *node = NULL;
    TRY(plist_node_new(array->doc, type, &node));
    TRY(add(array, node));
    *ret = node;
    return NULL;
}

err_t *plist_array_add_dict(plist_t *array, plist_t **ret_dict) {
    return add_container(array, PLIST_DICT, ret_dict);
}

err_t *plist_array_add_array(plist_t *array, plist_t **ret_array) {
    return add_container(array, PLIST_ARRAY, ret_array);
}

err_t *plist_array_add_copy(plist_t *array, const plist_t *source) {
    plist_t *node = NULL;
    TRY(plist_copy(array->doc, source, &node));
    return add(array, node);
}
