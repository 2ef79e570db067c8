/*
 * Blobs on several stores: what there is, what is known of it, reading. See blobs.h.
 */
#include "store/blob/blobs_internal.h"

#include "base/mem.h"
#include "store/blob/disk.h"

enum { AWAY_MS = 30 * 1000, WINDOW_CHUNKS = 16, WINDOW = WINDOW_CHUNKS * SEALED_CHUNK_WHOLE };

/* ---- lifecycle ---- */

typedef struct {
    const blobs_t *blobs;
    int64_t now_ms;
} places_t;

static err_t *add_places(db_conn_t *conn, void *arg) {
    const places_t *places = arg;
    for (size_t i = 0; i < places->blobs->stores_n; i++)
        TRY(db_blob_place_add(conn, places->blobs->stores[i]->name, places->now_ms));
    return NULL;
}

static err_t *check_config(const blobs_config_t *config) {
    if (config->stores_n < 1 || config->stores_n > LIMIT_BLOB_STORES)
        return err_new(ERR_USAGE, "blobs need 1 to %d stores", LIMIT_BLOB_STORES);
    if (config->quorum < 1 || config->quorum > config->stores_n)
        return err_new(ERR_USAGE, "a quorum of %zu of %zu stores", config->quorum,
                       config->stores_n);
    for (size_t i = 0; i < config->stores_n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(config->stores[i]->name, config->stores[k]->name) == 0)
                return err_new(ERR_USAGE, "two stores are called %s", config->stores[i]->name);
    return NULL;
}

err_t *blobs_new(const blobs_config_t *config, blobs_t **ret_blobs) {
    TRY(check_config(config));
    CLEANUP(blobs_free) blobs_t *blobs = mem_zalloc(sizeof *blobs);
    if (!blobs) return err_nomem();
    blobs->db = config->db;
    blobs->clk = config->clk;
    blobs->day = config->day ? config->day : config->clk;
    blobs->rnd = config->rnd;
    blobs->keys = config->keys;
    for (size_t i = 0; i < config->stores_n; i++) blobs->stores[i] = config->stores[i];
    blobs->stores_n = config->stores_n;
    blobs->quorum = config->quorum;
    blobs->grace_ms = config->grace_ms;
    blobs->condemned_ms = config->condemned_ms;
    blobs->orphan_ms = config->orphan_ms;
    blobs->retry_ms = config->retry_ms;
    blobs->spool = mem_strdup(config->spool);
    if (!blobs->spool) return err_nomem();
    size_t removed = 0;
    TRY_WRAP(blob_tmp_sweep(blobs->spool, &removed), "the spool of blobs");
    places_t places = {blobs, clk_unix_ms(blobs->day)};
    TRY(db_write(blobs->db, add_places, &places));
    *ret_blobs = STEAL(blobs);
    return NULL;
}

void blobs_free(blobs_t *blobs) {
    if (!blobs) return;
    mem_free(blobs->spool);
    mem_free(blobs);
}

size_t blobs_wanted(const blobs_t *blobs) { return blobs->stores_n; }

/* ---- stores that are away ---- */

void blobs_note(blobs_t *blobs, size_t store, const err_t *e) {
    if (!e) atomic_store(&blobs->away_until[store], 0);
    else if (err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT)
        atomic_store(&blobs->away_until[store], clk_mono_ms(blobs->clk) + AWAY_MS);
}

bool blobs_away(blobs_t *blobs, size_t store) {
    return atomic_load(&blobs->away_until[store]) > clk_mono_ms(blobs->clk);
}

void blobs_order(blobs_t *blobs, size_t order[LIMIT_BLOB_STORES]) {
    size_t n = 0;
    bool away[LIMIT_BLOB_STORES];
    for (size_t i = 0; i < blobs->stores_n; i++) {
        away[i] = blobs_away(blobs, i);
        if (!away[i]) order[n++] = i;
    }
    for (size_t i = 0; i < blobs->stores_n; i++)
        if (away[i]) order[n++] = i;
}

/* ---- what is known of one ---- */

static err_t *find_fn(db_conn_t *conn, void *arg) {
    blobs_row_t *row = arg;
    TRY(db_blob_find(conn, row->arena, row->id, &row->blob, &row->found));
    if (!row->found) return NULL;
    return db_replica_list(conn, row->arena, row->id, &row->replicas, &row->replicas_n);
}

err_t *blobs_find(blobs_t *blobs, const blob_id_t *id, arena_t *arena, blobs_row_t *ret_row) {
    blobs_row_t row = {.id = blob_id_bytes(id), .arena = arena};
    TRY(db_read(blobs->db, find_fn, &row));
    *ret_row = row;
    return NULL;
}

static bool is_stored(const blobs_row_t *row) {
    return row->found && row->blob.size >= 0 &&
           (row->blob.state == DB_BLOB_STORED || row->blob.state == DB_BLOB_CONDEMNED);
}

static const db_replica_t *replica_of(const blobs_row_t *row, const char *store) {
    for (size_t i = 0; i < row->replicas_n; i++)
        if (strcmp(row->replicas[i].store, store) == 0) return &row->replicas[i];
    return NULL;
}

err_t *blobs_status(blobs_t *blobs, const blob_id_t *id, blob_status_t *ret_status,
                    bool *ret_found) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    blobs_row_t row;
    TRY(arena_new(BLOBS_ARENA, &arena));
    TRY(blobs_find(blobs, id, arena, &row));
    *ret_found = is_stored(&row);
    if (!is_stored(&row)) return NULL;
    blob_status_t status = {.size = (uint64_t)row.blob.size,
                            .state = (db_blob_state_t)row.blob.state,
                            .wanted = blobs->stores_n,
                            .replicas_n = blobs->stores_n};
    for (size_t i = 0; i < blobs->stores_n; i++) {
        const db_replica_t *known = replica_of(&row, blobs->stores[i]->name);
        blob_replica_t *replica = &status.replicas[i];
        *replica = (blob_replica_t){.store = blobs->stores[i]->name, .state = DB_REPLICA_MISSING};
        if (!known) continue;
        replica->state = (db_replica_state_t)known->state;
        replica->stored_ms = known->stored_ms;
        replica->verified_ms = known->verified_ms;
        if (replica->state != DB_REPLICA_GOOD) continue;
        if (status.good == 0 || replica->verified_ms < status.verified_ms)
            status.verified_ms = replica->verified_ms;
        status.good++;
    }
    *ret_status = status;
    return NULL;
}

typedef struct {
    const blobs_t *blobs;
    blobs_status_t *out;
    arena_t *arena;
} all_t;

static err_t *status_fn(db_conn_t *conn, void *arg) {
    all_t *all = arg;
    blobs_status_t *out = all->out;
    int64_t bytes = 0;
    TRY(db_blob_count(conn, DB_BLOB_STORED, &out->blobs, &out->bytes));
    TRY(db_blob_count(conn, DB_BLOB_CONDEMNED, &out->condemned, &bytes));
    TRY(db_blob_count(conn, DB_BLOB_DELETING, &out->deleting, &bytes));
    for (size_t i = 0; i < out->stores_n; i++) {
        blob_store_status_t *store = &out->stores[i];
        TRY(db_replica_count(conn, store->name, DB_REPLICA_GOOD, &store->good));
        TRY(db_replica_count(conn, store->name, DB_REPLICA_DAMAGED, &store->damaged));
        TRY(db_replica_oldest(conn, store->name, &store->verified_ms));
        store->missing = out->blobs - store->good - store->damaged;
    }
    TRY(db_blob_place_since(conn, &out->since_ms));
    TRY(db_blob_scrub_latest(conn, all->arena, &out->scrub, &out->scrubbed));
    out->scrub.position = BYTES_NONE;
    return NULL;
}

err_t *blobs_status_all(blobs_t *blobs, blobs_status_t *ret_status) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(BLOBS_ARENA, &arena));
    blobs_status_t status = {.quorum = blobs->quorum, .stores_n = blobs->stores_n};
    for (size_t i = 0; i < blobs->stores_n; i++)
        status.stores[i] = (blob_store_status_t){.name = blobs->stores[i]->name,
                                                 .kind = blobs->stores[i]->kind,
                                                 .away = blobs_away(blobs, i)};
    all_t all = {blobs, &status, arena};
    TRY(db_read(blobs->db, status_fn, &all));
    *ret_status = status;
    return NULL;
}

/* ---- reading ---- */

typedef struct {
    blobs_t *blobs;
    const blob_id_t *id;
    char name[BLOB_OBJECT_NAME];
    uint64_t at, end; /* bytes of the blob that are still to be handed on */
    blob_sink_fn sink;
    void *arg;
    bool sink_failed; /* the error is the sink's: no replica is to blame */
    buf_t sealed, clear;
} read_t;

static void read_done(read_t *r) {
    buf_done(&r->sealed);
    buf_done(&r->clear);
}
DEFINE_CLEANUP_VALUE(read_t, read_done)

/* Hands on what of a chunk is wanted. */
static err_t *hand_on(read_t *r, uint64_t chunk) {
    uint64_t begin = chunk * SEALED_CHUNK;
    bytes_t piece =
        bytes_slice(buf_bytes(&r->clear), (size_t)(r->at - begin),
                    (size_t)(r->end - r->at < SEALED_CHUNK ? r->end - r->at : SEALED_CHUNK));
    if (piece.n == 0) return NULL;
    err_t *e = r->sink(r->arg, piece);
    if (e) r->sink_failed = true;
    else r->at += piece.n;
    return e;
}

/* Opens the chunks in r->sealed from `skip` on, which begin with chunk `first`. */
static err_t *open_window(read_t *r, const sealed_reader_t *reader, uint64_t first, size_t skip) {
    size_t at = skip;
    for (uint64_t chunk = first; r->at < r->end && at < r->sealed.n; chunk++) {
        size_t size = sealed_chunk_size(reader, chunk);
        buf_clear(&r->clear);
        TRY(sealed_chunk_open(reader, chunk, bytes_slice(buf_bytes(&r->sealed), at, size),
                              &r->clear));
        TRY(hand_on(r, chunk));
        at += size;
    }
    return NULL;
}

static size_t window_size(const read_t *r, uint64_t first) {
    uint64_t chunks = (r->end + SEALED_CHUNK - 1) / SEALED_CHUNK - first;
    return (size_t)(chunks < WINDOW_CHUNKS ? chunks : WINDOW_CHUNKS) * SEALED_CHUNK_WHOLE;
}

/* One replica, from r->at on. With the header comes the first window, where it begins there. */
static err_t *read_replica(read_t *r, blob_store_t *store, uint64_t size) {
    CLEANUP(sealed_reader_done) sealed_reader_t reader = {.key = NULL};
    bool together = r->at < SEALED_CHUNK;
    buf_clear(&r->sealed);
    TRY(blob_store_get(store, r->name, 0, SEALED_HEADER + (together ? window_size(r, 0) : 0),
                       &r->sealed));
    TRY(sealed_reader_init(&reader, r->blobs->keys, r->id,
                           bytes_slice(buf_bytes(&r->sealed), 0, SEALED_HEADER)));
    if (reader.size != size) return err_new(ERR_VERIFY, "a sealed blob of another size");
    if (together && size) TRY(open_window(r, &reader, 0, SEALED_HEADER));
    while (r->at < r->end) {
        uint64_t first = r->at / SEALED_CHUNK, before = r->at;
        buf_clear(&r->sealed);
        TRY(blob_store_get(store, r->name, sealed_chunk_at(first), window_size(r, first),
                           &r->sealed));
        TRY(open_window(r, &reader, first, 0));
        if (r->at == before) return err_new(ERR_VERIFY, "a sealed blob is cut off");
    }
    return NULL;
}

typedef struct {
    bytes_t id;
    int64_t incarnation;
    const char *store;
    db_replica_state_t state;
} seen_t;

static err_t *seen_fn(db_conn_t *conn, void *arg) {
    const seen_t *seen = arg;
    return db_replica_seen(conn, seen->id, seen->incarnation, seen->store, seen->state, 0);
}

/* A reader's error says what the replica is; any other says nothing about it. */
static void note_replica(const read_t *r, const blobs_row_t *row, const char *store,
                         const err_t *e) {
    bool bad = err_code(e) == ERR_VERIFY, gone = err_code(e) == ERR_NOT_FOUND;
    if (!bad && !gone) return;
    seen_t seen = {row->id, row->blob.incarnation, store,
                   bad ? DB_REPLICA_DAMAGED : DB_REPLICA_MISSING};
    err_ignore(db_write(r->blobs->db, seen_fn, &seen));
}

/* Known to be good first, of these the ones that answer. */
static void read_order(blobs_t *blobs, const blobs_row_t *row, size_t order[LIMIT_BLOB_STORES]) {
    size_t plain[LIMIT_BLOB_STORES], n = 0;
    bool good[LIMIT_BLOB_STORES];
    blobs_order(blobs, plain);
    for (size_t i = 0; i < blobs->stores_n; i++) {
        const db_replica_t *known = replica_of(row, blobs->stores[plain[i]]->name);
        good[i] = known && known->state == DB_REPLICA_GOOD;
        if (good[i]) order[n++] = plain[i];
    }
    for (size_t i = 0; i < blobs->stores_n; i++)
        if (!good[i]) order[n++] = plain[i];
}

static err_t *worse(err_t *so_far, err_t *e) {
    /* "May be there, but can't be reached" tells more than "not there". */
    bool keep = so_far && (err_code(e) == ERR_NOT_FOUND || err_code(so_far) == ERR_UNAVAILABLE ||
                           err_code(so_far) == ERR_TIMEOUT);
    err_free(keep ? e : so_far);
    return keep ? so_far : e;
}

static err_t *read_any(read_t *r, const blobs_row_t *row) {
    size_t order[LIMIT_BLOB_STORES];
    err_t *failure = NULL;
    read_order(r->blobs, row, order);
    for (size_t i = 0; i < r->blobs->stores_n; i++) {
        blob_store_t *store = r->blobs->stores[order[i]];
        err_t *e = read_replica(r, store, (uint64_t)row->blob.size);
        if (r->sink_failed) {
            err_free(failure);
            return e;
        }
        blobs_note(r->blobs, order[i], e);
        if (!e) {
            err_free(failure);
            return NULL;
        }
        note_replica(r, row, store->name, e);
        failure = worse(failure, e);
    }
    if (failure && err_code(failure) == ERR_NOT_FOUND) failure = err_recode(failure, ERR_VERIFY);
    return failure ? err_wrap(failure, "no replica of the blob can be read") : NULL;
}

err_t *blobs_get(blobs_t *blobs, const blob_id_t *id, uint64_t offset, uint64_t n,
                 blob_sink_fn sink, void *arg) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    blobs_row_t row;
    TRY(arena_new(BLOBS_ARENA, &arena));
    TRY(blobs_find(blobs, id, arena, &row));
    if (!is_stored(&row)) return err_new(ERR_NOT_FOUND, "there is no such blob");
    uint64_t size = (uint64_t)row.blob.size;
    CLEANUP(read_done)
    read_t r = {
        .blobs = blobs, .id = id, .at = offset < size ? offset : size, .sink = sink, .arg = arg};
    r.end = n < size - r.at ? r.at + n : size;
    (void)blob_object_name(id, (uint64_t)row.blob.incarnation, r.name);
    buf_init(&r.sealed, SEALED_HEADER + WINDOW);
    buf_init(&r.clear, SEALED_CHUNK);
    return read_any(&r, &row);
}
