/*
 * For the files of src/directory only: what is behind a directory_t.
 */
#ifndef COFFER_DIRECTORY_DIRECTORY_INTERNAL_H
#define COFFER_DIRECTORY_DIRECTORY_INTERNAL_H

#include <pthread.h>

#include "crypto/password.h"
#include "directory/directory.h"

struct directory {
    directory_options_t o;
    const password_cost_t *cost;
    char *dummy_hash; /* computed for unknown people, so that they take as long as known ones */

    /* At most LIMIT_LOGINS_CONCURRENT Argon2id computations run: each takes 64 MiB. */
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_open;
    unsigned computing;
    unsigned waiting;
};

enum { DIRECTORY_ARENA = 64 * 1024 };

/* Waits for a place to compute; ERR_BUSY if too many wait already. Then directory_leave. */
err_t *directory_enter(directory_t *directory) WARN_UNUSED;
void directory_leave(directory_t *directory);

/* Folds to lower case and checks; the result is in the arena. */
err_t *directory_check_email(arena_t *arena, bytes_t email, const char **ret_email) WARN_UNUSED;

#endif
