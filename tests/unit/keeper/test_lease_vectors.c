/*
 * Leases as an independent implementation makes them: docs/formats/lease-vectors.txt.
 */
#include <stdio.h>

#include "../unit.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/hpke.h"
#include "crypto/pkey.h"
#include "ipc/wire.h"
#include "keeper/client_lease.h"

enum { BUF = 64 * 1024 };

static buf_t file;

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    buf_init(&file, BUF);
    assert_ok(file_read(LEASE_VECTORS, &file));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    buf_done(&file);
    return 0;
}

static void get(const char *name, buf_t *out) {
    bytes_t rest = buf_bytes(&file), line;
    buf_init(out, BUF);
    while (text_split(&rest, '\n', &line)) {
        size_t space = bytes_find(line, ' ');
        if (line.n == 0 || line.p[0] == '#' || !bytes_eq_str(bytes_slice(line, 0, space), name))
            continue;
        assert_ok(text_unhex(bytes_from(line, space + 1), out));
        return;
    }
    fail_msg("no vector %s", name);
}

static uint64_t get_number(const char *name) {
    CLEANUP(buf_done) buf_t raw;
    uint64_t value = 0;
    get(name, &raw);
    wire_reader_t r = wire_reader(buf_bytes(&raw));
    assert_ok(wire_get_u64(&r, &value));
    assert_ok(wire_done(&r));
    return value;
}

static pkey_t *get_key(const char *name) {
    CLEANUP(buf_done) buf_t raw;
    pkey_t *key = NULL;
    get(name, &raw);
    assert_ok(pkey_from_raw_private(PKEY_X25519, buf_bytes(&raw), &key));
    return key;
}

static void assert_opens(const char *sealed_name, const char *key_name, const char *info_name,
                         const buf_t *info) {
    CLEANUP(buf_done) buf_t sealed, kek, plain, wanted;
    CLEANUP(pkey_free) pkey_t *key = get_key(key_name);
    get(sealed_name, &sealed);
    get("kek", &kek);
    get(info_name, &wanted);
    assert_true(bytes_eq(buf_bytes(info), buf_bytes(&wanted)));
    buf_init_secret(&plain, BUF);
    assert_ok(
        hpke_open(HPKE_AES256_GCM, key, buf_bytes(info), BYTES_NONE, buf_bytes(&sealed), &plain));
    assert_true(bytes_eq(buf_bytes(&plain), buf_bytes(&kek)));
}

static void test_lease_vectors__puts_and_releases_open(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t device, account, event, info;
    CLEANUP(pkey_free) pkey_t *push = get_key("push");
    keeper_lease_t lease = {.epoch = get_number("epoch"),
                            .expires = (int64_t)get_number("expires")};
    const char *event_text = NULL;
    get("device", &device);
    get("account", &account);
    get("event", &event);
    assert_ok(buf_cstr(&device, &lease.device));
    assert_ok(buf_cstr(&account, &lease.account));
    assert_ok(buf_cstr(&event, &event_text));
    assert_ok(pkey_raw_public(push, lease.push_key));
    buf_init(&info, BUF);
    assert_ok(keeper_lease_info(&lease, &info));
    assert_opens("put", "keeper", "put_info", &info);
    buf_clear(&info);
    assert_ok(keeper_lease_release_info(&lease, event_text, &info));
    assert_opens("release", "push", "release_info", &info);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_vectors__puts_and_releases_open),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
