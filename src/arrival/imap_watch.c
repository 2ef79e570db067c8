/*
 * See imap_watch.h. Commands go one at a time, each with its tag; what comes without being asked
 * for is taken in any state.
 */
#include "arrival/imap_watch.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum { SECRET_MAX = 8192, INPUT_MAX = UINT16_MAX };

void imap_watch_init(imap_watch_t *w, const arrival_t *from) {
    *w = (imap_watch_t){.known = from->uidvalidity > 0,
                        .uidvalidity = (uint32_t)from->uidvalidity,
                        .uid = (uint32_t)from->uid,
                        .modseq = from->modseq};
    buf_init(&w->line, LIMIT_IMAP_LINE);
    buf_init_secret(&w->secret, SECRET_MAX);
}

void imap_watch_done(imap_watch_t *w) {
    buf_done(&w->line);
    buf_done(&w->secret);
    imap_folders_done(&w->folders);
}

arrival_t imap_watch_news(imap_watch_t *w) {
    w->news = false;
    return (arrival_t){"INBOX", w->uidvalidity, w->uid, w->modseq};
}

/* ---- out ---- */

static err_t *say(imap_watch_t *w, imap_state_t state, const char *command, buf_t *out) {
    w->state = state;
    w->lines = 0;
    return buf_printf(out, "C%u %s\r\n", ++w->tag, command);
}

static err_t *say_fetch(imap_watch_t *w, buf_t *out) {
    w->state = IMAP_FETCH;
    w->lines = 0;
    w->look = false;
    w->fetched = 0;
    return buf_printf(out, "C%u UID FETCH %lu:* (UID%s)\r\n", ++w->tag, (unsigned long)w->uid + 1,
                      w->condstore ? " MODSEQ" : "");
}

/* RFC 9051 section 4.3: text that can stand in quotes. */
static bool quotable(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] > 0x7e) return false;
    return true;
}

static err_t *add_quoted(bytes_t text, buf_t *out) {
    TRY(buf_add_byte(out, '"'));
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\') TRY(buf_add_byte(out, '\\'));
        TRY(buf_add_byte(out, text.p[i]));
    }
    return buf_add_byte(out, '"');
}

/* RFC 4616: NUL login NUL password. */
static err_t *make_plain(const char *login, bytes_t password, buf_t *out) {
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, SECRET_MAX);
    TRY(buf_add_byte(&plain, 0));
    TRY(buf_add_str(&plain, login));
    TRY(buf_add_byte(&plain, 0));
    TRY(buf_add(&plain, password));
    return text_base64(buf_bytes(&plain), out);
}

static err_t *say_plain(imap_watch_t *w, const char *login, bytes_t password, buf_t *out) {
    if (bytes_has_nul(password)) return err_new(ERR_INVALID, "the password has a NUL inside");
    buf_clear(&w->secret);
    TRY(make_plain(login, password, &w->secret));
    TRY(buf_add_str(&w->secret, "\r\n"));
    TRY(buf_printf(out, "C%u AUTHENTICATE PLAIN", ++w->tag));
    if (!w->sasl_ir) return buf_add_str(out, "\r\n");
    TRY(buf_add_byte(out, ' '));
    TRY(buf_add(out, buf_bytes(&w->secret)));
    buf_done(&w->secret);
    buf_init_secret(&w->secret, SECRET_MAX);
    return NULL;
}

err_t *imap_watch_login(imap_watch_t *w, const char *login, bytes_t password, buf_t *out) {
    if (w->state != IMAP_LOGIN) return err_new(ERR_INTERNAL, "IMAP: no login is asked for");
    w->state = IMAP_AUTH;
    w->lines = 0;
    if (w->auth_plain) return say_plain(w, login, password, out);
    if (w->login_disabled) return err_new(ERR_UNAVAILABLE, "IMAP: the server takes no passwords");
    if (!quotable(bytes_str(login)) || !quotable(password))
        return err_new(ERR_INVALID, "the server's LOGIN takes ASCII alone");
    TRY(buf_printf(out, "C%u LOGIN ", ++w->tag));
    TRY(add_quoted(bytes_str(login), out));
    TRY(buf_add_byte(out, ' '));
    TRY(add_quoted(password, out));
    return buf_add_str(out, "\r\n");
}

static err_t *look_again(imap_watch_t *w, buf_t *out) {
    if (w->state != IMAP_IDLE) return NULL;
    if (!w->idles) return say(w, IMAP_NOOP, "NOOP", out);
    w->state = IMAP_DONE;
    w->lines = 0;
    return buf_add_str(out, "DONE\r\n");
}

err_t *imap_watch_look(imap_watch_t *w, buf_t *out) {
    if (w->state == IMAP_IDLE) w->notified = false; /* how all folders are is asked with it */
    return look_again(w, out);
}

/* ---- words of a line ---- */

/* Splits off a word; *rest goes on behind the space. */
static bytes_t word(bytes_t *rest) {
    size_t n = bytes_find(*rest, ' ');
    bytes_t one = bytes_slice(*rest, 0, n);
    *rest = bytes_from(*rest, n + 1);
    return one;
}

static err_t *number(bytes_t text, uint64_t max, uint64_t *ret_n) {
    return err_recode(text_u64(text, max, ret_n), ERR_INVALID);
}

/* What stands behind `name` in the line, up to what can't be in a number. */
static bool find_number(bytes_t line, const char *name, bytes_t *ret_digits) {
    size_t n = strlen(name);
    for (size_t i = 0; i + n <= line.n; i++) {
        if (i && line.p[i - 1] != ' ' && line.p[i - 1] != '(' && line.p[i - 1] != '[') continue;
        if (!text_eq_fold(bytes_slice(line, i, n), bytes_str(name))) continue;
        bytes_t digits = bytes_from(line, i + n);
        size_t end = 0;
        while (end < digits.n && digits.p[end] >= '0' && digits.p[end] <= '9') end++;
        *ret_digits = bytes_slice(digits, 0, end);
        return true;
    }
    return false;
}

static err_t *get_number(bytes_t line, const char *name, uint64_t max, bool *ret_found,
                         uint64_t *ret_n) {
    bytes_t digits;
    *ret_found = find_number(line, name, &digits);
    return *ret_found ? number(digits, max, ret_n) : NULL;
}

/* ---- in: what was not asked for ---- */

static void take_capabilities(imap_watch_t *w, bytes_t list) {
    w->notifies = w->idles = w->condstore = w->qresync = false;
    w->sasl_ir = w->auth_plain = w->login_disabled = false;
    while (list.n) {
        bytes_t one = word(&list);
        if (one.n && one.p[one.n - 1] == ']') one.n--;
        if (text_eq_fold(one, BYTES_LIT("IDLE"))) w->idles = true;
        else if (text_eq_fold(one, BYTES_LIT("NOTIFY"))) w->notifies = true;
        else if (text_eq_fold(one, BYTES_LIT("CONDSTORE"))) w->condstore = true;
        else if (text_eq_fold(one, BYTES_LIT("QRESYNC"))) w->condstore = w->qresync = true;
        else if (text_eq_fold(one, BYTES_LIT("SASL-IR"))) w->sasl_ir = true;
        else if (text_eq_fold(one, BYTES_LIT("AUTH=PLAIN"))) w->auth_plain = true;
        else if (text_eq_fold(one, BYTES_LIT("LOGINDISABLED"))) w->login_disabled = true;
    }
}

static void take_enabled(imap_watch_t *w, bytes_t list) {
    while (list.n)
        if (text_eq_fold(word(&list), BYTES_LIT("QRESYNC"))) w->enabled = true;
}

/* [UIDVALIDITY n], [UIDNEXT n], [HIGHESTMODSEQ n] of what is being examined. */
static err_t *take_code(imap_watch_t *w, bytes_t rest) {
    uint64_t n = 0;
    bool found = false;
    if (bytes_starts(rest, BYTES_LIT("[NOTIFICATIONOVERFLOW")))
        w->notifies = false; /* RFC 5465 section 5.8: it tells no more; INBOX is left */
    if (w->state != IMAP_EXAMINE) return NULL;
    TRY(get_number(rest, "UIDVALIDITY ", UINT32_MAX, &found, &n));
    if (found && n == 0) return err_new(ERR_INVALID, "IMAP: UIDVALIDITY 0");
    if (bytes_starts(rest, BYTES_LIT("[NOMODSEQ"))) w->resyncs = false; /* RFC 7162, 3.1.2.2 */
    if (found && w->uidvalidity != n) {
        w->resyncs = false;
        w->known = w->known && w->uidvalidity != 0;
        w->uidvalidity = (uint32_t)n;
        w->uid = 0;
        w->modseq = 0;
        w->look = w->known; /* another folder of that name: all of it is new */
    }
    TRY(get_number(rest, "UIDNEXT ", UINT32_MAX, &found, &n));
    if (found) w->uidnext = (uint32_t)n;
    TRY(get_number(rest, "HIGHESTMODSEQ ", INT64_MAX, &found, &n));
    if (found && (int64_t)n < w->since) w->resyncs = false; /* it was set back, or lied before */
    if (found) w->modseq = (int64_t)n;
    return NULL;
}

static err_t *take_fetch(imap_watch_t *w, bytes_t rest) {
    uint64_t uid = 0, modseq = 0;
    bool found = false;
    if (w->state != IMAP_FETCH && !(w->state == IMAP_EXAMINE && w->resyncs))
        return NULL; /* flags that changed */
    TRY(get_number(rest, "UID ", UINT32_MAX, &found, &uid));
    if (!found || uid == 0) return NULL;
    if (uid > w->fetched) w->fetched = (uint32_t)uid;
    TRY(get_number(rest, "MODSEQ (", INT64_MAX, &found, &modseq));
    if (found && (int64_t)modseq > w->modseq) w->modseq = (int64_t)modseq;
    return NULL;
}

static err_t *take_untagged(imap_watch_t *w, bytes_t rest, buf_t *out) {
    bytes_t first = word(&rest);
    if (text_eq_fold(first, BYTES_LIT("BYE")) && w->state != IMAP_GREETING)
        return err_new(ERR_UNAVAILABLE, "the IMAP server ended the connection");
    if (text_eq_fold(first, BYTES_LIT("CAPABILITY"))) take_capabilities(w, rest);
    if (text_eq_fold(first, BYTES_LIT("OK"))) return take_code(w, rest);
    if (text_eq_fold(first, BYTES_LIT("ENABLED"))) take_enabled(w, rest);
    if (text_eq_fold(first, BYTES_LIT("STATUS")) && w->notifies)
        return imap_folders_take(&w->folders, rest, w->state == IMAP_NOTIFY);
    if (first.n == 0 || first.p[0] < '0' || first.p[0] > '9') return NULL;
    bytes_t kind = word(&rest);
    if (text_eq_fold(kind, BYTES_LIT("FETCH"))) return take_fetch(w, rest);
    if (!text_eq_fold(kind, BYTES_LIT("EXISTS"))) return NULL;
    w->look = w->look || w->state != IMAP_EXAMINE; /* at first everything is there */
    return w->state == IMAP_IDLE ? look_again(w, out) : NULL;
}

/* ---- in: answers ---- */

static err_t *take_greeting(imap_watch_t *w, bytes_t line, buf_t *out) {
    bytes_t rest = bytes_from(line, 2);
    if (!bytes_starts(line, BYTES_LIT("* "))) return err_new(ERR_INVALID, "that is no IMAP server");
    if (!text_eq_fold(word(&rest), BYTES_LIT("OK")))
        return err_new(ERR_UNAVAILABLE, "the IMAP server does not want us");
    return say(w, IMAP_CAPABILITY, "CAPABILITY", out);
}

/*
 * All is known of INBOX: asks to be told of the others, then waits. STATUS has the server say at
 * once how each is, so that what came while we were away is noticed (RFC 5465 section 3.1).
 */
static err_t *wait_on(imap_watch_t *w, buf_t *out) {
    if (w->notifies && !w->notified)
        return say(w, IMAP_NOTIFY,
                   "NOTIFY SET STATUS (selected (MessageNew (UID) MessageExpunge))"
                   " (personal (MessageNew MessageExpunge))",
                   out);
    if (w->idles) return say(w, IMAP_IDLE_ASKED, "IDLE", out);
    w->state = IMAP_IDLE;
    return NULL;
}

/* So that EXAMINE tells what came since then, and not only that something did. */
static err_t *examine(imap_watch_t *w, buf_t *out) {
    char command[128];
    w->fetched = 0;
    w->since = 0;
    w->resyncs = w->qresync && w->enabled;
    if (!w->resyncs)
        return say(w, IMAP_EXAMINE, w->condstore ? "EXAMINE INBOX (CONDSTORE)" : "EXAMINE INBOX",
                   out);
    w->since = w->modseq;
    /* Of what was there, nothing: those may be very many (RFC 7162, 3.2.5.1). */
    (void)snprintf(command, sizeof command, "EXAMINE INBOX (QRESYNC (%lu %lld %lu:%lu))",
                   (unsigned long)w->uidvalidity, (long long)w->modseq, (unsigned long)w->uid + 1,
                   (unsigned long)UINT32_MAX);
    return say(w, IMAP_EXAMINE, command, out);
}

/* QRESYNC is of use where something is remembered to go on from. */
static err_t *signed_in(imap_watch_t *w, buf_t *out) {
    bool useful = w->qresync && w->known && w->uidvalidity && w->modseq > 0 && w->uid < UINT32_MAX;
    w->qresync = useful;
    return useful ? say(w, IMAP_ENABLE, "ENABLE QRESYNC", out) : examine(w, out);
}

static err_t *check_step(const imap_watch_t *w, uint32_t last) {
    if (w->fetched > last && w->fetched - last > LIMIT_ARRIVAL_UID_STEP)
        return err_new(ERR_INVALID, "IMAP: UID %lu after %lu", (unsigned long)w->fetched,
                       (unsigned long)last);
    return NULL;
}

/*
 * UIDNEXT is what the server says now: mail that came while we were away is news. With QRESYNC it
 * shows which, so that mail that has gone again is none.
 */
static err_t *examined(imap_watch_t *w, buf_t *out) {
    if (w->uidvalidity == 0) return err_new(ERR_INVALID, "IMAP: no UIDVALIDITY");
    uint32_t last = w->uidnext ? w->uidnext - 1 : w->uid;
    if (w->resyncs) {
        TRY(check_step(w, last));
        if (w->fetched > w->uid) w->news = true;
        if (w->fetched > last) last = w->fetched;
    } else if (w->known && w->uidnext && last > w->uid) w->news = true;
    if (w->known && w->look && last > 0) w->news = true;
    w->uid = last;
    w->look = false;
    w->known = true;
    /* No UIDNEXT: an old server; what is there already is not news. */
    if (!w->uidnext) return say_fetch(w, out);
    return w->idles || w->notifies ? wait_on(w, out) : say(w, IMAP_NOOP, "NOOP", out);
}

static err_t *fetched(imap_watch_t *w, buf_t *out) {
    if (w->fetched > w->uid) {
        if (w->uidnext) TRY(check_step(w, w->uid));
        w->news = w->uidnext != 0;
        w->uid = w->fetched;
    }
    if (!w->uidnext) w->uidnext = w->uid == UINT32_MAX ? UINT32_MAX : w->uid + 1;
    return wait_on(w, out);
}

static err_t *done(imap_watch_t *w, buf_t *out) {
    switch (w->state) {
    case IMAP_CAPABILITY: w->state = IMAP_LOGIN; return NULL;
    case IMAP_AUTH:
        buf_done(&w->secret);
        buf_init_secret(&w->secret, SECRET_MAX);
        w->signed_in = true;
        return say(w, IMAP_CAPABILITY_2, "CAPABILITY", out);
    case IMAP_CAPABILITY_2: return signed_in(w, out);
    case IMAP_ENABLE: return examine(w, out);
    case IMAP_EXAMINE: return examined(w, out);
    case IMAP_FETCH: return fetched(w, out);
    case IMAP_NOTIFY: w->notified = true; return wait_on(w, out);
    case IMAP_DONE:
    case IMAP_NOOP:
    case IMAP_IDLE_ASKED:
    case IMAP_IDLE: return say_fetch(w, out);
    case IMAP_GREETING:
    case IMAP_LOGIN: break;
    }
    return err_new(ERR_INVALID, "IMAP: an answer to nothing");
}

static err_t *take_tagged(imap_watch_t *w, bytes_t line, buf_t *out) {
    char tag[16];
    bytes_t rest = line, first = word(&rest);
    (void)snprintf(tag, sizeof tag, "C%u", w->tag);
    if (!bytes_eq_str(first, tag)) return err_new(ERR_INVALID, "IMAP: a line without sense");
    if (text_eq_fold(word(&rest), BYTES_LIT("OK"))) return done(w, out);
    if (w->state == IMAP_NOTIFY) { /* too much for it, or it knows another NOTIFY */
        w->notifies = false;
        return wait_on(w, out);
    }
    if (w->state == IMAP_ENABLE || (w->state == IMAP_EXAMINE && w->resyncs)) {
        w->qresync = false;
        return examine(w, out);
    }
    if (w->state == IMAP_AUTH)
        return err_new(ERR_AUTH, "the IMAP server refuses login or password");
    return err_new(ERR_UNAVAILABLE, "the IMAP server refuses a command");
}

static err_t *take_plus(imap_watch_t *w, buf_t *out) {
    if (w->state == IMAP_IDLE_ASKED) {
        w->state = IMAP_IDLE;
        w->lines = 0;
        return w->look ? imap_watch_look(w, out) : NULL;
    }
    if (w->state != IMAP_AUTH || w->secret.n == 0)
        return err_new(ERR_INVALID, "IMAP: a \"+\" that nobody waits for");
    TRY(buf_add(out, buf_bytes(&w->secret)));
    buf_clear(&w->secret);
    return NULL;
}

static err_t *take_line(imap_watch_t *w, bytes_t line, buf_t *out) {
    if (w->state != IMAP_IDLE && ++w->lines > LIMIT_IMAP_LINES)
        return err_new(ERR_LIMIT, "the IMAP server says more than %d lines", LIMIT_IMAP_LINES);
    if (w->state == IMAP_GREETING) return take_greeting(w, line, out);
    if (bytes_starts(line, BYTES_LIT("* "))) return take_untagged(w, bytes_from(line, 2), out);
    if (line.n && line.p[0] == '+') return take_plus(w, out);
    return take_tagged(w, line, out);
}

/* ---- lines ---- */

/* A line that ends with {n} goes on behind n bytes: none of what we ask for does. */
static err_t *find_literal(imap_watch_t *w, bytes_t line, bool *ret_found) {
    size_t open = line.n;
    *ret_found = false;
    if (line.n < 3 || line.p[line.n - 1] != '}') return NULL;
    while (open > 0 && line.p[open - 1] != '{') open--;
    if (open == 0) return NULL;
    bytes_t digits = bytes_slice(line, open, line.n - 1 - open);
    if (digits.n && digits.p[digits.n - 1] == '+') digits.n--;
    TRY(number(digits, UINT64_MAX, &w->literal));
    if (w->literal > LIMIT_IMAP_LITERAL)
        return err_new(ERR_LIMIT, "the IMAP server sends %llu bytes that nobody asked for",
                       (unsigned long long)w->literal);
    *ret_found = true;
    return NULL;
}

static err_t *end_line(imap_watch_t *w, buf_t *out) {
    bytes_t line = buf_bytes(&w->line);
    bool literal = false;
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    TRY(find_literal(w, line, &literal));
    if (literal) return NULL; /* the line goes on behind it */
    TRY(take_line(w, line, out));
    buf_done(&w->line);
    buf_init(&w->line, LIMIT_IMAP_LINE);
    return NULL;
}

err_t *imap_watch_input(imap_watch_t *w, bytes_t data, buf_t *out) {
    while (data.n) {
        if (w->literal) {
            size_t skip = w->literal < data.n ? (size_t)w->literal : data.n;
            w->literal -= skip;
            data = bytes_from(data, skip);
            continue;
        }
        size_t n = bytes_find(data, '\n');
        TRY(buf_add(&w->line, bytes_slice(data, 0, n)));
        if (n == data.n) return NULL;
        data = bytes_from(data, n + 1);
        TRY(end_line(w, out));
    }
    return NULL;
}
