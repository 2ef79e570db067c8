/*
 * Property list parser (Apple's DTD "PLIST 1.0"). The plain form is read by plist_lean.c; all else
 * by expat, whose events drive plist_tree.c; an error stops expat at once. A document type
 * declaration may name the DTD, but an internal subset is refused, and with it every entity
 * declaration. Pure; any process, any thread.
 */
#include <expat.h>
#include <string.h>

#include "base/mem.h"
#include "format/plist_tree.h"

typedef struct {
    XML_Parser xml;
    err_t *error; /* the first; everything after it is ignored */
    plist_tree_t tree;
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

static err_t *begin(parser_t *p, const char *name, const char **attributes) {
    bool is_plist = false;
    p->tree.line = line_of(p);
    TRY(plist_tree_begin(&p->tree, name, &is_plist));
    if (attributes[0] && (!is_plist || strcmp(attributes[0], "version") != 0 ||
                          strcmp(attributes[1], "1.0") != 0 || attributes[2]))
        return err_new(ERR_INVALID, "<%s> with an attribute; only <plist version=\"1.0\"> has one",
                       name);
    return NULL;
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes) {
    parser_t *p = data;
    if (!p->error) fail(p, begin(p, name, attributes));
}

static void XMLCALL on_end(void *data, const XML_Char *name) {
    parser_t *p = data;
    (void)name; /* expat has matched the tags */
    if (!p->error) fail(p, plist_tree_end(&p->tree));
}

static void XMLCALL on_text(void *data, const XML_Char *text, int length) {
    parser_t *p = data;
    if (!p->error) fail(p, plist_tree_text(&p->tree, bytes_make(text, (size_t)length)));
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

static err_t *check_size(bytes_t xml) {
    if (xml.n > LIMIT_PLIST_BYTES)
        return err_new(ERR_LIMIT, "a property list of %zu bytes, at most %d are allowed", xml.n,
                       (int)LIMIT_PLIST_BYTES);
    if (xml.n == 0) return err_new(ERR_INVALID, "an empty property list");
    if (bytes_starts(xml, BYTES_LIT("bplist")))
        return err_new(ERR_INVALID, "a binary property list; only XML is accepted");
    return NULL;
}

err_t *plist_parse_expat(bytes_t xml, plist_doc_t **ret_doc) {
    static const XML_Memory_Handling_Suite memory = {mem_alloc, mem_resize, mem_free};
    TRY(check_size(xml));
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    TRY(plist_doc_new(&doc));
    parser_t *p = mem_zalloc(sizeof *p);
    if (!p) return err_nomem();
    plist_tree_init(&p->tree, doc);
    p->xml = XML_ParserCreate_MM(NULL, &memory, NULL);
    err_t *e = p->xml ? run(p, xml) : err_nomem();
    if (p->xml) XML_ParserFree(p->xml);
    plist_tree_done(&p->tree);
    mem_free(p);
    if (e) return e;
    if (!doc->root) return err_new(ERR_INTERNAL, "a property list without a root");
    *ret_doc = STEAL(doc);
    return NULL;
}

err_t *plist_parse(bytes_t xml, plist_doc_t **ret_doc) {
    bool done = false;
    TRY(check_size(xml));
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_parse_lean(xml, doc, &done));
    if (!done) return plist_parse_expat(xml, ret_doc);
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
