/*
 * Allocation with a fault point: see mem.h. Any process, any thread.
 */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

void *mem_alloc(size_t size) { return fault_memory() ? NULL : malloc(size ? size : 1); }

void *mem_zalloc(size_t size) { return fault_memory() ? NULL : calloc(1, size ? size : 1); }

void *mem_array(size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    return mem_zalloc(count * size);
}

void *mem_resize(void *p, size_t size) {
    return fault_memory() ? NULL : realloc(p, size ? size : 1);
}

char *mem_strndup(const char *text, size_t n) {
    char *copy = mem_alloc(n + 1);
    if (!copy) return NULL;
    if (n) memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

char *mem_strdup(const char *text) { return mem_strndup(text, strlen(text)); }

char *mem_printf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : mem_alloc((size_t)length + 1);
    if (text) (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void mem_free(void *p) { free(p); }

enum { LARGE = 2 * 1024 * 1024 };

void mem_give_back(void) {
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * LARGE);
}

void mem_wipe(void *p, size_t size) {
    if (p && size) explicit_bzero(p, size);
}

void mem_strings_free(char **list) {
    for (size_t i = 0; list && list[i]; i++) mem_free(list[i]);
    mem_free(list);
}

char **mem_strings_copy(const char *const *list) {
    size_t n = 0;
    while (list[n]) n++;
    char **copy = mem_array(n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = mem_strdup(list[i]);
        if (copy[i]) continue;
        mem_strings_free(copy);
        return NULL;
    }
    return copy;
}
