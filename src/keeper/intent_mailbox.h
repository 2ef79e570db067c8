/*
 * Passwords of mailboxes that are watched: coffer-web hands one in and gets it sealed for the
 * store; coffer-courier alone gets it back, for the very server and login that it was sealed for.
 * Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_MAILBOX_H
#define COFFER_KEEPER_INTENT_MAILBOX_H

#include "keeper/intent.h"

err_t *intent_mailbox_seal(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_mailbox_open(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;

#endif
