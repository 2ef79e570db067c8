/* Escrow objects, shares that move from set to set, requests that are answered once. */
#include "store_fixture.h"

#include "base/arena.h"
#include "store/escrow.h"
#include "store/hands.h"
#include "store/officers.h"
#include "store/recoveries.h"

enum { ARENA = 1 << 20, NOW = 1000 };

typedef struct {
    arena_t *arena;
} job_t;

static int64_t add_object(db_conn_t *conn, const char *id, int64_t version, const char *owner,
                          int64_t epoch, bool wrapped) {
    int64_t seq = 0;
    assert_ok(db_escrow_add(conn,
                            &(db_escrow_t){.id = id,
                                           .kind = "file",
                                           .owner = owner,
                                           .device_id = "",
                                           .version = version,
                                           .label = "x",
                                           .epoch = epoch,
                                           .created_by = "test",
                                           .created_ms = NOW,
                                           .blob = BYTES_LIT("blob"),
                                           .wrap = wrapped ? BYTES_LIT("wrap") : BYTES_NONE},
                            &seq));
    return seq;
}

static void put_share(db_conn_t *conn, int64_t seq, int64_t epoch, int64_t officer,
                      int64_t dealer) {
    assert_ok(db_escrow_shares_put(
        conn, &(db_escrow_share_t){seq, epoch, officer, dealer, BYTES_LIT("share")}));
}

static size_t shares_of(db_conn_t *conn, arena_t *arena, int64_t seq, int64_t epoch) {
    db_escrow_share_t *rows = NULL;
    size_t count = 0;
    assert_ok(db_escrow_shares_of(conn, arena, seq, epoch, 1, &rows, &count));
    return count;
}

static err_t *check_objects(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_escrow_t row, *rows = NULL;
    db_escrow_kind_t *kinds = NULL;
    size_t count = 0;
    bool found = false;
    int64_t first = add_object(conn, "a", 1, "anna", 0, true);
    int64_t second = add_object(conn, "a", 2, "anna", 1, true);
    (void)add_object(conn, "b", 1, "ben", 1, false);
    assert_true(second > first);
    int64_t again = 0;
    assert_err(ERR_EXISTS, db_escrow_add(conn,
                                         &(db_escrow_t){.id = "a",
                                                        .kind = "file",
                                                        .owner = "",
                                                        .device_id = "",
                                                        .version = 2,
                                                        .label = "",
                                                        .created_by = ""},
                                         &again));
    TRY(db_escrow_get(conn, job->arena, "a", 0, &row, &found));
    assert_true(found && row.version == 2 && bytes_eq_str(row.blob, "blob"));
    assert_string_equal(row.state, "current");
    TRY(db_escrow_get(conn, job->arena, "a", 1, &row, &found));
    assert_string_equal(row.state, "former");
    TRY(db_escrow_by_seq(conn, job->arena, second, &row, &found));
    assert_true(found && row.version == 2 && !row.officers_only);
    db_escrow_filter_t filter = {.kind = "", .owner = "", .device_id = ""};
    TRY(db_escrow_list(conn, job->arena, &filter, 0, 10, &rows, &count));
    assert_int_equal(count, 2);
    filter.former = true;
    TRY(db_escrow_list(conn, job->arena, &filter, first, 10, &rows, &count));
    assert_int_equal(count, 2);
    filter.owner = "anna";
    TRY(db_escrow_list(conn, job->arena, &filter, 0, 10, &rows, &count));
    assert_int_equal(count, 2);
    filter.kind = "pin";
    TRY(db_escrow_list(conn, job->arena, &filter, 0, 10, &rows, &count));
    assert_int_equal(count, 0);
    TRY(db_escrow_kinds(conn, job->arena, &kinds, &count));
    assert_int_equal(count, 1);
    assert_true(kinds[0].objects == 3 && kinds[0].undealt == 1 && kinds[0].officers_only == 1 &&
                kinds[0].former == 1);
    return NULL;
}

/* The first two objects were moved from 7 to 8. */
static err_t *check_kept(db_conn_t *conn, job_t *job, const int64_t seqs[3]) {
    int64_t kept = 0, left = 0, moved = 0;
    TRY(db_escrow_count_kept(conn, 8, 0, &kept));
    assert_int_equal(kept, 2);
    TRY(db_escrow_set_revealed(conn, seqs[1], 1000));
    TRY(db_escrow_count_kept(conn, 8, 1000, &kept));
    assert_int_equal(kept, 1);
    TRY(db_escrow_count_kept(conn, 8, 1001, &kept));
    assert_int_equal(kept, 0);
    TRY(db_escrow_move_back(conn, 7, 8));
    TRY(db_escrow_count_epoch(conn, 7, true, &left));
    assert_int_equal(left, 3);
    TRY(db_escrow_move_epoch(conn, 7, 8, 0, seqs[0], &moved));
    assert_int_equal(moved, 1);
    TRY(db_escrow_drop_kept(conn, 8));
    assert_int_equal(shares_of(conn, job->arena, seqs[0], 7), 0);
    assert_int_equal(shares_of(conn, job->arena, seqs[0], 8), 2);
    assert_int_equal(shares_of(conn, job->arena, seqs[1], 7), 1);
    TRY(db_escrow_move_back(conn, 7, 8));
    TRY(db_escrow_count_epoch(conn, 8, true, &left));
    assert_int_equal(left, 1);
    return NULL;
}

static err_t *check_move(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    int64_t seqs[3], moved = 0, epoch = 0, left = 0;
    bool found = false;
    static const char *const ids[] = {"m1", "m2", "m3"};
    for (size_t i = 0; i < 3; i++) {
        seqs[i] = add_object(conn, ids[i], 1, "", 7, false);
        put_share(conn, seqs[i], 7, 1, 0);
        put_share(conn, seqs[i], 8, 1, 1);
        put_share(conn, seqs[i], 8, 1, 2);
    }
    int64_t wrapped = add_object(conn, "m4", 1, "", 7, true);
    put_share(conn, wrapped, 7, 1, 0);
    TRY(db_escrow_older_epoch(conn, 8, true, &epoch, &found));
    assert_true(found && epoch == 7);
    TRY(db_escrow_move_epoch(conn, 7, 8, 0, seqs[1], &moved));
    assert_int_equal(shares_of(conn, job->arena, seqs[0], 7), 1);
    assert_int_equal(shares_of(conn, job->arena, seqs[1], 8), 2);
    assert_int_equal(shares_of(conn, job->arena, seqs[2], 7), 1);
    assert_int_equal(shares_of(conn, job->arena, wrapped, 7), 1);
    TRY(db_escrow_count_epoch(conn, 7, true, &left));
    assert_int_equal(left, 1);
    TRY(db_escrow_shares_drop_unfinished(conn, 8));
    assert_int_equal(shares_of(conn, job->arena, seqs[2], 8), 0);
    assert_int_equal(shares_of(conn, job->arena, seqs[0], 8), 2);
    TRY(check_kept(conn, job, seqs));
    TRY(db_escrow_shares_drop_others(conn, seqs[0], 9));
    assert_int_equal(shares_of(conn, job->arena, seqs[0], 8), 0);
    return NULL;
}

static err_t *add_drill(db_conn_t *conn, const char *kind, int64_t failed, bool replace) {
    db_escrow_drill_t row = {
        .kind = kind, .sampled = 9, .failed = failed, .failures = "", .actor = "a"};
    return replace ? db_escrow_drills_replace(conn, &row) : db_escrow_drills_add(conn, &row);
}

static err_t *check_drills(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_escrow_drill_t *rows = NULL;
    size_t count = 0;
    int64_t had = 0;
    TRY(add_drill(conn, "file", 3, false));
    TRY(add_drill(conn, "file", 4, false));
    for (int i = 0; i < 300; i++) TRY(add_drill(conn, "officer:one", i, true));
    TRY(add_drill(conn, "officer:two", 7, true));
    TRY(db_escrow_drills_latest(conn, job->arena, &rows, &count));
    assert_int_equal(count, 3);
    assert_true(strcmp(rows[0].kind, "file") == 0 && rows[0].failed == 4);
    assert_true(strcmp(rows[1].kind, "officer:one") == 0 && rows[1].failed == 299);
    assert_true(strcmp(rows[2].kind, "officer:two") == 0 && rows[2].failed == 7);
    TRY(db_escrow_drills_list(conn, job->arena, 100, &rows, &count));
    assert_int_equal(count, 4);
    TRY(db_officer_samples_get(conn, "one", 5, &had));
    assert_int_equal(had, 0);
    TRY(db_officer_samples_add(conn, "one", 5, 40));
    TRY(db_officer_samples_add(conn, "one", 5, 2));
    TRY(db_officer_samples_add(conn, "two", 5, 1));
    TRY(db_officer_samples_get(conn, "one", 5, &had));
    assert_int_equal(had, 42);
    TRY(db_officer_samples_add(conn, "one", 6, 3));
    TRY(db_officer_samples_get(conn, "one", 6, &had));
    assert_int_equal(had, 3);
    TRY(db_officer_samples_get(conn, "one", 5, &had));
    assert_int_equal(had, 0);
    return NULL;
}

static err_t *check_sets(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_officer_set_t set;
    bool found = false, changed = false;
    for (int64_t epoch = 1; epoch <= 3; epoch++)
        TRY(db_officer_sets_add(conn, &(db_officer_set_t){.epoch = epoch,
                                                          .record = BYTES_LIT("r"),
                                                          .hash = BYTES_LIT("h"),
                                                          .threshold = 2,
                                                          .officers = 3,
                                                          .state = "proposed"}));
    assert_err(ERR_EXISTS, db_officer_sets_add(conn, &(db_officer_set_t){.epoch = 1}));
    TRY(db_officer_sets_activate(conn, 1, NOW));
    TRY(db_officer_sets_activate(conn, 2, NOW));
    TRY(db_officer_sets_in_state(conn, job->arena, "active", &set, &found));
    assert_true(found && set.epoch == 2 && set.activated_ms == NOW);
    db_set_signature_t signature = {"o1", BYTES_LIT("s"), NOW};
    TRY(db_set_signatures_add(conn, 3, &signature));
    assert_err(ERR_EXISTS, db_set_signatures_add(conn, 3, &signature));
    TRY(db_officer_sets_drop(conn, 2, &changed));
    assert_false(changed);
    TRY(db_officer_sets_drop(conn, 3, &changed));
    assert_true(changed);
    TRY(db_redeals_add(conn, &(db_redeal_t){.to_epoch = 2, .dealer = 5, .officer_id = "o5"}));
    TRY(db_redeals_advance(conn, 2, 5, 0, 100, 90, NOW, &changed));
    assert_true(changed);
    TRY(db_redeals_advance(conn, 2, 5, 0, 100, 90, NOW, &changed));
    assert_false(changed);
    db_redeal_t *redeals = NULL;
    size_t count = 0;
    TRY(db_redeals_list(conn, job->arena, 2, &redeals, &count));
    assert_true(count == 1 && redeals[0].last_seq == 100 && redeals[0].done == 90);
    return NULL;
}

static err_t *check_recoveries(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_recovery_t row, *rows = NULL;
    size_t count = 0;
    int64_t waiting = 0;
    bool found = false, changed = false;
    int64_t seq = add_object(conn, "r", 1, "", 1, true);
    TRY(db_recoveries_add(conn, &(db_recovery_t){.id = "q1",
                                                 .object_seq = seq,
                                                 .kind = "file",
                                                 .requester = "p1",
                                                 .recipient = "b@example.org",
                                                 .reason = "left",
                                                 .ticket = "",
                                                 .threshold = 2,
                                                 .record = BYTES_LIT("r"),
                                                 .hash = BYTES_LIT("h"),
                                                 .created_ms = NOW,
                                                 .expires_ms = NOW + 10}));
    db_recovery_answer_t answer = {"q1", "o1", "p9", true, BYTES_LIT("a"), "", NOW};
    TRY(db_recovery_answers_add(conn, &answer));
    assert_err(ERR_EXISTS, db_recovery_answers_add(conn, &answer));
    answer.officer_id = "o2";
    answer.approved = false;
    TRY(db_recovery_answers_add(conn, &answer));
    TRY(db_recoveries_get(conn, job->arena, "q1", &row, &found));
    assert_true(found && row.approvals == 1 && row.object_seq == seq);
    TRY(db_recoveries_count_waiting(conn, NOW, &waiting));
    assert_int_equal(waiting, 1);
    TRY(db_recoveries_count_waiting(conn, NOW + 10, &waiting));
    assert_int_equal(waiting, 0);
    TRY(db_recoveries_decide(conn, "q1", "opened", NOW + 5, &changed));
    assert_true(changed);
    TRY(db_recoveries_decide(conn, "q1", "opened", NOW + 6, &changed));
    assert_false(changed);
    TRY(db_recoveries_list(conn, job->arena, "opened", 0, 10, &rows, &count));
    assert_true(count == 1 && rows[0].decided_ms == NOW + 5);
    TRY(db_recoveries_list(conn, job->arena, "", rows[0].seq, 10, &rows, &count));
    assert_int_equal(count, 0);
    TRY(db_recoveries_of_object(conn, job->arena, seq, 10, &rows, &count));
    assert_int_equal(count, 1);
    /* A share was wrong: it counts no more, and once; the request waits again. */
    TRY(db_recoveries_set_opening(conn, "q1", "ab"));
    TRY(db_recovery_answers_wrong(conn, "q1", "o2", &changed));
    assert_false(changed); /* a no */
    TRY(db_recovery_answers_wrong(conn, "q1", "o1", &changed));
    assert_true(changed);
    TRY(db_recovery_answers_wrong(conn, "q1", "o1", &changed));
    assert_false(changed);
    TRY(db_recoveries_wait_again(conn, "q1", 3));
    TRY(db_recoveries_get(conn, job->arena, "q1", &row, &found));
    assert_true(row.approvals == 0 && row.threshold == 3 && row.decided_ms == 0);
    assert_string_equal(row.state, "waiting");
    assert_string_equal(row.opening, "ab");
    TRY(db_recoveries_set_received(conn, "q1", NOW + 7));
    TRY(db_recoveries_get(conn, job->arena, "q1", &row, &found));
    assert_int_equal(row.received_ms, NOW + 7);
    return NULL;
}

static void add_hand(db_conn_t *conn, const char *person, const char *hand) {
    assert_ok(db_hands_add(conn, &(db_hand_t){person, hand, "token", NOW}));
}

static bool reaches(db_conn_t *conn, const char *person, const char *hand) {
    bool reach = false;
    assert_ok(db_hands_reach(conn, person, hand, &reach));
    return reach;
}

static err_t *check_hands(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    const char **hands = NULL;
    size_t count = 0;
    add_hand(conn, "dora", "ben");
    add_hand(conn, "dora", "ben");
    add_hand(conn, "ben", "carl");
    add_hand(conn, "carl", "dora"); /* a circle */
    add_hand(conn, "eve", "");
    add_hand(conn, "eve", "eve");
    assert_true(reaches(conn, "dora", "ben"));
    assert_true(reaches(conn, "dora", "carl")); /* through ben's */
    assert_false(reaches(conn, "dora", "eve"));
    assert_false(reaches(conn, "eve", "eve"));
    assert_false(reaches(conn, "eve", ""));
    TRY(db_hands_of(conn, job->arena, "dora", 10, &hands, &count));
    assert_int_equal(count, 2);
    assert_string_equal(hands[0], "ben");
    assert_string_equal(hands[1], "carl");
    return NULL;
}

static void run(db_fn fn) {
    fixture_t f;
    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(ARENA, &arena));
    job_t job = {arena};
    fixture_migrated(&f);
    assert_ok(db_write(f.db, fn, &job));
    fixture_done(&f);
}

static void test_escrow__versions_filters_and_counts(void **state) {
    (void)state;
    run(check_objects);
}
static void test_escrow__shares_move_with_their_objects(void **state) {
    (void)state;
    run(check_move);
}
static void test_escrow__one_set_is_active(void **state) {
    (void)state;
    run(check_sets);
}
static void test_escrow__requests_are_answered_and_opened_once(void **state) {
    (void)state;
    run(check_recoveries);
}
static void test_escrow__the_newest_drill_of_each_kind_is_found(void **state) {
    (void)state;
    run(check_drills);
}
static void test_escrow__hands_reach_through_other_hands(void **state) {
    (void)state;
    run(check_hands);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escrow__versions_filters_and_counts),
        cmocka_unit_test(test_escrow__shares_move_with_their_objects),
        cmocka_unit_test(test_escrow__one_set_is_active),
        cmocka_unit_test(test_escrow__requests_are_answered_and_opened_once),
        cmocka_unit_test(test_escrow__the_newest_drill_of_each_kind_is_found),
        cmocka_unit_test(test_escrow__hands_reach_through_other_hands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
