/*
 * What a machine shows to fetch once more what it opened: random bytes beside the request's key
 * (FILE.key.opening), on the disk before the first fetch, so that they outlive a crash. While a
 * recovery is being opened its key is locked. Main thread.
 */
#ifndef COFFER_PROGRAM_COFFER_RECOVER_OPENING_H
#define COFFER_PROGRAM_COFFER_RECOVER_OPENING_H

#include "base/err.h"
#include "base/rnd.h"

enum { OPENING_SIZE = 32 }; /* bytes */

typedef struct {
    int lock; /* on the key's file; 0: none */
    char *path;
    uint8_t bytes[OPENING_SIZE];
    bool resumed; /* an earlier run may have fetched it */
} recover_opening_t;

/* Takes the lock (ERR_BUSY: another run has it), reads the file or makes it. */
err_t *recover_opening_begin(const char *key_path, const rnd_t *rnd,
                             recover_opening_t *ret_opening) WARN_UNUSED;
/* Removes the file: it is of no use any more. */
err_t *recover_opening_drop(const recover_opening_t *opening) WARN_UNUSED;
void recover_opening_done(recover_opening_t *opening); /* takes a zeroed one */

#endif
