/*
 * The intents of escrow, for core.c's table, and what they share. Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_ESCROW_H
#define COFFER_KEEPER_INTENT_ESCROW_H

#include "keeper/escrow_seal.h"
#include "keeper/intent.h"
#include "keeper/vault_escrow.h"

err_t *intent_officers_activate(const keeper_core_t *, const intent_call_t *,
                                intent_answer_t *) WARN_UNUSED;
err_t *intent_officers_set(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_archive(const keeper_core_t *, const intent_call_t *,
                             intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_smime(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_import(const keeper_core_t *, const intent_call_t *,
                            intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_deal(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_rewrap(const keeper_core_t *, const intent_call_t *,
                            intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_drill(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_fill(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_receiver_make(const keeper_core_t *, const intent_call_t *,
                            intent_answer_t *) WARN_UNUSED;
err_t *intent_secret_take(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_secret_prove(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_storage_key(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_storage_key_new(const keeper_core_t *, const intent_call_t *,
                              intent_answer_t *) WARN_UNUSED;
err_t *intent_escrow_deliver(const keeper_core_t *, const intent_call_t *,
                             intent_answer_t *) WARN_UNUSED;

/* ---- shared ---- */

/* Records cofferSG: a count of two bytes, then each with its length. */
err_t *escrow_get_signatures(wire_reader_t *r, escrow_signature_t signatures[LIMIT_ESCROW_OFFICERS],
                             size_t *ret_n) WARN_UNUSED;

/* The current officers' set with a sealer for each; set.epoch is 0 if there is none yet. */
typedef struct {
    escrow_set_t set;
    escrow_sealer_t *sealers[LIMIT_ESCROW_OFFICERS];
} escrow_dealing_t;

err_t *escrow_dealing_load(const keeper_core_t *core, escrow_dealing_t *ret_dealing) WARN_UNUSED;
void escrow_dealing_done(escrow_dealing_t *dealing);
/* The set alone, without sealers. */
err_t *escrow_set_load(const keeper_core_t *core, escrow_set_t *ret_set) WARN_UNUSED;

err_t *escrow_get_wrap(wire_reader_t *r, keeper_wrap_t *ret_wrap) WARN_UNUSED;
/* "object=ID/VERSION kind=K owner=O device=D" for the log. */
void escrow_about(intent_answer_t *answer, const escrow_object_t *object);

/*
 * Archives: makes DEK, blob, wrap and shares, puts them and the certificate (DER or none) into the
 * answer and the record into the operation.
 */
err_t *escrow_make(const keeper_core_t *core, const escrow_object_t *object, keeper_wrap_t wrap,
                   bytes_t secret, bytes_t certificate, intent_answer_t *answer) WARN_UNUSED;

/*
 * The vault's record of an object, which must be the newest version and just what the caller says
 * it is. ERR_NOT_FOUND, ERR_VERIFY. blob_hash of ESCROW_HASH bytes.
 */
err_t *escrow_find_record(const keeper_core_t *core, const escrow_object_t *object,
                          bytes_t blob_hash, vault_escrow_t *ret_record) WARN_UNUSED;
/* Opens a wrap by the storage key that it names. */
err_t *escrow_open_wrap(const keeper_core_t *core, const escrow_object_t *object, bytes_t wrap,
                        secret_t **ret_dek) WARN_UNUSED;
/* Both, and the blob: the secret. A key pair is parsed and matched with its recorded public key. */
err_t *escrow_open_stored(const keeper_core_t *core, const escrow_object_t *object, bytes_t blob,
                          bytes_t wrap, vault_escrow_t *ret_record,
                          secret_t **ret_secret) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(escrow_dealing_t, escrow_dealing_done)

#endif
