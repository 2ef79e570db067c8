/*
 * Replies: the message is made here, where the original is, and sent as send.c does (RFC 5322
 * section 3.6.4). An encrypted message is answered encrypted. Its text is quoted only if its sender
 * signed it, and to him alone: who sends on a stranger's ciphertext must not have it read back to
 * him. What a known sender signed is answered to him, whatever a Reply-To says that he did not
 * sign. See mailbox.h.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mime_address.h"
#include "format/mime_header.h"
#include "program/mailbox/mailbox.h"

enum {
    ARENA_MAX = 4 * 1024 * 1024,
    PEOPLE = 200,
    HEAD_MAX = 256 * 1024,
    SUBJECT_MAX = 400,
    WORD_BYTES = 42, /* make 56 characters of base64: a word of at most 75 (RFC 2047 section 2) */
    LINE_BYTES = 57, /* make 76 characters (RFC 2045 section 6.8) */
    REFERENCES_MAX = 4000,
};

typedef struct {
    agent_t *agent;
    arena_t *arena;
    mime_fields_t fields; /* of the original */
    json_t *shown;        /* what show_message says of it */
    bytes_t to[PEOPLE];
    size_t to_n, n;         /* those behind to_n are in Cc */
    bool known;             /* the original is signed by its sender */
    bool closed;            /* it was encrypted */
    bool sure;              /* if so, signed by its sender, to whom alone the reply goes */
    mime_addresses_t aside; /* of a Reply-To that is not signed and was not followed */
    buf_t message;
} reply_t;

static void reply_done(reply_t *r) {
    arena_free(r->arena);
    jso_free(r->shown);
    buf_done(&r->message);
}
DEFINE_CLEANUP_VALUE(reply_t, reply_done)

/* ---- the original ---- */

static bytes_t shown(const reply_t *r, const char *name) {
    bytes_t text = BYTES_LIT("");
    err_ignore(jso_get_string(r->shown, name, LIMIT_BOX_MESSAGE, false, &text));
    return text;
}

static bytes_t header_of(bytes_t message) {
    for (size_t at = 0; at < message.n && at < LIMIT_MIME_HEADER;) {
        size_t line = bytes_find(bytes_from(message, at), '\n');
        if (line == 0 || (line == 1 && message.p[at] == '\r')) return bytes_slice(message, 0, at);
        at += line + 1;
    }
    return bytes_slice(message, 0, LIMIT_MIME_HEADER);
}

static err_t *ignore_row(void *arg, const box_row_t *row) {
    (void)arg, (void)row;
    return NULL;
}

static err_t *load(reply_t *r, int64_t id) {
    CLEANUP(buf_done) buf_t message;
    bytes_t head;
    bool opened = false, is_signed = false;
    buf_init_secret(&message, LIMIT_BOX_MESSAGE);
    TRY(box_db_message(r->agent->db, id, ignore_row, NULL, &message));
    TRY(arena_copy(r->arena, header_of(buf_bytes(&message)), &head));
    TRY(mime_fields_read(r->arena, head, &r->fields));
    TRY(jso_object(&r->shown));
    TRY(show_message(r->agent, buf_bytes(&message), r->shown));
    if (shown(r, "problem").n)
        return err_new(ERR_VERIFY, "%.*s Nothing was sent", (int)shown(r, "problem").n,
                       (const char *)shown(r, "problem").p);
    TRY(jso_get_bool(r->shown, "opened", false, &opened));
    TRY(jso_get_bool(r->shown, "signed", false, &is_signed));
    r->closed = opened;
    r->known = is_signed && bytes_eq_str(shown(r, "status"), "good");
    r->sure = !opened || r->known;
    return NULL;
}

/* ---- whom to ---- */

/* As it can stand in a header: anything else is not answered. */
static bool is_plain(bytes_t address) {
    for (size_t i = 0; i < address.n; i++)
        if (address.p[i] <= ' ' || address.p[i] > 126 || strchr("<>,;:()\"\\", address.p[i]))
            return false;
    return address.n > 0 && bytes_find(address, '@') < address.n;
}

static err_t *add_person(reply_t *r, bytes_t address) {
    for (size_t i = 0; i < r->n; i++)
        if (mime_address_eq(r->to[i], address)) return NULL;
    if (!is_plain(address)) return err_new(ERR_INVALID, "the message has an address that is none");
    if (r->n == PEOPLE) return err_new(ERR_LIMIT, "more than %d recipients", PEOPLE);
    r->to[r->n++] = address;
    return NULL;
}

static err_t *add_list(reply_t *r, const mime_addresses_t *list, bool not_self) {
    for (size_t i = 0; i < list->n; i++) {
        if (not_self && mime_address_eq(list->at[i].address, bytes_str(r->agent->account->address)))
            continue;
        TRY(add_person(r, list->at[i].address));
    }
    return NULL;
}

static err_t *read_people(reply_t *r, const char *field, mime_addresses_t *ret_list) {
    const mime_field_t *f = mime_field_find(&r->fields, field, NULL);
    return f ? mime_addresses_read(r->arena, f->value, ret_list) : NULL;
}

static err_t *add_people(reply_t *r, const char *field, bool not_self) {
    mime_addresses_t list = {0};
    TRY(read_people(r, field, &list));
    return add_list(r, &list, not_self);
}

static bool is_among(const mime_addresses_t *list, bytes_t address) {
    for (size_t i = 0; i < list->n; i++)
        if (mime_address_eq(list->at[i].address, address)) return true;
    return false;
}

static bool has_stranger(const mime_addresses_t *list, const mime_addresses_t *known) {
    for (size_t i = 0; i < list->n; i++)
        if (!is_among(known, list->at[i].address)) return true;
    return false;
}

/* RFC 5322 section 3.6.2: to Reply-To, else to From; of what is signed to what is. */
static err_t *add_sender(reply_t *r, bool follow) {
    mime_addresses_t from = {0}, to = {0};
    bytes_t own = shown(r, "reply_to");
    TRY(read_people(r, "From", &from));
    TRY(read_people(r, "Reply-To", &to));
    bool stranger = r->known && has_stranger(&to, &from);
    if (own.n && !(follow && to.n)) {
        mime_addresses_t list = {0};
        TRY(mime_addresses_read(r->arena, own, &list));
        if (has_stranger(&to, &list)) r->aside = to;
        return add_list(r, &list, false);
    }
    if (stranger && !follow) r->aside = to;
    return add_list(r, to.n && !r->aside.n ? &to : &from, false);
}

static err_t *add_everybody(reply_t *r, bool all, bool follow) {
    TRY(add_sender(r, follow));
    if (!r->n) return err_new(ERR_INVALID, "the message does not say whom it is from");
    r->to_n = r->n;
    if (all) TRY(add_people(r, "To", true));
    return all ? add_people(r, "Cc", true) : NULL;
}

/* Reply-To, To and Cc are not signed: who sends an encrypted message on can put himself there. */
static err_t *look_whom(reply_t *r) {
    const mime_field_t *from = mime_field_find(&r->fields, "From", NULL);
    mime_addresses_t list = {0};
    if (!r->closed) return NULL;
    if (from) TRY(mime_addresses_read(r->arena, from->value, &list));
    if (list.n != 1 || r->n != 1 || !mime_address_eq(list.at[0].address, r->to[0])) r->sure = false;
    return NULL;
}

/* ---- the message ---- */

static err_t *put_people(reply_t *r, const char *name, size_t from, size_t to) {
    if (from == to) return NULL;
    TRY(buf_printf(&r->message, "%s:", name));
    for (size_t i = from; i < to; i++) {
        TRY(buf_add_str(&r->message, i == from ? " <" : ",\r\n <"));
        TRY(buf_add(&r->message, r->to[i]));
        TRY(buf_add_byte(&r->message, '>'));
    }
    return buf_add_str(&r->message, "\r\n");
}

static err_t *put_subject(const reply_t *r, buf_t *out) {
    bytes_t subject = bytes_slice(shown(r, "subject"), 0, SUBJECT_MAX);
    bool begins = subject.n >= 3 && text_eq_fold(bytes_slice(subject, 0, 3), BYTES_LIT("re:"));
    if (!begins) TRY(buf_add_str(out, "Re: "));
    return text_defuse(subject, false, out);
}

/* Always as encoded words (RFC 2047), whole characters in each. */
static err_t *put_encoded(bytes_t text, buf_t *out) {
    while (text.n) {
        CLEANUP(buf_done) buf_t word;
        bytes_t rest = text;
        uint32_t point = 0;
        size_t n = 0;
        buf_init(&word, 128);
        while (text_next(&rest, &point) && text.n - rest.n <= WORD_BYTES) n = text.n - rest.n;
        TRY(text_base64(bytes_slice(text, 0, n), &word));
        TRY(buf_printf(out, " =?UTF-8?B?%.*s?=\r\n", (int)word.n, (const char *)word.p));
        text = bytes_from(text, n);
    }
    return NULL;
}

static err_t *put_date(const reply_t *r) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)clk_unix(r->agent->clk);
    struct tm tm;
    if (!gmtime_r(&now, &tm)) return err_new(ERR_INTERNAL, "the clock");
    return buf_printf((buf_t *)&r->message, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n",
                      days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                      tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* A Message-ID as it may stand in a header again, or nothing. */
static err_t *put_ids(reply_t *r, const char *name, const char *first, const char *second) {
    const mime_field_t *fields[] = {first ? mime_field_find(&r->fields, first, NULL) : NULL,
                                    mime_field_find(&r->fields, second, NULL)};
    CLEANUP(buf_done) buf_t ids;
    buf_init(&ids, LIMIT_MIME_HEADER);
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(buf_done) buf_t flat;
        buf_init(&flat, LIMIT_MIME_HEADER);
        if (!fields[i]) continue;
        TRY(mime_unfold(fields[i]->value, &flat));
        for (bytes_t rest = buf_bytes(&flat), id; text_split(&rest, ' ', &id);) {
            if (id.n < 3 || id.n > 200 || id.p[0] != '<' || id.p[id.n - 1] != '>' ||
                !text_printable(id))
                continue;
            if (ids.n + id.n > REFERENCES_MAX) continue;
            TRY(buf_add_str(&ids, "\r\n "));
            TRY(buf_add(&ids, id));
        }
    }
    if (!ids.n) return NULL;
    TRY(buf_printf(&r->message, "%s:", name));
    TRY(buf_add(&r->message, buf_bytes(&ids)));
    return buf_add_str(&r->message, "\r\n");
}

static err_t *put_head(reply_t *r) {
    CLEANUP(mem_free) char *id = NULL;
    CLEANUP(buf_done) buf_t subject;
    const char *address = r->agent->account->address;
    const char *at = strrchr(address, '@');
    uint8_t random[16];
    buf_init(&subject, SUBJECT_MAX * 4);
    TRY(rnd_fill(r->agent->rnd, random, sizeof random));
    TRY(text_hex_new(BYTES_ARRAY(random), &id));
    TRY(buf_printf(&r->message, "From: <%s>\r\n", address));
    TRY(put_people(r, "To", 0, r->to_n));
    TRY(put_people(r, "Cc", r->to_n, r->n));
    TRY(put_subject(r, &subject));
    TRY(buf_add_str(&r->message, "Subject:"));
    TRY(put_encoded(buf_bytes(&subject), &r->message));
    TRY(put_date(r));
    TRY(buf_printf(&r->message, "Message-ID: <%s@%s>\r\n", id, at ? at + 1 : "localhost"));
    TRY(put_ids(r, "In-Reply-To", NULL, "Message-ID"));
    TRY(put_ids(r, "References", "References", "Message-ID"));
    return buf_add_str(&r->message,
                       "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Transfer-Encoding: base64\r\n\r\n");
}

static err_t *put_quote(const reply_t *r, buf_t *out) {
    bytes_t rest = shown(r, "text"), line;
    if (!r->sure) return NULL;
    TRY(buf_add_str(out, "\n"));
    while (text_split(&rest, '\n', &line)) {
        TRY(buf_add_str(out, line.n && line.p[0] == '>' ? ">" : "> "));
        TRY(buf_add(out, line));
        TRY(buf_add_byte(out, '\n'));
    }
    return NULL;
}

static err_t *put_text(reply_t *r, bytes_t text, bool quote) {
    CLEANUP(buf_done) buf_t whole, crlf;
    buf_init_secret(&whole, LIMIT_BOX_COMMAND / 2);
    buf_init_secret(&crlf, LIMIT_BOX_COMMAND / 2);
    TRY(buf_add(&whole, text));
    if (quote) TRY(put_quote(r, &whole));
    for (bytes_t rest = buf_bytes(&whole), line; text_split(&rest, '\n', &line);) {
        TRY(buf_add(&crlf, line));
        if (line.n || rest.p) TRY(buf_add_str(&crlf, "\r\n"));
    }
    for (size_t at = 0; at < crlf.n; at += LINE_BYTES) {
        TRY(text_base64(bytes_slice(buf_bytes(&crlf), at, LINE_BYTES), &r->message));
        TRY(buf_add_str(&r->message, "\r\n"));
    }
    return NULL;
}

/* ---- answers ---- */

static err_t *put_aside(const reply_t *r, json_t *out) {
    CLEANUP(buf_done) buf_t text, clean;
    buf_init(&text, LIMIT_MIME_HEADER);
    buf_init(&clean, (size_t)LIMIT_MIME_HEADER * 4);
    if (!r->aside.n) return NULL;
    for (size_t i = 0; i < r->aside.n; i++) {
        if (i) TRY(buf_add_str(&text, ", "));
        TRY(buf_add(&text, r->aside.at[i].address));
    }
    TRY(text_defuse(buf_bytes(&text), false, &clean));
    return jso_set_string(out, "reply_to", buf_bytes(&clean));
}

static err_t *put_draft(box_db_t *db, int64_t id, json_t *out) {
    CLEANUP(buf_done) buf_t draft;
    buf_init_secret(&draft, LIMIT_BOX_DRAFT);
    TRY(box_db_draft(db, id, &draft));
    return draft.n ? jso_set_string(out, "draft", buf_bytes(&draft)) : NULL;
}

static err_t *check(const reply_t *r, int64_t id, bytes_t certificates, json_t *out) {
    mail_recipients_t locks CLEANUP(mail_recipients_done) = {0};
    CLEANUP(buf_done) buf_t subject;
    json_t *list = NULL;
    buf_init(&subject, SUBJECT_MAX * 4);
    TRY(put_subject(r, &subject));
    TRY(put_draft(r->agent->db, id, out));
    TRY(put_aside(r, out));
    TRY(locks_find(r->agent, r->to, r->n, certificates, &locks));
    TRY(jso_set_string(out, "subject", buf_bytes(&subject)));
    TRY(jso_set_bool(out, "closed", r->closed));
    TRY(jso_set_bool(out, "all", locks.all));
    TRY(jso_set_array(out, "recipients", &list));
    return locks_put(&locks, list);
}

typedef struct {
    int64_t id;
    bool all, reply_to, quote, plain, check;
} ask_t;

static err_t *get_ask(const json_t *ask, ask_t *ret_ask) {
    ask_t a = {0};
    TRY(jso_get_int(ask, "id", 1, INT64_MAX, true, &a.id));
    TRY(jso_get_bool(ask, "all", false, &a.all));
    TRY(jso_get_bool(ask, "reply-to", false, &a.reply_to));
    TRY(jso_get_bool(ask, "quote", false, &a.quote));
    TRY(jso_get_bool(ask, "plain", false, &a.plain));
    TRY(jso_get_bool(ask, "check", false, &a.check));
    *ret_ask = a;
    return NULL;
}

static err_t *write_and_send(reply_t *r, const json_t *ask, const ask_t *a, bytes_t certificates,
                             json_t *out) {
    send_how_t how = {.certificates = certificates};
    bytes_t text;
    TRY(jso_get_string(ask, "text", LIMIT_BOX_COMMAND, true, &text));
    TRY(jso_get_bool(ask, "sign", false, &how.sign));
    how.lock = a->plain ? SEND_OPEN : r->closed || certificates.n ? SEND_LOCKED : SEND_IF_ALL;
    TRY(put_head(r));
    TRY(put_text(r, text, a->quote && !(a->plain && r->closed)));
    TRY(send_given(r->agent, buf_bytes(&r->message), &how, out));
    err_ignore(box_db_set_draft(r->agent->db, a->id, BYTES_NONE)); /* it is sent */
    return put_aside(r, out);
}

err_t *reply_message(agent_t *agent, const json_t *ask, json_t *out) {
    reply_t r CLEANUP(reply_done) = {.agent = agent};
    ask_t a;
    bytes_t certificates = BYTES_NONE;
    buf_init_secret(&r.message, LIMIT_BOX_COMMAND);
    TRY(arena_new(ARENA_MAX, &r.arena));
    TRY(get_ask(ask, &a));
    TRY(jso_get_string(ask, "certificates", LIMIT_BOX_COMMAND, false, &certificates));
    TRY(load(&r, a.id));
    TRY(add_everybody(&r, a.all, a.reply_to));
    TRY(look_whom(&r));
    return a.check ? check(&r, a.id, certificates, out)
                   : write_and_send(&r, ask, &a, certificates, out);
}

err_t *reply_draft(agent_t *agent, const json_t *ask, json_t *out) {
    int64_t id = 0;
    bytes_t text = BYTES_NONE;
    TRY(jso_get_int(ask, "id", 1, INT64_MAX, true, &id));
    TRY(jso_get_string(ask, "text", LIMIT_BOX_DRAFT, false, &text));
    return text.p ? box_db_set_draft(agent->db, id, text) : put_draft(agent->db, id, out);
}
