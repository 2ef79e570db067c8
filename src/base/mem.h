/*
 * Allocation. All of Coffer allocates here, so that tests can fail the Nth allocation.
 * mem_* return NULL without memory; callers turn that into err_nomem().
 */
#ifndef COFFER_BASE_MEM_H
#define COFFER_BASE_MEM_H

#include <stddef.h>

#include "base/err.h"

void *mem_alloc(size_t size) WARN_UNUSED;  /* uninitialised */
void *mem_zalloc(size_t size) WARN_UNUSED; /* zeroed */
/* Room for `count` items of `size` bytes, zeroed; NULL on overflow too. */
void *mem_array(size_t count, size_t size) WARN_UNUSED;
/* Grows or shrinks; on NULL the old block stays valid and owned by the caller. */
void *mem_resize(void *p, size_t size) WARN_UNUSED;
char *mem_strdup(const char *text) WARN_UNUSED;
char *mem_strndup(const char *text, size_t n) WARN_UNUSED;
/* printf into a new string. */
char *mem_printf(const char *format, ...) WARN_UNUSED PRINTF_LIKE(1, 2);
void mem_free(void *p); /* takes NULL */

/* Lists of strings that end with a NULL. */
char **mem_strings_copy(const char *const *list) WARN_UNUSED;
void mem_strings_free(char **list); /* takes NULL */
static inline void mem_strings_free_p(char ***list) { mem_strings_free(*list); }

/* For CLEANUP(mem_free) on a pointer of any type. */
static inline void mem_free_p(void *p) { mem_free(*(void **)p); }

/* From now on blocks of 2 MiB and more go back to the system when they are freed, and smaller ones
 * are kept for the next. For a program that promises to stay small; once, at its beginning. */
void mem_give_back(void);

/* Overwrites so that no optimiser drops it. For secrets prefer crypto/secret.h. */
void mem_wipe(void *p, size_t size);

#endif
