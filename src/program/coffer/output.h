/*
 * Showing what the API answered: JSON as it is, or tables and fields for people.
 */
#ifndef COFFER_PROGRAM_COFFER_OUTPUT_H
#define COFFER_PROGRAM_COFFER_OUTPUT_H

#include "program/coffer/cli.h"

typedef struct {
    const char *member; /* "devices.enrolled" reaches into objects */
    const char *title;
} column_t;

/* One JSON value and a line end: indented on a terminal, else one line. */
err_t *output_json(cli_t *cli, const json_t *json) WARN_UNUSED;
/*
 * The array `member` as a table with these columns (the last has a NULL member); `none` is said
 * when it is empty. With --json the whole object.
 */
err_t *output_list(cli_t *cli, const json_t *object, const char *member, const column_t *columns,
                   const char *none) WARN_UNUSED;
/* Name and value a line, objects flattened. With --json the object. */
err_t *output_fields(cli_t *cli, const json_t *object) WARN_UNUSED;
/* With --json the object (none: {}), else the sentence. */
err_t *output_done(cli_t *cli, const json_t *object, const char *format, ...) WARN_UNUSED
    PRINTF_LIKE(3, 4);
/* Name and text a line on standard error, before a question: what a server or a file claims. */
void output_note(cli_t *cli, const char *name, const char *text);

/* A value as people read it: yes and no, "-" for null, local times on a terminal. */
err_t *output_value(const json_t *value, bool local, buf_t *out) WARN_UNUSED;

#endif
