/*
 * Property list parser over expat (Apple's DTD "PLIST 1.0"). Events drive an explicit stack of
 * open containers, so that nesting costs no C stack; an error stops expat at once. A document
 * type declaration may name the DTD, but an internal subset is refused, and with it every entity
 * declaration. Pure; any process, any thread.
 */
#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/plist_internal.h"

typedef enum {
    EL_PLIST,
    EL_DICT,
    EL_ARRAY,
    EL_KEY,
    EL_STRING,
    EL_DATA,
    EL_INTEGER,
    EL_REAL,
    EL_TRUE,
    EL_FALSE,
    EL_DATE,
} element_t;

static const char *const element_names[] = {
    [EL_PLIST] = "plist",   [EL_DICT] = "dict",   [EL_ARRAY] = "array",     [EL_KEY] = "key",
    [EL_STRING] = "string", [EL_DATA] = "data",   [EL_INTEGER] = "integer", [EL_REAL] = "real",
    [EL_TRUE] = "true",     [EL_FALSE] = "false", [EL_DATE] = "date",
};

enum { ELEMENTS = sizeof element_names / sizeof element_names[0], NAME_SHOWN = 64 };

typedef struct {
    plist_t *node; /* NULL for the <plist> element itself */
    size_t first;  /* where its children begin in parser_t.nodes */
    bytes_t key;   /* read, its value not yet */
    bool has_key;
} frame_t;

typedef struct {
    XML_Parser xml;
    plist_doc_t *doc;
    err_t *error; /* the first; everything after it is ignored */
    frame_t frames[LIMIT_PLIST_DEPTH + 1];
    size_t depth;    /* open frames */
    plist_t **nodes; /* children of all open frames, in order */
    size_t count, room;
    bool in_leaf;
    element_t leaf;
    unsigned long leaf_line;
    buf_t text;   /* of the open leaf */
    buf_t binary; /* decoded data */
} parser_t;

static unsigned long line_of(const parser_t *p) {
    return (unsigned long)XML_GetCurrentLineNumber(p->xml);
}

static void fail(parser_t *p, err_t *e) {
    if (!e) return;
    if (p->error) {
        err_free(e);
        return;
    }
    p->error = err_wrap(e, "property list, line %lu", line_of(p));
    (void)XML_StopParser(p->xml, XML_FALSE);
}

static frame_t *top(parser_t *p) { return &p->frames[p->depth - 1]; }

static bool blank(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (!strchr(" \t\r\n", text.p[i]) || !text.p[i]) return false;
    return true;
}

/* Remembers the node as a child of the innermost open container. */
static err_t *attach(parser_t *p, plist_t *node, unsigned long line) {
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 64;
        plist_t **nodes = mem_resize(p->nodes, room * sizeof(plist_t *));
        if (!nodes) return err_nomem();
        p->nodes = nodes;
        p->room = room;
    }
    frame_t *frame = top(p);
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
static err_t *close_container(parser_t *p) {
    frame_t *frame = top(p);
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

static err_t *open_container(parser_t *p, element_t element) {
    plist_t *node = NULL;
    if (p->depth > LIMIT_PLIST_DEPTH)
        return err_new(ERR_LIMIT, "nested deeper than %d containers", (int)LIMIT_PLIST_DEPTH);
    if (element != EL_PLIST) {
        TRY(plist_node_new(p->doc, element == EL_DICT ? PLIST_DICT : PLIST_ARRAY, &node));
        TRY(attach(p, node, line_of(p)));
    }
    p->frames[p->depth++] = (frame_t){.node = node, .first = p->count};
    return NULL;
}

static err_t *find_element(const char *name, element_t *ret_element) {
    for (unsigned i = 0; i < ELEMENTS; i++)
        if (strcmp(name, element_names[i]) == 0) {
            *ret_element = (element_t)i;
            return NULL;
        }
    return err_new(ERR_INVALID, "unknown element <%.*s>", (int)NAME_SHOWN, name);
}

/* Whether the element may begin here. */
static err_t *check_place(parser_t *p, element_t element) {
    const char *name = element_names[element];
    if (p->in_leaf)
        return err_new(ERR_INVALID, "<%s> inside of <%s>", name, element_names[p->leaf]);
    if ((element == EL_PLIST) != (p->depth == 0))
        return err_new(ERR_INVALID,
                       element == EL_PLIST ? "<%s> inside of <plist>" : "<%s> outside of <plist>",
                       name);
    if (element == EL_PLIST) return NULL;
    frame_t *frame = top(p);
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

static err_t *begin(parser_t *p, const char *name, const char **attributes) {
    element_t element = EL_PLIST;
    TRY(find_element(name, &element));
    TRY(check_place(p, element));
    if (attributes[0] && (element != EL_PLIST || strcmp(attributes[0], "version") != 0 ||
                          strcmp(attributes[1], "1.0") != 0 || attributes[2]))
        return err_new(ERR_INVALID, "<%s> with an attribute; only <plist version=\"1.0\"> has one",
                       element_names[element]);
    if (element == EL_PLIST || element == EL_DICT || element == EL_ARRAY)
        return open_container(p, element);
    p->in_leaf = true;
    p->leaf = element;
    p->leaf_line = line_of(p);
    buf_clear(&p->text);
    return NULL;
}

static err_t *leaf_text(parser_t *p, plist_type_t type, bytes_t text, plist_t **ret_node) {
    plist_t *node = NULL;
    TRY(plist_node_new(p->doc, type, &node));
    TRY(arena_copy(p->doc->arena, text, &node->bytes));
    *ret_node = node;
    return NULL;
}

static err_t *leaf_data(parser_t *p, bytes_t text, plist_t **ret_node) {
    /* The URL alphabet, which text_unbase64 would take, is not Apple's. */
    if (bytes_find(text, '-') != text.n || bytes_find(text, '_') != text.n)
        return err_new(ERR_INVALID, "data is not base64");
    buf_clear(&p->binary);
    TRY(text_unbase64(text, &p->binary));
    return leaf_text(p, PLIST_DATA, buf_bytes(&p->binary), ret_node);
}

static err_t *leaf_boolean(parser_t *p, bytes_t text, plist_t **ret_node) {
    plist_t *node = NULL;
    if (!blank(text)) return err_new(ERR_INVALID, "text inside of <%s>", element_names[p->leaf]);
    TRY(plist_node_new(p->doc, PLIST_BOOLEAN, &node));
    node->boolean = p->leaf == EL_TRUE;
    *ret_node = node;
    return NULL;
}

static err_t *leaf_number(parser_t *p, bytes_t text, plist_type_t type, plist_t **ret_node) {
    plist_t *node = NULL;
    TRY(plist_node_new(p->doc, type, &node));
    if (type == PLIST_INTEGER)
        TRY(plist_integer_parse(text, &node->integer.bits, &node->integer.negative));
    else if (type == PLIST_REAL) TRY(plist_real_parse(text, &node->real));
    else TRY(plist_date_parse(text, &node->date));
    *ret_node = node;
    return NULL;
}

static err_t *end_leaf(parser_t *p) {
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

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes) {
    parser_t *p = data;
    if (!p->error) fail(p, begin(p, name, attributes));
}

static void XMLCALL on_end(void *data, const XML_Char *name) {
    parser_t *p = data;
    (void)name; /* expat has matched the tags */
    if (!p->error) fail(p, p->in_leaf ? end_leaf(p) : close_container(p));
}

static void XMLCALL on_text(void *data, const XML_Char *text, int length) {
    parser_t *p = data;
    bytes_t bytes = bytes_make(text, (size_t)length);
    if (p->error) return;
    if (p->in_leaf) fail(p, buf_add(&p->text, bytes));
    else if (!blank(bytes)) fail(p, err_new(ERR_INVALID, "text outside of a value"));
}

static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal_subset) {
    parser_t *p = data;
    (void)system_id, (void)public_id; /* never fetched */
    if (p->error) return;
    if (strcmp(name, "plist") != 0) fail(p, err_new(ERR_INVALID, "the document type is not plist"));
    else if (has_internal_subset)
        fail(p, err_new(ERR_INVALID, "a document type declaration of its own is refused"));
}

static void XMLCALL on_entity(void *data, const XML_Char *name, int is_parameter,
                              const XML_Char *value, int value_length, const XML_Char *base,
                              const XML_Char *system_id, const XML_Char *public_id,
                              const XML_Char *notation) {
    parser_t *p = data;
    (void)name, (void)is_parameter, (void)value, (void)value_length, (void)base, (void)system_id;
    (void)public_id, (void)notation;
    if (!p->error) fail(p, err_new(ERR_INVALID, "entity declarations are refused"));
}

/* With an external DTD named, an undeclared entity is skipped rather than an error. */
static void XMLCALL on_skipped(void *data, const XML_Char *name, int is_parameter) {
    parser_t *p = data;
    (void)name, (void)is_parameter;
    if (!p->error) fail(p, err_new(ERR_INVALID, "an undeclared entity"));
}

static int XMLCALL on_external(XML_Parser xml, const XML_Char *context, const XML_Char *base,
                               const XML_Char *system_id, const XML_Char *public_id) {
    (void)xml, (void)context, (void)base, (void)system_id, (void)public_id;
    return XML_STATUS_ERROR;
}

static err_t *run(parser_t *p, bytes_t xml) {
    XML_SetUserData(p->xml, p);
    XML_SetElementHandler(p->xml, on_start, on_end);
    XML_SetCharacterDataHandler(p->xml, on_text);
    XML_SetStartDoctypeDeclHandler(p->xml, on_doctype);
    XML_SetEntityDeclHandler(p->xml, on_entity);
    XML_SetSkippedEntityHandler(p->xml, on_skipped);
    XML_SetExternalEntityRefHandler(p->xml, on_external);
    enum XML_Status status = XML_Parse(p->xml, (const char *)xml.p, (int)xml.n, XML_TRUE);
    if (p->error) return STEAL(p->error);
    if (status == XML_STATUS_OK) return NULL;
    enum XML_Error code = XML_GetErrorCode(p->xml);
    if (code == XML_ERROR_NO_MEMORY) return err_nomem();
    return err_new(ERR_INVALID, "property list, line %lu: %s", line_of(p), XML_ErrorString(code));
}

err_t *plist_parse(bytes_t xml, plist_doc_t **ret_doc) {
    static const XML_Memory_Handling_Suite memory = {mem_alloc, mem_resize, mem_free};
    if (xml.n > LIMIT_PLIST_BYTES)
        return err_new(ERR_LIMIT, "a property list of %zu bytes, at most %d are allowed", xml.n,
                       (int)LIMIT_PLIST_BYTES);
    if (xml.n == 0) return err_new(ERR_INVALID, "an empty property list");
    if (bytes_starts(xml, BYTES_LIT("bplist")))
        return err_new(ERR_INVALID, "a binary property list; only XML is accepted");
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    TRY(plist_doc_new(&doc));
    parser_t *p = mem_zalloc(sizeof *p);
    if (!p) return err_nomem();
    p->doc = doc;
    /* UTF-16 input may grow by half as UTF-8. */
    buf_init(&p->text, (size_t)2 * LIMIT_PLIST_BYTES);
    buf_init(&p->binary, LIMIT_PLIST_BYTES);
    p->xml = XML_ParserCreate_MM(NULL, &memory, NULL);
    err_t *e = p->xml ? run(p, xml) : err_nomem();
    if (p->xml) XML_ParserFree(p->xml);
    buf_done(&p->text);
    buf_done(&p->binary);
    mem_free(p->nodes);
    mem_free(p);
    if (e) return e;
    if (!doc->root) return err_new(ERR_INTERNAL, "a property list without a root");
    *ret_doc = STEAL(doc);
    return NULL;
}

err_t *plist_parse_dict(bytes_t xml, plist_doc_t **ret_doc, plist_t **ret_dict) {
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    TRY(plist_parse(xml, &doc));
    if (doc->root->type != PLIST_DICT)
        return err_new(ERR_INVALID, "the property list's root must be a dict, it is a %s",
                       plist_type_name(plist_type(doc->root)));
    *ret_dict = doc->root;
    *ret_doc = STEAL(doc);
    return NULL;
}
