/*
 * Makes the tree of a property list from its elements and texts, in order. For plist_parse.c (by
 * expat) and plist_lean.c (the plain form) only.
 */
#ifndef COFFER_FORMAT_PLIST_TREE_H
#define COFFER_FORMAT_PLIST_TREE_H

#include "base/limits.h"
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
} plist_element_t;

typedef struct {
    plist_t *node; /* NULL for the <plist> element itself */
    size_t first;  /* where its children begin in plist_tree_t.nodes */
    bytes_t key;   /* read, its value not yet */
    bool has_key;
} plist_frame_t;

typedef struct {
    plist_doc_t *doc;
    unsigned long line; /* where the reader is: the caller's to keep */
    plist_frame_t frames[LIMIT_PLIST_DEPTH + 1];
    size_t depth;    /* open frames */
    plist_t **nodes; /* children of all open frames, in order */
    size_t count, room;
    bool in_leaf;
    plist_element_t leaf;
    unsigned long leaf_line;
    buf_t text;   /* of the open leaf */
    buf_t binary; /* decoded data */
} plist_tree_t;

/* doc is borrowed: its nodes are made there, and its root is set when <plist> ends. */
void plist_tree_init(plist_tree_t *p, plist_doc_t *doc);
void plist_tree_done(plist_tree_t *p);
/* ERR_INVALID, ERR_LIMIT: what is wrong, without the line. */
err_t *plist_tree_begin(plist_tree_t *p, const char *name, bool *ret_is_plist) WARN_UNUSED;
err_t *plist_tree_text(plist_tree_t *p, bytes_t text) WARN_UNUSED;
err_t *plist_tree_end(plist_tree_t *p) WARN_UNUSED; /* of the innermost element */

/*
 * plist_lean.c: the tree of a property list in the plain form that Apple's tools and ours write.
 * *ret_done false: some other form, or not right; expat has to look, and says what is wrong. Only
 * ERR_NOMEM comes back. Says yes only where plist_parse by expat would, with the same tree.
 */
err_t *plist_parse_lean(bytes_t xml, plist_doc_t *doc, bool *ret_done) WARN_UNUSED;
/* plist_parse.c: the same by expat alone, for tests that compare. */
err_t *plist_parse_expat(bytes_t xml, plist_doc_t **ret_doc) WARN_UNUSED;

#endif
