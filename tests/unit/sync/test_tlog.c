/*
 * Merkle trees, proofs from tiles, checkpoints: against the definition of RFC 6962 written out, and
 * a signed note of another implementation.
 */
#include "../unit.h"

#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "sync/tlog_audit.h"
#include "sync_fixture.h"

enum { LEAVES = 300 };

typedef struct {
    uint8_t leaves[LEAVES][MERKLE_HASH];
} leaves_t;

static int setup(void **state) {
    leaves_t *log = mem_alloc(sizeof *log);
    assert_ok(crypto_init());
    for (size_t i = 0; i < LEAVES; i++) {
        uint8_t data[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        assert_ok(merkle_leaf(BYTES_ARRAY(data), log->leaves[i]));
    }
    *state = log;
    return 0;
}

static int teardown(void **state) {
    mem_free(*state);
    return 0;
}

/* MTH(D[from:to]) as RFC 6962 section 2.1 says it. */
static void mth(const leaves_t *log, size_t from, size_t to, uint8_t out[MERKLE_HASH]) {
    uint8_t left[MERKLE_HASH], right[MERKLE_HASH];
    if (to - from == 1) {
        memcpy(out, log->leaves[from], MERKLE_HASH);
        return;
    }
    size_t k = 1;
    while (k * 2 < to - from) k *= 2;
    mth(log, from, from + k, left);
    mth(log, from + k, to, right);
    assert_ok(merkle_node(left, right, out));
}

static err_t *read_tile(void *ctx, unsigned level, uint64_t index, unsigned width,
                        uint8_t (*ret_hashes)[MERKLE_HASH]) {
    const leaves_t *log = ctx;
    size_t span = level ? 256 : 1;
    assert_true(level < 2);
    for (unsigned i = 0; i < width; i++) {
        size_t from = ((size_t)index * TLOG_TILE + i) * span;
        assert_true(from + span <= LEAVES);
        mth(log, from, from + span, ret_hashes[i]);
    }
    return NULL;
}

static void test_merkle__grows_to_the_roots_of_the_definition(void **state) {
    const leaves_t *log = *state;
    merkle_t merkle;
    uint8_t root[MERKLE_HASH], wanted[MERKLE_HASH];
    merkle_init(&merkle);
    assert_ok(merkle_root(&merkle, root));
    assert_ok(digest_sha256(BYTES_NONE, wanted));
    assert_memory_equal(root, wanted, MERKLE_HASH);
    for (size_t n = 1; n <= LEAVES; n++) {
        assert_ok(merkle_add(&merkle, log->leaves[n - 1]));
        assert_ok(merkle_root(&merkle, root));
        mth(log, 0, n, wanted);
        assert_memory_equal(root, wanted, MERKLE_HASH);
    }
}

static void test_tlog__roots_come_from_tiles(void **state) {
    leaves_t *log = *state;
    tlog_tiles_t tiles = {.ctx = log, .read = read_tile};
    uint8_t root[MERKLE_HASH], wanted[MERKLE_HASH];
    for (size_t n = 1; n <= LEAVES; n += n < 20 ? 1 : 35) {
        assert_ok(tlog_root(&tiles, n, root));
        mth(log, 0, n, wanted);
        assert_memory_equal(root, wanted, MERKLE_HASH);
    }
}

static void check_inclusion(const leaves_t *log, size_t size, size_t index) {
    tlog_tiles_t tiles = {.ctx = (void *)(uintptr_t)log, .read = read_tile};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], root[MERKLE_HASH];
    const uint8_t(*p)[MERKLE_HASH] = (const uint8_t(*)[MERKLE_HASH])proof;
    size_t n = 0;
    mth(log, 0, size, root);
    assert_ok(tlog_inclusion(&tiles, size, index, proof, &n));
    assert_ok(merkle_check_inclusion(size, index, log->leaves[index], p, n, root));
    assert_err(ERR_VERIFY,
               merkle_check_inclusion(size, index, log->leaves[(index + 1) % LEAVES], p, n, root));
    assert_err(ERR_VERIFY, merkle_check_inclusion(size, size, log->leaves[index], p, n, root));
    if (size > 1)
        assert_err(ERR_VERIFY,
                   merkle_check_inclusion(size, index ^ 1, log->leaves[index], p, n, root));
    if (n) {
        assert_err(ERR_VERIFY,
                   merkle_check_inclusion(size, index, log->leaves[index], p, n - 1, root));
        proof[n - 1][0] ^= 1;
        assert_err(ERR_VERIFY, merkle_check_inclusion(size, index, log->leaves[index], p, n, root));
    }
}

static void test_tlog__proves_that_a_leaf_is_in(void **state) {
    for (size_t size = 1; size < 20; size++)
        for (size_t i = 0; i < size; i++) check_inclusion(*state, size, i);
    check_inclusion(*state, 300, 0);
    check_inclusion(*state, 300, 255);
    check_inclusion(*state, 300, 256);
    check_inclusion(*state, 300, 299);
}

static void check_consistency(const leaves_t *log, size_t old, size_t size) {
    tlog_tiles_t tiles = {.ctx = (void *)(uintptr_t)log, .read = read_tile};
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], before[MERKLE_HASH], after[MERKLE_HASH];
    const uint8_t(*p)[MERKLE_HASH] = (const uint8_t(*)[MERKLE_HASH])proof;
    size_t n = 0;
    mth(log, 0, old, before);
    mth(log, 0, size, after);
    assert_ok(tlog_consistency(&tiles, old, size, proof, &n));
    assert_ok(merkle_check_consistency(old, before, size, after, p, n));
    before[0] ^= 1;
    assert_err(ERR_VERIFY, merkle_check_consistency(old, before, size, after, p, n));
    before[0] ^= 1;
    after[0] ^= 1;
    assert_err(ERR_VERIFY, merkle_check_consistency(old, before, size, after, p, n));
    after[0] ^= 1;
    if (n == 0) return;
    assert_err(ERR_VERIFY, merkle_check_consistency(old, before, size, after, p, n - 1));
    proof[0][5] ^= 1;
    assert_err(ERR_VERIFY, merkle_check_consistency(old, before, size, after, p, n));
}

static void test_tlog__proves_that_nothing_was_taken_away(void **state) {
    for (size_t size = 1; size < 20; size++)
        for (size_t old = 1; old <= size; old++) check_consistency(*state, old, size);
    check_consistency(*state, 255, 300);
    check_consistency(*state, 256, 300);
    check_consistency(*state, 257, 300);
}

static void check_path(int level, uint64_t index, unsigned width, const char *wanted) {
    char path[TLOG_PATH_MAX];
    assert_ok(tlog_tile_path(level, index, width, path));
    assert_string_equal(path, wanted);
}

static void test_tlog__tiles_have_the_names_and_widths_of_the_standard(void **state) {
    (void)state;
    char path[TLOG_PATH_MAX];
    check_path(0, 1234067, 256, "tile/0/x001/x234/067");
    check_path(-1, 1234067, 8, "tile/entries/x001/x234/067.p/8");
    check_path(2, 0, 1, "tile/2/000.p/1");
    check_path(63, UINT64_MAX, 255, "tile/63/x018/x446/x744/x073/x709/x551/615.p/255");
    assert_err(ERR_USAGE, tlog_tile_path(0, 0, 0, path));
    assert_err(ERR_USAGE, tlog_tile_path(64, 0, 1, path));
    /* The example of tlog-tiles: 70,000 leaves. */
    assert_int_equal(tlog_tile_width(70000, 0, 272), 256);
    assert_int_equal(tlog_tile_width(70000, 0, 273), 112);
    assert_int_equal(tlog_tile_width(70000, 0, 274), 0);
    assert_int_equal(tlog_tile_width(70000, 1, 0), 256);
    assert_int_equal(tlog_tile_width(70000, 1, 1), 17);
    assert_int_equal(tlog_tile_width(70000, 2, 0), 1);
    assert_int_equal(tlog_tile_width(256, 1, 0), 1);
}

static void test_tlog__bundles_hold_their_entries(void **state) {
    (void)state;
    buf_t out;
    bytes_t rest, entry;
    buf_init(&out, 1024);
    assert_ok(tlog_bundle_add(BYTES_LIT("one"), &out));
    assert_ok(tlog_bundle_add(BYTES_LIT(""), &out));
    rest = buf_bytes(&out);
    assert_ok(tlog_bundle_next(&rest, &entry));
    assert_true(bytes_eq_str(entry, "one"));
    assert_ok(tlog_bundle_next(&rest, &entry));
    assert_int_equal(entry.n, 0);
    assert_err(ERR_INVALID, tlog_bundle_next(&rest, &entry));
    buf_done(&out);
}

static void test_tlog__checkpoints_are_signed_notes(void **state) {
    leaves_t *log = *state;
    pkey_t *key = NULL, *other = NULL;
    buf_t note;
    tlog_checkpoint_t c = {.origin = BYTES_LIT("coffer.example.org/heads"), .size = 300}, again;
    buf_init(&note, LIMIT_NOTE_BYTES);
    assert_ok(pkey_generate(PKEY_ED25519, 0, &key));
    assert_ok(pkey_generate(PKEY_ED25519, 0, &other));
    memcpy(c.root, log->leaves[0], MERKLE_HASH);
    assert_ok(tlog_checkpoint_sign(&c, key, &note));
    assert_ok(tlog_checkpoint_open(buf_bytes(&note), key, "coffer.example.org/heads", &again));
    assert_int_equal(again.size, 300);
    assert_memory_equal(again.root, c.root, MERKLE_HASH);
    assert_err(ERR_VERIFY,
               tlog_checkpoint_open(buf_bytes(&note), other, "coffer.example.org/heads", &again));
    assert_err(ERR_VERIFY,
               tlog_checkpoint_open(buf_bytes(&note), key, "coffer.example.org/other", &again));
    for (size_t i = 0; i < note.n; i++) {
        note.p[i] ^= 1;
        err_t *e = tlog_checkpoint_open(buf_bytes(&note), key, "coffer.example.org/heads", &again);
        if (!e) fail_msg("byte %zu", i);
        err_free(e);
        note.p[i] ^= 1;
    }
    pkey_free(key);
    pkey_free(other);
    buf_done(&note);
}

/* The example of Go's golang.org/x/mod/sumdb/note. */
static void test_note__opens_one_of_another_implementation(void **state) {
    (void)state;
    static const char verifier[] =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    static const char signed_note[] =
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
        "KvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    pkey_t *key = NULL;
    buf_t raw, text;
    bytes_t body;
    buf_init(&raw, 64);
    buf_init(&text, 256);
    assert_ok(text_unbase64(bytes_str(strrchr(verifier, '+') + 1), &raw));
    assert_ok(pkey_from_raw_public(PKEY_ED25519, bytes_from(buf_bytes(&raw), 1), &key));
    assert_ok(note_open(bytes_str(signed_note), key, "PeterNeumann", &body));
    assert_true(bytes_starts(body, BYTES_LIT("If you think")));
    assert_int_equal(body.p[body.n - 1], '\n');
    assert_ok(note_verifier_text(key, "PeterNeumann", &text));
    assert_true(bytes_eq_str(buf_bytes(&text), verifier));
    assert_err(ERR_VERIFY, note_open(bytes_str(signed_note), key, "SomebodyElse", &body));
    pkey_free(key);
    buf_done(&raw);
    buf_done(&text);
}

static void test_note__passes_over_others_signatures(void **state) {
    (void)state;
    pkey_t *key = NULL, *witness = NULL;
    buf_t note, theirs;
    bytes_t body;
    buf_init(&note, LIMIT_NOTE_BYTES);
    buf_init(&theirs, LIMIT_NOTE_BYTES);
    assert_ok(pkey_generate(PKEY_ED25519, 0, &key));
    assert_ok(pkey_generate(PKEY_ED25519, 0, &witness));
    assert_ok(note_sign(witness, "witness.example.org", BYTES_LIT("x\n"), &theirs));
    assert_ok(note_sign(key, "log.example.org", BYTES_LIT("x\n"), &note));
    assert_ok(buf_add(&note, bytes_from(buf_bytes(&theirs), 3)));
    assert_ok(note_open(buf_bytes(&note), key, "log.example.org", &body));
    assert_ok(note_open(buf_bytes(&note), witness, "witness.example.org", &body));
    assert_int_equal(body.n, 2);
    assert_err(ERR_USAGE, note_sign(key, "a name", BYTES_LIT("x\n"), &note));
    assert_err(ERR_USAGE, note_sign(key, "a", BYTES_LIT("no newline"), &note));
    assert_err(ERR_USAGE, note_sign(key, "a", BYTES_LIT("tab\t\n"), &note));
    assert_err(ERR_INVALID, note_open(BYTES_LIT("text alone\n"), key, "a", &body));
    pkey_free(key);
    pkey_free(witness);
    buf_done(&note);
    buf_done(&theirs);
}

static void test_tlog__a_tile_has_one_name(void **state) {
    (void)state;
    static const uint64_t indexes[] = {0, 67, 999, 1000, 1234067, 999999999999999999};
    static const unsigned widths[] = {1, 44, 255, 256};
    for (int level = -1; level < 8; level++)
        for (size_t i = 0; i < 6; i++)
            for (size_t w = 0; w < 4; w++) {
                char path[TLOG_PATH_MAX];
                int l = 9;
                uint64_t index = 1;
                unsigned width = 0;
                assert_ok(tlog_tile_path(level, indexes[i], widths[w], path));
                assert_true(tlog_tile_parse(bytes_str(path + 5), &l, &index, &width));
                assert_int_equal(l, level);
                assert_int_equal(index, indexes[i]);
                assert_int_equal(width, widths[w]);
            }
    static const char *const wrong[] = {
        "",          "0",           "0/",           "0/0",        "0/0000",
        "00/000",    "0/x000/000",  "0/x000",       "0/000.p",    "0/000.p/",
        "0/000.p/0", "0/000.p/256", "0/000/1",      "0/000.p/01", "64/000",
        "-1/000",    "Entries/000", "0/x001.p/000", "0/00a",      "0/000.p/1/2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int level = 0;
        uint64_t index = 0;
        unsigned width = 0;
        assert_false(tlog_tile_parse(bytes_str(wrong[i]), &level, &index, &width));
    }
}

/* ---- a device that reads the log ---- */

static void add_leaf(buf_t *bundle, merkle_t *tree, const sync_leaf_t *leaf) {
    buf_t record;
    buf_init(&record, SYNC_LEAF_SIZE);
    assert_ok(sync_leaf_put(leaf, &record));
    assert_ok(tlog_bundle_add(buf_bytes(&record), bundle));
    assert_ok(merkle_add_data(tree, buf_bytes(&record)));
    buf_done(&record);
}

static sync_leaf_t own_leaf(const fixture_t *f, size_t position) {
    sync_leaf_t leaf = {.position = position};
    assert_ok(digest_sha256(buf_bytes(&f->entries[0]), leaf.region));
    assert_ok(digest_sha256(buf_bytes(&f->entries[position]), leaf.head));
    return leaf;
}

/* A log of two other regions' entries with the fixture's chain among them; ended by its root. */
typedef struct {
    fixture_t f;
    buf_t bundle;
    merkle_t tree;
    tlog_checkpoint_t signed_one;
} audited_t;

static void make_log(audited_t *a, size_t own) {
    static const sync_leaf_t other = {.region = {1}, .position = 0, .head = {2}};
    fixture_init(&a->f);
    buf_init(&a->bundle, 1024 * 1024);
    merkle_init(&a->tree);
    for (size_t i = 0; i < own; i++) {
        const sync_leaf_t leaf = own_leaf(&a->f, i);
        add_leaf(&a->bundle, &a->tree, &other);
        add_leaf(&a->bundle, &a->tree, &leaf);
    }
}

static void sign_log(audited_t *a) {
    a->signed_one = (tlog_checkpoint_t){.size = a->tree.n};
    assert_ok(merkle_root(&a->tree, a->signed_one.root));
}

static void free_log(audited_t *a) {
    fixture_done(&a->f);
    buf_done(&a->bundle);
}

static err_t *take(audited_t *a, tlog_audit_t *audit, const sync_chain_t *chain) {
    sign_log(a);
    return tlog_audit_take(audit, chain, a->signed_one.size, buf_bytes(&a->bundle));
}

static void test_tlog_audit__reads_on_from_where_it_was(void **state) {
    (void)state;
    audited_t a;
    tlog_audit_t audit = {0}, again = {0};
    buf_t kept;
    make_log(&a, 2);
    assert_ok(take(&a, &audit, a.f.chain));
    assert_ok(tlog_audit_check(&audit, &a.signed_one));
    assert_int_equal(audit.own, 2);
    buf_init(&kept, 4096);
    assert_ok(tlog_audit_put(&audit, &kept));
    for (size_t n = 0; n < kept.n; n++)
        assert_err(ERR_INVALID, tlog_audit_parse(bytes_make(kept.p, n), &again));
    assert_ok(tlog_audit_parse(buf_bytes(&kept), &again));
    /* The rest of the chain, in the same bundle; what was read is passed over. */
    for (size_t i = 2; i < a.f.entries_n; i++) {
        const sync_leaf_t leaf = own_leaf(&a.f, i);
        add_leaf(&a.bundle, &a.tree, &leaf);
    }
    sign_log(&a);
    assert_err(ERR_VERIFY, tlog_audit_check(&again, &a.signed_one)); /* not read yet */
    assert_ok(take(&a, &again, a.f.chain));
    assert_ok(tlog_audit_check(&again, &a.signed_one));
    assert_int_equal(again.own, a.f.entries_n);
    /* A tree that began otherwise comes to another root. */
    audit.tree.stack[0][0] ^= 1;
    assert_ok(take(&a, &audit, a.f.chain));
    assert_err(ERR_VERIFY, tlog_audit_check(&audit, &a.signed_one));
    /* Signed, but not shown. */
    assert_err(ERR_VERIFY,
               tlog_audit_take(&again, a.f.chain, a.signed_one.size + 1, buf_bytes(&a.bundle)));
    buf_done(&kept);
    free_log(&a);
}

static void check_word(err_t *e, err_code_t code, const char *word) {
    assert_non_null(e);
    assert_int_equal(err_code(e), code);
    assert_int_equal(strncmp(err_message(e), word, strlen(word)), 0);
    err_free(e);
}

static void test_tlog_audit__another_chain_in_the_log_is_named(void **state) {
    (void)state;
    audited_t a;
    tlog_audit_t audit = {0};
    /* Another head at a place that this device has. */
    make_log(&a, 1);
    sync_leaf_t leaf = own_leaf(&a.f, 1);
    leaf.head[0] ^= 1;
    add_leaf(&a.bundle, &a.tree, &leaf);
    check_word(take(&a, &audit, a.f.chain), ERR_VERIFY, "chain-forked");
    assert_int_equal(audit.own, 1); /* what came before was taken */
    free_log(&a);
    /* An entry that it was not shown; once it is, the same bundle is good. */
    make_log(&a, 2);
    sync_chain_t *shorter = fixture_replay(&a.f, 1);
    audit = (tlog_audit_t){0};
    check_word(take(&a, &audit, shorter), ERR_NOT_FOUND, "chain-short");
    assert_int_equal(audit.tree.n, 3);
    assert_ok(take(&a, &audit, a.f.chain));
    assert_ok(tlog_audit_check(&audit, &a.signed_one));
    sync_chain_free(shorter);
    /* One twice, and one before its time. */
    leaf = own_leaf(&a.f, 1);
    add_leaf(&a.bundle, &a.tree, &leaf);
    check_word(take(&a, &audit, a.f.chain), ERR_VERIFY, "log-invalid");
    free_log(&a);
    make_log(&a, 1);
    leaf = own_leaf(&a.f, 2);
    add_leaf(&a.bundle, &a.tree, &leaf);
    audit = (tlog_audit_t){0};
    check_word(take(&a, &audit, a.f.chain), ERR_VERIFY, "log-invalid");
    free_log(&a);
    /* What is no leaf. */
    make_log(&a, 1);
    assert_ok(tlog_bundle_add(BYTES_LIT("whatever"), &a.bundle));
    assert_ok(merkle_add_data(&a.tree, BYTES_LIT("whatever")));
    audit = (tlog_audit_t){0};
    check_word(take(&a, &audit, a.f.chain), ERR_VERIFY, "log-invalid");
    free_log(&a);
}

static void test_note__a_key_is_told_in_one_form(void **state) {
    (void)state;
    static const char verifier[] =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    static const char *const wrong[] = {
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    pkey_t *key = NULL;
    buf_t again;
    bytes_t name;
    buf_init(&again, 256);
    assert_ok(note_verifier_parse(bytes_str(verifier), &name, &key));
    assert_true(bytes_eq_str(name, "PeterNeumann"));
    assert_ok(note_verifier_text(key, "PeterNeumann", &again));
    assert_true(bytes_eq_str(buf_bytes(&again), verifier));
    pkey_free(key);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_err(ERR_INVALID, note_verifier_parse(bytes_str(wrong[i]), &name, &key));
    buf_done(&again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merkle__grows_to_the_roots_of_the_definition),
        cmocka_unit_test(test_tlog__a_tile_has_one_name),
        cmocka_unit_test(test_tlog__roots_come_from_tiles),
        cmocka_unit_test(test_tlog__proves_that_a_leaf_is_in),
        cmocka_unit_test(test_tlog__proves_that_nothing_was_taken_away),
        cmocka_unit_test(test_tlog__tiles_have_the_names_and_widths_of_the_standard),
        cmocka_unit_test(test_tlog__bundles_hold_their_entries),
        cmocka_unit_test(test_tlog__checkpoints_are_signed_notes),
        cmocka_unit_test(test_tlog_audit__reads_on_from_where_it_was),
        cmocka_unit_test(test_tlog_audit__another_chain_in_the_log_is_named),
        cmocka_unit_test(test_note__a_key_is_told_in_one_form),
        cmocka_unit_test(test_note__opens_one_of_another_implementation),
        cmocka_unit_test(test_note__passes_over_others_signatures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
