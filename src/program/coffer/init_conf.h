/*
 * The coffer.conf of a new instance: every key with its explanation, most of them commented out
 * at their default. Pure.
 */
#ifndef COFFER_PROGRAM_COFFER_INIT_CONF_H
#define COFFER_PROGRAM_COFFER_INIT_CONF_H

#include "base/buf.h"

typedef struct {
    const char *section;
    const char *key;
    const char *shown; /* default or example, as written in the file */
    const char *help;  /* lines, each at most 90 bytes */
} init_key_t;

/* All keys outside of certificate profiles, in the file's order. */
extern const init_key_t INIT_KEYS[];
extern const size_t INIT_KEYS_N;

typedef struct {
    const init_key_t *key;
    const char *value; /* borrowed */
} init_set_t;

enum { INIT_SETS_MAX = 64 };

typedef struct {
    init_set_t sets[INIT_SETS_MAX];
    size_t n;
} init_values_t;

/* "web.workers" and its value; a later one wins. ERR_USAGE for an unknown key or a bad value. */
err_t *init_conf_set(init_values_t *values, const char *name, const char *value) WARN_UNUSED;
err_t *init_conf_write(const init_values_t *values, buf_t *out) WARN_UNUSED;

#endif
