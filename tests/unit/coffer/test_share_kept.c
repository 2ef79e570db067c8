/*
 * Groups that a share's home keeps: src/program/coffer/share_kept.c.
 */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "program/coffer/share_kept.h"

static sync_member_t member(const char *person, const char *group, uint8_t roles) {
    sync_member_t m = {.roles = roles};
    bytes_put(m.person, bytes_str(person));
    bytes_put(m.group, bytes_str(group));
    return m;
}

static void test_share_kept__newcomers_get_what_all_have(void **state) {
    (void)state;
    CLEANUP(mem_free) share_kept_t *list = NULL;
    size_t n = 0;
    /* In whatever order the homes' hashes put them. */
    for (size_t turn = 0; turn < 2; turn++) {
        sync_member_t members[] = {member("a", "sales", SYNC_READ), member("b", "", SYNC_ALL),
                                   member("c", "sales", SYNC_ALL), member("d", "lab", SYNC_ALL)};
        if (turn) {
            sync_member_t first = members[0];
            members[0] = members[2];
            members[2] = first;
        }
        mem_free(list);
        assert_ok(share_kept_gather(NULL, 0, members, 4, &list, &n));
        assert_int_equal(n, 2);
        assert_string_equal(list[0].group, "sales");
        assert_int_equal(list[0].roles, SYNC_READ);
        assert_true(list[0].had);
        assert_string_equal(list[1].group, "lab");
        assert_int_equal(list[1].roles, SYNC_ALL);
    }
}

static void test_share_kept__a_kept_group_needs_no_member(void **state) {
    (void)state;
    CLEANUP(mem_free) share_kept_t *list = NULL;
    size_t n = 0;
    share_kept_t kept[2] = {{.group = "lab", .roles = SYNC_READ | SYNC_WRITE},
                            {.group = "sales", .roles = SYNC_READ, .had = true}};
    sync_member_t members[] = {member("c", "sales", SYNC_ALL)};
    assert_ok(share_kept_gather(kept, 2, members, 1, &list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].group, "lab");
    assert_int_equal(list[0].roles, SYNC_READ | SYNC_WRITE);
    assert_false(list[0].had);
    assert_int_equal(list[1].roles, SYNC_READ); /* not what one has more */
    assert_int_equal(share_kept_count(members, 1, "sales"), 1);
    assert_int_equal(share_kept_count(members, 1, "lab"), 0);
}

static void test_share_kept__most_of_many_wait(void **state) {
    (void)state;
    assert_true(share_kept_too_many(39, 40));
    assert_true(share_kept_too_many(3, 3));
    assert_true(share_kept_too_many(3, 5));
    assert_false(share_kept_too_many(3, 6)); /* half of them */
    assert_false(share_kept_too_many(2, 2));
    assert_false(share_kept_too_many(20, 40));
    assert_false(share_kept_too_many(0, 0));
}

static void test_share_kept__is_put_loaded_and_dropped(void **state) {
    (void)state;
    CLEANUP(db_local_close) db_local_t *local = NULL;
    CLEANUP(mem_free) share_kept_t *list = NULL;
    char dir[] = "/tmp/kept.XXXXXX", path[64];
    size_t n = 1;
    bool found = false;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/state.db", dir);
    assert_ok(db_local_open(path, clk_real(), &local));
    assert_ok(share_kept_load(local, &list, &n));
    assert_int_equal(n, 0);
    assert_ok(share_kept_put(local, "sales@example.org", SYNC_ALL, true));
    assert_ok(share_kept_put(local, "lab@example.org", SYNC_READ, false));
    assert_ok(share_kept_put(local, "sales@example.org", SYNC_READ, false));
    mem_free(list);
    list = NULL;
    assert_ok(share_kept_load(local, &list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].group, "lab@example.org");
    assert_string_equal(list[1].group, "sales@example.org");
    assert_int_equal(list[1].roles, SYNC_READ);
    assert_false(list[1].had);
    assert_ok(share_kept_drop(local, "sales@example.org", &found));
    assert_true(found);
    assert_ok(share_kept_drop(local, "sales@example.org", &found));
    assert_false(found);
    db_local_close(local);
    local = NULL;
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_kept__newcomers_get_what_all_have),
        cmocka_unit_test(test_share_kept__a_kept_group_needs_no_member),
        cmocka_unit_test(test_share_kept__most_of_many_wait),
        cmocka_unit_test(test_share_kept__is_put_loaded_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
