/*
 * The proof that one has an archived secret: see client_device_secret.h. Pure; for both sides.
 */
#include "crypto/digest.h"
#include "keeper/client_device_secret.h"

#define PROOF_DOMAIN "coffer/v1/escrow-proof"

err_t *keeper_proof_make(bytes_t secret, const uint8_t nonce[KEEPER_PROOF],
                         uint8_t ret_proof[KEEPER_PROOF]) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, sizeof PROOF_DOMAIN + KEEPER_PROOF);
    TRY(buf_add(&message, bytes_make(PROOF_DOMAIN, sizeof PROOF_DOMAIN))); /* with its NUL */
    TRY(buf_add(&message, bytes_make(nonce, KEEPER_PROOF)));
    return digest_hmac_sha256(secret, buf_bytes(&message), ret_proof);
}
