/*
 * Escrow in the vault: the officers' sets by epoch, and of every version of every escrow object
 * whose it is, the hash of its blob, and to which epoch it was dealt. Ciphertext lies elsewhere;
 * this is what it is checked against. Every row bears a MAC under a key of the master key, so that
 * whoever writes into the database without it is noticed.
 */
#ifndef COFFER_KEEPER_VAULT_ESCROW_H
#define COFFER_KEEPER_VAULT_ESCROW_H

#include "keeper/client_escrow.h"
#include "keeper/vault.h"

typedef struct {
    escrow_object_t object;
    keeper_wrap_t wrap;
    uint8_t blob_hash[ESCROW_HASH];
    uint64_t epoch; /* 0: undealt */
} vault_escrow_t;

/* ---- rows for an operation; each gives it one family, so one of these an operation ---- */

/*
 * A new object version. The writer refuses one that is not higher than what is there (ERR_EXISTS),
 * of another kind, owner or device than before (ERR_DENIED), or dealt to an epoch that is not the
 * current one any more (ERR_BUSY: ask again).
 */
err_t *vault_escrow_put(vault_op_t *op, const vault_escrow_t *record) WARN_UNUSED;
/* These versions are dealt to the epoch; refused (ERR_BUSY) if it is not the current one. */
err_t *vault_escrow_dealt(vault_op_t *op, const vault_escrow_t *records, size_t n,
                          uint64_t epoch) WARN_UNUSED;
/* The next set; refused (ERR_BUSY) if another one came first. */
err_t *vault_officers_put(vault_op_t *op, uint64_t epoch, bytes_t record) WARN_UNUSED;
/* A try that failed, e.g. a password. Only for operations whose rows are kept with an error. */
err_t *vault_attempt_put(vault_op_t *op, const char *what, const char *who) WARN_UNUSED;
typedef struct {
    const char *person;
    const char *holder;       /* whom the device's certificate was issued to */
    uint8_t key[ESCROW_HASH]; /* SHA-256 of the SubjectPublicKeyInfo in that certificate */
    bool consented;           /* an officer's consent to this certificate was checked just now */
} vault_delivery_t;

/*
 * A person's keys go to a device's key. Refused (ERR_BUSY) at LIMIT_ESCROW_DELIVERIES in 24 hours,
 * and (ERR_DENIED) if that holder got another person's.
 */
err_t *vault_delivery_put(vault_op_t *op, const vault_delivery_t *delivery) WARN_UNUSED;

/* ---- reading, any thread ---- */

/* ERR_VERIFY if the row was changed. *ret_newest: no higher version of the object. */
err_t *vault_escrow_find(vault_t *vault, const uint8_t id[ESCROW_ID], uint64_t version,
                         bool *ret_found, bool *ret_newest, vault_escrow_t *ret_record) WARN_UNUSED;
/* Appends the current set's record; *ret_found false: there is none. ERR_VERIFY. */
err_t *vault_officers_current(vault_t *vault, bool *ret_found, buf_t *record) WARN_UNUSED;
err_t *vault_attempts(vault_t *vault, const char *what, const char *who, int64_t since_ms,
                      int64_t *ret_n) WARN_UNUSED;
/*
 * Whether keys of this person were ever encrypted to this key of this holder, and whether an
 * officer agreed to it: a certificate that is issued anew for both needs no second consent, one for
 * another key does, whatever name it was issued to. `consented` is not looked at. ERR_VERIFY if the
 * row was changed.
 */
err_t *vault_delivery_known(vault_t *vault, const vault_delivery_t *delivery, bool *ret_seen,
                            bool *ret_consented) WARN_UNUSED;

#endif
