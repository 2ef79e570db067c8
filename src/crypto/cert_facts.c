/*
 * Reading foreign certificates for the expiry watch: see cert_facts.h. In coffer-courier.
 */
#include "crypto/cert_facts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/openssl_internal.h"

DEFINE_CLEANUP(X509, X509_free)
DEFINE_CLEANUP(BIO, BIO_free_all)

/* Whole characters, at most size - 1 bytes; what is not printable becomes '?'. */
static void copy_name(bytes_t text, char *out, size_t size) {
    size_t n = text.n < size ? text.n : size - 1;
    memcpy(out, text.p, n);
    while (n && !text_utf8_valid(bytes_make(out, n)) && text.n >= size && text.n - n < 4) n--;
    out[n] = '\0';
    if (text_printable(bytes_make(out, n))) return;
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)out[i] < 0x20 || (uint8_t)out[i] > 0x7e) out[i] = '?';
}

static err_t *print_name(const X509_NAME *name, char *out, size_t size) {
    CLEANUP(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (!bio) return err_nomem();
    /* UTF-8 as it is, controls escaped */
    unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    if (X509_NAME_print_ex(bio, name, 0, flags) < 0)
        return err_openssl(ERR_INVALID, "a name can't be read");
    long n = BIO_get_mem_data(bio, &text);
    copy_name(bytes_make(text, n > 0 ? (size_t)n : 0), out, size);
    return NULL;
}

static err_t *get_time(const ASN1_TIME *time, int64_t *ret_unix) {
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return err_openssl(ERR_INVALID, "a certificate's date can't be read");
    *ret_unix = (int64_t)timegm(&tm);
    return NULL;
}

static err_t *get_serial(const X509 *x, char out[CERT_FACTS_SERIAL]) {
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (int i = 0; serial && i < serial->length && at + 3 < CERT_FACTS_SERIAL; i++) {
        out[at++] = digits[serial->data[i] >> 4];
        out[at++] = digits[serial->data[i] & 15];
    }
    out[at] = '\0';
    return at ? NULL : err_new(ERR_INVALID, "a certificate has no serial number");
}

static err_t *facts_of(X509 *x, bytes_t der, cert_facts_t *ret_facts) {
    cert_facts_t facts = {0};
    TRY(print_name(X509_get_subject_name(x), facts.subject, sizeof facts.subject));
    TRY(print_name(X509_get_issuer_name(x), facts.issuer, sizeof facts.issuer));
    TRY(get_serial(x, facts.serial));
    TRY(get_time(X509_get0_notBefore(x), &facts.not_before));
    TRY(get_time(X509_get0_notAfter(x), &facts.not_after));
    TRY(digest_sha256(der, facts.sha256));
    facts.is_ca = X509_check_ca(x) > 0;
    ERR_clear_error();
    *ret_facts = facts;
    return NULL;
}

err_t *cert_facts_der(bytes_t der, cert_facts_t *ret_facts) {
    if (der.n > LIMIT_CERTIFICATE_BYTES)
        return err_new(ERR_LIMIT, "a certificate of %zu bytes", der.n);
    const uint8_t *p = der.p;
    CLEANUP(X509_free) X509 *x = der.n ? d2i_X509(NULL, &p, (long)der.n) : NULL;
    if (!x || p != der.p + der.n) return err_openssl(ERR_INVALID, "this is no certificate");
    return facts_of(x, der, ret_facts);
}

static err_t *facts_of_pem(X509 *x, cert_facts_t *ret_facts) {
    unsigned char *der = NULL;
    int n = i2d_X509(x, &der);
    if (n <= 0) return err_openssl(ERR_INVALID, "a certificate can't be written again");
    err_t *e = (size_t)n > LIMIT_CERTIFICATE_BYTES
                   ? err_new(ERR_LIMIT, "a certificate of %d bytes", n)
                   : facts_of(x, bytes_make(der, (size_t)n), ret_facts);
    OPENSSL_free(der);
    return e;
}

static bool is_pem(bytes_t content) {
    static const char mark[] = "-----BEGIN ";
    return memmem(content.p ? content.p : (const uint8_t *)"", content.n, mark, sizeof mark - 1) !=
           NULL;
}

/* Whether the reading ended since there is nothing more, not for a malformed certificate. */
static bool ended_well(void) {
    unsigned long last = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (ended) ERR_clear_error();
    return ended;
}

err_t *cert_facts_file(bytes_t content, size_t max, cert_facts_t *facts, size_t *ret_count) {
    if (content.n > LIMIT_WATCH_BYTES) return err_new(ERR_LIMIT, "%zu bytes", content.n);
    if (max == 0) return err_new(ERR_USAGE, "no room for a certificate");
    if (!is_pem(content)) {
        TRY(cert_facts_der(content, &facts[0]));
        *ret_count = 1;
        return NULL;
    }
    CLEANUP(BIO_free_all) BIO *bio = BIO_new_mem_buf(content.p, (int)content.n);
    if (!bio) return err_nomem();
    size_t count = 0;
    for (;;) {
        /* No password: an encrypted certificate isn't one. */
        CLEANUP(X509_free) X509 *x = PEM_read_bio_X509_AUX(bio, NULL, NULL, (void *)"");
        if (!x) break;
        if (count == max) return err_new(ERR_LIMIT, "more than %zu certificates", max);
        TRY(facts_of_pem(x, &facts[count]));
        count++;
    }
    if (!ended_well()) return err_openssl(ERR_INVALID, "a certificate in it can't be read");
    if (count == 0) return err_new(ERR_INVALID, "there is no certificate in it");
    *ret_count = count;
    return NULL;
}
