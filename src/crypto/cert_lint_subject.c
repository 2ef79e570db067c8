/*
 * The linter's rules of the S/MIME Baseline Requirements for the subject (section 7.1.4.2): which
 * attributes a type of certificate has, and what stands in them. Pure; any thread.
 */
#include "base/text.h"
#include "crypto/cert_lint_internal.h"

enum { ENTRIES = LIMIT_SUBJECT_ENTRIES, OTHERS = 1U << LINT_OTHER };

#define BIT(kind) (1U << (kind))

typedef struct {
    lint_t *x;
    lint_type_t type;
    lint_entry_t entries[ENTRIES];
    size_t n;
    unsigned there; /* BIT(kind) */
} subject_t;

/* ---- which attributes ---- */

static unsigned allowed(lint_type_t type, cert_lint_rules_t rules) {
    const unsigned all = BIT(LINT_CN) | BIT(LINT_SERIAL_NUMBER) | BIT(LINT_EMAIL);
    const unsigned place = BIT(LINT_L) | BIT(LINT_ST) | BIT(LINT_C);
    const unsigned street = BIT(LINT_STREET) | BIT(LINT_POSTAL_CODE);
    const unsigned organisation = BIT(LINT_O) | BIT(LINT_OU) | BIT(LINT_ORGANIZATION_ID);
    const unsigned person =
        BIT(LINT_GIVEN_NAME) | BIT(LINT_SURNAME) | BIT(LINT_PSEUDONYM) | BIT(LINT_TITLE);
    const unsigned rest = rules == CERT_LINT_SMIME_STRICT ? 0 : street;
    /* "Other" attributes are all that the table doesn't name. */
    const unsigned other = rules == CERT_LINT_SMIME_LEGACY
                               ? OTHERS | BIT(LINT_NAME) | BIT(LINT_INITIALS) |
                                     BIT(LINT_GENERATION) | BIT(LINT_DN_QUALIFIER) | BIT(LINT_DC) |
                                     BIT(LINT_UID)
                               : 0;
    switch (type) {
    case LINT_TYPE_NONE: return ~0U; /* the missing policy is complained of already */
    case LINT_MAILBOX: return all;
    case LINT_ORGANIZATION: return all | organisation | place | rest | other;
    case LINT_SPONSOR: return all | organisation | person | place | rest | other;
    case LINT_INDIVIDUAL: return all | person | place | rest | other;
    }
    return ~0U;
}

static void lint_missing(const subject_t *s) {
    const unsigned organisation = BIT(LINT_O) | BIT(LINT_ORGANIZATION_ID);
    const unsigned name = BIT(LINT_GIVEN_NAME) | BIT(LINT_SURNAME) | BIT(LINT_PSEUDONYM);
    bool organised = s->type == LINT_ORGANIZATION || s->type == LINT_SPONSOR;
    bool person = s->type == LINT_SPONSOR || s->type == LINT_INDIVIDUAL;
    bool legacy = s->x->rules == CERT_LINT_SMIME_LEGACY;
    if (organised && (s->there & organisation) != organisation)
        lint_say(s->x, LINT_smbr_attribute_missing, "%s",
                 s->there & BIT(LINT_O) ? "organizationIdentifier" : "organizationName");
    if (person && !(s->there & name) && !(legacy && (s->there & BIT(LINT_CN))))
        lint_say(s->x, LINT_smbr_attribute_missing, "givenName, surname or pseudonym");
}

static void lint_attributes(const subject_t *s) {
    unsigned may = allowed(s->type, s->x->rules);
    char text[LINT_OID_TEXT];
    for (size_t i = 0; i < s->n; i++) {
        lint_attribute_t kind = s->entries[i].kind;
        if (may & BIT(kind)) continue;
        lint_say(s->x, LINT_smbr_attribute, "%s",
                 kind == LINT_OTHER ? lint_oid(s->entries[i].oid, text)
                                    : lint_attribute_name(kind));
    }
    lint_missing(s);
}

/* ---- what stands in them ---- */

/* RFC 5280 section 7.5: the local part to the letter, the domain in any case. */
static bool same_mailbox(bytes_t a, bytes_t b) {
    size_t at = bytes_find(a, '@');
    return a.n == b.n && bytes_eq(bytes_slice(a, 0, at), bytes_slice(b, 0, at)) &&
           text_eq_fold(a, b);
}

static bool in_san(const lint_t *x, bytes_t mailbox) {
    bytes_t names = lint_san(x), oid;
    der_t name, value;
    while (names.n && der_next(&names, &name)) {
        if (name.tag == (DER_CONTEXT | 1) && same_mailbox(name.content, mailbox)) return true;
        if (name.tag == (DER_CONTEXT_CONSTRUCTED | 0) &&
            lint_other_name(name.content, &oid, &value) && LINT_IS(oid, LINT_OID_UTF8MB) &&
            same_mailbox(value.content, mailbox))
            return true;
    }
    return false;
}

static bool has_value(const subject_t *s, lint_attribute_t kind, bytes_t value) {
    for (size_t i = 0; i < s->n; i++)
        if (s->entries[i].kind == kind && bytes_eq(s->entries[i].value, value)) return true;
    return false;
}

/* Whether a commonName is a person's name is for people to say; what can be told is told. */
static bool common_name_good(const subject_t *s, bytes_t value) {
    if (bytes_find(value, '@') < value.n) return in_san(s->x, value);
    switch (s->type) {
    case LINT_MAILBOX: return false;
    case LINT_ORGANIZATION: return has_value(s, LINT_O, value);
    case LINT_SPONSOR:
    case LINT_INDIVIDUAL:
        return !(s->there & BIT(LINT_PSEUDONYM)) || has_value(s, LINT_PSEUDONYM, value);
    case LINT_TYPE_NONE: return true;
    }
    return true;
}

static bool only_metadata(bytes_t value) {
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != '.' && value.p[i] != '-' && value.p[i] != ' ') return false;
    return value.n > 0;
}

static bool is_upper(uint8_t c) { return c >= 'A' && c <= 'Z'; }
static bool is_upper_digit(uint8_t c) { return is_upper(c) || (c >= '0' && c <= '9'); }

/* "NTRUS+CA-1234", "VATDE-1234", "GOVUS", "INTXG": section 7.1.4.2.2 d. */
static bool organization_id_good(bytes_t value) {
    enum { HEAD = 5, SUBDIVISION = 3 };
    bytes_t rest = bytes_from(value, HEAD);
    if (value.n < HEAD) return false;
    for (size_t i = 0; i < HEAD; i++)
        if (i < 3 ? !is_upper_digit(value.p[i]) : !is_upper(value.p[i])) return false;
    if (rest.n && rest.p[0] == '+') {
        size_t n = 1;
        while (n < rest.n && n <= SUBDIVISION && is_upper_digit(rest.p[n])) n++;
        if (n == 1) return false;
        rest = bytes_from(rest, n);
    }
    if (bytes_starts(value, BYTES_LIT("GOV")) || bytes_starts(value, BYTES_LIT("INT")))
        return rest.n == 0;
    return rest.n > 1 && rest.p[0] == '-';
}

static void lint_value(const subject_t *s, const lint_entry_t *entry) {
    lint_t *x = s->x;
    bytes_t value = entry->value;
    const char *name = lint_attribute_name(entry->kind);
    if (only_metadata(value)) lint_say(x, LINT_smbr_metadata, "%s", name);
    if ((entry->kind == LINT_EMAIL || entry->kind == LINT_CN) && bytes_find(value, '@') < value.n &&
        !in_san(x, value))
        lint_say(x, LINT_smbr_mailbox_repeated, "%s", name);
    if (entry->kind == LINT_CN && !common_name_good(s, value))
        lint_say(x, LINT_smbr_common_name, NULL);
    if (entry->kind == LINT_C && (value.n != 2 || !is_upper(value.p[0]) || !is_upper(value.p[1])))
        lint_say(x, LINT_smbr_country, NULL);
    if (entry->kind == LINT_ORGANIZATION_ID && !organization_id_good(value))
        lint_say(x, LINT_smbr_organization_id, NULL);
}

static void lint_together(const subject_t *s) {
    lint_t *x = s->x;
    const unsigned place = BIT(LINT_L) | BIT(LINT_ST),
                   named = BIT(LINT_GIVEN_NAME) | BIT(LINT_SURNAME);
    size_t mailboxes = 0;
    for (size_t i = 0; i < s->n; i++) mailboxes += s->entries[i].kind == LINT_EMAIL;
    if (mailboxes > 1) lint_say(x, LINT_smbr_email_address, NULL);
    if ((s->there & BIT(LINT_PSEUDONYM)) && (s->there & named))
        lint_say(x, LINT_smbr_pseudonym, NULL);
    if ((s->there & (BIT(LINT_STREET) | BIT(LINT_POSTAL_CODE))) && !(s->there & place))
        lint_say(x, LINT_smbr_location, "street or postal code");
    if ((s->there & place) && !(s->there & BIT(LINT_C)))
        lint_say(x, LINT_smbr_location, "locality or state");
}

void lint_smime_subject(lint_t *x, lint_type_t type) {
    subject_t s;
    bytes_t name = x->subject, set = BYTES_NONE;
    s.x = x;
    s.type = type;
    s.n = 0;
    s.there = 0;
    while (s.n < ENTRIES && (name.n || set.n) && lint_entry_next(&name, &set, &s.entries[s.n]))
        s.there |= BIT(s.entries[s.n++].kind);
    lint_attributes(&s);
    for (size_t i = 0; i < s.n; i++) lint_value(&s, &s.entries[i]);
    lint_together(&s);
}
