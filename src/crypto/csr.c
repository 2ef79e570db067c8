/*
 * PKCS#10 requests: see csr.h. RFC 2986, RFC 2985 section 5.4. Parsed in the keeper and in web,
 * built by the simulator; any thread.
 */
#include "crypto/csr.h"

#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

enum { CSR_ARENA = 1024 * 1024 };

struct csr {
    X509_REQ *req;
    pkey_t *key;
    uint8_t *der; /* wiped: the challenge is in it */
    size_t der_n;
    uint8_t *challenge;
    size_t challenge_n;
    arena_t *arena; /* holds everything below */
    bytes_t subject_der;
    const char *subject;
    const name_entry_t *entries;
    size_t entries_n;
    const san_entry_t *sans;
    size_t sans_n;
    const char *const *ekus;
    size_t ekus_n;
    const char **unknown;
    size_t unknown_n;
    unsigned key_usage;
    bool wants_ca;
};

static inline void X509_REQ_free_p(X509_REQ **p) { X509_REQ_free(*p); }

static void extensions_free_p(STACK_OF(X509_EXTENSION) * *p) {
    sk_X509_EXTENSION_pop_free(*p, X509_EXTENSION_free);
}

void csr_free(csr_t *csr) {
    if (!csr) return;
    if (csr->der) mem_wipe(csr->der, csr->der_n);
    if (csr->challenge) mem_wipe(csr->challenge, csr->challenge_n);
    mem_free(csr->der);
    mem_free(csr->challenge);
    X509_REQ_free(csr->req);
    pkey_free(csr->key);
    arena_free(csr->arena);
    mem_free(csr);
}

static err_t *csr_copy_secret(bytes_t from, uint8_t **ret_p, size_t *ret_n) {
    uint8_t *p = mem_alloc(from.n);
    if (!p) return err_nomem();
    if (from.n) memcpy(p, from.p, from.n);
    *ret_p = p;
    *ret_n = from.n;
    return NULL;
}

static err_t *csr_read_subject(csr_t *csr) {
    const X509_NAME *name = X509_REQ_get_subject_name(csr->req);
    TRY_WRAP(name_read(name, csr->arena, &csr->entries, &csr->entries_n), "subject");
    TRY(name_text(name, csr->arena, &csr->subject));
    const unsigned char *p = NULL;
    size_t n = 0;
    if (X509_NAME_get0_der(name, &p, &n) != 1)
        return err_openssl(ERR_INVALID, "subject is malformed");
    return arena_copy(csr->arena, bytes_make(p, n), &csr->subject_der);
}

static err_t *csr_read_challenge(csr_t *csr, X509_ATTRIBUTE *attribute) {
    const ASN1_TYPE *value = X509_ATTRIBUTE_get0_type(attribute, 0);
    if (csr->challenge) return err_new(ERR_INVALID, "challengePassword comes twice");
    if (X509_ATTRIBUTE_count(attribute) != 1 || !value ||
        (value->type != V_ASN1_UTF8STRING && value->type != V_ASN1_PRINTABLESTRING &&
         value->type != V_ASN1_IA5STRING && value->type != V_ASN1_T61STRING &&
         value->type != V_ASN1_BMPSTRING && value->type != V_ASN1_UNIVERSALSTRING))
        return err_new(ERR_INVALID, "challengePassword is not one text");
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, value->value.asn1_string);
    if (n < 0) return err_openssl(ERR_INVALID, "challengePassword is not text");
    err_t *e = n > LIMIT_SCEP_CHALLENGE ? err_new(ERR_LIMIT, "challengePassword of %d bytes", n)
                                        : csr_copy_secret(bytes_make(utf8, (size_t)n),
                                                          &csr->challenge, &csr->challenge_n);
    OPENSSL_clear_free(utf8, (size_t)n);
    return e;
}

static bool ext_is_known(int nid) {
    return nid == NID_subject_alt_name || nid == NID_key_usage || nid == NID_ext_key_usage ||
           nid == NID_basic_constraints || nid == NID_subject_key_identifier;
}

static err_t *csr_list_unknown(csr_t *csr, STACK_OF(X509_EXTENSION) * extensions) {
    int count = sk_X509_EXTENSION_num(extensions);
    if (count > LIMIT_EXTENSIONS) return err_new(ERR_LIMIT, "request for %d extensions", count);
    if (count > 0) TRY(arena_alloc(csr->arena, (size_t)count * sizeof(char *), &csr->unknown));
    for (int i = 0; i < count; i++) {
        const ASN1_OBJECT *object =
            X509_EXTENSION_get_object(sk_X509_EXTENSION_value(extensions, i));
        if (X509v3_get_ext_by_OBJ(extensions, object, i) >= 0)
            return err_new(ERR_INVALID, "requested extension comes twice");
        if (!ext_is_known(OBJ_obj2nid(object)))
            TRY(name_dotted(object, csr->arena, &csr->unknown[csr->unknown_n++]));
    }
    return NULL;
}

static err_t *csr_read_extensions(csr_t *csr) {
    STACK_OF(X509_EXTENSION) * extensions CLEANUP(extensions_free) =
        X509_REQ_get_extensions(csr->req);
    if (!extensions) return err_openssl(ERR_INVALID, "requested extensions are malformed");
    TRY(csr_list_unknown(csr, extensions));
    GENERAL_NAMES *names CLEANUP(GENERAL_NAMES_free) = NULL;
    TRY(ext_read(extensions, NID_subject_alt_name, &names));
    if (names) TRY(san_read(names, csr->arena, &csr->sans, &csr->sans_n));
    ASN1_BIT_STRING *usage CLEANUP(ASN1_BIT_STRING_free) = NULL;
    TRY(ext_read(extensions, NID_key_usage, &usage));
    if (usage) csr->key_usage = key_usage_read(usage);
    EXTENDED_KEY_USAGE *ekus CLEANUP(EXTENDED_KEY_USAGE_free) = NULL;
    TRY(ext_read(extensions, NID_ext_key_usage, &ekus));
    if (ekus) TRY(eku_read(ekus, csr->arena, &csr->ekus, &csr->ekus_n));
    BASIC_CONSTRAINTS *basic = NULL;
    TRY(ext_read(extensions, NID_basic_constraints, &basic));
    csr->wants_ca = basic && basic->ca;
    BASIC_CONSTRAINTS_free(basic);
    return NULL;
}

/* Other attributes (Microsoft's client information and the like) are passed over. */
static err_t *csr_read_attributes(csr_t *csr) {
    int count = X509_REQ_get_attr_count(csr->req);
    if (count > LIMIT_CSR_ATTRIBUTES)
        return err_new(ERR_LIMIT, "request with %d attributes", count);
    int extension_requests = 0;
    for (int i = 0; i < count; i++) {
        X509_ATTRIBUTE *attribute = X509_REQ_get_attr(csr->req, i);
        int nid = OBJ_obj2nid(X509_ATTRIBUTE_get0_object(attribute));
        if (nid == NID_pkcs9_challengePassword) TRY(csr_read_challenge(csr, attribute));
        if (nid != NID_ext_req && nid != NID_ms_ext_req) continue;
        if (extension_requests++ || X509_ATTRIBUTE_count(attribute) != 1)
            return err_new(ERR_INVALID, "extensionRequest comes twice");
    }
    return extension_requests ? csr_read_extensions(csr) : NULL;
}

static err_t *csr_read(csr_t *csr) {
    TRY(arena_new(CSR_ARENA, &csr->arena));
    EVP_PKEY *evp = X509_REQ_get_pubkey(csr->req);
    if (!evp) return err_openssl(ERR_INVALID, "public key can't be read");
    err_t *e = pkey_from_evp(evp, &csr->key);
    if (e) EVP_PKEY_free(evp);
    TRY(e);
    TRY(csr_read_subject(csr));
    return csr_read_attributes(csr);
}

err_t *csr_parse_der(bytes_t der, csr_t **ret_csr) {
    if (der.n > LIMIT_CSR_BYTES) return err_new(ERR_LIMIT, "request of %zu bytes", der.n);
    csr_t *csr CLEANUP(csr_free) = mem_zalloc(sizeof *csr);
    if (!csr) return err_nomem();
    TRY(csr_copy_secret(der, &csr->der, &csr->der_n));
    const unsigned char *p = csr->der;
    csr->req = der.n ? d2i_X509_REQ(NULL, &p, (long)der.n) : NULL;
    if (!csr->req) return err_openssl(ERR_INVALID, "not a certification request");
    if (p != csr->der + der.n) return err_new(ERR_INVALID, "bytes behind the request");
    TRY_WRAP(csr_read(csr), "certification request");
    *ret_csr = STEAL(csr);
    return NULL;
}

err_t *csr_verify(const csr_t *csr) {
    if (X509_REQ_verify(csr->req, pkey_evp(csr->key)) != 1)
        return err_openssl(ERR_VERIFY, "request is not signed by the key it names");
    return NULL;
}

bytes_t csr_der(const csr_t *csr) { return bytes_make(csr->der, csr->der_n); }
const char *csr_subject(const csr_t *csr) { return csr->subject; }
bytes_t csr_subject_der(const csr_t *csr) { return csr->subject_der; }
unsigned csr_key_usage(const csr_t *csr) { return csr->key_usage; }
bool csr_wants_ca(const csr_t *csr) { return csr->wants_ca; }
pkey_t *csr_key(const csr_t *csr) { return csr->key; }

bytes_t csr_challenge(const csr_t *csr) { return bytes_make(csr->challenge, csr->challenge_n); }

const name_entry_t *csr_subject_entries(const csr_t *csr, size_t *ret_n) {
    *ret_n = csr->entries_n;
    return csr->entries;
}

const char *csr_subject_get(const csr_t *csr, const char *type) {
    return name_find(csr->entries, csr->entries_n, type);
}

const san_entry_t *csr_sans(const csr_t *csr, size_t *ret_n) {
    *ret_n = csr->sans_n;
    return csr->sans;
}

const char *const *csr_ekus(const csr_t *csr, size_t *ret_n) {
    *ret_n = csr->ekus_n;
    return csr->ekus;
}

const char *const *csr_unknown_extensions(const csr_t *csr, size_t *ret_n) {
    *ret_n = csr->unknown_n;
    return csr->unknown;
}

static err_t *ext_push(STACK_OF(X509_EXTENSION) * *list, int nid, void *value, bool critical) {
    if (X509V3_add1_i2d(list, nid, value, critical ? 1 : 0, X509V3_ADD_APPEND) != 1)
        return err_openssl(ERR_INTERNAL, "extension %s", OBJ_nid2sn(nid));
    return NULL;
}

static err_t *csr_add_extensions(X509_REQ *req, const csr_spec_t *spec) {
    STACK_OF(X509_EXTENSION) * list CLEANUP(extensions_free) = NULL;
    if (spec->sans_n) {
        GENERAL_NAMES *names CLEANUP(GENERAL_NAMES_free) = NULL;
        TRY(san_build(spec->sans, spec->sans_n, &names));
        TRY(ext_push(&list, NID_subject_alt_name, names, false));
    }
    if (spec->key_usage) {
        ASN1_BIT_STRING *usage CLEANUP(ASN1_BIT_STRING_free) = NULL;
        TRY(key_usage_build(spec->key_usage, &usage));
        TRY(ext_push(&list, NID_key_usage, usage, true));
    }
    if (spec->ekus_n) {
        EXTENDED_KEY_USAGE *ekus CLEANUP(EXTENDED_KEY_USAGE_free) = NULL;
        TRY(eku_build(spec->ekus, spec->ekus_n, &ekus));
        TRY(ext_push(&list, NID_ext_key_usage, ekus, false));
    }
    if (list && X509_REQ_add_extensions(req, list) != 1)
        return err_openssl(ERR_INTERNAL, "extensionRequest");
    return NULL;
}

err_t *csr_build(const csr_spec_t *spec, const pkey_t *key, buf_t *out) {
    const EVP_MD *md;
    TRY(sign_digest(key, &md));
    X509_NAME *subject CLEANUP(X509_NAME_free) = NULL;
    TRY(name_build(spec->subject, spec->subject_n, &subject));
    X509_REQ *req CLEANUP(X509_REQ_free) = X509_REQ_new();
    if (!req) return err_nomem();
    if (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_subject_name(req, subject) != 1 ||
        X509_REQ_set_pubkey(req, pkey_evp(key)) != 1)
        return err_openssl(ERR_INTERNAL, "request fields");
    bytes_t challenge = spec->challenge;
    if (challenge.n > LIMIT_CSR_BYTES) return err_new(ERR_LIMIT, "challenge is too long");
    if (challenge.n && X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_UTF8,
                                                 challenge.p, (int)challenge.n) != 1)
        return err_openssl(ERR_USAGE, "challengePassword");
    TRY(csr_add_extensions(req, spec));
    if (X509_REQ_sign(req, pkey_evp(key), md) <= 0)
        return err_openssl(ERR_INTERNAL, "signing the request");
    unsigned char *der = NULL;
    int n = i2d_X509_REQ(req, &der);
    if (n <= 0) return err_openssl(ERR_INTERNAL, "request can't be encoded");
    err_t *e = buf_add(out, bytes_make(der, (size_t)n));
    OPENSSL_clear_free(der, (size_t)n);
    return e;
}
