/*
 * SCEP's server side (RFC 8894): what a request may have. The keeper opens envelopes, certifies
 * and signs replies; this file decides, and writes challenge, certificate and audit in one
 * transaction. Runs in coffer-web, on any worker thread.
 */
#include "pki/scep.h"

#include "audit/note.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/cms.h"
#include "crypto/csr.h"
#include "pki/pki_internal.h"
#include "pki/scep_request.h"
#include "store/enrolments.h"
#include "store/people.h"

#define TYPE_PKI_MESSAGE "application/x-pki-message"

enum { ARENA_MAX = 256 * 1024 };

void scep_answer_init(scep_answer_t *answer) {
    *answer = (scep_answer_t){.content_type = "text/plain"};
    buf_init(&answer->body, LIMIT_HTTP_BODY_SCEP * 2);
}

void scep_answer_done(scep_answer_t *answer) { buf_done(&answer->body); }

/* One request on its way through. */
typedef struct {
    pki_t *pki;
    const char *peer;
    scep_request_t request;
    keeper_scep_reply_t reply;
    csr_t *csr;
    uint8_t spki[PKI_HASH];
    uint8_t challenge_hash[PKI_HASH];
    db_challenge_t challenge;
    db_enrolment_t enrolment;
    arena_t *arena;
    bool found;
    bytes_t fingerprint; /* of the certificate an earlier, equal transaction got */
    cert_t *issued;
    bool used; /* the challenge was still there to be consumed */
} exchange_t;

static void exchange_done(exchange_t *x) {
    scep_request_done(&x->request);
    csr_free(x->csr);
    cert_free(x->issued);
    arena_free(x->arena);
}
DEFINE_CLEANUP_VALUE(exchange_t, exchange_done)

static err_t *caps(const pki_t *pki, buf_t *out) {
    /*
     * RFC 8894 section 3.5.2; Renewal and GetNextCACert are said once they are served. SHA-384 is
     * no word of the RFC's, but strongSwan 5.9.8 (Debian 12) confuses its flags: without this word
     * it believes that neither AES nor SHA-256 is there. Clients ignore words they don't know.
     */
    TRY(buf_add_str(out, "AES\nPOSTPKIOperation\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n"));
    if (pki->o.allow_des3) TRY(buf_add_str(out, "DES3\n"));
    if (pki->o.allow_sha1) TRY(buf_add_str(out, "SHA-1\n"));
    return NULL;
}

/* Refusals that SCEP can say itself become a CertRep FAILURE; the rest stays an error. */
static err_t *refuse(exchange_t *x, scep_fail_info_t info, err_t *why, buf_t *out) {
    char text[256];
    (void)err_text(why, text, sizeof text);
    err_free(why);
    return keeper_scep_refuse(x->pki->o.keeper, info, text, &x->reply, out);
}

static bool is_refusal(const err_t *e) {
    switch (err_code(e)) {
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_AUTH:
    case ERR_DENIED:
    case ERR_VERIFY:
    case ERR_BUSY: return true;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_USAGE:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: return false;
    }
    return false;
}

static err_t *find_earlier(db_conn_t *conn, void *arg) {
    exchange_t *x = arg;
    return db_scep_transactions_get(conn, x->arena, x->request.transaction_id, BYTES_ARRAY(x->spki),
                                    &x->fingerprint, &x->found);
}

static err_t *find_challenge(db_conn_t *conn, void *arg) {
    exchange_t *x = arg;
    TRY(db_challenges_by_hash(conn, x->arena, BYTES_ARRAY(x->challenge_hash), &x->challenge,
                              &x->found));
    if (!x->found || !x->challenge.enrolment_id[0]) return NULL;
    bool enrolment_found = false;
    TRY(db_enrolments_by_id(conn, x->arena, x->challenge.enrolment_id, &x->enrolment,
                            &enrolment_found));
    if (!enrolment_found) return err_new(ERR_DENIED, "the enrolment is gone");
    db_person_t person;
    bool person_found = false;
    TRY(db_people_by_id(conn, x->arena, x->enrolment.person_id, &person, &person_found));
    if (!person_found || person.disabled)
        return err_new(ERR_DENIED, "the account that this enrolment belongs to is disabled");
    return NULL;
}

static err_t *check_challenge(exchange_t *x) {
    bytes_t password = csr_challenge(x->csr);
    if (password.n == 0) return err_new(ERR_AUTH, "the request has no challenge password");
    TRY(pki_challenge_hash(password, x->challenge_hash));
    TRY(db_read(x->pki->o.db, find_challenge, x));
    if (!x->found) return err_new(ERR_AUTH, "the challenge is not known here");
    if (x->challenge.used_ms) return err_new(ERR_DENIED, "the challenge was used before");
    if (clk_unix_ms(x->pki->o.clk) > x->challenge.expires_ms)
        return err_new(ERR_DENIED, "the challenge has expired");
    const char *subject = csr_subject(x->csr);
    if (x->challenge.subject[0] && strcmp(x->challenge.subject, subject) != 0)
        return err_new(ERR_DENIED, "the challenge is for the subject %s, not for %s",
                       x->challenge.subject, subject);
    return pki_names_check(x->csr, x->challenge.sans);
}

/* Challenge, certificate, transaction and audit: together or not at all. */
static err_t *record(db_conn_t *conn, void *arg) {
    exchange_t *x = arg;
    const audit_t *audit = x->pki->o.audit;
    int64_t now = clk_unix_ms(x->pki->o.clk);
    bytes_t fingerprint = bytes_make(cert_sha256(x->issued), PKI_HASH);
    TRY(db_challenges_use(conn, BYTES_ARRAY(x->challenge_hash), now, &x->used));
    if (!x->used) return err_new(ERR_DENIED, "the challenge was used before");
    const char *enrolment = x->challenge.enrolment_id;
    const char *person = enrolment[0] ? x->enrolment.person_id : "";
    TRY(db_certificates_add(conn, &(db_certificate_t){
                                      .fingerprint = fingerprint,
                                      .issuer = "device-ca",
                                      .serial = cert_serial_hex(x->issued),
                                      .profile = x->challenge.profile,
                                      .subject = cert_subject(x->issued),
                                      .enrolment_id = enrolment,
                                      .person_id = person,
                                      .spki_sha256 = BYTES_ARRAY(x->spki),
                                      .not_before = cert_not_before(x->issued),
                                      .not_after = cert_not_after(x->issued),
                                      .der = cert_der(x->issued),
                                      .created_ms = now,
                                  }));
    TRY(db_scep_transactions_add(conn, x->request.transaction_id, BYTES_ARRAY(x->spki), fingerprint,
                                 now));
    if (enrolment[0]) TRY(db_enrolments_set_state(conn, enrolment, "certified"));
    return audit_note(audit, conn, "scep", "certificate.issue", cert_serial_hex(x->issued),
                      "profile", x->challenge.profile, "subject", cert_subject(x->issued),
                      "enrolment", enrolment[0] ? enrolment : NULL, "peer", x->peer, NULL);
}

static err_t *issue(exchange_t *x, buf_t *out) {
    CLEANUP(buf_done) buf_t der;
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    buf_init(&certrep, out->max);
    const char *owner =
        x->challenge.enrolment_id[0] ? x->challenge.enrolment_id : x->challenge.created_by;
    keeper_request_t request = {.profile = x->challenge.profile,
                                .csr = csr_der(x->csr),
                                .names = x->challenge.sans,
                                .owner = owner};
    TRY(keeper_scep_issue(x->pki->o.keeper, &request, &x->reply, &der, &certrep));
    TRY(cert_parse_der(buf_bytes(&der), &x->issued));
    TRY(db_write(x->pki->o.db, record, x));
    return buf_add(out, buf_bytes(&certrep));
}

/* RFC 8894 section 3.3.1. Possession is proved: the keeper opens nothing else. */
static err_t *pkcs_req(exchange_t *x, buf_t *out) {
    if (!pkey_same_public(csr_key(x->csr), cert_key(cms_signed_cert(x->request.message))))
        return err_new(ERR_VERIFY, "the message is not signed by the key to be certified");
    TRY(pkey_spki_sha256(csr_key(x->csr), x->spki));
    TRY(db_read(x->pki->o.db, find_earlier, x));
    if (x->found) /* a repeated transaction gets the same certificate */
        return keeper_scep_repeat(x->pki->o.keeper, x->fingerprint, &x->reply, out);
    TRY(check_challenge(x));
    TRY(pki_claim(x->pki, x->challenge_hash));
    err_t *e = issue(x, out);
    pki_release(x->pki, x->challenge_hash);
    return e;
}

static scep_fail_info_t fail_info_of(const err_t *e) {
    return err_code(e) == ERR_VERIFY ? SCEP_FAIL_BAD_MESSAGE_CHECK : SCEP_FAIL_BAD_REQUEST;
}

static err_t *open_request(exchange_t *x) {
    CLEANUP(buf_done) buf_t der;
    buf_init_secret(&der, LIMIT_CSR_BYTES);
    TRY(keeper_scep_open(x->pki->o.keeper, x->request.envelope, &der, &x->reply.cipher));
    return csr_parse_der(buf_bytes(&der), &x->csr);
}

static err_t *handle_request(exchange_t *x, buf_t *out) {
    switch (x->request.type) {
    case SCEP_PKCS_REQ: break;
    case SCEP_RENEWAL_REQ:
    case SCEP_CERT_POLL:
    case SCEP_GET_CERT:
    case SCEP_GET_CRL:
    case SCEP_CERT_REP:
        return refuse(x, SCEP_FAIL_BAD_REQUEST, err_new(ERR_DENIED, "this CA answers PKCSReq only"),
                      out);
    }
    err_t *e = open_request(x);
    if (!e) e = pkcs_req(x, out);
    if (e && is_refusal(e)) return refuse(x, fail_info_of(e), e, out);
    return e;
}

static bool only_sha1_is_wrong(const pki_t *pki, bytes_t message) {
    CLEANUP(scep_request_done) scep_request_t request = {0};
    if (pki->o.allow_sha1) return false;
    err_t *e = scep_request_parse(message, true, &request);
    bool parsed = !e && request.sha1;
    err_free(e);
    return parsed;
}

/*
 * What is wrong with a message before any key of ours touched it is the client's to know, so it is
 * said in the outer sentence, which alone reaches him. What comes later stays uniform.
 */
static err_t *parse(pki_t *pki, bytes_t message, const char *peer, scep_request_t *ret_request) {
    char text[512];
    CLEANUP(err_free) err_t *e = scep_request_parse(message, pki->o.allow_sha1, ret_request);
    if (!e) return NULL;
    if (err_code(e) == ERR_NOMEM) return STEAL(e);
    if (err_code(e) == ERR_VERIFY && only_sha1_is_wrong(pki, message))
        return err_new(
            ERR_VERIFY,
            "SCEP request from %s: it is signed with SHA-1, which is off here: coffer.conf "
            "[scep] allow_sha1 = yes lets old clients in",
            peer);
    return err_new(err_code(e), "SCEP request from %s: %s", peer, err_text(e, text, sizeof text));
}

static err_t *pki_operation(pki_t *pki, bytes_t message, const char *peer, buf_t *out) {
    CLEANUP(exchange_done) exchange_t x = {.pki = pki, .peer = peer};
    TRY(arena_new(ARENA_MAX, &x.arena));
    TRY(parse(pki, message, peer, &x.request));
    x.reply = (keeper_scep_reply_t){
        .transaction_id = x.request.transaction_id,
        .sender_nonce = x.request.sender_nonce,
        .signer = cert_der(cms_signed_cert(x.request.message)),
        .cipher = CMS_AES256_CBC,
        .sha1 = x.request.sha1,
    };
    TRY_WRAP(handle_request(&x, out), "SCEP request from %s", peer);
    return NULL;
}

err_t *scep_handle(pki_t *pki, bytes_t operation, bytes_t message, const char *peer,
                   scep_answer_t *ret_answer) {
    CLEANUP(scep_answer_done) scep_answer_t answer;
    scep_answer_init(&answer);
    if (bytes_eq_str(operation, "GetCACaps")) {
        TRY(caps(pki, &answer.body));
    } else if (bytes_eq_str(operation, "GetCACert")) {
        answer.content_type = "application/x-x509-ca-cert";
        TRY(buf_add(&answer.body, cert_der(pki->device_ca)));
    } else if (bytes_eq_str(operation, "PKIOperation")) {
        answer.content_type = TYPE_PKI_MESSAGE;
        TRY(pki_operation(pki, message, peer, &answer.body));
    } else {
        return err_new(ERR_INVALID, "RFC 8894 section 4.1: unknown SCEP operation; GetCACaps, "
                                    "GetCACert and PKIOperation are served");
    }
    *ret_answer = answer;
    scep_answer_init(&answer);
    return NULL;
}

err_t *scep_decode_get_message(bytes_t raw, buf_t *ret_message) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_HTTP_QUERY);
    TRY_WRAP(text_unpercent(raw, false, &text), "RFC 8894 section 4.1: message");
    TRY_WRAP(text_unbase64(buf_bytes(&text), ret_message), "RFC 8894 section 4.1: message");
    return NULL;
}
