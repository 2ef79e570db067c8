/*
 * Changing one value of an attribute (RFC 4511 section 4.6) and nothing else. coffer-courier's
 * worker.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "directory/ldap_internal.h"

static const char CHANGE[] = "change";

static err_t *modify(ldapconn_t *conn, const char *dn, LDAPMod *mod, LDAPControl *condition,
                     int *ret_code) {
    LDAPMod *mods[] = {mod, NULL};
    LDAPControl *controls[] = {condition, NULL};
    int id = -1;
    int rc = ldap_modify_ext(conn->ld, dn, mods, condition ? controls : NULL, NULL, &id);
    if (rc != LDAP_SUCCESS) return ldapconn_error(conn, rc, CHANGE);
    return ldapconn_result(conn, id, CHANGE, ret_code);
}

/* ---- attributes without an equality rule ---- */

typedef struct {
    const char *attr;
    bytes_t value; /* to add, or to leave out */
    bool add;
    struct berval **values; /* the new ones */
    size_t n;
    bool had;      /* value was there */
    char csn[128]; /* the entry's change number, or "" */
} rewrite_t;

static void rewrite_done_p(rewrite_t *r) {
    for (size_t i = 0; i < r->n; i++) mem_free(r->values[i]);
    mem_free(r->values);
}

static err_t *keep(rewrite_t *r, bytes_t value) {
    struct berval *copy = mem_alloc(sizeof *copy + value.n + 1);
    if (!copy) return err_nomem();
    copy->bv_len = value.n;
    copy->bv_val = (char *)(copy + 1);
    bytes_put(copy->bv_val, value);
    r->values[r->n++] = copy;
    return NULL;
}

static err_t *read_old(void *ctx, const ldapconn_entry_t *entry) {
    rewrite_t *r = ctx;
    const ldapconn_attr_t *have = ldapconn_attr(entry, r->attr);
    const ldapconn_attr_t *csn = ldapconn_attr(entry, "entryCSN");
    size_t n = have ? have->n : 0;
    if (r->values) return err_new(ERR_INVALID, "the directory answers twice for one name");
    r->values = mem_array(n + 2, sizeof(struct berval *));
    if (!r->values) return err_nomem();
    for (size_t i = 0; i < n; i++) {
        bool ours = bytes_eq(have->values[i], r->value);
        r->had = r->had || ours;
        if (!ours) TRY(keep(r, have->values[i]));
    }
    if (r->add) TRY(keep(r, r->value));
    if (csn && csn->values[0].n < sizeof r->csn) bytes_put(r->csn, csn->values[0]);
    return NULL;
}

/* Only while the entry is as it was read (RFC 4528); servers without entryCSN get no condition. */
static err_t *make_condition(ldapconn_t *conn, const rewrite_t *r, LDAPControl **ret_control) {
    if (!r->csn[0]) return NULL;
    CLEANUP(buf_done) buf_t filter;
    const char *text = NULL;
    buf_init(&filter, 1024);
    TRY(buf_add_str(&filter, "(entryCSN="));
    TRY(ldaptext_filter_value(bytes_str(r->csn), &filter));
    TRY(buf_add_str(&filter, ")"));
    TRY(buf_cstr(&filter, &text));
    int rc = ldap_create_assertion_control(conn->ld, (char *)(uintptr_t)text, 1, ret_control);
    return rc == LDAP_SUCCESS ? NULL : ldapconn_error(conn, rc, CHANGE);
}

static err_t *rewrite(ldapconn_t *conn, const char *dn, const char *attr, bytes_t value, bool add,
                      bool *ret_changed) {
    const char *const attrs[] = {attr, "entryCSN", NULL};
    const ldapconn_search_t search = {
        .base = dn, .scope = LDAPCONN_BASE, .filter = "(objectClass=*)", .attrs = attrs, .max = 1};
    CLEANUP(rewrite_done) rewrite_t r = {.attr = attr, .value = value, .add = add};
    TRY(ldapconn_search(conn, &search, read_old, &r));
    if (!r.values) return err_new(ERR_NOT_FOUND, "there is no %s in the directory", dn);
    if (r.had == add) {
        *ret_changed = false;
        return NULL;
    }
    LDAPControl *condition = NULL;
    int code = LDAP_OTHER;
    TRY(make_condition(conn, &r, &condition));
    LDAPMod mod = {.mod_op = LDAP_MOD_REPLACE | LDAP_MOD_BVALUES,
                   .mod_type = (char *)(uintptr_t)attr,
                   .mod_vals.modv_bvals = r.values};
    err_t *e = modify(conn, dn, &mod, condition, &code);
    ldap_control_free(condition);
    if (e) return e;
    if (code == LDAP_ASSERTION_FAILED)
        return err_new(ERR_BUSY, "%s was changed by somebody else meanwhile", dn);
    if (code != LDAP_SUCCESS) return ldapconn_error(conn, code, CHANGE);
    *ret_changed = true;
    return NULL;
}

err_t *ldapconn_change(ldapconn_t *conn, const char *dn, const char *attr, bytes_t value, bool add,
                       bool *ret_changed) {
    struct berval one = {.bv_len = value.n, .bv_val = (char *)(uintptr_t)value.p};
    struct berval *values[] = {&one, NULL};
    LDAPMod mod = {.mod_op = (add ? LDAP_MOD_ADD : LDAP_MOD_DELETE) | LDAP_MOD_BVALUES,
                   .mod_type = (char *)(uintptr_t)attr,
                   .mod_vals.modv_bvals = values};
    int code = LDAP_OTHER;
    TRY(modify(conn, dn, &mod, NULL, &code));
    switch (code) {
    case LDAP_SUCCESS: *ret_changed = true; return NULL;
    case LDAP_TYPE_OR_VALUE_EXISTS:
    case LDAP_NO_SUCH_ATTRIBUTE: *ret_changed = false; return NULL;
    case LDAP_INAPPROPRIATE_MATCHING: return rewrite(conn, dn, attr, value, add, ret_changed);
    default: return ldapconn_error(conn, code, CHANGE);
    }
}
