/*
 * Extensions from DER: see name_der_internal.h. RFC 5280 sections 4.2.1.1 to 4.2.1.12, RFC 8398
 * mail names. ediPartyName is refused: no one uses it, and OpenSSL alone knows its form. Any
 * process, any thread; pure.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/name_internal.h"

enum { OID_TEXT_SIZE = 128, KEY_USAGE_BITS = 9, ID_CE_SIZE = 5 };

bool ext_is(const ext_t *ext, ext_id_t id) {
    const uint8_t oid[ID_CE_SIZE] = {DER_OID, 3, 0x55, 0x1d, (uint8_t)id};
    return bytes_eq(ext->oid, BYTES_ARRAY(oid));
}

const ext_t *ext_find(const ext_list_t *list, ext_id_t id) {
    for (size_t i = 0; i < list->n; i++)
        if (ext_is(&list->list[i], id)) return &list->list[i];
    return NULL;
}

/* Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
static err_t *ext_take(bytes_t *content, ext_t *ext) {
    bytes_t fields, flag = BYTES_NONE;
    if (!der_take(content, DER_SEQUENCE, &fields) || !der_take_whole(&fields, DER_OID, &ext->oid))
        return err_new(ERR_INVALID, "extension is malformed");
    /* Some CAs write the default out, which DER forbids; OpenSSL and all others let it pass. */
    if (der_at(fields, DER_BOOLEAN) && !der_take(&fields, DER_BOOLEAN, &flag))
        return err_new(ERR_INVALID, "extension is malformed");
    if (!der_take(&fields, DER_OCTET_STRING, &ext->value) || fields.n)
        return err_new(ERR_INVALID, "extension is malformed");
    ext->critical = flag.n && flag.p[0];
    return NULL;
}

err_t *ext_list_read(bytes_t content, ext_list_t *ret_list) {
    ret_list->n = 0;
    while (content.n) {
        if (ret_list->n == LIMIT_EXTENSIONS)
            return err_new(ERR_LIMIT, "more than %d extensions", LIMIT_EXTENSIONS);
        ext_t ext = {0};
        TRY(ext_take(&content, &ext));
        for (size_t i = 0; i < ret_list->n; i++)
            if (bytes_eq(ret_list->list[i].oid, ext.oid))
                return err_new(ERR_INVALID, "an extension comes twice");
        ret_list->list[ret_list->n++] = ext;
    }
    return NULL;
}

static err_t *ip_read(bytes_t address, arena_t *arena, const char **ret_text) {
    char text[INET6_ADDRSTRLEN];
    int family = address.n == 4 ? AF_INET : AF_INET6;
    if ((address.n != 4 && address.n != 16) || !inet_ntop(family, address.p, text, sizeof text))
        return err_new(ERR_INVALID, "IP address of %zu bytes", address.n);
    bytes_t copy;
    TRY(arena_copy(arena, bytes_str(text), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

/* OtherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY } */
static err_t *other_read(bytes_t content, arena_t *arena, san_entry_t *san) {
    static const uint8_t upn[] = {0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04,
                                  0x01, 0x82, 0x37, 0x14, 0x02, 0x03};
    static const uint8_t mailbox[] = {0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x09};
    bytes_t oid, value;
    der_t any;
    if (!der_take_whole(&content, DER_OID, &oid) ||
        !der_take(&content, DER_CONTEXT_CONSTRUCTED, &value) || content.n ||
        !der_next(&value, &any) || value.n)
        return err_new(ERR_INVALID, "otherName is malformed");
    bool is_upn = bytes_eq(oid, BYTES_ARRAY(upn)), is_mail = bytes_eq(oid, BYTES_ARRAY(mailbox));
    if ((is_upn || is_mail) && (any.tag == DER_UTF8 || any.tag == DER_IA5)) {
        san->kind = is_upn ? SAN_UPN : SAN_EMAIL;
        return text_der_printable(any.tag, any.content, "alternative name", arena, &san->value);
    }
    const char *dotted;
    TRY(oid_der_dotted(oid, arena, &dotted));
    char text[OID_TEXT_SIZE + 16];
    int n = snprintf(text, sizeof text, "otherName %s", dotted);
    bytes_t copy;
    TRY(arena_copy(arena, bytes_make(text, n > 0 ? (size_t)n : 0), &copy));
    *san = (san_entry_t){SAN_OTHER, (const char *)copy.p};
    return NULL;
}

static err_t *general_name_read(const der_t *name, arena_t *arena, san_entry_t *san) {
    bytes_t content = name->content;
    name_values_t directory;
    switch (name->tag) {
    case DER_CONTEXT_CONSTRUCTED | 0: return other_read(content, arena, san);
    case DER_CONTEXT | 1: san->kind = SAN_EMAIL; break;
    case DER_CONTEXT | 2: san->kind = SAN_DNS; break;
    case DER_CONTEXT_CONSTRUCTED | 3: *san = (san_entry_t){SAN_OTHER, "unknown"}; return NULL;
    case DER_CONTEXT_CONSTRUCTED | 4:
        *san = (san_entry_t){SAN_OTHER, "directoryName"};
        return name_der_read(content, arena, &directory);
    case DER_CONTEXT | 6: san->kind = SAN_URI; break;
    case DER_CONTEXT | 7: san->kind = SAN_IP; return ip_read(content, arena, &san->value);
    case DER_CONTEXT | 8:
        *san = (san_entry_t){SAN_OTHER, "registeredID"};
        return der_is_oid(content) ? NULL : err_new(ERR_INVALID, "registeredID is malformed");
    default: return err_new(ERR_INVALID, "alternative name of an unknown kind");
    }
    return text_der_printable(DER_IA5, content, "alternative name", arena, &san->value);
}

/* The content of GeneralNames. */
static err_t *general_names_read(bytes_t content, arena_t *arena, const san_entry_t **ret_sans,
                                 size_t *ret_n) {
    san_entry_t found[LIMIT_SAN_ENTRIES];
    size_t n = 0;
    for (; content.n; n++) {
        der_t name;
        if (n == LIMIT_SAN_ENTRIES)
            return err_new(ERR_LIMIT, "more than %d alternative names", LIMIT_SAN_ENTRIES);
        if (!der_next(&content, &name)) return err_new(ERR_INVALID, "names are malformed");
        TRY(general_name_read(&name, arena, &found[n]));
    }
    san_entry_t *sans = NULL;
    if (n) {
        TRY(arena_alloc(arena, n * sizeof *sans, &sans));
        memcpy(sans, found, n * sizeof *sans);
    }
    *ret_sans = sans;
    *ret_n = n;
    return NULL;
}

/* The content octets of the one element, of this tag, in an extension's value. */
static err_t *ext_open(const ext_t *ext, uint8_t tag, const char *what, bytes_t *ret_content) {
    bytes_t value = ext->value;
    if (!der_check(value) || !der_take(&value, tag, ret_content))
        return err_new(ERR_INVALID, "extension %s is malformed", what);
    return NULL;
}

static err_t *usage_read(const ext_t *ext, unsigned *ret_usage) {
    bytes_t bits;
    TRY(ext_open(ext, DER_BIT_STRING, "keyUsage", &bits));
    unsigned usage = 0;
    for (unsigned i = 0; i < KEY_USAGE_BITS; i++)
        if (1 + i / 8 < bits.n && bits.p[1 + i / 8] & (0x80U >> i % 8)) usage |= 1U << i;
    *ret_usage = usage;
    return NULL;
}

static err_t *ekus_read(const ext_t *ext, arena_t *arena, ext_values_t *values) {
    const char *found[LIMIT_EKUS];
    size_t n = 0;
    bytes_t list, oid;
    TRY(ext_open(ext, DER_SEQUENCE, "extKeyUsage", &list));
    for (; list.n; n++) {
        if (n == LIMIT_EKUS) return err_new(ERR_LIMIT, "more than %d extKeyUsages", LIMIT_EKUS);
        if (!der_take_whole(&list, DER_OID, &oid))
            return err_new(ERR_INVALID, "extension extKeyUsage is malformed");
        TRY(oid_der_dotted(oid, arena, &found[n]));
    }
    const char **ekus = NULL;
    if (n) {
        TRY(arena_alloc(arena, n * sizeof *ekus, &ekus));
        memcpy(ekus, found, n * sizeof *ekus);
    }
    values->ekus = ekus;
    values->ekus_n = n;
    return NULL;
}

/* BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLen INTEGER OPTIONAL } */
static err_t *basic_read(const ext_t *ext, bool *ret_ca) {
    bytes_t fields, flag = BYTES_NONE, length;
    TRY(ext_open(ext, DER_SEQUENCE, "basicConstraints", &fields));
    bool good = !der_at(fields, DER_BOOLEAN) || der_take(&fields, DER_BOOLEAN, &flag);
    if (good && fields.n) good = der_take(&fields, DER_INTEGER, &length);
    if (!good || fields.n) return err_new(ERR_INVALID, "extension basicConstraints is malformed");
    *ret_ca = flag.n && flag.p[0];
    return NULL;
}

err_t *ext_values_read(const ext_list_t *list, arena_t *arena, ext_values_t *ret) {
    ext_values_t values = {0};
    const ext_t *sans = ext_find(list, EXT_SUBJECT_ALT_NAME);
    const ext_t *usage = ext_find(list, EXT_KEY_USAGE);
    const ext_t *ekus = ext_find(list, EXT_EXTENDED_KEY_USAGE);
    const ext_t *basic = ext_find(list, EXT_BASIC_CONSTRAINTS);
    if (sans) {
        bytes_t names;
        TRY(ext_open(sans, DER_SEQUENCE, "subjectAltName", &names));
        TRY(general_names_read(names, arena, &values.sans, &values.sans_n));
    }
    if (usage) TRY(usage_read(usage, &values.key_usage));
    if (ekus) TRY(ekus_read(ekus, arena, &values));
    if (basic) TRY(basic_read(basic, &values.ca));
    *ret = values;
    return NULL;
}

/* AuthorityKeyIdentifier ::= SEQUENCE { [0] keyIdentifier, [1] GeneralNames, [2] serial } */
static err_t *authority_read(const ext_t *ext, arena_t *arena, bytes_t *ret_id) {
    bytes_t fields, id = BYTES_NONE, names, serial;
    const san_entry_t *ignored;
    size_t n;
    TRY(ext_open(ext, DER_SEQUENCE, "authorityKeyIdentifier", &fields));
    bool good = !der_at(fields, DER_CONTEXT | 0) || der_take(&fields, DER_CONTEXT | 0, &id);
    if (good && der_at(fields, DER_CONTEXT_CONSTRUCTED | 1)) {
        good = der_take(&fields, DER_CONTEXT_CONSTRUCTED | 1, &names);
        if (good) TRY(general_names_read(names, arena, &ignored, &n));
    }
    if (good && fields.n)
        good = der_take(&fields, DER_CONTEXT | 2, &serial) && der_is_integer(serial);
    if (!good || fields.n)
        return err_new(ERR_INVALID, "extension authorityKeyIdentifier is malformed");
    *ret_id = id;
    return NULL;
}

err_t *ext_key_ids_read(const ext_list_t *list, arena_t *arena, bytes_t *ret_subject,
                        bytes_t *ret_authority) {
    const ext_t *subject = ext_find(list, EXT_SUBJECT_KEY_ID);
    const ext_t *authority = ext_find(list, EXT_AUTHORITY_KEY_ID);
    bytes_t subject_id = BYTES_NONE, authority_id = BYTES_NONE;
    if (subject) TRY(ext_open(subject, DER_OCTET_STRING, "subjectKeyIdentifier", &subject_id));
    if (authority) TRY(authority_read(authority, arena, &authority_id));
    *ret_subject = subject_id;
    *ret_authority = authority_id;
    return NULL;
}
