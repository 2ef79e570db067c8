/*
 * An officer's drill of his own shares: he is given a random sample of objects with his shares,
 * opens them on his machine and signs how that went. The outcome is kept for the report, the signed
 * record in the audit.
 */
#ifndef COFFER_ESCROW_OFFICER_DRILL_H
#define COFFER_ESCROW_OFFICER_DRILL_H

#include "escrow/redeal.h"

/* Rows of escrow_drill of officers' own: this and the officer's id as kind. */
#define OFFICER_DRILL_KIND "officer:"

typedef struct {
    db_officer_set_t set; /* the active one */
    redeal_item_t *items;
    size_t count;
} officer_sample_t;

/* Up to `sample` objects dealt to the active set, in the arena; what is handed out is audited.
 * ERR_DENIED: no officer of it; ERR_LIMIT: LIMIT_ESCROW_SAMPLE_DAY for today. */
err_t *officer_drill_sample(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                            size_t sample, officer_sample_t *ret_sample) WARN_UNUSED;
/* The signed record (cofferPD). ERR_VERIFY; ERR_DENIED: another's, or not of now. */
err_t *officer_drill_keep(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                          bytes_t record) WARN_UNUSED;

#endif
