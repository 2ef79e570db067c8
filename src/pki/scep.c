/*
 * SCEP's server side (RFC 8894): takes a message to who answers it, and makes a FAILURE of what is
 * refused. The keeper opens envelopes, certifies and signs replies. Runs in coffer-web, on any
 * worker thread.
 */
#include "pki/scep.h"

#include "base/text.h"
#include "pki/scep_internal.h"

#define TYPE_PKI_MESSAGE "application/x-pki-message"

enum { ARENA_MAX = 512 * 1024 };

void scep_answer_init(scep_answer_t *answer) {
    *answer = (scep_answer_t){.content_type = "text/plain"};
    buf_init(&answer->body, LIMIT_HTTP_BODY_SCEP * 2);
}

void scep_answer_done(scep_answer_t *answer) { buf_done(&answer->body); }

static void exchange_done(scep_exchange_t *x) {
    scep_request_done(&x->request);
    csr_free(x->csr);
    cert_free(x->issued);
    arena_free(x->arena);
}
DEFINE_CLEANUP_VALUE(scep_exchange_t, exchange_done)

static err_t *caps(const pki_t *pki, buf_t *out) {
    /*
     * RFC 8894 section 3.5.2. SHA-384 is no word of the
     * RFC's, but strongSwan 5.9.8 (Debian 12) confuses its flags: without this word it believes
     * that neither AES nor SHA-256 is there. Clients ignore words they don't know.
     */
    TRY(buf_add_str(out,
                    "AES\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n"));
    if (pki->next_ca.n) TRY(buf_add_str(out, "GetNextCACert\n"));
    if (pki->o.allow_des3) TRY(buf_add_str(out, "DES3\n"));
    if (pki->o.allow_sha1) TRY(buf_add_str(out, "SHA-1\n"));
    return NULL;
}

/* Refusals that SCEP can say itself become a CertRep FAILURE; the rest stays an error. Takes why.
 */
static err_t *refuse(scep_exchange_t *x, err_t *why, buf_t *out) {
    if (x->fail < 0)
        x->fail = err_code(why) == ERR_VERIFY ? SCEP_FAIL_BAD_MESSAGE_CHECK : SCEP_FAIL_BAD_REQUEST;
    (void)err_text(why, x->problem, sizeof x->problem);
    err_free(why);
    x->outcome = "refused";
    if (!x->next) x->next = NEXT_STOP;
    scep_trace_save(x);
    return keeper_scep_refuse(x->pki->o.keeper, (scep_fail_info_t)x->fail, x->problem, &x->reply,
                              out);
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

static err_t *open_request(scep_exchange_t *x) {
    CLEANUP(buf_done) buf_t der;
    buf_init_secret(&der, LIMIT_CSR_BYTES);
    TRY(keeper_scep_open(x->pki->o.keeper, x->request.envelope, &der, &x->reply.cipher));
    return csr_parse_der_known(buf_bytes(&der), cert_key(x->signer), &x->csr);
}

static err_t *answer_request(scep_exchange_t *x, buf_t *out) {
    TRY(scep_check_ca(x));
    TRY(scep_check_algorithms(x));
    TRY(scep_check_times(x));
    switch (x->request.type) {
    case SCEP_PKCS_REQ:
    case SCEP_RENEWAL_REQ: TRY(open_request(x)); return scep_issue_request(x, out);
    case SCEP_CERT_POLL: return scep_cert_poll(x, out);
    case SCEP_GET_CERT: return scep_get_cert(x, out);
    case SCEP_GET_CRL: return scep_get_crl(x, out);
    case SCEP_CERT_REP: break;
    }
    return err_new(ERR_DENIED, "a CertRep is no request");
}

static err_t *handle_request(scep_exchange_t *x, buf_t *out) {
    err_t *e = answer_request(x, out);
    if (!e) {
        scep_trace_save(x);
        return NULL;
    }
    x->traced = false; /* what was written with it was not committed */
    if (is_refusal(e)) return refuse(x, e, out);
    (void)err_text(e, x->problem, sizeof x->problem);
    x->outcome = "failed";
    x->next = NEXT_RETRY;
    scep_trace_save(x);
    return e;
}

/* Whose request it is: see scep_exchange_t. */
static err_t *learn_signer(scep_exchange_t *x) {
    x->signer = cms_signed_cert(x->request.message);
    err_t *e = pki_check_signature(x->pki, x->signer);
    if (e && err_code(e) != ERR_VERIFY) return e;
    x->signer_ours = !e;
    err_free(e);
    if (x->signer_ours) memcpy(x->requester, cert_sha256(x->signer), PKI_HASH);
    else TRY(pkey_spki_sha256(cert_key(x->signer), x->requester));
    return NULL;
}

static err_t *pki_operation(pki_t *pki, bytes_t message, const char *peer, buf_t *out) {
    CLEANUP(exchange_done) scep_exchange_t x = {.pki = pki, .peer = peer, .fail = -1};
    TRY(arena_new(ARENA_MAX, &x.arena));
    /* SHA-1 is read here even where it is switched off, so that the answer can be badAlg. */
    err_t *e = scep_request_parse(message, true, &x.request);
    if (e) { /* no key of ours touched it yet: what is wrong is the client's to know */
        char text[512];
        scep_trace_malformed(pki, peer, e);
        err_code_t code = err_code(e);
        (void)err_text(e, text, sizeof text);
        err_free(e);
        return err_new(code, "SCEP request from %s: %s", peer, text);
    }
    TRY(learn_signer(&x));
    x.ca = scep_find_ca(pki, x.request.envelope);
    x.reply = (keeper_scep_reply_t){
        .transaction_id = x.request.transaction_id,
        .sender_nonce = x.request.sender_nonce,
        .signer = cert_der(x.signer),
        .cipher = CMS_AES256_CBC,
        .sha1 = x.request.sha1 && pki->o.allow_sha1,
        /* Who knows only a former CA can check no other's signature. */
        .generation = x.ca->state == KEEPER_CA_FORMER ? x.ca->generation : 0,
    };
    TRY_WRAP(handle_request(&x, out), "SCEP request from %s", peer);
    return NULL;
}

/*
 * Section 4.2. `name` is what the client calls the CA: a profile that was delivered before a
 * rollover names its generation, and gets just that one while it may still be used. In RA mode the
 * root comes along, since strongSwan trusts no RA whose chain it can't follow to the end; but not
 * for who names the CA: that one was told of it elsewhere, and some clients encrypt to every
 * certificate that they get, which an elliptic root can't bear.
 */
static err_t *get_ca_cert(const pki_t *pki, bytes_t name, scep_answer_t *answer) {
    const keeper_ca_t *ca = pki_device_ca_by_name(pki, name);
    if (ca && (ca->state == KEEPER_CA_NEXT || clk_unix(pki->o.clk) > cert_not_after(ca->cert)))
        ca = NULL;
    bool named = ca;
    if (!named) ca = pki->ca;
    if (ca->signer == ca->cert) {
        answer->content_type = "application/x-x509-ca-cert";
        return buf_add(&answer->body, cert_der(ca->cert));
    }
    enum { CERTS = 4 };
    cert_t *certs[CERTS] = {ca->signer, ca->recipient, ca->cert, pki->root};
    cert_list_t list = {certs, named ? CERTS - 1 : CERTS};
    answer->content_type = "application/x-x509-ca-ra-cert";
    return cms_certs_only(&list, &answer->body);
}

static err_t *get_next_ca_cert(const pki_t *pki, scep_answer_t *answer) {
    if (!pki->next_ca.n) return err_new(ERR_NOT_FOUND, "RFC 8894 section 4.7: there is no next CA");
    answer->content_type = "application/x-x509-next-ca-cert";
    return buf_add(&answer->body, buf_bytes(&pki->next_ca));
}

err_t *scep_handle(pki_t *pki, bytes_t operation, bytes_t message, const char *peer,
                   scep_answer_t *ret_answer) {
    CLEANUP(scep_answer_done) scep_answer_t answer;
    scep_answer_init(&answer);
    if (bytes_eq_str(operation, "GetCACaps")) {
        TRY(caps(pki, &answer.body));
    } else if (bytes_eq_str(operation, "GetCACert")) {
        TRY(get_ca_cert(pki, message, &answer));
    } else if (bytes_eq_str(operation, "GetNextCACert")) {
        TRY(get_next_ca_cert(pki, &answer));
    } else if (bytes_eq_str(operation, "PKIOperation")) {
        answer.content_type = TYPE_PKI_MESSAGE;
        TRY(pki_operation(pki, message, peer, &answer.body));
    } else {
        return err_new(ERR_INVALID, "RFC 8894 section 4.1: unknown SCEP operation; GetCACaps, "
                                    "GetCACert, GetNextCACert and PKIOperation are served");
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
