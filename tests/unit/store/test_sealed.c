/*
 * The sealed form of blobs.
 */
#include "base/text.h"
#include "blob_fixture.h"

typedef struct {
    blob_keys_t keys;
    blob_id_t id;
    buf_t object;
    uint8_t *content;
    size_t n;
    uint8_t sha256[32];
} sealed_t;

static err_t *seal(sealed_t *s, const blob_id_t *id, uint64_t size, size_t step) {
    CLEANUP(sealed_writer_free) sealed_writer_t *writer = NULL;
    TRY(sealed_writer_new(&s->keys, rnd_real(), id, size, &writer));
    for (size_t at = 0; at < s->n; at += step)
        TRY(sealed_writer_add(writer, bytes_slice(bytes_make(s->content, s->n), at, step),
                              &s->object));
    return sealed_writer_end(writer, &s->object, s->sha256);
}

static void make(sealed_t *s, size_t n) {
    *s = (sealed_t){.n = n};
    keys_make(&s->keys, 2);
    s->content = noise(n, 7);
    buf_init(&s->object, LIMIT_BLOB_OBJECT);
    assert_ok(blob_id_of(bytes_make(s->content, n), &s->id));
    assert_ok(seal(s, &s->id, n, 1000));
}

static void done(sealed_t *s) {
    blob_keys_done(&s->keys);
    buf_done(&s->object);
    mem_free(s->content);
}
DEFINE_CLEANUP_VALUE(sealed_t, done)

static void test_sealed__opens_what_it_sealed(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CLEANUP(done) sealed_t s;
        uint8_t sha256[32];
        make(&s, sizes[i]);
        assert_int_equal(s.object.n, sealed_size(sizes[i]));
        assert_ok(digest_sha256(buf_bytes(&s.object), sha256));
        assert_memory_equal(sha256, s.sha256, 32);
        assert_ok(sealed_check(&s.keys, &s.id, buf_bytes(&s.object)));
    }
}

static void test_sealed__reads_a_piece_without_the_rest(void **state) {
    (void)state;
    CLEANUP(done) sealed_t s;
    CLEANUP(sealed_reader_done) sealed_reader_t reader = {.key = NULL};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, SEALED_CHUNK);
    make(&s, 200000);
    bytes_t object = buf_bytes(&s.object);
    assert_ok(sealed_reader_init(&reader, &s.keys, &s.id, bytes_slice(object, 0, SEALED_HEADER)));
    bytes_t third = bytes_slice(object, (size_t)sealed_chunk_at(2), sealed_chunk_size(&reader, 2));
    assert_ok(sealed_chunk_open(&reader, 2, third, &out));
    assert_memory_equal(out.p, s.content + 2 * SEALED_CHUNK, SEALED_CHUNK);
    buf_clear(&out);
    assert_err(ERR_VERIFY, sealed_chunk_open(&reader, 1, third, &out)); /* moved */
}

static void test_sealed__refuses_every_changed_byte_and_length(void **state) {
    (void)state;
    CLEANUP(done) sealed_t s;
    make(&s, 70000);
    for (size_t i = 0; i < s.object.n; i += i < 100 ? 1 : 997) {
        s.object.p[i] ^= 1;
        err_t *e = sealed_check(&s.keys, &s.id, buf_bytes(&s.object));
        assert_non_null(e);
        assert_true(err_code(e) == ERR_VERIFY || err_code(e) == ERR_NOT_FOUND);
        err_free(e);
        s.object.p[i] ^= 1;
    }
    for (size_t n = 0; n < s.object.n; n += 1009)
        assert_err(ERR_VERIFY, sealed_check(&s.keys, &s.id, bytes_make(s.object.p, n)));
    assert_ok(buf_add_byte(&s.object, 0));
    assert_err(ERR_VERIFY, sealed_check(&s.keys, &s.id, buf_bytes(&s.object)));
}

static void test_sealed__answers_for_no_other_blob_or_key(void **state) {
    (void)state;
    CLEANUP(done) sealed_t s;
    make(&s, 5000);
    blob_id_t other = s.id;
    other.bytes[5] ^= 1;
    assert_err(ERR_VERIFY, sealed_check(&s.keys, &other, buf_bytes(&s.object)));
    secret_free(STEAL(s.keys.keys[2]));
    assert_err(ERR_NOT_FOUND, sealed_check(&s.keys, &s.id, buf_bytes(&s.object)));
}

static void test_sealed__refuses_content_that_is_not_the_ids(void **state) {
    (void)state;
    CLEANUP(done) sealed_t s;
    make(&s, 5000);
    blob_id_t other = s.id;
    other.bytes[0] ^= 1;
    assert_err(ERR_VERIFY, seal(&s, &other, 5000, 100));
    assert_err(ERR_VERIFY, seal(&s, &s.id, 5001, 100));
    assert_err(ERR_VERIFY, seal(&s, &s.id, 4999, 100));
    assert_err(ERR_LIMIT, seal(&s, &s.id, LIMIT_BLOB + 1, 100));
}

static void test_sealed__shows_the_same_blob_differently_each_time(void **state) {
    (void)state;
    CLEANUP(done) sealed_t a, b;
    make(&a, 100);
    make(&b, 100);
    assert_memory_not_equal(a.object.p + SEALED_HEADER, b.object.p + SEALED_HEADER, 100);
}

/* Frozen: docs/formats/blobs.md. */
static err_t *count(const rnd_t *rnd, void *p, size_t n) {
    (void)rnd;
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)i;
    return NULL;
}

static void test_sealed__writes_the_vector(void **state) {
    (void)state;
    static const rnd_t counting = {count};
    CLEANUP(blob_keys_done) blob_keys_t keys;
    CLEANUP(sealed_writer_free) sealed_writer_t *writer = NULL;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(mem_free) char *hex = NULL;
    blob_id_t id;
    uint8_t sha256[32];
    buf_init(&out, 1000);
    keys_make(&keys, 1);
    assert_ok(blob_id_of(BYTES_LIT("ciphertext"), &id));
    assert_ok(sealed_writer_new(&keys, &counting, &id, 10, &writer));
    assert_ok(sealed_writer_add(writer, BYTES_LIT("ciphertext"), &out));
    assert_ok(sealed_writer_end(writer, &out, sha256));
    assert_ok(text_hex_new(buf_bytes(&out), &hex));
    assert_string_equal(hex, "636f666665724231"
                             "00000001"
                             "000000000000000a"
                             "000102030405060708090a0b0c0d0e0f"
                             "00000000"
                             "b68973e1b337d775f97b168e636f053dce6d84350786d198c921");
}

/* Of three chunks: byte i of the blob is 7 * i mod 256. The hash is of the whole object. */
static void test_sealed__writes_the_vector_of_several_chunks(void **state) {
    (void)state;
    enum { N = 140000 };
    static const rnd_t counting = {count};
    CLEANUP(blob_keys_done) blob_keys_t keys;
    CLEANUP(sealed_writer_free) sealed_writer_t *writer = NULL;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(mem_free) uint8_t *content = mem_alloc(N);
    blob_id_t id;
    uint8_t sha256[32];
    assert_non_null(content);
    for (size_t i = 0; i < N; i++) content[i] = (uint8_t)(7 * i);
    buf_init(&out, LIMIT_BLOB_OBJECT);
    keys_make(&keys, 1);
    assert_ok(blob_id_of(bytes_make(content, N), &id));
    assert_ok(sealed_writer_new(&keys, &counting, &id, N, &writer));
    assert_ok(sealed_writer_add(writer, bytes_make(content, N), &out));
    assert_ok(sealed_writer_end(writer, &out, sha256));
    assert_ok(text_hex_new(BYTES_ARRAY(sha256), &hex));
    assert_string_equal(hex, "7b62b5fcf8c7a9a0f91528684719d3c1d6e4a7d7ac9623c57e88968176cc6eed");
}

static void test_sealed__survives_each_failing_allocation(void **state) {
    (void)state;
    CLEANUP(done) sealed_t s;
    make(&s, 70000);
    for (unsigned long n = 1;; n++) {
        buf_clear(&s.object);
        fault_arm_memory(n);
        err_t *e = seal(&s, &s.id, s.n, 50000);
        if (!e) e = sealed_check(&s.keys, &s.id, buf_bytes(&s.object));
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            break;
        }
        if (e) assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sealed__opens_what_it_sealed),
        cmocka_unit_test(test_sealed__reads_a_piece_without_the_rest),
        cmocka_unit_test(test_sealed__refuses_every_changed_byte_and_length),
        cmocka_unit_test(test_sealed__answers_for_no_other_blob_or_key),
        cmocka_unit_test(test_sealed__refuses_content_that_is_not_the_ids),
        cmocka_unit_test(test_sealed__shows_the_same_blob_differently_each_time),
        cmocka_unit_test(test_sealed__writes_the_vector),
        cmocka_unit_test(test_sealed__writes_the_vector_of_several_chunks),
        cmocka_unit_test(test_sealed__survives_each_failing_allocation),
    };
    if (crypto_init()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
