/*
 * Mailbox files: see mbox.h. At the beginning of a line behind an empty one up to five bytes are
 * held back, until it is known whether they are "From ".
 */
#include "mail/mbox.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

static const uint8_t FROM[] = {'F', 'r', 'o', 'm', ' '};

typedef enum { IN_LINE, AT_LINE, AT_FROM, IN_FROM } where_t;

struct mbox {
    const mbox_handler_t *handler;
    where_t where;
    bool any;   /* a message has begun */
    bool empty; /* the line so far is empty (but for a CR) */
    buf_t held; /* what may be, or is, a "From " line */
};

err_t *mbox_new(const mbox_handler_t *handler, mbox_t **ret_mbox) {
    mbox_t *m = mem_zalloc(sizeof *m);
    if (!m) return err_nomem();
    m->handler = handler;
    m->where = AT_FROM;
    buf_init(&m->held, LIMIT_MBOX_LINE);
    *ret_mbox = m;
    return NULL;
}

void mbox_free(mbox_t *m) {
    if (!m) return;
    buf_done(&m->held);
    mem_free(m);
}

static err_t *give(const mbox_t *m, bytes_t data) {
    return data.n ? m->handler->data(m->handler->arg, data) : NULL;
}

/* What was held back is an ordinary line's beginning. */
static err_t *release(mbox_t *m) {
    if (!m->any) return err_new(ERR_INVALID, "not a mailbox file: it begins with no From line");
    TRY(give(m, buf_bytes(&m->held)));
    m->where = m->held.n ? IN_LINE : AT_LINE;
    m->empty = m->held.n == 0;
    buf_clear(&m->held);
    return NULL;
}

/* Takes bytes that may be "From "; decides at the first that isn't, or the last. */
static err_t *take_from(mbox_t *m, bytes_t *rest) {
    while (rest->n && m->held.n < sizeof FROM) {
        if (rest->p[0] != FROM[m->held.n]) return release(m);
        TRY(buf_add_byte(&m->held, rest->p[0]));
        *rest = bytes_from(*rest, 1);
    }
    if (m->held.n == sizeof FROM) m->where = IN_FROM;
    return NULL;
}

static err_t *take_from_line(mbox_t *m, bytes_t *rest) {
    size_t end = bytes_find(*rest, '\n');
    bool whole = end < rest->n;
    TRY_WRAP(buf_add(&m->held, bytes_slice(*rest, 0, whole ? end + 1 : end)),
             "the From line of a mailbox file");
    *rest = bytes_from(*rest, whole ? end + 1 : end);
    if (!whole) return NULL;
    TRY(m->handler->begin(m->handler->arg, buf_bytes(&m->held)));
    buf_clear(&m->held);
    m->any = true;
    m->where = AT_LINE;
    m->empty = true;
    return NULL;
}

/* Of an ordinary line: up to its end. */
static err_t *take_line(mbox_t *m, bytes_t *rest) {
    size_t end = bytes_find(*rest, '\n');
    bool whole = end < rest->n;
    bytes_t part = bytes_slice(*rest, 0, whole ? end + 1 : end);
    bytes_t text = bytes_slice(part, 0, end);
    if (m->where == AT_LINE) m->empty = true;
    if (!(text.n == 0 || (text.n == 1 && text.p[0] == '\r' && m->where == AT_LINE)))
        m->empty = false;
    TRY(give(m, part));
    *rest = bytes_from(*rest, part.n);
    if (!whole) m->where = IN_LINE;
    else m->where = m->empty ? AT_FROM : AT_LINE;
    return NULL;
}

err_t *mbox_feed(mbox_t *m, bytes_t data) {
    while (data.n) {
        switch (m->where) {
        case AT_FROM: TRY(take_from(m, &data)); break;
        case IN_FROM: TRY(take_from_line(m, &data)); break;
        case AT_LINE:
        case IN_LINE: TRY(take_line(m, &data)); break;
        }
    }
    return NULL;
}

err_t *mbox_finish(mbox_t *m) {
    if (m->where == IN_FROM) { /* a From line without an end is a message without anything */
        TRY(m->handler->begin(m->handler->arg, buf_bytes(&m->held)));
        return NULL;
    }
    if (m->where != AT_FROM || !m->held.n) return NULL;
    return release(m);
}
