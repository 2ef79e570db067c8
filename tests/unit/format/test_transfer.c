/*
 * format/transfer: base64 there and back at any length and cut, clean or not.
 */
#include "../unit.h"

#include "base/text.h"
#include "format/transfer.h"

static uint32_t seed = 1;
static uint32_t next(void) { return (seed = seed * 1664525u + 1013904223u) >> 8; }

static void decode(bytes_t text, size_t step, transfer_decoder_t *d, buf_t *out) {
    transfer_decoder_init(d, MIME_ENCODING_BASE64);
    buf_clear(out);
    for (; text.n; text = bytes_from(text, step))
        assert_ok(transfer_decode(d, bytes_slice(text, 0, step), out));
    assert_ok(transfer_decode_end(d, out));
}

static void test_transfer__base64_agrees_with_the_other_one_and_comes_back(void **state) {
    (void)state;
    static uint8_t data[700];
    for (size_t n = 0; n < sizeof data; n++) {
        CLEANUP(buf_done) buf_t lines, line, back;
        transfer_encoder_t e = {0};
        transfer_decoder_t d;
        buf_init(&lines, 4096);
        buf_init(&line, 4096);
        buf_init(&back, 4096);
        for (size_t i = 0; i < n; i++) data[i] = (uint8_t)next();
        size_t cut = n ? next() % n : 0;
        assert_ok(transfer_base64(&e, bytes_make(data, cut), &lines));
        assert_ok(transfer_base64(&e, bytes_make(data + cut, n - cut), &lines));
        assert_ok(transfer_base64_end(&e, &lines));
        assert_ok(text_base64(bytes_make(data, n), &line));
        for (size_t i = 0, column = 0; i < line.n; i++, column++) {
            if (column == 76) {
                assert_memory_equal(lines.p + i / 76 * 78 - 2, "\r\n", 2);
                column = 0;
            }
            assert_int_equal(lines.p[i + i / 76 * 2], line.p[i]);
        }
        assert_int_equal(lines.n, line.n + (line.n + 75) / 76 * 2);
        for (size_t step = 1; step < 40; step += 6) {
            decode(buf_bytes(&lines), step, &d, &back);
            assert_true(bytes_eq(buf_bytes(&back), bytes_make(data, n)));
            assert_false(d.dirty);
        }
    }
}

/* Character by character, as RFC 2045 section 6.8 says. */
static void slowly(bytes_t text, buf_t *out, bool *ret_dirty) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned group = 0, n = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] ? strchr(letters, text.p[i]) : NULL;
        if (!at) {
            if (!memchr(" \t\r\n", text.p[i], 4)) *ret_dirty = true;
            continue;
        }
        group = group << 6 | (unsigned)(at - letters);
        if (++n < 4) continue;
        for (int k = 16; k >= 0; k -= 8) assert_ok(buf_add_byte(out, (uint8_t)(group >> k)));
        group = n = 0;
    }
    if (n) *ret_dirty = true; /* no padding in these */
    group <<= 6 * (4 - n);
    for (unsigned k = 1; k < n; k++) assert_ok(buf_add_byte(out, (uint8_t)(group >> (24 - 8 * k))));
}

static void test_transfer__base64_with_rubbish_reads_as_a_slow_reader_does(void **state) {
    (void)state;
    static uint8_t text[300];
    static const char alphabet[] = "ABCDEFabcdxyz0189+/";
    static const char rubbish[] = "\r\n \t-_*\0\x80\xff.";
    for (int round = 0; round < 3000; round++) {
        CLEANUP(buf_done) buf_t fast, slow;
        transfer_decoder_t d;
        bool dirty = false;
        size_t n = next() % sizeof text;
        uint32_t rare = 1 + next() % 60;
        buf_init(&fast, 4096);
        buf_init(&slow, 4096);
        for (size_t i = 0; i < n; i++)
            text[i] = next() % rare ? (uint8_t)alphabet[next() % (sizeof alphabet - 1)]
                                    : (uint8_t)rubbish[next() % (sizeof rubbish - 1)];
        slowly(bytes_make(text, n), &slow, &dirty);
        decode(bytes_make(text, n), 1 + next() % 50, &d, &fast);
        assert_true(bytes_eq(buf_bytes(&fast), buf_bytes(&slow)));
        assert_int_equal(d.dirty, dirty);
    }
}

static void test_transfer__base64_put_together_is_read_on(void **state) {
    (void)state;
    for (size_t step = 1; step < 12; step++) {
        CLEANUP(buf_done) buf_t out;
        transfer_decoder_t d;
        buf_init(&out, 100);
        decode(BYTES_LIT("YQ==\r\nYmM=\r\nZGVm"), step, &d, &out);
        assert_true(bytes_eq_str(buf_bytes(&out), "abcdef"));
        assert_true(d.dirty);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfer__base64_agrees_with_the_other_one_and_comes_back),
        cmocka_unit_test(test_transfer__base64_with_rubbish_reads_as_a_slow_reader_does),
        cmocka_unit_test(test_transfer__base64_put_together_is_read_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
