/*
 * Drills: samples of every kind are proved to open, nothing is revealed, the outcome is kept for
 * the auditor.
 */
#ifndef COFFER_ESCROW_DRILL_H
#define COFFER_ESCROW_DRILL_H

#include "escrow/escrow.h"

enum { DRILL_SAMPLE = 10, DRILL_SAMPLE_MAX = 1000, DRILL_EVERY_S = 30 * 86400 };

/* One kind's outcome; in the arena. */
typedef struct {
    const char *kind;
    int64_t objects, sampled, opened, failed;
    const char *failures; /* "ID: why" a line each, or "" */
} drill_line_t;

/*
 * Proves up to `sample` random objects of each kind (all, if there are fewer), keeps and audits the
 * outcome. A failed proof is no error of the call. *ret_failed counts them.
 */
err_t *drill_run(escrow_t *escrow, const char *actor, arena_t *arena, size_t sample,
                 drill_line_t **ret_lines, size_t *ret_count, int64_t *ret_failed) WARN_UNUSED;
/* Whether the last drill is older than DRILL_EVERY_S and there is something to prove. */
err_t *drill_is_due(escrow_t *escrow, bool *ret_due) WARN_UNUSED;

#endif
