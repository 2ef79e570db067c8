/*
 * Checkpoints of the log of device chains: whom they are signed for, and by which key.
 */
#include "base/mem.h"
#include "crypto/merkle.h"
#include "crypto/note.h"
#include "keeper/client_escrow.h"
#include "keeper/client_sync.h"
#include "keeper_fixture.h"

#define ORIGIN "sync.example.org/sync"

static int setup(void **state) {
    keeper_fixture_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    keeper_fixture_make(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    keeper_fixture_done(*state);
    mem_free(*state);
    return 0;
}

static pkey_t *log_key(keeper_fixture_t *f) {
    CLEANUP(buf_done) buf_t der;
    pkey_t *key = NULL;
    buf_init(&der, 256);
    assert_ok(keeper_public(f->keeper, KEEPER_PUBLIC_SYNC_LOG, &der));
    assert_ok(pkey_parse_public_der(buf_bytes(&der), &key));
    return key;
}

/* A tree of `size` leaves that differ by `mark` from leaf `from` on, and the proof from `old`. */
typedef struct {
    uint8_t root[32];
    buf_t proof;
    keeper_tree_t tree;
} sample_t;

static void leaf_of(uint64_t i, uint64_t from, uint8_t mark, uint8_t out[32]) {
    const uint8_t data[2] = {(uint8_t)i, i < from ? 0 : mark};
    assert_ok(merkle_leaf(BYTES_ARRAY(data), out));
}

/* MTH and PROOF of RFC 6962 section 2.1, written out. */
static void hash_of(uint64_t from, uint64_t to, uint64_t forked, uint8_t mark, uint8_t out[32]) {
    uint64_t k = 1;
    uint8_t left[32], right[32];
    if (to - from == 1) {
        leaf_of(from, forked, mark, out);
        return;
    }
    while (k * 2 < to - from) k *= 2;
    hash_of(from, from + k, forked, mark, left);
    hash_of(from + k, to, forked, mark, right);
    assert_ok(merkle_node(left, right, out));
}

static void prove(uint64_t m, uint64_t from, uint64_t to, bool whole, uint64_t forked, uint8_t mark,
                  buf_t *out) {
    uint64_t k = 1;
    uint8_t hash[32];
    if (m == to - from) {
        if (whole) return;
        hash_of(from, to, forked, mark, hash);
        assert_ok(buf_add(out, BYTES_ARRAY(hash)));
        return;
    }
    while (k * 2 < to - from) k *= 2;
    bool left = m <= k;
    if (left) prove(m, from, from + k, whole, forked, mark, out);
    else prove(m - k, from + k, to, false, forked, mark, out);
    if (left) hash_of(from + k, to, forked, mark, hash);
    else hash_of(from, from + k, forked, mark, hash);
    assert_ok(buf_add(out, BYTES_ARRAY(hash)));
}

static void sample(sample_t *s, uint64_t old, uint64_t size, uint64_t forked, uint8_t mark) {
    buf_init(&s->proof, 4096);
    hash_of(0, size, forked, mark, s->root);
    if (old) prove(old, 0, size, true, forked, mark, &s->proof);
    s->tree = (keeper_tree_t){.origin = ORIGIN,
                              .size = size,
                              .root = s->root,
                              .old_size = old,
                              .proof = buf_bytes(&s->proof)};
}

static err_t *ask(keeper_fixture_t *f, uint64_t old, uint64_t size, uint64_t forked, uint8_t mark,
                  uint64_t *ret_last, bool *ret_signed) {
    sample_t s;
    CLEANUP(buf_done) buf_t note;
    buf_init(&note, LIMIT_NOTE_BYTES);
    sample(&s, old, size, forked, mark);
    err_t *e = keeper_sync_checkpoint(f->keeper, &s.tree, ret_last, &note);
    *ret_signed = note.n > 0;
    buf_done(&s.proof);
    return e;
}

static void test_sync__a_checkpoint_is_a_note_of_the_logs_key(void **state) {
    keeper_fixture_t *f = *state;
    static const uint8_t root[32] = {1, 2, 3};
    const keeper_tree_t tree = {.origin = ORIGIN, .size = 7, .root = root};
    CLEANUP(buf_done) buf_t note;
    CLEANUP(pkey_free) pkey_t *key = log_key(f);
    bytes_t text;
    uint64_t last = 9;
    buf_init(&note, LIMIT_NOTE_BYTES);
    assert_ok(keeper_sync_checkpoint(f->keeper, &tree, &last, &note));
    assert_int_equal(last, 0);
    assert_ok(note_open(buf_bytes(&note), key, ORIGIN, &text));
    assert_true(bytes_eq_str(text, ORIGIN "\n7\nAQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"));
    assert_err(ERR_VERIFY, note_open(buf_bytes(&note), key, "other.example.org/sync", &text));
    assert_err(ERR_VERIFY, note_open(buf_bytes(&note), f->keys->audit_key, ORIGIN, &text));
}

static void test_sync__only_trees_that_go_on_are_signed(void **state) {
    keeper_fixture_t *f = *state;
    uint64_t last = 0;
    bool good = false;
    assert_ok(ask(f, 0, 5, 0, 0, &last, &good));
    assert_true(good);
    /* Who knows less than the keeper is told how far it is, and asks again. */
    assert_ok(ask(f, 3, 9, 0, 0, &last, &good));
    assert_false(good);
    assert_int_equal(last, 5);
    assert_ok(ask(f, 5, 9, 0, 0, &last, &good));
    assert_true(good);
    assert_ok(ask(f, 9, 9, 0, 0, &last, &good)); /* an answer was lost */
    assert_true(good);
    /* Another tree of this size; one that is shorter; ones that changed what was signed. */
    assert_err(ERR_DENIED, ask(f, 9, 9, 3, 1, &last, &good));
    assert_err(ERR_DENIED, ask(f, 5, 7, 0, 0, &last, &good));
    assert_err(ERR_DENIED, ask(f, 9, 12, 8, 1, &last, &good));
    assert_false(good);
    keeper_fixture_restart(f);
    assert_err(ERR_DENIED, ask(f, 9, 12, 0, 1, &last, &good));
    assert_ok(ask(f, 0, 12, 0, 0, &last, &good));
    assert_false(good);
    assert_int_equal(last, 9);
    assert_ok(ask(f, 9, 12, 9, 1, &last, &good));
    assert_true(good);
}

static void test_sync__the_key_stays_when_storage_keys_change(void **state) {
    keeper_fixture_t *f = *state;
    uint32_t number = 0;
    CLEANUP(pkey_free) pkey_t *before = log_key(f);
    assert_ok(keeper_storage_key_new(f->keeper, &number));
    keeper_fixture_restart(f);
    CLEANUP(pkey_free) pkey_t *after = log_key(f);
    assert_true(pkey_same_public(before, after));
    assert_false(pkey_same_public(before, f->keys->audit_key));
}

static void test_sync__only_coffer_web_has_checkpoints_signed(void **state) {
    keeper_fixture_t *f = *state;
    static const uint8_t root[32] = {0};
    static const role_t others[] = {ROLE_COURIER, ROLE_MAILGATE};
    keeper_tree_t tree = {.origin = ORIGIN, .size = 1, .root = root};
    CLEANUP(buf_done) buf_t note;
    uint64_t last = 0;
    buf_init(&note, LIMIT_NOTE_BYTES);
    for (size_t i = 0; i < 2; i++) {
        f->role = others[i];
        assert_err(ERR_DENIED, keeper_sync_checkpoint(f->keeper, &tree, &last, &note));
    }
    f->role = ROLE_WEB;
    tree.origin = "two words";
    assert_err(ERR_USAGE, keeper_sync_checkpoint(f->keeper, &tree, &last, &note));
    tree.origin = ORIGIN;
    tree.size = 0;
    assert_err(ERR_INVALID, keeper_sync_checkpoint(f->keeper, &tree, &last, &note));
    tree.size = 1;
    tree.proof = BYTES_LIT("half a hash");
    assert_err(ERR_INVALID, keeper_sync_checkpoint(f->keeper, &tree, &last, &note));
    assert_int_equal(note.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_sync__##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_checkpoint_is_a_note_of_the_logs_key),
        TEST(only_trees_that_go_on_are_signed),
        TEST(the_key_stays_when_storage_keys_change),
        TEST(only_coffer_web_has_checkpoints_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
