/* Lists of strings: copied whole or not at all. */
#include "../unit.h"

#include "base/fault.h"
#include "base/mem.h"

static void test_mem__a_list_of_strings_is_copied(void **state) {
    (void)state;
    const char *const list[] = {"Work", "", "Photos", NULL};
    char **copy = mem_strings_copy(list);
    assert_non_null(copy);
    for (size_t i = 0; list[i]; i++) {
        assert_string_equal(copy[i], list[i]);
        assert_ptr_not_equal(copy[i], list[i]);
    }
    assert_null(copy[3]);
    mem_strings_free(copy);
    copy = mem_strings_copy(list + 3);
    assert_non_null(copy);
    assert_null(copy[0]);
    mem_strings_free(copy);
    mem_strings_free(NULL);
}

static void test_mem__a_list_survives_each_failing_allocation(void **state) {
    (void)state;
    const char *const list[] = {"a", "b", "c", NULL};
    for (uint64_t n = 1; n <= 4; n++) {
        fault_arm_memory(n);
        char **copy = mem_strings_copy(list);
        fault_arm_memory(0);
        assert_null(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem__a_list_of_strings_is_copied),
        cmocka_unit_test(test_mem__a_list_survives_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
