/*
 * For the files of src/pki only: what is behind a pki_t.
 */
#ifndef COFFER_PKI_PKI_INTERNAL_H
#define COFFER_PKI_PKI_INTERNAL_H

#include <pthread.h>

#include "pki/pki.h"

enum {
    PKI_HASH = 32,              /* SHA-256 */
    PKI_VERIFIED_SLOTS = 65536, /* remembered chain verifications; 2 MiB when all are used */
    PKI_VERIFIED_WAYS = 4,      /* slots that may hold a certificate, newest first */
    PKI_CERTS = 4096,           /* certificates kept parsed */
    PKI_IN_FLIGHT = 256,        /* challenges being redeemed at this moment */
};

struct pki {
    pki_options_t o;
    cert_t *root;
    cert_t *mail_ca;
    keeper_cas_t cas;
    const keeper_ca_t *ca; /* of cas: the current one */
    buf_t next_ca;         /* GetNextCACert's answer; empty: there is no next one */
    revoker_t *revoker;    /* borrowed, or NULL */
    cert_t *profile_signer;
    cert_cache_t *certs;

    /*
     * Fingerprints whose signature by a device CA was verified. A signature doesn't expire;
     * dates, records and revocation are looked at every time.
     */
    pthread_mutex_t verified_lock;
    uint8_t (*verified)[PKI_HASH];

    /* Challenges being redeemed now, so that two connections don't both make the keeper work. */
    pthread_mutex_t flight_lock;
    uint8_t flight[PKI_IN_FLIGHT][PKI_HASH];
    bool flight_used[PKI_IN_FLIGHT];
};

/* SHA-256 of a challenge password, as the store keeps it. */
err_t *pki_challenge_hash(bytes_t challenge, uint8_t out[PKI_HASH]) WARN_UNUSED;
/* Claims a challenge in this process; ERR_BUSY if it is claimed or too many are. */
err_t *pki_claim(pki_t *pki, const uint8_t hash[PKI_HASH]) WARN_UNUSED;
void pki_release(pki_t *pki, const uint8_t hash[PKI_HASH]);

/*
 * Whether the names a CSR asks for are just the expected ones ("email:a dns:b"): a CSR without
 * names takes what is expected. ERR_DENIED naming the first that is not.
 */
err_t *pki_names_check(const csr_t *csr, const char *expected) WARN_UNUSED;

/*
 * Whether a text lists names that can be certified: kinds email, dns, uri, upn, ip, each value of
 * its kind's form. ERR_INVALID says which and what is right; ERR_LIMIT past LIMIT_SAN_ENTRIES.
 */
err_t *pki_names_validate(bytes_t text) WARN_UNUSED;
/*
 * Whether a text could be a request's subject as csr_subject writes it (RFC 4514): TYPE=value,
 * separated by commas (plus signs within one RDN), special characters escaped by a backslash.
 * "" is fine. ERR_INVALID, ERR_LIMIT.
 */
err_t *pki_subject_validate(bytes_t text) WARN_UNUSED;
/* "email", "dns", ...; static. */
const char *pki_san_kind_name(san_kind_t kind);

/* Whether a device CA of ours, of any generation, signed it, remembered; no dates, records or
 * revocation. ERR_VERIFY. */
err_t *pki_check_signature(pki_t *pki, const cert_t *cert) WARN_UNUSED;

/* Has the directory told of a certificate that is new or not good any more, if its profile is
 * published; inside the caller's db_write. */
err_t *pki_publish(const pki_t *pki, db_conn_t *conn, bytes_t fingerprint, const char *profile,
                   int64_t now_ms) WARN_UNUSED;

#endif
