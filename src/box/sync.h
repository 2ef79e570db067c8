/*
 * Brings what an IMAP server has into the database, or, while locked without a lease, what is new
 * into the class-B inbox. Interrupted anywhere it goes on where it was. One thread.
 */
#ifndef COFFER_BOX_SYNC_H
#define COFFER_BOX_SYNC_H

#include "box/db.h"
#include "box/imap.h"
#include "box/inbox.h"

typedef struct {
    imap_t *imap;
    const rnd_t *rnd;
    /* Between two batches, when all is on disk; true: stop. May be NULL. */
    bool (*pause)(void *arg);
    void *arg;
    bool whole;       /* INBOX is compared message by message: one before the last may be missing */
    uint64_t fetched; /* messages that came */
    bool stopped;     /* by pause */
} box_sync_t;

/* What is new from a UID on, in batches, each message once. */
err_t *box_sync_new(box_sync_t *sync, uint32_t from, imap_each_t each,
                    err_t *(*batch)(void *arg, bool begins), void *arg) WARN_UNUSED;
/* One folder into the database: new, changed, gone. *ret_selected may be NULL. */
err_t *box_sync_folder(box_sync_t *sync, box_db_t *db, const char *name,
                       imap_selected_t *ret_selected) WARN_UNUSED;
/* All folders; INBOX first. */
err_t *box_sync_all(box_sync_t *sync, box_db_t *db) WARN_UNUSED;
/* A message into the database, as the server has it. */
err_t *box_sync_keep(box_db_t *db, const rnd_t *rnd, int64_t folder, const imap_message_t *message,
                     bool *ret_new) WARN_UNUSED;

/* Up to where a folder is known, without the database. */
typedef struct {
    uint32_t uidvalidity, next_uid; /* 0, 0: nothing is known yet */
} box_cursor_t;
/* What is new in INBOX into the class-B inbox; the cursor moves as far as it got. */
err_t *box_sync_collect(box_sync_t *sync, const keybag_t *bag, const char *inbox_dir,
                        box_cursor_t *cursor) WARN_UNUSED;

#endif
