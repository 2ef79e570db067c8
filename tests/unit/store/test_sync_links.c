/*
 * Rows of links: opened as often as allowed and no more, wrong tokens counted, tickets that end.
 */
#include "store_fixture.h"

#include "base/limits.h"
#include "store/sync_links.h"

enum { ID = 16, HASH = 32 };

typedef struct {
    fixture_t f;
    arena_t *arena;
    uint8_t id[ID], region[HASH], token[HASH], roots[2 * HASH];
    db_sync_link_t row;
} case_t;

typedef struct {
    case_t *c;
    uint8_t token, ticket; /* that are given, by their first byte */
    const uint8_t *root;
    db_link_open_t how;
    db_sync_link_t row;
    bool flag;
    int64_t now_ms;
    size_t count;
} job_t;

static err_t *add_fn(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    return db_sync_link_add(conn, &job->c->row, BYTES_ARRAY(job->c->roots), &job->flag);
}

static err_t *open_fn(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    uint8_t token[HASH] = {job->token}, ticket[HASH] = {job->ticket};
    return db_sync_link_open(conn, job->c->arena, BYTES_ARRAY(job->c->id), BYTES_ARRAY(token),
                             BYTES_ARRAY(ticket), job->now_ms, &job->row, &job->how);
}

static err_t *fetch_fn(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    uint8_t ticket[HASH] = {job->ticket};
    return db_sync_link_may_fetch(conn, job->c->arena, BYTES_ARRAY(job->c->id), BYTES_ARRAY(ticket),
                                  bytes_make(job->root, HASH), job->now_ms, &job->row, &job->flag);
}

static err_t *needs_fn(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    return db_sync_link_needs(conn, bytes_make(job->root, HASH), job->now_ms, &job->flag);
}

static err_t *purge_fn(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    return db_sync_link_purge(conn, job->now_ms, job->now_ms, 10);
}

static err_t *remove_fn(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    return db_sync_link_remove(conn, BYTES_ARRAY(job->c->region), BYTES_ARRAY(job->c->id),
                               &job->flag);
}

static err_t *list_fn(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_sync_link_t *rows = NULL;
    TRY(db_sync_link_list(conn, job->c->arena, BYTES_ARRAY(job->c->region), BYTES_NONE, 10, &rows,
                          &job->count));
    if (job->count) job->row = rows[0];
    return NULL;
}

static int setup(void **state) {
    case_t *c = mem_zalloc(sizeof *c);
    fixture_migrated(&c->f);
    assert_ok(arena_new(1 << 20, &c->arena));
    c->id[0] = 1;
    c->region[0] = 2;
    c->token[0] = 3;
    c->roots[0] = 4;
    c->roots[HASH] = 5;
    c->row = (db_sync_link_t){.id = BYTES_ARRAY(c->id),
                              .region = BYTES_ARRAY(c->region),
                              .device = BYTES_ARRAY(c->region),
                              .person = "admin@example.org",
                              .token_hash = BYTES_ARRAY(c->token),
                              .list = BYTES_LIT("list"),
                              .label = BYTES_LIT("label"),
                              .password = true,
                              .openings = 2,
                              .created_ms = 1000,
                              .expires_ms = 100000};
    *state = c;
    return 0;
}

static int teardown(void **state) {
    case_t *c = *state;
    arena_free(c->arena);
    fixture_done(&c->f);
    mem_free(c);
    return 0;
}

static db_link_open_t open_link(case_t *c, uint8_t token, uint8_t ticket, int64_t now_ms) {
    job_t job = {.c = c, .token = token, .ticket = ticket, .now_ms = now_ms};
    assert_ok(db_write(c->f.db, open_fn, &job));
    return job.how;
}

static bool may_fetch(case_t *c, uint8_t ticket, const uint8_t *root, int64_t now_ms) {
    job_t job = {.c = c, .ticket = ticket, .root = root, .now_ms = now_ms};
    assert_ok(db_read(c->f.db, fetch_fn, &job));
    return job.flag;
}

static void add(case_t *c) {
    job_t job = {.c = c};
    assert_ok(db_write(c->f.db, add_fn, &job));
    assert_true(job.flag);
}

static void test_sync_links__open_as_often_as_allowed(void **state) {
    case_t *c = *state;
    assert_int_equal(open_link(c, 3, 1, 2000), DB_LINK_NONE);
    add(c);
    assert_int_equal(open_link(c, 9, 1, 2000), DB_LINK_WRONG);
    assert_int_equal(open_link(c, 3, 1, 2000), DB_LINK_OPEN);
    assert_int_equal(open_link(c, 3, 2, 2000), DB_LINK_OPEN);
    assert_int_equal(open_link(c, 3, 3, 2000), DB_LINK_ENDED);
    assert_false(may_fetch(c, 3, c->roots, 2000));
    assert_true(may_fetch(c, 2, c->roots, 2000)); /* who has it open goes on */
}

static void test_sync_links__end_when_they_expire(void **state) {
    case_t *c = *state;
    add(c);
    assert_int_equal(open_link(c, 3, 1, 99999), DB_LINK_OPEN);
    assert_true(may_fetch(c, 1, c->roots, 99999));
    assert_false(may_fetch(c, 1, c->roots, 100000));
    assert_int_equal(open_link(c, 3, 2, 100000), DB_LINK_ENDED);
    job_t job = {.c = c, .root = c->roots, .now_ms = 99999};
    assert_ok(db_read(c->f.db, needs_fn, &job));
    assert_true(job.flag);
    job.now_ms = 100000;
    assert_ok(db_read(c->f.db, needs_fn, &job));
    assert_false(job.flag);
    assert_ok(db_write(c->f.db, purge_fn, &job)); /* strictly before: it stays */
    assert_int_equal(open_link(c, 3, 2, 100000), DB_LINK_ENDED);
    job.now_ms = 100001;
    assert_ok(db_write(c->f.db, purge_fn, &job));
    assert_int_equal(open_link(c, 3, 2, 1), DB_LINK_NONE);
}

static void test_sync_links__fetch_what_they_name_with_their_ticket(void **state) {
    case_t *c = *state;
    uint8_t other[HASH] = {6};
    add(c);
    assert_int_equal(open_link(c, 3, 1, 2000), DB_LINK_OPEN);
    assert_true(may_fetch(c, 1, c->roots + HASH, 2000));
    assert_false(may_fetch(c, 1, other, 2000));
    assert_false(may_fetch(c, 9, c->roots, 2000));
    c->row.expires_ms = 0;
    int64_t over = 2000 + (int64_t)LIMIT_SYNC_LINK_TICKET_S * 1000;
    assert_false(may_fetch(c, 1, c->roots, over));
    c->id[0] = 7; /* another link, with the same data: the ticket is not its */
    c->row.expires_ms = over * 2;
    add(c);
    assert_false(may_fetch(c, 1, c->roots, 2000));
}

static void test_sync_links__wrong_passwords_end_them(void **state) {
    case_t *c = *state;
    add(c);
    for (int i = 0; i < LIMIT_SYNC_LINK_WRONG - 1; i++)
        assert_int_equal(open_link(c, 9, 1, 2000), DB_LINK_WRONG);
    assert_int_equal(open_link(c, 3, 1, 2000), DB_LINK_OPEN); /* which forgets them */
    for (int i = 0; i < LIMIT_SYNC_LINK_WRONG; i++)
        assert_int_equal(open_link(c, 9, 1, 2000), DB_LINK_WRONG);
    assert_int_equal(open_link(c, 3, 2, 2000), DB_LINK_LOCKED);
    c->id[0] = 7; /* without a password there is nothing to guess */
    c->row.password = false;
    add(c);
    for (int i = 0; i < LIMIT_SYNC_LINK_WRONG; i++)
        assert_int_equal(open_link(c, 9, 1, 2000), DB_LINK_WRONG);
    assert_int_equal(open_link(c, 3, 2, 2000), DB_LINK_OPEN);
}

static void test_sync_links__are_put_once_and_removed_with_their_tickets(void **state) {
    case_t *c = *state;
    job_t job = {.c = c};
    add(c);
    assert_ok(db_write(c->f.db, add_fn, &job));
    assert_false(job.flag); /* the same again */
    c->row.list = BYTES_LIT("other");
    assert_err(ERR_EXISTS, db_write(c->f.db, add_fn, &job));
    assert_ok(db_read(c->f.db, list_fn, &job));
    assert_int_equal(job.count, 1);
    assert_true(bytes_eq_str(job.row.label, "label"));
    assert_int_equal(job.row.list.n, 0);
    assert_int_equal(open_link(c, 3, 1, 2000), DB_LINK_OPEN);
    c->region[0] ^= 1; /* not by another region */
    assert_ok(db_write(c->f.db, remove_fn, &job));
    assert_false(job.flag);
    c->region[0] ^= 1;
    assert_ok(db_write(c->f.db, remove_fn, &job));
    assert_true(job.flag);
    assert_false(may_fetch(c, 1, c->roots, 2000));
    assert_int_equal(open_link(c, 3, 2, 2000), DB_LINK_NONE);
}

int main(void) {
#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        LINK_TEST(test_sync_links__open_as_often_as_allowed),
        LINK_TEST(test_sync_links__end_when_they_expire),
        LINK_TEST(test_sync_links__fetch_what_they_name_with_their_ticket),
        LINK_TEST(test_sync_links__wrong_passwords_end_them),
        LINK_TEST(test_sync_links__are_put_once_and_removed_with_their_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
