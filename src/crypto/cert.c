/*
 * X.509 certificates, reading: see cert.h. RFC 5280 section 4, PEM of RFC 7468. DER is read here
 * and not by OpenSSL, whose X509 costs 200 us (3.0 decodes the key through its providers) and is
 * made only when a chain is judged. Any process, any thread.
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
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

enum { CERT_ARENA = 1024 * 1024, SHA256_HEX_SIZE = 2 * CERT_SHA256_SIZE + 1 };

struct cert {
    _Atomic unsigned references;
    _Atomic(X509 *) x509; /* made when first needed: see cert_x509 */
    pkey_t *key;
    arena_t *arena; /* holds everything below; the bytes_t lie in der */
    bytes_t der, tbs, algorithm, signature, spki;
    bytes_t serial_content, serial, subject_der, issuer_der, skid, akid;
    const char *serial_hex, *issuer;
    name_values_t subject;
    ext_values_t extensions;
    int64_t not_before, not_after;
    uint8_t sha256[CERT_SHA256_SIZE];
    char sha256_hex[SHA256_HEX_SIZE];
};

void cert_free(cert_t *cert) {
    if (!cert || atomic_fetch_sub(&cert->references, 1) != 1) return;
    X509_free(atomic_load(&cert->x509));
    pkey_free(cert->key);
    arena_free(cert->arena);
    mem_free(cert);
}

cert_t *cert_share(const cert_t *cert) {
    cert_t *same = (cert_t *)(uintptr_t)cert; /* only the count changes */
    atomic_fetch_add(&same->references, 1);
    return same;
}

/* Lower-case hex and a NUL, 2 * data.n + 1 bytes. */
static void write_hex(bytes_t data, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < data.n; i++) {
        *out++ = digits[data.p[i] >> 4];
        *out++ = digits[data.p[i] & 15];
    }
    *out = 0;
}

static err_t *keep_der(cert_t *cert, bytes_t der) {
    TRY(arena_copy(cert->arena, der, &cert->der));
    unsigned size = CERT_SHA256_SIZE;
    if (EVP_Digest(der.p, der.n, cert->sha256, &size, EVP_sha256(), NULL) != 1)
        return err_openssl(ERR_INTERNAL, "SHA-256");
    write_hex(BYTES_ARRAY(cert->sha256), cert->sha256_hex);
    return NULL;
}

/* A negative serial number, which no CA may give and some did, counts by its magnitude. */
static err_t *read_serial(cert_t *cert, bytes_t number) {
    bool negative = number.p[0] & 0x80;
    cert->serial_content = number;
    if (number.n > 1 && number.p[0] == 0) number = bytes_from(number, 1);
    if (number.n > LIMIT_SERIAL_BYTES)
        return err_new(ERR_LIMIT, "serial number of %zu bytes", number.n);
    if (negative) {
        uint8_t *p = NULL;
        TRY(arena_alloc(cert->arena, number.n, &p));
        unsigned carry = 1;
        for (size_t i = number.n; i-- > 0; carry >>= 8) {
            carry += (uint8_t)~number.p[i];
            p[i] = (uint8_t)carry;
        }
        number = bytes_make(p, number.n);
        while (number.n > 1 && number.p[0] == 0) number = bytes_from(number, 1);
    }
    cert->serial = number;
    char *hex = NULL;
    TRY(arena_alloc(cert->arena, 2 * number.n + 2, &hex));
    cert->serial_hex = hex;
    if (negative) *hex++ = '-';
    write_hex(number, hex);
    return NULL;
}

static err_t *read_validity(cert_t *cert, bytes_t validity) {
    TRY_WRAP(time_der_take(&validity, &cert->not_before), "notBefore");
    TRY_WRAP(time_der_take(&validity, &cert->not_after), "notAfter");
    return validity.n ? err_new(ERR_INVALID, "validity is malformed") : NULL;
}

/* version [0] EXPLICIT INTEGER { v1(0), v2(1), v3(2) } DEFAULT v1 */
static bool take_version(bytes_t *tbs) {
    bytes_t inside, version;
    if (!der_at(*tbs, DER_CONTEXT_CONSTRUCTED | 0)) return true;
    return der_take(tbs, DER_CONTEXT_CONSTRUCTED | 0, &inside) &&
           der_take(&inside, DER_INTEGER, &version) && !inside.n && version.n == 1 &&
           version.p[0] <= 2;
}

/* issuerUniqueID [1] and subjectUniqueID [2], which no one uses */
static bool skip_unique_ids(bytes_t *tbs) {
    bytes_t bits;
    for (uint8_t n = 1; n <= 2; n++)
        if (der_at(*tbs, DER_CONTEXT | n) &&
            (!der_take(tbs, DER_CONTEXT | n, &bits) || !der_is_bits(bits)))
            return false;
    return true;
}

static err_t *read_extensions(cert_t *cert, bytes_t tbs) {
    bytes_t inside, content;
    ext_list_t list;
    if (!tbs.n) return NULL;
    if (!der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 3, &inside) || tbs.n ||
        !der_take(&inside, DER_SEQUENCE, &content) || inside.n)
        return err_new(ERR_INVALID, "extensions are malformed");
    TRY(ext_list_read(content, &list));
    TRY(ext_values_read(&list, cert->arena, &cert->extensions));
    return ext_key_ids_read(&list, cert->arena, &cert->skid, &cert->akid);
}

static err_t *read_tbs(cert_t *cert, bytes_t tbs, const pkey_t *known) {
    bytes_t serial, algorithm, validity;
    name_values_t issuer;
    if (!take_version(&tbs) || !der_take(&tbs, DER_INTEGER, &serial) ||
        !algorithm_der_take(&tbs, &algorithm) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &cert->issuer_der) ||
        !der_take(&tbs, DER_SEQUENCE, &validity) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &cert->subject_der) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &cert->spki) || !skip_unique_ids(&tbs))
        return err_new(ERR_INVALID, "RFC 5280 section 4.1: certificate is malformed");
    TRY(read_serial(cert, serial));
    TRY(read_validity(cert, validity));
    TRY_WRAP(name_der_read(cert->issuer_der, cert->arena, &issuer), "issuer");
    TRY_WRAP(name_der_read(cert->subject_der, cert->arena, &cert->subject), "subject");
    cert->issuer = issuer.text;
    TRY(pkey_parse_public_known(cert->spki, known, &cert->key));
    return read_extensions(cert, tbs);
}

static err_t *cert_read(cert_t *cert, bytes_t der, const pkey_t *known) {
    TRY(arena_new(CERT_ARENA, &cert->arena));
    TRY(keep_der(cert, der));
    bytes_t fields, whole = cert->der, tbs;
    if (!der_take(&whole, DER_SEQUENCE, &fields) ||
        !der_take_whole(&fields, DER_SEQUENCE, &cert->tbs) ||
        !algorithm_der_take(&fields, &cert->algorithm) ||
        !der_take_octets(&fields, &cert->signature) || fields.n)
        return err_new(ERR_INVALID, "RFC 5280 section 4.1: certificate is malformed");
    whole = cert->tbs;
    if (!der_take(&whole, DER_SEQUENCE, &tbs)) return err_new(ERR_INVALID, "tbsCertificate");
    return read_tbs(cert, tbs, known);
}

err_t *cert_parse_der(bytes_t der, cert_t **ret_cert) {
    return cert_parse_der_known(der, NULL, ret_cert);
}

err_t *cert_parse_der_known(bytes_t der, const pkey_t *known, cert_t **ret_cert) {
    if (der.n > LIMIT_CERTIFICATE_BYTES)
        return err_new(ERR_LIMIT, "certificate of %zu bytes", der.n);
    if (!der_check(der)) return err_new(ERR_INVALID, "not a certificate in DER");
    cert_t *cert CLEANUP(cert_free) = mem_zalloc(sizeof *cert);
    if (!cert) return err_nomem();
    atomic_init(&cert->references, 1);
    atomic_init(&cert->x509, NULL);
    TRY_WRAP(cert_read(cert, der, known), "certificate");
    *ret_cert = STEAL(cert);
    return NULL;
}

err_t *cert_from_x509(X509 *x509, cert_t **ret_cert) {
    unsigned char *der = NULL;
    int n = i2d_X509(x509, &der);
    if (n <= 0) return err_openssl(ERR_INVALID, "certificate can't be encoded");
    err_t *e = cert_parse_der(bytes_make(der, (size_t)n), ret_cert);
    OPENSSL_free(der);
    return e;
}

err_t *cert_x509_get(const cert_t *cert, X509 **ret_x509) {
    cert_t *same = (cert_t *)(uintptr_t)cert; /* only what it remembers changes */
    X509 *x509 = atomic_load_explicit(&same->x509, memory_order_acquire);
    if (!x509) {
        const unsigned char *p = cert->der.p;
        X509 *made = d2i_X509(NULL, &p, (long)cert->der.n);
        if (!made) return err_openssl(ERR_INVALID, "certificate %s", cert->serial_hex);
        /* Fills OpenSSL's cache now, so that threads only read later. Its verdict comes with a
         * chain. */
        (void)X509_check_purpose(made, -1, 0);
        ERR_clear_error();
        if (atomic_compare_exchange_strong(&same->x509, &x509, made)) x509 = made;
        else X509_free(made); /* another thread was first */
    }
    *ret_x509 = x509;
    return NULL;
}

X509 *cert_x509(const cert_t *cert) {
    X509 *x509 = NULL;
    err_ignore(cert_x509_get(cert, &x509));
    return x509;
}

enum { PEM_BYTES = LIMIT_PEM_LIST * LIMIT_CERTIFICATE_BYTES };

static void openssl_free_p(unsigned char **p) { OPENSSL_free(*p); }

/* An encrypted block must fail, not ask at the terminal. */
static int no_password(char *out, int size, int writing, void *context) {
    (void)out, (void)size, (void)writing, (void)context;
    return -1;
}

/* At most `max` certificates; other PEM objects between them are passed over. */
static err_t *cert_read_pem(bytes_t pem, size_t max, cert_list_t *list) {
    if (pem.n > PEM_BYTES) return err_new(ERR_LIMIT, "PEM text of %zu bytes", pem.n);
    BIO *bio CLEANUP(BIO_free) = BIO_new_mem_buf(pem.n ? (const void *)pem.p : "", (int)pem.n);
    if (!bio) return err_nomem();
    size_t found = 0;
    while (found < max) {
        unsigned char *der CLEANUP(openssl_free) = NULL;
        long n = 0;
        if (PEM_bytes_read_bio(&der, &n, NULL, PEM_STRING_X509, bio, no_password, NULL) != 1) {
            if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) break;
            return err_openssl(ERR_INVALID, "PEM certificate is malformed");
        }
        if (found == LIMIT_PEM_LIST) return err_new(ERR_LIMIT, "too many PEM certificates");
        cert_t *cert CLEANUP(cert_free) = NULL;
        TRY(cert_parse_der(bytes_make(der, n > 0 ? (size_t)n : 0), &cert));
        TRY(cert_list_add(list, cert));
        found++;
    }
    ERR_clear_error();
    return found ? NULL : err_new(ERR_INVALID, "no PEM certificate there");
}

size_t cert_der_size(bytes_t der) {
    bytes_t whole;
    return der_take_whole(&der, DER_SEQUENCE, &whole) ? whole.n : 0;
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
    for (size_t i = 0; list && i < list->n; i++) {
        X509 *x509;
        TRY(cert_x509_get(list->certs[i], &x509));
        if (sk_X509_push(stack, x509) <= 0) return err_nomem();
    }
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

bytes_t cert_der(const cert_t *cert) { return cert->der; }
bytes_t cert_serial(const cert_t *cert) { return cert->serial; }
bytes_t cert_serial_content(const cert_t *cert) { return cert->serial_content; }
const char *cert_serial_hex(const cert_t *cert) { return cert->serial_hex; }
const char *cert_subject(const cert_t *cert) { return cert->subject.text; }
const char *cert_issuer(const cert_t *cert) { return cert->issuer; }
bytes_t cert_subject_der(const cert_t *cert) { return cert->subject_der; }
bytes_t cert_issuer_der(const cert_t *cert) { return cert->issuer_der; }
int64_t cert_not_before(const cert_t *cert) { return cert->not_before; }
int64_t cert_not_after(const cert_t *cert) { return cert->not_after; }
bytes_t cert_spki_der(const cert_t *cert) { return cert->spki; }
pkey_t *cert_key(const cert_t *cert) { return cert->key; }
const uint8_t *cert_sha256(const cert_t *cert) { return cert->sha256; }
const char *cert_sha256_hex(const cert_t *cert) { return cert->sha256_hex; }
unsigned cert_key_usage(const cert_t *cert) { return cert->extensions.key_usage; }
bool cert_is_ca(const cert_t *cert) { return cert->extensions.ca; }
bytes_t cert_skid(const cert_t *cert) { return cert->skid; }
bytes_t cert_akid(const cert_t *cert) { return cert->akid; }
bool cert_same(const cert_t *a, const cert_t *b) { return bytes_eq(a->der, b->der); }

const name_entry_t *cert_subject_entries(const cert_t *cert, size_t *ret_n) {
    *ret_n = cert->subject.n;
    return cert->subject.entries;
}

const char *cert_subject_get(const cert_t *cert, const char *type) {
    return name_find(cert->subject.entries, cert->subject.n, type);
}

const san_entry_t *cert_sans(const cert_t *cert, size_t *ret_n) {
    *ret_n = cert->extensions.sans_n;
    return cert->extensions.sans;
}

const char *cert_san_get(const cert_t *cert, san_kind_t kind, size_t index) {
    for (size_t i = 0; i < cert->extensions.sans_n; i++)
        if (cert->extensions.sans[i].kind == kind && index-- == 0)
            return cert->extensions.sans[i].value;
    return NULL;
}

const char *const *cert_ekus(const cert_t *cert, size_t *ret_n) {
    *ret_n = cert->extensions.ekus_n;
    return cert->extensions.ekus;
}

bool cert_has_eku(const cert_t *cert, const char *oid) {
    for (size_t i = 0; i < cert->extensions.ekus_n; i++)
        if (strcmp(cert->extensions.ekus[i], oid) == 0) return true;
    return false;
}

bool cert_is_issuer_serial(const cert_t *cert, bytes_t issuer_der, bytes_t serial) {
    while (serial.n > 1 && serial.p[0] == 0) serial = bytes_from(serial, 1);
    return bytes_eq(cert->issuer_der, issuer_der) && bytes_eq(cert->serial, serial);
}

cert_signed_t cert_signed_parts(const cert_t *cert) {
    return (cert_signed_t){cert->tbs, cert->algorithm, cert->signature};
}
