/*
 * Reading SMIMECapabilities: see cms_capable.h. Any process, any thread.
 */
#include "crypto/cms_capable.h"

#include "base/limits.h"
#include "crypto/der_internal.h"

/* 2.16.840.1.101.3.4.1.x, 1.2.840.113549.1.1.7, 1.3.132.1.11.x, 2.16.840.1.101.3.4.2.1 */
static const uint8_t aes[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01};
static const uint8_t rsaes_oaep[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07};
static const uint8_t std_dh[] = {0x2b, 0x81, 0x04, 0x01, 0x0b};
static const uint8_t sha256[] = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01};
enum { AES128_CBC = 2, AES256_CBC = 42, AES256_GCM = 46, KDF_SHA256 = 1 };

/*
 * RSAES-OAEP-params (RFC 4055 section 4.1): absent, the sender chooses; else hashAlgorithm [0] must
 * be SHA-256, which is what we write.
 */
static bool oaep_sha256(bytes_t parameters) {
    bytes_t sequence, hash, algorithm, oid;
    if (!parameters.n) return true;
    if (der_at(parameters, DER_NULL)) return true;
    return der_take(&parameters, DER_SEQUENCE, &sequence) &&
           der_take(&sequence, DER_CONTEXT_CONSTRUCTED | 0, &hash) &&
           der_take(&hash, DER_SEQUENCE, &algorithm) && der_take(&algorithm, DER_OID, &oid) &&
           bytes_eq(oid, BYTES_ARRAY(sha256));
}

static void note(bytes_t oid, bytes_t parameters, cms_capable_t *c) {
    if (bytes_eq(oid, BYTES_ARRAY(rsaes_oaep))) {
        if (oaep_sha256(parameters)) c->oaep = true;
    } else if (oid.n == sizeof aes + 1 && bytes_starts(oid, BYTES_ARRAY(aes))) {
        if (oid.p[sizeof aes] == AES128_CBC) c->aes128_cbc = true;
        if (oid.p[sizeof aes] == AES256_CBC) c->aes256_cbc = true;
        if (oid.p[sizeof aes] == AES256_GCM) c->aes256_gcm = true;
    } else if (oid.n == sizeof std_dh + 1 && bytes_starts(oid, BYTES_ARRAY(std_dh))) {
        if (oid.p[sizeof std_dh] == KDF_SHA256) c->ecdh = true;
    }
}

err_t *cms_capable_read(bytes_t der, cms_capable_t *ret_capable) {
    cms_capable_t c = {.known = true};
    bytes_t list, one, oid;
    if (!der_check(der) || !der_take(&der, DER_SEQUENCE, &list))
        return err_new(ERR_INVALID, "RFC 8551 section 2.5.2: not SMIMECapabilities");
    for (size_t i = 0; list.n; i++) {
        if (i == LIMIT_MAIL_CAPABILITIES)
            return err_new(ERR_LIMIT, "more than %d capabilities", LIMIT_MAIL_CAPABILITIES);
        if (!der_take(&list, DER_SEQUENCE, &one) || !der_take(&one, DER_OID, &oid))
            return err_new(ERR_INVALID, "RFC 8551 section 2.5.2: bad SMIMECapability");
        note(oid, one, &c);
    }
    *ret_capable = c;
    return NULL;
}
