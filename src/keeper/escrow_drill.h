/*
 * An officer's signed word that his key opens his shares of a sample of objects: record cofferPD
 * (docs/formats/escrow.md). Pure; officers' machines, coffer-web, auditors.
 */
#ifndef COFFER_KEEPER_ESCROW_DRILL_H
#define COFFER_KEEPER_ESCROW_DRILL_H

#include "crypto/pkey.h"
#include "keeper/escrow_format.h"

#define ESCROW_DOMAIN_DRILL "coffer/v1/escrow/drill"

typedef struct {
    char officer[LIMIT_ESCROW_OFFICER + 1];
    uint8_t index;
    uint8_t set_hash[ESCROW_HASH];
    uint32_t sampled, failed;
    uint8_t digest[ESCROW_HASH]; /* of what was tried, see escrow_drill_digest */
    int64_t proved;              /* seconds */
    uint8_t signature[ESCROW_SIGNATURE];
} escrow_drill_t;

err_t *escrow_drill_put(const escrow_drill_t *drill, buf_t *out) WARN_UNUSED;
/* ERR_INVALID; ERR_VERIFY for another version. */
err_t *escrow_drill_parse(bytes_t record, escrow_drill_t *ret_drill) WARN_UNUSED;
/* SHA-256 over what escrow_drill_note appended for each object, in the order of the sample. */
err_t *escrow_drill_note(const uint8_t object_hash[ESCROW_HASH], bool opened,
                         buf_t *out) WARN_UNUSED;
err_t *escrow_drill_sign(escrow_drill_t *drill, const pkey_t *sign_key) WARN_UNUSED;
/* ERR_VERIFY unless it is of this officer of this set. */
err_t *escrow_drill_verify(const escrow_drill_t *drill, const escrow_set_t *set) WARN_UNUSED;

#endif
