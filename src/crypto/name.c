/*
 * Names and common extensions between OpenSSL and plain values: RFC 5280 sections 4.1.2.4,
 * 4.2.1.3, 4.2.1.6, 4.2.1.12; RFC 4514 text; RFC 8398 mail names. Any process, any thread; pure.
 */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "base/text.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

enum { OID_TEXT_SIZE = 128, KEY_USAGE_BITS = 9 };

err_t *name_dotted(const ASN1_OBJECT *object, arena_t *arena, const char **ret_text) {
    char text[OID_TEXT_SIZE];
    int n = OBJ_obj2txt(text, sizeof text, object, 1);
    if (n <= 0 || (size_t)n >= sizeof text)
        return err_openssl(ERR_INVALID, "object identifier is malformed or too long");
    bytes_t copy;
    TRY(arena_copy(arena, bytes_make(text, (size_t)n), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *name_of_object(const ASN1_OBJECT *object, arena_t *arena, const char **ret_text) {
    int nid = OBJ_obj2nid(object);
    if (nid == NID_undef) return name_dotted(object, arena, ret_text);
    *ret_text = OBJ_nid2sn(nid); /* OpenSSL's own constant */
    return NULL;
}

const char *name_find(const name_entry_t *entries, size_t n, const char *type) {
    int wanted = OBJ_txt2nid(type);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(entries[i].type, type) == 0) return entries[i].value;
        if (wanted != NID_undef && OBJ_txt2nid(entries[i].type) == wanted) return entries[i].value;
    }
    return NULL;
}

err_t *name_build(const name_entry_t *entries, size_t n, X509_NAME **ret_name) {
    if (n > LIMIT_SUBJECT_ENTRIES) return err_new(ERR_LIMIT, "name with %zu entries", n);
    X509_NAME *name CLEANUP(X509_NAME_free) = X509_NAME_new();
    if (!name) return err_nomem();
    for (size_t i = 0; i < n; i++) {
        bytes_t value = bytes_str(entries[i].value);
        if (!value.n || !text_printable(value) || value.n > LIMIT_CERTIFICATE_BYTES)
            return err_new(ERR_USAGE, "name entry %s has no printable value", entries[i].type);
        ASN1_OBJECT *type CLEANUP(ASN1_OBJECT_free) = OBJ_txt2obj(entries[i].type, 0);
        if (!type) return err_openssl(ERR_USAGE, "name entry type %s", entries[i].type);
        /* MBSTRING lets OpenSSL's table choose: UTF8String, but IA5 or Printable where RFC 5280
         * appendix A prescribes it, and its upper bounds. */
        if (X509_NAME_add_entry_by_OBJ(name, type, MBSTRING_UTF8, value.p, (int)value.n, -1, 0) !=
            1)
            return err_openssl(ERR_USAGE, "name entry %s=%s", entries[i].type, entries[i].value);
    }
    *ret_name = STEAL(name);
    return NULL;
}

static err_t *san_build_text(GENERAL_NAME *name, int type, bytes_t value) {
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] >= 0x80)
            return err_new(ERR_USAGE, "alternative name %.*s is not ASCII", (int)value.n, value.p);
    ASN1_IA5STRING *ia5 = ASN1_IA5STRING_new();
    if (!ia5) return err_nomem();
    if (ASN1_STRING_set(ia5, value.p, (int)value.n) != 1) {
        ASN1_IA5STRING_free(ia5);
        return err_nomem();
    }
    GENERAL_NAME_set0_value(name, type, ia5);
    return NULL;
}

static err_t *san_build_upn(GENERAL_NAME *name, bytes_t value) {
    ASN1_TYPE *any = ASN1_TYPE_new();
    ASN1_UTF8STRING *utf8 = ASN1_UTF8STRING_new();
    if (any && utf8 && ASN1_STRING_set(utf8, value.p, (int)value.n) == 1) {
        ASN1_TYPE_set(any, V_ASN1_UTF8STRING, utf8);
        utf8 = NULL;
        if (GENERAL_NAME_set0_othername(name, OBJ_nid2obj(NID_ms_upn), any) == 1) return NULL;
    }
    ASN1_UTF8STRING_free(utf8);
    ASN1_TYPE_free(any);
    return err_nomem();
}

static err_t *san_build_ip(GENERAL_NAME *name, const char *text) {
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(text);
    if (!address) return err_openssl(ERR_USAGE, "IP address %s", text);
    GENERAL_NAME_set0_value(name, GEN_IPADD, address);
    return NULL;
}

static err_t *san_build_one(const san_entry_t *san, GENERAL_NAME *name) {
    bytes_t value = bytes_str(san->value);
    if (!value.n || value.n > LIMIT_CERTIFICATE_BYTES || !text_printable(value))
        return err_new(ERR_USAGE, "alternative name is empty or not printable");
    switch (san->kind) {
    case SAN_EMAIL: return san_build_text(name, GEN_EMAIL, value);
    case SAN_DNS: return san_build_text(name, GEN_DNS, value);
    case SAN_URI: return san_build_text(name, GEN_URI, value);
    case SAN_UPN: return san_build_upn(name, value);
    case SAN_IP: return san_build_ip(name, san->value);
    case SAN_OTHER: break;
    }
    return err_new(ERR_USAGE, "alternative name %s can't be issued", san->value);
}

err_t *san_build(const san_entry_t *sans, size_t n, GENERAL_NAMES **ret_names) {
    if (n > LIMIT_SAN_ENTRIES) return err_new(ERR_LIMIT, "%zu alternative names", n);
    GENERAL_NAMES *names CLEANUP(GENERAL_NAMES_free) = GENERAL_NAMES_new();
    if (!names) return err_nomem();
    for (size_t i = 0; i < n; i++) {
        GENERAL_NAME *name CLEANUP(GENERAL_NAME_free) = GENERAL_NAME_new();
        if (!name) return err_nomem();
        TRY(san_build_one(&sans[i], name));
        if (sk_GENERAL_NAME_push(names, name) <= 0) return err_nomem();
        name = NULL;
    }
    *ret_names = STEAL(names);
    return NULL;
}

err_t *key_usage_build(unsigned usage, ASN1_BIT_STRING **ret_bits) {
    ASN1_BIT_STRING *bits CLEANUP(ASN1_BIT_STRING_free) = ASN1_BIT_STRING_new();
    if (!bits) return err_nomem();
    for (int i = 0; i < KEY_USAGE_BITS; i++)
        if ((usage >> i & 1U) && ASN1_BIT_STRING_set_bit(bits, i, 1) != 1) return err_nomem();
    *ret_bits = STEAL(bits);
    return NULL;
}

err_t *eku_build(const char *const *oids, size_t n, EXTENDED_KEY_USAGE **ret_ekus) {
    if (n > LIMIT_EKUS) return err_new(ERR_LIMIT, "%zu extended key usages", n);
    EXTENDED_KEY_USAGE *ekus CLEANUP(EXTENDED_KEY_USAGE_free) = EXTENDED_KEY_USAGE_new();
    if (!ekus) return err_nomem();
    for (size_t i = 0; i < n; i++) {
        ASN1_OBJECT *oid CLEANUP(ASN1_OBJECT_free) = OBJ_txt2obj(oids[i], 1);
        if (!oid) return err_openssl(ERR_USAGE, "extended key usage %s", oids[i]);
        if (sk_ASN1_OBJECT_push(ekus, oid) <= 0) return err_nomem();
        oid = NULL;
    }
    *ret_ekus = STEAL(ekus);
    return NULL;
}

err_t *sign_digest(const pkey_t *key, const EVP_MD **ret_md) {
    switch (pkey_kind(key)) {
    case PKEY_RSA:
    case PKEY_P256: *ret_md = EVP_sha256(); return NULL;
    case PKEY_P384: *ret_md = EVP_sha384(); return NULL;
    case PKEY_ED25519: *ret_md = NULL; return NULL;
    case PKEY_X25519:
    case PKEY_OTHER: break;
    }
    return err_new(ERR_USAGE, "a key of kind %s can't sign", pkey_kind_name(pkey_kind(key)));
}

err_t *asn1_seconds(const ASN1_TIME *time, int64_t *ret_seconds) {
    struct tm tm;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return err_openssl(ERR_INVALID, "time is malformed");
    *ret_seconds = (int64_t)timegm(&tm);
    return NULL;
}

err_t *serial_build(bytes_t serial, ASN1_INTEGER **ret_serial) {
    if (!serial.n || serial.n > 20 || (serial.n == 20 && serial.p[0] & 0x80))
        return err_new(ERR_USAGE, "serial number of %zu bytes", serial.n);
    BIGNUM *number = BN_bin2bn(serial.p, (int)serial.n, NULL);
    ASN1_INTEGER *value = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    BN_free(number);
    if (!value) return err_nomem();
    *ret_serial = value;
    return NULL;
}
