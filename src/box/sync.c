/*
 * From the server into the mailbox: see sync.h. In coffer-mailbox.
 */
#include "box/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/mem.h"
#include "box/row.h"

enum { SIZES = 500, ARENA_MAX = 8 * 1024 * 1024, STUB_MAX = 512 };

/* ---- batches ---- */

typedef struct {
    uint32_t uid, size;
    unsigned flags;
} sized_t;

typedef struct {
    sized_t at[SIZES];
    size_t n;
} sizes_t;

static err_t *take_size(void *arg, const imap_message_t *m) {
    sizes_t *sizes = arg;
    if (sizes->n < SIZES)
        sizes->at[sizes->n++] = (sized_t){.uid = m->uid, .size = m->size, .flags = m->flags};
    return NULL;
}

typedef struct {
    box_sync_t *sync;
    imap_each_t each;
    void *arg;
} fetch_t;

static err_t *take_message(void *arg, const imap_message_t *m) {
    const fetch_t *f = arg;
    if (m->message.n > LIMIT_BOX_MESSAGE) return NULL;
    TRY(f->each(f->arg, m));
    f->sync->fetched++;
    return NULL;
}

/* In its place, so that the person learns of it. */
static err_t *tell_too_large(const fetch_t *f, const sized_t *s) {
    char text[STUB_MAX];
    (void)snprintf(text, sizeof text,
                   "From: coffer-mailbox\r\nSubject: A message of %u bytes was left on the "
                   "server\r\n\r\nIt is larger than %d bytes.\r\n",
                   (unsigned)s->size, LIMIT_BOX_MESSAGE);
    const imap_message_t stub = {.uid = s->uid, .flags = s->flags, .message = bytes_str(text)};
    return f->each(f->arg, &stub);
}

/* As many from *at on as fit one batch. */
static err_t *fetch_batch(fetch_t *f, const sizes_t *sizes, size_t *at) {
    uint32_t uids[SIZES];
    size_t n = 0;
    uint64_t bytes = 0;
    for (; *at < sizes->n; ++*at) {
        const sized_t *s = &sizes->at[*at];
        if (n && bytes + s->size > LIMIT_BOX_BATCH) break;
        if (s->size > LIMIT_BOX_MESSAGE) {
            if (n) break;
            ++*at;
            return tell_too_large(f, s);
        }
        bytes += s->size;
        uids[n++] = s->uid;
    }
    return imap_fetch(f->sync->imap, uids, n, take_message, f);
}

static int by_uid(const void *a, const void *b) {
    const sized_t *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static err_t *fetch_sized(fetch_t *f, sizes_t *sizes, err_t *(*batch)(void *arg, bool begins)) {
    box_sync_t *sync = f->sync;
    qsort(sizes->at, sizes->n, sizeof sizes->at[0], by_uid);
    for (size_t at = 0; at < sizes->n && !sync->stopped;) {
        if (batch) TRY(batch(f->arg, true));
        TRY(fetch_batch(f, sizes, &at));
        if (batch) TRY(batch(f->arg, false));
        sync->stopped = sync->pause && sync->pause(sync->arg);
    }
    return NULL;
}

static err_t *fetch_uids(box_sync_t *sync, const uint32_t *uids, size_t n, imap_each_t each,
                         err_t *(*batch)(void *arg, bool begins), void *arg) {
    fetch_t f = {.sync = sync, .each = each, .arg = arg};
    CLEANUP(mem_free) sizes_t *sizes = mem_alloc(sizeof *sizes);
    if (!sizes) return err_nomem();
    for (size_t at = 0; at < n && !sync->stopped; at += SIZES) {
        sizes->n = 0;
        TRY(imap_sizes(sync->imap, uids + at, n - at < SIZES ? n - at : SIZES, take_size, sizes));
        TRY(fetch_sized(&f, sizes, batch));
    }
    return NULL;
}

err_t *box_sync_new(box_sync_t *sync, uint32_t from, imap_each_t each,
                    err_t *(*batch)(void *arg, bool begins), void *arg) {
    CLEANUP(mem_free) uint32_t *uids = NULL;
    size_t n = 0;
    TRY(imap_uids(sync->imap, from, &uids, &n));
    return fetch_uids(sync, uids, n, each, batch, arg);
}

/* ---- into the database ---- */

typedef struct {
    box_sync_t *sync;
    box_db_t *db;
    int64_t folder;
} into_t;

err_t *box_sync_keep(box_db_t *db, const rnd_t *rnd, int64_t folder, const imap_message_t *message,
                     bool *ret_new) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t text;
    box_row_t row = {.uid = message->uid, .flags = message->flags};
    buf_init(&text, (size_t)LIMIT_BOX_TEXT * 4);
    TRY(arena_new(ARENA_MAX, &arena));
    TRY(box_row_read(arena, rnd, message->message, &row, &text));
    return box_db_add(db, folder, &row, buf_bytes(&text), message->message, ret_new);
}

static err_t *keep(void *arg, const imap_message_t *m) {
    const into_t *into = arg;
    return box_sync_keep(into->db, into->sync->rnd, into->folder, m, NULL);
}

static err_t *batch(void *arg, bool begins) {
    const into_t *into = arg;
    return begins ? box_db_begin(into->db) : box_db_commit(into->db);
}

static err_t *change(void *arg, const imap_message_t *m) {
    const into_t *into = arg;
    return box_db_set_flags(into->db, into->folder, m->uid, m->flags);
}

/* A range that a stranger names may be of any length. */
static err_t *gone(void *arg, uint32_t first, uint32_t last) {
    const into_t *into = arg;
    if (last < first || last - first > LIMIT_BOX_MESSAGES)
        return err_new(ERR_LIMIT, "IMAP: the server says that everything is gone");
    for (uint32_t uid = first; uid <= last && uid; uid++)
        TRY(box_db_remove(into->db, into->folder, uid));
    return NULL;
}

/* All of the changes in one transaction. */
static err_t *apply_changes(into_t *into, uint64_t modseq, bool *ret_vanished) {
    TRY(box_db_begin(into->db));
    err_t *e = imap_changes(into->sync->imap, modseq, change, gone, into, ret_vanished);
    if (!e) e = box_db_commit(into->db);
    if (e) box_db_rollback(into->db);
    return e;
}

static err_t *compare_all(into_t *into) {
    CLEANUP(mem_free) uint32_t *uids = NULL;
    size_t n = 0;
    TRY(imap_uids(into->sync->imap, 1, &uids, &n));
    TRY(box_db_begin(into->db));
    err_t *e = box_db_keep_only(into->db, into->folder, uids, n);
    if (!e) e = box_db_commit(into->db);
    if (e) box_db_rollback(into->db);
    return e;
}

static err_t *sync_known(into_t *into, const box_folder_t *folder, const imap_selected_t *now) {
    bool vanished = false;
    if (!folder->last_uid || (folder->modseq && folder->modseq == now->modseq)) return NULL;
    if (folder->modseq) TRY(apply_changes(into, folder->modseq, &vanished));
    return vanished ? NULL : compare_all(into);
}

/* All that the server has and the database hasn't. */
static err_t *fetch_missing(into_t *into) {
    CLEANUP(mem_free) uint32_t *uids = NULL;
    size_t n = 0, missing = 0;
    TRY(imap_uids(into->sync->imap, 1, &uids, &n));
    for (size_t i = 0; i < n; i++) {
        bool has = false;
        TRY(box_db_has(into->db, into->folder, uids[i], &has));
        if (!has) uids[missing++] = uids[i];
    }
    return fetch_uids(into->sync, uids, missing, keep, batch, into);
}

static err_t *fetch_new(into_t *into, const box_folder_t *folder, const char *name) {
    if (into->sync->whole && strcmp(name, "INBOX") == 0) return fetch_missing(into);
    if (folder->last_uid == UINT32_MAX) return NULL;
    return box_sync_new(into->sync, folder->last_uid + 1, keep, batch, into);
}

err_t *box_sync_folder(box_sync_t *sync, box_db_t *db, const char *name,
                       imap_selected_t *ret_selected) {
    imap_selected_t now;
    box_folder_t folder;
    TRY(imap_select(sync->imap, name, &now));
    TRY(box_db_folder(db, name, now.uidvalidity, &folder));
    into_t into = {.sync = sync, .db = db, .folder = folder.id};
    TRY(sync_known(&into, &folder, &now));
    err_t *e = fetch_new(&into, &folder, name);
    if (e) {
        box_db_rollback(db);
        return e;
    }
    if (!sync->stopped && now.modseq) TRY(box_db_set_modseq(db, folder.id, now.modseq));
    if (ret_selected) *ret_selected = now;
    return NULL;
}

typedef struct {
    char **names;
    size_t n;
} names_t;

static void names_done(names_t *names) {
    for (size_t i = 0; i < names->n; i++) mem_free(names->names[i]);
    mem_free(names->names);
}

static err_t *take_name(void *arg, const char *name) {
    names_t *names = arg;
    if (strcasecmp(name, "INBOX") == 0 || names->n == LIMIT_BOX_FOLDERS) return NULL;
    names->names[names->n] = mem_strdup(name);
    return names->names[names->n++] ? NULL : err_nomem();
}

/* A folder that can't be had does not keep the others away. */
static err_t *sync_other(box_sync_t *sync, box_db_t *db, const char *name) {
    err_t *e = box_sync_folder(sync, db, name, NULL);
    if (e && err_code(e) != ERR_UNAVAILABLE) return e;
    err_free(e);
    return NULL;
}

err_t *box_sync_all(box_sync_t *sync, box_db_t *db) {
    names_t names = {.names = mem_array(LIMIT_BOX_FOLDERS, sizeof *names.names)};
    if (!names.names) return err_nomem();
    err_t *e = box_sync_folder(sync, db, "INBOX", NULL);
    if (!e && !sync->stopped) e = imap_folders(sync->imap, take_name, &names);
    for (size_t i = 0; i < names.n && !e && !sync->stopped; i++)
        e = sync_other(sync, db, names.names[i]);
    names_done(&names);
    return e;
}

/* ---- into the class-B inbox ---- */

typedef struct {
    box_sync_t *sync;
    const keybag_t *bag;
    const char *dir;
    box_cursor_t *cursor;
    box_usage_t usage;
} collect_t;

static err_t *collect(void *arg, const imap_message_t *m) {
    collect_t *c = arg;
    const box_item_t item = {.folder = "INBOX",
                             .uidvalidity = c->cursor->uidvalidity,
                             .uid = m->uid,
                             .flags = m->flags,
                             .message = m->message};
    TRY(box_inbox_add(c->bag, c->sync->rnd, c->dir, &item, &c->usage));
    if (m->uid >= c->cursor->next_uid && m->uid < UINT32_MAX) c->cursor->next_uid = m->uid + 1;
    return NULL;
}

err_t *box_sync_collect(box_sync_t *sync, const keybag_t *bag, const char *inbox_dir,
                        box_cursor_t *cursor) {
    imap_selected_t now;
    collect_t c = {.sync = sync, .bag = bag, .dir = inbox_dir, .cursor = cursor};
    TRY(box_inbox_usage(inbox_dir, &c.usage));
    TRY(imap_select(sync->imap, "INBOX", &now));
    if (now.uidvalidity != cursor->uidvalidity)
        *cursor = (box_cursor_t){.uidvalidity = now.uidvalidity, .next_uid = 1};
    return box_sync_new(sync, cursor->next_uid, collect, NULL, &c);
}
