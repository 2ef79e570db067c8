/*
 * Mail on disk put into new envelopes: Maildirs, mailbox files, single messages. At every moment,
 * also of a kill or a full disk, each message lies there whole and readable, by the old key or the
 * new one: the new copy is written beside, synced, opened with the new key and compared, and only
 * then takes the old one's place.
 */
#ifndef COFFER_PROGRAM_COFFER_REENCRYPT_H
#define COFFER_PROGRAM_COFFER_REENCRYPT_H

#include "mail/reseal.h"

typedef struct {
    reseal_options_t reseal;
    reseal_options_t proof; /* the same with the new key alone */
    bool dry_run;
    /* A message was looked at. `why` (borrowed) if it can't be read and was left alone. May be
     * NULL.
     */
    err_t *(*each)(void *arg, const char *path, uint64_t offset, reseal_kind_t kind,
                   const err_t *why);
    void *arg;
} reencrypt_t;

/* A Maildir with its folders, or a folder of mailbox files and *.eml. Starts over what was cut off.
 */
err_t *reencrypt_tree(const reencrypt_t *job, const char *path) WARN_UNUSED;
/* One file: a mailbox file, or a message. */
err_t *reencrypt_file(const reencrypt_t *job, const char *path) WARN_UNUSED;
/* Messages below the path, mailbox files counted as one each. */
err_t *reencrypt_count(const char *path, uint64_t *ret_count) WARN_UNUSED;

#endif
