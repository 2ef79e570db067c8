/*
 * Passwords of mailboxes that are watched: see intents.h.
 */
#ifndef COFFER_KEEPER_CLIENT_MAILBOX_H
#define COFFER_KEEPER_CLIENT_MAILBOX_H

#include "base/limits.h"
#include "keeper/client.h"

/* What a password is for: it opens for exactly this. Borrowed. */
typedef struct {
    const char *account; /* the mailbox's address */
    const char *server;  /* imaps://host:port */
    const char *login;
} keeper_mailbox_t;

/* For coffer-web: the password, sealed for the store; appended. */
err_t *keeper_mailbox_seal(keeper_t *keeper, const keeper_mailbox_t *mailbox, bytes_t password,
                           buf_t *ret_sealed) WARN_UNUSED;
/* For coffer-courier: appended to ret_password, which should be wiped. ERR_VERIFY if it was sealed
 * for something else. Each is in the keeper's log. */
err_t *keeper_mailbox_open(keeper_t *keeper, const keeper_mailbox_t *mailbox, bytes_t sealed,
                           buf_t *ret_password) WARN_UNUSED;

#endif
