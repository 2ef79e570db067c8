/* Keybags as an independent implementation makes them: docs/formats/keybag-vectors.txt. */
#include "keybag_fixture.h"

#include "base/text.h"
#include "keybag/keybag_file.h"

enum { BUF = 64 * 1024 };

static void get(const char *name, buf_t *out) {
    CLEANUP(buf_done) buf_t file;
    buf_init(&file, BUF);
    buf_init(out, BUF);
    assert_ok(file_read(KEYBAG_VECTORS, &file));
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

static void write_vector(const char *name, const char *path) {
    CLEANUP(buf_done) buf_t data;
    get(name, &data);
    assert_ok(file_write(path, buf_bytes(&data), 0600));
}

static void test_vectors__opens_what_others_made(void **state) {
    (void)state;
    world_t w;
    CLEANUP(buf_done) buf_t passcode, item, plain;
    keybag_state_t s;
    world_init(&w);
    buf_init_secret(&plain, 64);
    write_vector("keybag", w.bag);
    write_vector("device", w.device);
    get("passcode", &passcode);
    get("item_a", &item);
    keybag_t *bag = world_open(&w);
    assert_ok(keybag_state(bag, &s));
    assert_int_equal(s.generation, 3);
    assert_int_equal(s.tries_left, 10);
    assert_err(ERR_AUTH, keybag_unlock(bag, WRONG));
    assert_ok(keybag_unlock(bag, buf_bytes(&passcode)));
    assert_ok(keybag_unseal(bag, KEYBAG_A, "example", buf_bytes(&item), &plain));
    assert_true(bytes_eq_str(buf_bytes(&plain), "item"));
    keybag_free(bag);
    world_done(&w);
}

static void test_vectors__derives_the_same(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t data, device, passcode, wanted, again;
    CLEANUP(secret_free) secret_t *uid = NULL, *argon = NULL, *auth = NULL;
    keybag_file_t file;
    assert_ok(crypto_init());
    get("keybag", &data);
    get("device", &device);
    get("passcode", &passcode);
    get("auth", &wanted);
    buf_init(&again, KEYBAG_FILE);
    assert_ok(keybag_file_parse(buf_bytes(&data), &file));
    assert_ok(secret_copy(bytes_slice(buf_bytes(&device), 8, KEYBAG_KEY), &uid));
    assert_ok(keybag_file_check(buf_bytes(&data), uid));
    assert_ok(keybag_file_write(&file, uid, &again));
    assert_true(bytes_eq(buf_bytes(&again), buf_bytes(&data)));
    assert_ok(password_derive(buf_bytes(&passcode), BYTES_ARRAY(file.salt), &file.cost, KEYBAG_KEY,
                              &argon));
    assert_ok(keybag_slot_auth(&file, uid, argon, &auth));
    assert_true(secret_eq(auth, buf_bytes(&wanted)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors__opens_what_others_made),
        cmocka_unit_test(test_vectors__derives_the_same),
    };
    return cmocka_run_group_tests_name("keybag vectors", tests, NULL, NULL);
}
