/*
 * Asking the keeper about secrets of devices that are in escrow: what a device sent is archived
 * unless it is what was archived last, a Mac's recovery key is opened and archived in one, and a
 * disk's key proves that it is the archived one. See client_escrow.h for what is common.
 */
#ifndef COFFER_KEEPER_CLIENT_DEVICE_SECRET_H
#define COFFER_KEEPER_CLIENT_DEVICE_SECRET_H

#include "keeper/client_escrow.h"

/* The key that a Mac encrypts its recovery key to: no person's, and no secret of the disk. */
#define ESCROW_KIND_RECEIVER "filevault-receiver"

enum { KEEPER_PROOF = 32 }; /* bytes of a nonce, and of the proof over it */

/*
 * Makes an RSA key with a certificate that names nobody and is trusted by nothing, for the payload
 * com.apple.security.FDERecoveryKeyEscrow, and archives it. object: kind filevault-receiver,
 * version 1, a new id, a device.
 */
err_t *keeper_receiver_make(keeper_t *keeper, const escrow_object_t *object,
                            keeper_archived_t *ret_archived) WARN_UNUSED;

/* An archived object as the store has it; borrowed. */
typedef struct {
    escrow_object_t object;
    bytes_t blob, wrap;
    bytes_t certificate; /* DER, of a receiver; else none */
} keeper_kept_t;

typedef struct {
    escrow_object_t object;  /* as which it would be archived; kind bypass-code or filevault-key */
    bytes_t secret;          /* as it came: a code, or CMS EnvelopedData */
    const keeper_kept_t *to; /* the receiver that it is encrypted to, or NULL: it is in clear */
    const keeper_kept_t *previous; /* the version before, or NULL */
} keeper_taking_t;

/*
 * Archives what a device sent. *ret_same: it is the previous version's secret, nothing was
 * archived. ERR_VERIFY: does not open; ERR_INVALID: has not the form of its kind.
 */
err_t *keeper_secret_take(keeper_t *keeper, const keeper_taking_t *taking, bool *ret_same,
                          keeper_archived_t *ret_archived) WARN_UNUSED;

/*
 * HMAC-SHA256 by the archived secret over the domain and the nonce: whoever has the secret can see
 * that it is the archived one, and nobody else learns anything. Kind luks-key alone, whose secrets
 * are random. Idempotent.
 */
err_t *keeper_secret_prove(keeper_t *keeper, const keeper_kept_t *kept,
                           const uint8_t nonce[KEEPER_PROOF],
                           uint8_t ret_proof[KEEPER_PROOF]) WARN_UNUSED;
/* The same by who has the secret. */
err_t *keeper_proof_make(bytes_t secret, const uint8_t nonce[KEEPER_PROOF],
                         uint8_t ret_proof[KEEPER_PROOF]) WARN_UNUSED;

#endif
