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
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/signature_internal.h"

enum { CSR_ARENA = 1024 * 1024 };

struct csr {
    pkey_t *key;
    uint8_t *der; /* wiped: the challenge is in it */
    size_t der_n;
    uint8_t *challenge;
    size_t challenge_n;
    bytes_t info, algorithm, signature, subject_der, spki; /* inside der */
    arena_t *arena;                                        /* holds everything below */
    name_values_t subject;
    ext_values_t extensions;
    const char **unknown;
    size_t unknown_n;
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
    pkey_free(csr->key);
    arena_free(csr->arena);
    mem_free(csr);
}

static err_t *csr_copy_secret(bytes_t from, uint8_t **ret_p, size_t *ret_n) {
    uint8_t *p = mem_alloc(from.n);
    if (!p) return err_nomem();
    bytes_put(p, from);
    *ret_p = p;
    *ret_n = from.n;
    return NULL;
}

static err_t *csr_read_challenge(csr_t *csr, bytes_t values) {
    der_t value;
    if (csr->challenge) return err_new(ERR_INVALID, "challengePassword comes twice");
    if (!der_next(&values, &value) || values.n || value.tag == DER_NUMERIC)
        return err_new(ERR_INVALID, "challengePassword is not one text");
    buf_t text CLEANUP(buf_done);
    buf_init_secret(&text, LIMIT_SCEP_CHALLENGE);
    TRY_WRAP(text_der_read(value.tag, value.content, &text), "challengePassword");
    return csr_copy_secret(buf_bytes(&text), &csr->challenge, &csr->challenge_n);
}

static bool ext_is_known(const ext_t *ext) {
    return ext_is(ext, EXT_SUBJECT_ALT_NAME) || ext_is(ext, EXT_KEY_USAGE) ||
           ext_is(ext, EXT_EXTENDED_KEY_USAGE) || ext_is(ext, EXT_BASIC_CONSTRAINTS) ||
           ext_is(ext, EXT_SUBJECT_KEY_ID);
}

/* extensionRequest: SET { Extensions }, exactly one (RFC 2985 section 5.4.2). */
static err_t *csr_read_extensions(csr_t *csr, bytes_t values) {
    bytes_t content;
    ext_list_t list;
    if (!der_take(&values, DER_SEQUENCE, &content) || values.n)
        return err_new(ERR_INVALID, "requested extensions are malformed");
    TRY(ext_list_read(content, &list));
    if (list.n) TRY(arena_alloc(csr->arena, list.n * sizeof(char *), &csr->unknown));
    for (size_t i = 0; i < list.n; i++)
        if (!ext_is_known(&list.list[i]))
            TRY(oid_der_dotted(list.list[i].oid, csr->arena, &csr->unknown[csr->unknown_n++]));
    return ext_values_read(&list, csr->arena, &csr->extensions);
}

/* Other attributes (Microsoft's client information and the like) are passed over. */
static err_t *csr_read_attributes(csr_t *csr, bytes_t attributes) {
    static const uint8_t challenge[] = {6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7};
    static const uint8_t request[] = {6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14};
    static const uint8_t ms_request[] = {6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 14};
    bytes_t attribute, oid, values;
    bool requested = false;
    for (size_t n = 0; attributes.n; n++) {
        if (n == LIMIT_CSR_ATTRIBUTES)
            return err_new(ERR_LIMIT, "request with more than %d attributes", LIMIT_CSR_ATTRIBUTES);
        if (!der_take(&attributes, DER_SEQUENCE, &attribute) ||
            !der_take_whole(&attribute, DER_OID, &oid) || !der_take(&attribute, DER_SET, &values) ||
            attribute.n)
            return err_new(ERR_INVALID, "RFC 2986 section 4.1: attribute is malformed");
        if (bytes_eq(oid, BYTES_ARRAY(challenge))) TRY(csr_read_challenge(csr, values));
        if (!bytes_eq(oid, BYTES_ARRAY(request)) && !bytes_eq(oid, BYTES_ARRAY(ms_request)))
            continue;
        if (requested) return err_new(ERR_INVALID, "extensionRequest comes twice");
        requested = true;
        TRY(csr_read_extensions(csr, values));
    }
    return NULL;
}

/* CertificationRequestInfo ::= SEQUENCE { version, subject, subjectPKInfo, attributes [0] } */
static err_t *csr_read(csr_t *csr, const pkey_t *known) {
    bytes_t whole = bytes_make(csr->der, csr->der_n), fields, info, version;
    bytes_t attributes = BYTES_NONE;
    if (!der_take(&whole, DER_SEQUENCE, &fields) ||
        !der_take_whole(&fields, DER_SEQUENCE, &csr->info) ||
        !algorithm_der_take(&fields, &csr->algorithm) ||
        !der_take_octets(&fields, &csr->signature) || fields.n)
        return err_new(ERR_INVALID, "RFC 2986 section 4.2: request is malformed");
    whole = csr->info;
    if (!der_take(&whole, DER_SEQUENCE, &info) || !der_take(&info, DER_INTEGER, &version) ||
        version.n != 1 || version.p[0] > 2 ||
        !der_take_whole(&info, DER_SEQUENCE, &csr->subject_der) ||
        !der_take_whole(&info, DER_SEQUENCE, &csr->spki))
        return err_new(ERR_INVALID, "RFC 2986 section 4.1: request is malformed");
    if (info.n && (!der_take(&info, DER_CONTEXT_CONSTRUCTED | 0, &attributes) || info.n))
        return err_new(ERR_INVALID, "RFC 2986 section 4.1: attributes are malformed");
    TRY(pkey_parse_public_known(csr->spki, known, &csr->key));
    TRY_WRAP(name_der_read(csr->subject_der, csr->arena, &csr->subject), "subject");
    return csr_read_attributes(csr, attributes);
}

err_t *csr_parse_der(bytes_t der, csr_t **ret_csr) {
    return csr_parse_der_known(der, NULL, ret_csr);
}

err_t *csr_parse_der_known(bytes_t der, const pkey_t *known, csr_t **ret_csr) {
    if (der.n > LIMIT_CSR_BYTES) return err_new(ERR_LIMIT, "request of %zu bytes", der.n);
    if (!der_check(der)) return err_new(ERR_INVALID, "not a certification request in DER");
    csr_t *csr CLEANUP(csr_free) = mem_zalloc(sizeof *csr);
    if (!csr) return err_nomem();
    TRY(csr_copy_secret(der, &csr->der, &csr->der_n));
    TRY(arena_new(CSR_ARENA, &csr->arena));
    TRY_WRAP(csr_read(csr, known), "certification request");
    *ret_csr = STEAL(csr);
    return NULL;
}

err_t *csr_verify(const csr_t *csr) {
    bool known = false;
    TRY_WRAP(signature_check(csr->algorithm, csr->key, csr->info, csr->signature, &known),
             "request is not signed by the key it names");
    if (known) return NULL;
    const unsigned char *p = csr->der;
    X509_REQ *req CLEANUP(X509_REQ_free) = d2i_X509_REQ(NULL, &p, (long)csr->der_n);
    if (!req || X509_REQ_verify(req, pkey_evp(csr->key)) != 1)
        return err_openssl(ERR_VERIFY, "request is not signed by the key it names");
    return NULL;
}

bytes_t csr_der(const csr_t *csr) { return bytes_make(csr->der, csr->der_n); }
const char *csr_subject(const csr_t *csr) { return csr->subject.text; }
bytes_t csr_subject_der(const csr_t *csr) { return csr->subject_der; }
unsigned csr_key_usage(const csr_t *csr) { return csr->extensions.key_usage; }
bool csr_wants_ca(const csr_t *csr) { return csr->extensions.ca; }
bytes_t csr_spki_der(const csr_t *csr) { return csr->spki; }
pkey_t *csr_key(const csr_t *csr) { return csr->key; }

bytes_t csr_challenge(const csr_t *csr) { return bytes_make(csr->challenge, csr->challenge_n); }

const name_entry_t *csr_subject_entries(const csr_t *csr, size_t *ret_n) {
    *ret_n = csr->subject.n;
    return csr->subject.entries;
}

const char *csr_subject_get(const csr_t *csr, const char *type) {
    return name_find(csr->subject.entries, csr->subject.n, type);
}

const san_entry_t *csr_sans(const csr_t *csr, size_t *ret_n) {
    *ret_n = csr->extensions.sans_n;
    return csr->extensions.sans;
}

const char *const *csr_ekus(const csr_t *csr, size_t *ret_n) {
    *ret_n = csr->extensions.ekus_n;
    return csr->extensions.ekus;
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
