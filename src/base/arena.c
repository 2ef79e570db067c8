/*
 * Bump allocator: see arena.h.
 */
#include "base/arena.h"

#include <stdalign.h>

#include "base/mem.h"

enum { ARENA_BLOCK = 4096 };

typedef struct block block_t;
struct block {
    block_t *next;
    size_t used;
    size_t room;
    alignas(max_align_t) uint8_t data[];
};

struct arena {
    block_t *blocks;
    size_t handed_out;
    size_t max;
};

err_t *arena_new(size_t max, arena_t **ret_arena) {
    arena_t *arena = mem_zalloc(sizeof *arena);
    if (!arena) return err_nomem();
    arena->max = max;
    *ret_arena = arena;
    return NULL;
}

void arena_free(arena_t *arena) {
    if (!arena) return;
    for (block_t *b = arena->blocks; b;) {
        block_t *next = b->next;
        mem_free(b);
        b = next;
    }
    mem_free(arena);
}

err_t *arena_alloc(arena_t *arena, size_t size, void *ret_p) {
    size_t align = alignof(max_align_t);
    if (size > arena->max) return err_new(ERR_LIMIT, "document exceeds %zu bytes", arena->max);
    size_t need = (size + align - 1) / align * align;
    if (need > arena->max - arena->handed_out)
        return err_new(ERR_LIMIT, "document exceeds %zu bytes", arena->max);
    block_t *b = arena->blocks;
    if (!b || b->room - b->used < need) {
        size_t room = need > ARENA_BLOCK ? need : ARENA_BLOCK;
        b = mem_alloc(sizeof *b + room);
        if (!b) return err_nomem();
        *b = (block_t){.next = arena->blocks, .room = room};
        arena->blocks = b;
    }
    void *p = b->data + b->used;
    memset(p, 0, need);
    b->used += need;
    arena->handed_out += need;
    memcpy(ret_p, &p, sizeof p);
    return NULL;
}

err_t *arena_copy(arena_t *arena, bytes_t data, bytes_t *ret_copy) {
    uint8_t *p = NULL;
    TRY(arena_alloc(arena, data.n + 1, &p));
    bytes_put(p, data);
    *ret_copy = bytes_make(p, data.n);
    return NULL;
}
