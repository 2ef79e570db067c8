/*
 * Clients' networks: src/program/mailgate/networks.c.
 */
#include "../unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "program/mailgate/networks.h"

static bool has(const char *list, const char *text) {
    networks_t n;
    struct sockaddr_storage peer = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    address_t address;
    char shown[ADDRESS_TEXT];
    assert_ok(networks_parse(bytes_str(list), &n));
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) memcpy(&peer, &in, sizeof in);
    else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(&peer, &in6, sizeof in6);
    }
    assert_true(address_of(&peer, &address, shown));
    return networks_have(&n, &address);
}

static void test_networks__have(void **state) {
    (void)state;
    assert_true(has("127.0.0.0/8, ::1", "127.3.2.1"));
    assert_true(has("127.0.0.0/8, ::1", "::1"));
    assert_true(has("10.1.0.0/16", "::ffff:10.1.255.255")); /* IPv4 on an IPv6 socket */
    assert_false(has("10.1.0.0/16", "10.2.0.0"));
    assert_true(has("10.1.2.128/25", "10.1.2.200"));
    assert_false(has("10.1.2.128/25", "10.1.2.127"));
    assert_false(has("192.0.2.1", "192.0.2.2"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
    assert_false(has("0.0.0.0/0", "2001:db8::1"));
}

static void test_networks__refuses_and_knows_everybody(void **state) {
    (void)state;
    networks_t n;
    static const char *const bad[] = {"x", "10.0.0.0/33", "::1/129", "10.0.0.0/", "10.0.0/8", "/8"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_t *e = networks_parse(bytes_str(bad[i]), &n);
        assert_non_null(e);
        err_free(e);
    }
    static const char *const open[] = {"0.0.0.0/0", "::/0", "128.0.0.0/1", "::1, 0.0.0.0/7"};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_ok(networks_parse(bytes_str(open[i]), &n));
        assert_true(networks_are_open(&n));
    }
    assert_ok(networks_parse(BYTES_LIT("10.0.0.0/8, ::1, 127.0.0.1"), &n));
    assert_false(networks_are_open(&n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks__have),
        cmocka_unit_test(test_networks__refuses_and_knows_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
