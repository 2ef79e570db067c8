/*
 * Building CertRep: see certrep.h. Any worker thread.
 */
#include "keeper/certrep.h"

#include "base/limits.h"

#define OID_SCEP_MESSAGE_TYPE    "2.16.840.1.113733.1.9.2"
#define OID_SCEP_PKI_STATUS      "2.16.840.1.113733.1.9.3"
#define OID_SCEP_FAIL_INFO       "2.16.840.1.113733.1.9.4"
#define OID_SCEP_SENDER_NONCE    "2.16.840.1.113733.1.9.5"
#define OID_SCEP_RECIPIENT_NONCE "2.16.840.1.113733.1.9.6"
#define OID_SCEP_TRANSACTION_ID  "2.16.840.1.113733.1.9.7"
#define OID_SCEP_FAIL_INFO_TEXT  "1.3.6.1.5.5.7.24.1"

enum { NONCE_SIZE = 16, ATTRIBUTES = 7 }; /* bytes, RFC 8894 section 3.2.1.5 */

typedef struct {
    cms_attribute_t list[ATTRIBUTES];
    size_t n;
    uint8_t nonce[NONCE_SIZE];
} attributes_t;

static void add(attributes_t *a, const char *oid, cms_value_kind_t kind, bytes_t value) {
    a->list[a->n++] = (cms_attribute_t){oid, kind, value};
}

/* Decimal digit as text; static. */
static bytes_t digit(unsigned value) { return bytes_make(&"0123456789"[value % 10], 1); }

static err_t *fill_common(attributes_t *a, const rnd_t *rnd, keeper_scep_status_t status,
                          const keeper_scep_reply_t *reply) {
    TRY(rnd_fill(rnd, a->nonce, NONCE_SIZE));
    add(a, OID_SCEP_MESSAGE_TYPE, CMS_PRINTABLE_STRING, BYTES_LIT("3"));
    add(a, OID_SCEP_PKI_STATUS, CMS_PRINTABLE_STRING, digit((unsigned)status));
    add(a, OID_SCEP_TRANSACTION_ID, CMS_PRINTABLE_STRING, reply->transaction_id);
    add(a, OID_SCEP_SENDER_NONCE, CMS_OCTET_STRING, BYTES_ARRAY(a->nonce));
    if (reply->sender_nonce.n)
        add(a, OID_SCEP_RECIPIENT_NONCE, CMS_OCTET_STRING, reply->sender_nonce);
    return NULL;
}

static cms_sign_options_t options_for(const attributes_t *a, const keeper_scep_reply_t *reply,
                                      bool detached) {
    return (cms_sign_options_t){
        .detached = detached,
        .digest = reply->sha1 ? CMS_DIGEST_SHA1 : CMS_DIGEST_SHA256,
        .attributes = a->list,
        .attributes_n = a->n,
    };
}

/* Enveloped to the request's signer, signed. `known` (or NULL) may be the signer's key. */
static err_t *success(const cms_signer_t *signer, const rnd_t *rnd, bytes_t content,
                      const pkey_t *known, const keeper_scep_reply_t *reply, buf_t *out) {
    CLEANUP(cert_free) cert_t *recipient = NULL;
    TRY_WRAP(cert_parse_der_known(reply->signer, known, &recipient),
             "the request's signer certificate");
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, LIMIT_CMS_BYTES);
    cms_encrypt_options_t encrypt = {.cipher = reply->cipher};
    TRY_WRAP(cms_encrypt_to(content, recipient, &encrypt, &envelope), "the reply's envelope");
    attributes_t a = {0};
    TRY(fill_common(&a, rnd, SCEP_STATUS_SUCCESS, reply));
    cms_sign_options_t sign = options_for(&a, reply, false);
    return cms_sign(signer, buf_bytes(&envelope), &sign, out);
}

err_t *certrep_success(const cms_signer_t *signer, const rnd_t *rnd, const cert_t *leaf,
                       const keeper_scep_reply_t *reply, buf_t *out) {
    CLEANUP(buf_done) buf_t certificates;
    buf_init(&certificates, LIMIT_CMS_BYTES);
    /* Only the leaf: DER sorts the set, and Apple pairs the first one with the device's key. */
    cert_t *only = cert_share(leaf);
    cert_list_t list = {&only, 1};
    err_t *e = cms_certs_only(&list, &certificates);
    cert_free(only);
    return e ? e : success(signer, rnd, buf_bytes(&certificates), cert_key(leaf), reply, out);
}

err_t *certrep_crl(const cms_signer_t *signer, const rnd_t *rnd, bytes_t crl,
                   const keeper_scep_reply_t *reply, buf_t *out) {
    CLEANUP(buf_done) buf_t content;
    buf_init(&content, LIMIT_CMS_BYTES);
    TRY(cms_crl_only(crl, &content));
    return success(signer, rnd, buf_bytes(&content), NULL, reply, out);
}

err_t *certrep_refusal(const cms_signer_t *signer, const rnd_t *rnd, keeper_scep_status_t status,
                       scep_fail_info_t info, const char *text, const keeper_scep_reply_t *reply,
                       buf_t *out) {
    attributes_t a = {0};
    TRY(fill_common(&a, rnd, status, reply));
    if (status == SCEP_STATUS_FAILURE) {
        add(&a, OID_SCEP_FAIL_INFO, CMS_PRINTABLE_STRING, digit((unsigned)info));
        if (text[0]) add(&a, OID_SCEP_FAIL_INFO_TEXT, CMS_UTF8_STRING, bytes_str(text));
    }
    cms_sign_options_t sign = options_for(&a, reply, true);
    return cms_sign(signer, BYTES_NONE, &sign, out);
}
