/*
 * SCEP's client side: see scep_client.h. RFC 8894; pure, main thread.
 */
#include "program/sim/scep_client.h"

#include "base/limits.h"
#include "base/text.h"
#include "crypto/csr.h"
#include "crypto/digest.h"

/* RFC 8894 section 3.2.1 */
#define OID_MESSAGE_TYPE    "2.16.840.1.113733.1.9.2"
#define OID_PKI_STATUS      "2.16.840.1.113733.1.9.3"
#define OID_FAIL_INFO       "2.16.840.1.113733.1.9.4"
#define OID_SENDER_NONCE    "2.16.840.1.113733.1.9.5"
#define OID_RECIPIENT_NONCE "2.16.840.1.113733.1.9.6"
#define OID_TRANSACTION_ID  "2.16.840.1.113733.1.9.7"
#define OID_FAIL_INFO_TEXT  "1.3.6.1.5.5.7.24.1"

enum { SELF_VALID_S = 7 * 86400, BACKDATE_S = 3600, FAIL_TEXT_MAX = 200 };

#define CHECK(expression) TRY(verify_recode(expression))

err_t *scep_client_caps(bytes_t text, scep_caps_t *ret_caps) {
    scep_caps_t caps = {0};
    bytes_t line;
    while (text_split(&text, '\n', &line)) {
        line = text_trim(line);
        caps.aes |= text_eq_fold(line, BYTES_LIT("AES"));
        caps.des3 |= text_eq_fold(line, BYTES_LIT("DES3"));
        caps.post |= text_eq_fold(line, BYTES_LIT("POSTPKIOperation"));
        caps.sha256 |= text_eq_fold(line, BYTES_LIT("SHA-256"));
        caps.sha512 |= text_eq_fold(line, BYTES_LIT("SHA-512"));
        caps.sha1 |= text_eq_fold(line, BYTES_LIT("SHA-1"));
        caps.renewal |= text_eq_fold(line, BYTES_LIT("Renewal"));
        if (text_eq_fold(line, BYTES_LIT("SCEPStandard")))
            caps.standard = caps.aes = caps.post = caps.sha256 = true;
        if (text_eq_fold(line, BYTES_LIT("Update")))
            return err_new(ERR_VERIFY, "GetCACaps says Update, which no standard has");
    }
    if (!caps.sha256 && !caps.sha512)
        return err_new(ERR_VERIFY, "GetCACaps offers no SHA-2: a device would use MD5 or SHA-1");
    *ret_caps = caps;
    return NULL;
}

static err_t *check_fingerprint(const cert_t *ca, bytes_t fingerprint) {
    uint8_t sha1[DIGEST_SHA1_SIZE];
    bytes_t actual = bytes_make(cert_sha256(ca), CERT_SHA256_SIZE);
    if (fingerprint.n == 0) return NULL;
    if (fingerprint.n == DIGEST_SHA1_SIZE) {
        TRY(digest_sha1_legacy(cert_der(ca), sha1));
        actual = BYTES_ARRAY(sha1);
    }
    if (!bytes_eq(actual, fingerprint))
        return err_new(ERR_VERIFY, "GetCACert's certificate is not the one CAFingerprint names");
    return NULL;
}

void scep_peer_done(scep_peer_t *peer) {
    cert_free(peer->ca);
    cert_free(peer->signer);
    cert_free(peer->recipient);
    *peer = (scep_peer_t){0};
}

static void share_peer(const scep_peer_t *from, scep_peer_t *to) {
    *to =
        (scep_peer_t){cert_share(from->ca), cert_share(from->signer), cert_share(from->recipient)};
}

static err_t *take_single(bytes_t der, scep_peer_t *peer) {
    const unsigned needed =
        KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_CERT_SIGN;
    CHECK(cert_parse_der(der, &peer->ca));
    if (!cert_is_ca(peer->ca)) return err_new(ERR_VERIFY, "the certificate is no CA's");
    if ((cert_key_usage(peer->ca) & needed) != needed)
        return err_new(ERR_VERIFY, "the CA's certificate may not sign, encipher and certify");
    peer->signer = cert_share(peer->ca);
    peer->recipient = cert_share(peer->ca);
    return NULL;
}

/* Each role once: a device that has to choose may choose wrongly. */
static err_t *take_role(const cert_t *cert, cert_t **place, const char *role) {
    if (*place) return err_new(ERR_VERIFY, "there are two certificates %s", role);
    *place = cert_share(cert);
    return NULL;
}

static err_t *take_ra(bytes_t der, scep_peer_t *peer) {
    CLEANUP(cert_list_done) cert_list_t list = {0};
    CHECK(cms_parse_certs(der, &list));
    for (size_t i = 0; i < list.n; i++) {
        const cert_t *cert = list.certs[i];
        unsigned usage = cert_key_usage(cert);
        if (cert_is_ca(cert)) continue;
        if (usage & KEY_USAGE_DIGITAL_SIGNATURE) TRY(take_role(cert, &peer->signer, "to sign"));
        if (usage & KEY_USAGE_KEY_ENCIPHERMENT)
            TRY(take_role(cert, &peer->recipient, "to encipher"));
    }
    for (size_t i = 0; peer->signer && i < list.n; i++) /* the others are of its chain */
        if (cert_is_ca(list.certs[i]) &&
            bytes_eq(cert_subject_der(list.certs[i]), cert_issuer_der(peer->signer)))
            TRY(take_role(list.certs[i], &peer->ca, "of the RA's CA"));
    if (!peer->ca || !peer->signer || !peer->recipient)
        return err_new(ERR_VERIFY, "no candidate RA certificates: a CA's, and its RA's to sign and "
                                   "to encipher are needed");
    CHECK(cert_verify_signed_by_key(peer->signer, cert_key(peer->ca)));
    CHECK(cert_verify_signed_by_key(peer->recipient, cert_key(peer->ca)));
    return NULL;
}

static err_t *check_peer(const scep_peer_t *peer, const cert_list_t *roots, int64_t at) {
    cert_t *ca = peer->ca;
    cert_list_t between = {&ca, 1};
    cert_chain_t chain = {.intermediates = &between, .roots = roots, .at = at};
    if (pkey_kind(cert_key(peer->recipient)) != PKEY_RSA ||
        pkey_kind(cert_key(peer->signer)) != PKEY_RSA)
        return err_new(ERR_VERIFY, "a certificate for SCEP has no RSA key: SCEP needs one");
    CHECK(cert_verify_chain(peer->ca, &chain));
    CHECK(cert_verify_chain(peer->signer, &chain));
    CHECK(cert_verify_chain(peer->recipient, &chain));
    return NULL;
}

err_t *scep_client_ca(bytes_t der, bool ra, bytes_t fingerprint, const cert_list_t *roots,
                      int64_t at, scep_peer_t *ret_peer) {
    CLEANUP(scep_peer_done) scep_peer_t peer = {0};
    TRY_WRAP(ra ? take_ra(der, &peer) : take_single(der, &peer), "GetCACert");
    TRY(check_fingerprint(peer.ca, fingerprint));
    TRY_WRAP(check_peer(&peer, roots, at), "GetCACert");
    *ret_peer = peer;
    peer = (scep_peer_t){0};
    return NULL;
}

void scep_request_out_done(scep_request_out_t *request) {
    pkey_free(request->key);
    cert_free(request->self);
    scep_peer_done(&request->peer);
    buf_done(&request->message);
    *request = (scep_request_out_t){0};
}

/* Section 2.3: self-signed, with the subject of the request. */
static err_t *make_self(const scep_request_spec_t *spec, cert_t **ret_self) {
    uint8_t serial[CERT_SERIAL_SIZE];
    TRY(cert_serial_random(spec->rnd, serial));
    cert_spec_t self = {.subject = spec->terms->subject,
                        .subject_n = spec->terms->subject_n,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = spec->now - BACKDATE_S,
                        .not_after = spec->now + SELF_VALID_S,
                        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT};
    return cert_issue(&self, NULL, spec->key, ret_self);
}

static err_t *make_envelope(const scep_request_spec_t *spec, buf_t *out) {
    CLEANUP(buf_done) buf_t csr;
    buf_init_secret(&csr, LIMIT_CSR_BYTES);
    const scep_terms_t *terms = spec->terms;
    csr_spec_t wish = {.subject = terms->subject,
                       .subject_n = terms->subject_n,
                       .sans = terms->sans,
                       .sans_n = terms->sans_n,
                       .key_usage = terms->key_usage,
                       .challenge = terms->challenge};
    TRY(csr_build(&wish, spec->key, &csr));
    cms_encrypt_options_t options = {.cipher = spec->caps->aes ? CMS_AES256_CBC : CMS_DES3_CBC,
                                     .indefinite = true};
    return cms_encrypt_to(buf_bytes(&csr), spec->peer->recipient, &options, out);
}

/* Section 3.2.1.1: unique to the key, so a repeated request is the same transaction. */
static err_t *make_transaction_id(const scep_request_spec_t *spec, scep_request_out_t *r) {
    uint8_t id[DIGEST_SHA256_SIZE];
    CLEANUP(buf_done) buf_t hex;
    buf_init(&hex, SCEP_TRANSACTION_HEX);
    if (spec->random_transaction) TRY(rnd_fill(spec->rnd, id, sizeof id));
    else TRY(pkey_spki_sha256(r->key, id));
    TRY(text_hex(BYTES_ARRAY(id), &hex));
    memcpy(r->transaction_id, hex.p, SCEP_TRANSACTION_HEX);
    return NULL;
}

err_t *scep_client_request(const scep_request_spec_t *spec, scep_request_out_t *ret_request) {
    CLEANUP(scep_request_out_done) scep_request_out_t r = {.key = pkey_share(spec->key)};
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, LIMIT_HTTP_BODY_SCEP);
    buf_init(&r.message, LIMIT_HTTP_BODY_SCEP);
    share_peer(spec->peer, &r.peer);
    r.key_usage = spec->terms->key_usage;
    TRY(rnd_fill(spec->rnd, r.nonce, sizeof r.nonce));
    TRY(make_self(spec, &r.self));
    TRY(make_envelope(spec, &envelope));
    TRY(make_transaction_id(spec, &r));
    TRY(cms_signer_new(r.self, r.key, NULL, &signer));
    const cms_attribute_t attributes[] = {
        {OID_MESSAGE_TYPE, CMS_PRINTABLE_STRING, BYTES_LIT("19")},
        {OID_TRANSACTION_ID, CMS_PRINTABLE_STRING, bytes_str(r.transaction_id)},
        {OID_SENDER_NONCE, CMS_OCTET_STRING, BYTES_ARRAY(r.nonce)},
    };
    cms_sign_options_t options = {.digest =
                                      spec->caps->sha256 ? CMS_DIGEST_SHA256 : CMS_DIGEST_SHA512,
                                  .attributes = attributes,
                                  .attributes_n = sizeof attributes / sizeof attributes[0]};
    TRY(cms_sign(signer, buf_bytes(&envelope), &options, &r.message));
    *ret_request = r;
    r = (scep_request_out_t){0};
    return NULL;
}

/* ---- the reply ---- */

static err_t *refusal(const cms_signed_t *reply) {
    static const char *const reasons[] = {"badAlg", "badMessageCheck", "badRequest", "badTime",
                                          "badCertId"};
    bytes_t info = BYTES_NONE;
    cms_signed_value_t text = {0};
    bool found = false;
    uint64_t number = 0;
    CHECK(cms_signed_require(reply, OID_FAIL_INFO, CMS_PRINTABLE_STRING, &info));
    CHECK(text_u64(info, 4, &number));
    CHECK(cms_signed_attribute(reply, OID_FAIL_INFO_TEXT, &found, &text));
    if (!found || !text_printable(text.value) || text.value.n > FAIL_TEXT_MAX)
        return err_new(ERR_DENIED, "the CA refuses: %s", reasons[number]);
    return err_new(ERR_DENIED, "the CA refuses: %s, %.*s", reasons[number], (int)text.value.n,
                   (const char *)text.value.p);
}

static err_t *check_attributes(const scep_request_out_t *r, const cms_signed_t *reply) {
    bytes_t value = BYTES_NONE;
    CHECK(cms_signed_require(reply, OID_MESSAGE_TYPE, CMS_PRINTABLE_STRING, &value));
    if (!bytes_eq_str(value, "3"))
        return err_new(ERR_VERIFY, "the reply's messageType is not CertRep");
    CHECK(cms_signed_require(reply, OID_TRANSACTION_ID, CMS_PRINTABLE_STRING, &value));
    if (!bytes_eq_str(value, r->transaction_id))
        return err_new(ERR_VERIFY, "the reply is for another transactionID");
    CHECK(cms_signed_require(reply, OID_RECIPIENT_NONCE, CMS_OCTET_STRING, &value));
    if (!bytes_eq(value, BYTES_ARRAY(r->nonce)))
        return err_new(ERR_VERIFY, "the reply's recipientNonce is not our nonce: a replay?");
    CHECK(cms_signed_require(reply, OID_SENDER_NONCE, CMS_OCTET_STRING, &value));
    if (value.n != SCEP_NONCE)
        return err_new(ERR_VERIFY, "the reply's senderNonce is not 16 bytes");
    CHECK(cms_signed_require(reply, OID_PKI_STATUS, CMS_PRINTABLE_STRING, &value));
    if (bytes_eq_str(value, "2")) return refusal(reply);
    if (bytes_eq_str(value, "3")) return err_new(ERR_BUSY, "the CA says: pending");
    if (!bytes_eq_str(value, "0")) return err_new(ERR_VERIFY, "the reply has an unknown pkiStatus");
    return NULL;
}

static err_t *open_envelope(const scep_request_out_t *r, const cms_signed_t *reply,
                            cert_t **ret_cert) {
    CLEANUP(buf_done) buf_t plain;
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    buf_init(&plain, LIMIT_CMS_BYTES);
    cms_decrypt_options_t options = {.allow_des3 = true};
    err_t *e = cms_decrypt(cms_signed_content(reply), r->self, r->key, &options, &plain, NULL);
    if (e) return verify_recode(err_wrap(e, "the reply's envelope"));
    CHECK(cms_parse_certs(buf_bytes(&plain), &certs));
    if (certs.n != 1)
        return err_new(ERR_VERIFY,
                       "the reply holds %zu certificates: Apple's devices pair the first with "
                       "their key",
                       certs.n);
    *ret_cert = cert_share(certs.certs[0]);
    return NULL;
}

static err_t *check_names(const cert_t *cert, const scep_terms_t *terms) {
    size_t n = 0;
    const san_entry_t *sans = cert_sans(cert, &n);
    for (size_t i = 0; i < terms->sans_n; i++) {
        bool found = false;
        for (size_t k = 0; k < n && !found; k++)
            found = sans[k].kind == terms->sans[i].kind &&
                    strcmp(sans[k].value, terms->sans[i].value) == 0;
        if (!found)
            return err_new(ERR_VERIFY, "the certificate lacks the name %s that was asked for",
                           terms->sans[i].value);
    }
    return NULL;
}

static err_t *check_certificate(const scep_request_out_t *r, const scep_terms_t *terms,
                                const cert_t *cert, const cert_list_t *roots, int64_t now) {
    cert_t *ca = r->peer.ca;
    cert_list_t intermediates = {&ca, 1};
    if (!pkey_same_public(cert_key(cert), r->key))
        return err_new(ERR_VERIFY, "the certificate is for another key");
    if (!bytes_eq(cert_subject_der(cert), cert_subject_der(r->self)))
        return err_new(ERR_VERIFY, "the certificate's subject is %s, asked for was %s",
                       cert_subject(cert), cert_subject(r->self));
    if (cert_is_ca(cert)) return err_new(ERR_VERIFY, "the certificate is one of a CA");
    if ((cert_key_usage(cert) & r->key_usage) != r->key_usage)
        return err_new(ERR_VERIFY, "the certificate lacks a key usage that was asked for");
    TRY(check_names(cert, terms));
    CHECK(cert_verify_signed_by_key(cert, cert_key(ca)));
    cert_chain_t chain = {.intermediates = &intermediates,
                          .roots = roots,
                          .at = now,
                          .purpose = CERT_PURPOSE_TLS_CLIENT};
    CHECK(cert_verify_chain(cert, &chain));
    return NULL;
}

err_t *scep_client_reply(const scep_request_out_t *request, const scep_terms_t *terms,
                         bytes_t reply, const cert_list_t *roots, int64_t now, cert_t **ret_cert) {
    CLEANUP(cms_signed_free) cms_signed_t *message = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    cms_verify_options_t options = {.allow_no_content = true};
    err_t *e = cms_verify(reply, NULL, &options, &message);
    if (e) return verify_recode(err_wrap(e, "SCEP reply"));
    if (!cert_same(cms_signed_cert(message), request->peer.signer))
        return err_new(ERR_VERIFY, "SCEP reply: signed by %s, not by the CA or its RA",
                       cert_subject(cms_signed_cert(message)));
    TRY_WRAP(check_attributes(request, message), "SCEP reply");
    TRY_WRAP(open_envelope(request, message, &cert), "SCEP reply");
    TRY_WRAP(check_certificate(request, terms, cert, roots, now), "SCEP reply");
    *ret_cert = STEAL(cert);
    return NULL;
}
