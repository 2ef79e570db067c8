/*
 * Four stores that can be told to fail, a database and a blobs_t over them, for its tests.
 */
#ifndef COFFER_TESTS_BLOBS_FIXTURE_H
#define COFFER_TESTS_BLOBS_FIXTURE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "blob_fixture.h"
#include "store/blob/blobs.h"
#include "store_fixture.h"

enum { STORES = 4, HOUR = 3600 * 1000, DAY = 24 * HOUR };

/* A store in front of a directory that can be told to fail. */
typedef struct {
    blob_store_t store;
    blob_store_t *disk;
    bool away, lies;
    void (*on_remove)(void *arg); /* once, before an object is removed */
    void *arg;
    atomic_uint puts; /* puts may come from several threads */
} moody_t;

static inline err_t *gone(const moody_t *m) {
    return m->away ? err_new(ERR_UNAVAILABLE, "away") : NULL;
}

static inline err_t *m_put(blob_store_t *store, const char *name, const blob_source_t *source) {
    moody_t *m = (moody_t *)store;
    TRY(gone(m));
    m->puts++;
    return m->lies ? NULL : m->disk->ops->put(m->disk, name, source);
}
static inline err_t *m_get(blob_store_t *store, const char *name, uint64_t offset, size_t n,
                           buf_t *out) {
    moody_t *m = (moody_t *)store;
    TRY(gone(m));
    return m->disk->ops->get(m->disk, name, offset, n, out);
}
static inline err_t *m_look(blob_store_t *store, const char *name, bool *ret_found,
                            uint64_t *ret_size) {
    moody_t *m = (moody_t *)store;
    TRY(gone(m));
    return m->disk->ops->look(m->disk, name, ret_found, ret_size);
}
static inline err_t *m_remove(blob_store_t *store, const char *name) {
    moody_t *m = (moody_t *)store;
    TRY(gone(m));
    void (*hook)(void *) = m->on_remove;
    m->on_remove = NULL;
    if (hook) hook(m->arg);
    return m->disk->ops->remove(m->disk, name);
}
static inline err_t *m_list(blob_store_t *store, const char *prefix, const char *after, size_t max,
                            blob_each_fn each, void *arg, bool *ret_more) {
    moody_t *m = (moody_t *)store;
    TRY(gone(m));
    return m->disk->ops->list(m->disk, prefix, after, max, each, arg, ret_more);
}
static inline void m_free(blob_store_t *store) {
    blob_store_free(((moody_t *)store)->disk);
    mem_free(store);
}
static const blob_store_ops_t moody_ops = {m_put, m_get, m_look, m_remove, m_list, m_free};

typedef struct {
    fixture_t db;
    char root[32];
    char dirs[STORES][48];
    blob_store_t *stores[STORES];
    blob_keys_t keys;
    blobs_t *blobs;
} fix_t;

static inline moody_t *moody(fix_t *f, size_t i) { return (moody_t *)f->stores[i]; }

static inline void open_stores(fix_t *f) {
    for (size_t i = 0; i < STORES; i++) {
        moody_t *m = mem_zalloc(sizeof *m);
        assert_non_null(m);
        (void)snprintf(f->dirs[i], sizeof f->dirs[i], "%s/s%zu", f->root, i);
        m->store = (blob_store_t){.ops = &moody_ops, .kind = "disk", .name = mem_printf("s%zu", i)};
        assert_ok(blob_disk_open("inner", f->dirs[i], false, &m->disk));
        f->stores[i] = &m->store;
    }
}

static inline void open_blobs(fix_t *f, size_t stores, size_t quorum) {
    blobs_free(STEAL(f->blobs));
    blobs_config_t config = {.db = f->db.db,
                             .clk = &f->db.clk.clk,
                             .rnd = rnd_real(),
                             .keys = &f->keys,
                             .stores = f->stores,
                             .stores_n = stores,
                             .quorum = quorum,
                             .spool = blob_disk_tmp(moody(f, 0)->disk),
                             .grace_ms = DAY,
                             .condemned_ms = HOUR,
                             .orphan_ms = DAY,
                             .retry_ms = HOUR};
    assert_ok(blobs_new(&config, &f->blobs));
}

static inline int setup(void **state) {
    fix_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    /* In memory where there is such a place: hundreds of transactions. */
    f->db = (fixture_t){.dir = "/dev/shm/coffer-store-XXXXXX"};
    if (!mkdtemp(f->db.dir)) {
        fixture_dir(&f->db);
    } else {
        (void)snprintf(f->db.path, sizeof f->db.path, "%s/store.db", f->db.dir);
        clk_fake_init(&f->db.clk, 1700000000000);
    }
    unsigned applied = 0;
    assert_ok(db_open(f->db.path, NULL, &f->db.clk.clk, &f->db.db));
    assert_ok(migrate_run(f->db.db, &applied));
    tree_make(f->root);
    open_stores(f);
    keys_make(&f->keys, 1);
    open_blobs(f, STORES, 2);
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    fix_t *f = *state;
    fault_arm_io(0);
    blobs_free(f->blobs);
    for (size_t i = 0; i < STORES; i++) blob_store_free(f->stores[i]);
    blob_keys_done(&f->keys);
    fixture_done(&f->db);
    tree_remove(f->root);
    mem_free(f);
    return 0;
}

/* ---- what tests say ---- */

static inline void wait_ms(fix_t *f, int64_t ms) { clk_fake_advance(&f->db.clk, ms); }

static inline blob_id_t id_of(size_t n, unsigned seed) {
    CLEANUP(mem_free) uint8_t *content = noise(n, seed);
    blob_id_t id;
    assert_ok(blob_id_of(bytes_make(content, n), &id));
    return id;
}

static inline err_t *try_put(fix_t *f, size_t n, unsigned seed) {
    CLEANUP(mem_free) uint8_t *content = noise(n, seed);
    blob_id_t id = id_of(n, seed);
    return blobs_put(f->blobs, &id, bytes_make(content, n));
}

static inline err_t *collect_bytes(void *arg, bytes_t piece) { return buf_add(arg, piece); }

static inline err_t *try_get(fix_t *f, size_t n, unsigned seed) {
    CLEANUP(mem_free) uint8_t *content = noise(n, seed);
    CLEANUP(buf_done) buf_t out;
    blob_id_t id = id_of(n, seed);
    buf_init(&out, LIMIT_BLOB);
    TRY(blobs_get(f->blobs, &id, 0, UINT64_MAX, collect_bytes, &out));
    assert_true(bytes_eq(buf_bytes(&out), bytes_make(content, n)));
    return NULL;
}

static inline size_t good(fix_t *f, size_t n, unsigned seed) {
    blob_id_t id = id_of(n, seed);
    blob_status_t status = {.good = 0};
    bool found = false;
    assert_ok(blobs_status(f->blobs, &id, &status, &found));
    return found ? status.good : 0;
}

/* The path of a blob's object in a store. */
static inline char *object_of(fix_t *f, size_t store, const blob_id_t *id,
                              char name[BLOB_OBJECT_NAME]) {
    char hex[BLOB_ID_HEX], path[256];
    CLEANUP(mem_free)
    char *sql = mem_printf("SELECT incarnation FROM stored_blob WHERE hex(id) = upper('%s')",
                           blob_id_hex(id, hex));
    assert_non_null(sql);
    (void)blob_object_name(id, (uint64_t)fixture_number(f->db.db, sql), name);
    (void)snprintf(path, sizeof path, "%s/%.2s/%s", f->dirs[store], name, name);
    char *copy = mem_strdup(path);
    assert_non_null(copy);
    return copy;
}

static inline void damage(fix_t *f, size_t store, size_t n, unsigned seed, off_t at) {
    blob_id_t id = id_of(n, seed);
    char name[BLOB_OBJECT_NAME];
    CLEANUP(mem_free) char *path = object_of(f, store, &id, name);
    CLEANUP(fd_close) int fd = open(path, O_RDWR);
    uint8_t byte = 0;
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static inline bool has_object(fix_t *f, size_t store, size_t n, unsigned seed) {
    blob_id_t id = id_of(n, seed);
    char name[BLOB_OBJECT_NAME];
    CLEANUP(mem_free) char *path = object_of(f, store, &id, name);
    return file_exists(path);
}

typedef struct {
    blob_id_t id;
    const char *owner;
} own_t;
static inline err_t *own_fn(db_conn_t *conn, void *arg) {
    const own_t *own = arg;
    return db_blob_own(conn, blob_id_bytes(&own->id), own->owner);
}
static inline err_t *try_own(fix_t *f, size_t n, unsigned seed, const char *owner) {
    own_t own = {id_of(n, seed), owner};
    return db_write(f->db.db, own_fn, &own);
}
static inline err_t *disown_fn(db_conn_t *conn, void *arg) {
    return db_blob_disown(conn, arg, clk_unix_ms(db_clk(conn)));
}
static inline err_t *try_disown(fix_t *f, const char *owner) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s", owner);
    return db_write(f->db.db, disown_fn, name);
}
static inline void disown(fix_t *f, const char *owner) { assert_ok(try_disown(f, owner)); }

static inline err_t *count_object(void *arg, const blob_entry_t *entry) {
    (void)entry;
    (*(int64_t *)arg)++;
    return NULL;
}
static inline int64_t objects(fix_t *f) {
    int64_t n = 0;
    bool more = false;
    for (size_t i = 0; i < STORES; i++)
        assert_ok(blob_store_list(moody(f, i)->disk, "", "", 1000, count_object, &n, &more));
    return n;
}

static inline void repair(fix_t *f, int64_t expected) {
    blobs_work_t work = {.checked = 0};
    wait_ms(f, 2 * HOUR);
    assert_ok(blobs_repair(f->blobs, 100, &work));
    assert_int_equal(work.repaired, expected);
}

static inline blobs_work_t scrub(fix_t *f) {
    blobs_work_t work = {.checked = 0};
    bool done = false;
    wait_ms(f, HOUR);
    assert_ok(blobs_scrub_begin(f->blobs));
    while (!done) assert_ok(blobs_scrub_step(f->blobs, 1 << 20, &work, &done));
    return work;
}

static inline void step(fix_t *f) {
    blobs_work_t work = {.checked = 0};
    assert_ok(blobs_collect(f->blobs, 100, &work));
}

/* Condemned, then given up and deleted. */
static inline void collect_all(fix_t *f) {
    wait_ms(f, DAY + 1);
    step(f);
    wait_ms(f, HOUR + 1);
    step(f);
}

#endif
