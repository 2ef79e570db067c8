/*
 * What keybag.c and keybag_try.c share.
 */
#ifndef COFFER_KEYBAG_KEYBAG_INTERNAL_H
#define COFFER_KEYBAG_KEYBAG_INTERNAL_H

#include "crypto/pkey.h"
#include "keybag/keybag.h"

struct keybag {
    keybag_env_t env;
    char *path, *tries_path;
    anchor_t *anchor;
    keybag_file_t file;
    secret_t *uid;
    secret_t *keys[KEYBAG_CLASSES]; /* NULL while out of reach */
    pkey_t *b_public;
    bool destroyed;
    bool locking;
    int64_t lock_at; /* monotonic, with locking */
};

/* Writes bag->file out. */
err_t *keybag_save(const keybag_t *bag) WARN_UNUSED;
/* Wraps all that is in bag->keys anew, for file->generation, salt and slot; `file` alone changes.
 * *ret_auth and *ret_slot are what the anchor is to keep. */
err_t *keybag_wrap(const keybag_t *bag, keybag_file_t *file, bytes_t passcode, secret_t **ret_auth,
                   secret_t **ret_slot) WARN_UNUSED;
/* A secret of the former generation may be left by a crash; only who opened the bag knows that it
 * is the former one, for the file may be a copy of an older state. */
err_t *keybag_drop_other(keybag_t *bag) WARN_UNUSED;
/* Wipes the classes above `last`. */
void keybag_wipe_keys(keybag_t *bag, bool all);

/* What was tried last, in bag->tries_path. */
err_t *keybag_tries_wait(keybag_t *bag, uint64_t count, int64_t *ret_wait_ms) WARN_UNUSED;

#endif
