/*
 * CMS structures written by hand, in DER: see cms_internal.h. RFC 5652 sections 5 and 6. What
 * OpenSSL's CMS_* cost in 3.0 is more than half a signature. Runs in the keeper (SCEP replies,
 * profiles), mailgate and the simulator; any thread.
 */
#include "base/limits.h"
#include "crypto/cms_internal.h"
#include "crypto/der_internal.h"

static const uint8_t oid_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1};
static const uint8_t oid_signed[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2};
static const uint8_t version_1[] = {DER_INTEGER, 1, 1};

err_t *cms_put_certificates(const cert_t *const *certs, size_t n, buf_t *out) {
    bytes_t der[LIMIT_CMS_CERTIFICATES];
    if (n > LIMIT_CMS_CERTIFICATES) return err_new(ERR_LIMIT, "%zu certificates", n);
    for (size_t i = 0; i < n; i++) { /* by insertion: there are few */
        size_t at = i;
        for (; at && der_compare(cert_der(certs[i]), der[at - 1]) < 0; at--) der[at] = der[at - 1];
        der[at] = cert_der(certs[i]);
    }
    size_t start = out->n;
    for (size_t i = 0; i < n; i++) TRY(buf_add(out, der[i]));
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0);
}

err_t *cms_certs_write(const cert_list_t *certs, buf_t *out) {
    static const uint8_t empty_set[] = {DER_SET, 0};
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(version_1)));
    TRY(buf_add(out, BYTES_ARRAY(empty_set))); /* digestAlgorithms */
    TRY(der_put(out, DER_SEQUENCE, BYTES_ARRAY(oid_data)));
    TRY(cms_put_certificates((const cert_t *const *)certs->certs, certs->n, out));
    TRY(buf_add(out, BYTES_ARRAY(empty_set))); /* signerInfos */
    return cms_wrap(out, start, BYTES_ARRAY(oid_signed));
}

err_t *cms_wrap(buf_t *out, size_t start, bytes_t type) {
    TRY(der_enclose(out, start, DER_SEQUENCE));
    TRY(der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0));
    TRY(der_insert(out, start, type));
    return der_enclose(out, start, DER_SEQUENCE);
}
