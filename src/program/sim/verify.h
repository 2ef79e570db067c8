/*
 * What a strict device verifies about profiles. Pure functions; every failure is ERR_VERIFY with
 * words that say which check failed (resource failures keep their codes). Standards: Apple
 * "Over-the-Air Profile Delivery Concepts", "Configuration Profile Reference", RFC 5652, RFC 5280.
 */
#ifndef COFFER_SIM_VERIFY_H
#define COFFER_SIM_VERIFY_H

#include "crypto/cert.h"
#include "crypto/cms.h"
#include "crypto/name.h"
#include "format/plist.h"

/* Turns whatever says "malformed" about a peer's message into ERR_VERIFY. Takes NULL. */
err_t *verify_recode(err_t *e) WARN_UNUSED;

/* A signed profile that held: owns both. */
typedef struct {
    cms_signed_t *message;
    plist_doc_t *doc;
    plist_t *dict; /* the profile; of doc */
} verified_profile_t;
void verified_profile_done(verified_profile_t *profile);

/*
 * The signature over the profile, the signer's chain to `roots` at time `at` (seconds since 1970
 * UTC), and that the signer may sign profiles: no CA, digitalSignature, codeSigning or
 * emailProtection. Then parses it.
 */
err_t *verify_profile(bytes_t message, const cert_list_t *roots, int64_t at,
                      verified_profile_t *ret_profile) WARN_UNUSED;

/* PayloadType (if not NULL), PayloadVersion 1, PayloadIdentifier, PayloadUUID. */
err_t *verify_payload_head(const plist_t *payload, const char *type) WARN_UNUSED;

/* ---- phase 1 ---- */

enum { OFFER_ATTRIBUTES = 64 };

typedef struct {
    const char *url;
    const plist_t *attributes; /* array of strings */
    bytes_t challenge;         /* string or data, see challenge_is_data; none if absent */
    bool challenge_is_data;
} profile_offer_t; /* borrowed from the document */

err_t *verify_offer(const plist_t *profile, profile_offer_t *ret_offer) WARN_UNUSED;

/* ---- com.apple.security.scep ---- */

enum { TERMS_SUBJECT = 32, TERMS_SANS = 32 };

typedef struct {
    const char *uuid; /* PayloadUUID */
    const char *url;
    name_entry_t subject[TERMS_SUBJECT];
    size_t subject_n;
    san_entry_t sans[TERMS_SANS];
    size_t sans_n;
    bytes_t challenge; /* may be none */
    unsigned bits;
    unsigned key_usage;     /* KEY_USAGE_* */
    bytes_t ca_fingerprint; /* SHA-1 or SHA-256, or none */
    const char *name;       /* of the CA, GetCACert's message; "" if none */
} scep_terms_t;             /* borrowed from the document */

/* Keysize of at least 2048 is demanded: the protocol's default of 1024 must not be relied on. */
err_t *verify_scep_payload(const plist_t *payload, scep_terms_t *ret_terms) WARN_UNUSED;
/* Phase 2's reply: a Configuration with exactly one SCEP payload and nothing else. */
err_t *verify_scep_profile(const plist_t *profile, scep_terms_t *ret_terms) WARN_UNUSED;

/* ---- phase 3 ---- */

typedef struct {
    const char *identifier; /* PayloadIdentifier of the MDM payload */
    const char *identity_uuid;
    const char *topic;
    const char *server_url;
    const char *checkin_url; /* server_url if absent */
    int64_t access_rights;
    bool sign_message;
    bool check_out_when_removed;
} mdm_terms_t; /* borrowed */

enum { TERMS_SCEP = 4, TERMS_KEYS = 64 };

typedef struct {
    scep_terms_t scep;             /* of the identity that management uses */
    scep_terms_t more[TERMS_SCEP]; /* further certificates: a person's for mail */
    size_t more_n;
    mdm_terms_t mdm;
    cert_list_t authorities;       /* owned: certificates the profile installs */
    pkey_t *mail_keys[TERMS_KEYS]; /* owned: of com.apple.security.pkcs12, in order */
    cert_t *mail_certs[TERMS_KEYS];
    size_t mail_keys_n;
    size_t others; /* payloads of other types */
} enrolment_terms_t;
void enrolment_terms_done(enrolment_terms_t *terms);

/* Phase 3's outer profile: encrypted, and nothing in clear. Decrypts for this identity. */
err_t *verify_decrypt_payloads(const plist_t *profile, const cert_t *cert, const pkey_t *key,
                               plist_doc_t **ret_payloads, cms_cipher_t *ret_cipher) WARN_UNUSED;
/*
 * The payloads together: one com.apple.mdm whose IdentityCertificateUUID names a SCEP payload, and
 * at most TERMS_SCEP of the others; certificate payloads are CAs of `roots` or chain to them; UUIDs
 * are unique.
 */
err_t *verify_enrolment(const plist_t *payloads, const cert_list_t *roots, int64_t at,
                        enrolment_terms_t *ret_terms) WARN_UNUSED;

/* The payloads of another encrypted profile: the same, without management. */
err_t *verify_payloads(const plist_t *payloads, const cert_list_t *roots, int64_t at,
                       enrolment_terms_t *ret_terms) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(verified_profile_t, verified_profile_done)
DEFINE_CLEANUP_VALUE(enrolment_terms_t, enrolment_terms_done)

#endif
