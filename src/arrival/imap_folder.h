/*
 * Folders that an IMAP server speaks of by itself (NOTIFY, RFC 5465): its STATUS lines (RFC 9051
 * section 7.3.4), and a short list of them until somebody takes it. Pure; the input is foreign.
 */
#ifndef COFFER_ARRIVAL_IMAP_FOLDER_H
#define COFFER_ARRIVAL_IMAP_FOLDER_H

#include "arrival/hook.h"

typedef struct imap_folder imap_folder_t;
struct imap_folder {
    imap_folder_t *next;
    arrival_t arrival; /* its folder is `name`, as the server writes it; uid 0: it never had mail */
    bool asked;        /* told because we asked how things are, not because something happened */
    char name[];
};

typedef struct {
    imap_folder_t *first;
    size_t count; /* at most LIMIT_ARRIVAL_FOLDERS: more are passed over */
} imap_folders_t;

/*
 * What stands behind "* STATUS ". Taken into the list, in place of what was there of the same
 * folder; a line that is of no use (INBOX, a name that is no printable ASCII, no UIDVALIDITY or
 * UIDNEXT) is passed over. ERR_INVALID for numbers that are none.
 */
err_t *imap_folders_take(imap_folders_t *folders, bytes_t status, bool asked) WARN_UNUSED;
void imap_folders_done(imap_folders_t *folders);

#endif
