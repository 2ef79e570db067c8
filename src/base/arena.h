/*
 * arena_t: many small allocations with one common end, and a stated maximum. For trees that a
 * parser builds. Not thread-safe.
 */
#ifndef COFFER_BASE_ARENA_H
#define COFFER_BASE_ARENA_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct arena arena_t;

/* `max`: bytes that may be handed out in all. */
err_t *arena_new(size_t max, arena_t **ret_arena) WARN_UNUSED;
void arena_free(arena_t *arena);

/* Zeroed, aligned for any type, lives until arena_free. ERR_LIMIT past the maximum. */
err_t *arena_alloc(arena_t *arena, size_t size, void *ret_p) WARN_UNUSED;
/* A copy with a NUL behind it. */
err_t *arena_copy(arena_t *arena, bytes_t data, bytes_t *ret_copy) WARN_UNUSED;

DEFINE_CLEANUP(arena_t, arena_free)

#endif
