/*
 * For cert_lint*.c only: the table of rules, and a certificate while it is looked at. Everything
 * borrows from the input.
 */
#ifndef COFFER_CRYPTO_CERT_LINT_INTERNAL_H
#define COFFER_CRYPTO_CERT_LINT_INTERNAL_H

#include "base/limits.h"
#include "crypto/cert_lint.h"
#include "crypto/der_internal.h"
#include "crypto/name.h"

/* The id, the severity, the section, and what is wrong. docs/guides/certificates.md has them too.
 */
#define LINT_RULES(X)                                                                              \
    X(rfc5280_der, ERROR, "RFC 5280 4.1", "not one element in strict DER (X.690 section 10)")      \
    X(rfc5280_structure, ERROR, "RFC 5280 4.1", "a field is missing, malformed or too many")       \
    X(rfc5280_version, ERROR, "RFC 5280 4.1.2.1", "extensions need version 3")                     \
    X(rfc5280_der_default, ERROR, "X.690 11.5", "a default value is written out")                  \
    X(rfc5280_der_set_order, ERROR, "X.690 11.6", "the members of a SET OF are not in order")      \
    X(rfc5280_serial_positive, ERROR, "RFC 5280 4.1.2.2", "the serial number is not above zero")   \
    X(rfc5280_serial_length, ERROR, "RFC 5280 4.1.2.2",                                            \
      "the serial number takes more than 20 octets")                                               \
    X(rfc5280_signature_match, ERROR, "RFC 5280 4.1.1.2",                                          \
      "the signature algorithm inside is not the one outside")                                     \
    X(rfc5280_signature_parameters, ERROR, "RFC 4055 5, RFC 5758 3.2, RFC 8410 3",                 \
      "the signature algorithm's parameters are not as its standard says")                         \
    X(rfc5280_signature_weak, WARNING, "RFC 6151, RFC 6194",                                       \
      "the signature uses MD2, MD5 or SHA-1")                                                      \
    X(rfc5280_issuer_empty, ERROR, "RFC 5280 4.1.2.4", "the issuer has no name")                   \
    X(rfc5280_validity_order, ERROR, "RFC 5280 4.1.2.5", "notAfter lies before notBefore")         \
    X(rfc5280_time_form, ERROR, "RFC 5280 4.1.2.5",                                                \
      "a time is not written YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")                                    \
    X(rfc5280_time_choice, ERROR, "RFC 5280 4.1.2.5",                                              \
      "GeneralizedTime is for the years from 2050 on")                                             \
    X(rfc5280_unique_id, ERROR, "RFC 5280 4.1.2.8", "unique identifiers must not be made")         \
    X(rfc5280_subject_empty_ca, ERROR, "RFC 5280 4.1.2.6", "a CA has no subject")                  \
    X(rfc5280_subject_empty, ERROR, "RFC 5280 4.1.2.6",                                            \
      "an empty subject needs a subjectAltName that is critical")                                  \
    X(rfc5280_name_string, ERROR, "RFC 5280 4.1.2.4",                                              \
      "a DirectoryString is neither PrintableString nor UTF8String")                               \
    X(rfc5280_name_type, ERROR, "RFC 5280 A.1", "an attribute has the wrong string type")          \
    X(rfc5280_name_characters, ERROR, "RFC 5280 4.1.2.4",                                          \
      "a string holds characters that its type doesn't have")                                      \
    X(rfc5280_name_empty, ERROR, "RFC 5280 A.1", "an attribute is empty")                          \
    X(rfc5280_name_length, ERROR, "RFC 5280 A.1", "an attribute is over its upper bound")          \
    X(rfc5280_country_length, ERROR, "RFC 5280 A.1", "a country has not two letters")              \
    X(rfc5280_key_parameters, ERROR, "RFC 3279 2.3, RFC 5480 2.1.1, RFC 8410 3",                   \
      "the public key's parameters are not as its standard says")                                  \
    X(rfc5280_key_malformed, ERROR, "RFC 5280 4.1.2.7", "the public key is malformed")             \
    X(rfc5280_key_exponent, ERROR, "RFC 8017 3.1", "the RSA exponent is even or below 3")          \
    X(rfc5280_key_weak, WARNING, "RFC 8017, NIST SP 800-57", "the RSA key is below 2048 bits")     \
    X(rfc5280_key_unknown, NOTICE, "RFC 5280 4.1.2.7", "the key's algorithm is not known here")    \
    X(rfc5280_extensions_empty, ERROR, "RFC 5280 4.1.2.9", "the list of extensions is empty")      \
    X(rfc5280_extension_twice, ERROR, "RFC 5280 4.2", "an extension comes twice")                  \
    X(rfc5280_extension_malformed, ERROR, "RFC 5280 4.2", "an extension is malformed")             \
    X(rfc5280_extension_unknown, WARNING, "RFC 5280 4.2",                                          \
      "a critical extension is not known here: most software will refuse the certificate")         \
    X(rfc5280_extension_critical, ERROR, "RFC 5280 4.2", "an extension must not be critical")      \
    X(rfc5280_extension_not_critical, ERROR, "RFC 5280 4.2", "an extension must be critical")      \
    X(rfc5280_aki_missing, ERROR, "RFC 5280 4.2.1.1",                                              \
      "no authority key identifier with a keyIdentifier")                                          \
    X(rfc5280_ski_missing_ca, ERROR, "RFC 5280 4.2.1.2", "a CA has no subject key identifier")     \
    X(rfc5280_ski_missing, WARNING, "RFC 5280 4.2.1.2", "no subject key identifier")               \
    X(rfc5280_key_usage_missing, ERROR, "RFC 5280 4.2.1.3", "a CA has no key usage")               \
    X(rfc5280_key_usage_critical, WARNING, "RFC 5280 4.2.1.3", "key usage should be critical")     \
    X(rfc5280_key_usage_empty, ERROR, "RFC 5280 4.2.1.3", "key usage has no bit set")              \
    X(rfc5280_key_usage_der, ERROR, "X.690 11.2.2", "key usage has zero bits at its end")          \
    X(rfc5280_key_usage_ca, ERROR, "RFC 5280 4.2.1.3", "keyCertSign without cA")                   \
    X(rfc5280_key_usage_key, ERROR, "RFC 3279 2.3.1, RFC 8813 3, RFC 9295 3",                      \
      "a key usage that the key can't have")                                                       \
    X(rfc5280_key_usage_only, WARNING, "RFC 5280 4.2.1.3",                                         \
      "encipherOnly or decipherOnly mean nothing without keyAgreement")                            \
    X(rfc5280_policy_twice, ERROR, "RFC 5280 4.2.1.4", "a certificate policy comes twice")         \
    X(rfc5280_san_empty, ERROR, "RFC 5280 4.2.1.6", "subjectAltName holds no name")                \
    X(rfc5280_san_name, ERROR, "RFC 5280 4.2.1.6", "an alternative name is malformed")             \
    X(rfc5280_san_critical, WARNING, "RFC 5280 4.2.1.6",                                           \
      "subjectAltName should not be critical beside a subject")                                    \
    X(rfc5280_san_twice, NOTICE, "RFC 5280 4.2.1.6", "an alternative name comes twice")            \
    X(rfc5280_path_length, ERROR, "RFC 5280 4.2.1.9",                                              \
      "pathLenConstraint without cA and keyCertSign, or negative")                                 \
    X(rfc5280_name_constraints, ERROR, "RFC 5280 4.2.1.10",                                        \
      "nameConstraints in a certificate that is no CA's, or empty")                                \
    X(rfc5280_policy_constraints, ERROR, "RFC 5280 4.2.1.11", "policyConstraints is empty")        \
    X(rfc5280_eku_twice, WARNING, "RFC 5280 4.2.1.12", "an extended key usage comes twice")        \
    X(rfc5280_eku_any_critical, WARNING, "RFC 5280 4.2.1.12",                                      \
      "extKeyUsage should not be critical with anyExtendedKeyUsage in it")                         \
    X(rfc5280_eku_key_usage, WARNING, "RFC 5280 4.2.1.12",                                         \
      "no purpose in extKeyUsage goes with a bit of keyUsage")                                     \
    X(rfc5280_crl_point, ERROR, "RFC 5280 4.2.1.13",                                               \
      "a distribution point names neither a place nor an issuer")                                  \
    X(rfc5280_crl_critical, WARNING, "RFC 5280 4.2.1.13",                                          \
      "cRLDistributionPoints should not be critical")                                              \
    X(smbr_subscriber, ERROR, "SMBR 7.1.2.3 d", "not a subscriber's certificate: cA is true")      \
    X(smbr_path_length, ERROR, "SMBR 7.1.2.3 d", "a subscriber has a pathLenConstraint")           \
    X(smbr_version, ERROR, "SMBR 7.1.1", "not version 3")                                          \
    X(smbr_serial, ERROR, "SMBR 7.1", "the serial number is too short for 64 random bits")         \
    X(smbr_validity, ERROR, "SMBR 6.3.2", "valid for too many days")                               \
    X(smbr_legacy, ERROR, "SMBR 7.1.6.1", "the legacy generation ended on 2025-07-15")             \
    X(smbr_signature, ERROR, "SMBR 7.1.3.2",                                                       \
      "the signature algorithm is not one of those allowed, to the byte")                          \
    X(smbr_key_algorithm, ERROR, "SMBR 7.1.3.1",                                                   \
      "the key's algorithm is not one of those allowed, to the byte")                              \
    X(smbr_key_size, ERROR, "SMBR 6.1.5",                                                          \
      "the RSA modulus is below 2048 bits or not divisible by 8")                                  \
    X(smbr_key_exponent, WARNING, "SMBR 6.1.6",                                                    \
      "the RSA exponent should be between 2^16+1 and 2^256-1")                                     \
    X(smbr_policy_missing, ERROR, "SMBR 7.1.6.4",                                                  \
      "no certificate policy of those reserved for S/MIME")                                        \
    X(smbr_policy_many, ERROR, "SMBR 7.1.2.3 a", "more than one reserved certificate policy")      \
    X(smbr_policy_generation, ERROR, "SMBR 7.1.6.1",                                               \
      "the reserved certificate policy is of another generation than the rules")                   \
    X(smbr_policy_critical, WARNING, "SMBR 7.1.2.3 a",                                             \
      "certificatePolicies should not be critical")                                                \
    X(smbr_policy_cps, ERROR, "SMBR 7.1.2.3 a", "a CPS qualifier is no HTTP or HTTPS URL")         \
    X(smbr_policy_notice, ERROR, "SMBR 7.1.2.3 a",                                                 \
      "a user notice without explicitText, or with noticeRef")                                     \
    X(smbr_crl_missing, ERROR, "SMBR 7.1.2.3 b", "no cRLDistributionPoints with a URI")            \
    X(smbr_crl_scheme, ERROR, "SMBR 7.1.2.3 b", "a revocation list's URI is not http")             \
    X(smbr_aia_missing, WARNING, "SMBR 7.1.2.3 c",                                                 \
      "authorityInfoAccess should say where the CA's certificate is (caIssuers)")                  \
    X(smbr_aia_scheme, ERROR, "SMBR 7.1.2.3 c", "a URI in authorityInfoAccess is not http")        \
    X(smbr_key_usage_missing, ERROR, "SMBR 7.1.2.3 e", "no key usage")                             \
    X(smbr_key_usage, ERROR, "SMBR 7.1.2.3 e",                                                     \
      "key usage is neither for signing, for key management nor for both, for this key")           \
    X(smbr_eku_missing, ERROR, "SMBR 7.1.2.3 f", "no extKeyUsage with emailProtection")            \
    X(smbr_eku_forbidden, ERROR, "SMBR 7.1.2.3 f",                                                 \
      "serverAuth, codeSigning, timeStamping or anyExtendedKeyUsage")                              \
    X(smbr_eku_other, ERROR, "SMBR 7.1.2.3 f",                                                     \
      "an extended key usage that this generation doesn't have")                                   \
    X(smbr_aki_issuer, ERROR, "SMBR 7.1.2.3 g",                                                    \
      "the authority key identifier names issuer and serial number")                               \
    X(smbr_extension_critical, ERROR, "SMBR 7.1.2.3 i-m", "an extension must not be critical")     \
    X(smbr_extension_prohibited, ERROR, "SMBR 7.1.2.3 j-m",                                        \
      "an extension that this generation or certificate type doesn't have")                        \
    X(smbr_san_missing, ERROR, "SMBR 7.1.2.3 h", "no subjectAltName")                              \
    X(smbr_san_mailbox, ERROR, "SMBR 7.1.4.2.1", "subjectAltName names no mailbox")                \
    X(smbr_san_kind, ERROR, "SMBR 7.1.4.2.1", "subjectAltName has a name of a kind not allowed")   \
    X(smbr_utf8_mailbox, ERROR, "RFC 9598 3",                                                      \
      "SmtpUTF8Mailbox is a UTF8String for local parts that are not ASCII")                        \
    X(smbr_mailbox_repeated, ERROR, "SMBR 7.1.4.2.1",                                              \
      "a mailbox in the subject is not in subjectAltName")                                         \
    X(smbr_common_name, ERROR, "SMBR 7.1.4.2.2 a",                                                 \
      "the commonName is not what this certificate type allows")                                   \
    X(smbr_email_address, ERROR, "SMBR 7.1.4.2.2 h", "emailAddress comes more than once")          \
    X(smbr_organization_id, ERROR, "SMBR 7.1.4.2.2 d",                                             \
      "organizationIdentifier is not written like VATDE-123456789")                                \
    X(smbr_pseudonym, ERROR, "SMBR 7.1.4.2.2 f", "pseudonym beside givenName or surname")          \
    X(smbr_location, ERROR, "SMBR 7.1.4.2.2 j-m",                                                  \
      "an address without the country, state or locality it needs")                                \
    X(smbr_country, ERROR, "SMBR 7.1.4.2.2 n", "countryName is not two capital letters")           \
    X(smbr_metadata, ERROR, "SMBR 7.1.4.2", "an attribute holds only '.', '-' or ' '")             \
    X(smbr_attribute, ERROR, "SMBR 7.1.4.2.3-6",                                                   \
      "an attribute that this certificate type doesn't have")                                      \
    X(smbr_attribute_missing, ERROR, "SMBR 7.1.4.2.4-6",                                           \
      "an attribute that this certificate type must have is missing")

typedef enum {
#define X(id, severity, section, text) LINT_##id,
    LINT_RULES(X)
#undef X
        LINT_RULES_N
} lint_id_t;

typedef enum {
    LINT_KEY_RSA,
    LINT_KEY_PSS,
    LINT_KEY_EC,
    LINT_KEY_EDWARDS,    /* Ed25519, Ed448 */
    LINT_KEY_MONTGOMERY, /* X25519, X448 */
    LINT_KEY_ML_DSA,
    LINT_KEY_ML_KEM,
    LINT_KEY_OTHER,
} lint_key_t;

typedef struct {
    bytes_t oid;   /* content octets */
    bytes_t value; /* content of extnValue; well formed DER unless `broken` */
    bool critical, broken;
} lint_ext_t;

typedef struct {
    cert_lint_t *out;
    cert_lint_rules_t rules;
    bytes_t outer_algorithm; /* whole; none for a TBSCertificate */
    bytes_t algorithm;       /* whole */
    bytes_t serial;          /* content octets */
    bytes_t issuer, subject; /* Name, content */
    bytes_t validity;        /* content */
    bytes_t spki;            /* content */
    unsigned version;        /* 1..3 */
    bool unique_id, default_version, extensions_there;
    lint_ext_t exts[LIMIT_EXTENSIONS];
    size_t exts_n;
    /* learnt on the way */
    int64_t not_before, not_after;
    bool dates_known;
    lint_key_t key;
    bool ca, has_path_length, has_key_usage;
    unsigned key_usage; /* KEY_USAGE_* */
} lint_t;

/* A finding; the detail (may be NULL) is ours, never the certificate's text. */
void lint_say(lint_t *x, lint_id_t id, const char *format, ...) PRINTF_LIKE(3, 4);

/* An OID's content octets, given as a string literal. */
#define LINT_IS(oid, literal) bytes_eq((oid), BYTES_LIT(literal))
/* id-ce n; NULL if absent. Broken ones too. */
const lint_ext_t *lint_ext(const lint_t *x, uint8_t id_ce);
/* By its OID. */
const lint_ext_t *lint_ext_oid(const lint_t *x, bytes_t oid);
/* "2.5.29.15" into out; returns out. Cut if too long. */
enum { LINT_OID_TEXT = 64 };
const char *lint_oid(bytes_t oid, char out[LINT_OID_TEXT]);

#define LINT_OID_AIA    "\x2b\x06\x01\x05\x05\x07\x01\x01"
#define LINT_EKU(n)     "\x2b\x06\x01\x05\x05\x07\x03" n
#define LINT_OID_ANY    "\x55\x1d\x25\x00"
#define LINT_OID_UTF8MB "\x2b\x06\x01\x05\x05\x07\x08\x09"

enum {
    LINT_CE_DIRECTORY = 0x09,
    LINT_CE_SKI = 0x0e,
    LINT_CE_KEY_USAGE = 0x0f,
    LINT_CE_SAN = 0x11,
    LINT_CE_IAN = 0x12,
    LINT_CE_BASIC = 0x13,
    LINT_CE_NAME_CONSTRAINTS = 0x1e,
    LINT_CE_CRL_POINTS = 0x1f,
    LINT_CE_POLICIES = 0x20,
    LINT_CE_MAPPINGS = 0x21,
    LINT_CE_AKI = 0x23,
    LINT_CE_POLICY_CONSTRAINTS = 0x24,
    LINT_CE_EKU = 0x25,
    LINT_CE_FRESHEST = 0x2e,
    LINT_CE_INHIBIT_ANY = 0x36,
};

/* ---- cert_lint_fields.c ---- */
void lint_fields(lint_t *x);

/* ---- cert_lint_names.c ---- */

typedef enum {
    LINT_CN,
    LINT_SURNAME,
    LINT_SERIAL_NUMBER,
    LINT_C,
    LINT_L,
    LINT_ST,
    LINT_STREET,
    LINT_O,
    LINT_OU,
    LINT_TITLE,
    LINT_POSTAL_CODE,
    LINT_NAME,
    LINT_GIVEN_NAME,
    LINT_INITIALS,
    LINT_GENERATION,
    LINT_DN_QUALIFIER,
    LINT_PSEUDONYM,
    LINT_ORGANIZATION_ID,
    LINT_EMAIL,
    LINT_DC,
    LINT_UID,
    LINT_OTHER,
} lint_attribute_t;

typedef struct {
    lint_attribute_t kind;
    bytes_t oid; /* content octets */
    uint8_t tag;
    bytes_t value; /* content octets */
} lint_entry_t;

const char *lint_attribute_name(lint_attribute_t kind);
/* Takes the next entry off a Name's content; `set` is the rest of an RDN, none at first. */
bool lint_entry_next(bytes_t *name, bytes_t *set, lint_entry_t *ret_entry);
/* RFC 5280's rules for names and alternative names. */
void lint_names(lint_t *x);
/* Mailbox of RFC 5321 section 4.1.2 with a domain name. */
bool lint_is_mailbox(bytes_t text);
/* The names in subjectAltName; none if it is absent or broken. */
bytes_t lint_san(const lint_t *x);
/* OtherName's parts. */
bool lint_other_name(bytes_t content, bytes_t *ret_oid, der_t *ret_value);

/* ---- cert_lint_exts.c ---- */
void lint_extensions(lint_t *x);
/* GeneralNames of each DistributionPoint's fullName: takes the next point's; none if it has none.
 */
bool lint_crl_point(bytes_t *points, bytes_t *ret_names, bool *ret_good);

/* ---- cert_lint_smime.c, cert_lint_subject.c ---- */

/* The reserved policy 2.23.140.1.5.TYPE.GENERATION, 0 for none. */
typedef enum {
    LINT_TYPE_NONE,
    LINT_MAILBOX,
    LINT_ORGANIZATION,
    LINT_SPONSOR,
    LINT_INDIVIDUAL
} lint_type_t;
/* What the certificate is by its policies; *ret_generation 1 legacy, 2 multipurpose, 3 strict. */
lint_type_t lint_reserved_policy(const lint_t *x, unsigned *ret_generation, size_t *ret_count);
cert_lint_rules_t lint_choose(const lint_t *x);
void lint_smime(lint_t *x);
void lint_smime_subject(lint_t *x, lint_type_t type);

#endif
