/*
 * Judging signers: see judge.h.
 */
#include <stdio.h>

#include "base/text.h"
#include "crypto/name.h"
#include "mail/judge.h"

#define OID_EMAIL "1.2.840.113549.1.9.1"

enum { CLOCK_SKEW_S = 86400 };

bool mail_cert_is_for(const cert_t *cert, bytes_t address) {
    const char *mail;
    for (size_t i = 0; (mail = cert_san_get(cert, SAN_EMAIL, i)); i++)
        if (mime_address_eq(bytes_str(mail), address)) return true;
    /* Certificates without any such name, from before RFC 3850 (RFC 8550 section 3). */
    mail = cert_san_get(cert, SAN_EMAIL, 0) ? NULL : cert_subject_get(cert, OID_EMAIL);
    return mail && mime_address_eq(bytes_str(mail), address);
}

/* Exactly one address, and nothing in the field that could be read otherwise. */
static bool is_the_one(const mime_addresses_t *list, const cert_t *cert) {
    return list->n == 1 && !list->bad && mail_cert_is_for(cert, list->at[0].address);
}

static void say(mail_signer_judgement_t *j, mail_trust_t trust, err_t *e) {
    j->trust = trust;
    if (e) (void)err_text(e, j->reason, sizeof j->reason);
    err_free(e);
}

/* Why a chain doesn't hold: its dates, the purpose, or there is none. */
static void say_why(mail_signer_judgement_t *j, const cert_t *cert, cert_chain_t chain, err_t *e) {
    mail_trust_t trust = MAIL_TRUST_UNKNOWN;
    chain.ignore_dates = true;
    err_t *other = cert_verify_chain(cert, &chain);
    if (!other) {
        trust = MAIL_TRUST_EXPIRED;
    } else {
        err_free(other);
        chain.purpose = CERT_PURPOSE_ANY;
        other = cert_verify_chain(cert, &chain);
        if (!other) trust = MAIL_TRUST_USAGE;
        err_free(other);
    }
    say(j, trust, e);
}

static err_t *judge_one(mail_signer_judgement_t *j, const cms_signer_info_t *signer,
                        const cert_list_t *intermediates, const mail_reader_options_t *options,
                        const mail_reader_handler_t *handler) {
    bool believed =
        !options->at_arrival && signer->has_time && signer->time <= options->now + CLOCK_SKEW_S;
    int64_t at = believed ? signer->time : options->now;
    static const cert_list_t none = {0};
    cert_chain_t chain = {.intermediates = intermediates,
                          .roots = options->roots ? options->roots : &none,
                          .at = at,
                          .purpose = CERT_PURPOSE_MAIL_SIGN};
    err_t *e = cert_verify_chain(signer->cert, &chain);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e) {
        say_why(j, signer->cert, chain, e);
        return NULL;
    }
    bool revoked = false;
    if (handler->revocation) {
        TRY(handler->revocation(handler->arg, signer->cert, intermediates, at, &j->revocation));
        revoked = j->revocation == MAIL_REVOCATION_REVOKED;
    } else if (handler->revoked) TRY(handler->revoked(handler->arg, signer->cert, at, &revoked));
    j->trust = MAIL_TRUST_GOOD;
    if (revoked) {
        j->revocation = MAIL_REVOCATION_REVOKED;
        j->trust = MAIL_TRUST_REVOKED;
        (void)snprintf(j->reason, sizeof j->reason, "the certificate was revoked");
    }
    return NULL;
}

err_t *mail_judge(mail_signature_t *signature, const mail_verdict_t *verdict,
                  const mail_reader_options_t *options, const mail_reader_handler_t *handler) {
    cert_list_t all CLEANUP(cert_list_done) = {0};
    for (size_t i = 0; i < signature->signers.certs.n; i++)
        TRY(cert_list_add(&all, signature->signers.certs.certs[i]));
    for (size_t i = 0; options->intermediates && i < options->intermediates->n; i++)
        TRY(cert_list_add(&all, options->intermediates->certs[i]));
    for (size_t i = 0; i < signature->signers.n; i++) {
        const cms_signer_info_t *signer = &signature->signers.at[i];
        mail_signer_judgement_t *j = &signature->judged[i];
        j->trust = MAIL_TRUST_UNKNOWN;
        if (!signer->cert) continue;
        if (is_the_one(&verdict->from, signer->cert)) j->match = MAIL_MATCH_FROM;
        else if (is_the_one(&verdict->sender, signer->cert)) j->match = MAIL_MATCH_SENDER;
        TRY(judge_one(j, signer, &all, options, handler));
    }
    return NULL;
}
