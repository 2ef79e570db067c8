/*
 * Writing OCSP responses: see ocsp.h. RFC 6960 section 4.2.1. The keeper encodes ResponseData to
 * sign it, coffer-web encodes the same to send it. Any thread, pure.
 */
#include "crypto/ocsp.h"

#include <stdio.h>
#include <time.h>

#include "crypto/cert_internal.h"
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/signature_internal.h"

enum {
    DATA_MAX = 16 * 1024, /* bytes; LIMIT_OCSP_CERTIDS statuses of about 170 */
    TIME_SIZE = 15,       /* bytes of YYYYMMDDHHMMSSZ */
    REASON_SIZE = 5,      /* bytes of [0] EXPLICIT CRLReason */
};

/* hashAlgorithm with the parameters that CertIDs have always had. */
static const uint8_t sha1_algorithm[] = {0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e,
                                         0x03, 0x02, 0x1a, 0x05, 0x00};
static const uint8_t sha256_algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                           0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00};

err_t *ocsp_key_hash(const pkey_t *key, uint8_t out[DIGEST_SHA1_SIZE]) {
    bytes_t spki = pkey_spki(key), fields, algorithm, bits;
    if (!der_take(&spki, DER_SEQUENCE, &fields) || !algorithm_der_take(&fields, &algorithm) ||
        !der_take_octets(&fields, &bits))
        return err_new(ERR_INTERNAL, "SubjectPublicKeyInfo is malformed");
    return digest_sha1_legacy(bits, out);
}

err_t *ocsp_issuer_init(const cert_t *ca, ocsp_issuer_t *ret_issuer) {
    ocsp_issuer_t issuer;
    bytes_t spki = cert_spki_der(ca), fields, algorithm, bits;
    if (!der_take(&spki, DER_SEQUENCE, &fields) || !algorithm_der_take(&fields, &algorithm) ||
        !der_take_octets(&fields, &bits))
        return err_new(ERR_INTERNAL, "SubjectPublicKeyInfo is malformed");
    TRY(digest_sha1_legacy(cert_subject_der(ca), issuer.name_sha1));
    TRY(digest_sha256(cert_subject_der(ca), issuer.name_sha256));
    TRY(digest_sha1_legacy(bits, issuer.key_sha1));
    TRY(digest_sha256(bits, issuer.key_sha256));
    *ret_issuer = issuer;
    return NULL;
}

bool ocsp_issuer_is(const ocsp_issuer_t *issuer, const ocsp_cert_id_t *id) {
    switch (id->hash) {
    case OCSP_SHA1:
        return bytes_eq(id->key_hash, BYTES_ARRAY(issuer->key_sha1)) &&
               bytes_eq(id->name_hash, BYTES_ARRAY(issuer->name_sha1));
    case OCSP_SHA256:
        return bytes_eq(id->key_hash, BYTES_ARRAY(issuer->key_sha256)) &&
               bytes_eq(id->name_hash, BYTES_ARRAY(issuer->name_sha256));
    case OCSP_OTHER: break;
    }
    return false;
}

/* ---- ResponseData ---- */

static err_t *put_time(int64_t seconds, buf_t *out) {
    struct tm tm;
    time_t at = (time_t)seconds;
    char text[64];
    if (seconds < 0 || !gmtime_r(&at, &tm) || tm.tm_year > 9999 - 1900)
        return err_new(ERR_USAGE, "time %lld can't be encoded", (long long)seconds);
    (void)snprintf(text, sizeof text, "%04d%02d%02d%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return der_put(out, DER_GENERALIZED_TIME, bytes_make(text, TIME_SIZE));
}

static err_t *put_cert_id(const ocsp_issuer_t *issuer, const ocsp_single_t *single, buf_t *out) {
    size_t start = out->n;
    if (single->hash == OCSP_OTHER) return err_new(ERR_USAGE, "CertID with an unknown digest");
    if (single->hash == OCSP_SHA256) {
        TRY(buf_add(out, BYTES_ARRAY(sha256_algorithm)));
        TRY(der_put(out, DER_OCTET_STRING, BYTES_ARRAY(issuer->name_sha256)));
        TRY(der_put(out, DER_OCTET_STRING, BYTES_ARRAY(issuer->key_sha256)));
    } else {
        TRY(buf_add(out, BYTES_ARRAY(sha1_algorithm)));
        TRY(der_put(out, DER_OCTET_STRING, BYTES_ARRAY(issuer->name_sha1)));
        TRY(der_put(out, DER_OCTET_STRING, BYTES_ARRAY(issuer->key_sha1)));
    }
    TRY(der_put_unsigned(out, single->serial));
    return der_enclose(out, start, DER_SEQUENCE);
}

/* CertStatus: good [0] NULL, revoked [1] { revocationTime, revocationReason [0] } */
static err_t *put_status(const ocsp_single_t *single, buf_t *out) {
    if (single->status == OCSP_GOOD) return der_put(out, DER_CONTEXT | 0, BYTES_NONE);
    const uint8_t reason[REASON_SIZE] = {DER_CONTEXT_CONSTRUCTED | 0, 3, DER_ENUMERATED, 1,
                                         (uint8_t)single->reason};
    size_t start = out->n;
    TRY(put_time(single->revoked_at, out));
    if (single->reason != CRL_UNSPECIFIED) TRY(buf_add(out, BYTES_ARRAY(reason)));
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 1);
}

static err_t *put_single(const ocsp_issuer_t *issuer, const ocsp_single_t *single, buf_t *out) {
    size_t start = out->n, at;
    TRY(put_cert_id(issuer, single, out));
    TRY(put_status(single, out));
    TRY(put_time(single->this_update, out));
    at = out->n;
    TRY(put_time(single->next_update, out));
    TRY(der_enclose(out, at, DER_CONTEXT_CONSTRUCTED | 0));
    return der_enclose(out, start, DER_SEQUENCE);
}

/* responseExtensions [1] EXPLICIT with the nonce as it came, RFC 9654 section 2.1 */
static err_t *put_nonce(bytes_t nonce, buf_t *out) {
    static const uint8_t oid[] = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02};
    size_t start = out->n, at;
    TRY(buf_add(out, BYTES_ARRAY(oid)));
    at = out->n;
    TRY(der_put(out, DER_OCTET_STRING, nonce));
    TRY(der_enclose(out, at, DER_OCTET_STRING));
    TRY(der_enclose(out, start, DER_SEQUENCE));
    TRY(der_enclose(out, start, DER_SEQUENCE));
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 1);
}

static err_t *put_data(const ocsp_data_t *data, buf_t *out) {
    size_t start = out->n, at;
    if (data->n == 0 || data->n > LIMIT_OCSP_CERTIDS)
        return err_new(ERR_USAGE, "OCSP response of %zu statuses", data->n);
    TRY(der_put(out, DER_OCTET_STRING, bytes_make(data->responder, DIGEST_SHA1_SIZE)));
    TRY(der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 2));
    TRY(put_time(data->produced_at, out));
    at = out->n;
    for (size_t i = 0; i < data->n; i++) TRY(put_single(data->issuer, &data->list[i], out));
    TRY(der_enclose(out, at, DER_SEQUENCE));
    if (data->nonce.n) TRY(put_nonce(data->nonce, out));
    return der_enclose(out, start, DER_SEQUENCE);
}

err_t *ocsp_sign(const ocsp_data_t *data, const pkey_t *key, buf_t *signature) {
    if (pkey_kind(key) != PKEY_P256 || !pkey_has_private(key))
        return err_new(ERR_USAGE, "an OCSP responder signs with a private P-256 key");
    CLEANUP(buf_done) buf_t tbs;
    buf_init(&tbs, DATA_MAX);
    TRY(put_data(data, &tbs));
    return signature_make(pkey_evp(key), EVP_sha256(), buf_bytes(&tbs), signature);
}

/* ---- OCSPResponse ---- */

/* responseStatus successful, then [0] EXPLICIT ResponseBytes { id-pkix-ocsp-basic, OCTET STRING }
 */
static const uint8_t successful[] = {DER_ENUMERATED, 1, 0};
static const uint8_t basic_oid[] = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x05,
                                    0x05, 0x07, 0x30, 0x01, 0x01};

/* BasicOCSPResponse ::= SEQUENCE { tbsResponseData, algorithm, signature, certs [0] EXPLICIT } */
static err_t *put_basic(const ocsp_data_t *data, bytes_t signature, const cert_t *responder,
                        buf_t *out) {
    size_t start = out->n, at;
    bytes_t algorithm;
    TRY(signature_ec_algorithm(EVP_sha256(), &algorithm));
    TRY(put_data(data, out));
    TRY(buf_add(out, algorithm));
    TRY(der_put_octets(out, signature));
    at = out->n;
    TRY(buf_add(out, cert_der(responder)));
    TRY(der_enclose(out, at, DER_SEQUENCE));
    TRY(der_enclose(out, at, DER_CONTEXT_CONSTRUCTED | 0));
    return der_enclose(out, start, DER_SEQUENCE);
}

err_t *ocsp_response(const ocsp_data_t *data, bytes_t signature, const cert_t *responder,
                     buf_t *out) {
    size_t start = out->n, at;
    TRY(buf_reserve(out, cert_der(responder).n + 512 + data->n * 192));
    TRY(buf_add(out, BYTES_ARRAY(successful)));
    at = out->n;
    TRY(buf_add(out, BYTES_ARRAY(basic_oid)));
    size_t basic = out->n;
    TRY(put_basic(data, signature, responder, out));
    TRY(der_enclose(out, basic, DER_OCTET_STRING));
    TRY(der_enclose(out, at, DER_SEQUENCE));
    TRY(der_enclose(out, at, DER_CONTEXT_CONSTRUCTED | 0));
    return der_enclose(out, start, DER_SEQUENCE);
}

void ocsp_refusal(ocsp_refusal_t why, uint8_t out[OCSP_REFUSAL_SIZE]) {
    const uint8_t der[OCSP_REFUSAL_SIZE] = {DER_SEQUENCE, 3, DER_ENUMERATED, 1, (uint8_t)why};
    memcpy(out, der, sizeof der);
}
