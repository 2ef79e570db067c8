/* Names to addresses on a thread: what is found, what isn't, and giving up before the end. */
#include "../unit.h"

#include <netinet/in.h>
#include <poll.h>

#include "base/fault.h"
#include "base/lookup.h"
#include "base/mem.h"

static void wait_for(const lookup_t *lookup) {
    struct pollfd p = {.fd = lookup_fd(lookup), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 60 * 1000), 1);
}

static void test_lookup__finds_an_address_and_says_what_it_does_not_find(void **state) {
    (void)state;
    CLEANUP(lookup_free) lookup_t *good = NULL, *bad = NULL;
    CLEANUP(lookup_list_free) struct addrinfo *list = NULL;
    assert_ok(lookup_start("127.0.0.1", "143", &good));
    wait_for(good);
    assert_ok(lookup_take(good, &list));
    assert_non_null(list);
    assert_int_equal(list->ai_family, AF_INET);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)list->ai_addr;
    assert_int_equal(ntohs(in->sin_port), 143);
    assert_int_equal(ntohl(in->sin_addr.s_addr), 0x7f000001);
    assert_ok(lookup_start("no name at all", "143", &bad));
    wait_for(bad);
    struct addrinfo *none = NULL;
    assert_err(ERR_UNAVAILABLE, lookup_take(bad, &none));
    assert_null(none);
}

/* The thread frees what nobody takes: a sanitizer's leak check sees to the claim. */
static void test_lookup__may_be_left_before_its_end(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        lookup_t *lookup = NULL;
        assert_ok(lookup_start("127.0.0.1", "143", &lookup));
        if (i % 2) wait_for(lookup);
        lookup_free(lookup);
    }
    lookup_free(NULL);
}

static void test_lookup__fails_cleanly_without_memory_or_descriptors(void **state) {
    (void)state;
    lookup_t *lookup = NULL;
    for (unsigned long n = 1; n <= 3; n++) {
        fault_arm_memory(n);
        err_t *e = lookup_start("127.0.0.1", "143", &lookup);
        fault_arm_memory(0);
        assert_non_null(e);
        assert_null(lookup);
        err_free(e);
    }
    fault_arm_io(1);
    err_t *e = lookup_start("127.0.0.1", "143", &lookup);
    fault_arm_io(0);
    assert_err(ERR_IO, e);
    assert_null(lookup);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup__finds_an_address_and_says_what_it_does_not_find),
        cmocka_unit_test(test_lookup__may_be_left_before_its_end),
        cmocka_unit_test(test_lookup__fails_cleanly_without_memory_or_descriptors),
    };
    return cmocka_run_group_tests_name("base lookup", tests, NULL, NULL);
}
