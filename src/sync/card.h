/*
 * A device's card, record cofferYJ: its three public keys and what it says of itself, signed by
 * both of its signing keys (proof that it holds them). A device's id is the hash of its keys, so
 * nobody can put other keys under it. Pure.
 */
#ifndef COFFER_SYNC_CARD_H
#define COFFER_SYNC_CARD_H

#include "crypto/pkey.h"
#include "sync/suite.h"

typedef struct {
    uint16_t suite;
    uint8_t login[SYNC_KEY];   /* Ed25519: logs in */
    uint8_t content[SYNC_KEY]; /* Ed25519: signs what the device writes */
    uint8_t seal[SYNC_KEY];    /* X25519: keys are sealed to it */
    char name[LIMIT_SYNC_NAME + 1];
    char person[LIMIT_SYNC_PERSON + 1]; /* person id */
    int64_t created;                    /* seconds since 1970 UTC; informative */
    uint8_t login_signature[SYNC_SIGNATURE];
    uint8_t content_signature[SYNC_SIGNATURE];
} sync_card_t;

err_t *sync_card_put(const sync_card_t *card, buf_t *out) WARN_UNUSED;
/* Does not verify. */
err_t *sync_card_parse(bytes_t record, sync_card_t *ret_card) WARN_UNUSED;
/* Both signatures; ERR_VERIFY. */
err_t *sync_card_verify(const sync_card_t *card) WARN_UNUSED;
/* Fills both signatures with the private keys of `login` and `content`. */
err_t *sync_card_sign(sync_card_t *card, const pkey_t *login, const pkey_t *content) WARN_UNUSED;
/* SHA-256 of suite and keys. */
err_t *sync_card_id(const sync_card_t *card, uint8_t ret_id[SYNC_HASH]) WARN_UNUSED;

#endif
