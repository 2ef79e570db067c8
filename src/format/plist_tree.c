/*
 * The tree of a property list from its elements and texts in order, whoever found them: see
 * plist_tree.h. An explicit stack of open containers, so that nesting costs no C stack.
 */
#include "format/plist_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static const char *const element_names[] = {
    [EL_PLIST] = "plist",   [EL_DICT] = "dict",   [EL_ARRAY] = "array",     [EL_KEY] = "key",
    [EL_STRING] = "string", [EL_DATA] = "data",   [EL_INTEGER] = "integer", [EL_REAL] = "real",
    [EL_TRUE] = "true",     [EL_FALSE] = "false", [EL_DATE] = "date",
};

enum { ELEMENTS = sizeof element_names / sizeof element_names[0], NAME_SHOWN = 64 };

static plist_frame_t *top(plist_tree_t *p) { return &p->frames[p->depth - 1]; }

static bool blank(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (!strchr(" \t\r\n", text.p[i]) || !text.p[i]) return false;
    return true;
}

/* Remembers the node as a child of the innermost open container. */
static err_t *attach(plist_tree_t *p, plist_t *node, unsigned long line) {
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 64;
        plist_t **nodes = mem_resize(p->nodes, room * sizeof(plist_t *));
        if (!nodes) return err_nomem();
        p->nodes = nodes;
        p->room = room;
    }
    plist_frame_t *frame = top(p);
    node->line = (uint32_t)line;
    node->attached = true;
    node->key = frame->key;
    frame->key = BYTES_NONE;
    frame->has_key = false;
    p->nodes[p->count++] = node;
    return NULL;
}

static int by_key(const void *a, const void *b) {
    bytes_t x = (*(plist_t *const *)a)->key, y = (*(plist_t *const *)b)->key;
    size_t n = x.n < y.n ? x.n : y.n;
    int order = n ? memcmp(x.p, y.p, n) : 0;
    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* Sorts the scratch copy of the children, so that a large dictionary costs n log n. */
static err_t *refuse_duplicates(plist_t **nodes, size_t count) {
    if (count < 2) return NULL;
    qsort(nodes, count, sizeof(plist_t *), by_key);
    for (size_t i = 1; i < count; i++) {
        bytes_t key = nodes[i]->key;
        if (!bytes_eq(nodes[i - 1]->key, key)) continue;
        return err_new(ERR_INVALID, "the key %.*s stands twice in a dict (lines %lu and %lu)",
                       (int)(key.n < NAME_SHOWN ? key.n : NAME_SHOWN), (const char *)key.p,
                       plist_line(nodes[i - 1]), plist_line(nodes[i]));
    }
    return NULL;
}

/* Moves the children of the innermost frame into its node. */
static err_t *close_container(plist_tree_t *p) {
    plist_frame_t *frame = top(p);
    size_t count = p->count - frame->first;
    if (frame->has_key) return err_new(ERR_INVALID, "a key without a value");
    if (!frame->node) {
        if (count == 0) return err_new(ERR_INVALID, "a property list without a value");
        p->doc->root = p->nodes[frame->first];
    } else if (count) {
        plist_t **items = NULL, **children = p->nodes + frame->first;
        TRY(arena_alloc(p->doc->arena, count * sizeof(plist_t *), &items));
        memcpy(items, children, count * sizeof(plist_t *));
        frame->node->kids.items = items;
        frame->node->kids.count = frame->node->kids.room = (uint32_t)count;
        if (frame->node->type == PLIST_DICT) TRY(refuse_duplicates(children, count));
    }
    p->count = frame->first;
    p->depth--;
    return NULL;
}

static err_t *open_container(plist_tree_t *p, plist_element_t element) {
    plist_t *node = NULL;
    if (p->depth > LIMIT_PLIST_DEPTH)
        return err_new(ERR_LIMIT, "nested deeper than %d containers", (int)LIMIT_PLIST_DEPTH);
    if (element != EL_PLIST) {
        TRY(plist_node_new(p->doc, element == EL_DICT ? PLIST_DICT : PLIST_ARRAY, &node));
        TRY(attach(p, node, p->line));
    }
    p->frames[p->depth++] = (plist_frame_t){.node = node, .first = p->count};
    return NULL;
}

static err_t *find_element(const char *name, plist_element_t *ret_element) {
    for (unsigned i = 0; i < ELEMENTS; i++)
        if (strcmp(name, element_names[i]) == 0) {
            *ret_element = (plist_element_t)i;
            return NULL;
        }
    return err_new(ERR_INVALID, "unknown element <%.*s>", (int)NAME_SHOWN, name);
}

/* Whether the element may begin here. */
static err_t *check_place(plist_tree_t *p, plist_element_t element) {
    const char *name = element_names[element];
    if (p->in_leaf)
        return err_new(ERR_INVALID, "<%s> inside of <%s>", name, element_names[p->leaf]);
    if ((element == EL_PLIST) != (p->depth == 0))
        return err_new(ERR_INVALID,
                       element == EL_PLIST ? "<%s> inside of <plist>" : "<%s> outside of <plist>",
                       name);
    if (element == EL_PLIST) return NULL;
    plist_frame_t *frame = top(p);
    bool in_dict = frame->node && frame->node->type == PLIST_DICT;
    if (element == EL_KEY) {
        if (!in_dict) return err_new(ERR_INVALID, "<key> outside of a dict");
        if (frame->has_key) return err_new(ERR_INVALID, "a key without a value");
    } else if (in_dict && !frame->has_key) {
        return err_new(ERR_INVALID, "<%s> without a key", name);
    } else if (!frame->node && p->count) {
        return err_new(ERR_INVALID, "more than one value in <plist>");
    }
    return NULL;
}

static err_t *leaf_text(plist_tree_t *p, plist_type_t type, bytes_t text, plist_t **ret_node) {
    plist_t *node = NULL;
    TRY(plist_node_new(p->doc, type, &node));
    TRY(arena_copy(p->doc->arena, text, &node->bytes));
    *ret_node = node;
    return NULL;
}

static err_t *leaf_data(plist_tree_t *p, bytes_t text, plist_t **ret_node) {
    /* The URL alphabet, which text_unbase64 would take, is not Apple's. */
    if (bytes_find(text, '-') != text.n || bytes_find(text, '_') != text.n)
        return err_new(ERR_INVALID, "data is not base64");
    buf_clear(&p->binary);
    TRY(text_unbase64(text, &p->binary));
    return leaf_text(p, PLIST_DATA, buf_bytes(&p->binary), ret_node);
}

static err_t *leaf_boolean(plist_tree_t *p, bytes_t text, plist_t **ret_node) {
    plist_t *node = NULL;
    if (!blank(text)) return err_new(ERR_INVALID, "text inside of <%s>", element_names[p->leaf]);
    TRY(plist_node_new(p->doc, PLIST_BOOLEAN, &node));
    node->boolean = p->leaf == EL_TRUE;
    *ret_node = node;
    return NULL;
}

static err_t *leaf_number(plist_tree_t *p, bytes_t text, plist_type_t type, plist_t **ret_node) {
    plist_t *node = NULL;
    TRY(plist_node_new(p->doc, type, &node));
    if (type == PLIST_INTEGER)
        TRY(plist_integer_parse(text, &node->integer.bits, &node->integer.negative));
    else if (type == PLIST_REAL) TRY(plist_real_parse(text, &node->real));
    else TRY(plist_date_parse(text, &node->date));
    *ret_node = node;
    return NULL;
}

static err_t *end_leaf(plist_tree_t *p) {
    bytes_t text = buf_bytes(&p->text);
    plist_t *node = NULL;
    p->in_leaf = false;
    switch (p->leaf) {
    case EL_KEY:
        TRY(arena_copy(p->doc->arena, text, &top(p)->key));
        top(p)->has_key = true;
        return NULL;
    case EL_STRING: TRY(leaf_text(p, PLIST_STRING, text, &node)); break;
    case EL_DATA: TRY(leaf_data(p, text, &node)); break;
    case EL_INTEGER: TRY(leaf_number(p, text, PLIST_INTEGER, &node)); break;
    case EL_REAL: TRY(leaf_number(p, text, PLIST_REAL, &node)); break;
    case EL_DATE: TRY(leaf_number(p, text, PLIST_DATE, &node)); break;
    case EL_TRUE:
    case EL_FALSE: TRY(leaf_boolean(p, text, &node)); break;
    case EL_PLIST:
    case EL_DICT:
    case EL_ARRAY: return err_new(ERR_INTERNAL, "a container taken for a leaf");
    }
    return attach(p, node, p->leaf_line);
}

void plist_tree_init(plist_tree_t *p, plist_doc_t *doc) {
    *p = (plist_tree_t){.doc = doc, .line = 1};
    /* UTF-16 input may grow by half as UTF-8. */
    buf_init(&p->text, (size_t)2 * LIMIT_PLIST_BYTES);
    buf_init(&p->binary, LIMIT_PLIST_BYTES);
}

void plist_tree_done(plist_tree_t *p) {
    buf_done(&p->text);
    buf_done(&p->binary);
    mem_free(p->nodes);
}

err_t *plist_tree_begin(plist_tree_t *p, const char *name, bool *ret_is_plist) {
    plist_element_t element = EL_PLIST;
    TRY(find_element(name, &element));
    TRY(check_place(p, element));
    *ret_is_plist = element == EL_PLIST;
    if (element == EL_PLIST || element == EL_DICT || element == EL_ARRAY)
        return open_container(p, element);
    p->in_leaf = true;
    p->leaf = element;
    p->leaf_line = p->line;
    buf_clear(&p->text);
    return NULL;
}

err_t *plist_tree_text(plist_tree_t *p, bytes_t text) {
    if (p->in_leaf) return buf_add(&p->text, text);
    return blank(text) ? NULL : err_new(ERR_INVALID, "text outside of a value");
}

err_t *plist_tree_end(plist_tree_t *p) { return p->in_leaf ? end_leaf(p) : close_container(p); }
