/*
 * The plain form of a property list, read without expat: UTF-8, Apple's own header or parts of it,
 * elements without blanks or attributes in their tags, text without references; no comments, CDATA
 * or processing instructions, no carriage returns. It is what phones and we ourselves send.
 * Whatever differs is left to expat: see plist_tree.h. Pure; any process, any thread.
 */
#include <string.h>

#include "base/mem.h"
#include "format/plist_tree.h"

enum { NAME_MAX_LENGTH = 8 }; /* "integer" and NUL */

typedef struct {
    bytes_t rest;
    plist_tree_t tree;
    char names[LIMIT_PLIST_DEPTH + 2][NAME_MAX_LENGTH]; /* of the open elements */
    size_t open;
} lean_t;

static bool skip(lean_t *p, bytes_t text) {
    if (!bytes_starts(p->rest, text)) return false;
    p->rest = bytes_from(p->rest, text.n);
    return true;
}

static void skip_blanks(lean_t *p) {
    while (p->rest.n) {
        uint8_t c = p->rest.p[0];
        if (c == '\n') p->tree.line++;
        else if (c != ' ' && c != '\t') return;
        p->rest = bytes_from(p->rest, 1);
    }
}

static void skip_head(lean_t *p) {
    static const char doctype[] = "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
                                  "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">";
    (void)skip(p, BYTES_LIT("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    skip_blanks(p);
    (void)skip(p, BYTES_LIT(doctype));
    skip_blanks(p);
}

/* Text up to the next tag; false if it has what only expat may judge. */
static bool take_text(lean_t *p, bytes_t *ret_text) {
    const uint8_t *end = p->rest.n ? memchr(p->rest.p, '<', p->rest.n) : NULL;
    bool high = false;
    if (!end) return false;
    bytes_t text = bytes_slice(p->rest, 0, (size_t)(end - p->rest.p));
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '\n') p->tree.line++;
        else if (c == '&' || c == ']' || (c < 0x20 && c != '\t')) return false;
        high |= c >= 0x80;
    }
    if (high) {
        err_t *e = plist_check_text(text);
        err_free(e);
        if (e) return false;
    }
    p->rest = bytes_from(p->rest, text.n);
    *ret_text = text;
    return true;
}

/* After '<': the tag's name, and what ends it: '>' or "/>". */
static bool take_name(lean_t *p, char name[NAME_MAX_LENGTH], bool *ret_empty) {
    size_t n = 0;
    while (n < p->rest.n && n < NAME_MAX_LENGTH && p->rest.p[n] >= 'a' && p->rest.p[n] <= 'z') n++;
    if (n == 0 || n == NAME_MAX_LENGTH) return false;
    memcpy(name, p->rest.p, n);
    name[n] = '\0';
    p->rest = bytes_from(p->rest, n);
    *ret_empty = skip(p, BYTES_LIT("/"));
    return skip(p, BYTES_LIT(">"));
}

/* False: not for us. An error is the tree's. */
static err_t *open_element(lean_t *p, bool *ret_ok) {
    char name[NAME_MAX_LENGTH];
    bool empty = false, is_plist = false, first = p->open == 0;
    *ret_ok = false;
    if (first) {
        if (!skip(p, BYTES_LIT("plist version=\"1.0\">"))) return NULL;
        memcpy(name, "plist", sizeof "plist");
    } else if (!take_name(p, name, &empty)) {
        return NULL;
    }
    if (p->open == sizeof p->names / sizeof p->names[0]) return NULL;
    TRY(plist_tree_begin(&p->tree, name, &is_plist));
    if (empty) TRY(plist_tree_end(&p->tree));
    else memcpy(p->names[p->open++], name, sizeof name);
    *ret_ok = true;
    return NULL;
}

static err_t *close_element(lean_t *p, bool *ret_ok) {
    char name[NAME_MAX_LENGTH];
    bool empty = false;
    *ret_ok = false;
    if (!take_name(p, name, &empty) || empty || p->open == 0) return NULL;
    if (strcmp(name, p->names[p->open - 1]) != 0) return NULL;
    TRY(plist_tree_end(&p->tree));
    p->open--;
    *ret_ok = true;
    return NULL;
}

static err_t *read_all(lean_t *p, bool *ret_done) {
    bytes_t text;
    bool ok = true, begun = false;
    skip_head(p);
    while (ok && !(begun && p->open == 0)) {
        if (begun) {
            if (!take_text(p, &text)) return NULL;
            if (text.n) TRY(plist_tree_text(&p->tree, text));
        }
        if (skip(p, BYTES_LIT("</"))) TRY(close_element(p, &ok));
        else if (skip(p, BYTES_LIT("<"))) TRY(open_element(p, &ok));
        else ok = false;
        begun = true;
    }
    skip_blanks(p);
    *ret_done = ok && p->rest.n == 0 && p->tree.doc->root;
    return NULL;
}

err_t *plist_parse_lean(bytes_t xml, plist_doc_t *doc, bool *ret_done) {
    lean_t *p = mem_zalloc(sizeof *p);
    if (!p) return err_nomem();
    p->rest = xml;
    plist_tree_init(&p->tree, doc);
    bool done = false;
    err_t *e = read_all(p, &done);
    plist_tree_done(&p->tree);
    mem_free(p);
    if (e && err_code(e) == ERR_NOMEM) return e;
    *ret_done = !e && done;
    err_free(e);
    return NULL;
}
