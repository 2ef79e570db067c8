/*
 * The database's key and what it takes to have it: wrapped by a key-encryption key (KEK), and that
 * wrapped key in class C, so that the KEK alone, from a lease, and the device alone, while locked,
 * open nothing. The KEK itself lies in class A. New KEK and epoch at each unlock. Frozen in
 * docs/formats/mailbox.md. One thread.
 */
#ifndef COFFER_BOX_KEY_H
#define COFFER_BOX_KEY_H

#include "keybag/keybag.h"

enum { BOX_KEK = 32 };

typedef struct {
    secret_t *database; /* BOX_DB_KEY bytes */
    secret_t *kek;
    uint64_t epoch; /* from 1 */
} box_key_t;

void box_key_done(box_key_t *key); /* wipes */

/* A new database key and the first KEK; written. ERR_EXISTS. Unlocked. */
err_t *box_key_create(const keybag_t *bag, const rnd_t *rnd, const char *path,
                      box_key_t *ret_key) WARN_UNUSED;
/* Unlocked: by the KEK in class A. */
err_t *box_key_open(const keybag_t *bag, const char *path, box_key_t *ret_key) WARN_UNUSED;
/* A new KEK, an epoch above `least` and the last; written before it counts. Unlocked. */
err_t *box_key_renew(const keybag_t *bag, const rnd_t *rnd, const char *path, uint64_t least,
                     box_key_t *key) WARN_UNUSED;
/* The epoch whose KEK opens it now: class C. */
err_t *box_key_epoch(const keybag_t *bag, const char *path, uint64_t *ret_epoch) WARN_UNUSED;
/* Locked: by a released KEK. ERR_VERIFY: of another epoch. */
err_t *box_key_open_leased(const keybag_t *bag, const char *path, bytes_t kek,
                           secret_t **ret_database) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(box_key_t, box_key_done)

#endif
