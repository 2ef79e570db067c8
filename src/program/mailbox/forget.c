/*
 * Whatever coffer-mailbox frees is overwritten first, whichever library had it: nothing of a mail
 * stays in memory that nobody uses any more. These two take the place of the C library's (glibc
 * manual, "Replacing malloc"), whose own functions they call. Any thread. A build with sanitizers
 * goes without: those have an allocator of their own.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,
   readability-identifier-naming): glibc's names */
extern void *__libc_malloc(size_t size);
extern void __libc_free(void *p);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,
   readability-identifier-naming) */

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): as everywhere in Coffer */
void free(void *p) { /* house-rules: allow allocation: it is the allocator */
    int before = errno;
    if (!p) return;
    explicit_bzero(p, malloc_usable_size(p));
    __libc_free(p);
    errno = before;
}

/* glibc's own would leave a copy behind where the block has to move. */
void *realloc(void *p, size_t size) { /* house-rules: allow allocation: it is the allocator */
    size_t room = p ? malloc_usable_size(p) : 0;
    if (p && !size) {
        free(p); /* house-rules: allow allocation: it is the allocator */
        return NULL;
    }
    if (p && size <= room && size >= room / 2) return p;
    void *moved = __libc_malloc(size);
    if (!moved || !p) return moved;
    memcpy(moved, p, size < room ? size : room);
    free(p); /* house-rules: allow allocation: it is the allocator */
    return moved;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
