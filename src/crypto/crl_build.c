/*
 * Building revocation lists: see crl.h. RFC 5280 section 5, written as DER by hand: OpenSSL's
 * objects take a kilobyte an entry, and a list may have a million. Runs in the keeper (which
 * digests and signs) and in coffer-web (which puts the same bytes together). Any thread.
 */
#include <openssl/evp.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cert_internal.h"
#include "crypto/crl.h"
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/signature_internal.h"

enum {
    ENTRY_MAX = 64,                      /* bytes: serial 22, time 17, reason 14, heads 6 */
    EXTENSIONS_MAX = 4096,               /* bytes */
    HEAD_ROOM = LIMIT_CERTIFICATE_BYTES, /* bytes; an issuer's name is part of a certificate */
    TIMES_MAX = 64,                      /* bytes */
};

/* Extension { cRLReason, OCTET STRING { ENUMERATED } } without the last octet. */
static const uint8_t reason_extension[] = {0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55,
                                           0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01};

static bool reason_known(crl_reason_t reason) {
    return crl_reason_name(reason) != NULL && reason != CRL_UNSPECIFIED;
}

/* ---- entries ---- */

/* revokedCertificates: SEQUENCE { userCertificate, revocationDate, crlEntryExtensions } */
err_t *crl_entry_put(const crl_entry_t *entry, buf_t *out) {
    if (entry->serial.n == 0 || entry->serial.n > CERT_SERIAL_SIZE)
        return err_new(ERR_USAGE, "serial number of %zu bytes", entry->serial.n);
    size_t start = out->n;
    err_t *e = der_put_unsigned(out, entry->serial);
    if (!e) e = der_put_time(out, entry->time);
    if (!e && reason_known(entry->reason)) { /* section 5.3.1: unspecified is rather absent */
        e = buf_add(out, BYTES_ARRAY(reason_extension));
        if (!e) e = buf_add_byte(out, (uint8_t)entry->reason);
    }
    if (!e) e = der_enclose(out, start, DER_SEQUENCE);
    if (e) out->n = start;
    return e;
}

err_t *crl_entry_take(bytes_t *rest, crl_entry_t *ret_entry) {
    bytes_t after = *rest, whole = after, fields;
    crl_entry_t entry = {.reason = CRL_UNSPECIFIED};
    if (!der_take(&after, DER_SEQUENCE, &fields) || !der_take_unsigned(&fields, &entry.serial))
        return err_new(ERR_INVALID, "CRL entry is malformed");
    TRY_WRAP(time_der_take(&fields, &entry.time), "CRL entry");
    const bytes_t extension = BYTES_ARRAY(reason_extension);
    if (fields.n == extension.n + 1 && bytes_starts(fields, extension)) {
        entry.reason = (crl_reason_t)fields.p[extension.n];
        if (!reason_known(entry.reason)) return err_new(ERR_INVALID, "CRL entry's reason");
    } else if (fields.n) {
        return err_new(ERR_INVALID, "CRL entry is malformed");
    }
    /* Only what crl_entry_put would write: one form for one meaning. */
    CLEANUP(buf_done) buf_t again;
    buf_init(&again, ENTRY_MAX);
    TRY(crl_entry_put(&entry, &again));
    if (!bytes_starts(whole, buf_bytes(&again)) || whole.n - after.n != again.n)
        return err_new(ERR_INVALID, "CRL entry is not in its one form");
    *ret_entry = entry;
    *rest = after;
    return NULL;
}

/* ---- around them ---- */

static err_t *check_spec(const crl_spec_t *spec) {
    if (spec->next_update <= spec->this_update || spec->this_update < 0)
        return err_new(ERR_USAGE, "CRL would never be valid");
    if (spec->delta && spec->base_number > spec->number)
        return err_new(ERR_USAGE, "a delta CRL of number %llu over %llu",
                       (unsigned long long)spec->number, (unsigned long long)spec->base_number);
    return NULL;
}

static err_t *check_key(const cert_t *issuer, const pkey_t *key) {
    if (!pkey_has_private(key) || !pkey_same_public(cert_key(issuer), key))
        return err_new(ERR_USAGE, "that key is not the CRL issuer's");
    return NULL;
}

err_t *crl_put_head(const crl_spec_t *spec, const cert_t *issuer, size_t entries_bytes,
                    buf_t *out) {
    static const uint8_t version2[] = {DER_INTEGER, 1, 1};
    TRY(check_spec(spec));
    CLEANUP(buf_done) buf_t fields, tail;
    buf_init(&fields, HEAD_ROOM);
    buf_init(&tail, EXTENSIONS_MAX);
    bytes_t algorithm;
    TRY(signature_algorithm(cert_key(issuer), &algorithm));
    TRY(buf_add(&fields, BYTES_ARRAY(version2)));
    TRY(buf_add(&fields, algorithm));
    TRY(buf_add(&fields, cert_subject_der(issuer)));
    TRY(der_put_time(&fields, spec->this_update));
    TRY(der_put_time(&fields, spec->next_update));
    if (entries_bytes) TRY(der_put_head(&fields, DER_SEQUENCE, entries_bytes));
    TRY(crl_put_tail(spec, issuer, &tail));
    TRY(der_put_head(out, DER_SEQUENCE, fields.n + entries_bytes + tail.n));
    return buf_add(out, buf_bytes(&fields));
}

/* Extension id-ce `last` around what was written from `start` on. */
static err_t *close_extension(buf_t *out, size_t start, uint8_t last, bool critical) {
    const uint8_t oid[] = {DER_OID, 3, 0x55, 0x1d, last, DER_BOOLEAN, 1, 0xff};
    TRY(der_enclose(out, start, DER_OCTET_STRING));
    TRY(der_insert(out, start, bytes_make(oid, critical ? sizeof oid : 5)));
    return der_enclose(out, start, DER_SEQUENCE);
}

static err_t *put_number(uint64_t number, buf_t *out) {
    uint8_t octets[sizeof number];
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)(number >> 8 * (sizeof octets - 1 - i));
    return der_put_unsigned(out, BYTES_ARRAY(octets));
}

/* distributionPoint [0] { fullName [0] { uniformResourceIdentifier [6] } } */
static err_t *put_point(const char *url, buf_t *out) {
    size_t start = out->n;
    bytes_t text = bytes_str(url);
    if (text.n == 0 || text.n > LIMIT_CRL_URL) return err_new(ERR_USAGE, "CRL URL is too long");
    TRY(der_put(out, DER_CONTEXT | 6, text));
    TRY(der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0));
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0);
}

/* crlExtensions [0] EXPLICIT, RFC 5280 section 5.2 */
err_t *crl_put_tail(const crl_spec_t *spec, const cert_t *issuer, buf_t *out) {
    enum { AUTHORITY = 0x23, NUMBER = 0x14, DELTA = 0x1b, ISSUING_POINT = 0x1c, FRESHEST = 0x2e };
    size_t start = out->n, at = start;
    bytes_t skid = cert_skid(issuer);
    if (!skid.n) return err_new(ERR_USAGE, "CRL issuer has no subject key identifier");
    TRY(der_put(out, DER_CONTEXT | 0, skid));
    TRY(der_enclose(out, at, DER_SEQUENCE));
    TRY(close_extension(out, at, AUTHORITY, false));
    at = out->n;
    TRY(put_number(spec->number, out));
    TRY(close_extension(out, at, NUMBER, false));
    at = out->n;
    if (spec->delta) {
        TRY(put_number(spec->base_number, out));
        TRY(close_extension(out, at, DELTA, true));
        at = out->n;
    }
    if (spec->url) {
        TRY(put_point(spec->url, out));
        TRY(der_enclose(out, at, DER_SEQUENCE));
        TRY(close_extension(out, at, ISSUING_POINT, true));
        at = out->n;
    }
    if (spec->delta_url && !spec->delta) {
        TRY(put_point(spec->delta_url, out));
        TRY(der_enclose(out, at, DER_SEQUENCE));
        TRY(der_enclose(out, at, DER_SEQUENCE));
        TRY(close_extension(out, at, FRESHEST, false));
    }
    TRY(der_enclose(out, start, DER_SEQUENCE));
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0);
}

err_t *crl_put_signature(const cert_t *issuer, bytes_t signature, buf_t *out) {
    bytes_t algorithm;
    TRY(signature_algorithm(cert_key(issuer), &algorithm));
    TRY(buf_add(out, algorithm));
    return der_put_octets(out, signature);
}

err_t *crl_put_outer(size_t content, buf_t *out) {
    return der_put_head(out, DER_SEQUENCE, content);
}

/* ---- signing as it comes ---- */

struct crl_builder {
    EVP_MD_CTX *context;
    pkey_t *key;
    buf_t tail;
    buf_t scratch;    /* one entry */
    size_t remaining; /* bytes of entries still promised */
};

void crl_builder_free(crl_builder_t *builder) {
    if (!builder) return;
    EVP_MD_CTX_free(builder->context);
    pkey_free(builder->key);
    buf_done(&builder->tail);
    buf_done(&builder->scratch);
    mem_free(builder);
}

static err_t *digest_more(crl_builder_t *builder, bytes_t data) {
    if (EVP_DigestSignUpdate(builder->context, data.p, data.n) != 1)
        return err_openssl(ERR_INTERNAL, "digesting the CRL");
    return NULL;
}

static err_t *builder_begin(crl_builder_t *builder, const crl_spec_t *spec, const cert_t *issuer,
                            size_t entries_bytes) {
    const EVP_MD *md;
    TRY(sign_digest(builder->key, &md));
    if (!md) return err_new(ERR_USAGE, "an Ed25519 key can't sign a CRL in pieces");
    builder->context = EVP_MD_CTX_new();
    if (!builder->context) return err_nomem();
    if (EVP_DigestSignInit(builder->context, NULL, md, NULL, pkey_evp(builder->key)) != 1)
        return err_openssl(ERR_INTERNAL, "signing the CRL");
    CLEANUP(buf_done) buf_t head;
    buf_init(&head, HEAD_ROOM);
    TRY(crl_put_head(spec, issuer, entries_bytes, &head));
    TRY(crl_put_tail(spec, issuer, &builder->tail));
    return digest_more(builder, buf_bytes(&head));
}

err_t *crl_builder_new(const crl_spec_t *spec, const cert_t *issuer, const pkey_t *key,
                       size_t entries_bytes, crl_builder_t **ret_builder) {
    if (entries_bytes > LIMIT_CRL_BYTES)
        return err_new(ERR_LIMIT, "CRL of %zu bytes", entries_bytes);
    TRY(check_key(issuer, key));
    CLEANUP(crl_builder_free) crl_builder_t *builder = mem_zalloc(sizeof *builder);
    if (!builder) return err_nomem();
    buf_init(&builder->tail, EXTENSIONS_MAX);
    buf_init(&builder->scratch, ENTRY_MAX);
    builder->key = pkey_share((pkey_t *)(uintptr_t)key);
    builder->remaining = entries_bytes;
    TRY(builder_begin(builder, spec, issuer, entries_bytes));
    *ret_builder = STEAL(builder);
    return NULL;
}

err_t *crl_builder_add(crl_builder_t *builder, const crl_entry_t *entry) {
    buf_clear(&builder->scratch);
    TRY(crl_entry_put(entry, &builder->scratch));
    if (builder->scratch.n > builder->remaining)
        return err_new(ERR_LIMIT, "more CRL entries than were promised");
    builder->remaining -= builder->scratch.n;
    return digest_more(builder, buf_bytes(&builder->scratch));
}

err_t *crl_builder_sign(crl_builder_t *builder, buf_t *signature) {
    if (builder->remaining) return err_new(ERR_INVALID, "fewer CRL entries than were promised");
    TRY(digest_more(builder, buf_bytes(&builder->tail)));
    int size = EVP_PKEY_get_size(pkey_evp(builder->key));
    size_t n = size > 0 ? (size_t)size : 0;
    TRY(buf_reserve(signature, n));
    if (EVP_DigestSignFinal(builder->context, signature->p + signature->n, &n) != 1)
        return err_openssl(ERR_INTERNAL, "signing the CRL");
    signature->n += n;
    return NULL;
}

/* ---- at once ---- */

err_t *crl_build(const crl_spec_t *spec, const cert_t *issuer, const pkey_t *issuer_key,
                 buf_t *out) {
    TRY(check_spec(spec));
    TRY(check_key(issuer, issuer_key));
    const EVP_MD *md;
    TRY(sign_digest(issuer_key, &md));
    CLEANUP(buf_done) buf_t entries, list, signature;
    buf_init(&entries, LIMIT_CRL_BYTES);
    buf_init(&list, LIMIT_CRL_BYTES);
    buf_init(&signature, LIMIT_RSA_BITS_MAX / 8);
    for (size_t i = 0; i < spec->entries_n; i++) TRY(crl_entry_put(&spec->entries[i], &entries));
    TRY(crl_put_head(spec, issuer, entries.n, &list));
    TRY(buf_add(&list, buf_bytes(&entries)));
    TRY(crl_put_tail(spec, issuer, &list));
    TRY_WRAP(signature_make(pkey_evp(issuer_key), md, buf_bytes(&list), &signature),
             "signing the CRL");
    TRY(crl_put_signature(issuer, buf_bytes(&signature), &list));
    TRY(crl_put_outer(list.n, out));
    return buf_add(out, buf_bytes(&list));
}
