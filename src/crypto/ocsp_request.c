/*
 * Reading OCSP requests: see ocsp.h. RFC 6960 section 4.1.1, RFC 5019 section 2.1, RFC 9654. Runs
 * in coffer-web on bytes of strangers; any thread, pure.
 */
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/ocsp.h"

/* id-pkix-ocsp-nonce */
static const uint8_t nonce_oid[] = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x05,
                                    0x05, 0x07, 0x30, 0x01, 0x02};

static err_t *bad(const char *what) {
    return err_new(ERR_INVALID, "RFC 6960 section 4.1.1: %s is malformed", what);
}

static ocsp_hash_t hash_of(bytes_t algorithm) {
    static const uint8_t sha1[] = {0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a};
    static const uint8_t sha256[] = {0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                     0x65, 0x03, 0x04, 0x02, 0x01};
    bytes_t fields, oid;
    if (!der_take(&algorithm, DER_SEQUENCE, &fields) || !der_take_whole(&fields, DER_OID, &oid))
        return OCSP_OTHER;
    /* Parameters are NULL or absent; nobody means anything by others. */
    if (fields.n && !bytes_eq(fields, BYTES_LIT("\x05\x00"))) return OCSP_OTHER;
    if (bytes_eq(oid, BYTES_ARRAY(sha1))) return OCSP_SHA1;
    return bytes_eq(oid, BYTES_ARRAY(sha256)) ? OCSP_SHA256 : OCSP_OTHER;
}

static err_t *extensions_read(bytes_t explicit_content, bytes_t *ret_nonce) {
    bytes_t list;
    ext_list_t found;
    if (!der_take(&explicit_content, DER_SEQUENCE, &list) || explicit_content.n)
        return bad("extensions");
    TRY(ext_list_read(list, &found));
    for (size_t i = 0; i < found.n; i++) {
        const ext_t *ext = &found.list[i];
        bytes_t value = ext->value, nonce;
        if (!ret_nonce || !bytes_eq(ext->oid, BYTES_ARRAY(nonce_oid))) {
            if (ext->critical)
                return err_new(ERR_INVALID, "OCSP request with an unknown critical extension");
            continue;
        }
        /* Before RFC 6960 nobody said that there is an OCTET STRING inside. */
        if (!der_take(&value, DER_OCTET_STRING, &nonce) || value.n) nonce = ext->value;
        if (nonce.n == 0 || nonce.n > LIMIT_OCSP_NONCE)
            return err_new(ERR_LIMIT, "RFC 9654 section 2.1: nonce of %zu bytes", nonce.n);
        *ret_nonce = nonce;
    }
    return NULL;
}

/* Request ::= SEQUENCE { reqCert CertID, singleRequestExtensions [0] EXPLICIT OPTIONAL } */
static err_t *single_read(bytes_t fields, ocsp_cert_id_t *id) {
    bytes_t cert_id, algorithm, extensions;
    if (!der_take(&fields, DER_SEQUENCE, &cert_id) || !algorithm_der_take(&cert_id, &algorithm) ||
        !der_take(&cert_id, DER_OCTET_STRING, &id->name_hash) ||
        !der_take(&cert_id, DER_OCTET_STRING, &id->key_hash) ||
        !der_take_unsigned(&cert_id, &id->serial) || cert_id.n)
        return bad("CertID");
    id->hash = hash_of(algorithm);
    if (der_take(&fields, DER_CONTEXT_CONSTRUCTED | 0, &extensions))
        TRY(extensions_read(extensions, NULL));
    return fields.n ? bad("Request") : NULL;
}

/* TBSRequest ::= SEQUENCE { version [0], requestorName [1], requestList, extensions [2] } */
static err_t *tbs_read(bytes_t fields, ocsp_request_t *request) {
    static const uint8_t version1[] = {DER_INTEGER, 1, 0};
    bytes_t version, name, list, single, extensions;
    if (der_take(&fields, DER_CONTEXT_CONSTRUCTED | 0, &version) &&
        !bytes_eq(version, BYTES_ARRAY(version1)))
        return bad("version");
    (void)der_take(&fields, DER_CONTEXT_CONSTRUCTED | 1, &name); /* whoever it is */
    if (!der_take(&fields, DER_SEQUENCE, &list)) return bad("requestList");
    while (list.n) {
        if (request->ids_n == LIMIT_OCSP_CERTIDS)
            return err_new(ERR_LIMIT, "OCSP request for more than %d certificates",
                           LIMIT_OCSP_CERTIDS);
        if (!der_take(&list, DER_SEQUENCE, &single)) return bad("requestList");
        TRY(single_read(single, &request->ids[request->ids_n++]));
    }
    if (request->ids_n == 0) return bad("empty requestList");
    if (der_take(&fields, DER_CONTEXT_CONSTRUCTED | 2, &extensions))
        TRY(extensions_read(extensions, &request->nonce));
    return fields.n ? bad("TBSRequest") : NULL;
}

err_t *ocsp_request_parse(bytes_t der, ocsp_request_t *ret_request) {
    if (der.n > LIMIT_OCSP_REQUEST) return err_new(ERR_LIMIT, "OCSP request of %zu bytes", der.n);
    bytes_t outer, tbs, signature;
    if (!der_check(der) || !der_take(&der, DER_SEQUENCE, &outer) ||
        !der_take(&outer, DER_SEQUENCE, &tbs))
        return bad("OCSPRequest");
    (void)der_take(&outer, DER_CONTEXT_CONSTRUCTED | 0, &signature);
    if (outer.n) return bad("OCSPRequest");
    ocsp_request_t request = {0};
    TRY(tbs_read(tbs, &request));
    *ret_request = request;
    return NULL;
}
