/*
 * Certificates in people's directory entries: userCertificate (RFC 4523 section 4) and
 * userSMIMECertificate (RFC 2798 section 2.8), found and published. coffer-courier's workers.
 */
#include "base/limits.h"
#include "crypto/cms.h"
#include "directory/ldap_people_internal.h"
#include "format/conf.h"

static bool is_bundle(bytes_t attribute) {
    attribute.n = bytes_find(attribute, ';');
    return text_eq_fold(attribute, BYTES_LIT("userSMIMECertificate"));
}

/* An attribute of the list as a C string. */
static err_t *attribute_text(bytes_t attribute, char ret_text[64]) {
    if (attribute.n >= 64) return err_new(ERR_LIMIT, "an attribute's name is too long");
    bytes_put(ret_text, attribute);
    ret_text[attribute.n] = '\0';
    return NULL;
}

/* ---- finding ---- */

typedef struct {
    const ldappeople_t *people;
    bytes_t mail;
    cert_list_t *list;
} found_t;

static err_t *add_once(cert_list_t *list, const cert_t *cert) {
    for (size_t i = 0; i < list->n; i++)
        if (cert_same(list->certs[i], cert)) return NULL;
    return list->n < LIMIT_LDAP_CERTIFICATES ? cert_list_add(list, cert) : NULL;
}

static err_t *add_certificate(cert_list_t *list, bytes_t der) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(cert_parse_der(der, &cert));
    return add_once(list, cert);
}

/* Of a bundle only what is no CA's: the first certificate need not be the person's. */
static err_t *add_bundle(cert_list_t *list, bytes_t cms) {
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    TRY(cms_parse_certs(cms, &certs));
    for (size_t i = 0; i < certs.n; i++)
        if (!cert_is_ca(certs.certs[i])) TRY(add_once(list, certs.certs[i]));
    return NULL;
}

static bool has_mail(const found_t *found, const ldapconn_entry_t *entry) {
    const ldapconn_attr_t *mail = ldapconn_attr(entry, found->people->o.mail_attribute);
    for (size_t i = 0; mail && i < mail->n; i++)
        if (text_eq_fold(mail->values[i], found->mail)) return true;
    return false;
}

/* What does not parse is passed over: others write there too. */
static err_t *take_certificates(void *ctx, const ldapconn_entry_t *entry) {
    found_t *found = ctx;
    static const char *const names[] = {"userCertificate", "userSMIMECertificate"};
    if (!has_mail(found, entry)) return NULL;
    for (size_t k = 0; k < 2; k++) {
        const ldapconn_attr_t *attr = ldapconn_attr(entry, names[k]);
        for (size_t i = 0; attr && i < attr->n; i++) {
            err_t *e = k ? add_bundle(found->list, attr->values[i])
                         : add_certificate(found->list, attr->values[i]);
            if (e && err_code(e) == ERR_NOMEM) return e;
            err_free(e);
        }
    }
    return NULL;
}

err_t *ldappeople_certificates(ldappeople_t *people, bytes_t mail, cert_list_t *list) {
    enum { ENTRIES = 16 };
    static const char *const wanted[] = {"userCertificate;binary", "userCertificate",
                                         "userSMIMECertificate;binary", "userSMIMECertificate"};
    const char *const attrs[] = {
        wanted[0], wanted[1], wanted[2], wanted[3], people->o.mail_attribute, NULL};
    CLEANUP(ldapconn_free) ldapconn_t *conn = NULL;
    CLEANUP(buf_done) buf_t filter;
    const char *text = NULL;
    found_t found = {people, mail, list};
    buf_init(&filter, LIMIT_LDAP_FILTER);
    TRY(ldappeople_filter(people, bytes_str(people->o.mail_attribute), mail, &filter));
    TRY(buf_cstr(&filter, &text));
    TRY(ldappeople_open(people, &conn));
    const ldapconn_search_t search = {.base = people->o.user_base,
                                      .scope = LDAPCONN_SUBTREE,
                                      .filter = text,
                                      .attrs = attrs,
                                      .max = ENTRIES};
    return ldapconn_search(conn, &search, take_certificates, &found);
}

/* ---- publishing ---- */

typedef struct {
    arena_t *arena;
    const char *dn;
    size_t count;
} where_t;

static err_t *take_dn(void *ctx, const ldapconn_entry_t *entry) {
    where_t *where = ctx;
    bytes_t copy;
    where->count++;
    TRY(arena_copy(where->arena, bytes_str(entry->dn), &copy));
    where->dn = (const char *)copy.p;
    return NULL;
}

/* Where the entry is now: people move. */
static err_t *find_entry(ldappeople_t *people, ldapconn_t *conn, const char *external_id,
                         where_t *where) {
    static const char *const attrs[] = {"1.1", NULL};
    CLEANUP(buf_done) buf_t filter;
    const char *text = NULL;
    bool under = false;
    buf_init(&filter, LIMIT_LDAP_FILTER);
    TRY(ldappeople_filter_id(people, external_id, &filter));
    TRY(buf_cstr(&filter, &text));
    const ldapconn_search_t search = {.base = people->o.user_base,
                                      .scope = LDAPCONN_SUBTREE,
                                      .filter = text,
                                      .attrs = attrs,
                                      .max = 2};
    TRY(ldapconn_search(conn, &search, take_dn, where));
    if (where->count == 0) return err_new(ERR_NOT_FOUND, "the person is not in the directory");
    if (where->count > 1) return err_new(ERR_INVALID, "the directory has one id twice");
    TRY(ldaptext_dn_under(bytes_str(where->dn), bytes_str(people->o.user_base), &under));
    if (!under) return err_new(ERR_INVALID, "%s is not beneath [ldap] user_base", where->dn);
    return NULL;
}

err_t *ldappeople_publish(ldappeople_t *people, const char *external_id, bytes_t der,
                          bytes_t bundle, bool add, bool *ret_changed) {
    CLEANUP(ldapconn_free) ldapconn_t *conn = NULL;
    CLEANUP(arena_free) arena_t *arena = NULL;
    bytes_t attributes = people->o.certificate_attributes, attribute;
    bool changed = false;
    TRY(arena_new(LDAPPEOPLE_ARENA, &arena));
    where_t where = {.arena = arena};
    TRY(ldappeople_open(people, &conn));
    TRY(find_entry(people, conn, external_id, &where));
    while (conf_list_next(&attributes, &attribute)) {
        char name[64];
        bool one = false;
        TRY(attribute_text(attribute, name));
        TRY_WRAP(
            ldapconn_change(conn, where.dn, name, is_bundle(attribute) ? bundle : der, add, &one),
            "%s of %s", name, where.dn);
        changed = changed || one;
    }
    *ret_changed = changed;
    return NULL;
}
