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
#include "crypto/cert_lint.h"
#include "crypto/csr.h"
#include "crypto/name.h"

typedef enum {
    CERT_PROFILE_DEVICE_CA,
    CERT_PROFILE_ROOT_CA,
    CERT_PROFILE_MAIL_CA
} cert_profile_ca_t;

/* What certificates are for: decides the defaults, and what else may be said of them. */
typedef enum {
    CERT_PROFILE_AUTH,    /* devices and people show who they are */
    CERT_PROFILE_SIGN,    /* mail is signed; the key is made on the device and never leaves it */
    CERT_PROFILE_ENCRYPT, /* mail is encrypted to it; the key may be archived */
    CERT_PROFILE_SERVER,  /* TLS servers */
} cert_profile_purpose_t;

enum {
    CERT_PROFILE_POLICIES = 4, /* certificate policies in one profile */
    CERT_PROFILE_TEXT = 64,    /* bytes of a profile's name, an OID or an attribute type */
    CERT_PROFILE_ITEMS = 16,   /* attribute types or extended key usages in one profile */
    CERT_PROFILE_COUNT = 64,   /* profiles in one configuration */
};

typedef struct {
    char type[CERT_PROFILE_TEXT + 1]; /* "CN", "UID", ..., or a dotted OID */
    bool required;
} cert_profile_attribute_t;

typedef struct {
    char name[CERT_PROFILE_TEXT + 1];
    cert_profile_ca_t ca;
    cert_profile_purpose_t purpose;
    cert_lint_rules_t rules;   /* that each certificate must keep */
    unsigned rsa_min, rsa_max; /* bits; 0: no RSA key */
    bool p256, p384;
    int64_t validity_s;
    unsigned key_usage;                                   /* KEY_USAGE_* */
    char ekus[CERT_PROFILE_ITEMS][CERT_PROFILE_TEXT + 1]; /* dotted OIDs */
    size_t ekus_n;
    cert_profile_attribute_t subject[CERT_PROFILE_ITEMS]; /* what may stand in the subject */
    size_t subject_n;
    unsigned names; /* kinds of subjectAltName: 1 << san_kind_t */
    char policies[CERT_PROFILE_POLICIES][CERT_PROFILE_TEXT + 1]; /* dotted OIDs */
    size_t policies_n;
    /* Where mailboxes may be; none: anywhere. */
    char mail_domains[CERT_PROFILE_ITEMS][CERT_PROFILE_TEXT + 1];
    size_t mail_domains_n;
} cert_profile_t;

typedef struct {
    cert_profile_t *items;
    size_t n;
} cert_profiles_t;

/* The built-in ones: device-identity, scep-client, tls-server, mail-signing, mail-encrypt,
 * mail-encrypt-p256. */
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

/*
 * The profile's key usage as far as a key of this kind can have it (RFC 8813 section 3: an EC key
 * enciphers no keys; RFC 3279 section 2.3.1: an RSA key agrees on none). ERR_DENIED if nothing is
 * left of what the purpose needs.
 */
err_t *cert_profile_usage(const cert_profile_t *profile, const pkey_t *key,
                          unsigned *ret_usage) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(cert_profiles_t, cert_profiles_done)

#endif
