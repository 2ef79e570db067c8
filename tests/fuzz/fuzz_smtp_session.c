/*
 * A client that says anything: the first byte says in what pieces. What holds: everything is taken
 * or the session waits or ends, replies are whole lines, content has no line "." of its own making,
 * and a message that came whole in one piece comes out the same in many.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "smtp/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    buf_t content;
    size_t messages;
} world_t;

static err_t *begin(void *conn, uint64_t size) {
    world_t *w = conn;
    (void)size;
    buf_clear(&w->content);
    return NULL;
}

static err_t *give(void *conn, bytes_t data) { return buf_add(&((world_t *)conn)->content, data); }

static const smtp_sink_t sink = {begin, give};

static void check_replies(bytes_t out) {
    bytes_t rest = out;
    while (rest.n) {
        size_t end = bytes_find(rest, '\n');
        if (end == rest.n || end < 4 || rest.p[end - 1] != '\r') abort();
        for (int i = 0; i < 3; i++)
            if (rest.p[i] < '0' || rest.p[i] > '9') abort();
        rest = bytes_from(rest, end + 1);
    }
}

/* Every line end is CR LF: no bare one gets through. */
static void check_content(bytes_t content) {
    for (size_t i = 0; i < content.n; i++) {
        bool cr = content.p[i] == '\r', lf = content.p[i] == '\n';
        if (cr && (i + 1 == content.n || content.p[i + 1] != '\n')) abort();
        if (lf && (i == 0 || content.p[i - 1] != '\r')) abort();
    }
}

static bool answer(world_t *w, smtp_session_t *s, buf_t *out) {
    bool eightbit = false;
    const smtp_status_t done = smtp_status(250, "2.0.0", "taken");
    smtp_envelope_t *m = smtp_session_take(s, &eightbit);
    if (!m || !m->rcpts_n) abort();
    size_t n = smtp_session_is_lmtp(s) ? m->rcpts_n : 1;
    smtp_envelope_free(m);
    check_content(buf_bytes(&w->content));
    w->messages++;
    for (size_t i = 0; i < n; i++) {
        err_t *e = i ? smtp_status_write(&done, out) : smtp_session_answer(s, &done, 1, out);
        if (!e) continue;
        err_free(e);
        return false;
    }
    return true;
}

static size_t run(bytes_t in, size_t step) {
    static const smtp_server_t server = {.hostname = "gate.example.org",
                                         .max_message = 100000,
                                         .max_recipients = 20,
                                         .starttls = true,
                                         .dsn = true};
    world_t w = {0};
    smtp_session_t s;
    CLEANUP(buf_done) buf_t out;
    buf_init(&w.content, 200000);
    buf_init(&out, LIMIT_SMTP_OUT);
    smtp_session_init(&s, &server, &sink, &w, false, true);
    bool go = true;
    while (in.n && go) {
        size_t used = 0;
        smtp_event_t event = SMTP_NEEDS_INPUT;
        bytes_t piece = bytes_slice(in, 0, step);
        err_t *e = smtp_session_feed(&s, piece, &out, &used, &event);
        if (e) {
            err_free(e);
            break;
        }
        if (used > piece.n || (used < piece.n && event == SMTP_NEEDS_INPUT)) abort();
        in = bytes_from(in, used);
        if (event == SMTP_MESSAGE) go = answer(&w, &s, &out);
        if (event == SMTP_SECURE) smtp_session_secured(&s);
        if (event == SMTP_CLOSE || event == SMTP_WAITS) go = false;
        check_replies(buf_bytes(&out));
        buf_clear(&out);
    }
    smtp_session_done(&s);
    buf_done(&w.content);
    return w.messages;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    bytes_t in = bytes_make(data + 1, size - 1);
    (void)run(in, (size_t)data[0] + 1);
    (void)run(in, 1 << 20);
    return 0;
}
