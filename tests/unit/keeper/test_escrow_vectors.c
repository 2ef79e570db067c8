/*
 * The formats of escrow against an independent implementation: what tests/functional/
 * escrow_recover.py made opens here (docs/formats/escrow-vectors.txt), and with ESCROW_OUT=FILE
 * this writes the like for it to open.
 */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "keeper/escrow_seal.h"

enum { BUF = 64 * 1024, VALUES = 64 };

typedef struct {
    buf_t text;
    size_t n;
    bytes_t names[VALUES];
    buf_t values[VALUES];
} vectors_t;

static int setup(void **state) {
    vectors_t *v = mem_zalloc(sizeof *v);
    assert_non_null(v);
    assert_ok(crypto_init());
    buf_init(&v->text, BUF);
    assert_ok(file_read(ESCROW_VECTORS, &v->text));
    bytes_t rest = buf_bytes(&v->text), line;
    while (text_split(&rest, '\n', &line)) {
        size_t space = bytes_find(line, ' ');
        if (line.n == 0 || line.p[0] == '#') continue;
        v->names[v->n] = bytes_slice(line, 0, space);
        buf_init(&v->values[v->n], BUF);
        assert_ok(text_unhex(bytes_from(line, space + 1), &v->values[v->n]));
        v->n++;
    }
    *state = v;
    return 0;
}

static int teardown(void **state) {
    vectors_t *v = *state;
    for (size_t i = 0; i < v->n; i++) buf_done(&v->values[i]);
    buf_done(&v->text);
    mem_free(v);
    return 0;
}

static bytes_t get(const vectors_t *v, const char *name) {
    for (size_t i = 0; i < v->n; i++)
        if (bytes_eq_str(v->names[i], name)) return buf_bytes(&v->values[i]);
    fail_msg("no vector %s", name);
    return BYTES_NONE;
}

static escrow_object_t object_of(const vectors_t *v) {
    escrow_object_t object;
    wire_reader_t r = wire_reader(bytes_from(get(v, "object"), ESCROW_HEAD));
    assert_ok(escrow_object_get(&r, &object));
    assert_ok(wire_done(&r));
    return object;
}

static void test_escrow_vectors__blob_and_wrap_open(void **state) {
    const vectors_t *v = *state;
    escrow_object_t object = object_of(v);
    uint8_t hash[ESCROW_HASH], wanted[ESCROW_HASH];
    secret_t *dek = NULL, *storage = NULL, *secret = NULL;
    assert_ok(escrow_object_hash(&object, hash));
    assert_ok(digest_sha256(get(v, "object"), wanted));
    assert_memory_equal(hash, wanted, sizeof hash);
    assert_ok(secret_copy(get(v, "storage"), &storage));
    assert_ok(escrow_wrap_open(&object, storage, get(v, "wrap"), &dek));
    assert_true(secret_eq(dek, get(v, "dek")));
    assert_ok(escrow_blob_open(&object, dek, get(v, "blob"), &secret));
    assert_true(secret_eq(secret, get(v, "secret")));
    secret_free(dek);
    secret_free(storage);
    secret_free(secret);
}

static void test_escrow_vectors__shares_open_for_their_officers(void **state) {
    const vectors_t *v = *state;
    static const unsigned indices[] = {2, 5, 9};
    escrow_object_t object = object_of(v);
    escrow_set_t set;
    uint8_t object_hash[ESCROW_HASH], set_hash[ESCROW_HASH];
    assert_ok(escrow_object_hash(&object, object_hash));
    assert_ok(escrow_set_parse(get(v, "set"), &set));
    assert_ok(escrow_set_hash(&set, set_hash));
    for (size_t i = 0; i < 3; i++) {
        char name[32];
        escrow_share_t share;
        escrow_opener_t *opener = NULL;
        pkey_t *key = NULL;
        secret_t *y = NULL;
        (void)snprintf(name, sizeof name, "share.%u", indices[i]);
        assert_ok(escrow_share_parse(get(v, name), &share));
        (void)snprintf(name, sizeof name, "hpke.%u", indices[i]);
        assert_ok(pkey_from_raw_private(PKEY_X25519, get(v, name), &key));
        assert_ok(escrow_opener_new(set_hash, share.officer, key, &opener));
        assert_ok(escrow_share_open(opener, object_hash, &share, &y));
        secret_free(y);
        escrow_opener_free(opener);
        pkey_free(key);
    }
}

static void test_escrow_vectors__approvals_recover(void **state) {
    const vectors_t *v = *state;
    escrow_set_t set;
    escrow_request_t request;
    escrow_approval_t approvals[2];
    pkey_t *recipient = NULL;
    secret_t *secret = NULL;
    assert_ok(escrow_set_parse(get(v, "set"), &set));
    assert_ok(escrow_request_parse(get(v, "request"), &request));
    assert_ok(escrow_approval_parse(get(v, "approval.2"), &approvals[0]));
    assert_ok(escrow_approval_parse(get(v, "approval.5"), &approvals[1]));
    assert_ok(pkey_from_raw_private(PKEY_X25519, get(v, "recipient"), &recipient));
    assert_ok(escrow_recover(&request, &set, approvals, 2, recipient, get(v, "blob"), &secret));
    assert_true(secret_eq(secret, get(v, "secret")));
    secret_free(secret);
    pkey_free(recipient);
}

/* ---- the other way ---- */

static void put(FILE *out, const char *name, bytes_t value) {
    char *hex = NULL;
    assert_ok(text_hex_new(value, &hex));
    (void)fprintf(out, "%s %s\n", name, hex);
    mem_free(hex);
}

static void test_escrow_vectors__what_is_made_here_is_written_out(void **state) {
    const vectors_t *v = *state;
    const char *path = getenv("ESCROW_OUT");
    if (!path) skip();
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    escrow_object_t object = object_of(v);
    escrow_set_t set;
    uint8_t set_hash[ESCROW_HASH];
    escrow_sealer_t *sealers[3] = {0};
    secret_t *dek = NULL;
    buf_t blob, run;
    buf_init(&blob, BUF);
    buf_init(&run, BUF);
    assert_ok(escrow_set_parse(get(v, "set"), &set));
    assert_ok(escrow_set_hash(&set, set_hash));
    for (size_t i = 0; i < 3; i++)
        assert_ok(escrow_sealer_new(set_hash, &set.officers[i], &sealers[i]));
    assert_ok(escrow_dek_new(rnd_real(), &dek));
    assert_ok(escrow_blob_seal(&object, dek, rnd_real(), BYTES_LIT("made here"), &blob));
    assert_ok(escrow_deal(&object, &set, sealers, rnd_real(), dek, &run));
    put(out, "object", get(v, "object"));
    put(out, "set", get(v, "set"));
    put(out, "blob", buf_bytes(&blob));
    wire_reader_t r = wire_reader(buf_bytes(&run));
    for (size_t i = 0; i < 3; i++) {
        char name[32];
        bytes_t record;
        assert_ok(wire_get_bytes(&r, BUF, &record));
        (void)snprintf(name, sizeof name, "share.%u", set.officers[i].index);
        put(out, name, record);
        (void)snprintf(name, sizeof name, "hpke.%u", set.officers[i].index);
        if (i) put(out, name, get(v, name)); /* two of the three */
        escrow_sealer_free(sealers[i]);
    }
    assert_int_equal(fclose(out), 0);
    secret_free(dek);
    buf_done(&blob);
    buf_done(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escrow_vectors__blob_and_wrap_open),
        cmocka_unit_test(test_escrow_vectors__shares_open_for_their_officers),
        cmocka_unit_test(test_escrow_vectors__approvals_recover),
        cmocka_unit_test(test_escrow_vectors__what_is_made_here_is_written_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
