/*
 * Escrow objects as the server has them: put in, dealt in the background, proved to open.
 */
#ifndef COFFER_ESCROW_OBJECTS_H
#define COFFER_ESCROW_OBJECTS_H

#include "escrow/escrow.h"

typedef struct {
    const char *id;     /* of an object that gets a new version, or NULL: a new object */
    const char *kind;   /* of a new object, as all below */
    const char *owner;  /* a person's address, or "" */
    const char *device; /* as db_devices_find takes it, or "" */
    const char *label;  /* also of a new version */
    bool officers_only; /* nothing but officers can open it; refused while there are none */
} objects_spec_t;

/*
 * Archives a secret through the keeper and keeps what comes back, audited. ERR_INVALID: not of the
 * kind's form; ERR_DENIED, ERR_LIMIT. *ret_row is in the arena.
 */
err_t *objects_put(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                   const objects_spec_t *spec, bytes_t secret, db_escrow_t *ret_row) WARN_UNUSED;
/* A row as the keeper's record of it. ERR_VERIFY for a row that cannot be one. */
err_t *objects_record(const db_escrow_t *row, escrow_object_t *ret_object) WARN_UNUSED;
/* Keeps what the keeper archived, inside a db_write: for those who had it archived themselves. */
err_t *objects_keep(db_conn_t *conn, const keeper_archived_t *archived, const char *label,
                    const char *actor, int64_t now_ms, int64_t *ret_seq) WARN_UNUSED;

/*
 * Whether a secret has its kind's form. BitLocker: eight groups of six digits, each divisible by
 * eleven and below 720896; PINs: digits; files: anything. ERR_INVALID says what is wrong.
 */
err_t *objects_check_secret(const char *kind, bytes_t secret) WARN_UNUSED;
/* Lower-case letters, digits and '-', and not a signing key. ERR_INVALID, ERR_DENIED. */
err_t *objects_check_kind(const char *kind) WARN_UNUSED;

typedef struct {
    bool by_keeper;      /* the keeper proved that it opens; else only officers could */
    int64_t shares;      /* officers that have theirs */
    int64_t officers;    /* of the set it is dealt to */
    const char *problem; /* what is wrong, in the arena, or NULL */
} objects_proof_t;

/* Proves an object: it is no error that it fails, but *ret_proof says so. Nothing is revealed. */
err_t *objects_prove(escrow_t *escrow, arena_t *arena, const db_escrow_t *row,
                     objects_proof_t *ret_proof) WARN_UNUSED;

/*
 * One step of background work: has the keeper deal what was never dealt, or was dealt to an
 * earlier set, as far as it can open it. Begin with a zeroed cursor; *ret_more false: all was
 * looked at. What the keeper refuses stays as it is, and is the error of the step, which went on.
 */
typedef struct {
    int64_t epoch, seq;
    bool started;
} objects_cursor_t;
err_t *objects_deal_some(escrow_t *escrow, objects_cursor_t *cursor, size_t *ret_count,
                         bool *ret_more) WARN_UNUSED;

#endif
