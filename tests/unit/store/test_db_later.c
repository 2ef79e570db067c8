/*
 * Writes that nobody waits for: db_write_later of src/store/db.h.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "store_fixture.h"

enum { THREADS = 8, WRITES = 200 };

typedef struct {
    db_t *db;
    const char *path;
    sem_t done;
    atomic_uint good, bad;
} all_t;

typedef struct {
    all_t *all;
    int64_t id;
    bool fail;
    atomic_uint told;
} item_t;

static void begin(fixture_t *f, all_t *all) {
    const db_options_t options = {.later = true};
    fixture_open(f, &options);
    assert_ok(fixture_script(f->db, "CREATE TABLE item (id BIGINT PRIMARY KEY)"));
    *all = (all_t){.db = f->db, .path = f->path};
    (void)sem_init(&all->done, 0, 0);
}

static err_t *insert(db_conn_t *conn, void *arg) {
    const item_t *item = arg;
    TRY(db_exec(conn, "INSERT INTO item (id) VALUES ($1)", DB_I64(item->id)));
    return item->fail ? err_new(ERR_DENIED, "on purpose") : NULL;
}

static void on_done(void *arg, err_t *e) {
    item_t *item = arg;
    bool right = (e && err_code(e) == ERR_DENIED) == item->fail && (item->fail || !e);
    if (right && item->told++ == 0) item->all->good++;
    else item->all->bad++;
    err_free(e);
    (void)sem_post(&item->all->done);
}

static int64_t count_items(db_t *db) { return fixture_number(db, "SELECT COUNT(*) FROM item"); }

typedef struct {
    all_t *all;
    item_t *items;
    bool waits;
} thread_t;

/* Every second thread waits for each of its writes, so that both kinds share groups. */
static void *write_many(void *arg) {
    thread_t *t = arg;
    for (int i = 0; i < WRITES; i++) {
        item_t *item = &t->items[i];
        if (t->waits) {
            on_done(item, db_write(t->all->db, insert, item));
            continue;
        }
        err_t *e = db_write_later(t->all->db, insert, on_done, item);
        if (e) on_done(item, err_recode(e, ERR_INTERNAL));
    }
    return NULL;
}

static void test_db_later__each_is_told_once_and_fails_alone(void **state) {
    (void)state;
    static item_t items[THREADS * WRITES];
    fixture_t f;
    all_t all;
    pthread_t threads[THREADS];
    thread_t args[THREADS];
    begin(&f, &all);
    for (int i = 0; i < THREADS * WRITES; i++)
        items[i] = (item_t){.all = &all, .id = i, .fail = i % 10 == 3};
    for (int i = 0; i < THREADS; i++) {
        args[i] = (thread_t){&all, items + i * WRITES, i % 2 == 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &args[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < THREADS * WRITES; i++) assert_int_equal(sem_wait(&all.done), 0);
    assert_int_equal(all.bad, 0);
    assert_int_equal(all.good, THREADS * WRITES);
    assert_int_equal(count_items(f.db), THREADS * WRITES * 9 / 10);
    fixture_done(&f);
}

/* When it is told, another connection sees it: it is committed. */
static void look_from_outside(void *arg, err_t *e) {
    item_t *item = arg;
    assert_null(e);
    db_t *other = NULL;
    assert_ok(db_open(item->all->path, NULL, clk_real(), &other));
    if (count_items(other) == 1) item->told++;
    db_close(other);
    (void)sem_post(&item->all->done);
}

static void test_db_later__is_told_after_the_commit(void **state) {
    (void)state;
    fixture_t f;
    all_t all;
    begin(&f, &all);
    item_t item = {.all = &all, .id = 1};
    assert_ok(db_write_later(f.db, insert, look_from_outside, &item));
    assert_int_equal(sem_wait(&all.done), 0);
    assert_int_equal(item.told, 1);
    fixture_done(&f);
}

static void test_db_later__closing_writes_what_is_queued(void **state) {
    (void)state;
    static item_t items[WRITES];
    fixture_t f;
    all_t all;
    begin(&f, &all);
    for (int i = 0; i < WRITES; i++) {
        items[i] = (item_t){.all = &all, .id = i};
        assert_ok(db_write_later(f.db, insert, on_done, &items[i]));
    }
    db_close(f.db);
    assert_int_equal(all.good, WRITES);
    assert_ok(db_open(f.path, NULL, &f.clk.clk, &f.db));
    assert_int_equal(count_items(f.db), WRITES);
    fixture_done(&f);
}

static void test_db_later__refuses_what_it_cannot_do(void **state) {
    (void)state;
    fixture_t f;
    all_t all = {.good = 0};
    item_t item = {.all = &all};
    fixture_open(&f, NULL); /* without `later` */
    assert_err(ERR_INTERNAL, db_write_later(f.db, insert, on_done, &item));
    fixture_done(&f);
    begin(&f, &all);
    fault_arm_memory(1);
    err_t *e = db_write_later(f.db, insert, on_done, &item);
    fault_arm_memory(0);
    assert_err(ERR_NOMEM, e);
    assert_int_equal(item.told, 0);
    fixture_done(&f);
    const db_options_t options = {.later = true};
    bool fired = true;
    for (unsigned long n = 1; fired; n++) { /* its thread may not start */
        fixture_dir(&f);
        fault_arm_io(n);
        e = db_open(f.path, &options, &f.clk.clk, &f.db);
        fired = fault_io_fired();
        fault_arm_io(0);
        assert_int_equal(e != NULL, fired);
        err_free(e);
        fixture_done(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db_later__each_is_told_once_and_fails_alone),
        cmocka_unit_test(test_db_later__is_told_after_the_commit),
        cmocka_unit_test(test_db_later__closing_writes_what_is_queued),
        cmocka_unit_test(test_db_later__refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
