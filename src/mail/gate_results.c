/*
 * Authentication-Results for S/MIME: RFC 8601, method smime of RFC 7281 section 3.2. Pure.
 */
#include "mail/gate_internal.h"

/* A pvalue: as it is if nothing in it means anything, else a quoted string. */
static err_t *put_value(bytes_t value, buf_t *out) {
    bool plain = value.n > 0;
    for (size_t i = 0; i < value.n && plain; i++) {
        uint8_t c = value.p[i];
        plain = c > ' ' && c != 0x7f && c < 0x80 && !memchr("()<>[];:\\,\"?=", c, 14);
    }
    if (plain) return buf_add(out, value);
    TRY(buf_add_byte(out, '"'));
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        if (c < ' ' || c == 0x7f) continue;
        if (c == '"' || c == '\\') TRY(buf_add_byte(out, '\\'));
        TRY(buf_add_byte(out, c));
    }
    return buf_add_byte(out, '"');
}

typedef struct {
    const char *result, *comment;
} result_t;

static result_t of_signer(const mail_verdict_t *v, const mail_signature_t *s, size_t i) {
    const mail_signer_judgement_t *j = &s->judged[i];
    switch (s->signers.at[i].state) {
    case CMS_SIGNATURE_ALTERED: return (result_t){"fail", "content was altered"};
    case CMS_SIGNATURE_BAD: return (result_t){"fail", "signature doesn't hold"};
    case CMS_SIGNATURE_NO_CERT: return (result_t){"neutral", "signer's certificate is missing"};
    case CMS_SIGNATURE_UNKNOWN: return (result_t){"neutral", "algorithm isn't known"};
    case CMS_SIGNATURE_WEAK: return (result_t){"policy", "algorithm or key is too weak"};
    case CMS_SIGNATURE_GOOD: break;
    }
    if (s->econtent_differs) return (result_t){"fail", "signature carries other content"};
    switch (j->trust) {
    case MAIL_TRUST_UNKNOWN: return (result_t){"policy", "signer's issuer isn't trusted"};
    case MAIL_TRUST_EXPIRED: return (result_t){"policy", "certificate isn't valid at arrival"};
    case MAIL_TRUST_REVOKED: return (result_t){"policy", "certificate was revoked"};
    case MAIL_TRUST_USAGE: return (result_t){"policy", "certificate isn't for mail"};
    case MAIL_TRUST_GOOD: break;
    }
    if (!s->root) return (result_t){"policy", "covers only a part"};
    if (mail_signs_ciphertext(v, s)) return (result_t){"policy", "covers only ciphertext"};
    switch (j->match) {
    case MAIL_MATCH_NONE: return (result_t){"policy", "certificate isn't for the From address"};
    case MAIL_MATCH_SENDER: return (result_t){"policy", "certificate is for Sender, not From"};
    case MAIL_MATCH_FROM: break;
    }
    return (result_t){"pass", NULL};
}

static err_t *put_signer(const mail_verdict_t *v, const mail_signature_t *s, size_t i, buf_t *out) {
    result_t r = of_signer(v, s, i);
    const cert_t *cert = s->signers.at[i].cert;
    TRY(buf_printf(out, ";\r\n\tsmime=%s", r.result));
    if (r.comment) TRY(buf_printf(out, " (%s)", r.comment));
    TRY(buf_add_str(out, "\r\n\tbody.smime-part="));
    TRY(put_value(bytes_str(s->path), out));
    if (!cert) return NULL;
    const char *email = cert_san_get(cert, SAN_EMAIL, 0);
    if (email) {
        TRY(buf_add_str(out, "\r\n\tbody.smime-identifier="));
        TRY(put_value(bytes_str(email), out));
    }
    TRY(buf_printf(out,
                   "\r\n\tbody.smime-serial=%s\r\n\tbody.smime-issuer=", cert_serial_hex(cert)));
    return put_value(bytes_str(cert_issuer(cert)), out);
}

err_t *gate_results_write(const char *authserv_id, const mail_verdict_t *verdict, buf_t *out) {
    bool any = false;
    TRY(buf_add_str(out, "Authentication-Results: "));
    TRY(put_value(bytes_str(authserv_id), out));
    for (size_t i = 0; i < verdict->signatures_n; i++) {
        const mail_signature_t *s = &verdict->signatures[i];
        for (size_t k = 0; k < s->signers.n; k++, any = true) TRY(put_signer(verdict, s, k, out));
        if (s->signers.n) continue;
        TRY(buf_printf(out, ";\r\n\tsmime=neutral (%s)\r\n\tbody.smime-part=",
                       "nobody signed, or it can't be read"));
        TRY(put_value(bytes_str(s->path), out));
        any = true;
    }
    if (!any) TRY(buf_add_str(out, ";\r\n\tsmime=none"));
    return buf_add_str(out, "\r\n");
}
