/*
 * XML property lists, Apple's DTD "PLIST 1.0" (plist(5)): what profiles, MDM messages and
 * over-the-air enrolment are written in. A reader for foreign bytes and a deterministic writer.
 *
 * A plist_doc_t owns every node, key and byte of its tree: nothing of it outlives plist_free,
 * and no node is freed alone. Pure, no I/O. Not thread-safe; a document that nobody changes may
 * be read by several threads.
 */
#ifndef COFFER_FORMAT_PLIST_H
#define COFFER_FORMAT_PLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

typedef enum {
    PLIST_DICT,
    PLIST_ARRAY,
    PLIST_STRING,  /* UTF-8 */
    PLIST_DATA,    /* bytes */
    PLIST_INTEGER, /* -2^63 to 2^64-1 */
    PLIST_REAL,
    PLIST_BOOLEAN,
    PLIST_DATE, /* whole seconds, UTC */
} plist_type_t;

typedef struct plist plist_t;         /* a node; owned by its document */
typedef struct plist_doc plist_doc_t; /* the owner */

/* Lifecycle. */

/*
 * Reads one XML property list (UTF-8 or UTF-16). Refused with ERR_INVALID, naming the line: bad
 * XML, binary property lists, an internal DTD subset and with it any entity declaration, unknown
 * elements and attributes, duplicate keys, keys without value, text outside of values. ERR_LIMIT
 * past LIMIT_PLIST_BYTES, _DEPTH, _NODES or _TREE. `xml` is not needed afterwards.
 */
err_t *plist_parse(bytes_t xml, plist_doc_t **ret_doc) WARN_UNUSED;
/* The same; the root must be a dictionary. */
err_t *plist_parse_dict(bytes_t xml, plist_doc_t **ret_doc, plist_t **ret_dict) WARN_UNUSED;
/* An empty document to build in. */
err_t *plist_doc_new(plist_doc_t **ret_doc) WARN_UNUSED;
void plist_free(plist_doc_t *doc); /* takes NULL */

/* What was parsed; NULL in a document that was built. */
plist_t *plist_root(const plist_doc_t *doc);

DEFINE_CLEANUP(plist_doc_t, plist_free)

/* Reading. Text and data returned lie in the document, with a NUL behind them (not counted). */

plist_type_t plist_type(const plist_t *node);
const char *plist_type_name(plist_type_t type); /* the element's name: "dict", "string", ... */
/* The key under which the node stands in its dictionary; none elsewhere. */
bytes_t plist_key(const plist_t *node);
/* The line it was read from, from 1; 0 if it was built. */
unsigned long plist_line(const plist_t *node);

/* The value under `key`; NULL if there is none or `dict` is no dictionary. Linear. */
plist_t *plist_get(const plist_t *dict, const char *key);
/* Entries of a dictionary or elements of an array; 0 for other nodes. */
size_t plist_count(const plist_t *container);
/* Entry or element at `index`, in document order; NULL past the end. Constant time. */
plist_t *plist_at(const plist_t *container, size_t index);
static inline size_t plist_array_count(const plist_t *array) { return plist_count(array); }
static inline plist_t *plist_array_at(const plist_t *array, size_t index) {
    return plist_at(array, index);
}

/* The node's own value; ERR_INVALID if it is of another type. `max` is in bytes. */
err_t *plist_string(const plist_t *node, size_t max, bytes_t *ret_text) WARN_UNUSED;
err_t *plist_data(const plist_t *node, size_t max, bytes_t *ret_data) WARN_UNUSED;
err_t *plist_int(const plist_t *node, int64_t min, int64_t max, int64_t *ret_value) WARN_UNUSED;
err_t *plist_u64(const plist_t *node, uint64_t *ret_value) WARN_UNUSED;
err_t *plist_real(const plist_t *node, double *ret_value) WARN_UNUSED; /* integers too */
err_t *plist_bool(const plist_t *node, bool *ret_value) WARN_UNUSED;
err_t *plist_date(const plist_t *node, int64_t *ret_unix) WARN_UNUSED;

/*
 * The value under a key. Absent and `required`: ERR_INVALID naming the key. Absent and not
 * required: success, and *ret_x stays as it was, so preset the default. Present but of another
 * type or out of bounds: ERR_INVALID or ERR_LIMIT, naming key and line. Presence is all that
 * `required` means: an empty string is a string.
 */
err_t *plist_get_string(const plist_t *dict, const char *key, size_t max, bool required,
                        bytes_t *ret_text) WARN_UNUSED;
err_t *plist_get_data(const plist_t *dict, const char *key, size_t max, bool required,
                      bytes_t *ret_data) WARN_UNUSED;
err_t *plist_get_int(const plist_t *dict, const char *key, int64_t min, int64_t max, bool required,
                     int64_t *ret_value) WARN_UNUSED;
err_t *plist_get_real(const plist_t *dict, const char *key, bool required,
                      double *ret_value) WARN_UNUSED;
err_t *plist_get_bool(const plist_t *dict, const char *key, bool required,
                      bool *ret_value) WARN_UNUSED;
err_t *plist_get_date(const plist_t *dict, const char *key, bool required,
                      int64_t *ret_unix) WARN_UNUSED;
err_t *plist_get_dict(const plist_t *dict, const char *key, bool required,
                      plist_t **ret_dict) WARN_UNUSED;
err_t *plist_get_array(const plist_t *dict, const char *key, bool required,
                       plist_t **ret_array) WARN_UNUSED;

/*
 * Building. Everything given is copied. Setting a key that exists replaces its value in place.
 * Text and keys must be UTF-8 of characters XML can carry (ERR_INVALID). The document's total
 * is limited by LIMIT_PLIST_TREE (ERR_LIMIT); memory of replaced values is freed with it.
 */

/* A container of `doc` that stands nowhere yet. */
err_t *plist_new_dict(plist_doc_t *doc, plist_t **ret_dict) WARN_UNUSED;
err_t *plist_new_array(plist_doc_t *doc, plist_t **ret_array) WARN_UNUSED;
/* A deep copy of `source`, of whatever document, in `doc`; it stands nowhere yet. */
err_t *plist_copy(plist_doc_t *doc, const plist_t *source, plist_t **ret_copy) WARN_UNUSED;

err_t *plist_set_string(plist_t *dict, const char *key, const char *text) WARN_UNUSED;
err_t *plist_set_bytes_string(plist_t *dict, const char *key, bytes_t text) WARN_UNUSED;
err_t *plist_set_data(plist_t *dict, const char *key, bytes_t data) WARN_UNUSED;
err_t *plist_set_bool(plist_t *dict, const char *key, bool value) WARN_UNUSED;
err_t *plist_set_int(plist_t *dict, const char *key, int64_t value) WARN_UNUSED;
err_t *plist_set_u64(plist_t *dict, const char *key, uint64_t value) WARN_UNUSED;
err_t *plist_set_real(plist_t *dict, const char *key, double value) WARN_UNUSED;
/* Years 0 to 9999. */
err_t *plist_set_date(plist_t *dict, const char *key, int64_t unix_seconds) WARN_UNUSED;
/* `node` must be of the same document and stand nowhere yet (ERR_INTERNAL). */
err_t *plist_set_node(plist_t *dict, const char *key, plist_t *node) WARN_UNUSED;
/* A fresh dictionary or array under `key`. */
err_t *plist_set_dict(plist_t *dict, const char *key, plist_t **ret_dict) WARN_UNUSED;
err_t *plist_set_array(plist_t *dict, const char *key, plist_t **ret_array) WARN_UNUSED;
/* A deep copy of `source`, of whatever document, under `key`. */
err_t *plist_set_copy(plist_t *dict, const char *key, const plist_t *source) WARN_UNUSED;
/* Takes the entry out, if there is one. */
void plist_remove(plist_t *dict, const char *key);

err_t *plist_array_add_string(plist_t *array, const char *text) WARN_UNUSED;
err_t *plist_array_add_bytes_string(plist_t *array, bytes_t text) WARN_UNUSED;
err_t *plist_array_add_data(plist_t *array, bytes_t data) WARN_UNUSED;
err_t *plist_array_add_bool(plist_t *array, bool value) WARN_UNUSED;
err_t *plist_array_add_int(plist_t *array, int64_t value) WARN_UNUSED;
err_t *plist_array_add_node(plist_t *array, plist_t *node) WARN_UNUSED;
err_t *plist_array_add_dict(plist_t *array, plist_t **ret_dict) WARN_UNUSED;
err_t *plist_array_add_array(plist_t *array, plist_t **ret_array) WARN_UNUSED;
err_t *plist_array_add_copy(plist_t *array, const plist_t *source) WARN_UNUSED;

/*
 * Writing. Appends `node` as a whole document in Apple's own layout (header, DOCTYPE, tabs,
 * wrapped base64). The same tree gives the same bytes, entries stay in their order, and what is
 * written parses to the same tree. ERR_LIMIT past LIMIT_PLIST_DEPTH or out's maximum.
 */
err_t *plist_write(const plist_t *node, buf_t *out) WARN_UNUSED;
/*
 * For putting what plist_write wrote into another document without reading it: the element alone,
 * in lines of its own. False if `xml` is in any other layout.
 */
bool plist_written_element(bytes_t xml, bytes_t *ret_element);
/* What stands before and after the element of a document. */
err_t *plist_write_head(buf_t *out) WARN_UNUSED;
err_t *plist_write_tail(buf_t *out) WARN_UNUSED;

#endif
