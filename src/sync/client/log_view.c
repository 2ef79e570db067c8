/*
 * The log as a device sees it: see log_view.h. In the client; one thread.
 */
#include "sync/client/log_view.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/note.h"
#include "format/json.h"

enum {
    STATE_LOG = 12, /* table of the local state */
    PATH_SIZE = 160,
    BUNDLE_MAX = TLOG_TILE * (2 + SYNC_LEAF_SIZE),
    AUDIT_MAX = 16 + MERKLE_DEPTH * MERKLE_HASH,
};

#define KEY   BYTES_LIT("key")
#define NOTE  BYTES_LIT("note")
#define AUDIT BYTES_LIT("audit")

void log_view_done(log_view_t *view) {
    mem_free(view->key_text);
    mem_free(view->origin);
    pkey_free(view->key);
    mem_free(view->tiles);
    buf_done(&view->note);
    *view = (log_view_t){0};
}

/* ---- the key ---- */

static bytes_t first_line(bytes_t text) { return bytes_slice(text, 0, bytes_find(text, '\n')); }

static err_t *take_key(log_view_t *view, bytes_t text) {
    bytes_t name;
    view->key_text = mem_strndup((const char *)text.p, text.n);
    if (!view->key_text) return err_nomem();
    TRY(note_verifier_parse(text, &name, &view->key));
    view->origin = mem_strndup((const char *)name.p, name.n);
    return view->origin ? NULL : err_nomem();
}

/* The one that was kept holds, whatever is said now; then the one that is given. */
static err_t *find_key(log_view_t *view, const char *given) {
    CLEANUP(buf_done) buf_t text;
    bool kept = false;
    buf_init(&text, LIMIT_NOTE_BYTES);
    TRY(db_local_get(view->state, STATE_LOG, KEY, &kept, &text));
    if (kept && given && !bytes_eq_str(buf_bytes(&text), given))
        return err_new(ERR_VERIFY, "log-key: this device knows the log by the key %.*s",
                       (int)text.n, (const char *)text.p);
    if (kept) return take_key(view, buf_bytes(&text));
    if (given) return take_key(view, bytes_str(given));
    TRY(sync_http_log(view->http, "/log/key", &text));
    return take_key(view, first_line(buf_bytes(&text)));
}

/* ---- what was seen ---- */

static err_t *load_seen(log_view_t *view) {
    CLEANUP(buf_done) buf_t note;
    tlog_checkpoint_t seen;
    bool found = false;
    buf_init(&note, LIMIT_NOTE_BYTES);
    TRY(db_local_get(view->state, STATE_LOG, NOTE, &found, &note));
    if (!found) return NULL;
    TRY_WRAP(tlog_checkpoint_open(buf_bytes(&note), view->key, view->origin, &seen),
             "the checkpoint in the local state");
    view->seen = seen.size;
    memcpy(view->seen_root, seen.root, MERKLE_HASH);
    return NULL;
}

err_t *log_view_open(sync_http_t *http, db_local_t *state, const char *key, log_view_t *ret_view) {
    CLEANUP(log_view_done) log_view_t view = {.http = http, .state = state};
    buf_init(&view.note, LIMIT_NOTE_BYTES);
    view.tiles = mem_zalloc(LOG_VIEW_TILES * sizeof *view.tiles);
    if (!view.tiles) return err_nomem();
    TRY(find_key(&view, key));
    TRY(load_seen(&view));
    *ret_view = view;
    view = (log_view_t){0};
    return NULL;
}

err_t *log_view_forget(db_local_t *state, const char *key) {
    CLEANUP(buf_done) buf_t changes;
    CLEANUP(pkey_free) pkey_t *parsed = NULL;
    bytes_t name;
    buf_init(&changes, 4096);
    TRY(db_local_drop(&changes, STATE_LOG, NOTE));
    TRY(db_local_drop(&changes, STATE_LOG, AUDIT));
    if (key) {
        TRY(note_verifier_parse(bytes_str(key), &name, &parsed));
        TRY(db_local_put(&changes, STATE_LOG, KEY, bytes_str(key)));
    }
    return db_local_apply(state, buf_bytes(&changes));
}

err_t *log_view_keep(const log_view_t *view, const tlog_audit_t *audit) {
    CLEANUP(buf_done) buf_t changes, value;
    buf_init(&changes, 2 * LIMIT_NOTE_BYTES + 2 * (size_t)AUDIT_MAX);
    buf_init(&value, AUDIT_MAX);
    TRY(db_local_put(&changes, STATE_LOG, KEY, bytes_str(view->key_text)));
    TRY(db_local_put(&changes, STATE_LOG, NOTE, buf_bytes(&view->note)));
    if (audit) {
        TRY(tlog_audit_put(audit, &value));
        TRY(db_local_put(&changes, STATE_LOG, AUDIT, buf_bytes(&value)));
    }
    return db_local_apply(view->state, buf_bytes(&changes));
}

err_t *log_view_audit(const log_view_t *view, tlog_audit_t *ret_audit) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    buf_init(&value, AUDIT_MAX);
    TRY(db_local_get(view->state, STATE_LOG, AUDIT, &found, &value));
    if (found) return tlog_audit_parse(buf_bytes(&value), ret_audit);
    *ret_audit = (tlog_audit_t){0};
    return NULL;
}

/* ---- tiles ---- */

static err_t *fetch_tile(log_view_t *view, int level, uint64_t index, buf_t *ret_tile) {
    char tile[TLOG_PATH_MAX], path[PATH_SIZE];
    unsigned width = tlog_tile_width(view->newest.size, level < 0 ? 0 : (unsigned)level, index);
    TRY(tlog_tile_path(level, index, width, tile));
    (void)snprintf(path, sizeof path, "/log/%s", tile);
    err_t *e = sync_http_log(view->http, path, ret_tile);
    if (e && err_code(e) == ERR_NOT_FOUND)
        return err_recode(
            err_wrap(e, "log-invalid: the service has signed %s and does not show it", tile),
            ERR_VERIFY);
    return e;
}

err_t *log_view_bundle(log_view_t *view, uint64_t tile, buf_t *ret_bundle) {
    return fetch_tile(view, -1, tile, ret_bundle);
}

/* As wide as the newest tree has it. */
static err_t *find_tile(log_view_t *view, unsigned level, uint64_t index,
                        const log_tile_t **ret_tile) {
    CLEANUP(buf_done) buf_t hashes;
    unsigned width = tlog_tile_width(view->newest.size, level, index);
    buf_init(&hashes, TLOG_TILE * MERKLE_HASH);
    for (size_t i = 0; i < LOG_VIEW_TILES; i++) {
        *ret_tile = &view->tiles[i];
        if ((*ret_tile)->level == level && (*ret_tile)->index == index &&
            (*ret_tile)->width == width)
            return NULL;
    }
    TRY(fetch_tile(view, (int)level, index, &hashes));
    if (width == 0 || hashes.n != (size_t)width * MERKLE_HASH)
        return err_new(ERR_VERIFY, "log-invalid: a tile of another length");
    log_tile_t *tile = &view->tiles[view->tiles_next++ % LOG_VIEW_TILES];
    tile->level = level;
    tile->index = index;
    tile->width = width;
    bytes_put(tile->hashes, buf_bytes(&hashes));
    *ret_tile = tile;
    return NULL;
}

static err_t *read_tile(void *ctx, unsigned level, uint64_t index, unsigned width,
                        uint8_t (*ret_hashes)[MERKLE_HASH]) {
    const log_tile_t *tile = NULL;
    TRY(find_tile(ctx, level, index, &tile));
    if (width > tile->width) return err_new(ERR_VERIFY, "log-invalid: a tile that is too short");
    memcpy(ret_hashes, tile->hashes, (size_t)width * MERKLE_HASH);
    return NULL;
}

/* The newest tree begins with this one. */
static err_t *goes_on(log_view_t *view, uint64_t size, const uint8_t root[MERKLE_HASH]) {
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    tlog_tiles_t tiles = {view, read_tile};
    size_t n = 0;
    if (size > view->newest.size)
        return err_new(ERR_VERIFY,
                       "log-rolled-back: the service shows %llu entries of the log, there were "
                       "%llu",
                       (unsigned long long)view->newest.size, (unsigned long long)size);
    TRY(tlog_consistency(&tiles, size, view->newest.size, proof, &n));
    err_t *e = merkle_check_consistency(size, root, view->newest.size, view->newest.root,
                                        (const uint8_t(*)[MERKLE_HASH])proof, n);
    return e ? err_wrap(e,
                        "log-forked: the log does not go on from the %llu entries that were seen",
                        (unsigned long long)size)
             : NULL;
}

static err_t *open_note(const log_view_t *view, bytes_t note, tlog_checkpoint_t *ret_checkpoint) {
    err_t *e = tlog_checkpoint_open(note, view->key, view->origin, ret_checkpoint);
    if (!e || err_code(e) == ERR_NOMEM) return e;
    return err_recode(err_wrap(e, "log-unsigned: no checkpoint by the key %s", view->key_text),
                      ERR_VERIFY);
}

err_t *log_view_refresh(log_view_t *view) {
    CLEANUP(buf_done) buf_t note;
    buf_init(&note, LIMIT_NOTE_BYTES);
    TRY(sync_http_log(view->http, "/log/checkpoint", &note));
    buf_done(&view->note);
    view->note = note;
    buf_init(&note, 0);
    view->newest.size = 0;
    TRY(open_note(view, buf_bytes(&view->note), &view->newest));
    return view->seen ? goes_on(view, view->seen, view->seen_root) : NULL;
}

err_t *log_view_compare(log_view_t *view, bytes_t note, uint64_t *ret_size) {
    tlog_checkpoint_t theirs;
    TRY(open_note(view, note, &theirs));
    TRY(goes_on(view, theirs.size, theirs.root));
    *ret_size = theirs.size;
    return NULL;
}

/* ---- entries ---- */

err_t *log_view_read(log_view_t *view, const sync_chain_t *chain, tlog_audit_t *audit) {
    CLEANUP(buf_done) buf_t bundle;
    buf_init(&bundle, BUNDLE_MAX);
    while (audit->tree.n < view->newest.size) {
        TRY(log_view_bundle(view, audit->tree.n / TLOG_TILE, &bundle));
        TRY(tlog_audit_take(audit, chain, view->newest.size, buf_bytes(&bundle)));
    }
    return tlog_audit_check(audit, &view->newest);
}

/* The service says where it is; the proof says whether that is so. */
static err_t *ask_index(log_view_t *view, const sync_chain_head_t *head, uint64_t *ret_index) {
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(buf_done) buf_t answer;
    CLEANUP(jso_free) json_t *json = NULL;
    char path[PATH_SIZE];
    int64_t index = 0;
    buf_init(&answer, LIMIT_NOTE_BYTES);
    TRY(text_hex_new(BYTES_ARRAY(head->region), &hex));
    (void)snprintf(path, sizeof path, "/log/index/%s/%llu", hex,
                   (unsigned long long)head->position);
    TRY(sync_http_log(view->http, path, &answer));
    TRY(jso_parse_object(buf_bytes(&answer), &json));
    TRY(jso_get_int(json, "index", 0, INT64_MAX, true, &index));
    *ret_index = (uint64_t)index;
    return NULL;
}

err_t *log_view_include(log_view_t *view, const sync_chain_t *chain, uint64_t *ret_index) {
    CLEANUP(buf_done) buf_t record;
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], hash[MERKLE_HASH];
    tlog_tiles_t tiles = {view, read_tile};
    sync_chain_head_t head;
    sync_leaf_t leaf = {0};
    uint64_t index = 0;
    size_t n = 0;
    buf_init(&record, SYNC_LEAF_SIZE);
    TRY(sync_chain_head(chain, &head));
    leaf.position = head.position;
    memcpy(leaf.region, head.region, SYNC_HASH);
    memcpy(leaf.head, head.head, SYNC_HASH);
    TRY(sync_leaf_put(&leaf, &record));
    TRY(merkle_leaf(buf_bytes(&record), hash));
    TRY(ask_index(view, &head, &index));
    TRY(tlog_inclusion(&tiles, view->newest.size, index, proof, &n)); /* ERR_NOT_FOUND: not yet */
    TRY_WRAP(merkle_check_inclusion(view->newest.size, index, hash,
                                    (const uint8_t(*)[MERKLE_HASH])proof, n, view->newest.root),
             "log-withheld: the log has another entry there");
    *ret_index = index;
    return NULL;
}
