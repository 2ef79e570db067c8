/*
 * What a sender asks for: a tag in the subject ("[encrypt] Results") or a field (X-Coffer-Encrypt:
 * require). Both are taken out before the message leaves. Pure.
 */
#include "base/limits.h"
#include "base/text.h"
#include "mail/gate_internal.h"

enum { WORD = 42 }; /* bytes of UTF-8 in one encoded word: base64 of them fits 75 characters */

static size_t find_fold(bytes_t text, bytes_t needle) {
    if (!needle.n) return text.n;
    for (size_t at = 0; at + needle.n <= text.n; at++)
        if (text_eq_fold(bytes_make(text.p + at, needle.n), needle)) return at;
    return text.n;
}

/* Takes the tag out, and one space with it. */
static bool cut(buf_t *text, const char *tag) {
    bytes_t needle = bytes_str(tag);
    size_t at = find_fold(buf_bytes(text), needle), n = needle.n;
    if (!needle.n || at == text->n) return false;
    if (at + n < text->n && text->p[at + n] == ' ') n++;
    else if (at && text->p[at - 1] == ' ') at--, n++;
    memmove(text->p + at, text->p + at + n, text->n - at - n);
    text->n -= n;
    return true;
}

static bool is_ascii(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 0x80 || text.p[i] < ' ') return false;
    return true;
}

/* RFC 2047 section 2: words of base64, each of whole characters. */
static err_t *put_words(bytes_t text, buf_t *out) {
    while (text.n) {
        size_t n = text.n < WORD ? text.n : WORD;
        while (n < text.n && n > 1 && (text.p[n] & 0xc0) == 0x80) n--;
        TRY(buf_add_str(out, " =?utf-8?B?"));
        TRY(text_base64(bytes_make(text.p, n), out));
        TRY(buf_add_str(out, "?=\r\n"));
        text = bytes_from(text, n);
    }
    return NULL;
}

/* The field anew. Text that came folded in encoded words is written so again. */
static err_t *put_subject(bytes_t text, bool utf8, buf_t *out) {
    TRY(buf_add_str(out, "Subject:"));
    text = text_trim(text);
    if (!text.n) return buf_add_str(out, "\r\n");
    if (!is_ascii(text) && !utf8) return put_words(text, out);
    TRY(buf_add_str(out, " "));
    TRY(buf_add(out, text));
    return buf_add_str(out, "\r\n");
}

static err_t *read_subject(const gate_job_t *job, gate_tag_t *tag) {
    const gate_options_t *o = job->gate->options;
    const mime_field_t *field = mime_field_find(&job->msg.fields, "Subject", NULL);
    if (!field) return NULL;
    CLEANUP(buf_done) buf_t raw, text;
    buf_init(&raw, LIMIT_MIME_HEADER);
    buf_init(&text, LIMIT_MIME_HEADER * 4);
    TRY(mime_unfold(field->value, &raw));
    TRY(mime_words_decode(buf_bytes(&raw), &text));
    bool encoded = !bytes_eq(buf_bytes(&raw), buf_bytes(&text));
    if (o->tag_encrypt) tag->encrypt = cut(&text, o->tag_encrypt);
    if (o->tag_plain) tag->plain = cut(&text, o->tag_plain);
    if (!tag->encrypt && !tag->plain) return NULL;
    tag->asked = tag->retitle = true;
    return put_subject(buf_bytes(&text), job->env->smtputf8 && !encoded, &tag->subject);
}

static bool is_yes(bytes_t value) {
    value = text_trim(value);
    return text_eq_fold(value, BYTES_LIT("yes")) || text_eq_fold(value, BYTES_LIT("require")) ||
           text_eq_fold(value, BYTES_LIT("true"));
}

err_t *gate_tag_read(const gate_job_t *job, gate_tag_t *ret_tag) {
    gate_tag_t *tag = ret_tag;
    const mime_field_t *ask = mime_field_find(&job->msg.fields, GATE_ASK_ENCRYPT, NULL);
    const mime_field_t *sign = mime_field_find(&job->msg.fields, GATE_ASK_SIGN, NULL);
    *tag = (gate_tag_t){0};
    buf_init(&tag->subject, LIMIT_MIME_HEADER * 8);
    if (ask) {
        tag->asked = true;
        tag->encrypt = is_yes(ask->value);
        tag->plain = !tag->encrypt;
    }
    if (sign) {
        tag->asked = tag->has_sign = true;
        tag->sign = is_yes(sign->value);
    }
    bool encrypt = tag->encrypt, plain = tag->plain;
    err_t *e = read_subject(job, tag);
    tag->encrypt = tag->encrypt || encrypt;
    tag->plain = (tag->plain || plain) && !tag->encrypt;
    if (e) gate_tag_done(tag);
    return e;
}

void gate_tag_done(gate_tag_t *tag) { buf_done(&tag->subject); }
