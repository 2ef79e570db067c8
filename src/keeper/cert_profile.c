/*
 * The rules of certificate profiles: see cert_profile.h. Pure; any thread.
 */
#include "keeper/cert_profile.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum { SPKI_MAX = 8192 }; /* bytes; RSA-8192 has about 1.1 KB */

void cert_profiles_done(cert_profiles_t *profiles) {
    mem_free(profiles->items);
    *profiles = (cert_profiles_t){0};
}

const cert_profile_t *cert_profiles_find(const cert_profiles_t *profiles, const char *name) {
    for (size_t i = 0; i < profiles->n; i++)
        if (bytes_eq_str(bytes_str(name), profiles->items[i].name)) return &profiles->items[i];
    return NULL;
}

/* ---- names ---- */

static const char *const kind_names[] = {
    [SAN_EMAIL] = "email", [SAN_DNS] = "dns", [SAN_URI] = "uri",
    [SAN_UPN] = "upn",     [SAN_IP] = "ip",   [SAN_OTHER] = "other",
};

static err_t *read_name(bytes_t field, arena_t *arena, san_entry_t *ret_name) {
    size_t colon = bytes_find(field, ':');
    bytes_t kind = bytes_slice(field, 0, colon), value = bytes_from(field, colon + 1), copy;
    if (value.n == 0 || !text_printable(value))
        return err_new(ERR_INVALID, "a name is not of the form kind:value");
    for (int k = SAN_EMAIL; k < SAN_OTHER; k++) {
        if (!bytes_eq_str(kind, kind_names[k])) continue;
        TRY(arena_copy(arena, value, &copy));
        *ret_name = (san_entry_t){(san_kind_t)k, (const char *)copy.p};
        return NULL;
    }
    return err_new(ERR_INVALID, "a name is of an unknown kind");
}

err_t *cert_profile_names(bytes_t text, arena_t *arena, const san_entry_t **ret_names,
                          size_t *ret_n) {
    bytes_t rest = text, field;
    size_t count = 0, n = 0;
    while (text_split(&rest, ' ', &field)) count += field.n != 0;
    if (count > LIMIT_SAN_ENTRIES)
        return err_new(ERR_LIMIT, "more than %d names", LIMIT_SAN_ENTRIES);
    san_entry_t *names = NULL;
    if (count) TRY(arena_alloc(arena, count * sizeof *names, &names));
    rest = text;
    while (text_split(&rest, ' ', &field))
        if (field.n) TRY(read_name(field, arena, &names[n++]));
    *ret_names = names;
    *ret_n = n;
    return NULL;
}

/* ---- the key ---- */

/* Takes one DER element of this tag off the front (X.690 section 8.1; definite lengths). */
static bool der_take(bytes_t *rest, uint8_t tag, bytes_t *ret_content) {
    if (rest->n < 2 || rest->p[0] != tag) return false;
    size_t length = rest->p[1], head = 2;
    if (length & 0x80) {
        size_t more = length & 0x7f;
        if (more == 0 || more > 3 || rest->n < 2 + more) return false;
        length = 0;
        for (size_t i = 0; i < more; i++) length = length << 8 | rest->p[2 + i];
        head += more;
    }
    if (length > rest->n - head) return false;
    *ret_content = bytes_slice(*rest, head, length);
    *rest = bytes_from(*rest, head + length);
    return true;
}

/* RSAPublicKey (RFC 8017 appendix A.1.1) in a SubjectPublicKeyInfo: an odd exponent beyond 1. */
static bool rsa_exponent_good(bytes_t spki) {
    enum { SEQUENCE = 0x30, INTEGER = 0x02, BIT_STRING = 0x03 };
    bytes_t outer, algorithm, bits, key, modulus, e;
    if (!der_take(&spki, SEQUENCE, &outer) || !der_take(&outer, SEQUENCE, &algorithm) ||
        !der_take(&outer, BIT_STRING, &bits) || bits.n < 1)
        return false;
    bits = bytes_from(bits, 1);
    if (!der_take(&bits, SEQUENCE, &key) || !der_take(&key, INTEGER, &modulus) ||
        !der_take(&key, INTEGER, &e) || e.n == 0)
        return false;
    bool more_than_one = false;
    for (size_t i = 0; i < e.n; i++) more_than_one |= i + 1 < e.n ? e.p[i] != 0 : e.p[i] > 1;
    return (e.p[0] & 0x80) == 0 && (e.p[e.n - 1] & 1) == 1 && more_than_one;
}

static err_t *check_rsa(const cert_profile_t *profile, const pkey_t *key) {
    if (!profile->rsa_max)
        return err_new(ERR_DENIED, "profile %s, rule keys: no RSA key", profile->name);
    unsigned bits = pkey_bits(key);
    if (bits < profile->rsa_min || bits > profile->rsa_max)
        return err_new(ERR_DENIED, "profile %s, rule keys: an RSA key of %u bits is not in %u-%u",
                       profile->name, bits, profile->rsa_min, profile->rsa_max);
    CLEANUP(buf_done) buf_t spki;
    buf_init(&spki, SPKI_MAX);
    TRY(pkey_public_der(key, &spki));
    if (!rsa_exponent_good(buf_bytes(&spki)))
        return err_new(ERR_DENIED, "profile %s, rule keys: the RSA exponent is weak",
                       profile->name);
    return NULL;
}

err_t *cert_profile_check_key(const cert_profile_t *profile, const pkey_t *key) {
    bool allowed = false;
    switch (pkey_kind(key)) {
    case PKEY_RSA: return check_rsa(profile, key);
    case PKEY_P256: allowed = profile->p256; break;
    case PKEY_P384: allowed = profile->p384; break;
    case PKEY_ED25519:
    case PKEY_X25519:
    case PKEY_OTHER: break;
    }
    if (allowed) return NULL;
    return err_new(ERR_DENIED, "profile %s, rule keys: no %s key", profile->name,
                   pkey_kind_name(pkey_kind(key)));
}

/* ---- the request ---- */

static err_t *check_subject(const cert_profile_t *profile, const csr_t *csr) {
    size_t n = 0;
    const name_entry_t *entries = csr_subject_entries(csr, &n);
    unsigned seen[CERT_PROFILE_ITEMS] = {0};
    for (size_t i = 0; i < n; i++) {
        bytes_t type = bytes_str(entries[i].type);
        size_t k = 0;
        while (k < profile->subject_n && !bytes_eq_str(type, profile->subject[k].type)) k++;
        if (k == profile->subject_n)
            return err_new(ERR_DENIED, "profile %s, rule subject: no %s", profile->name,
                           entries[i].type);
        if (entries[i].value[0] == '\0')
            return err_new(ERR_DENIED, "profile %s, rule subject: %s is empty", profile->name,
                           entries[i].type);
        seen[k]++;
        /* A second CN or UID could be read as another device's. */
        bool many = bytes_eq_str(type, "O") || bytes_eq_str(type, "OU") || bytes_eq_str(type, "DC");
        if (seen[k] > 1 && !many)
            return err_new(ERR_DENIED, "profile %s, rule subject: %s comes twice", profile->name,
                           entries[i].type);
    }
    for (size_t k = 0; k < profile->subject_n; k++)
        if (profile->subject[k].required && !seen[k])
            return err_new(ERR_DENIED, "profile %s, rule subject_required: %s is missing",
                           profile->name, profile->subject[k].type);
    return NULL;
}

static bool has_name(const san_entry_t *names, size_t names_n, const san_entry_t *wanted) {
    for (size_t i = 0; i < names_n; i++)
        if (names[i].kind == wanted->kind && bytes_eq_str(bytes_str(names[i].value), wanted->value))
            return true;
    return false;
}

static err_t *check_names(const cert_profile_t *profile, const csr_t *csr, const san_entry_t *names,
                          size_t names_n) {
    for (size_t i = 0; i < names_n; i++)
        if (!(profile->names & 1U << names[i].kind))
            return err_new(ERR_DENIED, "profile %s, rule names: no %s", profile->name,
                           kind_names[names[i].kind]);
    size_t n = 0;
    const san_entry_t *wanted = csr_sans(csr, &n);
    for (size_t i = 0; i < n; i++)
        if (!has_name(names, names_n, &wanted[i]))
            return err_new(ERR_DENIED, "profile %s, rule names: %s:%s was not granted",
                           profile->name, kind_names[wanted[i].kind], wanted[i].value);
    return NULL;
}

/* Extensions that clients send out of habit and that a certificate can do without. */
static const char *const harmless[] = {
    "1.3.6.1.4.1.311.20.2",   /* Microsoft: template's name */
    "1.3.6.1.4.1.311.21.7",   /* Microsoft: template */
    "1.3.6.1.4.1.311.21.10",  /* Microsoft: application policies */
    "1.2.840.113549.1.9.15",  /* S/MIME capabilities */
    "2.16.840.1.113730.1.1",  /* Netscape: certificate type */
    "2.16.840.1.113730.1.13", /* Netscape: comment */
    "2.5.29.35",              /* authority key identifier: ours to say */
};

static err_t *check_wishes(const cert_profile_t *profile, const csr_t *csr) {
    if (csr_wants_ca(csr))
        return err_new(ERR_DENIED, "profile %s, rule ca: never a CA certificate", profile->name);
    if (csr_key_usage(csr) & (KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN))
        return err_new(ERR_DENIED, "profile %s, rule key_usage: no certificate or CRL signing",
                       profile->name);
    size_t n = 0;
    const char *const *unknown = csr_unknown_extensions(csr, &n);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0, count = sizeof harmless / sizeof harmless[0];
        while (k < count && !bytes_eq_str(bytes_str(unknown[i]), harmless[k])) k++;
        if (k == count)
            return err_new(ERR_DENIED, "profile %s, rule extensions: %s is not for the asking",
                           profile->name, unknown[i]);
    }
    return NULL;
}

/* ---- mail ---- */

static bool domain_allowed(const cert_profile_t *profile, bytes_t mailbox) {
    bytes_t domain = bytes_from(mailbox, bytes_find(mailbox, '@') + 1);
    for (size_t i = 0; i < profile->mail_domains_n; i++)
        if (text_eq_fold(domain, bytes_str(profile->mail_domains[i]))) return true;
    return profile->mail_domains_n == 0;
}

static err_t *check_mailboxes(const cert_profile_t *profile, const san_entry_t *names,
                              size_t names_n) {
    size_t mailboxes = 0;
    for (size_t i = 0; i < names_n; i++) {
        if (names[i].kind != SAN_EMAIL) continue;
        mailboxes++;
        if (!domain_allowed(profile, bytes_str(names[i].value)))
            return err_new(ERR_DENIED, "profile %s, rule mail_domains: not for %s", profile->name,
                           names[i].value);
    }
    bool mail = profile->purpose == CERT_PROFILE_SIGN || profile->purpose == CERT_PROFILE_ENCRYPT;
    if (mail && !mailboxes)
        return err_new(ERR_DENIED, "profile %s, rule purpose: a mailbox must be named",
                       profile->name);
    return NULL;
}

err_t *cert_profile_usage(const cert_profile_t *profile, const pkey_t *key, unsigned *ret_usage) {
    unsigned usage = profile->key_usage;
    if (pkey_kind(key) == PKEY_RSA) usage &= ~(unsigned)KEY_USAGE_KEY_AGREEMENT;
    else usage &= ~(unsigned)(KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_DATA_ENCIPHERMENT);
    unsigned needed = KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_KEY_AGREEMENT;
    if (!usage || (profile->purpose == CERT_PROFILE_ENCRYPT && !(usage & needed)))
        return err_new(ERR_DENIED, "profile %s, rule key_usage: nothing in it is for a %s key",
                       profile->name, pkey_kind_name(pkey_kind(key)));
    *ret_usage = usage;
    return NULL;
}

err_t *cert_profile_check(const cert_profile_t *profile, const csr_t *csr, const san_entry_t *names,
                          size_t names_n) {
    TRY(cert_profile_check_key(profile, csr_key(csr)));
    TRY(check_wishes(profile, csr));
    TRY(check_subject(profile, csr));
    TRY(check_names(profile, csr, names, names_n));
    return check_mailboxes(profile, names, names_n);
}
