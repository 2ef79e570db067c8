/*
 * Whom a recovery request is for: free text, in which a person's mail address may stand alone or
 * among other words: Ben (ben@example.org). Who is named there decides on nothing. Pure; for the
 * server and officers' machines alike.
 */
#ifndef COFFER_KEEPER_ESCROW_RECIPIENT_H
#define COFFER_KEEPER_ESCROW_RECIPIENT_H

#include <stdbool.h>

/* Whether the address stands in the text, in whatever case, and not as a part of a longer one. */
bool escrow_recipient_names(const char *text, const char *address);

#endif
