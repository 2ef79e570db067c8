/*
 * coffer-mailbox tui: writing a reply. Above the text stands for each recipient whether it could be
 * read encrypted; what that means for sending is said before it is sent. What is written is kept in
 * the mailbox every other second: when that is locked nothing stays here, and little is lost. See
 * tui.h.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "program/mailbox/tui.h"

enum { SHOWN = 6, LIST_ROWS = 4 /* head, subject, note, keys */ };

#define SHOW(text) (int)(text).n, (const char *)(text).p

typedef struct {
    tui_t *tui;
    int64_t id;
    bool all, reply_to, quote, sign, plain;
    json_t *check; /* the agent's view of whom it goes to */
    buf_t text;
    size_t listed;   /* recipients are shown from this one on, in place of the text; 0: not */
    int64_t kept_ms; /* when the text was kept last */
    bool changed;    /* since then */
    bool kept;       /* something is */
    bool done;
} compose_t;

static err_t *make_request(const compose_t *c, bool check, json_t **ret_request) {
    CLEANUP(jso_free) json_t *request = NULL;
    TRY(jso_object(&request));
    TRY(jso_set_int(request, "id", c->id));
    TRY(jso_set_bool(request, "all", c->all));
    TRY(jso_set_bool(request, "check", check));
    TRY(jso_set_bool(request, "reply-to", c->reply_to));
    TRY(jso_set_bool(request, "quote", c->quote));
    TRY(jso_set_bool(request, "sign", c->sign));
    TRY(jso_set_bool(request, "plain", c->plain));
    if (!check) TRY(jso_set_string(request, "text", buf_bytes(&c->text)));
    *ret_request = STEAL(request);
    return NULL;
}

static bool everybody(const compose_t *c) { return mailbox_flag(c->check, "all"); }
static bool closed(const compose_t *c) { return mailbox_flag(c->check, "closed"); }

static const char *outcome(const compose_t *c) {
    if (c->plain)
        return closed(c) ? "Will be sent OPEN, without a quote, to an encrypted message"
                         : "Will be sent open";
    if (everybody(c)) return "Will be encrypted for everybody";
    return closed(c) ? "Will NOT be sent: not everybody could read it (^P: send open)"
                     : "Will be sent open: not everybody could read it encrypted";
}

static json_t *recipients(const compose_t *c) {
    json_t *list = NULL;
    err_ignore(jso_get_array(c->check, "recipients", LIMIT_BOX_ROWS * 2, true, &list));
    return list;
}

static err_t *draw_recipient(const compose_t *c, size_t at) {
    const json_t *r = json_array_get(recipients(c), at);
    bool ready = bytes_eq_str(mailbox_get(r, "lock"), "ready");
    return term_printf(&c->tui->term, ROW_PLAIN, "To: [%s] %.*s  %.*s", ready ? "locked" : "OPEN",
                       SHOW(mailbox_get(r, "address")), SHOW(mailbox_get(r, "reason")));
}

static err_t *draw_recipients(const compose_t *c) {
    size_t n = json_array_size(recipients(c));
    term_t *term = &c->tui->term;
    for (size_t i = 0; i < n && i < SHOWN; i++) TRY(draw_recipient(c, i));
    if (n > SHOWN) TRY(term_printf(term, ROW_BOLD, "    and %zu more (^L shows them)", n - SHOWN));
    if (mailbox_get(c->check, "reply_to").n)
        TRY(term_printf(term, ROW_BOLD, "Reply-To, not signed: %.*s (^R answers there)",
                        SHOW(mailbox_get(c->check, "reply_to"))));
    return NULL;
}

/* All of them, as many as have room; ^L goes on to the next, and behind the last to the text. */
static err_t *draw_list(const compose_t *c) {
    size_t n = json_array_size(recipients(c));
    term_t *term = &c->tui->term;
    for (size_t i = c->listed; i < n && term_left(term, LIST_ROWS - 1); i++)
        TRY(draw_recipient(c, i));
    return NULL;
}

static void list_on(compose_t *c) {
    size_t room = c->tui->term.rows > LIST_ROWS ? c->tui->term.rows - LIST_ROWS : 1;
    c->listed += c->listed ? room : SHOWN;
    if (c->listed >= json_array_size(recipients(c))) c->listed = 0;
}

/* The end of the text, where writing goes on. */
static err_t *draw_text(const compose_t *c) {
    term_t *term = &c->tui->term;
    CLEANUP(buf_done) buf_t shown;
    size_t n = 0, room = term_left(term, 3);
    bytes_t row;
    buf_init_secret(&shown, LIMIT_BOX_DRAFT + 1);
    TRY(buf_add(&shown, buf_bytes(&c->text)));
    TRY(buf_add_byte(&shown, '_'));
    for (bytes_t rest = buf_bytes(&shown); tui_wrap(&rest, term->cols, &row);) n++;
    for (bytes_t rest = buf_bytes(&shown); tui_wrap(&rest, term->cols, &row); n--)
        if (n <= room) TRY(term_row(term, ROW_PLAIN, row));
    return NULL;
}

static err_t *draw(const compose_t *c) {
    term_t *term = &c->tui->term;
    term_begin(term);
    TRY(tui_head(c->tui));
    TRY(c->listed ? draw_list(c) : draw_recipients(c));
    if (!c->listed) {
        TRY(term_printf(term, ROW_PLAIN, "Subject: %.*s", SHOW(mailbox_get(c->check, "subject"))));
        TRY(term_row(term, ROW_PLAIN, BYTES_LIT("")));
        TRY(draw_text(c));
    }
    while (term_left(term, 3)) TRY(term_row(term, ROW_PLAIN, BYTES_LIT("")));
    TRY(term_row(term, ROW_BOLD, bytes_str(c->tui->note)));
    TRY(term_row(term, ROW_BOLD, bytes_str(outcome(c))));
    TRY(term_printf(term, ROW_PLAIN, "^S send  ^G sign: %s  ^T quote: %s  ^P open: %s  Esc give up",
                    c->sign ? "yes" : "no", c->quote ? "yes" : "no", c->plain ? "yes" : "no"));
    return term_show(term);
}

static void send_it(compose_t *c) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    err_t *e = make_request(c, false, &request);
    if (!e) e = mailbox_ask(c->tui->cli, request, "reply", &reply);
    if (e) {
        tui_note(c->tui, e);
        return;
    }
    (void)snprintf(c->tui->note, sizeof c->tui->note, "sent to %lld, %s",
                   (long long)mailbox_number(reply, "recipients"),
                   mailbox_flag(reply, "encrypted") ? "encrypted" : "not encrypted");
    c->changed = false; /* the agent keeps it no longer */
    c->done = true;
}

/* ---- what is begun ---- */

static err_t *keep(compose_t *c, bytes_t text) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    TRY(jso_object(&request));
    TRY(jso_set_int(request, "id", c->id));
    TRY(jso_set_string(request, "text", text));
    TRY(mailbox_ask(c->tui->cli, request, "draft", &reply));
    c->changed = false;
    c->kept = text.n > 0;
    return NULL;
}

/* What can't be kept now is tried again; the state says why. */
static void keep_on(compose_t *c) {
    int64_t now = clk_mono_ms(c->tui->cli->clk);
    if (!c->changed || (!c->done && now - c->kept_ms < TUI_LOOK_MS)) return;
    c->kept_ms = now;
    err_ignore(keep(c, buf_bytes(&c->text)));
}

/* Nothing of it stays here; the person learns what became of it. */
static void leave_locked(compose_t *c) {
    const char *what = !c->text.n ? "Locked."
                       : !c->kept ? "Locked: what you were writing was thrown away."
                       : c->changed
                           ? "Locked: your reply is kept but for its last words. Answer again "
                             "to go on."
                           : "Locked: your reply is kept. Answer again to go on.";
    (void)snprintf(c->tui->note, sizeof c->tui->note, "%s", what);
    c->done = true;
}

static err_t *load_check(compose_t *c) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    TRY(make_request(c, true, &request));
    TRY(mailbox_ask(c->tui->cli, request, "reply", &reply));
    jso_free(c->check);
    c->check = STEAL(reply);
    c->listed = 0;
    return NULL;
}

static err_t *take_up(compose_t *c) {
    bytes_t draft = mailbox_get(c->check, "draft");
    c->kept = draft.n > 0;
    if (draft.n)
        (void)snprintf(c->tui->note, sizeof c->tui->note, "This is what you began to write.");
    return buf_add(&c->text, draft);
}

/* ---- keys ---- */

static err_t *write_key(compose_t *c, const tui_key_t *key) {
    if (key->kind == KEY_ENTER || key->kind == KEY_POINT || key->kind == KEY_BACK)
        c->changed = true;
    if (key->kind == KEY_ENTER && c->text.n + 1 < c->text.max) return buf_add_byte(&c->text, '\n');
    if (key->kind == KEY_POINT && c->text.n + 4 < c->text.max)
        return tui_put_point(key->point, &c->text);
    if (key->kind == KEY_BACK)
        while (c->text.n && (c->text.p[--c->text.n] & 0xC0) == 0x80) {}
    return NULL;
}

static err_t *act(compose_t *c, const tui_key_t *key) {
    uint32_t control = key->kind == KEY_CONTROL ? key->point : 0;
    if (key->kind == KEY_OVER) c->tui->over = true;
    if (key->kind == KEY_ESCAPE || key->kind == KEY_OVER) c->done = true;
    if (key->kind == KEY_ESCAPE) {
        c->changed = false;
        return c->kept ? keep(c, BYTES_NONE) : NULL;
    }
    if (key->kind != KEY_SIZE && key->kind != KEY_NOTHING) c->tui->note[0] = '\0';
    if (control == 'p') c->plain = !c->plain;
    if (control == 'g') c->sign = !c->sign;
    if (control == 't') c->quote = !c->quote;
    if (control == 's') send_it(c);
    if (control == 'l') list_on(c);
    if (control == 'r') c->reply_to = !c->reply_to;
    return control == 'r' ? load_check(c) : write_key(c, key);
}

static err_t *write_all(compose_t *c) {
    TRY(load_check(c));
    TRY(take_up(c));
    while (!c->done) {
        tui_key_t key;
        TRY(draw(c));
        TRY(term_key(&c->tui->term, TUI_LOOK_MS, &key));
        tui_note(c->tui, act(c, &key));
        keep_on(c);
        if (!tui_is_open(c->tui)) leave_locked(c);
    }
    return NULL;
}

err_t *tui_reply(tui_t *tui, int64_t id, bool all) {
    compose_t c = {.tui = tui, .id = id, .all = all, .quote = true};
    buf_init_secret(&c.text, LIMIT_BOX_DRAFT);
    err_t *e = write_all(&c);
    jso_free(c.check);
    buf_done(&c.text);
    return e;
}
