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

/* What waits. */
typedef struct {
    size_t count;
    uint64_t bytes; /* of files */
} box_usage_t;
err_t *box_inbox_usage(const char *dir, box_usage_t *ret_usage) WARN_UNUSED;
/* May `n` bytes more be added where `left` bytes of disk are free? ERR_FULL past LIMIT_BOX_INBOX,
 * LIMIT_BOX_INBOX_BYTES and LIMIT_BOX_DISK_LEFT: a stranger fills no disk. Pure. */
err_t *box_inbox_room(const box_usage_t *usage, size_t n, uint64_t left) WARN_UNUSED;
/* Durable when it returns, and counted in *usage. ERR_FULL: the server has it still. */
err_t *box_inbox_add(const keybag_t *bag, const rnd_t *rnd, const char *dir, const box_item_t *item,
                     box_usage_t *usage) WARN_UNUSED;
/*
 * Each item to `take`, which keeps it durably (twice is to be fine); then its file goes. Files that
 * don't open, or hold no item, are put aside (.bad) and counted in *ret_bad. ERR_DENIED while
 * locked.
 */
err_t *box_inbox_merge(const keybag_t *bag, const char *dir,
                       err_t *(*take)(void *arg, const box_item_t *item), void *arg,
                       size_t *ret_merged, size_t *ret_bad) WARN_UNUSED;
/* How many were put aside whose mail was not fetched again since (box_inbox_settle). */
err_t *box_inbox_aside(const char *dir, size_t *ret_n) WARN_UNUSED;
/* It was: they are kept for who wants to look (.kept). */
err_t *box_inbox_settle(const char *dir) WARN_UNUSED;
/* All items, whole or not, and then the directory if nothing else is in it. Best effort. */
void box_inbox_remove(const char *dir);

#endif
