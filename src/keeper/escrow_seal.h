/*
 * The cryptography of escrow over the records of escrow_format.h: blobs under data keys, data keys
 * under storage keys, shares to officers, signatures. No state, no I/O; for the keeper and for the
 * officers' machines. Secrets come and go as secret_t. Thread-safe but for sealer and opener, which
 * belong to one thread at a time.
 */
#ifndef COFFER_KEEPER_ESCROW_SEAL_H
#define COFFER_KEEPER_ESCROW_SEAL_H

#include "base/rnd.h"
#include "crypto/pkey.h"
#include "crypto/secret.h"
#include "keeper/escrow_format.h"

/* Domains of signatures (pkey_sign). */
#define ESCROW_DOMAIN_OFFICER  "coffer/v1/escrow/officer"
#define ESCROW_DOMAIN_SET      "coffer/v1/escrow/set"
#define ESCROW_DOMAIN_APPROVAL "coffer/v1/escrow/approval"
#define ESCROW_DOMAIN_REDEAL   "coffer/v1/escrow/redeal"
#define ESCROW_DOMAIN_DELIVERY "coffer/v1/escrow/delivery"
#define ESCROW_DOMAIN_FINISH   "coffer/v1/escrow/finish"

/* ---- blob and wrap ---- */

/* A fresh DEK. */
err_t *escrow_dek_new(const rnd_t *rnd, secret_t **ret_dek) WARN_UNUSED;
/* Appends a blob record. The secret has 1..LIMIT_ESCROW_SECRET bytes. */
err_t *escrow_blob_seal(const escrow_object_t *object, const secret_t *dek, const rnd_t *rnd,
                        bytes_t secret, buf_t *out) WARN_UNUSED;
/*
 * ERR_DENIED: the DEK is not the blob's (the shares were wrong); ERR_VERIFY: the blob was changed
 * or is another object's.
 */
err_t *escrow_blob_open(const escrow_object_t *object, const secret_t *dek, bytes_t record,
                        secret_t **ret_secret) WARN_UNUSED;

err_t *escrow_wrap_seal(const escrow_object_t *object, const secret_t *storage_key, uint32_t number,
                        const rnd_t *rnd, const secret_t *dek, buf_t *out) WARN_UNUSED;
/* ERR_VERIFY; the caller looked the number up (escrow_wrap_parse). */
err_t *escrow_wrap_open(const escrow_object_t *object, const secret_t *storage_key, bytes_t record,
                        secret_t **ret_dek) WARN_UNUSED;

/* ---- shares ---- */

/* The check value of a share. */
err_t *escrow_share_check(const uint8_t object_hash[ESCROW_HASH], uint8_t index, bytes_t y,
                          uint8_t ret_check[ESCROW_CHECK]) WARN_UNUSED;

/* Seals many shares to one officer: one HPKE encapsulation for all of them. */
typedef struct escrow_sealer escrow_sealer_t;
err_t *escrow_sealer_new(const uint8_t set_hash[ESCROW_HASH], const escrow_officer_t *officer,
                         escrow_sealer_t **ret_sealer) WARN_UNUSED;
void escrow_sealer_free(escrow_sealer_t *sealer);                /* takes NULL */
const uint8_t *escrow_sealer_enc(const escrow_sealer_t *sealer); /* ESCROW_ENC bytes, borrowed */
/* Fills check, enc and sealed of a share whose other fields are set. */
err_t *escrow_share_seal(const escrow_sealer_t *sealer, const uint8_t object_hash[ESCROW_HASH],
                         const rnd_t *rnd, bytes_t y, escrow_share_t *share) WARN_UNUSED;

/* Opens an officer's shares; derives a key once for each run of the same enc. */
typedef struct escrow_opener escrow_opener_t;
/* `key`: the officer's X25519 private key; borrowed. */
err_t *escrow_opener_new(const uint8_t set_hash[ESCROW_HASH], const char *officer,
                         const pkey_t *key, escrow_opener_t **ret_opener) WARN_UNUSED;
void escrow_opener_free(escrow_opener_t *opener); /* takes NULL */
/* One record's y. ERR_VERIFY names the officer and the dealer. */
err_t *escrow_share_open(escrow_opener_t *opener, const uint8_t object_hash[ESCROW_HASH],
                         const escrow_share_t *share, secret_t **ret_y) WARN_UNUSED;
/* The officer's share from its record, or from the parts of all dealers (each exactly once, else
 * ERR_VERIFY). */
err_t *escrow_shares_open(escrow_opener_t *opener, const uint8_t object_hash[ESCROW_HASH],
                          const escrow_share_t *parts, size_t n, secret_t **ret_y) WARN_UNUSED;

/* A DEK dealt to the whole set: appends one share record for each officer, each with a length of
 * four bytes before it. `sealers` in the set's order. */
err_t *escrow_deal(const escrow_object_t *object, const escrow_set_t *set,
                   escrow_sealer_t *const *sealers, const rnd_t *rnd, const secret_t *dek,
                   buf_t *out) WARN_UNUSED;

/* ---- officers ---- */

err_t *escrow_officer_file_sign(const pkey_t *sign_key, escrow_officer_file_t *file) WARN_UNUSED;
/* ERR_VERIFY if it was not made by the holder of its signing key. */
err_t *escrow_officer_file_verify(const escrow_officer_file_t *file) WARN_UNUSED;

/* An officer's signature over the hash of the next set. */
err_t *escrow_set_sign(const pkey_t *sign_key, const char *officer,
                       const uint8_t next_hash[ESCROW_HASH],
                       escrow_signature_t *ret_signature) WARN_UNUSED;
/*
 * Whether `next` follows `current` (epoch + 1, its hash as previous) with signatures of `current`'s
 * threshold different officers. ERR_VERIFY names whose does not hold; ERR_DENIED: too few.
 */
err_t *escrow_set_verify_next(const escrow_set_t *current, const escrow_set_t *next,
                              const escrow_signature_t *signatures, size_t n) WARN_UNUSED;

/* The same for a delivery: `needed` different officers of the set signed. */
err_t *escrow_delivery_sign(const pkey_t *sign_key, const char *officer,
                            const escrow_delivery_t *delivery,
                            escrow_signature_t *ret_signature) WARN_UNUSED;
err_t *escrow_delivery_verify(const escrow_set_t *set, const escrow_delivery_t *delivery,
                              const escrow_signature_t *signatures, size_t n,
                              unsigned needed) WARN_UNUSED;

/* An officer of the set says that what was dealt to it opens. */
err_t *escrow_finish_sign(const pkey_t *sign_key, const char *officer, const escrow_set_t *set,
                          escrow_signature_t *ret_signature) WARN_UNUSED;
err_t *escrow_finish_verify(const escrow_set_t *set,
                            const escrow_signature_t *signature) WARN_UNUSED;

/* ---- approvals ---- */

/*
 * Re-seals y to the request's recipient and signs. `officer` is the one in the set the request
 * names.
 */
err_t *escrow_approve(const escrow_request_t *request, const escrow_officer_t *officer,
                      const pkey_t *sign_key, bytes_t y, int64_t now,
                      escrow_approval_t *ret_approval) WARN_UNUSED;
/* Request hash, officer, index and signature hold. ERR_VERIFY names the officer. */
err_t *escrow_approval_verify(const escrow_request_t *request, const escrow_set_t *set,
                              const escrow_approval_t *approval) WARN_UNUSED;
/* At the recipient; checks the share against its check value. ERR_VERIFY names the officer. */
err_t *escrow_approval_open(const escrow_request_t *request, const escrow_approval_t *approval,
                            const pkey_t *recipient_key, secret_t **ret_y) WARN_UNUSED;
/*
 * All of it at the recipient: verifies each approval, opens it, combines, opens the blob.
 * ERR_DENIED: fewer than the threshold; ERR_VERIFY names the officer whose share is wrong, or says
 * that the shares fit their checks and still give another key.
 */
err_t *escrow_recover(const escrow_request_t *request, const escrow_set_t *set,
                      const escrow_approval_t *approvals, size_t n, const pkey_t *recipient_key,
                      bytes_t blob, secret_t **ret_secret) WARN_UNUSED;

/* ---- re-dealing ---- */

/*
 * One object of a contribution: weighs the officer's share y among `redeal`'s dealers, shares it
 * anew at `to`'s threshold and appends the item. `redeal` holds everything but count, items and
 * signature; `sealers` in the order of `to`.
 */
err_t *escrow_redeal_add(const escrow_redeal_t *redeal, const escrow_object_t *object,
                         const escrow_set_t *to, escrow_sealer_t *const *sealers, const rnd_t *rnd,
                         bytes_t y, buf_t *items) WARN_UNUSED;
/* Appends the whole signed record; count and items must be set. */
err_t *escrow_redeal_sign(const escrow_redeal_t *redeal, const pkey_t *sign_key,
                          buf_t *out) WARN_UNUSED;
/* Sets, dealers and signature hold. ERR_VERIFY names the officer. */
err_t *escrow_redeal_verify(const escrow_redeal_t *redeal, const escrow_set_t *from,
                            const escrow_set_t *to) WARN_UNUSED;

DEFINE_CLEANUP(escrow_sealer_t, escrow_sealer_free)
DEFINE_CLEANUP(escrow_opener_t, escrow_opener_free)

#endif
