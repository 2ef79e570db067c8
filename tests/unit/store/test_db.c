/*
 * The database façade: group commit, savepoints, hooks, durability under kill -9, faults.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/limits.h"
#include "store_fixture.h"

#define TABLE "CREATE TABLE item (id BIGINT PRIMARY KEY, text TEXT NOT NULL, data BYTES)"

static void open_with_table(fixture_t *f, const db_options_t *options) {
    fixture_open(f, options);
    assert_ok(fixture_script(f->db, TABLE));
}

static err_t *insert(db_conn_t *conn, void *arg) {
    return db_exec(conn, "INSERT INTO item (id, text) VALUES ($1, $2)", DB_I64(*(int64_t *)arg),
                   DB_STR("x"));
}

/* ---- values and statements ----------------------------------------------------------------- */

static err_t *values_fn(db_conn_t *conn, void *arg) {
    (void)arg;
    TRY(db_exec(conn, "INSERT INTO item (id, text, data) VALUES ($2, $1, $3)",
                DB_TEXT(BYTES_LIT("a\xc3\xa4")), DB_I64(INT64_MIN), DB_BYTES(BYTES_LIT("\0\1\0"))));
    TRY(db_exec(conn, "INSERT INTO item (id, text, data) VALUES ($1, $2, $3)", DB_I64(2),
                DB_TEXT(BYTES_NONE), DB_NULL));
    assert_int_equal(db_changes(conn), 1);
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query(conn, "SELECT id, text, data FROM item ORDER BY id", &stmt));
    bool row = false;
    TRY(db_step(stmt, &row));
    assert_true(row);
    assert_true(db_col_i64(stmt, 0) == INT64_MIN);
    assert_true(bytes_eq_str(db_col_text(stmt, 1), "a\xc3\xa4"));
    assert_true(bytes_eq(db_col_bytes(stmt, 2), BYTES_LIT("\0\1\0")));
    CLEANUP(mem_free) uint8_t *copy = NULL;
    size_t n = 0;
    TRY(db_col_copy(stmt, 2, &copy, &n));
    assert_int_equal(n, 3);
    TRY(db_step(stmt, &row));
    assert_true(row && db_col_null(stmt, 2) && !db_col_null(stmt, 1));
    CLEANUP(mem_free) char *text = NULL;
    TRY(db_col_str(stmt, 1, &text));
    assert_string_equal(text, "");
    TRY(db_step(stmt, &row));
    assert_false(row);
    return NULL;
}

static void test_db__values_come_back_as_they_went(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    assert_ok(db_write(f.db, values_fn, NULL));
    struct stat st;
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_done(&f);
}

static err_t *misuse_fn(db_conn_t *conn, void *arg) {
    (void)arg;
    assert_err(ERR_INTERNAL, db_exec(conn,
                                     "INSERT INTO item (id) VALUES ($1)"
                                     ", ($2)",
                                     DB_I64(1)));
    assert_err(ERR_INTERNAL, db_exec(conn, "SELECT 1; SELECT 2"));
    assert_err(ERR_INTERNAL, db_exec(conn, "SELECT ?1", DB_I64(1)));
    assert_err(ERR_INTERNAL, db_exec(conn, "SELECT nonsense FROM nowhere"));
    assert_err(ERR_INVALID,
               db_exec(conn, "INSERT INTO item (id, text) VALUES ($1, $2)", DB_I64(1), DB_NULL));
    int64_t id = 7;
    TRY(insert(conn, &id));
    assert_err(ERR_EXISTS, insert(conn, &id));
    db_stmt_t *left_open = NULL;
    return db_query(conn, "SELECT id FROM item", &left_open);
}

static void test_db__misuse_is_named(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    assert_err(ERR_INTERNAL, db_write(f.db, misuse_fn, NULL)); /* the statement left open */
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), 0);
    fixture_done(&f);
}

static err_t *nested_write(db_conn_t *conn, void *arg) {
    (void)conn;
    int64_t id = 1;
    assert_err(ERR_INTERNAL, db_write(arg, insert, &id));
    return NULL;
}

static err_t *reader_hook(db_conn_t *conn, void *arg) {
    assert_err(ERR_INTERNAL, db_after_commit(conn, (void (*)(void *))free, NULL));
    return insert(conn, arg);
}

static void test_db__readers_cannot_write_and_writes_cannot_nest(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    int64_t id = 1;
    assert_err(ERR_IO, db_read(f.db, reader_hook, &id));
    assert_ok(db_write(f.db, nested_write, f.db));
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), 0);
    fixture_done(&f);
}

static void test_db__opening_tells_why_not(void **state) {
    (void)state;
    fixture_t f;
    fixture_dir(&f);
    db_t *db = NULL;
    assert_err(ERR_NOT_FOUND,
               db_open(f.path, &(db_options_t){.must_exist = true}, &f.clk.clk, &db));
    FILE *file = fopen(f.path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) assert_true(fputs("not a database ", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_err(ERR_INVALID, db_open(f.path, NULL, &f.clk.clk, &db));
    assert_null(db);
    fixture_done(&f);
}

/* ---- groups -------------------------------------------------------------------------------- */

enum { THREADS = 32, WRITES = 200 };

typedef struct {
    fixture_t *f;
    int64_t base;
    unsigned failed;
} writer_t;

typedef struct {
    int64_t id;
    bool fail;
} write_t;

static err_t *insert_or_fail(db_conn_t *conn, void *arg) {
    write_t *w = arg;
    TRY(insert(conn, &w->id));
    return w->fail ? err_new(ERR_DENIED, "on purpose") : NULL;
}

static void *write_many(void *arg) {
    writer_t *w = arg;
    for (int64_t i = 0; i < WRITES; i++) {
        write_t one = {w->base + i, i % 10 == 3};
        err_t *e = db_write(w->f->db, insert_or_fail, &one);
        if ((e != NULL) != one.fail) w->failed++;
        if (e && err_code(e) != ERR_DENIED) w->failed++;
        err_free(e);
    }
    return NULL;
}

static void test_db__each_write_of_a_group_fails_alone(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    pthread_t threads[THREADS];
    writer_t writers[THREADS];
    for (int64_t i = 0; i < THREADS; i++) {
        writers[i] = (writer_t){&f, i * WRITES, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(writers[i].failed, 0);
    }
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), THREADS * WRITES * 9 / 10);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item WHERE id % 10 = 3"), 0);
    fixture_done(&f);
}

/* A write that takes the whole transaction with it, as a failing disk does, and says nothing. */
static err_t *insert_or_wreck(db_conn_t *conn, void *arg) {
    write_t *w = arg;
    TRY(insert(conn, &w->id));
    return w->fail ? db_script(conn, "ROLLBACK") : NULL;
}

/* Counts in `failed` what was not acknowledged. */
static void *write_and_wreck(void *arg) {
    writer_t *w = arg;
    for (int64_t i = 0; i < WRITES; i++) {
        write_t one = {w->base + i, i % 20 == 7};
        err_t *e = db_write(w->f->db, insert_or_wreck, &one);
        if (e) w->failed++;
        err_free(e);
    }
    return NULL;
}

static void test_db__a_lost_group_is_acknowledged_to_nobody(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    pthread_t threads[THREADS];
    writer_t writers[THREADS];
    int64_t failed = 0;
    for (int64_t i = 0; i < THREADS; i++) {
        writers[i] = (writer_t){&f, i * WRITES, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_wreck, &writers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        failed += writers[i].failed;
    }
    assert_true(failed >= THREADS * WRITES / 20);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), THREADS * WRITES - failed);
    fixture_done(&f);
}

typedef struct {
    fixture_t *f;
    sem_t entered;
    sem_t go;
    unsigned woken;
    bool saw_commit;
} gate_t;

static err_t *hold_gate(db_conn_t *conn, void *arg) {
    (void)conn;
    gate_t *g = arg;
    (void)sem_post(&g->entered);
    while (sem_wait(&g->go) != 0) {}
    return NULL;
}

static void *hold_gate_thread(void *arg) {
    gate_t *g = arg;
    return db_write(g->f->db, hold_gate, g);
}

static void count_wake(void *arg) { ((gate_t *)arg)->woken++; }

typedef struct {
    gate_t *gate;
    write_t write;
} hooked_t;

static err_t *insert_hooked(db_conn_t *conn, void *arg) {
    hooked_t *h = arg;
    TRY(db_after_commit(conn, count_wake, h->gate));
    return insert_or_fail(conn, &h->write);
}

static void *write_hooked(void *arg) {
    hooked_t *h = arg;
    return db_write(h->gate->f->db, insert_hooked, h);
}

static void gate_open(gate_t *g, fixture_t *f, pthread_t *ret_thread) {
    *g = (gate_t){.f = f};
    assert_int_equal(sem_init(&g->entered, 0, 0), 0);
    assert_int_equal(sem_init(&g->go, 0, 0), 0);
    assert_int_equal(pthread_create(ret_thread, NULL, hold_gate_thread, g), 0);
    while (sem_wait(&g->entered) != 0) {}
}

static void test_db__hooks_run_once_a_group_and_only_for_kept_writes(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    gate_t gate;
    pthread_t holder;
    gate_open(&gate, &f, &holder);
    pthread_t threads[4];
    hooked_t hooked[4];
    for (int64_t i = 0; i < 4; i++) {
        hooked[i] = (hooked_t){&gate, {i, i == 0}};
        assert_int_equal(pthread_create(&threads[i], NULL, write_hooked, &hooked[i]), 0);
    }
    (void)sem_post(&gate.go);
    void *result = NULL;
    assert_int_equal(pthread_join(holder, &result), 0);
    assert_null(result);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_int_equal(result != NULL, i == 0);
        err_free(result);
    }
    assert_in_range(gate.woken, 1, 3);
    unsigned woken = gate.woken;
    hooked_t failing = {&gate, {99, true}};
    assert_err(ERR_DENIED, db_write(f.db, insert_hooked, &failing));
    assert_int_equal(gate.woken, woken);
    fixture_done(&f);
}

static err_t *full_wait(db_conn_t *conn, void *arg) {
    (void)conn;
    (void)arg;
    return NULL;
}

static void *write_nothing(void *arg) { return db_write(arg, full_wait, NULL); }

static void test_db__a_read_sees_one_state_while_a_write_is_open(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, &(db_options_t){.readers = 1});
    int64_t id = 1;
    assert_ok(db_write(f.db, insert, &id));
    gate_t gate;
    pthread_t holder;
    gate_open(&gate, &f, &holder);
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, write_nothing, f.db), 0);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), 1); /* does not wait */
    (void)sem_post(&gate.go);
    assert_int_equal(pthread_join(holder, NULL), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    fixture_done(&f);
}

/* ---- other processes ------------------------------------------------------------------------ */

/* A child that inserts from..to and tells each id only after it was acknowledged. */
static void child_writes(const char *path, int fd, int64_t from, int64_t to) {
    db_t *db = NULL;
    if (db_open(path, NULL, clk_real(), &db)) _exit(2);
    for (int64_t id = from; id < to; id++) {
        if (db_write(db, insert, &id)) _exit(3);
        if (write(fd, &id, sizeof id) != (ssize_t)sizeof id) _exit(4);
    }
    db_close(db);
    _exit(0);
}

static pid_t fork_writer(const char *path, int64_t from, int64_t to, int *ret_fd) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        child_writes(path, fds[1], from, to);
    }
    (void)close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static int64_t read_until(int fd, int64_t last, unsigned count) {
    int64_t id = last;
    while (count--) {
        ssize_t got = read(fd, &id, sizeof id);
        if (got != (ssize_t)sizeof id) break;
        last = id;
    }
    return last;
}

static void test_db__kill_loses_no_acknowledged_write(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    db_close(STEAL(f.db));
    int64_t from = 0;
    for (unsigned round = 0; round < 10; round++) {
        int fd = -1;
        pid_t pid = fork_writer(f.path, from, from + 1000000, &fd);
        int64_t last = read_until(fd, from - 1, 5 + round * 7);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        last = read_until(fd, last, 1000000); /* acknowledged before the kill */
        (void)close(fd);
        db_t *db = NULL;
        assert_ok(db_open(f.path, NULL, &f.clk.clk, &db));
        int64_t count = fixture_number(db, "SELECT COUNT(*) FROM item");
        int64_t most = fixture_number(db, "SELECT MAX(id) FROM item");
        assert_true(most >= last);
        assert_int_equal(count, most + 1); /* no gaps */
        db_close(db);
        from = most + 1;
    }
    fixture_done(&f);
}

static void test_db__two_processes_write_at_once(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    db_close(STEAL(f.db));
    int fds[2];
    pid_t pids[2];
    for (int i = 0; i < 2; i++) pids[i] = fork_writer(f.path, i * 1000, i * 1000 + 300, &fds[i]);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read_until(fds[i], 0, 300), i * 1000 + 299);
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        (void)close(fds[i]);
    }
    assert_ok(db_open(f.path, NULL, &f.clk.clk, &f.db));
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), 600);
    fixture_done(&f);
}

static void test_db__another_writer_too_long_is_busy(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    gate_t gate;
    pthread_t holder;
    gate_open(&gate, &f, &holder); /* its transaction is open */
    db_t *other = NULL;
    assert_ok(db_open(f.path, &(db_options_t){.busy_ms = 20}, &f.clk.clk, &other));
    int64_t id = 1;
    assert_err(ERR_BUSY, db_write(other, insert, &id));
    (void)sem_post(&gate.go);
    assert_int_equal(pthread_join(holder, NULL), 0);
    assert_ok(db_write(other, insert, &id));
    db_close(other);
    fixture_done(&f);
}

/* ---- faults --------------------------------------------------------------------------------- */

static err_t *insert_big(db_conn_t *conn, void *arg) {
    static const uint8_t big[20000] = {1};
    return db_exec(conn, "INSERT INTO item (id, text, data) VALUES ($1, 'big', $2)",
                   DB_I64(*(int64_t *)arg), DB_BYTES(BYTES_ARRAY(big)));
}

static void test_db__a_full_disk_is_told_and_keeps_what_was_there(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, &(db_options_t){.max_pages = 40});
    err_t *e = NULL;
    int64_t kept = 0;
    for (int64_t id = 0; id < 100 && !e; id++) {
        e = db_write(f.db, insert_big, &id);
        if (!e) kept++;
    }
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_FULL);
    err_free(e);
    assert_true(kept > 0);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), kept);
    assert_ok(fixture_script(f.db, "DELETE FROM item"));
    int64_t id = 1;
    assert_ok(db_write(f.db, insert_big, &id)); /* and goes on when there is room again */
    fixture_done(&f);
}

static void test_db__version_tells_of_every_commit(void **state) {
    (void)state;
    fixture_t f;
    db_t *other = NULL;
    uint64_t first = 0, second = 0, third = 0;
    int64_t id = 1;
    open_with_table(&f, NULL);
    assert_ok(db_version(f.db, &first));
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), 0);
    assert_ok(db_version(f.db, &second));
    assert_true(first == second);
    assert_ok(db_write(f.db, insert, &id)); /* our own */
    assert_ok(db_version(f.db, &second));
    assert_true(first != second);
    assert_err(ERR_EXISTS, db_write(f.db, insert, &id)); /* nothing was committed for it */
    assert_ok(db_open(f.path, NULL, &f.clk.clk, &other));
    assert_ok(db_version(f.db, &second));
    id++;
    assert_ok(db_write(other, insert, &id)); /* as another process would */
    assert_ok(db_version(f.db, &third));
    assert_true(second != third && first != third);
    db_close(other);
    fixture_done(&f);
}

static void test_db__every_io_fault_is_told_and_leaves_all_or_nothing(void **state) {
    (void)state;
    fixture_t f;
    open_with_table(&f, NULL);
    int64_t id = 1;
    unsigned long n = 0;
    for (bool fired = true; fired; id++) {
        fault_arm_io(++n);
        err_t *e = db_write(f.db, insert, &id);
        fired = fault_io_fired();
        fault_arm_io(0);
        assert_int_equal(e != NULL, fired);
        if (e) assert_int_equal(err_code(e), ERR_IO);
        err_free(e);
        int64_t expected = fired ? 0 : 1;
        assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM item"), expected);
    }
    assert_int_equal(n, 6); /* begin, savepoint, insert, release, commit, and none */
    fixture_done(&f);
}

static void test_db__every_allocation_may_fail(void **state) {
    (void)state;
    fixture_t f;
    fixture_dir(&f);
    bool fired = true;
    for (unsigned long n = 1; fired; n++) {
        fault_arm_memory(n);
        db_t *db = NULL;
        err_t *e = db_open(f.path, NULL, &f.clk.clk, &db);
        if (!e) e = fixture_script(db, "CREATE TABLE IF NOT EXISTS t (a BYTES)");
        fired = fault_memory_fired();
        fault_arm_memory(0);
        assert_int_equal(e != NULL, fired);
        err_free(e);
        db_close(db);
    }
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db__values_come_back_as_they_went),
        cmocka_unit_test(test_db__misuse_is_named),
        cmocka_unit_test(test_db__readers_cannot_write_and_writes_cannot_nest),
        cmocka_unit_test(test_db__opening_tells_why_not),
        cmocka_unit_test(test_db__each_write_of_a_group_fails_alone),
        cmocka_unit_test(test_db__a_lost_group_is_acknowledged_to_nobody),
        cmocka_unit_test(test_db__hooks_run_once_a_group_and_only_for_kept_writes),
        cmocka_unit_test(test_db__a_read_sees_one_state_while_a_write_is_open),
        cmocka_unit_test(test_db__kill_loses_no_acknowledged_write),
        cmocka_unit_test(test_db__two_processes_write_at_once),
        cmocka_unit_test(test_db__another_writer_too_long_is_busy),
        cmocka_unit_test(test_db__a_full_disk_is_told_and_keeps_what_was_there),
        cmocka_unit_test(test_db__version_tells_of_every_commit),
        cmocka_unit_test(test_db__every_io_fault_is_told_and_leaves_all_or_nothing),
        cmocka_unit_test(test_db__every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
