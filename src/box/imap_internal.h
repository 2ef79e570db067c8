/*
 * What imap.c and imap_fetch.c share.
 */
#ifndef COFFER_BOX_IMAP_INTERNAL_H
#define COFFER_BOX_IMAP_INTERNAL_H

#include "box/imap.h"
#include "box/imap_parse.h"

struct imap {
    box_wire_t *wire;
    buf_t in;       /* bytes that came and weren't read yet */
    size_t at;      /* of them are read */
    buf_t response; /* the one that is looked at */
    uint64_t tag;
    uint32_t selected, exists; /* messages when the folder was selected, and now */
    bool condstore, qresync, idle, move, sasl_ir, can_enable, has_xoauth2, has_bearer;
    bool idling;
};

/* Called with each untagged response; it borrows. May be NULL. */
typedef err_t *(*imap_on_t)(void *arg, const imap_response_t *response);
/*
 * Sends a command and reads to its end. `literal` (may be none) goes behind it when the server asks
 * for it. ERR_UNAVAILABLE with the server's words if it says NO.
 */
err_t *imap_run(imap_t *imap, bytes_t command, bytes_t literal, imap_on_t on,
                void *arg) WARN_UNUSED;
/* Appends a quoted string; ERR_INVALID for what can't be one. */
err_t *imap_put_quoted(buf_t *out, const char *text) WARN_UNUSED;

#endif
