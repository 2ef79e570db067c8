/*
 * Data packages: round trips of every awkward size, and every way to change, cut, reorder or swap
 * what is sealed.
 */
#include "sync_fixture.h"

#include "base/fault.h"
#include "crypto/digest.h"
#include "sync/data_internal.h"

static int setup(void **state) {
    fixture_t *f = mem_alloc(sizeof *f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture_done(*state);
    mem_free(*state);
    return 0;
}

static uint8_t *content_of(size_t n) {
    uint8_t *p = mem_alloc(n + 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(i * 31 + (i >> 12) + 1);
    return p;
}

static bytes_t header_of(const fixture_blob_t *blob) {
    return bytes_slice(buf_bytes(&blob->blob), 0, SYNC_HEADER);
}

static bytes_t chunk_of(const fixture_blob_t *blob, uint32_t index) {
    return bytes_slice(buf_bytes(&blob->blob), SYNC_HEADER + (size_t)index * SYNC_SEALED_CHUNK,
                       SYNC_SEALED_CHUNK);
}

static sync_reader_t *reader_of(const fixture_blob_t *blob) {
    sync_reader_t *reader = NULL;
    assert_ok(sync_reader_new(header_of(blob), blob->file_key, blob->size, blob->content, &reader));
    return reader;
}

static void check_round_trip(const fixture_t *f, size_t n) {
    fixture_blob_t blob;
    uint8_t *content = content_of(n);
    buf_t out;
    secret_t *folder_key = NULL, *file_key = NULL;
    fixture_blob(f, 1, bytes_make(content, n), &blob);
    assert_int_equal(blob.blob.n, blob.size);
    assert_ok(
        sync_folder_key(blob.header.id.region, f->key, 1, blob.header.id.folder, &folder_key));
    assert_ok(sync_file_key_open(&blob.header, folder_key, &file_key));
    assert_true(secret_eq(file_key, secret_bytes(blob.file_key)));
    buf_init(&out, (size_t)64 << 20);
    sync_reader_t *reader = reader_of(&blob);
    for (uint32_t i = 0; i < sync_reader_chunks(reader); i++)
        assert_ok(sync_reader_chunk(reader, i, chunk_of(&blob, i), &out));
    assert_true(bytes_eq(buf_bytes(&out), bytes_make(content, n)));
    sync_reader_free(reader);
    secret_free(folder_key);
    secret_free(file_key);
    buf_done(&out);
    fixture_blob_done(&blob);
    mem_free(content);
}

static void test_data__comes_back_at_every_awkward_size(void **state) {
    static const size_t sizes[] = {0,
                                   1,
                                   SYNC_PADDED_MIN - 1,
                                   SYNC_PADDED_MIN,
                                   SYNC_PADDED_MIN + 1,
                                   SYNC_CHUNK - 1,
                                   SYNC_CHUNK,
                                   SYNC_CHUNK + 1,
                                   2 * SYNC_CHUNK,
                                   3 * SYNC_CHUNK + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_round_trip(*state, sizes[i]);
}

static void test_data__sizes_are_padded_and_few(void **state) {
    (void)state;
    uint64_t last = 0;
    unsigned different = 0;
    for (uint64_t n = 0; n < 4096; n++) {
        uint64_t padded = sync_padded(n);
        assert_true(padded >= n && padded >= SYNC_PADDED_MIN && padded >= last);
        if (n > SYNC_PADDED_MIN) assert_true((padded - n) * 8 <= n);
        assert_int_equal(sync_padded(padded), padded);
        different += padded != last;
        last = padded;
    }
    assert_true(different <= 33);
    assert_int_equal(sync_padded(((uint64_t)5 << 30) + 1), 5435817984);
}

static void test_data__sizes_of_packages_are_one_to_one(void **state) {
    (void)state;
    for (uint64_t padded = 1; padded < 3u * SYNC_CHUNK; padded += 4093) {
        uint64_t size = 0, back = 0;
        uint32_t chunks = 0;
        assert_ok(sync_package_size(padded, &size));
        assert_ok(sync_package_content(size, &back, &chunks));
        assert_int_equal(back, padded);
        assert_int_equal(chunks, (padded + SYNC_CHUNK - 1) / SYNC_CHUNK);
    }
    uint64_t padded = 0;
    uint32_t chunks = 0;
    assert_err(ERR_INVALID, sync_package_content(0, &padded, &chunks));
    assert_err(ERR_INVALID, sync_package_content(SYNC_HEADER + AEAD_TAG_SIZE, &padded, &chunks));
    assert_err(ERR_INVALID,
               sync_package_content(SYNC_HEADER + SYNC_SEALED_CHUNK + 5, &padded, &chunks));
    assert_err(ERR_LIMIT, sync_package_content(UINT64_MAX, &padded, &chunks));
    assert_err(ERR_LIMIT, sync_package_size(SYNC_DATA_MAX + 1, &padded));
}

static void test_data__parts_cover_a_package_and_fit_a_blob(void **state) {
    (void)state;
    static const uint64_t contents[] = {1, SYNC_CHUNK, 8 * (uint64_t)SYNC_CHUNK,
                                        8 * (uint64_t)SYNC_CHUNK + 1, 100 * (uint64_t)SYNC_CHUNK};
    uint64_t size = 0, offset = 0, n = 0;
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        uint64_t at = 0;
        assert_ok(sync_package_size(contents[i], &size));
        for (uint32_t part = 0; part < sync_parts(size); part++) {
            assert_true(sync_part(size, part, &offset, &n));
            assert_int_equal(offset, at);
            assert_true(n > 0 && n <= LIMIT_BLOB);
            at += n;
        }
        assert_int_equal(at, size);
        assert_false(sync_part(size, sync_parts(size), &offset, &n));
    }
    assert_int_equal(sync_parts(3), 0);
    assert_int_equal(sync_parts(size), 13);
}

static void test_data__no_byte_can_be_changed(void **state) {
    fixture_blob_t blob;
    uint8_t *content = content_of(1500);
    uint8_t root[SYNC_HASH];
    secret_t *folder_key = NULL, *file_key = NULL;
    const fixture_t *f = *state;
    fixture_blob(f, 1, bytes_make(content, 1500), &blob);
    assert_ok(
        sync_folder_key(blob.header.id.region, f->key, 1, blob.header.id.folder, &folder_key));
    for (size_t at = 0; at < blob.blob.n; at++) {
        sync_header_t header;
        sync_reader_t *reader = NULL;
        sync_scan_t *scan = NULL;
        buf_t out;
        buf_init(&out, SYNC_CHUNK);
        blob.blob.p[at] ^= 0x40;
        err_t *e = sync_header_parse(header_of(&blob), &header);
        if (!e) e = sync_file_key_open(&header, folder_key, &file_key);
        if (!e) e = sync_reader_new(header_of(&blob), file_key, blob.size, 1500, &reader);
        if (!e) e = sync_reader_chunk(reader, 0, chunk_of(&blob, 0), &out);
        if (!e) fail_msg("byte %zu", at);
        err_free(e);
        assert_int_equal(out.n, 0);
        buf_done(&out);
        /* And the service notices without keys. */
        assert_ok(sync_scan_new(blob.size, &scan));
        assert_ok(sync_scan_add(scan, buf_bytes(&blob.blob)));
        assert_ok(sync_scan_end(scan, root));
        assert_memory_not_equal(root, blob.root, SYNC_HASH);
        sync_scan_free(scan);
        sync_reader_free(reader);
        secret_free(file_key);
        file_key = NULL;
        blob.blob.p[at] ^= 0x40;
    }
    secret_free(folder_key);
    fixture_blob_done(&blob);
    mem_free(content);
}

/* R9: order, count, which is last, and which version they belong to. */
static void test_data__chunks_open_in_their_place_alone(void **state) {
    fixture_blob_t blob, other;
    buf_t out;
    size_t n = 3 * SYNC_CHUNK;
    uint8_t *content = content_of(n);
    sync_reader_t *wrong = NULL;
    fixture_blob(*state, 1, bytes_make(content, n), &blob);
    fixture_blob(*state, 3, bytes_make(content, n), &other);
    buf_init(&out, SYNC_CHUNK);
    sync_reader_t *reader = reader_of(&blob);
    assert_int_equal(sync_reader_chunks(reader), 3);
    assert_err(ERR_VERIFY, sync_reader_chunk(reader, 0, chunk_of(&blob, 1), &out));
    assert_err(ERR_VERIFY, sync_reader_chunk(reader, 1, chunk_of(&blob, 0), &out));
    assert_err(ERR_VERIFY, sync_reader_chunk(reader, 2, chunk_of(&blob, 1), &out));
    assert_err(ERR_VERIFY, sync_reader_chunk(reader, 0, chunk_of(&other, 0), &out));
    assert_err(ERR_VERIFY, sync_reader_chunk(reader, 3, chunk_of(&blob, 2), &out));
    assert_ok(sync_reader_chunk(reader, 2, chunk_of(&blob, 2), &out));
    sync_reader_free(reader);
    /* Cut off at a chunk's end: another size, then the flag of the last one doesn't fit. */
    assert_ok(sync_reader_new(header_of(&blob), blob.file_key, blob.size - SYNC_SEALED_CHUNK,
                              2 * SYNC_CHUNK, &reader));
    buf_clear(&out);
    assert_err(ERR_VERIFY, sync_reader_chunk(reader, 1, chunk_of(&blob, 1), &out));
    assert_err(ERR_VERIFY, sync_reader_new(header_of(&blob), other.file_key, blob.size, n, &wrong));
    assert_err(ERR_VERIFY,
               sync_reader_new(header_of(&blob), blob.file_key, blob.size, n / 2, &wrong));
    sync_reader_free(reader);
    buf_done(&out);
    fixture_blob_done(&blob);
    fixture_blob_done(&other);
    mem_free(content);
}

/* A wrapped key moved to another file, folder or epoch does not open there (R1). */
static void test_data__a_wrapped_key_is_bound_to_its_place(void **state) {
    fixture_blob_t blob;
    const fixture_t *f = *state;
    secret_t *folder_key = NULL, *key = NULL;
    fixture_blob(f, 1, BYTES_LIT("x"), &blob);
    assert_ok(
        sync_folder_key(blob.header.id.region, f->key, 1, blob.header.id.folder, &folder_key));
    sync_header_t header = blob.header;
    header.id.node[0]++;
    assert_err(ERR_VERIFY, sync_file_key_open(&header, folder_key, &key));
    header = blob.header;
    header.id.version[0]++;
    assert_err(ERR_VERIFY, sync_file_key_open(&header, folder_key, &key));
    header = blob.header;
    header.id.folder[0]++;
    assert_err(ERR_VERIFY, sync_file_key_open(&header, folder_key, &key));
    header = blob.header;
    header.id.epoch++;
    assert_err(ERR_VERIFY, sync_file_key_open(&header, folder_key, &key));
    header = blob.header;
    header.id.region[0]++;
    assert_err(ERR_VERIFY, sync_file_key_open(&header, folder_key, &key));
    header = blob.header;
    header.commit[0]++;
    assert_err(ERR_VERIFY, sync_file_key_open(&header, folder_key, &key));
    secret_free(folder_key);
    fixture_blob_done(&blob);
}

/* Who has the key can seal anything, but not hide bytes behind a file's end. */
static void test_data__padding_that_is_not_zeros_is_refused(void **state) {
    fixture_blob_t blob;
    buf_t out;
    fixture_blob(*state, 1, BYTES_LIT("hello"), &blob);
    buf_init(&out, SYNC_CHUNK);
    sync_reader_t *reader = NULL;
    assert_ok(sync_reader_new(header_of(&blob), blob.file_key, blob.size, 4, &reader));
    assert_err(ERR_VERIFY, sync_reader_chunk(reader, 0, chunk_of(&blob, 0), &out));
    assert_int_equal(out.n, 0);
    sync_reader_free(reader);
    buf_done(&out);
    fixture_blob_done(&blob);
}

static void test_data__the_scan_finds_the_root_in_pieces_of_any_size(void **state) {
    static const size_t pieces[] = {1000, SYNC_HEADER, 65536, SYNC_SEALED_CHUNK, 5000000};
    fixture_blob_t blob;
    size_t n = 2 * SYNC_CHUNK + 77;
    uint8_t *content = content_of(n), root[SYNC_HASH];
    fixture_blob(*state, 1, bytes_make(content, n), &blob);
    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        sync_scan_t *scan = NULL;
        sync_header_t header;
        assert_ok(sync_scan_new(blob.size, &scan));
        assert_err(ERR_INVALID, sync_scan_header(scan, &header));
        for (size_t at = 0; at < blob.blob.n; at += pieces[p])
            assert_ok(sync_scan_add(scan, bytes_slice(buf_bytes(&blob.blob), at, pieces[p])));
        assert_err(ERR_VERIFY, sync_scan_add(scan, BYTES_LIT("x")));
        assert_ok(sync_scan_header(scan, &header));
        assert_memory_equal(header.commit, blob.header.commit, SYNC_HASH);
        assert_ok(sync_scan_end(scan, root));
        assert_memory_equal(root, blob.root, SYNC_HASH);
        sync_scan_free(scan);
    }
    sync_scan_t *scan = NULL;
    assert_ok(sync_scan_new(blob.size, &scan));
    assert_ok(sync_scan_add(scan, bytes_slice(buf_bytes(&blob.blob), 0, blob.blob.n - 1)));
    assert_err(ERR_VERIFY, sync_scan_end(scan, root));
    sync_scan_free(scan);
    fixture_blob_done(&blob);
    mem_free(content);
}

static err_t *drop(void *ctx, bytes_t piece) {
    (void)ctx;
    (void)piece;
    return NULL;
}

static void test_data__a_file_that_changes_while_it_is_read_is_refused(void **state) {
    const fixture_t *f = *state;
    sync_data_id_t id = fixture_data_id(f, 1);
    sync_writer_t *writer = NULL;
    sync_sink_t sink = {.write = drop};
    uint8_t root[SYNC_HASH];
    uint64_t size = 0;
    assert_ok(sync_writer_new(&id, f->key, fixture_rnd(), 5, &sink, &writer));
    assert_ok(sync_writer_add(writer, BYTES_LIT("1234")));
    assert_err(ERR_INVALID, sync_writer_end(writer, root, &size));
    assert_err(ERR_INVALID, sync_writer_add(writer, BYTES_LIT("56")));
    assert_ok(sync_writer_add(writer, BYTES_LIT("5")));
    assert_ok(sync_writer_end(writer, root, &size));
    assert_err(ERR_USAGE, sync_writer_end(writer, root, &size));
    sync_writer_free(writer);
}

/* Randomness that begins anew with each of these: two writers then make the same. */
typedef struct {
    rnd_t rnd;
    uint8_t *next;
} replay_t;

static err_t *replay(const rnd_t *rnd, void *p, size_t n) {
    uint8_t *next = ((const replay_t *)(const void *)rnd)->next;
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (*next)++;
    return NULL;
}

static err_t *collect(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

static void write_in_place(sync_writer_t *writer, bytes_t content, buf_t *out) {
    size_t at = 0;
    while (sync_writer_wants(writer)) {
        uint8_t *p = NULL;
        size_t n = 0;
        assert_ok(sync_writer_room(writer, out, &p, &n));
        assert_true(n <= SYNC_CHUNK && n <= content.n - at);
        bytes_put(p, bytes_slice(content, at, n));
        at += n;
        assert_ok(sync_writer_fill(writer, out));
    }
    assert_int_equal(at, content.n);
}

static void check_places(const fixture_t *f, size_t n) {
    sync_data_id_t id = fixture_data_id(f, 1);
    uint8_t *content = content_of(n), roots[2][SYNC_HASH];
    uint64_t sizes[2] = {0, 0};
    buf_t blobs[2];
    for (int way = 0; way < 2; way++) {
        sync_writer_t *writer = NULL;
        uint8_t seed = 7;
        replay_t rnd = {{replay}, &seed};
        buf_init(&blobs[way], (size_t)32 << 20);
        sync_sink_t sink = {&blobs[way], collect};
        assert_ok(sync_writer_new(&id, f->key, &rnd.rnd, n, &sink, &writer));
        if (way) write_in_place(writer, bytes_make(content, n), &blobs[way]);
        else assert_ok(sync_writer_add(writer, bytes_make(content, n)));
        assert_ok(sync_writer_end(writer, roots[way], &sizes[way]));
        sync_writer_free(writer);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_int_equal(sizes[0], blobs[1].n);
    assert_true(bytes_eq(buf_bytes(&blobs[0]), buf_bytes(&blobs[1])));
    assert_memory_equal(roots[0], roots[1], SYNC_HASH);
    buf_done(&blobs[0]);
    buf_done(&blobs[1]);
    mem_free(content);
}

static void test_data__in_place_is_the_same_as_in_copies(void **state) {
    static const size_t sizes[] = {
        0, 1, 1000, SYNC_CHUNK - 1, SYNC_CHUNK, SYNC_CHUNK + 1, 9 * SYNC_CHUNK + 17};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) check_places(*state, sizes[i]);
}

static void test_data__content_that_is_missing_in_place_is_refused(void **state) {
    const fixture_t *f = *state;
    sync_data_id_t id = fixture_data_id(f, 1);
    sync_writer_t *writer = NULL;
    buf_t out;
    uint8_t root[SYNC_HASH], *p = NULL;
    uint64_t size = 0;
    size_t n = 0;
    buf_init(&out, (size_t)32 << 20);
    sync_sink_t sink = {&out, collect};
    assert_ok(sync_writer_new(&id, f->key, fixture_rnd(), SYNC_CHUNK + 5, &sink, &writer));
    assert_ok(sync_writer_room(writer, &out, &p, &n));
    assert_int_equal(n, SYNC_CHUNK);
    memset(p, 1, n);
    assert_ok(sync_writer_fill(writer, &out));
    assert_err(ERR_INVALID, sync_writer_end(writer, root, &size));
    assert_ok(sync_writer_add(writer, BYTES_LIT("12")));
    assert_err(ERR_USAGE, sync_writer_room(writer, &out, &p, &n));
    sync_writer_free(writer);
    buf_done(&out);
}

static void test_data__opens_where_it_lies_and_wipes_what_does_not_open(void **state) {
    fixture_blob_t blob;
    uint8_t *content = content_of(SYNC_CHUNK + 100);
    bytes_t plain = BYTES_NONE;
    fixture_blob(*state, 1, bytes_make(content, SYNC_CHUNK + 100), &blob);
    sync_reader_t *reader = reader_of(&blob);
    size_t n = sync_reader_chunk_size(reader, 0);
    uint8_t *chunk = mem_alloc(n);
    assert_non_null(chunk);
    bytes_put(chunk, bytes_slice(chunk_of(&blob, 0), 0, n));
    assert_err(ERR_VERIFY, sync_reader_place(reader, 1, chunk, n, &plain));
    assert_err(ERR_VERIFY, sync_reader_place(reader, 0, chunk, n - 1, &plain));
    assert_true(bytes_eq(bytes_make(chunk, n), bytes_slice(chunk_of(&blob, 0), 0, n)));
    assert_ok(sync_reader_place(reader, 0, chunk, n, &plain));
    assert_true(bytes_eq(plain, bytes_make(content, SYNC_CHUNK)));
    bytes_put(chunk, bytes_slice(chunk_of(&blob, 0), 0, n));
    chunk[n - 1] ^= 1;
    assert_err(ERR_VERIFY, sync_reader_place(reader, 0, chunk, n, &plain));
    assert_int_equal(chunk[0] | chunk[SYNC_CHUNK - 1], 0);
    mem_free(chunk);
    sync_reader_free(reader);
    fixture_blob_done(&blob);
    mem_free(content);
}

static void write_again(const fixture_t *f, const fixture_blob_t *blob, bytes_t content,
                        buf_t *out) {
    sync_writer_t *writer = NULL;
    secret_t *folder_key = NULL;
    uint8_t root[SYNC_HASH];
    uint64_t size = 0;
    buf_init(out, (size_t)64 << 20);
    assert_ok(
        sync_folder_key(blob->header.id.region, f->key, 1, blob->header.id.folder, &folder_key));
    assert_ok(sync_writer_again(&blob->header, folder_key, content.n, &(sync_sink_t){out, collect},
                                &writer));
    assert_ok(sync_writer_add(writer, content));
    assert_ok(sync_writer_end(writer, root, &size));
    sync_writer_free(writer);
    secret_free(folder_key);
}

/* What goes on with an upload, and what tells that it can't: the tags. */
static void test_data__is_written_again_byte_by_byte(void **state) {
    const fixture_t *f = *state;
    const size_t n = 2 * SYNC_CHUNK + 5;
    uint8_t *content = content_of(n);
    fixture_blob_t blob;
    buf_t again;
    fixture_blob(f, 1, bytes_make(content, n), &blob);
    write_again(f, &blob, bytes_make(content, n), &again);
    assert_true(bytes_eq(buf_bytes(&again), buf_bytes(&blob.blob)));
    buf_done(&again);
    sync_reader_t *reader = reader_of(&blob);
    uint8_t *chunk = mem_alloc(SYNC_SEALED_CHUNK);
    assert_non_null(chunk);
    for (uint32_t i = 0; i < 2; i++) {
        bytes_put(chunk, bytes_make(content + (size_t)i * SYNC_CHUNK, SYNC_CHUNK));
        assert_ok(sync_reader_reseal(reader, i, chunk));
        assert_true(bytes_eq(bytes_make(chunk, SYNC_SEALED_CHUNK), chunk_of(&blob, i)));
    }
    assert_err(ERR_VERIFY, sync_reader_reseal(reader, 2, chunk));
    mem_free(chunk);
    content[SYNC_CHUNK + 7] ^= 1;
    write_again(f, &blob, bytes_make(content, n), &again);
    const size_t tag = SYNC_HEADER + SYNC_SEALED_CHUNK - AEAD_TAG_SIZE;
    assert_memory_equal(again.p + tag, blob.blob.p + tag, AEAD_TAG_SIZE);
    assert_memory_not_equal(again.p + tag + SYNC_SEALED_CHUNK,
                            blob.blob.p + tag + SYNC_SEALED_CHUNK, AEAD_TAG_SIZE);
    buf_done(&again);
    sync_reader_free(reader);
    fixture_blob_done(&blob);
    mem_free(content);
}

static void test_data__two_versions_share_nothing(void **state) {
    fixture_blob_t a, b;
    fixture_blob(*state, 1, BYTES_LIT("same"), &a);
    fixture_blob(*state, 1, BYTES_LIT("same"), &b);
    assert_false(secret_eq(a.file_key, secret_bytes(b.file_key)));
    assert_memory_not_equal(a.root, b.root, SYNC_HASH);
    assert_false(bytes_eq(chunk_of(&a, 0), chunk_of(&b, 0)));
    fixture_blob_done(&a);
    fixture_blob_done(&b);
}

static void test_data__survives_every_failed_allocation(void **state) {
    const fixture_t *f = *state;
    sync_data_id_t id = fixture_data_id(f, 1);
    sync_sink_t sink = {.write = drop};
    bool done = false;
    for (unsigned long n = 1; !done && n < 200; n++) {
        sync_writer_t *writer = NULL;
        uint8_t root[SYNC_HASH];
        uint64_t size = 0;
        fault_arm_memory(n);
        err_t *e = sync_writer_new(&id, f->key, fixture_rnd(), 3, &sink, &writer);
        if (!e) e = sync_writer_add(writer, BYTES_LIT("abc"));
        if (!e) e = sync_writer_end(writer, root, &size);
        done = !fault_memory_fired();
        fault_arm_memory(0);
        assert_true(done == !e);
        err_free(e);
        sync_writer_free(writer);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_data__comes_back_at_every_awkward_size, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_data__in_place_is_the_same_as_in_copies, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_data__content_that_is_missing_in_place_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_data__opens_where_it_lies_and_wipes_what_does_not_open,
                                        setup, teardown),
        cmocka_unit_test(test_data__sizes_are_padded_and_few),
        cmocka_unit_test(test_data__sizes_of_packages_are_one_to_one),
        cmocka_unit_test(test_data__parts_cover_a_package_and_fit_a_blob),
        cmocka_unit_test_setup_teardown(test_data__no_byte_can_be_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data__chunks_open_in_their_place_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_data__a_wrapped_key_is_bound_to_its_place, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_data__padding_that_is_not_zeros_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_data__the_scan_finds_the_root_in_pieces_of_any_size,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_data__a_file_that_changes_while_it_is_read_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_data__is_written_again_byte_by_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data__two_versions_share_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data__survives_every_failed_allocation, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
