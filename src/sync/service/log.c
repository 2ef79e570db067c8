/*
 * The log of chain heads (C2SP tlog-tiles): a leaf for each entry of any chain, in the entry's own
 * transaction. What is kept are the hashes of each level of tiles, so that a tile is one read and
 * the root a few. Worker threads and the thread that has checkpoints signed.
 */
#include "store/sync_log.h"
#include "sync/service/service_internal.h"

enum { LEVELS = 8, ARENA = 1024 * 1024 };

/* ---- writing ---- */

/* A tile that is full gives one hash of the next level. */
static err_t *fill_up(sync_call_t *call, db_conn_t *conn, int64_t number) {
    for (int64_t level = 0; level < LEVELS; level++, number /= TLOG_TILE) {
        uint8_t root[MERKLE_HASH];
        merkle_t merkle;
        bytes_t hashes;
        if ((number + 1) % TLOG_TILE != 0) return NULL;
        int64_t tile = number / TLOG_TILE;
        TRY(db_sync_log_read(conn, call->arena, level, tile * TLOG_TILE, TLOG_TILE, &hashes));
        merkle_init(&merkle);
        for (size_t at = 0; at < hashes.n; at += MERKLE_HASH)
            TRY(merkle_add(&merkle, hashes.p + at));
        TRY(merkle_root(&merkle, root));
        TRY(db_sync_log_add(conn, level + 1, tile, BYTES_ARRAY(root)));
    }
    return NULL;
}

err_t *log_append(sync_call_t *call, db_conn_t *conn, const sync_leaf_t *leaf,
                  db_sync_entry_t *row) {
    CLEANUP(buf_done) buf_t record;
    uint8_t hash[MERKLE_HASH];
    int64_t size = 0;
    buf_init(&record, SYNC_LEAF_SIZE);
    TRY(sync_leaf_put(leaf, &record));
    TRY(merkle_leaf(buf_bytes(&record), hash));
    TRY(db_sync_log_size(conn, &size));
    TRY(db_sync_log_add(conn, 0, size, BYTES_ARRAY(hash)));
    TRY(fill_up(call, conn, size));
    row->leaf = size;
    return arena_copy(call->arena, buf_bytes(&record), &row->leaf_record);
}

/* ---- checkpoints ---- */

typedef struct {
    arena_t *arena;
    db_conn_t *conn;
    int64_t size, signed_size;
    uint8_t root[MERKLE_HASH];
    bytes_t note;
} head_t;

static err_t *read_tile(void *ctx, unsigned level, uint64_t index, unsigned width,
                        uint8_t (*ret_hashes)[MERKLE_HASH]) {
    head_t *head = ctx;
    bytes_t hashes;
    TRY(db_sync_log_read(head->conn, head->arena, level, (int64_t)index * TLOG_TILE, width,
                         &hashes));
    if (hashes.n != (size_t)width * MERKLE_HASH)
        return err_new(ERR_INTERNAL, "the log has lost hashes");
    bytes_put(ret_hashes, hashes);
    return NULL;
}

static err_t *head_fn(db_conn_t *conn, void *arg) {
    head_t *head = arg;
    tlog_tiles_t tiles = {head, read_tile};
    head->conn = conn;
    TRY(db_sync_log_size(conn, &head->size));
    TRY(db_sync_checkpoint_get(conn, head->arena, &head->signed_size, &head->note));
    if (head->size == head->signed_size) return NULL; /* nobody needs it */
    return tlog_root(&tiles, (uint64_t)head->size, head->root);
}

err_t *sync_log_head(sync_service_t *service, uint64_t *ret_size, uint8_t ret_root[SYNC_HASH],
                     uint64_t *ret_signed) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    head_t head = {.arena = arena};
    TRY(db_read(service->o.db, head_fn, &head));
    *ret_size = (uint64_t)head.size;
    *ret_signed = (uint64_t)head.signed_size;
    memcpy(ret_root, head.root, SYNC_HASH);
    return NULL;
}

typedef struct {
    head_t head;
    uint64_t old_size, size;
    uint8_t hashes[MERKLE_PROOF_MAX][MERKLE_HASH];
    size_t n;
} proof_t;

static err_t *proof_fn(db_conn_t *conn, void *arg) {
    proof_t *proof = arg;
    tlog_tiles_t tiles = {&proof->head, read_tile};
    proof->head.conn = conn;
    return tlog_consistency(&tiles, proof->old_size, proof->size, proof->hashes, &proof->n);
}

err_t *sync_log_proof(sync_service_t *service, uint64_t old_size, uint64_t size, buf_t *out) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    proof_t proof = {.head = {.arena = arena}, .old_size = old_size, .size = size};
    TRY(db_read(service->o.db, proof_fn, &proof));
    return buf_add(out, bytes_make(proof.hashes[0], proof.n * MERKLE_HASH));
}

typedef struct {
    int64_t size;
    bytes_t note;
} keep_t;

static err_t *keep_fn(db_conn_t *conn, void *arg) {
    const keep_t *keep = arg;
    return db_sync_checkpoint_put(conn, keep->size, keep->note);
}

err_t *sync_log_keep(sync_service_t *service, uint64_t size, bytes_t note) {
    keep_t keep = {(int64_t)size, note};
    return db_write(service->o.db, keep_fn, &keep);
}

/* ---- reading ---- */

typedef struct {
    sync_call_t *call;
    bool entries;
    unsigned level;
    uint64_t index;
    unsigned width;
    buf_t *out;
} tile_t;

static err_t *checkpoint_fn(db_conn_t *conn, void *arg) {
    tile_t *t = arg;
    int64_t size = 0;
    bytes_t note = BYTES_NONE;
    TRY(db_sync_checkpoint_get(conn, t->call->arena, &size, &note));
    if (size == 0) return sync_no(t->call, SYNC_WORD_ABSENT, "nothing was signed yet");
    return buf_add(t->out, note);
}

err_t *sync_log_checkpoint(sync_call_t *call, buf_t *out) {
    tile_t t = {.call = call, .out = out};
    return db_read(call->service->o.db, checkpoint_fn, &t);
}

static err_t *bundle(const tile_t *t, db_conn_t *conn) {
    db_sync_entry_t *rows = NULL;
    size_t n = 0;
    TRY(db_sync_entry_leaves(conn, t->call->arena, (int64_t)t->index * TLOG_TILE, t->width, &rows,
                             &n));
    for (size_t i = 0; i < n; i++) TRY(tlog_bundle_add(rows[i].leaf_record, t->out));
    return NULL;
}

/* Nothing beyond the checkpoint is shown: what nobody signed can't be checked. */
static err_t *tile_fn(db_conn_t *conn, void *arg) {
    tile_t *t = arg;
    int64_t size = 0;
    bytes_t note = BYTES_NONE, hashes;
    TRY(db_sync_checkpoint_get(conn, t->call->arena, &size, &note));
    if (t->width > tlog_tile_width((uint64_t)size, t->level, t->index))
        return sync_no(t->call, SYNC_WORD_ABSENT, "the signed tree has no such tile");
    if (t->entries) return bundle(t, conn);
    TRY(db_sync_log_read(conn, t->call->arena, t->level, (int64_t)t->index * TLOG_TILE, t->width,
                         &hashes));
    return buf_add(t->out, hashes);
}

err_t *sync_log_tile(sync_call_t *call, bytes_t path, buf_t *out) {
    tile_t t = {.call = call, .out = out};
    int level = 0;
    if (!tlog_tile_parse(path, &level, &t.index, &t.width) || level >= LEVELS)
        return sync_no(call, SYNC_WORD_ABSENT, "not the name of a tile");
    t.entries = level < 0;
    t.level = t.entries ? 0 : (unsigned)level;
    return db_read(call->service->o.db, tile_fn, &t);
}

typedef struct {
    sync_call_t *call;
    const uint8_t *region;
    int64_t position, index;
} index_t;

static err_t *index_fn(db_conn_t *conn, void *arg) {
    index_t *x = arg;
    db_sync_entry_t *rows = NULL;
    size_t n = 0;
    TRY(call_region(x->call, conn, x->region));
    TRY(db_sync_entry_list(conn, x->call->arena, x->call->region.seq, x->position, 1, &rows, &n));
    if (n == 0) return sync_no(x->call, SYNC_WORD_ABSENT, "the chain has no such entry");
    x->index = rows[0].leaf;
    return NULL;
}

err_t *sync_log_index(sync_call_t *call, const uint8_t region[SYNC_HASH], int64_t position,
                      int64_t *ret_index) {
    index_t x = {.call = call, .region = region, .position = position};
    TRY(db_read(call->service->o.db, index_fn, &x));
    *ret_index = x.index;
    return NULL;
}
