/* CMS: both ways with every algorithm, and everything a stranger can get wrong on purpose. */
#include "fixture.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/cms.h"
#include "crypto/crl.h"
#include "factory.h"

#define OID_MESSAGE_TYPE   "2.16.840.1.113733.1.9.2"
#define OID_SENDER_NONCE   "2.16.840.1.113733.1.9.5"
#define OID_TRANSACTION_ID "2.16.840.1.113733.1.9.7"

static const bytes_t hello = {(const uint8_t *)"hello\nCMS\r\n", 11};

static const cms_attribute_t scep_attributes[] = {
    {OID_MESSAGE_TYPE, CMS_PRINTABLE_STRING, {(const uint8_t *)"19", 2}},
    {OID_SENDER_NONCE, CMS_OCTET_STRING, {(const uint8_t *)"0123456789abcdef", 16}},
    {OID_TRANSACTION_ID, CMS_PRINTABLE_STRING, {(const uint8_t *)"transaction", 11}},
};

static void sign(const cert_t *cert, const pkey_t *key, bytes_t content,
                 const cms_sign_options_t *options, buf_t *out) {
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    assert_ok(cms_signer_new(cert, key, NULL, &signer));
    assert_ok(cms_sign(signer, content, options, out));
}

static void test_cms__signed_reads_back(void **state) {
    fixture_t *f = *state;
    for (unsigned round = 0; round < 16; round++) {
        bool ec = round & 1, detached = round & 2, indefinite = round & 4;
        const cert_t *cert = ec ? f->ec : f->rsa;
        cms_sign_options_t options = {.detached = detached,
                                      .indefinite = indefinite,
                                      .digest = round & 8 ? CMS_DIGEST_SHA512 : CMS_DIGEST_SHA256,
                                      .attributes = scep_attributes,
                                      .attributes_n = 3,
                                      .signing_time = FIXTURE_NOW};
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 65536);
        sign(cert, ec ? f->ec_key : f->rsa_key, hello, &options, &out);
        assert_int_equal(out.p[1] == 0x80, indefinite && !detached);
        CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
        assert_ok(cms_verify(buf_bytes(&out), detached ? &hello : NULL, NULL, &s));
        assert_true(bytes_eq(cms_signed_content(s), detached ? BYTES_NONE : hello));
        assert_string_equal(cms_signed_content_type(s), OID_CMS_DATA);
        assert_true(cert_same(cms_signed_cert(s), cert));
        assert_int_equal(cms_signed_certs(s)->n, 1);
        assert_int_equal(cms_signed_digest(s), options.digest);
        bytes_t value;
        assert_ok(cms_signed_require(s, OID_MESSAGE_TYPE, CMS_PRINTABLE_STRING, &value));
        assert_true(bytes_eq_str(value, "19"));
        assert_ok(cms_signed_require(s, OID_SENDER_NONCE, CMS_OCTET_STRING, &value));
        assert_int_equal(value.n, 16);
        assert_err(ERR_INVALID, cms_signed_require(s, OID_SENDER_NONCE, CMS_UTF8_STRING, &value));
        assert_err(ERR_INVALID, cms_signed_require(s, "1.2.3.4", CMS_UTF8_STRING, &value));
        bool found = true;
        cms_signed_value_t any;
        assert_ok(cms_signed_attribute(s, "1.2.3.4", &found, &any));
        assert_false(found);
    }
}

static void test_cms__content_apart_must_match(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 65536);
    bytes_t other = BYTES_LIT("something else");
    cms_signed_t *s = NULL;
    sign(f->rsa, f->rsa_key, hello, NULL, &out);
    assert_err(ERR_VERIFY, cms_verify(buf_bytes(&out), &other, NULL, &s));
    assert_ok(cms_verify(buf_bytes(&out), &hello, NULL, &s));
    cms_signed_free(STEAL(s));
    buf_clear(&out);
    cms_sign_options_t options = {.detached = true};
    sign(f->rsa, f->rsa_key, hello, &options, &out);
    assert_err(ERR_VERIFY, cms_verify(buf_bytes(&out), &other, NULL, &s));
    assert_err(ERR_INVALID, cms_verify(buf_bytes(&out), NULL, NULL, &s));
    cms_verify_options_t lenient = {.allow_no_content = true};
    assert_err(ERR_VERIFY, cms_verify(buf_bytes(&out), NULL, &lenient, &s));
    buf_clear(&out);
    sign(f->rsa, f->rsa_key, BYTES_NONE, &options, &out);
    assert_ok(cms_verify(buf_bytes(&out), NULL, &lenient, &s));
    assert_int_equal(cms_signed_content(s).n, 0);
    cms_signed_free(s);
}

static void test_cms__weak_only_where_allowed(void **state) {
    fixture_t *f = *state;
    CLEANUP(cert_free) cert_t *device = NULL;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    assert_ok(cert_parse_pem(BYTES_LIT(factory_device_pem), &device));
    assert_ok(pkey_parse_private_pem(BYTES_LIT(factory_device_key_pem), &key));
    cms_sign_options_t options = {.digest = CMS_DIGEST_SHA1, .indefinite = true};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 65536);
    sign(device, key, hello, &options, &out);
    cms_signed_t *s = NULL;
    cms_verify_options_t allow = {0};
    assert_err(ERR_VERIFY, cms_verify(buf_bytes(&out), NULL, &allow, &s));
    allow.allow_sha1 = true;
    assert_err(ERR_VERIFY, cms_verify(buf_bytes(&out), NULL, &allow, &s));
    allow.allow_weak_key = true;
    assert_ok(cms_verify(buf_bytes(&out), NULL, &allow, &s));
    assert_int_equal(cms_signed_digest(s), CMS_DIGEST_SHA1);
    cms_signed_free(STEAL(s));
    buf_clear(&out);
    sign(f->rsa, f->rsa_key, hello, &options, &out);
    assert_err(ERR_VERIFY, cms_verify(buf_bytes(&out), NULL, NULL, &s));
}

static void test_cms__every_flipped_byte_is_noticed(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 65536);
    cms_sign_options_t options = {.attributes = scep_attributes, .attributes_n = 3};
    sign(f->ec, f->ec_key, hello, &options, &out);
    for (size_t i = 0; i < out.n; i++) {
        out.p[i] ^= 0x20;
        cms_signed_t *s = NULL;
        err_t *e = cms_verify(buf_bytes(&out), NULL, NULL, &s);
        /* What still verifies has the same content and attributes; only the embedded certificate's
         * own signature, or an algorithm's name or version, can differ, and the chain judges it. */
        if (!e) {
            bytes_t value;
            assert_true(bytes_eq(cms_signed_content(s), hello));
            assert_ok(cms_signed_require(s, OID_TRANSACTION_ID, CMS_PRINTABLE_STRING, &value));
            assert_true(bytes_eq_str(value, "transaction"));
        }
        err_free(e);
        cms_signed_free(s);
        out.p[i] ^= 0x20;
    }
}

static void test_cms__missing_or_foreign_certificate(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 65536);
    cms_signed_t *s = NULL;
    cms_sign_options_t options = {.no_certificates = true};
    sign(f->rsa, f->rsa_key, hello, &options, &out);
    assert_err(ERR_INVALID, cms_verify(buf_bytes(&out), NULL, NULL, &s));
    cms_signer_t *signer = NULL;
    assert_err(ERR_USAGE, cms_signer_new(f->rsa, f->ec_key, NULL, &signer));
    /* The same issuer and serial number, another key: an embedded certificate that isn't his. */
    CLEANUP(cert_free) cert_t *twin = fixture_leaf(f, "twin", 2, f->ec_key);
    CLEANUP(cert_list_done) cert_list_t extra = {0};
    assert_ok(cert_list_add(&extra, twin));
    assert_ok(cms_signer_new(f->rsa, f->rsa_key, &extra, &signer));
    buf_clear(&out);
    assert_ok(cms_sign(signer, hello, NULL, &out));
    cms_signer_free(signer);
    assert_err(ERR_INVALID, cms_verify(buf_bytes(&out), NULL, NULL, &s));
    assert_null(s);
}

/* DER length as two bytes, big enough for all that is spliced here. */
static void put_tlv(buf_t *out, uint8_t tag, bytes_t content) {
    assert_ok(buf_add_byte(out, tag));
    assert_ok(buf_add_byte(out, 0x82));
    assert_ok(buf_add_byte(out, (uint8_t)(content.n >> 8)));
    assert_ok(buf_add_byte(out, (uint8_t)content.n));
    assert_ok(buf_add(out, content));
}

/* Takes one definite element off rest; *ret_whole with its head. */
static uint8_t take(bytes_t *rest, bytes_t *ret_content, bytes_t *ret_whole) {
    size_t head = 2, length = rest->p[1];
    if (length == 0x81) length = rest->p[2], head = 3;
    else if (length == 0x82) length = (size_t)rest->p[2] << 8 | rest->p[3], head = 4;
    uint8_t tag = rest->p[0];
    *ret_content = bytes_slice(*rest, head, length);
    *ret_whole = bytes_slice(*rest, 0, head + length);
    *rest = bytes_from(*rest, head + length);
    return tag;
}

static const uint8_t oid_signed[] = {0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2};

/* Repeats the digest algorithm and the signer of a message so many times. */
static void respell(bytes_t message, size_t digests, size_t signers, buf_t *out) {
    bytes_t info, content, whole, data, rest;
    (void)take(&message, &info, &whole);
    (void)take(&info, &content, &whole);
    (void)take(&info, &content, &whole);
    (void)take(&content, &data, &whole);
    CLEANUP(buf_done) buf_t inner;
    CLEANUP(buf_done) buf_t set;
    buf_init(&inner, 65000);
    buf_init(&set, 65000);
    rest = data;
    for (int member = 0; rest.n; member++) {
        uint8_t tag = take(&rest, &content, &whole);
        size_t times = member == 1 ? digests : tag == 0x31 ? signers : 0;
        if (!times) {
            assert_ok(buf_add(&inner, whole));
            continue;
        }
        buf_clear(&set);
        for (size_t i = 0; i < times; i++) assert_ok(buf_add(&set, content));
        put_tlv(&inner, 0x31, buf_bytes(&set));
    }
    CLEANUP(buf_done) buf_t body;
    CLEANUP(buf_done) buf_t parts;
    buf_init(&body, 65536);
    buf_init(&parts, 65536);
    put_tlv(&body, 0x30, buf_bytes(&inner));
    assert_ok(buf_add(&parts, BYTES_ARRAY(oid_signed)));
    put_tlv(&parts, 0xa0, buf_bytes(&body));
    put_tlv(out, 0x30, buf_bytes(&parts));
}

static void test_cms__two_signers_and_many_digests(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(buf_done) buf_t again;
    buf_init(&out, 65536);
    buf_init(&again, 65536);
    sign(f->rsa, f->rsa_key, hello, NULL, &out);
    cms_signed_t *s = NULL;
    respell(buf_bytes(&out), 1, 1, &again);
    assert_ok(cms_verify(buf_bytes(&again), NULL, NULL, &s));
    cms_signed_free(STEAL(s));
    buf_clear(&again);
    respell(buf_bytes(&out), 1, 2, &again);
    assert_err(ERR_INVALID, cms_verify(buf_bytes(&again), NULL, NULL, &s));
    buf_clear(&again);
    respell(buf_bytes(&out), LIMIT_CMS_DIGESTS + 1, 1, &again);
    assert_err(ERR_LIMIT, cms_verify(buf_bytes(&again), NULL, NULL, &s));
}

static void test_cms__enveloped_opens(void **state) {
    fixture_t *f = *state;
    static const cms_cipher_t ciphers[] = {CMS_AES256_CBC, CMS_AES128_CBC, CMS_DES3_CBC,
                                           CMS_AES256_GCM};
    CLEANUP(cert_list_done) cert_list_t both = {0};
    assert_ok(cert_list_add(&both, f->rsa));
    assert_ok(cert_list_add(&both, f->ec));
    for (unsigned round = 0; round < 16; round++) {
        cms_encrypt_options_t options = {
            .cipher = ciphers[round & 3], .oaep = round & 4, .indefinite = round & 8};
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 65536);
        assert_ok(cms_encrypt(hello, &both, &options, &out));
        cms_decrypt_options_t allow = {.allow_des3 = true};
        for (int ec = 0; ec < 2; ec++) {
            CLEANUP(buf_done) buf_t plain;
            buf_init_secret(&plain, 65536);
            cms_cipher_t cipher = CMS_AES128_CBC;
            assert_ok(cms_decrypt(buf_bytes(&out), ec ? f->ec : f->rsa, ec ? f->ec_key : f->rsa_key,
                                  &allow, &plain, &cipher));
            assert_true(bytes_eq(buf_bytes(&plain), hello));
            assert_int_equal(cipher, options.cipher);
        }
        CLEANUP(buf_done) buf_t plain;
        buf_init_secret(&plain, 65536);
        err_t *e = cms_decrypt(buf_bytes(&out), f->rsa, f->rsa_key, NULL, &plain, NULL);
        assert_int_equal(e != NULL, options.cipher == CMS_DES3_CBC);
        err_free(e);
    }
}

static void test_cms__decrypting_fails_uniformly(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(buf_done) buf_t plain;
    buf_init(&out, 65536);
    buf_init_secret(&plain, 65536);
    assert_ok(buf_add_str(&plain, "kept"));
    cms_encrypt_options_t options = {.cipher = CMS_AES256_GCM};
    assert_ok(cms_encrypt_to(hello, f->rsa, &options, &out));
    CLEANUP(cert_free) cert_t *other = fixture_leaf(f, "other", 9, f->rsa_key);
    assert_err(ERR_VERIFY, cms_decrypt(buf_bytes(&out), other, f->rsa_key, NULL, &plain, NULL));
    assert_err(ERR_VERIFY, cms_decrypt(buf_bytes(&out), f->ec, f->ec_key, NULL, &plain, NULL));
    assert_err(ERR_USAGE, cms_decrypt(buf_bytes(&out), f->rsa, f->ec_key, NULL, &plain, NULL));
    char expected[256] = "", text[256];
    for (size_t i = 0; i < out.n; i++) {
        out.p[i] ^= 0x01;
        err_t *e = cms_decrypt(buf_bytes(&out), f->rsa, f->rsa_key, NULL, &plain, NULL);
        /* Version numbers and the like may change; the content can't. */
        if (!e) {
            assert_true(bytes_eq(bytes_from(buf_bytes(&plain), 4), hello));
            plain.n = 4;
        } else if (err_code(e) != ERR_LIMIT) {
            assert_int_equal(err_code(e), ERR_VERIFY);
            (void)err_text(e, text, sizeof text);
            if (!expected[0]) memcpy(expected, text, sizeof expected);
            assert_string_equal(text, expected);
        }
        assert_int_equal(plain.n, 4);
        err_free(e);
        out.p[i] ^= 0x01;
    }
    assert_err(ERR_VERIFY, cms_decrypt(BYTES_NONE, f->rsa, f->rsa_key, NULL, &plain, NULL));
    assert_err(ERR_VERIFY, cms_decrypt(cert_der(f->rsa), f->rsa, f->rsa_key, NULL, &plain, NULL));
    assert_true(bytes_eq_str(buf_bytes(&plain), "kept"));
}

/* A message whose encryptedKey is that of another: a key of another length, or of no message. */
static void graft_key(const buf_t *from, const buf_t *to, buf_t *out) {
    static const uint8_t head[] = {0x04, 0x82, 0x01, 0x00}; /* OCTET STRING of 256 bytes */
    const uint8_t *a = memmem(from->p, from->n, head, sizeof head);
    const uint8_t *b = memmem(to->p, to->n, head, sizeof head);
    assert_non_null(a);
    assert_non_null(b);
    assert_ok(buf_add(out, buf_bytes(to)));
    memcpy(out->p + (b - to->p), a, sizeof head + 256);
}

static void test_cms__a_content_key_that_does_not_fit_is_any_wrong_key(void **state) {
    fixture_t *f = *state;
    static const cms_cipher_t others[] = {CMS_AES128_CBC, CMS_AES256_CBC, CMS_DES3_CBC};
    buf_t message CLEANUP(buf_done);
    buf_init(&message, 65536);
    assert_ok(cms_encrypt_to(hello, f->rsa, NULL, &message)); /* AES-256-CBC: 32 bytes of key */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        CLEANUP(buf_done) buf_t other, grafted, plain;
        buf_init(&other, 65536);
        buf_init(&grafted, 65536);
        buf_init_secret(&plain, 65536);
        cms_encrypt_options_t options = {.cipher = others[i]};
        assert_ok(cms_encrypt_to(hello, f->rsa, &options, &other));
        graft_key(&other, &message, &grafted);
        err_t *e = cms_decrypt(buf_bytes(&grafted), f->rsa, f->rsa_key, NULL, &plain, NULL);
        /* CBC is not authenticated: one wrong key of 256 leaves padding that fits. */
        assert_false(bytes_eq(buf_bytes(&plain), hello));
        if (e) assert_err(ERR_VERIFY, e);
    }
}

/* The public key's own operation on what is no padded block: no key comes out, none is told. */
static void test_cms__a_wrong_padding_is_any_wrong_key(void **state) {
    fixture_t *f = *state;
    buf_t message CLEANUP(buf_done);
    buf_t plain CLEANUP(buf_done);
    buf_init(&message, 65536);
    buf_init_secret(&plain, 65536);
    static const uint8_t head[] = {0x04, 0x82, 0x01, 0x00};
    size_t opened = 0;
    for (unsigned i = 0; i < 64; i++) {
        buf_clear(&message);
        buf_clear(&plain);
        assert_ok(cms_encrypt_to(hello, f->rsa, NULL, &message));
        uint8_t *key = memmem(message.p, message.n, head, sizeof head);
        assert_non_null(key);
        key[sizeof head + 255] ^= (uint8_t)(i + 1);
        err_t *e = cms_decrypt(buf_bytes(&message), f->rsa, f->rsa_key, NULL, &plain, NULL);
        assert_false(bytes_eq(buf_bytes(&plain), hello));
        if (!e) opened++;
        else assert_err(ERR_VERIFY, e);
    }
    assert_true(opened < 16); /* with a random key one in 256 looks padded */
}

static void test_cms__output_limit_holds(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(buf_done) buf_t small;
    buf_init(&out, 65536);
    buf_init_secret(&small, hello.n - 1);
    assert_ok(cms_encrypt_to(hello, f->rsa, NULL, &out));
    assert_err(ERR_LIMIT, cms_decrypt(buf_bytes(&out), f->rsa, f->rsa_key, NULL, &small, NULL));
    assert_int_equal(small.n, 0);
    CLEANUP(buf_done) buf_t tiny;
    buf_init(&tiny, 100);
    cms_encrypt_options_t stream = {.indefinite = true};
    assert_err(ERR_LIMIT, cms_encrypt_to(hello, f->rsa, NULL, &tiny));
    assert_err(ERR_LIMIT, cms_encrypt_to(hello, f->rsa, &stream, &tiny));
    assert_int_equal(tiny.n, 0);
}

static void test_cms__large_indefinite_content(void **state) {
    fixture_t *f = *state;
    enum { LARGE = 300 * 1000 };
    CLEANUP(mem_free) uint8_t *content = mem_zalloc(LARGE);
    assert_non_null(content);
    for (size_t i = 0; i < LARGE; i++) content[i] = (uint8_t)(i * 7);
    bytes_t large = bytes_make(content, LARGE);
    CLEANUP(buf_done) buf_t inner;
    CLEANUP(buf_done) buf_t outer;
    CLEANUP(buf_done) buf_t plain;
    buf_init(&inner, LIMIT_CMS_BYTES);
    buf_init(&outer, LIMIT_CMS_BYTES);
    buf_init_secret(&plain, LIMIT_CMS_BYTES);
    cms_encrypt_options_t stream = {.cipher = CMS_DES3_CBC, .indefinite = true};
    assert_ok(cms_encrypt_to(large, f->rsa, &stream, &inner));
    cms_sign_options_t options = {.indefinite = true};
    sign(f->rsa, f->rsa_key, buf_bytes(&inner), &options, &outer);
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    assert_ok(cms_verify(buf_bytes(&outer), NULL, NULL, &s));
    cms_decrypt_options_t allow = {.allow_des3 = true};
    assert_ok(cms_decrypt(cms_signed_content(s), f->rsa, f->rsa_key, &allow, &plain, NULL));
    assert_true(bytes_eq(buf_bytes(&plain), large));
}

static void test_cms__certs_only(void **state) {
    fixture_t *f = *state;
    CLEANUP(cert_list_done) cert_list_t in = {0};
    CLEANUP(cert_list_done) cert_list_t back = {0};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 65536);
    assert_err(ERR_LIMIT, cms_certs_only(&in, &out));
    assert_ok(cert_list_add(&in, f->rsa));
    assert_ok(cms_certs_only(&in, &out));
    assert_ok(cms_parse_certs(buf_bytes(&out), &back));
    assert_int_equal(back.n, 1);
    assert_true(cert_same(back.certs[0], f->rsa));
    cms_signed_t *s = NULL;
    assert_err(ERR_INVALID, cms_verify(buf_bytes(&out), NULL, NULL, &s));
    assert_err(ERR_INVALID, cms_parse_certs(cert_der(f->rsa), &back));
    assert_int_equal(back.n, 1);
}

static void test_cms__head_refuses_absurd_input(void **state) {
    (void)state;
    cms_type_t type;
    assert_err(ERR_INVALID, cms_head_check(BYTES_NONE, &type));
    assert_err(ERR_INVALID, cms_head_check(BYTES_LIT("\x30\x84\xff\xff\xff\xff"), &type));
    assert_err(ERR_INVALID, cms_head_check(BYTES_LIT("\x30\x88\x01\1\1\1\1\1\1\1"), &type));
    assert_err(ERR_INVALID, cms_head_check(BYTES_LIT("\x04\x80\x00\x00"), &type));
    assert_err(ERR_INVALID, cms_head_check(BYTES_LIT("\x30\x80"), &type));
    assert_err(ERR_INVALID, cms_head_check(BYTES_LIT("\x30\x80\x00\x00\x00"), &type));
    assert_err(ERR_INVALID, cms_head_check(BYTES_LIT("\x30\x02\x00\x00"), &type));
    assert_err(ERR_INVALID, cms_head_check(BYTES_LIT("\x3f\x81\x01\x00"), &type));
    uint8_t deep[256];
    for (size_t i = 0; i < sizeof deep; i += 2) deep[i] = 0x30, deep[i + 1] = 0x80;
    assert_err(ERR_LIMIT, cms_head_check(BYTES_ARRAY(deep), &type));
    CLEANUP(mem_free) uint8_t *many = mem_zalloc(4 + 2 * LIMIT_CMS_ELEMENTS + 4);
    assert_non_null(many);
    size_t n = 2 * (LIMIT_CMS_ELEMENTS + 2);
    many[0] = 0x30, many[1] = 0x83;
    many[2] = (uint8_t)(n >> 16), many[3] = (uint8_t)(n >> 8), many[4] = (uint8_t)n;
    for (size_t i = 5; i < 4 + 2 * LIMIT_CMS_ELEMENTS; i += 2) many[i] = 0x05;
    bytes_t all = bytes_make(many, 4 + 2 * LIMIT_CMS_ELEMENTS + 4);
    err_t *e = cms_head_check(all, &type);
    assert_non_null(e);
    err_free(e);
}

/* To choose between keys before one is used: only the certificate that is named, by its bytes. */
static void test_cms__head_names_the_recipient(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t one, both, stream, certs;
    CLEANUP(cert_free) cert_t *other = fixture_leaf(f, "other", 0x55, f->rsa_key);
    buf_init(&one, 65536);
    buf_init(&both, 65536);
    buf_init(&stream, 65536);
    buf_init(&certs, 65536);
    cert_t *list[] = {f->rsa, other};
    cert_list_t recipients = {list, 2};
    const cms_encrypt_options_t indefinite = {.indefinite = true};
    assert_ok(cms_encrypt_to(hello, f->rsa, NULL, &one));
    assert_true(cms_head_names(buf_bytes(&one), f->rsa));
    assert_false(cms_head_names(buf_bytes(&one), other));
    assert_false(cms_head_names(buf_bytes(&one), f->ca));
    assert_ok(cms_encrypt(hello, &recipients, NULL, &both));
    assert_true(cms_head_names(buf_bytes(&both), f->rsa));
    assert_true(cms_head_names(buf_bytes(&both), other));
    assert_ok(cms_encrypt_to(hello, other, &indefinite, &stream));
    assert_true(cms_head_names(buf_bytes(&stream), other));
    assert_false(cms_head_names(buf_bytes(&stream), f->rsa));
    recipients.n = 1;
    assert_ok(cms_certs_only(&recipients, &certs));
    assert_false(cms_head_names(buf_bytes(&certs), f->rsa));
    assert_false(cms_head_names(BYTES_NONE, f->rsa));
    for (size_t n = 0; n < one.n; n++) assert_false(cms_head_names(bytes_make(one.p, n), f->rsa));
}

static void test_cms__one_revocation_list(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t crl, out;
    CLEANUP(cert_list_done) cert_list_t none = {0};
    cms_type_t type;
    buf_init(&crl, 65536);
    buf_init(&out, 65536);
    const crl_spec_t spec = {
        .number = 1, .this_update = FIXTURE_NOW, .next_update = FIXTURE_NOW + 60};
    assert_ok(crl_build(&spec, f->ca, f->ca_key, &crl));
    assert_ok(cms_crl_only(buf_bytes(&crl), &out));
    assert_ok(cms_head_check(buf_bytes(&out), &type));
    assert_int_equal(type, CMS_SIGNED_DATA);
    assert_ok(cms_parse_certs(buf_bytes(&out), &none)); /* OpenSSL reads it, too */
    assert_int_equal(none.n, 0);
}

static void test_cms__survives_every_failed_allocation(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(buf_done) buf_t enveloped;
    buf_init(&out, 65536);
    buf_init(&enveloped, 65536);
    sign(f->rsa, f->rsa_key, hello, NULL, &out);
    assert_ok(cms_encrypt_to(hello, f->rsa, NULL, &enveloped));
    for (unsigned long n = 1;; n++) {
        assert_true(n < 10000);
        cms_signed_t *s = NULL;
        CLEANUP(buf_done) buf_t plain;
        CLEANUP(buf_done) buf_t again;
        buf_init_secret(&plain, 65536);
        buf_init(&again, 65536);
        fault_arm_memory(n);
        err_t *e = cms_verify(buf_bytes(&out), NULL, NULL, &s);
        if (!e) e = cms_decrypt(buf_bytes(&enveloped), f->rsa, f->rsa_key, NULL, &plain, NULL);
        cms_signer_t *signer = NULL;
        if (!e) e = cms_signer_new(f->rsa, f->rsa_key, NULL, &signer);
        if (!e) e = cms_sign(signer, hello, NULL, &again);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (fired) assert_non_null(e);
        else assert_null(e);
        err_free(e);
        cms_signed_free(s);
        cms_signer_free(signer);
        if (!fired) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cms__signed_reads_back),
        cmocka_unit_test(test_cms__content_apart_must_match),
        cmocka_unit_test(test_cms__weak_only_where_allowed),
        cmocka_unit_test(test_cms__every_flipped_byte_is_noticed),
        cmocka_unit_test(test_cms__missing_or_foreign_certificate),
        cmocka_unit_test(test_cms__two_signers_and_many_digests),
        cmocka_unit_test(test_cms__enveloped_opens),
        cmocka_unit_test(test_cms__decrypting_fails_uniformly),
        cmocka_unit_test(test_cms__a_content_key_that_does_not_fit_is_any_wrong_key),
        cmocka_unit_test(test_cms__a_wrong_padding_is_any_wrong_key),
        cmocka_unit_test(test_cms__output_limit_holds),
        cmocka_unit_test(test_cms__large_indefinite_content),
        cmocka_unit_test(test_cms__certs_only),
        cmocka_unit_test(test_cms__head_refuses_absurd_input),
        cmocka_unit_test(test_cms__head_names_the_recipient),
        cmocka_unit_test(test_cms__one_revocation_list),
        cmocka_unit_test(test_cms__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
