/* Releases as an independent implementation makes them, and what else does not open. */
#include "../unit.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "box/lease.h"

enum { BUF = 64 * 1024 };

static void get(const char *name, buf_t *out) {
    CLEANUP(buf_done) buf_t file;
    buf_init(&file, BUF);
    buf_init(out, BUF);
    assert_ok(file_read(LEASE_VECTORS, &file));
    bytes_t rest = buf_bytes(&file), line;
    while (text_split(&rest, '\n', &line)) {
        size_t space = bytes_find(line, ' ');
        if (line.n == 0 || line.p[0] == '#' || !bytes_eq_str(bytes_slice(line, 0, space), name))
            continue;
        assert_ok(text_unhex(bytes_from(line, space + 1), out));
        return;
    }
    fail_msg("no vector %s", name);
}

static uint64_t number(const char *name) {
    CLEANUP(buf_done) buf_t raw;
    uint64_t value = 0;
    get(name, &raw);
    for (size_t i = 0; i < raw.n; i++) value = value << 8 | raw.p[i];
    return value;
}

static void test_lease__opens_the_vector_and_nothing_like_it(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t account, device, event, push, sealed, wanted, kek;
    CLEANUP(secret_free) secret_t *key = NULL;
    const char *account_text = NULL, *event_text = NULL;
    box_lease_t lease = {.epoch = number("epoch"), .expires = (int64_t)number("expires")};
    assert_ok(crypto_init());
    get("account", &account);
    get("device", &device);
    get("event", &event);
    get("push", &push);
    get("release", &sealed);
    get("kek", &wanted);
    buf_init_secret(&kek, 64);
    assert_ok(secret_copy(buf_bytes(&push), &key));
    assert_ok(buf_cstr(&account, &account_text));
    assert_ok(buf_cstr(&event, &event_text));
    bytes_put(lease.device, buf_bytes(&device));
    const box_server_t server = {.account = account_text, .push_key = key};
    assert_ok(box_lease_open(&server, &lease, event_text, buf_bytes(&sealed), &kek));
    assert_true(bytes_eq(buf_bytes(&kek), buf_bytes(&wanted)));
    box_lease_t other = lease;
    other.epoch++;
    assert_err(ERR_VERIFY, box_lease_open(&server, &other, event_text, buf_bytes(&sealed), &kek));
    other = lease;
    other.expires++;
    assert_err(ERR_VERIFY, box_lease_open(&server, &other, event_text, buf_bytes(&sealed), &kek));
    other = lease;
    other.device[0] ^= 1;
    assert_err(ERR_VERIFY, box_lease_open(&server, &other, event_text, buf_bytes(&sealed), &kek));
    assert_err(ERR_VERIFY, box_lease_open(&server, &lease, "mail-other", buf_bytes(&sealed), &kek));
    const box_server_t foreign = {.account = "mail2", .push_key = key};
    assert_err(ERR_VERIFY, box_lease_open(&foreign, &lease, event_text, buf_bytes(&sealed), &kek));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease__opens_the_vector_and_nothing_like_it),
    };
    return cmocka_run_group_tests_name("box lease", tests, NULL, NULL);
}
