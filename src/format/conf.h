/*
 * INI configuration (coffer.conf): a façade over inih that refuses what inih lets pass: duplicate
 * keys and sections, keys outside of a section, indented lines, over-long lines and names.
 *
 *   [web]
 *   port = 8443            ; a comment needs white space before its semicolon
 *   [profile device-identity]
 *   lifetime = 365d
 *
 * Section "web" is asked for as "web", the named one as "profile device-identity"; the named
 * ones of a kind are listed by conf_next_named. Every getter notes that its key was asked for.
 * Strings returned live as long as the conf_t. Not thread-safe: read it at start.
 */
#ifndef COFFER_FORMAT_CONF_H
#define COFFER_FORMAT_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

typedef struct conf conf_t;

/* What one module understands, for conf_check_known. */
typedef struct {
    const char *section;     /* "web", or "profile *" for every named section of that kind */
    const char *const *keys; /* ends with NULL */
} conf_known_t;

/* Lifecycle. Errors name file, line, section and key, and say what is right. */

/* ERR_NOT_FOUND, ERR_IO, ERR_INVALID; ERR_LIMIT past LIMIT_CONFIG_BYTES. */
err_t *conf_load_file(const char *path, conf_t **ret_conf) WARN_UNUSED;
/* The same from memory; `name` stands for the file in errors. */
err_t *conf_parse(bytes_t text, const char *name, conf_t **ret_conf) WARN_UNUSED;
void conf_free(conf_t *conf); /* takes NULL */

DEFINE_CLEANUP(conf_t, conf_free)

/* Whether the section is there, with or without keys. */
bool conf_has_section(const conf_t *conf, const char *section);
/*
 * The named sections of a kind in file order: begin with *cursor = 0. For "profile" the next one
 * gives its section "profile device-identity" and its name "device-identity"; false at the end.
 */
bool conf_next_named(const conf_t *conf, const char *kind, size_t *cursor, const char **ret_section,
                     const char **ret_name);

/* Reading. A key that is absent gives the fallback, which is not checked against the range. */

/* `fallback` may be NULL. */
err_t *conf_get_string(conf_t *conf, const char *section, const char *key, const char *fallback,
                       const char **ret_text) WARN_UNUSED;
/* ERR_INVALID when absent or empty. */
err_t *conf_need_string(conf_t *conf, const char *section, const char *key,
                        const char **ret_text) WARN_UNUSED;
err_t *conf_get_int(conf_t *conf, const char *section, const char *key, int64_t min, int64_t max,
                    int64_t fallback, int64_t *ret_value) WARN_UNUSED;
/* yes, true, on; no, false, off. */
err_t *conf_get_bool(conf_t *conf, const char *section, const char *key, bool fallback,
                     bool *ret_value) WARN_UNUSED;
/* "90s", "15m", "12h", "30d", "2y"; min, max, fallback and result in seconds. */
err_t *conf_get_duration(conf_t *conf, const char *section, const char *key, int64_t min,
                         int64_t max, int64_t fallback, int64_t *ret_seconds) WARN_UNUSED;
/* One of `choices` (ends with NULL); fallback and result are its index. */
err_t *conf_get_choice(conf_t *conf, const char *section, const char *key,
                       const char *const *choices, size_t fallback, size_t *ret_index) WARN_UNUSED;
/*
 * A list separated by commas; ERR_INVALID if an item is empty (an empty value is an empty list).
 * Walk it with conf_list_next. `fallback` is written like a value; NULL is an empty list.
 */
err_t *conf_get_list(conf_t *conf, const char *section, const char *key, const char *fallback,
                     bytes_t *ret_list) WARN_UNUSED;
/* Takes the next item, trimmed, off *list; false at its end. */
bool conf_list_next(bytes_t *list, bytes_t *ret_item);

/* Checking. */

/* ERR_INVALID naming the first keys that no getter has asked for. For one-process tools. */
err_t *conf_check_used(const conf_t *conf) WARN_UNUSED;
/* ERR_INVALID naming the first section or key that is in none of the `count` tables. */
err_t *conf_check_known(const conf_t *conf, const conf_known_t *known, size_t count) WARN_UNUSED;

#endif
