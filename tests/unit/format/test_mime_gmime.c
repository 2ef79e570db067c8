/*
 * The MIME reader and GMime agree: structure, decoded bytes and names of messages made at random,
 * with what real ones have: nesting, boundaries that begin alike, preambles, epilogues, either line
 * end, every encoding, names in pieces. On damaged ones they may differ only where our reader
 * reports that something is odd. Known and meant: of a field given twice we take the first, GMime
 * the last; parts without fields and content are parts here and dropped there; base64 goes on
 * behind padding here, as in RFC 2045 section 6.8's encodings put together; GMime reads a composite
 * part under a transfer encoding, which we read as one part.
 */
#include "../unit.h"

#include <gmime/gmime.h>

#include "base/buf.h"
#include "format/mime.h"
#include "format/transfer.h"

enum { MESSAGES = 4000, SIZE = 1 << 20, DEPTH = 4 };

static uint32_t seed = 1;
static unsigned next(unsigned below) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* ---- Messages ---- */

typedef struct {
    buf_t *out;
    const char *eol;
    unsigned boundaries;
} maker_t;

static void line(const maker_t *m, const char *text) {
    assert_ok(buf_add_str(m->out, text));
    assert_ok(buf_add_str(m->out, m->eol));
}

static void add_text(const maker_t *m) {
    static const char *const lines[] = {
        "",      "hello",      "--",    "--b",           "-- ",    "--b0x", "From me",
        "a=b",   "trailing  ", ".",     "--b1--more",    "\ttab",  "x: y",  "--B0",
        "--b 0", "-",          "a--b0", "\xc3\xa4 \xff", "=20=0A", "end="};
    for (unsigned n = next(8); n; n--) line(m, lines[next(sizeof lines / sizeof *lines)]);
}

static void add_base64(const maker_t *m) {
    CLEANUP(buf_done) buf_t lines;
    transfer_encoder_t e = {0};
    uint8_t data[300];
    size_t n = next(sizeof data);
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)next(256);
    buf_init(&lines, 4096);
    assert_ok(transfer_base64(&e, bytes_make(data, n), &lines));
    assert_ok(transfer_base64_end(&e, &lines));
    for (size_t i = 0; i < lines.n; i++)
        if (lines.p[i] == '\n') assert_ok(buf_add_str(m->out, m->eol));
        else if (lines.p[i] != '\r') assert_ok(buf_add_byte(m->out, lines.p[i]));
}

static void add_quoted(const maker_t *m) {
    static const char *const lines[] = {"hello=20", "soft =", "=C3=A4", "=3D",
                                        "",         "plain",  "--b0x"};
    for (unsigned n = next(6); n; n--) line(m, lines[next(sizeof lines / sizeof *lines)]);
    line(m, "end");
}

static void add_leaf(const maker_t *m) {
    static const char *const names[] = {
        "",
        "; name=plain.txt",
        "; name=\"with space.txt\"",
        "; name*0=\"in \"; name*1=\"pieces.txt\"",
        "; name*=utf-8''%C3%BCml.pdf",
        "; name*0*=utf-8''%C3%BC; name*1=ml.pdf",
        "; name=\"quoted \\\" mark\"",
    };
    static const char *const types[] = {"text/plain", "Application/PDF", "image/x-y.z",
                                        "text/html"};
    assert_ok(buf_printf(m->out, "Content-Type: %s%s%s", types[next(4)], names[next(7)], m->eol));
    unsigned encoding = next(3);
    if (encoding)
        line(m, encoding == 1 ? "Content-Transfer-Encoding: base64"
                              : "Content-Transfer-Encoding: Quoted-Printable");
    if (!next(3)) line(m, "Content-Disposition: attachment");
    line(m, "");
    if (encoding == 0) add_text(m);
    else if (encoding == 1) add_base64(m);
    else add_quoted(m);
}

static void add_part(maker_t *m, unsigned depth);

static void add_multipart(maker_t *m, unsigned depth) {
    static const char *const kinds[] = {"mixed", "alternative", "related", "x-own"};
    char boundary[32];
    (void)snprintf(boundary, sizeof boundary, "b%u", m->boundaries++);
    assert_ok(buf_printf(m->out, "Content-Type: multipart/%s;%s%sboundary=\"%s\"%s%s",
                         kinds[next(4)], next(2) ? m->eol : "", " ", boundary, m->eol, m->eol));
    if (!next(3)) line(m, "This is a preamble.");
    for (unsigned n = 1 + next(3); n; n--) {
        assert_ok(buf_printf(m->out, "--%s%s%s", boundary, next(8) ? "" : " \t", m->eol));
        add_part(m, depth + 1);
        assert_ok(buf_add_str(m->out, m->eol));
    }
    assert_ok(buf_printf(m->out, "--%s--%s", boundary, m->eol));
    if (!next(4)) line(m, "An epilogue.");
}

static void add_part(maker_t *m, unsigned depth) {
    unsigned kind = depth == DEPTH ? 0 : next(5);
    if (kind < 2) {
        add_leaf(m);
    } else if (kind == 2) {
        line(m, "Content-Type: message/rfc822");
        line(m, "");
        line(m, "From: inner@example.org");
        add_part(m, depth + 1);
    } else {
        add_multipart(m, depth);
    }
}

static void make(buf_t *out) {
    maker_t m = {out, next(2) ? "\r\n" : "\n", 0};
    buf_clear(out);
    line(&m, "From: a@example.org");
    line(&m, "Subject: x");
    add_part(&m, 0);
}

/* ---- What each of the two makes of one ---- */

static void tell(buf_t *out, unsigned depth, const char *type, bytes_t name, bytes_t body) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < body.n; i++) hash = (hash ^ body.p[i]) * 1099511628211u;
    for (unsigned i = 0; i < depth; i++) assert_ok(buf_add_byte(out, ' '));
    assert_ok(buf_printf(out, "%s '%.*s' %zu %llx\n", type, (int)name.n, (const char *)name.p,
                         body.n, (unsigned long long)hash));
}

typedef struct {
    buf_t *out, body;
    transfer_decoder_t decoder;
    unsigned odd; /* of mime_odd_t, of all parts */
    bool empty;   /* a part has neither fields nor content */
    bool dirty;   /* a transfer encoding wasn't clean */
} ours_t;

static bool composite(const mime_part_t *part) { return part->multipart || part->message; }

static err_t *on_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    ours_t *o = arg;
    (void)ret_raw;
    transfer_decoder_init(&o->decoder, part->encoding);
    buf_clear(&o->body);
    if (!composite(part)) return NULL;
    char type[80];
    (void)snprintf(type, sizeof type, "%.*s", (int)part->type.value.n,
                   (const char *)part->type.value.p);
    tell(o->out, part->depth, type, BYTES_NONE, BYTES_NONE);
    return NULL;
}

static err_t *on_body(void *arg, mime_part_t *part, bytes_t data) {
    ours_t *o = arg;
    (void)part;
    return transfer_decode(&o->decoder, data, &o->body);
}

static err_t *on_end(void *arg, mime_part_t *part) {
    ours_t *o = arg;
    char type[80];
    o->odd |= part->odd;
    if (part->end == part->body && !part->fields.n) o->empty = true;
    if (composite(part)) return NULL;
    TRY(transfer_decode_end(&o->decoder, &o->body));
    if (o->decoder.dirty) o->dirty = true;
    (void)snprintf(type, sizeof type, "%.*s", (int)part->type.value.n,
                   (const char *)part->type.value.p);
    tell(o->out, part->depth, type, mime_parameter(&part->type, "name"), buf_bytes(&o->body));
    return NULL;
}

/* Whether a part of it can be read in two ways, and is reported so. */
static bool read_ours(bytes_t message, buf_t *out) {
    ours_t o = {.out = out};
    const mime_handler_t handler = {.begin = on_begin, .body = on_body, .end = on_end, .arg = &o};
    mime_reader_t *reader CLEANUP(mime_reader_free) = NULL;
    size_t step = 1 + next(500);
    buf_init(&o.body, SIZE);
    assert_ok(mime_reader_new(&handler, &reader));
    for (; message.n; message = bytes_from(message, step))
        assert_ok(mime_feed(reader, bytes_slice(message, 0, step)));
    assert_ok(mime_finish(reader));
    buf_done(&o.body);
    return o.empty || o.dirty ||
           o.odd & (MIME_ODD_DUPLICATE_FIELD | MIME_ODD_HEADER | MIME_ODD_NO_BOUNDARY |
                    MIME_ODD_UNCLOSED | MIME_ODD_ENCODED_MULTI);
}

static void tell_gmime(GMimeObject *object, unsigned depth, buf_t *out) {
    char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(object));
    for (char *p = type; *p; p++) *p = (char)g_ascii_tolower(*p);
    if (GMIME_IS_MULTIPART(object)) {
        tell(out, depth, type, BYTES_NONE, BYTES_NONE);
        int n = g_mime_multipart_get_count(GMIME_MULTIPART(object));
        for (int i = 0; i < n; i++)
            tell_gmime(g_mime_multipart_get_part(GMIME_MULTIPART(object), i), depth + 1, out);
    } else if (GMIME_IS_MESSAGE_PART(object)) {
        tell(out, depth, type, BYTES_NONE, BYTES_NONE);
        GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
        tell_gmime(g_mime_message_get_mime_part(inner), depth + 1, out);
    } else {
        GMimeStream *body = g_mime_stream_mem_new();
        GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(object));
        if (content) (void)g_mime_data_wrapper_write_to_stream(content, body);
        GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(body));
        const char *name = g_mime_object_get_content_type_parameter(object, "name");
        tell(out, depth, type, bytes_str(name), bytes_make(bytes->data, bytes->len));
        g_object_unref(body);
    }
    g_free(type);
}

static void read_gmime(bytes_t message, buf_t *out) {
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer((const char *)message.p, message.n);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
    assert_non_null(m);
    tell_gmime(g_mime_message_get_mime_part(m), 0, out);
    g_object_unref(m);
    g_object_unref(parser);
    g_object_unref(stream);
}

/* Takes a line out, or gives it twice: boundaries, blank lines, fields. */
static void mutate(buf_t *message) {
    CLEANUP(buf_done) buf_t old;
    size_t lines = 0;
    buf_init(&old, SIZE);
    assert_ok(buf_add(&old, buf_bytes(message)));
    for (size_t i = 0; i < old.n; i++) lines += old.p[i] == '\n';
    size_t victim = next((unsigned)lines), copies = next(2) ? 0 : 2;
    buf_clear(message);
    for (bytes_t rest = buf_bytes(&old); rest.n; lines--) {
        size_t n = bytes_find(rest, '\n') + 1;
        for (size_t k = lines - 1 == victim ? copies : 1; k; k--)
            assert_ok(buf_add(message, bytes_slice(rest, 0, n)));
        rest = bytes_from(rest, n);
    }
}

static void test_mime_gmime__agrees_on_messages_made_at_random(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t message, ours, theirs;
    buf_init(&message, SIZE);
    buf_init(&ours, SIZE);
    buf_init(&theirs, SIZE);
    for (int i = 0; i < MESSAGES; i++) {
        const char *a, *b, *text;
        make(&message);
        buf_clear(&ours);
        buf_clear(&theirs);
        assert_false(read_ours(buf_bytes(&message), &ours));
        read_gmime(buf_bytes(&message), &theirs);
        assert_ok(buf_cstr(&ours, &a));
        assert_ok(buf_cstr(&theirs, &b));
        assert_ok(buf_cstr(&message, &text));
        if (strcmp(a, b) != 0) {
            (void)fprintf(stderr, "message %d:\n%s\nours:\n%sGMime:\n%s", i, text, a, b);
            fail();
        }
    }
}

static void test_mime_gmime__agrees_on_damaged_ones(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t message, ours, theirs;
    buf_init(&message, SIZE);
    buf_init(&ours, SIZE);
    buf_init(&theirs, SIZE);
    int differ = 0;
    for (int i = 0; i < MESSAGES; i++) {
        const char *a, *b, *text;
        make(&message);
        mutate(&message);
        buf_clear(&ours);
        buf_clear(&theirs);
        bool odd = read_ours(buf_bytes(&message), &ours);
        read_gmime(buf_bytes(&message), &theirs);
        assert_ok(buf_cstr(&ours, &a));
        assert_ok(buf_cstr(&theirs, &b));
        assert_ok(buf_cstr(&message, &text));
        if (strcmp(a, b) != 0 && !odd) {
            (void)fprintf(stderr, "message %d:\n%s\nours:\n%sGMime:\n%s", i, text, a, b);
            differ++;
        }
    }
    assert_int_equal(differ, 0);
}

static int setup(void **state) {
    (void)state;
    g_mime_init();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    g_mime_shutdown();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mime_gmime__agrees_on_messages_made_at_random),
        cmocka_unit_test(test_mime_gmime__agrees_on_damaged_ones),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
