/*
 * One response of an IMAP server, literals and all: RFC 9051 section 9, RFC 3501, RFC 7162
 * (CONDSTORE, QRESYNC). Pure; what it hands out borrows from the response.
 */
#ifndef COFFER_BOX_IMAP_PARSE_H
#define COFFER_BOX_IMAP_PARSE_H

#include "base/buf.h"
#include "base/limits.h"

typedef enum {
    IMAP_OTHER,  /* nothing that matters here */
    IMAP_TAGGED, /* the end of a command: tag, outcome, text */
    IMAP_GO_ON,  /* "+" */
    IMAP_STATE,  /* untagged OK, NO, BAD, PREAUTH, BYE */
    IMAP_EXISTS,
    IMAP_FETCH,
    IMAP_SEARCH,
    IMAP_LIST,
    IMAP_CAPABILITY,
    IMAP_VANISHED,
} imap_kind_t;

typedef enum { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_PREAUTH, IMAP_BYE } imap_outcome_t;

typedef struct {
    imap_kind_t kind;
    bytes_t tag;
    imap_outcome_t outcome;
    bytes_t text;           /* for people, behind a code */
    uint32_t uidvalidity;   /* of a code; 0: none */
    uint64_t highestmodseq; /* of a code; 0: none */
    uint32_t exists;
    uint32_t uid, size; /* of FETCH; 0: not said */
    unsigned flags;     /* BOX_SEEN and so on */
    bool has_flags, has_message;
    bytes_t message;
    bytes_t list; /* SEARCH: numbers; CAPABILITY: words; VANISHED: a set */
    bool selectable;
    char name[LIMIT_BOX_FOLDER + 1]; /* of LIST */
} imap_response_t;

/* `response` ends behind its last CR LF or without it. ERR_INVALID, ERR_LIMIT. */
err_t *imap_parse(bytes_t response, imap_response_t *ret_response) WARN_UNUSED;
/* Whether a line (without its end) announces a literal, and of how many bytes. */
err_t *imap_parse_literal(bytes_t line, bool *ret_literal, size_t *ret_n) WARN_UNUSED;
/* The next of a list; false at its end. */
bool imap_next_word(bytes_t *words, bytes_t *ret_word);
/* The next number of SEARCH, or range of a set; *ret_found false at the end. */
err_t *imap_next_number(bytes_t *words, uint32_t *ret_number, bool *ret_found) WARN_UNUSED;
err_t *imap_next_range(bytes_t *set, uint32_t *ret_first, uint32_t *ret_last,
                       bool *ret_found) WARN_UNUSED;

#endif
