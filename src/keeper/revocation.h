/*
 * What revocation needs inside the keeper: where lists and OCSP are found (for certificates and
 * lists alike), the lists in the making, and the OCSP responders. A responder's key is P-256, born
 * here, never written anywhere, and replaced in time; its certificate (RFC 6960 section 4.2.2.2)
 * is issued by the CA whose certificates it speaks about.
 * Shared by all worker threads; one lock inside, never held while anything is signed but a
 * responder's own certificate.
 */
#ifndef COFFER_KEEPER_REVOCATION_H
#define COFFER_KEEPER_REVOCATION_H

#include "base/clk.h"
#include "base/rnd.h"
#include "crypto/crl.h"
#include "crypto/ocsp.h"
#include "keeper/keyring.h"
#include "keeper/vault.h"

typedef struct revocation revocation_t;

/* `url` is the prefix of what relying parties fetch, "http://host:port"; copied. */
err_t *revocation_new(const char *url, revocation_t **ret_revocation) WARN_UNUSED;
void revocation_free(revocation_t *revocation); /* takes NULL */

/* A CA by the name it has in records ("device-ca", "device-ca-2", "root"). ERR_NOT_FOUND. Borrowed.
 */
err_t *revocation_ca(const keyring_t *keys, const char *name, const cert_t **ret_cert,
                     const pkey_t **ret_key) WARN_UNUSED;

/* ---- URLs; new strings (mem_free) ---- */

/* Of a list: PREFIX/ca/crl/ISSUER[/PROFILE][.delta].crl; profile "" for all of an issuer's. */
err_t *revocation_crl_url(const revocation_t *revocation, const char *issuer, const char *profile,
                          bool delta, char **ret_url) WARN_UNUSED;
err_t *revocation_ocsp_url(const revocation_t *revocation, char **ret_url) WARN_UNUSED;
err_t *revocation_ca_url(const revocation_t *revocation, const char *issuer,
                         char **ret_url) WARN_UNUSED;

/* ---- lists in the making ---- */

/* Takes the builder over; at most LIMIT_KEEPER_CRL_BUILDS at once (ERR_BUSY), the old forgotten
 * after LIMIT_KEEPER_CRL_BUILD_S. `about` is for the log; copied. */
err_t *revocation_build_put(revocation_t *revocation, crl_builder_t *builder, const char *about,
                            int64_t now, uint64_t *ret_id) WARN_UNUSED;
/* Takes it out, so that one thread works on it; ERR_NOT_FOUND. `about` is the caller's. */
err_t *revocation_build_take(revocation_t *revocation, uint64_t id, crl_builder_t **ret_builder,
                             char **ret_about) WARN_UNUSED;
/* Puts it back under the same number. Takes both over. */
void revocation_build_return(revocation_t *revocation, uint64_t id, crl_builder_t *builder,
                             char *about);

/* ---- OCSP responders ---- */

typedef struct {
    pkey_t *key;
    cert_t *cert;
    uint8_t key_hash[DIGEST_SHA1_SIZE];
    ocsp_issuer_t issuer;
} responder_t; /* references of the holder's */

void responder_done(responder_t *responder);
/*
 * The responder of a CA, good for at least LIMIT_KEEPER_OCSP_LIFETIME_S more. When a new one had
 * to be made, its certificate goes into *issued for the record.
 */
err_t *revocation_responder(revocation_t *revocation, const keyring_t *keys, const char *issuer,
                            const clk_t *clk, const rnd_t *rnd, vault_issued_t *issued,
                            responder_t *ret_responder) WARN_UNUSED;

DEFINE_CLEANUP(revocation_t, revocation_free)
DEFINE_CLEANUP_VALUE(responder_t, responder_done)

#endif
