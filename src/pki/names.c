/*
 * Expected subject alternative names, written "email:a@example.org dns:b uri:c upn:d".
 */
#include "base/text.h"
#include "pki/pki_internal.h"

const char *pki_san_kind_name(san_kind_t kind) {
    switch (kind) {
    case SAN_EMAIL: return "email";
    case SAN_DNS: return "dns";
    case SAN_URI: return "uri";
    case SAN_UPN: return "upn";
    case SAN_IP: return "ip";
    case SAN_OTHER: return "other";
    }
    return "other";
}

static bool expected_has(const char *expected, const san_entry_t *san) {
    bytes_t rest = bytes_str(expected), field;
    bytes_t kind = bytes_str(pki_san_kind_name(san->kind)), value = bytes_str(san->value);
    while (text_split(&rest, ' ', &field)) {
        size_t colon = bytes_find(field, ':');
        if (bytes_eq(bytes_make(field.p, colon), kind) &&
            bytes_eq(bytes_from(field, colon + 1), value))
            return true;
    }
    return false;
}

err_t *pki_names_check(const csr_t *csr, const char *expected) {
    size_t n = 0;
    const san_entry_t *sans = csr_sans(csr, &n);
    for (size_t i = 0; i < n; i++)
        if (!expected_has(expected, &sans[i]))
            return err_new(
                ERR_DENIED,
                "the request asks for the name %s:%s, which the challenge does not allow",
                pki_san_kind_name(sans[i].kind), sans[i].value);
    return NULL;
}
