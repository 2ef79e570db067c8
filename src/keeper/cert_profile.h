/*
 * Certificate profiles: the rules under which the keeper certifies a request (RFC 5280, RFC
 * 2986). They are held and enforced inside the keeper, so that whoever asks cannot choose them.
 * Pure values after loading; immutable, shared by all threads.
 */
#ifndef COFFER_KEEPER_CERT_PROFILE_H
#define COFFER_KEEPER_CERT_PROFILE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/csr.h"
#include "crypto/name.h"

typedef enum {
    CERT_PROFILE_DEVICE_CA,
    CERT_PROFILE_ROOT_CA,
    CERT_PROFILE_MAIL_CA
} cert_profile_ca_t;

enum {
    CERT_PROFILE_TEXT = 64,  /* bytes of a profile's name, an OID or an attribute type */
    CERT_PROFILE_ITEMS = 16, /* attribute types or extended key usages in one profile */
    CERT_PROFILE_COUNT = 64, /* profiles in one configuration */
};

typedef struct {
    char type[CERT_PROFILE_TEXT + 1]; /* "CN", "UID", ..., or a dotted OID */
    bool required;
} cert_profile_attribute_t;

typedef struct {
    char name[CERT_PROFILE_TEXT + 1];
    cert_profile_ca_t ca;
    unsigned rsa_min, rsa_max; /* bits; 0: no RSA key */
    bool p256, p384;
    int64_t validity_s;
    unsigned key_usage;                                   /* KEY_USAGE_* */
    char ekus[CERT_PROFILE_ITEMS][CERT_PROFILE_TEXT + 1]; /* dotted OIDs */
    size_t ekus_n;
    cert_profile_attribute_t subject[CERT_PROFILE_ITEMS]; /* what may stand in the subject */
    size_t subject_n;
    unsigned names; /* kinds of subjectAltName: 1 << san_kind_t */
} cert_profile_t;

typedef struct {
    cert_profile_t *items;
    size_t n;
} cert_profiles_t;

/* The built-in ones: device-identity, scep-client, tls-server, mail-encrypt, mail-encrypt-p256. */
err_t *cert_profiles_builtin(cert_profiles_t *ret_profiles) WARN_UNUSED;
void cert_profiles_done(cert_profiles_t *profiles);
/* NULL if there is none of this name; borrowed. */
const cert_profile_t *cert_profiles_find(const cert_profiles_t *profiles, const char *name);

/*
 * Reads "email:a@example.org dns:b uri:c upn:d ip:192.0.2.1" into an array in the arena.
 * ERR_INVALID; ERR_LIMIT past LIMIT_SAN_ENTRIES.
 */
err_t *cert_profile_names(bytes_t text, arena_t *arena, const san_entry_t **ret_names,
                          size_t *ret_n) WARN_UNUSED;

/*
 * Whether the profile lets this request be certified with these subjectAltNames: key, subject,
 * what the request asks for itself. ERR_DENIED names the rule. Does not verify possession.
 */
err_t *cert_profile_check(const cert_profile_t *profile, const csr_t *csr, const san_entry_t *names,
                          size_t names_n) WARN_UNUSED;
/* The part of it that looks at the key: kind, size, and an RSA exponent that is odd and > 1. */
err_t *cert_profile_check_key(const cert_profile_t *profile, const pkey_t *key) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(cert_profiles_t, cert_profiles_done)

#endif
