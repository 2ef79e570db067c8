/*
 * For the files of src/directory only: what is behind a directory_t.
 */
#ifndef COFFER_DIRECTORY_DIRECTORY_INTERNAL_H
#define COFFER_DIRECTORY_DIRECTORY_INTERNAL_H

#include <pthread.h>

#include "crypto/password.h"
#include "directory/directory.h"

enum { DIRECTORY_STRANGERS = 1024 };

struct directory {
    directory_options_t o;
    const password_cost_t *cost;
    char *dummy_hash; /* computed for unknown people, so that they take as long as known ones */

    /* At most LIMIT_LOGINS_CONCURRENT Argon2id computations run: each takes 64 MiB. */
    /* Failures of addresses that nobody has: they are throttled like those that somebody has. */
    pthread_mutex_t strangers_lock;
    uint8_t strangers_key[32]; /* so that nobody can choose whose slot he takes */
    struct {
        uint8_t address[32]; /* HMAC-SHA-256 with strangers_key */
        int64_t failures;
        int64_t retry_after_ms;
    } strangers[DIRECTORY_STRANGERS];

    pthread_mutex_t gate_lock;
    pthread_cond_t gate_open;
    unsigned computing;
    unsigned waiting;
};

enum { DIRECTORY_ARENA = 64 * 1024 };

/* Waits for a place to compute; ERR_BUSY if too many wait already. Then directory_leave. */
err_t *directory_enter(directory_t *directory) WARN_UNUSED;
void directory_leave(directory_t *directory);

#endif
