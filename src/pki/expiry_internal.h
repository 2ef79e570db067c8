/*
 * For expiry_*.c: what one run has found, and its texts.
 */
#ifndef COFFER_PKI_EXPIRY_INTERNAL_H
#define COFFER_PKI_EXPIRY_INTERNAL_H

#include "pki/expiry_cause.h"
#include "pki/expiry_run.h"

typedef struct {
    db_expiring_t cert;
    db_expiry_facts_t facts;
    int64_t threshold;
} expiry_due_t;

/* To sort them. */
typedef struct {
    const expiry_due_t *due;
} expiry_ref_t;

typedef struct {
    const expiry_options_t *o;
    int64_t now_ms;
    arena_t *arena; /* of what is kept */
    expiry_due_t *due;
    size_t due_n;            /* kept: at most the brake */
    int64_t due_total;       /* counted */
    db_watch_source_t *lost; /* sources unreachable for long, nobody told yet */
    size_t lost_n;
} expiry_found_t;

/* The digest for admins: due ones, lost sources. */
err_t *expiry_text_admin(const expiry_found_t *found, buf_t *out) WARN_UNUSED;
/* For one holder: the due ones of `rows`, all theirs. */
err_t *expiry_text_holder(const expiry_found_t *found, const expiry_ref_t *rows, size_t n,
                          buf_t *out) WARN_UNUSED;
/* Why nothing is sent. */
err_t *expiry_text_alarm(const expiry_found_t *found, expiry_brake_t brake, buf_t *out) WARN_UNUSED;

#endif
