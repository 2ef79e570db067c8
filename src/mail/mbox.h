/*
 * Mailbox files (RFC 4155, and mboxo, mboxrd as they are in the wild) taken apart into messages
 * while they stream by, byte-exact: what the events give, put together, is the file. A message
 * begins with a line "From ..." at the file's beginning or behind an empty line. Pure; belongs to
 * one thread.
 */
#ifndef COFFER_MAIL_MBOX_H
#define COFFER_MAIL_MBOX_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct {
    /* The "From " line of the next message, its line end inclusive. */
    err_t *(*begin)(void *arg, bytes_t from_line);
    /* Bytes of the message, the empty line before the next one inclusive; quoting is left. */
    err_t *(*data)(void *arg, bytes_t data);
    void *arg;
} mbox_handler_t;

typedef struct mbox mbox_t;

/* handler is borrowed. */
err_t *mbox_new(const mbox_handler_t *handler, mbox_t **ret_mbox) WARN_UNUSED;
void mbox_free(mbox_t *mbox); /* takes NULL */
/* ERR_INVALID if the first bytes are no "From " line; ERR_LIMIT if one is longer than
 * LIMIT_MBOX_LINE. No further call after an error. */
err_t *mbox_feed(mbox_t *mbox, bytes_t data) WARN_UNUSED;
err_t *mbox_finish(mbox_t *mbox) WARN_UNUSED;

DEFINE_CLEANUP(mbox_t, mbox_free)

#endif
