/*
 * What Dovecot's push notification plugin says about a delivered mail: the driver "ox", an HTTP PUT
 * of one JSON object (user, event, folder, imap-uidvalidity, imap-uid, and from, subject, snippet,
 * unseen, which are not looked at). Pure; the input is foreign.
 */
#ifndef COFFER_ARRIVAL_HOOK_H
#define COFFER_ARRIVAL_HOOK_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * Mail in a folder. 0 is "not known"; the highest numbers where several came. A source without
 * UIDs (graph.h) has an opaque number of the message as uidvalidity, above all of IMAP's, and 1 as
 * uid: what was said twice is known by it, but devices are told of a mailbox and nothing else.
 */
#define ARRIVAL_UIDVALIDITY_MAX 4294967295LL

typedef struct {
    const char *folder;
    int64_t uidvalidity;
    int64_t uid;
    int64_t modseq;
} arrival_t;

typedef struct {
    const char *login; /* how the server calls the mailbox's user; ASCII in lower case */
    arrival_t arrival;
} arrival_hook_t;

/*
 * *ret_new false: it speaks of something else than new mail. Texts are copied into the arena.
 * ERR_INVALID, ERR_LIMIT.
 */
err_t *arrival_hook_parse(arena_t *arena, bytes_t body, arrival_hook_t *ret_hook,
                          bool *ret_new) WARN_UNUSED;

#endif
