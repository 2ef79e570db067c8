/*
 * Fetching by IMAP: see imap.h. In coffer-mailbox.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "box/imap_internal.h"

enum { COMMAND_MAX = 64 * 1024 };

static int compare_uids(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* ---- UIDs ---- */

typedef struct {
    uint32_t *uids;
    size_t n, room;
} uids_t;

static err_t *add_uid(uids_t *u, uint32_t uid) {
    if (u->n == LIMIT_BOX_MESSAGES)
        return err_new(ERR_LIMIT, "a folder of more than %d messages", LIMIT_BOX_MESSAGES);
    if (u->n == u->room) {
        size_t room = u->room ? u->room * 2 : 256;
        uint32_t *grown = mem_resize(u->uids, room * sizeof *grown);
        if (!grown) return err_nomem();
        u->uids = grown;
        u->room = room;
    }
    u->uids[u->n++] = uid;
    return NULL;
}

static err_t *take_uids(void *arg, const imap_response_t *r) {
    bytes_t list = r->list;
    if (r->kind != IMAP_SEARCH) return NULL;
    for (bool found = true;;) {
        uint32_t uid = 0;
        TRY(imap_next_number(&list, &uid, &found));
        if (!found) return NULL;
        TRY(add_uid(arg, uid));
    }
}

/* Sorted, without doubles, without those below what was asked for (a range that ends in "*" gives
 * the last message always: RFC 9051 section 9, seq-range). */
static size_t tidy(uint32_t *uids, size_t n, uint32_t from) {
    size_t kept = 0;
    if (n) qsort(uids, n, sizeof *uids, compare_uids);
    for (size_t i = 0; i < n; i++)
        if (uids[i] >= from && uids[i] && (!kept || uids[kept - 1] != uids[i]))
            uids[kept++] = uids[i];
    return kept;
}

err_t *imap_uids(imap_t *imap, uint32_t from, uint32_t **ret_uids, size_t *ret_n) {
    CLEANUP(buf_done) buf_t command;
    uids_t u = {0};
    buf_init(&command, COMMAND_MAX);
    TRY(buf_printf(&command, "UID SEARCH UID %u:*", (unsigned)(from ? from : 1)));
    err_t *e = imap_run(imap, buf_bytes(&command), BYTES_NONE, take_uids, &u);
    if (e) {
        mem_free(u.uids);
        return e;
    }
    *ret_n = tidy(u.uids, u.n, from);
    *ret_uids = u.uids;
    return NULL;
}

/* ---- messages ---- */

typedef struct {
    const uint32_t *uids; /* sorted */
    size_t n;
    bool *seen;
    bool whole; /* messages were asked for */
    imap_each_t each;
    void *arg;
} fetch_t;

/* Each once, and only what was asked for. */
static err_t *take_message(void *arg, const imap_response_t *r) {
    const fetch_t *f = arg;
    if (r->kind != IMAP_FETCH || !r->uid || (f->whole && !r->has_message)) return NULL;
    const uint32_t *hit = bsearch(&r->uid, f->uids, f->n, sizeof *f->uids, compare_uids);
    if (!hit || f->seen[hit - f->uids]) return NULL;
    f->seen[hit - f->uids] = true;
    const imap_message_t m = {
        .uid = r->uid, .flags = r->flags, .size = r->size, .message = r->message};
    return f->each(f->arg, &m);
}

static err_t *put_set(const uint32_t *uids, size_t n, buf_t *out) {
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k + 1 < n && uids[k + 1] == uids[k] + 1) k++;
        TRY(buf_printf(out, "%s%u", i ? "," : "", (unsigned)uids[i]));
        if (k > i) TRY(buf_printf(out, ":%u", (unsigned)uids[k]));
        i = k + 1;
    }
    return NULL;
}

static err_t *fetch(imap_t *imap, const uint32_t *uids, size_t n, bool whole, imap_each_t each,
                    void *arg) {
    CLEANUP(buf_done) buf_t command;
    buf_init(&command, COMMAND_MAX);
    if (!n) return NULL;
    TRY(buf_add_str(&command, "UID FETCH "));
    TRY(put_set(uids, n, &command));
    TRY(buf_add_str(&command, whole ? " (UID FLAGS BODY.PEEK[])" : " (UID FLAGS RFC822.SIZE)"));
    fetch_t f = {.uids = uids, .n = n, .whole = whole, .each = each, .arg = arg};
    f.seen = mem_array(n, sizeof *f.seen);
    if (!f.seen) return err_nomem();
    err_t *e = imap_run(imap, buf_bytes(&command), BYTES_NONE, take_message, &f);
    mem_free(f.seen);
    return e;
}

err_t *imap_sizes(imap_t *imap, const uint32_t *uids, size_t n, imap_each_t each, void *arg) {
    return fetch(imap, uids, n, false, each, arg);
}

err_t *imap_fetch(imap_t *imap, const uint32_t *uids, size_t n, imap_each_t each, void *arg) {
    return fetch(imap, uids, n, true, each, arg);
}

/* ---- changes ---- */

typedef struct {
    imap_each_t flags;
    err_t *(*gone)(void *arg, uint32_t first, uint32_t last);
    void *arg;
} changes_t;

static err_t *take_gone(const changes_t *c, bytes_t set) {
    for (bool found = true;;) {
        uint32_t first = 0, last = 0;
        TRY(imap_next_range(&set, &first, &last, &found));
        if (!found) return NULL;
        TRY(c->gone(c->arg, first, last));
    }
}

static err_t *take_change(void *arg, const imap_response_t *r) {
    const changes_t *c = arg;
    if (r->kind == IMAP_VANISHED) return take_gone(c, r->list);
    if (r->kind != IMAP_FETCH || !r->uid || !r->has_flags) return NULL;
    const imap_message_t m = {.uid = r->uid, .flags = r->flags};
    return c->flags(c->arg, &m);
}

err_t *imap_changes(imap_t *imap, uint64_t modseq, imap_each_t flags,
                    err_t *(*gone)(void *arg, uint32_t first, uint32_t last), void *arg,
                    bool *ret_vanished) {
    CLEANUP(buf_done) buf_t command;
    changes_t c = {.flags = flags, .gone = gone, .arg = arg};
    buf_init(&command, COMMAND_MAX);
    *ret_vanished = false;
    if (!imap->condstore) return NULL;
    TRY(buf_printf(&command, "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE %llu%s)",
                   (unsigned long long)modseq, imap->qresync ? " VANISHED" : ""));
    TRY(imap_run(imap, buf_bytes(&command), BYTES_NONE, take_change, &c));
    *ret_vanished = imap->qresync;
    return NULL;
}
