/*
 * The class-B inbox: mail that came while the device was locked and no lease was there. Anybody on
 * the device can add to it; what is in it opens only when the keybag is unlocked. A file an item,
 * its name random: nothing of it tells whose or how old it is but the file's own time. One thread.
 */
#ifndef COFFER_BOX_INBOX_H
#define COFFER_BOX_INBOX_H

#include "keybag/keybag.h"

typedef struct {
    const char *folder;
    uint32_t uidvalidity, uid;
    unsigned flags;
    bytes_t message;
} box_item_t;

/* Durable when it returns. ERR_FULL past LIMIT_BOX_INBOX items: the server has them still. */
err_t *box_inbox_add(const keybag_t *bag, const rnd_t *rnd, const char *dir,
                     const box_item_t *item) WARN_UNUSED;
/* How many wait. */
err_t *box_inbox_count(const char *dir, size_t *ret_count) WARN_UNUSED;
/*
 * Each item to `take`, which keeps it durably (twice is to be fine); then its file goes. Files that
 * don't open are left and counted in *ret_bad. ERR_DENIED while locked.
 */
err_t *box_inbox_merge(const keybag_t *bag, const char *dir,
                       err_t *(*take)(void *arg, const box_item_t *item), void *arg,
                       size_t *ret_merged, size_t *ret_bad) WARN_UNUSED;

#endif
