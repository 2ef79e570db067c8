/*
 * Names in certificates and requests: distinguished name entries and subject alternative names
 * (RFC 5280 sections 4.1.2.4 and 4.2.1.6), as plain text. These structs own nothing: what a
 * parser returns lives as long as the parsed object, what a caller fills in is the caller's.
 */
#ifndef COFFER_CRYPTO_NAME_H
#define COFFER_CRYPTO_NAME_H

#include <stddef.h>

/* One attribute of a distinguished name, most general first. */
typedef struct {
    const char *type;  /* "CN", "O", "OU", "UID", "emailAddress", ..., or a dotted OID */
    const char *value; /* UTF-8, without NUL or other control characters */
} name_entry_t;

typedef enum {
    SAN_EMAIL, /* rfc822Name, and SmtpUTF8Mailbox when parsing (RFC 8398) */
    SAN_DNS,
    SAN_URI,
    SAN_UPN,   /* otherName 1.3.6.1.4.1.311.20.2.3, Microsoft's user principal name */
    SAN_IP,    /* "192.0.2.1" or "2001:db8::1" */
    SAN_OTHER, /* parsed only; the value says what it is: "otherName 1.2.3", "directoryName" */
} san_kind_t;

typedef struct {
    san_kind_t kind;
    const char *value; /* UTF-8 without control characters */
} san_entry_t;

/* Object identifiers that several rooms need. */
#define OID_EKU_SERVER_AUTH      "1.3.6.1.5.5.7.3.1"
#define OID_EKU_CLIENT_AUTH      "1.3.6.1.5.5.7.3.2"
#define OID_EKU_CODE_SIGNING     "1.3.6.1.5.5.7.3.3"
#define OID_EKU_EMAIL_PROTECTION "1.3.6.1.5.5.7.3.4"
#define OID_EKU_OCSP_SIGNING     "1.3.6.1.5.5.7.3.9"
#define OID_UID                  "0.9.2342.19200300.100.1.1"

/* Key usage bits (RFC 5280 section 4.2.1.3), as a mask: bit number n there is 1 << n here. */
enum {
    KEY_USAGE_DIGITAL_SIGNATURE = 1 << 0,
    KEY_USAGE_NON_REPUDIATION = 1 << 1,
    KEY_USAGE_KEY_ENCIPHERMENT = 1 << 2,
    KEY_USAGE_DATA_ENCIPHERMENT = 1 << 3,
    KEY_USAGE_KEY_AGREEMENT = 1 << 4,
    KEY_USAGE_CERT_SIGN = 1 << 5,
    KEY_USAGE_CRL_SIGN = 1 << 6,
    KEY_USAGE_ENCIPHER_ONLY = 1 << 7,
    KEY_USAGE_DECIPHER_ONLY = 1 << 8,
};

#endif
