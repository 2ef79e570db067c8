/*
 * Randomness comes through an rnd_t, so that tests replay it. The real one is the kernel's
 * (getrandom). Thread-safe.
 */
#ifndef COFFER_BASE_RND_H
#define COFFER_BASE_RND_H

#include <stddef.h>

#include "base/err.h"
#include "base/text.h"

typedef struct rnd rnd_t;

struct rnd {
    err_t *(*fill)(const rnd_t *rnd, void *p, size_t n);
};

const rnd_t *rnd_real(void);

static inline err_t *rnd_fill(const rnd_t *rnd, void *p, size_t n) { return rnd->fill(rnd, p, n); }
/* A fresh version 4 UUID, upper case. */
err_t *rnd_uuid(const rnd_t *rnd, char out[TEXT_UUID_SIZE]) WARN_UNUSED;

#endif
