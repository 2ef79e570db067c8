/*
 * The audit log as JSON lines, and its verification without a database: for the auditor.
 * Format: docs/formats/audit.md (frozen version 1). Streams: memory does not grow with the log.
 */
#ifndef COFFER_AUDIT_AUDIT_EXPORT_H
#define COFFER_AUDIT_AUDIT_EXPORT_H

#include "audit/audit.h"

/* Takes the next piece of output. */
typedef err_t *(*audit_sink_fn)(void *arg, bytes_t piece);

/*
 * Writes everything, within one db_read. `public_keys`: SubjectPublicKeyInfo DER of every key
 * that signed heads.
 */
err_t *audit_export(db_conn_t *conn, const bytes_t *public_keys, size_t key_count,
                    audit_sink_fn sink, void *arg) WARN_UNUSED;

/* Heads are signed every few seconds; an entry without one for longer is suspect. */
enum { AUDIT_UNSIGNED_MAX_S = 120 };

/* An earlier head that the log must still contain: detects a cut or replaced log. */
typedef struct {
    bytes_t node;
    int64_t seq;
    bytes_t hash; /* AUDIT_HASH_SIZE bytes */
} audit_pin_t;

typedef struct {
    const bytes_t *public_keys; /* trusted keys (SPKI DER); none: those in the export */
    size_t key_count;
    const audit_pin_t *pins;
    size_t pin_count; /* at most LIMIT_AUDIT_PINS */
    /*
     * Every chain must be vouched for: a signed head, and nothing behind the last one that is older
     * than AUDIT_UNSIGNED_MAX_S at the time of the export. Without it, whoever can write the export
     * can leave the heads out and write what he likes.
     */
    bool demand_heads;
} audit_verify_options_t;

typedef struct {
    uint64_t lines;
    uint64_t entries;
    uint64_t heads;            /* signed heads that verify */
    uint64_t nodes;            /* chains */
    uint64_t unsigned_entries; /* after the last signed head of their chain: not yet signed */
    uint64_t pins_found;
    bool keys_trusted;    /* the keys came from the caller, not from the export itself */
    uint64_t bad_line;    /* from 1; 0: none, or the failure belongs to no line */
    char bad_reason[256]; /* "" when everything holds */
} audit_report_t;

/* Checks an export read from fd. ERR_VERIFY at the first line that does not hold. */
err_t *audit_verify_fd(int fd, const audit_verify_options_t *options,
                       audit_report_t *report) WARN_UNUSED;
/* The same for an export in memory. `options` may be NULL; `report` is filled in either way. */
err_t *audit_verify_bytes(bytes_t export_text, const audit_verify_options_t *options,
                          audit_report_t *report) WARN_UNUSED;

#endif
