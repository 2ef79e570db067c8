/*
 * Records of backups and the cryptography over them: keeper/backup_format.h, backup_seal.h,
 * backup/backup_pack.h.
 */
#include "../unit.h"
#include "backup/backup_pack.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "keeper/backup_seal.h"

static const uint8_t class_secret[ESCROW_KEY] = {1, 2, 3};
static const uint8_t other_secret[ESCROW_KEY] = {1, 2, 4};

static void test_backup_pack__round_trip(void **state) {
    (void)state;
    static uint8_t zeros[BACKUP_CHUNK], random[BACKUP_CHUNK];
    assert_ok(rnd_fill(rnd_real(), random, sizeof random));
    const bytes_t contents[] = {BYTES_ARRAY(zeros), BYTES_ARRAY(random), BYTES_LIT("x")};
    const backup_method_t methods[] = {BACKUP_ZSTD, BACKUP_STORED, BACKUP_STORED};
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(buf_done) buf_t packed, back;
        backup_method_t method;
        buf_init(&packed, 2 * BACKUP_CHUNK);
        buf_init(&back, BACKUP_CHUNK);
        assert_ok(backup_pack(contents[i], &method, &packed));
        assert_int_equal(method, methods[i]);
        assert_ok(backup_unpack(method, buf_bytes(&packed), contents[i].n, &back));
        assert_true(bytes_eq(buf_bytes(&back), contents[i]));
        buf_clear(&back);
        assert_err(ERR_VERIFY, backup_unpack(method, buf_bytes(&packed), contents[i].n - 1, &back));
    }
}

/* A small chunk that unpacks to more than it says must not be believed. */
static void test_backup_pack__bomb(void **state) {
    (void)state;
    static uint8_t zeros[BACKUP_CHUNK];
    CLEANUP(buf_done) buf_t packed, back;
    backup_method_t method;
    buf_init(&packed, 2 * BACKUP_CHUNK);
    buf_init(&back, BACKUP_CHUNK);
    assert_ok(backup_pack(BYTES_ARRAY(zeros), &method, &packed));
    assert_true(packed.n < 100);
    assert_err(ERR_VERIFY, backup_unpack(method, buf_bytes(&packed), 1000, &back));
    assert_err(ERR_VERIFY, backup_unpack(BACKUP_ZSTD, BYTES_LIT("nonsense"), 1000, &back));
}

static void test_backup_seal__chunk_is_bound(void **state) {
    (void)state;
    CLEANUP(backup_keys_done) backup_keys_t keys = {0}, others = {0};
    CLEANUP(buf_done) buf_t file, back;
    uint8_t hash[ESCROW_HASH], id[ESCROW_HASH], other_id[ESCROW_HASH];
    backup_method_t method = BACKUP_ZSTD;
    buf_init(&file, BACKUP_CHUNK_FILE);
    buf_init(&back, BACKUP_CHUNK);
    assert_ok(backup_keys_new(BYTES_ARRAY(class_secret), &keys));
    assert_ok(backup_keys_new(BYTES_ARRAY(other_secret), &others));
    assert_ok(digest_sha256(BYTES_LIT("content"), hash));
    assert_ok(backup_chunk_id(&keys, hash, id));
    assert_ok(backup_chunk_id(&others, hash, other_id));
    assert_memory_not_equal(id, other_id, sizeof id);
    assert_memory_not_equal(id, hash, sizeof id);
    assert_ok(
        backup_chunk_seal(&keys, id, hash, BACKUP_STORED, BYTES_LIT("content"), rnd_real(), &file));
    assert_ok(backup_chunk_open(&keys, id, hash, buf_bytes(&file), &method, &back));
    assert_int_equal(method, BACKUP_STORED);
    assert_true(bytes_eq_str(buf_bytes(&back), "content"));
    assert_err(ERR_VERIFY, backup_chunk_open(&others, id, hash, buf_bytes(&file), &method, &back));
    assert_err(ERR_VERIFY,
               backup_chunk_open(&keys, other_id, hash, buf_bytes(&file), &method, &back));
    assert_err(ERR_VERIFY, backup_chunk_open(&keys, id, id, buf_bytes(&file), &method, &back));
    for (size_t i = 0; i < file.n; i++) {
        file.p[i] ^= 1;
        err_t *e = backup_chunk_open(&keys, id, hash, buf_bytes(&file), &method, &back);
        assert_non_null(e);
        err_free(e);
        file.p[i] ^= 1;
    }
    bytes_t cut = bytes_slice(buf_bytes(&file), 0, file.n - 1);
    assert_err(ERR_VERIFY, backup_chunk_open(&keys, id, hash, cut, &method, &back));
}

/* Segments can't be cut off, exchanged or repeated, and the key is committed to. */
static void test_backup_seal__stream(void **state) {
    (void)state;
    enum {
        BEFORE = ESCROW_HEAD + ESCROW_HASH + BACKUP_STREAM_PREFIX,
        SEALED = BACKUP_SEGMENT + 16
    };
    const size_t sizes[] = {0, 1, BACKUP_SEGMENT, 2 * BACKUP_SEGMENT + 5};
    uint8_t *content = mem_zalloc(3 * BACKUP_SEGMENT);
    assert_non_null(content);
    assert_ok(rnd_fill(rnd_real(), content, 3 * BACKUP_SEGMENT));
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(buf_done) buf_t record, back, bad;
        buf_init(&record, 4 * BACKUP_SEGMENT);
        buf_init(&back, 4 * BACKUP_SEGMENT);
        buf_init(&bad, 4 * BACKUP_SEGMENT);
        bytes_t plain = bytes_make(content, sizes[i]);
        assert_ok(backup_stream_seal(BYTES_ARRAY(class_secret), rnd_real(), plain, &record));
        assert_ok(backup_stream_open(BYTES_ARRAY(class_secret), buf_bytes(&record), &back));
        assert_true(bytes_eq(buf_bytes(&back), plain));
        buf_clear(&back);
        assert_err(ERR_VERIFY,
                   backup_stream_open(BYTES_ARRAY(other_secret), buf_bytes(&record), &back));
        bytes_t all = buf_bytes(&record);
        assert_err(ERR_VERIFY, backup_stream_open(BYTES_ARRAY(class_secret),
                                                  bytes_slice(all, 0, all.n - 1), &back));
        if (sizes[i] < 2 * BACKUP_SEGMENT) continue;
        assert_err(ERR_VERIFY, /* the last one is missing */
                   backup_stream_open(BYTES_ARRAY(class_secret),
                                      bytes_slice(all, 0, BEFORE + 2 * SEALED), &back));
        assert_ok(buf_add(&bad, bytes_slice(all, 0, BEFORE)));
        assert_ok(buf_add(&bad, bytes_slice(all, BEFORE + SEALED, SEALED)));
        assert_ok(buf_add(&bad, bytes_slice(all, BEFORE, SEALED)));
        assert_ok(buf_add(&bad, bytes_from(all, BEFORE + 2 * SEALED)));
        buf_clear(&back);
        assert_err(ERR_VERIFY,
                   backup_stream_open(BYTES_ARRAY(class_secret), buf_bytes(&bad), &back));
    }
    mem_free(content);
}

static void test_backup_format__paths(void **state) {
    (void)state;
    static const char *const bad[] = {"",     "/etc/passwd", "..", "a/../b",
                                      "a//b", "./a",         "a/", "a/."};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 4096);
    backup_file_t file = {.path = BYTES_LIT("push/key.pem")};
    assert_ok(backup_file_put(&file, &out));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        file.path = bytes_str(bad[i]);
        assert_err(ERR_INVALID, backup_file_put(&file, &out));
    }
    file.path = bytes_make("a\0b", 3);
    assert_err(ERR_INVALID, backup_file_put(&file, &out));
    wire_reader_t r = wire_reader(buf_bytes(&out));
    assert_ok(backup_file_get(&r, &file));
    assert_true(bytes_eq_str(file.path, "push/key.pem"));
    assert_int_equal(r.rest.n, 0);
    out.p[4] = '/'; /* "/ush/key.pem" */
    r = wire_reader(buf_bytes(&out));
    assert_err(ERR_INVALID, backup_file_get(&r, &file));
}

static void test_backup_format__secret(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    bytes_t key = BYTES_ARRAY(class_secret);
    backup_secret_t secret = {key, key, BYTES_ARRAY(other_secret), key, 12345, {7}}, back;
    buf_init(&out, 1024);
    assert_ok(backup_secret_put(&secret, &out));
    assert_ok(backup_secret_parse(buf_bytes(&out), &back));
    assert_true(bytes_eq(back.files_key, BYTES_ARRAY(other_secret)));
    assert_int_equal(back.vault_size, 12345);
    assert_ok(buf_add_byte(&out, 0));
    assert_err(ERR_INVALID, backup_secret_parse(buf_bytes(&out), &back));
    out.p[8] = 2;
    assert_err(ERR_VERIFY, backup_secret_parse(buf_bytes(&out), &back));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backup_pack__round_trip),
        cmocka_unit_test(test_backup_pack__bomb),
        cmocka_unit_test(test_backup_seal__chunk_is_bound),
        cmocka_unit_test(test_backup_seal__stream),
        cmocka_unit_test(test_backup_format__paths),
        cmocka_unit_test(test_backup_format__secret),
    };
    if (crypto_init()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
