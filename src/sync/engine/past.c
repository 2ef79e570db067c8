/*
 * Old roots and lists: see past.h. In the client; one thread.
 */
#include "sync/engine/past.h"

#include <stdlib.h>

#include "base/mem.h"

enum {
    BATCH = 1000, /* roots asked for at once */
    ROOT_RUN_MAX = LIMIT_SYNC_CHANGES * 2 * SYNC_HASH + 64,
    LIST_MAX = 512 * 1024 * 1024, /* bytes of one folder's entries in memory */
};

static void batch_done(past_batch_t *batch) {
    mem_free(batch->roots);
    buf_done(&batch->runs);
    *batch = (past_batch_t){0};
}
DEFINE_CLEANUP_VALUE(past_batch_t, batch_done)

void past_init(past_t *past, sync_engine_t *engine) {
    *past = (past_t){.engine = engine};
    past->batch.first = engine->seen.counter + 1;
    memcpy(past->previous, engine->seen.hash, SYNC_HASH);
}

void past_done(past_t *past) {
    for (size_t i = 0; i < PAST_LISTS; i++) past_release(past->lists[i]);
    batch_done(&past->batch);
    batch_done(&past->newer);
    *past = (past_t){0};
}

/* ---- roots ---- */

/* The roots of the answer from the batch's first one up to `last`; it may not reach that. */
static err_t *parse(past_batch_t *batch, uint64_t last) {
    bytes_t runs = buf_bytes(&batch->runs);
    for (uint64_t counter = batch->first; runs.n && counter <= last; counter++, batch->n++) {
        bytes_t root_run, change_run;
        past_root_t *it = &batch->roots[batch->n];
        TRY(keys_runs_next(&runs, SYNC_ROOT_MAX, &root_run));
        TRY(keys_runs_next(&runs, ROOT_RUN_MAX, &change_run));
        TRY(sync_root_parse(root_run, &it->root));
        if (it->root.counter != counter) return err_new(ERR_VERIFY, "a root of another number");
        TRY(sync_change_open(&it->root, change_run, &it->change));
    }
    return NULL;
}

/* From the newest down, each is the one that the next one follows; who made it signed it. */
static err_t *check_line(past_t *past, const past_batch_t *batch) {
    uint8_t wanted[SYNC_HASH], hash[SYNC_HASH];
    memcpy(wanted, past->previous, SYNC_HASH);
    for (size_t n = batch->n; n--;) {
        const sync_root_t *root = &batch->roots[n].root;
        TRY(sync_root_hash(root, hash));
        if (memcmp(hash, wanted, SYNC_HASH) != 0)
            return err_new(ERR_VERIFY, "another root %llu", (unsigned long long)root->counter);
        TRY(sync_root_check(root, past->engine->chain));
        memcpy(wanted, root->previous, SYNC_HASH);
    }
    memcpy(past->previous, wanted, SYNC_HASH);
    return NULL;
}

static err_t *ask(sync_engine_t *engine, past_batch_t *batch) {
    const sync_remote_t *remote = engine->c.remote;
    buf_init(&batch->runs, SYNC_REMOTE_ANSWER);
    err_t *e = remote->roots(remote->ctx, batch->first - 1, &batch->runs);
    if (e && err_code(e) == ERR_NOT_FOUND) return engine_alarm(engine, SYNC_ALARM_WITHHELD, e);
    return engine_judge(engine, e);
}

static void take_batch(past_t *past, past_batch_t *batch) {
    past_batch_t freed = past->newer;
    past->newer = past->batch;
    past->batch = *batch;
    *batch = freed;
}

/* The `many` roots up to `last`; *ret_done false if the answer was cut before that. */
static err_t *load_many(past_t *past, uint64_t last, uint64_t many, bool *ret_done) {
    CLEANUP(batch_done) past_batch_t batch = {.first = last - many + 1};
    batch.roots = mem_array((size_t)many, sizeof *batch.roots);
    if (!batch.roots) return err_nomem();
    TRY(ask(past->engine, &batch));
    err_t *e = parse(&batch, last);
    *ret_done = e || batch.n == many;
    if (!e && *ret_done) e = check_line(past, &batch);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e) return engine_alarm(past->engine, SYNC_ALARM_FORK, e);
    if (*ret_done) take_batch(past, &batch);
    return NULL;
}

/* The roots before the batch; fewer of them where they are so long that an answer is cut. */
static err_t *load_before(past_t *past) {
    uint64_t last = past->batch.first - 1;
    for (uint64_t many = last < BATCH ? last : BATCH; many; many = many > 1 ? (many + 3) / 4 : 0) {
        bool done = false;
        TRY(load_many(past, last, many, &done));
        if (done) return NULL;
    }
    return engine_alarm(past->engine, SYNC_ALARM_WITHHELD, NULL);
}

err_t *past_root(past_t *past, uint64_t counter, const past_root_t **ret_root) {
    const past_batch_t *batch = &past->batch;
    if (counter == 0 || counter >= batch->first + batch->n) batch = &past->newer;
    if (counter == 0 || counter >= batch->first + batch->n)
        return err_new(ERR_INTERNAL, "a root that can't be looked back at");
    while (counter < past->batch.first) TRY(load_before(past));
    *ret_root = &batch->roots[counter - batch->first];
    return NULL;
}

static int by_id(const void *a, const void *b) { return memcmp(a, b, SYNC_HASH); }

static bool has(bytes_t ids, const uint8_t id[SYNC_HASH]) {
    return ids.n && bsearch(id, ids.p, ids.n / SYNC_HASH, SYNC_HASH, by_id);
}

bool past_added(const past_root_t *root, const uint8_t package[SYNC_HASH]) {
    return has(root->change.added, package);
}

bool past_dropped(const past_root_t *root, const uint8_t package[SYNC_HASH]) {
    return has(root->change.dropped, package);
}

/* ---- lists ---- */

void past_release(past_list_t *list) {
    if (!list || --list->users) return;
    arena_free(list->arena);
    mem_free(list->entries);
    mem_free(list);
}

static err_t *keep_entry(past_list_t *list, const sync_entry_t *entry, size_t *room) {
    if (list->n == *room) {
        size_t more = *room * 2 + 16;
        sync_entry_t *grown = mem_resize(list->entries, more * sizeof *grown);
        if (!grown) return err_nomem();
        list->entries = grown;
        *room = more;
    }
    sync_entry_t copy = *entry;
    TRY(arena_copy(list->arena, entry->name, &copy.name));
    TRY(arena_copy(list->arena, entry->fold, &copy.fold));
    TRY(arena_copy(list->arena, entry->target, &copy.target));
    list->entries[list->n++] = copy;
    return NULL;
}

static err_t *read_entries(past_list_t *list, bytes_t plain, size_t *room) {
    sync_folder_reader_t reader;
    sync_entry_t entry;
    TRY(sync_folder_open(plain, &reader));
    for (bool found = false;;) {
        TRY(sync_folder_next(&reader, &found, &entry));
        if (!found) return NULL;
        TRY(keep_entry(list, &entry, room));
    }
}

/* One list as it is written, pages not followed. ERR_NOT_FOUND: it is kept no more. */
static err_t *read_one(past_t *past, const uint8_t id[SYNC_HASH], past_list_t *list) {
    sync_engine_t *engine = past->engine;
    sync_package_t package;
    size_t room = list->n;
    TRY(pull_package(engine, id, &package));
    TRY(pull_plain(engine, &package, SYNC_META_FOLDER, &engine->list));
    memset(engine->pack, 0, SYNC_HASH);
    err_t *e = read_entries(list, buf_bytes(&engine->list), &room);
    buf_clear(&engine->list);
    if (!e || err_code(e) == ERR_NOMEM) return e;
    return engine_alarm(engine, SYNC_ALARM_TREE, e);
}

/* Puts what the page at `at` has into its place. */
static err_t *open_page(past_t *past, past_list_t *list, size_t at) {
    past_list_t page = {.arena = list->arena};
    err_t *e = read_one(past, list->entries[at].package, &page);
    size_t more = page.n, behind = list->n - at - 1;
    sync_entry_t *grown = NULL;
    if (!e) grown = mem_resize(list->entries, (list->n + more) * sizeof *grown);
    if (!e && !grown) e = err_nomem();
    if (!e) {
        list->entries = grown;
        if (behind) memmove(&grown[at + more], &grown[at + 1], behind * sizeof *grown);
        if (more) memcpy(&grown[at], page.entries, more * sizeof *grown);
        list->n = list->n - 1 + more;
    }
    mem_free(page.entries);
    return e;
}

/* Pages within pages are few: LIMIT_SYNC_PAGES deep, and each opened page has others' names. */
static err_t *open_pages(past_t *past, past_list_t *list) {
    for (size_t at = 0, opened = 0; at < list->n;) {
        if (list->entries[at].kind != SYNC_ENTRY_PAGE) {
            at++;
            continue;
        }
        if (++opened > (size_t)LIMIT_SYNC_ENTRIES * LIMIT_SYNC_PAGES)
            return engine_alarm(past->engine, SYNC_ALARM_TREE, NULL);
        TRY(open_page(past, list, at));
    }
    return NULL;
}

static err_t *load_list(past_t *past, const uint8_t package[SYNC_HASH], past_list_t **ret_list) {
    CLEANUP(past_release) past_list_t *list = mem_zalloc(sizeof *list);
    if (!list) return err_nomem();
    list->users = 1;
    memcpy(list->package, package, SYNC_HASH);
    TRY(arena_new(LIST_MAX, &list->arena));
    TRY(read_one(past, package, list));
    TRY(open_pages(past, list));
    *ret_list = STEAL(list);
    return NULL;
}

err_t *past_list(past_t *past, const uint8_t package[SYNC_HASH], past_list_t **ret_list) {
    past_list_t *list = NULL;
    for (size_t i = 0; i < PAST_LISTS && !list; i++)
        if (past->lists[i] && memcmp(past->lists[i]->package, package, SYNC_HASH) == 0)
            list = past->lists[i];
    if (!list) {
        past->engine->from_service = false;
        err_t *e = load_list(past, package, &list);
        bool gone = e && err_code(e) == ERR_NOT_FOUND && !past->engine->alarm[0];
        if (gone) err_free(e);
        if (gone) *ret_list = NULL;
        if (gone || e) return gone ? NULL : e;
        past_release(past->lists[past->next]);
        past->lists[past->next] = list;
        past->next = (past->next + 1) % PAST_LISTS;
    }
    list->users++;
    *ret_list = list;
    return NULL;
}

const sync_entry_t *past_by_name(const past_list_t *list, bytes_t name) {
    for (size_t i = 0; i < list->n; i++)
        if (bytes_eq(list->entries[i].name, name)) return &list->entries[i];
    return NULL;
}

const sync_entry_t *past_by_node(const past_list_t *list, const uint8_t node[SYNC_NODE]) {
    for (size_t i = 0; i < list->n; i++)
        if (memcmp(list->entries[i].node, node, SYNC_NODE) == 0) return &list->entries[i];
    return NULL;
}
