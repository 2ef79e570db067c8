/*
 * What one operation of src/crypto costs: microseconds of this thread's CPU time, the least of
 * several rounds. RSA-2048 throughout, as Apple's devices and SCEP use it.
 *   bench_crypto [MILLISECONDS of one round]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "crypto/cert.h"
#include "crypto/cms.h"
#include "crypto/csr.h"
#include "crypto/digest.h"

enum { ROUNDS = 5, ROUND_MS = 40, BODY = 300, CACHE = 64 };

static const int64_t before = 1577836800, after = 2208988800; /* 2020 to 2040 */

typedef struct {
    pkey_t *ca_key, *key, *ec_key;
    cert_t *ca, *leaf, *ec_leaf;
    cms_signer_t *signer, *ca_signer, *ec_signer;
    buf_t csr, detached, detached_ec, attached, envelope, signature;
    cert_cache_t *cache;
    uint8_t body[BODY];
    cert_spec_t spec;
} bench_t;

static void must(err_t *e) {
    if (!e) return;
    char text[512];
    (void)fprintf(stderr, "bench_crypto: %s\n", err_trace(e, text, sizeof text));
    exit(1);
}

static double cpu_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void measure(const char *what, void (*operation)(bench_t *), bench_t *b, double round_us) {
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double start = cpu_us(), spent = 0;
        unsigned n = 0;
        while (spent < round_us) {
            operation(b);
            n++;
            spent = cpu_us() - start;
        }
        double each = spent / n;
        if (each < best) best = each;
    }
    (void)printf("%-28s %8.1f us\n", what, best);
}

static void do_sign(bench_t *b) {
    buf_clear(&b->signature);
    must(pkey_sign(b->key, "bench", BYTES_ARRAY(b->body), &b->signature));
}

static void do_verify(bench_t *b) {
    must(pkey_verify(b->key, "bench", BYTES_ARRAY(b->body), buf_bytes(&b->signature)));
}

static void do_cert_parse(bench_t *b) {
    cert_t *cert = NULL;
    must(cert_parse_der(cert_der(b->leaf), &cert));
    cert_free(cert);
}

static void do_cert_parse_ec(bench_t *b) {
    cert_t *cert = NULL;
    must(cert_parse_der(cert_der(b->ec_leaf), &cert));
    cert_free(cert);
}

static void do_cert_signed_by(bench_t *b) { must(cert_verify_signed_by_key(b->leaf, b->ca_key)); }

static void do_csr_parse(bench_t *b) {
    csr_t *csr = NULL;
    must(csr_parse_der(buf_bytes(&b->csr), &csr));
    csr_free(csr);
}

static void do_csr_verify(bench_t *b) {
    csr_t *csr = NULL;
    must(csr_parse_der(buf_bytes(&b->csr), &csr));
    must(csr_verify(csr));
    csr_free(csr);
}

static void sign_with(const bench_t *b, const cms_signer_t *signer, bool detached, buf_t *out) {
    static const cms_attribute_t attributes[] = {
        {"2.16.840.1.113733.1.9.2", CMS_PRINTABLE_STRING, {(const uint8_t *)"3", 1}},
        {"2.16.840.1.113733.1.9.7", CMS_PRINTABLE_STRING, {(const uint8_t *)"0123456789", 10}},
    };
    cms_sign_options_t options = {
        .detached = detached, .attributes = attributes, .attributes_n = detached ? 0 : 2};
    buf_clear(out);
    must(cms_sign(signer, BYTES_ARRAY(b->body), &options, out));
}

static void do_cms_sign(bench_t *b) { sign_with(b, b->ca_signer, false, &b->attached); }

static void verify(bench_t *b, bytes_t message, cert_cache_t *cache) {
    const bytes_t body = BYTES_ARRAY(b->body);
    cms_verify_options_t options = {.allow_sha1 = true, .certs = cache};
    cms_signed_t *s = NULL;
    must(cms_verify(message, &body, &options, &s));
    cms_signed_free(s);
}

static void do_cms_verify_new(bench_t *b) { verify(b, buf_bytes(&b->detached), NULL); }
static void do_cms_verify_seen(bench_t *b) { verify(b, buf_bytes(&b->detached), b->cache); }
static void do_cms_verify_ec(bench_t *b) { verify(b, buf_bytes(&b->detached_ec), b->cache); }

static void do_cms_encrypt_seen(bench_t *b) {
    buf_clear(&b->envelope);
    must(cms_encrypt_to(BYTES_ARRAY(b->body), b->leaf, NULL, &b->envelope));
}

static void do_cms_encrypt_new(bench_t *b) {
    cert_t *cert = NULL;
    must(cert_parse_der(cert_der(b->leaf), &cert));
    buf_clear(&b->envelope);
    must(cms_encrypt_to(BYTES_ARRAY(b->body), cert, NULL, &b->envelope));
    cert_free(cert);
}

static void do_cms_decrypt(bench_t *b) {
    buf_t out;
    buf_init_secret(&out, LIMIT_CMS_BYTES);
    must(cms_decrypt(buf_bytes(&b->envelope), b->leaf, b->key, NULL, &out, NULL));
    buf_done(&out);
}

static void do_cert_issue(bench_t *b) {
    cert_t *cert = NULL;
    must(cert_issue(&b->spec, b->ca, b->ca_key, &cert));
    cert_free(cert);
}

static void prepare(bench_t *b) {
    static const name_entry_t ca_name[] = {{"O", "Example"}, {"CN", "Device CA"}};
    static const name_entry_t leaf_name[] = {{"O", "Example"},
                                             {"CN", "5b0a3f9e-8f1e-4c9a-9d55-2f5a3c1d7e10"}};
    static const san_entry_t sans[] = {{SAN_URI, "urn:coffer:device:5b0a3f9e"},
                                       {SAN_EMAIL, "person@example.org"}};
    static const char *const ekus[] = {OID_EKU_CLIENT_AUTH};
    static const uint8_t serial[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    must(crypto_init());
    must(pkey_generate(PKEY_RSA, 2048, &b->ca_key));
    must(pkey_generate(PKEY_RSA, 2048, &b->key));
    must(pkey_generate(PKEY_P256, 0, &b->ec_key));
    cert_spec_t spec = {.subject = ca_name,
                        .subject_n = 2,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = before,
                        .not_after = after,
                        .is_ca = true,
                        .key_usage = KEY_USAGE_CERT_SIGN | KEY_USAGE_DIGITAL_SIGNATURE};
    must(cert_issue(&spec, NULL, b->ca_key, &b->ca));
    b->spec = (cert_spec_t){.subject = leaf_name,
                            .subject_n = 2,
                            .sans = sans,
                            .sans_n = 2,
                            .serial = BYTES_ARRAY(serial),
                            .not_before = before,
                            .not_after = after,
                            .ekus = ekus,
                            .ekus_n = 1,
                            .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT,
                            .crl_url = "http://ca.example.org/device.crl",
                            .ocsp_url = "http://ca.example.org/ocsp",
                            .key = b->ec_key};
    must(cert_issue(&b->spec, b->ca, b->ca_key, &b->ec_leaf));
    b->spec.key = b->key;
    must(cert_issue(&b->spec, b->ca, b->ca_key, &b->leaf));
    must(cms_signer_new(b->ca, b->ca_key, NULL, &b->ca_signer));
    must(cms_signer_new(b->leaf, b->key, NULL, &b->signer));
    must(cms_signer_new(b->ec_leaf, b->ec_key, NULL, &b->ec_signer));
    csr_spec_t csr = {.subject = leaf_name,
                      .subject_n = 2,
                      .sans = sans,
                      .sans_n = 2,
                      .challenge = BYTES_LIT("0123456789abcdef0123456789abcdef")};
    buf_t *all[] = {&b->csr,      &b->detached, &b->detached_ec,
                    &b->attached, &b->envelope, &b->signature};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_init(all[i], LIMIT_CMS_BYTES);
    must(csr_build(&csr, b->key, &b->csr));
    sign_with(b, b->signer, true, &b->detached);
    sign_with(b, b->ec_signer, true, &b->detached_ec);
    must(cert_cache_new(CACHE, &b->cache));
}

static void done(bench_t *b) {
    buf_t *all[] = {&b->csr,      &b->detached, &b->detached_ec,
                    &b->attached, &b->envelope, &b->signature};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_done(all[i]);
    cms_signer_free(b->signer);
    cms_signer_free(b->ca_signer);
    cms_signer_free(b->ec_signer);
    cert_free(b->ca);
    cert_free(b->leaf);
    cert_free(b->ec_leaf);
    pkey_free(b->ca_key);
    pkey_free(b->key);
    pkey_free(b->ec_key);
    cert_cache_free(b->cache);
}

int main(int argc, char **argv) {
    static const struct {
        const char *what;
        void (*operation)(bench_t *);
    } operations[] = {
        {"RSA-2048 sign", do_sign},
        {"RSA-2048 verify", do_verify},
        {"cert parse, RSA", do_cert_parse},
        {"cert parse, P-256", do_cert_parse_ec},
        {"cert signed by key", do_cert_signed_by},
        {"csr parse", do_csr_parse},
        {"csr parse and possession", do_csr_verify},
        {"cms_sign, attached", do_cms_sign},
        {"cms_verify, new cert", do_cms_verify_new},
        {"cms_verify, seen cert", do_cms_verify_seen},
        {"cms_verify, seen P-256 cert", do_cms_verify_ec},
        {"cms_encrypt, seen cert", do_cms_encrypt_seen},
        {"cms_encrypt, new cert", do_cms_encrypt_new},
        {"cms_decrypt", do_cms_decrypt},
        {"cert_issue", do_cert_issue},
    };
    double round_us = (argc > 1 ? strtod(argv[1], NULL) : ROUND_MS) * 1e3;
    bench_t b = {0};
    prepare(&b);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        measure(operations[i].what, operations[i].operation, &b, round_us);
    done(&b);
    return 0;
}
