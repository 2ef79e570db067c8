/*
 * What the plist files share among themselves: the node, and the text forms of scalars. Private
 * to src/format/plist*.c.
 */
#ifndef COFFER_FORMAT_PLIST_INTERNAL_H
#define COFFER_FORMAT_PLIST_INTERNAL_H

#include "base/arena.h"
#include "format/plist.h"

struct plist_doc {
    arena_t *arena;
    plist_t *root;
    size_t nodes; /* made so far, at most LIMIT_PLIST_NODES */
};

/* 48 bytes, so that LIMIT_PLIST_NODES of them fit LIMIT_PLIST_TREE with their texts. */
struct plist {
    plist_doc_t *doc;
    bytes_t key; /* in a dictionary, else none */
    uint32_t line;
    uint8_t type;  /* plist_type_t */
    bool attached; /* stands in a container or is the root */
    union {
        struct {
            plist_t **items; /* in the arena */
            uint32_t count;
            uint32_t room;
        } kids;        /* dict, array */
        bytes_t bytes; /* string, data */
        struct {
            uint64_t bits;
            bool negative; /* then bits are those of an int64_t */
        } integer;
        double real;
        bool boolean;
        int64_t date;
    };
};

/* A zeroed node that stands nowhere. ERR_LIMIT past LIMIT_PLIST_NODES. */
err_t *plist_node_new(plist_doc_t *doc, plist_type_t type, plist_t **ret_node) WARN_UNUSED;

static inline bool plist_is_container(const plist_t *node) {
    return node && (node->type == PLIST_DICT || node->type == PLIST_ARRAY);
}

/* Text forms, as they stand between the tags. */

/* Decimal or 0x hexadecimal, with sign; surrounding white space is skipped. */
err_t *plist_integer_parse(bytes_t text, uint64_t *ret_bits, bool *ret_negative) WARN_UNUSED;
/* Decimal with exponent, nan, inf, infinity. */
err_t *plist_real_parse(bytes_t text, double *ret_value) WARN_UNUSED;
/* YYYY-MM-DDThh:mm:ssZ, years 0000 to 9999. */
err_t *plist_date_parse(bytes_t text, int64_t *ret_unix) WARN_UNUSED;
/* The shortest decimal that reads back as the same number. */
err_t *plist_real_write(double value, buf_t *out) WARN_UNUSED;
err_t *plist_date_write(int64_t unix_seconds, buf_t *out) WARN_UNUSED;
/* ERR_INVALID unless it is UTF-8 of characters XML 1.0 can carry (section 2.2). */
err_t *plist_check_text(bytes_t text) WARN_UNUSED;

#endif
