/*
 * PKCS#12 over OpenSSL: see p12.h. A foreign file names its own iteration counts, so these are
 * looked at before anything is derived. Any process, any thread.
 */
#include "crypto/p12.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/cert_internal.h"
#include "crypto/openssl_internal.h"

DEFINE_CLEANUP(PKCS12, PKCS12_free)

enum { MAC_SALT = 16 }; /* bytes */

static void sk_X509_done_p(STACK_OF(X509) * *p) { sk_X509_pop_free(*p, X509_free); }
static void sk_PKCS7_done_p(STACK_OF(PKCS7) * *p) { sk_PKCS7_pop_free(*p, PKCS7_free); }
static void bags_done_p(STACK_OF(PKCS12_SAFEBAG) * *p) {
    sk_PKCS12_SAFEBAG_pop_free(*p, PKCS12_SAFEBAG_free);
}

/* As a C string; a password with a NUL would be another one. */
static err_t *copy_password(bytes_t password, char out[P12_PASSWORD_MAX + 1]) {
    if (password.n > P12_PASSWORD_MAX) return err_new(ERR_LIMIT, "the password is too long");
    if (bytes_has_nul(password)) return err_new(ERR_INVALID, "the password has a NUL inside");
    bytes_put(out, password);
    out[password.n] = '\0';
    return NULL;
}

/* ---- writing ---- */

static err_t *make(const p12_spec_t *spec, const char *password, PKCS12 **ret_p12) {
    CLEANUP(sk_X509_free) STACK_OF(X509) *chain = NULL;
    X509 *cert = NULL;
    TRY(cert_x509_get(spec->cert, &cert));
    TRY(cert_list_stack(spec->chain, &chain));
    bool old = spec->cipher == P12_DES3;
    int nid = old ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC : NID_aes_256_cbc;
    int iterations = spec->iterations ? (int)spec->iterations : P12_ITERATIONS;
    CLEANUP(PKCS12_free)
    PKCS12 *p12 = PKCS12_create(password, spec->name, pkey_evp(spec->key), cert, chain, nid, nid,
                                iterations, -1, 0);
    if (!p12) return err_openssl(ERR_INTERNAL, "PKCS#12");
    if (PKCS12_set_mac(p12, password, -1, NULL, MAC_SALT, iterations,
                       old ? EVP_sha1() : EVP_sha256()) != 1)
        return err_openssl(ERR_INTERNAL, "MAC of a PKCS#12");
    *ret_p12 = STEAL(p12);
    return NULL;
}

static err_t *write_out(PKCS12 *p12, buf_t *out) {
    int n = i2d_PKCS12(p12, NULL);
    if (n <= 0) return err_openssl(ERR_INTERNAL, "length of a PKCS#12");
    if (n > P12_BYTES_MAX) return err_new(ERR_LIMIT, "the PKCS#12 file is too long");
    TRY(buf_reserve(out, (size_t)n));
    unsigned char *at = out->p + out->n;
    if (i2d_PKCS12(p12, &at) != n) return err_openssl(ERR_INTERNAL, "PKCS#12");
    out->n += (size_t)n;
    return NULL;
}

err_t *p12_write(const p12_spec_t *spec, bytes_t password, buf_t *out) {
    if (!pkey_has_private(spec->key) || !pkey_same_public(cert_key(spec->cert), spec->key))
        return err_new(ERR_USAGE, "the certificate is not for this private key");
    if (password.n == 0) return err_new(ERR_USAGE, "a PKCS#12 file needs a password");
    if (spec->iterations > P12_ITERATIONS_MAX) return err_new(ERR_LIMIT, "too many iterations");
    CLEANUP(PKCS12_free) PKCS12 *p12 = NULL;
    char text[P12_PASSWORD_MAX + 1];
    err_t *e = copy_password(password, text);
    if (!e) e = make(spec, text, &p12);
    mem_wipe(text, sizeof text);
    return e ? e : write_out(p12, out);
}

/* ---- what a foreign file asks for ---- */

static bool count_good(const ASN1_INTEGER *iterations) {
    int64_t n = 1;
    if (iterations && ASN1_INTEGER_get_int64(&n, iterations) != 1) return false;
    return n >= 1 && n <= P12_ITERATIONS_MAX;
}

/* PBES2 with PBKDF2 (RFC 8018 section A.2). */
static bool pbes2_good(const ASN1_TYPE *parameters) {
    PBE2PARAM *pbe = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), parameters);
    PBKDF2PARAM *kdf = NULL;
    if (pbe && OBJ_obj2nid(pbe->keyfunc->algorithm) == NID_id_pbkdf2)
        kdf = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM), pbe->keyfunc->parameter);
    bool good = kdf && count_good(kdf->iter);
    PBKDF2PARAM_free(kdf);
    PBE2PARAM_free(pbe);
    return good;
}

/* Whether deriving for this algorithm takes bounded time. */
static bool algorithm_good(const X509_ALGOR *algorithm) {
    if (!algorithm || !algorithm->parameter) return false;
    if (OBJ_obj2nid(algorithm->algorithm) == NID_pbes2) return pbes2_good(algorithm->parameter);
    PBEPARAM *pbe = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM), algorithm->parameter);
    bool good = pbe && count_good(pbe->iter);
    PBEPARAM_free(pbe);
    return good;
}

static err_t *too_costly(void) {
    ERR_clear_error();
    return err_new(ERR_LIMIT, "the file's encryption is unknown or wants too many iterations");
}

/* ---- reading ---- */

typedef struct {
    const char *password;
    EVP_PKEY *key;
    size_t keys, certs;
    STACK_OF(X509) * stack;
} reading_t;

static void reading_done(reading_t *r) {
    EVP_PKEY_free(r->key);
    sk_X509_done_p(&r->stack);
}
DEFINE_CLEANUP_VALUE(reading_t, reading_done)

static err_t *not_opened(void) {
    ERR_clear_error();
    return err_new(ERR_VERIFY, "the password is wrong or the file was changed");
}

static err_t *take_key(reading_t *r, const PKCS8_PRIV_KEY_INFO *p8) {
    if (!p8) return not_opened();
    if (r->keys++) return err_new(ERR_INVALID, "the file holds several private keys");
    r->key = EVP_PKCS82PKEY(p8);
    return r->key ? NULL : err_openssl(ERR_INVALID, "private key in the file");
}

static err_t *take_shrouded(reading_t *r, PKCS12_SAFEBAG *bag) {
    const X509_ALGOR *algorithm = NULL;
    X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &algorithm, NULL);
    if (!algorithm_good(algorithm)) return too_costly();
    PKCS8_PRIV_KEY_INFO *p8 = PKCS12_decrypt_skey(bag, r->password, -1);
    err_t *e = take_key(r, p8);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return e;
}

static err_t *take_cert(reading_t *r, const PKCS12_SAFEBAG *bag) {
    if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate) return NULL;
    if (r->certs++ == P12_CERTIFICATES_MAX)
        return err_new(ERR_LIMIT, "the file holds more than %d certificates", P12_CERTIFICATES_MAX);
    X509 *cert = PKCS12_SAFEBAG_get1_cert(bag);
    if (!cert) return err_openssl(ERR_INVALID, "certificate in the file");
    if (sk_X509_push(r->stack, cert) > 0) return NULL;
    X509_free(cert);
    return err_nomem();
}

static err_t *take_bag(reading_t *r, PKCS12_SAFEBAG *bag) {
    switch (PKCS12_SAFEBAG_get_nid(bag)) {
    case NID_keyBag: return take_key(r, PKCS12_SAFEBAG_get0_p8inf(bag));
    case NID_pkcs8ShroudedKeyBag: return take_shrouded(r, bag);
    case NID_certBag: return take_cert(r, bag);
    default: return NULL; /* lists and secrets are nothing to us, nor is what they nest */
    }
}

static err_t *take_bags(reading_t *r, const STACK_OF(PKCS12_SAFEBAG) * bags) {
    if (!bags) return not_opened();
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); i++)
        TRY(take_bag(r, sk_PKCS12_SAFEBAG_value(bags, i)));
    return NULL;
}

static err_t *take_contents(reading_t *r, PKCS7 *contents) {
    CLEANUP(bags_done) STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
    switch (OBJ_obj2nid(contents->type)) {
    case NID_pkcs7_data: bags = PKCS12_unpack_p7data(contents); break;
    case NID_pkcs7_encrypted:
        if (!contents->d.encrypted || !contents->d.encrypted->enc_data ||
            !algorithm_good(contents->d.encrypted->enc_data->algorithm))
            return too_costly();
        bags = PKCS12_unpack_p7encdata(contents, r->password, -1);
        break;
    default: return err_new(ERR_INVALID, "the file is encrypted in a way we don't read");
    }
    return take_bags(r, bags);
}

static err_t *check_mac(PKCS12 *p12, const char *password) {
    const ASN1_INTEGER *iterations = NULL;
    if (!PKCS12_mac_present(p12)) return err_new(ERR_INVALID, "the file has no MAC");
    PKCS12_get0_mac(NULL, NULL, NULL, &iterations, p12);
    if (!count_good(iterations)) return too_costly();
    return PKCS12_verify_mac(p12, password, -1) == 1 ? NULL : not_opened();
}

static err_t *read_all(PKCS12 *p12, reading_t *r) {
    TRY(check_mac(p12, r->password));
    r->stack = sk_X509_new_null();
    if (!r->stack) return err_nomem();
    CLEANUP(sk_PKCS7_done) STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(p12);
    if (!safes) return err_openssl(ERR_INVALID, "contents of the file");
    if (sk_PKCS7_num(safes) > P12_CERTIFICATES_MAX)
        return err_new(ERR_LIMIT, "the file has too many parts");
    for (int i = 0; i < sk_PKCS7_num(safes); i++) TRY(take_contents(r, sk_PKCS7_value(safes, i)));
    return r->key ? NULL : err_new(ERR_INVALID, "the file holds no private key");
}

/* The certificate of the key, and the others. */
static err_t *sort(const reading_t *r, const pkey_t *key, cert_t **ret_cert, cert_list_t *chain) {
    CLEANUP(cert_list_done) cert_list_t all = {0};
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY_WRAP(cert_list_add_stack(&all, r->stack), "certificate in the file");
    for (size_t i = 0; i < all.n; i++) {
        if (!cert && pkey_same_public(cert_key(all.certs[i]), key)) cert = cert_share(all.certs[i]);
        else if (chain) TRY(cert_list_add(chain, all.certs[i]));
    }
    if (!cert) return err_new(ERR_INVALID, "the file holds no certificate for its key");
    *ret_cert = STEAL(cert);
    return NULL;
}

static err_t *parse(bytes_t der, PKCS12 **ret_p12) {
    if (der.n > P12_BYTES_MAX) return err_new(ERR_LIMIT, "the PKCS#12 file is too long");
    const unsigned char *p = der.p;
    CLEANUP(PKCS12_free) PKCS12 *p12 = der.n ? d2i_PKCS12(NULL, &p, (long)der.n) : NULL;
    if (!p12 || p != der.p + der.n) return err_openssl(ERR_INVALID, "this is no PKCS#12 file");
    *ret_p12 = STEAL(p12);
    return NULL;
}

err_t *p12_read(bytes_t der, bytes_t password, pkey_t **ret_key, cert_t **ret_cert,
                cert_list_t *ret_chain) {
    CLEANUP(PKCS12_free) PKCS12 *p12 = NULL;
    CLEANUP(reading_done) reading_t r = {0};
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    char text[P12_PASSWORD_MAX + 1];
    TRY(parse(der, &p12));
    err_t *e = copy_password(password, text);
    r.password = text;
    if (!e) e = read_all(p12, &r);
    mem_wipe(text, sizeof text);
    if (e) return e;
    TRY_WRAP(pkey_from_evp(r.key, &key), "private key in the file");
    r.key = NULL;
    TRY(sort(&r, key, &cert, ret_chain));
    *ret_key = STEAL(key);
    *ret_cert = STEAL(cert);
    return NULL;
}
