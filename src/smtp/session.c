/*
 * Sessions: bytes to lines and content. See session.h; commands are in session_commands.c.
 */
#include "smtp/session.h"

#include "base/limits.h"
#include "base/mem.h"
#include "smtp/session_internal.h"

enum { FLUSH_AT = 16 * 1024 }; /* bytes of replies */

void smtp_session_init(smtp_session_t *s, const smtp_server_t *server, const smtp_sink_t *sink,
                       void *conn, bool tls, bool may_forward) {
    *s = (smtp_session_t){
        .server = server, .sink = sink, .conn = conn, .tls = tls, .may_forward = may_forward};
    buf_init(&s->line, LIMIT_SMTP_COMMAND);
}

void smtp_session_reset(smtp_session_t *s) {
    smtp_envelope_free(STEAL(s->envelope));
    mem_free(STEAL(s->failure));
    s->in_data = s->utf8_seen = false;
    s->taken = 0;
}

void smtp_session_done(smtp_session_t *s) {
    smtp_session_reset(s);
    buf_done(&s->line);
}

err_t *smtp_say_status(buf_t *out, const smtp_status_t *status) {
    return smtp_status_write(status, out);
}

smtp_status_t smtp_status_of(const err_t *e) {
    err_code_t code = err_code(e);
    if (code == ERR_FULL || code == ERR_LIMIT)
        return smtp_status(452, "4.3.1", "No room for the message now, try again later");
    return smtp_status(451, "4.3.0", "Something failed here, try again later");
}

err_t *smtp_session_greet(smtp_session_t *s, const smtp_status_t *refusal, buf_t *out) {
    if (!refusal) return buf_printf(out, "220 %s ESMTP\r\n", s->server->hostname);
    s->closed = true;
    return smtp_status_write(refusal, out);
}

void smtp_session_secured(smtp_session_t *s) {
    smtp_session_reset(s);
    s->tls = true;
    s->greeted = s->esmtp = s->lmtp = false;
    s->errors = 0;
}

err_t *smtp_session_timeout(smtp_session_t *s, buf_t *out) {
    s->closed = true;
    return smtp_say(out, 421, "4.4.2", "%s waited too long", s->server->hostname);
}

/* ---- content ---- */

/* The first reason counts. */
static err_t *fail(smtp_session_t *s, smtp_status_t why) {
    if (s->failure) return NULL;
    s->failure = mem_alloc(sizeof *s->failure);
    if (!s->failure) return err_nomem();
    *s->failure = why;
    return NULL;
}

static err_t *on_content(void *arg, bytes_t data) {
    smtp_session_t *s = arg;
    s->taken += data.n;
    if (s->failure) return NULL;
    if (s->taken > s->server->max_message)
        return fail(s, smtp_status(552, "5.3.4", "The message is larger than %llu bytes",
                                   (unsigned long long)s->server->max_message));
    err_t *e = s->sink->give(s->conn, data);
    if (!e) return NULL;
    smtp_status_t why = smtp_status_of(e);
    err_free(e);
    return fail(s, why);
}

static err_t *refuse_message(smtp_session_t *s, buf_t *out) {
    size_t replies = s->lmtp ? s->envelope->rcpts_n : 1;
    for (size_t i = 0; i < replies; i++) TRY(smtp_status_write(s->failure, out));
    smtp_session_reset(s);
    return NULL;
}

static err_t *feed_content(smtp_session_t *s, bytes_t in, buf_t *out, size_t *ret_used,
                           smtp_event_t *ret_event) {
    bool done = false;
    TRY(smtp_undot_feed(&s->undot, in, on_content, s, ret_used, &done));
    if (!done) return NULL;
    s->in_data = false;
    if (s->undot.bare) {
        s->errors++;
        mem_free(STEAL(s->failure)); /* this counts more than a full disk: it won't change */
        TRY(fail(s, smtp_status(554, "5.5.2",
                                "A bare CR or LF is in the message: lines end with CR LF")));
    } else if (s->undot.nul) {
        TRY(fail(s, smtp_status(554, "5.6.0", "A NUL byte is in the message")));
    } else if (s->undot.long_line) {
        TRY(fail(s, smtp_status(554, "5.6.0", "A line of the message is longer than %d bytes",
                                LIMIT_SMTP_LINE)));
    }
    if (s->failure) return refuse_message(s, out);
    s->waiting = true;
    *ret_event = SMTP_MESSAGE;
    return NULL;
}

smtp_envelope_t *smtp_session_take(smtp_session_t *s, bool *ret_eightbit) {
    *ret_eightbit = s->undot.eightbit;
    return STEAL(s->envelope);
}

err_t *smtp_session_answer(smtp_session_t *s, const smtp_status_t *statuses, size_t n, buf_t *out) {
    s->waiting = false;
    smtp_session_reset(s);
    for (size_t i = 0; i < n; i++) TRY(smtp_status_write(&statuses[i], out));
    return NULL;
}

/* ---- lines ---- */

static bool has_bare(bytes_t line) { return bytes_find(line, '\r') != line.n; }

/* A whole line, its LF included. */
static err_t *take_line(smtp_session_t *s, bytes_t line, buf_t *out, smtp_event_t *ret_event) {
    bool crlf = line.n >= 2 && line.p[line.n - 2] == '\r';
    if (s->skipping) {
        s->skipping = false;
        return smtp_scold(s, out, 500, "5.5.2", "The line is too long");
    }
    bytes_t text = bytes_slice(line, 0, line.n - (crlf ? 2 : 1));
    if (!crlf || has_bare(text)) { /* no more is believed: RFC 5321 section 2.3.8 */
        s->closed = true;
        *ret_event = SMTP_CLOSE;
        return smtp_say(out, 500, "5.5.2", "Lines end with CR LF");
    }
    return smtp_session_command(s, text, out, ret_event);
}

/* Keeps what is no whole line yet. */
static err_t *keep(smtp_session_t *s, bytes_t rest) {
    if (s->skipping) return NULL;
    if (s->line.n + rest.n > LIMIT_SMTP_COMMAND) {
        s->skipping = true;
        buf_clear(&s->line);
        return NULL;
    }
    return buf_add(&s->line, rest);
}

static err_t *feed_line(smtp_session_t *s, bytes_t in, buf_t *out, size_t *ret_used,
                        smtp_event_t *ret_event) {
    size_t end = bytes_find(in, '\n');
    bytes_t line = bytes_slice(in, 0, end + 1);
    *ret_used = line.n;
    if (end == in.n) return keep(s, in);
    if (s->line.n || line.n > LIMIT_SMTP_COMMAND) {
        TRY(keep(s, line));
        if (!s->skipping) line = buf_bytes(&s->line);
    }
    err_t *e = take_line(s, line, out, ret_event);
    if (s->line.room) { /* an idle connection keeps no buffer */
        buf_done(&s->line);
        buf_init(&s->line, LIMIT_SMTP_COMMAND);
    }
    return e;
}

static err_t *too_many(smtp_session_t *s, buf_t *out, smtp_event_t *ret_event) {
    s->closed = true;
    *ret_event = SMTP_CLOSE;
    return smtp_say(out, 421, "4.7.0", "%s: too many errors", s->server->hostname);
}

err_t *smtp_session_feed(smtp_session_t *s, bytes_t in, buf_t *out, size_t *ret_used,
                         smtp_event_t *ret_event) {
    size_t used = 0;
    smtp_event_t event = SMTP_NEEDS_INPUT;
    while (used < in.n && event == SMTP_NEEDS_INPUT && !s->waiting && !s->closed) {
        size_t n = 0;
        bytes_t rest = bytes_from(in, used);
        if (s->in_data) TRY(feed_content(s, rest, out, &n, &event));
        else TRY(feed_line(s, rest, out, &n, &event));
        used += n;
        if (event == SMTP_NEEDS_INPUT && s->errors >= LIMIT_SMTP_ERRORS)
            TRY(too_many(s, out, &event));
        if (event == SMTP_NEEDS_INPUT && out->n >= FLUSH_AT && !s->in_data) event = SMTP_FLUSH;
    }
    if (s->closed) event = SMTP_CLOSE;
    else if (s->waiting && event != SMTP_MESSAGE) event = SMTP_WAITS;
    if (event == SMTP_SECURE && used < in.n) { /* somebody put words into the client's mouth */
        s->closed = true;
        event = SMTP_CLOSE;
        buf_clear(out);
        TRY(smtp_say(out, 554, "5.5.1", "Nothing may follow STARTTLS before the answer"));
    }
    *ret_used = used;
    *ret_event = event;
    return NULL;
}
