/*
 * Address lists of header fields: RFC 5322 section 3.4 with the obsolete forms (routes, comments,
 * white space anywhere), RFC 6532 (UTF-8). Who a message is from is decided by this: when a field
 * can be read in two ways it says so instead of choosing. Pure.
 */
#ifndef COFFER_FORMAT_MIME_ADDRESS_H
#define COFFER_FORMAT_MIME_ADDRESS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct {
    bytes_t display;       /* UTF-8, encoded words decoded; none if there is no name */
    bytes_t address;       /* local@domain, comments and quotes that aren't needed taken out */
    bytes_t local, domain; /* of it, as written */
} mime_address_t;

typedef struct {
    mime_address_t *at;
    size_t n;
    bool bad; /* something in the field is no address: don't build trust on it */
} mime_addresses_t;

/* Texts are the arena's. ERR_LIMIT past LIMIT_MAIL_ADDRESSES. Groups give their members. */
err_t *mime_addresses_read(arena_t *arena, bytes_t value, mime_addresses_t *ret_list) WARN_UNUSED;
/* The same mailbox: domains in any case; local parts too, as mail systems do (ASCII). */
bool mime_address_eq(bytes_t a, bytes_t b);

#endif
