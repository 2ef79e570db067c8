/*
 * X.509 certificates, reading: see cert.h. RFC 5280 section 4, PEM of RFC 7468. Any process, any
 * thread.
 */
#include "crypto/cert.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cert_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

enum { CERT_ARENA = 1024 * 1024, SHA256_HEX_SIZE = 2 * CERT_SHA256_SIZE + 1 };

struct cert {
    _Atomic unsigned references;
    X509 *x509;
    pkey_t *key;
    arena_t *arena; /* holds everything below */
    bytes_t der, serial, subject_der, issuer_der, skid, akid;
    const char *serial_hex, *subject, *issuer;
    const name_entry_t *entries;
    size_t entries_n;
    const san_entry_t *sans;
    size_t sans_n;
    const char *const *ekus;
    size_t ekus_n;
    int64_t not_before, not_after;
    unsigned key_usage;
    bool is_ca;
    uint8_t sha256[CERT_SHA256_SIZE];
    char sha256_hex[SHA256_HEX_SIZE];
};

void cert_free(cert_t *cert) {
    if (!cert || atomic_fetch_sub(&cert->references, 1) != 1) return;
    X509_free(cert->x509);
    pkey_free(cert->key);
    arena_free(cert->arena);
    mem_free(cert);
}

cert_t *cert_share(const cert_t *cert) {
    cert_t *same = (cert_t *)(uintptr_t)cert; /* only the count changes */
    atomic_fetch_add(&same->references, 1);
    return same;
}

static err_t *hex_read(bytes_t data, arena_t *arena, const char *prefix, const char **ret_hex) {
    buf_t hex CLEANUP(buf_done);
    buf_init(&hex, 2 * data.n + 2);
    TRY(buf_add_str(&hex, prefix));
    TRY(text_hex(data, &hex));
    bytes_t copy;
    TRY(arena_copy(arena, buf_bytes(&hex), &copy));
    *ret_hex = (const char *)copy.p;
    return NULL;
}

static err_t *cert_read_der(cert_t *cert) {
    int n = i2d_X509(cert->x509, NULL);
    if (n <= 0) return err_openssl(ERR_INVALID, "certificate can't be encoded");
    if (n > LIMIT_CERTIFICATE_BYTES) return err_new(ERR_LIMIT, "certificate of %d bytes", n);
    uint8_t *p = NULL;
    TRY(arena_alloc(cert->arena, (size_t)n, &p));
    cert->der = bytes_make(p, (size_t)n);
    if (i2d_X509(cert->x509, &p) != n)
        return err_openssl(ERR_INTERNAL, "certificate can't be encoded");
    unsigned size = CERT_SHA256_SIZE;
    if (EVP_Digest(cert->der.p, cert->der.n, cert->sha256, &size, EVP_sha256(), NULL) != 1)
        return err_openssl(ERR_INTERNAL, "SHA-256");
    const char *hex;
    TRY(hex_read(BYTES_ARRAY(cert->sha256), cert->arena, "", &hex));
    memcpy(cert->sha256_hex, hex, SHA256_HEX_SIZE);
    return NULL;
}

static err_t *name_der(const X509_NAME *name, arena_t *arena, bytes_t *ret_der) {
    const unsigned char *p = NULL;
    size_t n = 0;
    if (X509_NAME_get0_der(name, &p, &n) != 1) return err_openssl(ERR_INVALID, "name is malformed");
    return arena_copy(arena, bytes_make(p, n), ret_der);
}

static err_t *cert_read_names(cert_t *cert) {
    const X509_NAME *subject = X509_get_subject_name(cert->x509);
    const X509_NAME *issuer = X509_get_issuer_name(cert->x509);
    const name_entry_t *issuer_entries;
    size_t issuer_n;
    TRY_WRAP(name_read(subject, cert->arena, &cert->entries, &cert->entries_n), "subject");
    TRY_WRAP(name_read(issuer, cert->arena, &issuer_entries, &issuer_n), "issuer");
    TRY(name_text(subject, cert->arena, &cert->subject));
    TRY(name_text(issuer, cert->arena, &cert->issuer));
    TRY(name_der(subject, cert->arena, &cert->subject_der));
    return name_der(issuer, cert->arena, &cert->issuer_der);
}

static err_t *cert_read_fields(cert_t *cert) {
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->x509);
    bytes_t magnitude =
        bytes_make(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
    while (magnitude.n > 1 && magnitude.p[0] == 0) magnitude = bytes_from(magnitude, 1);
    if (magnitude.n > LIMIT_SERIAL_BYTES)
        return err_new(ERR_LIMIT, "serial number of %zu bytes", magnitude.n);
    TRY(arena_copy(cert->arena, magnitude, &cert->serial));
    bool negative = ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER;
    TRY(hex_read(magnitude, cert->arena, negative ? "-" : "", &cert->serial_hex));
    TRY_WRAP(asn1_seconds(X509_get0_notBefore(cert->x509), &cert->not_before), "notBefore");
    TRY_WRAP(asn1_seconds(X509_get0_notAfter(cert->x509), &cert->not_after), "notAfter");
    EVP_PKEY *evp = X509_get0_pubkey(cert->x509);
    if (!evp) return err_openssl(ERR_INVALID, "public key can't be read");
    if (EVP_PKEY_up_ref(evp) != 1) return err_openssl(ERR_INTERNAL, "public key");
    err_t *e = pkey_from_evp(evp, &cert->key);
    if (e) EVP_PKEY_free(evp);
    return e;
}

static err_t *cert_read_key_ids(cert_t *cert, const STACK_OF(X509_EXTENSION) * extensions) {
    ASN1_OCTET_STRING *skid = NULL;
    TRY(ext_read(extensions, NID_subject_key_identifier, &skid));
    if (skid) {
        err_t *e = arena_copy(
            cert->arena, bytes_make(ASN1_STRING_get0_data(skid), (size_t)ASN1_STRING_length(skid)),
            &cert->skid);
        ASN1_OCTET_STRING_free(skid);
        TRY(e);
    }
    AUTHORITY_KEYID *akid = NULL;
    TRY(ext_read(extensions, NID_authority_key_identifier, &akid));
    if (!akid) return NULL;
    err_t *e = NULL;
    if (akid->keyid)
        e = arena_copy(
            cert->arena,
            bytes_make(ASN1_STRING_get0_data(akid->keyid), (size_t)ASN1_STRING_length(akid->keyid)),
            &cert->akid);
    AUTHORITY_KEYID_free(akid);
    return e;
}

static err_t *cert_read_extensions(cert_t *cert) {
    const STACK_OF(X509_EXTENSION) *extensions = X509_get0_extensions(cert->x509);
    if (sk_X509_EXTENSION_num(extensions) > LIMIT_EXTENSIONS)
        return err_new(ERR_LIMIT, "certificate with %d extensions",
                       sk_X509_EXTENSION_num(extensions));
    GENERAL_NAMES *names CLEANUP(GENERAL_NAMES_free) = NULL;
    TRY(ext_read(extensions, NID_subject_alt_name, &names));
    if (names) TRY(san_read(names, cert->arena, &cert->sans, &cert->sans_n));
    ASN1_BIT_STRING *usage CLEANUP(ASN1_BIT_STRING_free) = NULL;
    TRY(ext_read(extensions, NID_key_usage, &usage));
    if (usage) cert->key_usage = key_usage_read(usage);
    EXTENDED_KEY_USAGE *ekus CLEANUP(EXTENDED_KEY_USAGE_free) = NULL;
    TRY(ext_read(extensions, NID_ext_key_usage, &ekus));
    if (ekus) TRY(eku_read(ekus, cert->arena, &cert->ekus, &cert->ekus_n));
    BASIC_CONSTRAINTS *basic = NULL;
    TRY(ext_read(extensions, NID_basic_constraints, &basic));
    cert->is_ca = basic && basic->ca;
    BASIC_CONSTRAINTS_free(basic);
    return cert_read_key_ids(cert, extensions);
}

static err_t *cert_read(cert_t *cert) {
    TRY(arena_new(CERT_ARENA, &cert->arena));
    TRY(cert_read_der(cert));
    TRY(cert_read_fields(cert));
    TRY(cert_read_names(cert));
    TRY(cert_read_extensions(cert));
    /* Fills OpenSSL's cache now, so that threads only read later. Its verdict comes with a chain.
     */
    (void)X509_check_purpose(cert->x509, -1, 0);
    ERR_clear_error();
    return NULL;
}

err_t *cert_from_x509(X509 *x509, cert_t **ret_cert) {
    cert_t *cert CLEANUP(cert_free) = mem_zalloc(sizeof *cert);
    if (!cert) return err_nomem();
    atomic_init(&cert->references, 1);
    if (X509_up_ref(x509) != 1) return err_openssl(ERR_INTERNAL, "certificate");
    cert->x509 = x509;
    TRY_WRAP(cert_read(cert), "certificate");
    *ret_cert = STEAL(cert);
    return NULL;
}

err_t *cert_parse_der(bytes_t der, cert_t **ret_cert) {
    if (der.n > LIMIT_CERTIFICATE_BYTES)
        return err_new(ERR_LIMIT, "certificate of %zu bytes", der.n);
    const unsigned char *p = der.p;
    X509 *x509 CLEANUP(X509_free) = der.n ? d2i_X509(NULL, &p, (long)der.n) : NULL;
    if (!x509) return err_openssl(ERR_INVALID, "not a certificate");
    if (p != der.p + der.n) return err_new(ERR_INVALID, "bytes behind the certificate");
    return cert_from_x509(x509, ret_cert);
}

enum { PEM_BYTES = LIMIT_PEM_LIST * LIMIT_CERTIFICATE_BYTES };

/* At most `max` certificates; other PEM objects between them are passed over. */
static err_t *cert_read_pem(bytes_t pem, size_t max, cert_list_t *list) {
    if (pem.n > PEM_BYTES) return err_new(ERR_LIMIT, "PEM text of %zu bytes", pem.n);
    BIO *bio CLEANUP(BIO_free) = BIO_new_mem_buf(pem.n ? (const void *)pem.p : "", (int)pem.n);
    if (!bio) return err_nomem();
    size_t found = 0;
    while (found < max) {
        X509 *x509 CLEANUP(X509_free) = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!x509 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) break;
        if (!x509) return err_openssl(ERR_INVALID, "PEM certificate is malformed");
        if (found == LIMIT_PEM_LIST) return err_new(ERR_LIMIT, "too many PEM certificates");
        cert_t *cert CLEANUP(cert_free) = NULL;
        TRY(cert_from_x509(x509, &cert));
        TRY(cert_list_add(list, cert));
        found++;
    }
    ERR_clear_error();
    return found ? NULL : err_new(ERR_INVALID, "no PEM certificate there");
}

err_t *cert_parse_pem(bytes_t pem, cert_t **ret_cert) {
    cert_list_t list CLEANUP(cert_list_done) = {0};
    TRY(cert_read_pem(pem, 1, &list));
    *ret_cert = cert_share(list.certs[0]);
    return NULL;
}

err_t *cert_parse_pem_list(bytes_t pem, cert_list_t *list) {
    cert_list_t found CLEANUP(cert_list_done) = {0};
    TRY(cert_read_pem(pem, LIMIT_PEM_LIST + 1, &found));
    for (size_t i = 0; i < found.n; i++) TRY(cert_list_add(list, found.certs[i]));
    return NULL;
}

err_t *cert_list_add(cert_list_t *list, const cert_t *cert) {
    size_t n = list->n;
    if ((n & (n - 1)) == 0) { /* room is the next power of two */
        cert_t **more = mem_resize(list->certs, (n ? 2 * n : 1) * sizeof(cert_t *));
        if (!more) return err_nomem();
        list->certs = more;
    }
    list->certs[list->n++] = cert_share(cert);
    return NULL;
}

void cert_list_done(cert_list_t *list) {
    for (size_t i = 0; i < list->n; i++) cert_free(list->certs[i]);
    mem_free(list->certs);
    *list = (cert_list_t){0};
}

err_t *cert_list_add_stack(cert_list_t *list, const STACK_OF(X509) * stack) {
    for (int i = 0; i < sk_X509_num(stack); i++) {
        cert_t *cert CLEANUP(cert_free) = NULL;
        TRY(cert_from_x509(sk_X509_value(stack, i), &cert));
        TRY(cert_list_add(list, cert));
    }
    return NULL;
}

err_t *cert_list_stack(const cert_list_t *list, STACK_OF(X509) * *ret_stack) {
    STACK_OF(X509) * stack CLEANUP(sk_X509_free) = sk_X509_new_null();
    if (!stack) return err_nomem();
    for (size_t i = 0; list && i < list->n; i++)
        if (sk_X509_push(stack, list->certs[i]->x509) <= 0) return err_nomem();
    *ret_stack = STEAL(stack);
    return NULL;
}

err_t *cert_pem(const cert_t *cert, buf_t *out) {
    buf_t base64 CLEANUP(buf_done);
    buf_init(&base64, 2 * (size_t)LIMIT_CERTIFICATE_BYTES);
    TRY(text_base64(cert->der, &base64));
    TRY(buf_add_str(out, "-----BEGIN CERTIFICATE-----\n"));
    for (size_t at = 0; at < base64.n; at += 64) {
        TRY(buf_add(out, bytes_slice(buf_bytes(&base64), at, 64)));
        TRY(buf_add_byte(out, '\n'));
    }
    return buf_add_str(out, "-----END CERTIFICATE-----\n");
}

X509 *cert_x509(const cert_t *cert) { return cert->x509; }
bytes_t cert_der(const cert_t *cert) { return cert->der; }
bytes_t cert_serial(const cert_t *cert) { return cert->serial; }
const char *cert_serial_hex(const cert_t *cert) { return cert->serial_hex; }
const char *cert_subject(const cert_t *cert) { return cert->subject; }
const char *cert_issuer(const cert_t *cert) { return cert->issuer; }
bytes_t cert_subject_der(const cert_t *cert) { return cert->subject_der; }
bytes_t cert_issuer_der(const cert_t *cert) { return cert->issuer_der; }
int64_t cert_not_before(const cert_t *cert) { return cert->not_before; }
int64_t cert_not_after(const cert_t *cert) { return cert->not_after; }
pkey_t *cert_key(const cert_t *cert) { return cert->key; }
const uint8_t *cert_sha256(const cert_t *cert) { return cert->sha256; }
const char *cert_sha256_hex(const cert_t *cert) { return cert->sha256_hex; }
unsigned cert_key_usage(const cert_t *cert) { return cert->key_usage; }
bool cert_is_ca(const cert_t *cert) { return cert->is_ca; }
bytes_t cert_skid(const cert_t *cert) { return cert->skid; }
bytes_t cert_akid(const cert_t *cert) { return cert->akid; }
bool cert_same(const cert_t *a, const cert_t *b) { return bytes_eq(a->der, b->der); }

const name_entry_t *cert_subject_entries(const cert_t *cert, size_t *ret_n) {
    *ret_n = cert->entries_n;
    return cert->entries;
}

const char *cert_subject_get(const cert_t *cert, const char *type) {
    return name_find(cert->entries, cert->entries_n, type);
}

const san_entry_t *cert_sans(const cert_t *cert, size_t *ret_n) {
    *ret_n = cert->sans_n;
    return cert->sans;
}

const char *cert_san_get(const cert_t *cert, san_kind_t kind, size_t index) {
    for (size_t i = 0; i < cert->sans_n; i++)
        if (cert->sans[i].kind == kind && index-- == 0) return cert->sans[i].value;
    return NULL;
}

const char *const *cert_ekus(const cert_t *cert, size_t *ret_n) {
    *ret_n = cert->ekus_n;
    return cert->ekus;
}

bool cert_has_eku(const cert_t *cert, const char *oid) {
    for (size_t i = 0; i < cert->ekus_n; i++)
        if (strcmp(cert->ekus[i], oid) == 0) return true;
    return false;
}

bool cert_is_issuer_serial(const cert_t *cert, bytes_t issuer_der, bytes_t serial) {
    while (serial.n > 1 && serial.p[0] == 0) serial = bytes_from(serial, 1);
    return bytes_eq(cert->issuer_der, issuer_der) && bytes_eq(cert->serial, serial);
}
