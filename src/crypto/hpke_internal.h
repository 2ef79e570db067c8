/*
 * For hpke.c and its tests only: encapsulation with a given ephemeral key, as the vectors of
 * RFC 9180 appendix A prescribe. Using an ephemeral key twice breaks the encryption.
 */
#ifndef COFFER_CRYPTO_HPKE_INTERNAL_H
#define COFFER_CRYPTO_HPKE_INTERNAL_H

#include "crypto/hpke.h"

err_t *hpke_sender_new_deterministic(hpke_suite_t suite, const pkey_t *recipient,
                                     const pkey_t *ephemeral, bytes_t info, const hpke_psk_t *psk,
                                     uint8_t ret_enc[HPKE_ENC_SIZE],
                                     hpke_t **ret_sender) WARN_UNUSED;
/* DeriveKeyPair (RFC 9180 section 7.1.3) for X25519. */
err_t *hpke_derive_key(bytes_t ikm, pkey_t **ret_key) WARN_UNUSED;
/* What the key schedule made, for comparison with the vectors; borrowed. */
bytes_t hpke_key(const hpke_t *hpke);
bytes_t hpke_base_nonce(const hpke_t *hpke);
bytes_t hpke_exporter_secret(const hpke_t *hpke);

#endif
