/*
 * Verdicts: see verdict.h.
 */
#include "mail/verdict.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mime.h"

const char *mail_problem_name(mail_problem_t problem) {
    switch (problem) {
    case MAIL_SEVERAL_FROM: return "several-from";
    case MAIL_NO_FROM: return "no-from";
    case MAIL_NO_INTEGRITY: return "no-integrity";
    case MAIL_WEAK_CIPHER: return "weak-cipher";
    case MAIL_NESTED_ENVELOPE: return "nested-envelope";
    case MAIL_PARTIAL_SIGNATURE: return "partial-signature";
    case MAIL_ECONTENT_DIFFERS: return "econtent-differs";
    case MAIL_NO_SIGNER: return "no-signer";
    case MAIL_SEVERAL_SIGNERS: return "several-signers";
    case MAIL_CMS_BROKEN: return "cms-broken";
    case MAIL_BARE_LF: return "bare-lf";
    case MAIL_8BIT_SIGNED: return "8bit-signed";
    case MAIL_LONG_LINES: return "long-lines";
    case MAIL_NUL: return "nul";
    case MAIL_BAD_ENCODING: return "bad-encoding";
    case MAIL_MIME_ODD: return "mime-odd";
    case MAIL_HEADER_DIFFERS: return "header-differs";
    case MAIL_DATE_DIFFERS: return "date-differs";
    case MAIL_FROM_DIFFERS: return "from-differs";
    case MAIL_SIGNED_CIPHERTEXT: return "signed-ciphertext";
    case MAIL_PROBLEMS: break;
    }
    return "unknown";
}

const char *mail_status_name(mail_status_t status) {
    switch (status) {
    case MAIL_PLAIN: return "plain";
    case MAIL_GOOD: return "good";
    case MAIL_UNTRUSTED: return "untrusted";
    case MAIL_PARTLY: return "partly-signed";
    case MAIL_BROKEN: return "broken";
    }
    return "unknown";
}

static const char *trust_name(mail_trust_t trust) {
    switch (trust) {
    case MAIL_TRUST_GOOD: return "good";
    case MAIL_TRUST_UNKNOWN: return "unknown";
    case MAIL_TRUST_EXPIRED: return "expired";
    case MAIL_TRUST_REVOKED: return "revoked";
    case MAIL_TRUST_USAGE: return "not-for-mail";
    }
    return "unknown";
}

static const char *match_name(mail_match_t match) {
    switch (match) {
    case MAIL_MATCH_NONE: return "none";
    case MAIL_MATCH_FROM: return "from";
    case MAIL_MATCH_SENDER: return "sender";
    }
    return "none";
}

/* The best that one signature gives: every signer must hold, one of them be the sender. */
static mail_status_t of_signature(const mail_signature_t *s) {
    bool from = false;
    if (!s->signers.n || s->econtent_differs) return MAIL_BROKEN;
    for (size_t i = 0; i < s->signers.n; i++) {
        cms_signature_t state = s->signers.at[i].state;
        if (state == CMS_SIGNATURE_ALTERED || state == CMS_SIGNATURE_BAD) return MAIL_BROKEN;
    }
    for (size_t i = 0; i < s->signers.n; i++) {
        const mail_signer_judgement_t *j = &s->judged[i];
        if (s->signers.at[i].state == CMS_SIGNATURE_GOOD && j->trust == MAIL_TRUST_GOOD &&
            j->match == MAIL_MATCH_FROM)
            from = true;
    }
    return from ? MAIL_GOOD : MAIL_UNTRUSTED;
}

/* Layers' paths: what is inside begins with the outer one's and a slash. */
static bool lies_inside(const char *inner, const char *outer) {
    size_t n = strlen(outer);
    return strncmp(inner, outer, n) == 0 && inner[n] == '/';
}

bool mail_signs_ciphertext(const mail_verdict_t *v, const mail_signature_t *s) {
    for (size_t i = 0; i < v->envelopes_n; i++)
        if (lies_inside(v->envelopes[i].path, s->path)) return true;
    return false;
}

static bool has_good_inside(const mail_verdict_t *v, const mail_envelope_t *envelope) {
    for (size_t i = 0; i < v->signatures_n; i++) {
        const mail_signature_t *s = &v->signatures[i];
        if (s->root && lies_inside(s->path, envelope->path) && !mail_signs_ciphertext(v, s) &&
            of_signature(s) == MAIL_GOOD)
            return true;
    }
    return false;
}

bool mail_is_whole(const mail_verdict_t *v) {
    for (size_t i = 0; i < v->envelopes_n; i++) {
        if (v->envelopes[i].envelope.integrity == CMS_INTEGRITY_AEAD) continue;
        if (mail_status(v) != MAIL_GOOD || !has_good_inside(v, &v->envelopes[i])) return false;
    }
    return true;
}

mail_status_t mail_status(const mail_verdict_t *v) {
    bool root = false, partly = false, good = false;
    if (v->problems[MAIL_CMS_BROKEN]) return MAIL_BROKEN;
    for (size_t i = 0; i < v->signatures_n; i++) {
        mail_status_t s = of_signature(&v->signatures[i]);
        if (s == MAIL_BROKEN) return MAIL_BROKEN;
        if (v->signatures[i].root && !mail_signs_ciphertext(v, &v->signatures[i])) {
            root = true;
            if (s == MAIL_GOOD) good = true;
        } else {
            partly = true;
        }
    }
    if (v->problems[MAIL_FROM_DIFFERS] || v->problems[MAIL_DATE_DIFFERS]) good = false;
    if (root) return good ? MAIL_GOOD : MAIL_UNTRUSTED;
    if (partly) return MAIL_PARTLY;
    return v->envelopes_n ? MAIL_GOOD : MAIL_PLAIN;
}

bool mail_part_is_tnef(const mail_part_t *part) {
    return bytes_eq_str(part->type, "application/ms-tnef") ||
           bytes_eq_str(part->type, "application/vnd.ms-tnef") ||
           text_eq_fold(part->name, BYTES_LIT("winmail.dat"));
}

bytes_t mail_verdict_subject(const mail_verdict_t *v) {
    for (size_t i = 0; i < v->headers_n; i++)
        if (v->headers[i].protected && text_eq_fold(v->headers[i].name, BYTES_LIT("subject")))
            return v->headers[i].value;
    return v->subject;
}

void mail_verdict_done(mail_verdict_t *v) {
    for (size_t i = 0; i < v->signatures_n; i++) cms_signers_done(&v->signatures[i].signers);
    mem_free(v->parts);
    arena_free(v->arena);
    *v = (mail_verdict_t){0};
}

/* ---- JSON ---- */

/* Text of a stranger: bytes that are no UTF-8 are left out rather than refused. */
static err_t *set_text(json_t *object, const char *key, bytes_t text) {
    CLEANUP(buf_done) buf_t clean;
    buf_init(&clean, text.n * 3 + 16);
    TRY(mime_charset_decode(BYTES_LIT("utf-8"), text, &clean));
    bytes_t good = buf_bytes(&clean);
    good.n = bytes_find(good, 0);
    return jso_set_string(object, key, good);
}

static err_t *addresses_json(json_t *object, const char *key, const mime_addresses_t *list) {
    json_t *array;
    TRY(jso_set_array(object, key, &array));
    for (size_t i = 0; i < list->n; i++) {
        json_t *one;
        TRY(jso_add_object(array, &one));
        TRY(set_text(one, "address", list->at[i].address));
        TRY(set_text(one, "display", list->at[i].display));
    }
    return NULL;
}

static err_t *signer_json(json_t *array, const cms_signer_info_t *s,
                          const mail_signer_judgement_t *j) {
    json_t *one, *mails;
    const char *mail;
    TRY(jso_add_object(array, &one));
    TRY(jso_set_str(one, "state", cms_signature_name(s->state)));
    TRY(jso_set_str(one, "algorithm", s->algorithm));
    TRY(jso_set_str(one, "match", match_name(j->match)));
    TRY(jso_set_str(one, "trust", trust_name(j->trust)));
    TRY(jso_set_str(one, "revocation", mail_revocation_name(j->revocation)));
    if (j->reason[0]) TRY(set_text(one, "reason", bytes_str(j->reason)));
    if (s->has_time) TRY(jso_set_time(one, "signing_time", s->time));
    if (!s->cert) return NULL;
    TRY(set_text(one, "subject", bytes_str(cert_subject(s->cert))));
    TRY(set_text(one, "issuer", bytes_str(cert_issuer(s->cert))));
    TRY(jso_set_str(one, "serial", cert_serial_hex(s->cert)));
    TRY(jso_set_str(one, "sha256", cert_sha256_hex(s->cert)));
    TRY(jso_set_array(one, "addresses", &mails));
    for (size_t i = 0; (mail = cert_san_get(s->cert, SAN_EMAIL, i)); i++)
        TRY(jso_add_string(mails, bytes_str(mail)));
    return NULL;
}

static err_t *signatures_json(json_t *object, const mail_verdict_t *v) {
    json_t *array, *one, *signers;
    TRY(jso_set_array(object, "signatures", &array));
    for (size_t i = 0; i < v->signatures_n; i++) {
        const mail_signature_t *s = &v->signatures[i];
        TRY(jso_add_object(array, &one));
        TRY(jso_set_str(one, "covers", s->path));
        TRY(jso_set_bool(one, "whole_message", s->root && !mail_signs_ciphertext(v, s)));
        TRY(jso_set_str(one, "form", s->clear ? "clear" : "opaque"));
        TRY(jso_set_array(one, "signers", &signers));
        for (size_t k = 0; k < s->signers.n; k++)
            TRY(signer_json(signers, &s->signers.at[k], &s->judged[k]));
    }
    return NULL;
}

static err_t *envelopes_json(json_t *object, const mail_verdict_t *v) {
    json_t *array, *one;
    TRY(jso_set_array(object, "envelopes", &array));
    for (size_t i = 0; i < v->envelopes_n; i++) {
        const cms_envelope_t *e = &v->envelopes[i].envelope;
        TRY(jso_add_object(array, &one));
        TRY(jso_set_str(one, "path", v->envelopes[i].path));
        TRY(jso_set_str(one, "cipher", e->cipher));
        TRY(jso_set_bool(one, "integrity_protected", e->integrity == CMS_INTEGRITY_AEAD));
    }
    return NULL;
}

static err_t *odd_json(json_t *object, unsigned odd) {
    static const char *const names[] = {
        "no-boundary", "unclosed",          "bare-lf",        "nul", "8bit", "long-line",
        "header",      "encoded-composite", "duplicate-field"};
    json_t *array;
    if (!odd) return NULL;
    TRY(jso_set_array(object, "odd", &array));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (odd & 1u << i) TRY(jso_add_string(array, bytes_str(names[i])));
    return NULL;
}

static err_t *parts_json(json_t *object, const mail_verdict_t *v) {
    json_t *array, *one;
    TRY(jso_set_array(object, "parts", &array));
    for (size_t i = 0; i < v->parts_n; i++) {
        const mail_part_t *p = &v->parts[i];
        TRY(jso_add_object(array, &one));
        TRY(jso_set_str(one, "path", p->path));
        TRY(set_text(one, "type", p->type));
        if (p->name.n) TRY(set_text(one, "name", p->name));
        if (p->disposition.n) TRY(set_text(one, "disposition", p->disposition));
        TRY(jso_set_bool(one, "encrypted", p->encrypted));
        if (p->signature >= 0) TRY(jso_set_int(one, "signature", p->signature));
        else TRY(jso_set_null(one, "signature"));
        if (p->leaf) {
            CLEANUP(buf_done) buf_t hex;
            const char *text;
            buf_init(&hex, 80);
            TRY(text_hex(BYTES_ARRAY(p->sha256), &hex));
            TRY(buf_cstr(&hex, &text));
            TRY(jso_set_int(one, "size", (int64_t)p->size));
            TRY(jso_set_str(one, "sha256", text));
        }
        TRY(odd_json(one, p->odd));
    }
    return NULL;
}

/* Whether a signature over all of it holds, whoever's. */
static bool signed_whole(const mail_verdict_t *v) {
    for (size_t i = 0; i < v->signatures_n; i++)
        if (v->signatures[i].root && !mail_signs_ciphertext(v, &v->signatures[i]) &&
            of_signature(&v->signatures[i]) != MAIL_BROKEN)
            return true;
    return false;
}

static const char *protection_name(const mail_verdict_t *v, const mail_header_t *h) {
    bool is_signed = h->protected && signed_whole(v);
    bool hidden = h->hidden && v->envelopes_n;
    if (is_signed && hidden) return "signed-and-encrypted";
    if (is_signed) return "signed";
    return hidden ? "encrypted" : "unprotected";
}

static err_t *headers_json(json_t *object, const mail_verdict_t *v) {
    json_t *header, *fields, *one;
    TRY(jso_set_object(object, "header", &header));
    TRY(jso_set_str(header, "protection",
                    v->protection == MAIL_PROTECTION_CLEAR    ? "clear"
                    : v->protection == MAIL_PROTECTION_CIPHER ? "cipher"
                                                              : "none"));
    if (v->protection == MAIL_PROTECTION_NONE) return NULL;
    TRY(jso_set_array(header, "fields", &fields));
    for (size_t i = 0; i < v->headers_n; i++) {
        const mail_header_t *h = &v->headers[i];
        TRY(jso_add_object(fields, &one));
        TRY(set_text(one, "name", h->name));
        if (h->protected) TRY(set_text(one, "value", h->value));
        if (h->has_outer) TRY(set_text(one, "outer", h->outer));
        TRY(jso_set_str(one, "protection", protection_name(v, h)));
        TRY(jso_set_bool(one, "differs", h->differs));
    }
    return NULL;
}

err_t *mail_verdict_json(const mail_verdict_t *v, json_t **ret_json) {
    json_t *object CLEANUP(jso_free) = NULL, *problems;
    TRY(jso_object(&object));
    TRY(jso_set_str(object, "status", mail_status_name(mail_status(v))));
    TRY(jso_set_bool(object, "encrypted", v->envelopes_n > 0));
    TRY(addresses_json(object, "from", &v->from));
    if (v->sender.n) TRY(addresses_json(object, "sender", &v->sender));
    TRY(set_text(object, "subject", v->subject));
    if (v->has_date) TRY(jso_set_time(object, "date", v->date));
    TRY(headers_json(object, v));
    TRY(envelopes_json(object, v));
    TRY(signatures_json(object, v));
    TRY(jso_set_array(object, "problems", &problems));
    for (unsigned i = 0; i < MAIL_PROBLEMS; i++)
        if (v->problems[i])
            TRY(jso_add_string(problems, bytes_str(mail_problem_name((mail_problem_t)i))));
    TRY(parts_json(object, v));
    *ret_json = STEAL(object);
    return NULL;
}
