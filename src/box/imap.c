/*
 * IMAP sessions: see imap.h. In coffer-mailbox.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "box/db.h"
#include "box/imap_internal.h"

enum { TIMEOUT_MS = 60 * 1000, STEP = 16 * 1024, COMMAND_MAX = 128 * 1024, SAID_MAX = 200 };
enum { KEPT = 1024 * 1024 }; /* of the memory of a response */

/* ---- responses ---- */

static err_t *more(imap_t *imap) {
    size_t n = 0;
    if (imap->at == imap->in.n) {
        buf_clear(&imap->in);
        imap->at = 0;
    }
    TRY(buf_reserve(&imap->in, STEP));
    TRY(box_wire_read(imap->wire, imap->in.p + imap->in.n, STEP, &n));
    if (!n) return err_new(ERR_UNAVAILABLE, "IMAP: the server hung up");
    imap->in.n += n;
    return NULL;
}

static bytes_t unread(const imap_t *imap) { return bytes_from(buf_bytes(&imap->in), imap->at); }

/* A line without its end, appended to the response; its end is appended only before a literal. */
static err_t *read_line(imap_t *imap) {
    for (;;) {
        bytes_t rest = unread(imap);
        size_t n = bytes_find(rest, '\n');
        TRY(buf_add(&imap->response, bytes_slice(rest, 0, n)));
        imap->at += n;
        if (n < rest.n) break;
        TRY(more(imap));
    }
    imap->at++;
    if (imap->response.n && imap->response.p[imap->response.n - 1] == '\r') imap->response.n--;
    return NULL;
}

static err_t *read_literal(imap_t *imap, size_t n) {
    TRY(buf_add_str(&imap->response, "\r\n"));
    TRY(buf_reserve(&imap->response, n));
    while (n) {
        bytes_t rest = bytes_slice(unread(imap), 0, n);
        TRY(buf_add(&imap->response, rest));
        imap->at += rest.n;
        n -= rest.n;
        if (n) TRY(more(imap));
    }
    return NULL;
}

/* The next response, whole. */
static err_t *read_response(imap_t *imap, imap_response_t *ret_response) {
    bool literal = true;
    size_t n = 0, from = 0;
    if (imap->response.room > KEPT) buf_done(&imap->response);
    buf_clear(&imap->response);
    while (literal) {
        TRY(read_line(imap));
        TRY(imap_parse_literal(bytes_from(buf_bytes(&imap->response), from), &literal, &n));
        if (literal) TRY(read_literal(imap, n));
        from = imap->response.n;
    }
    TRY(imap_parse(buf_bytes(&imap->response), ret_response));
    if (ret_response->kind == IMAP_EXISTS) imap->exists = ret_response->exists;
    return NULL;
}

static err_t *refusal(const imap_response_t *r) {
    bytes_t said = bytes_slice(r->text, 0, SAID_MAX);
    return err_new(ERR_UNAVAILABLE, "IMAP: the server says: %.*s", (int)said.n,
                   (const char *)said.p);
}

/* ---- commands ---- */

err_t *imap_put_quoted(buf_t *out, const char *text) {
    TRY(buf_add_byte(out, '"'));
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || (unsigned char)*text > 126)
            return err_new(ERR_INVALID, "IMAP: a name with odd characters");
        if (*text == '"' || *text == '\\') TRY(buf_add_byte(out, '\\'));
        TRY(buf_add_byte(out, (uint8_t)*text));
    }
    return buf_add_byte(out, '"');
}

static err_t *send_tagged(imap_t *imap, bytes_t command, char ret_tag[24]) {
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, COMMAND_MAX);
    (void)snprintf(ret_tag, 24, "c%llu", (unsigned long long)++imap->tag);
    TRY(buf_printf(&out, "%s ", ret_tag));
    TRY(buf_add(&out, command));
    TRY(buf_add_str(&out, "\r\n"));
    box_wire_budget(imap->wire, (uint64_t)LIMIT_BOX_ANSWER);
    return box_wire_write(imap->wire, buf_bytes(&out));
}

static err_t *send_literal(imap_t *imap, bytes_t literal) {
    TRY(box_wire_write(imap->wire, literal));
    return box_wire_write(imap->wire, BYTES_LIT("\r\n"));
}

err_t *imap_run(imap_t *imap, bytes_t command, bytes_t literal, imap_on_t on, void *arg) {
    char tag[24];
    bool asked = false;
    TRY(send_tagged(imap, command, tag));
    for (imap_response_t r;;) {
        TRY(read_response(imap, &r));
        if (r.kind == IMAP_TAGGED) {
            if (!bytes_eq_str(r.tag, tag)) return err_new(ERR_INVALID, "IMAP: another's answer");
            return r.outcome == IMAP_OK ? NULL : refusal(&r);
        }
        if (r.kind == IMAP_GO_ON) {
            if (asked) return err_new(ERR_INVALID, "IMAP: the server asks twice");
            asked = true;
            TRY(send_literal(imap, literal));
            continue;
        }
        if (r.kind == IMAP_STATE && r.outcome == IMAP_BYE) return refusal(&r);
        if (on) TRY(on(arg, &r));
    }
}

static err_t *run_plain(imap_t *imap, const char *command, imap_on_t on, void *arg) {
    return imap_run(imap, bytes_str(command), BYTES_NONE, on, arg);
}

/* ---- opening ---- */

void imap_free(imap_t *imap) {
    if (!imap) return;
    box_wire_free(imap->wire);
    buf_done(&imap->in);
    buf_done(&imap->response);
    mem_free(imap);
}

static err_t *greet(imap_t *imap) {
    imap_response_t r;
    TRY(read_response(imap, &r));
    if (r.kind == IMAP_STATE && r.outcome == IMAP_OK) return NULL;
    return r.kind == IMAP_STATE ? refusal(&r) : err_new(ERR_INVALID, "not an IMAP server");
}

/* RFC 9051 section 11.1: what came in clear behind the answer isn't believed. */
static err_t *upgrade(imap_t *imap) {
    TRY(run_plain(imap, "STARTTLS", NULL, NULL));
    if (unread(imap).n)
        return err_new(ERR_VERIFY, "IMAP: the server went on in clear behind STARTTLS");
    return box_wire_start_tls(imap->wire);
}

static err_t *take_capabilities(void *arg, const imap_response_t *r) {
    imap_t *imap = arg;
    bytes_t list = r->list, one;
    if (r->kind != IMAP_CAPABILITY) return NULL;
    while (imap_next_word(&list, &one)) {
        imap->condstore |= text_eq_fold(one, BYTES_LIT("CONDSTORE"));
        imap->qresync |= text_eq_fold(one, BYTES_LIT("QRESYNC"));
        imap->can_enable |= text_eq_fold(one, BYTES_LIT("ENABLE"));
        imap->idle |= text_eq_fold(one, BYTES_LIT("IDLE"));
        imap->move |= text_eq_fold(one, BYTES_LIT("MOVE"));
        imap->sasl_ir |= text_eq_fold(one, BYTES_LIT("SASL-IR"));
        imap->has_xoauth2 |= text_eq_fold(one, BYTES_LIT("AUTH=XOAUTH2"));
        imap->has_bearer |= text_eq_fold(one, BYTES_LIT("AUTH=OAUTHBEARER"));
    }
    return NULL;
}

/* The password as a literal: it may have any byte but NUL. */
static err_t *log_in_password(imap_t *imap, const imap_login_t *login) {
    CLEANUP(buf_done) buf_t command;
    buf_init(&command, COMMAND_MAX);
    if (bytes_has_nul(login->password)) return err_new(ERR_INVALID, "a password with a NUL");
    TRY(buf_add_str(&command, "LOGIN "));
    TRY(imap_put_quoted(&command, login->user));
    TRY(buf_printf(&command, " {%zu}", login->password.n));
    return imap_run(imap, buf_bytes(&command), login->password, NULL, NULL);
}

/* RFC 7628 section 3.1, with the log-in name as a saslname (RFC 5801 section 4); or as Google's
 * XOAUTH2 has it, which came before. */
static err_t *put_token(const imap_login_t *login, bool xoauth2, buf_t *out) {
    TRY(buf_add_str(out, xoauth2 ? "user=" : "n,a="));
    for (const char *c = login->user; *c; c++) {
        if (*c == '\1') return err_new(ERR_INVALID, "a log-in name with odd characters");
        bool special = !xoauth2 && (*c == ',' || *c == '=');
        if (special) TRY(buf_add_str(out, *c == ',' ? "=2C" : "=3D"));
        else TRY(buf_add_byte(out, (uint8_t)*c));
    }
    if (!xoauth2) TRY(buf_printf(out, ",\1host=%s\1port=%s", login->host, login->port));
    TRY(buf_add_str(out, "\1auth=Bearer "));
    TRY(buf_add(out, login->token));
    return buf_add_str(out, "\1\1");
}

/* RFC 4959: in the command if the server takes that, else when it asks. A second question is its
 * way to say no. */
static err_t *log_in_token(imap_t *imap, const imap_login_t *login) {
    CLEANUP(buf_done) buf_t plain, command, encoded;
    buf_init_secret(&plain, COMMAND_MAX);
    buf_init_secret(&encoded, COMMAND_MAX);
    buf_init_secret(&command, COMMAND_MAX);
    if (!imap->has_xoauth2 && !imap->has_bearer)
        return err_new(ERR_UNAVAILABLE, "the server takes no OAuth2 tokens");
    TRY(put_token(login, !imap->has_bearer, &plain));
    TRY(text_base64(buf_bytes(&plain), &encoded));
    TRY(buf_printf(&command, "AUTHENTICATE %s", imap->has_bearer ? "OAUTHBEARER" : "XOAUTH2"));
    if (!imap->sasl_ir) return imap_run(imap, buf_bytes(&command), buf_bytes(&encoded), NULL, NULL);
    TRY(buf_add_byte(&command, ' '));
    TRY(buf_add(&command, buf_bytes(&encoded)));
    return imap_run(imap, buf_bytes(&command), BYTES_NONE, NULL, NULL);
}

static err_t *log_in(imap_t *imap, const imap_login_t *login) {
    TRY(run_plain(imap, "CAPABILITY", take_capabilities, imap));
    err_t *e = login->token.n ? log_in_token(imap, login) : log_in_password(imap, login);
    if (e && err_code(e) == ERR_UNAVAILABLE)
        return err_recode(err_wrap(e, "the log-in is refused"), ERR_AUTH);
    if (e) return e;
    return run_plain(imap, "CAPABILITY", take_capabilities, imap); /* it may have more now */
}

static err_t *set_up(imap_t *imap, const imap_login_t *login) {
    TRY(greet(imap));
    if (login->tls == BOX_STARTTLS) TRY(upgrade(imap));
    TRY(log_in(imap, login));
    imap->condstore |= imap->qresync;
    imap->qresync &= imap->can_enable;
    return imap->qresync ? run_plain(imap, "ENABLE QRESYNC", NULL, NULL) : NULL;
}

err_t *imap_open(const imap_login_t *login, tls_context_t *tls_context, const clk_t *clk,
                 imap_t **ret_imap) {
    imap_t *made = mem_zalloc(sizeof *made);
    if (!made) return err_nomem();
    CLEANUP(imap_free) imap_t *imap = made;
    buf_init_secret(&imap->in, (size_t)2 * STEP);
    buf_init_secret(&imap->response, LIMIT_BOX_ANSWER);
    const box_wait_t wait = {clk, TIMEOUT_MS, login->go_on, login->arg};
    TRY(box_wire_connect(login->host, login->port, login->tls, tls_context, &wait, &imap->wire));
    TRY(set_up(imap, login));
    *ret_imap = STEAL(imap);
    return NULL;
}

/* ---- folders ---- */

typedef struct {
    err_t *(*each)(void *arg, const char *name);
    void *arg;
    size_t n;
} folders_t;

static err_t *take_folder(void *arg, const imap_response_t *r) {
    folders_t *f = arg;
    if (r->kind != IMAP_LIST || !r->selectable || f->n >= LIMIT_BOX_FOLDERS) return NULL;
    f->n++;
    return f->each(f->arg, r->name);
}

err_t *imap_folders(imap_t *imap, err_t *(*each)(void *arg, const char *name), void *arg) {
    folders_t f = {.each = each, .arg = arg};
    return run_plain(imap, "LIST \"\" \"*\"", take_folder, &f);
}

static err_t *take_selected(void *arg, const imap_response_t *r) {
    imap_selected_t *selected = arg;
    if (r->kind != IMAP_STATE) return NULL;
    if (r->uidvalidity) selected->uidvalidity = r->uidvalidity;
    if (r->highestmodseq) selected->modseq = r->highestmodseq;
    return NULL;
}

err_t *imap_select(imap_t *imap, const char *folder, imap_selected_t *ret_selected) {
    CLEANUP(buf_done) buf_t command;
    imap_selected_t selected = {0};
    buf_init(&command, COMMAND_MAX);
    /* house-rules: allow sql: it is IMAP's command */
    TRY(buf_add_str(&command, "SELECT "));
    err_t *e = imap_put_quoted(&command, folder);
    if (e) return err_code(e) == ERR_INVALID ? err_recode(e, ERR_UNAVAILABLE) : e;
    if (imap->condstore) TRY(buf_add_str(&command, " (CONDSTORE)"));
    imap->exists = 0;
    TRY(imap_run(imap, buf_bytes(&command), BYTES_NONE, take_selected, &selected));
    if (!selected.uidvalidity)
        return err_new(ERR_UNAVAILABLE, "IMAP: the server has no UIDVALIDITY for %s", folder);
    imap->selected = selected.exists = imap->exists;
    *ret_selected = selected;
    return NULL;
}

/* ---- deeds ---- */

static err_t *put_flags(unsigned flags, buf_t *out) {
    static const char *const names[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
                                        "\\Draft"};
    const char *between = "(";
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(flags & 1U << i)) continue;
        TRY(buf_printf(out, "%s%s", between, names[i]));
        between = " ";
    }
    return buf_add_str(out, *between == '(' ? "()" : ")");
}

err_t *imap_add_flags(imap_t *imap, uint32_t uid, unsigned flags) {
    CLEANUP(buf_done) buf_t command;
    buf_init(&command, COMMAND_MAX);
    TRY(buf_printf(&command, "UID STORE %u +FLAGS.SILENT ", (unsigned)uid));
    TRY(put_flags(flags, &command));
    return imap_run(imap, buf_bytes(&command), BYTES_NONE, NULL, NULL);
}

/* RFC 6851, or its forerunner of three commands. */
err_t *imap_move(imap_t *imap, uint32_t uid, const char *folder) {
    CLEANUP(buf_done) buf_t command;
    buf_init(&command, COMMAND_MAX);
    TRY(buf_printf(&command, "UID %s %u ", imap->move ? "MOVE" : "COPY", (unsigned)uid));
    TRY(imap_put_quoted(&command, folder));
    TRY(imap_run(imap, buf_bytes(&command), BYTES_NONE, NULL, NULL));
    if (imap->move) return NULL;
    TRY(imap_add_flags(imap, uid, BOX_DELETED));
    return run_plain(imap, "EXPUNGE", NULL, NULL);
}

err_t *imap_append(imap_t *imap, const char *folder, unsigned flags, bytes_t message) {
    CLEANUP(buf_done) buf_t command;
    buf_init(&command, COMMAND_MAX);
    TRY(buf_add_str(&command, "APPEND "));
    TRY(imap_put_quoted(&command, folder));
    TRY(buf_add_byte(&command, ' '));
    TRY(put_flags(flags, &command));
    TRY(buf_printf(&command, " {%zu}", message.n));
    return imap_run(imap, buf_bytes(&command), message, NULL, NULL);
}

/* ---- IDLE ---- */

bool imap_can_idle(const imap_t *imap) { return imap->idle; }
void imap_forget(imap_t *imap) {
    mem_wipe(imap->in.p, imap->at);
    buf_done(&imap->response);
}
int imap_fd(const imap_t *imap) { return box_wire_fd(imap->wire); }
bool imap_has_news(const imap_t *imap) {
    return unread(imap).n > 0 || imap->exists != imap->selected;
}

err_t *imap_idle_begin(imap_t *imap) {
    char tag[24];
    if (!imap->idle) return err_new(ERR_UNAVAILABLE, "the server has no IDLE");
    TRY(send_tagged(imap, BYTES_LIT("IDLE"), tag));
    for (imap_response_t r;;) {
        TRY(read_response(imap, &r));
        if (r.kind == IMAP_TAGGED) return refusal(&r);
        if (r.kind == IMAP_GO_ON) break;
    }
    imap->idling = true;
    return NULL;
}

err_t *imap_idle_end(imap_t *imap) {
    if (!imap->idling) return NULL;
    imap->idling = false;
    box_wire_budget(imap->wire, (uint64_t)LIMIT_BOX_ANSWER);
    TRY(box_wire_write(imap->wire, BYTES_LIT("DONE\r\n")));
    for (imap_response_t r;;) {
        TRY(read_response(imap, &r));
        if (r.kind == IMAP_TAGGED) return r.outcome == IMAP_OK ? NULL : refusal(&r);
        if (r.kind == IMAP_STATE && r.outcome == IMAP_BYE) return refusal(&r);
    }
}
