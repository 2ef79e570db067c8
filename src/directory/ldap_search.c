/*
 * Searching (RFC 4511 section 4.5) page by page (RFC 2696), entry by entry, within limits.
 * coffer-courier's workers.
 */
#include "base/arena.h"
#include "base/limits.h"
#include "directory/ldap_internal.h"

/* ---- entries ---- */

static bool same_attr(const char *have, const char *wanted) {
    bytes_t a = bytes_str(have), b = bytes_str(wanted);
    a.n = bytes_find(a, ';');
    b.n = bytes_find(b, ';');
    return text_eq_fold(a, b);
}

const ldapconn_attr_t *ldapconn_attr(const ldapconn_entry_t *entry, const char *name) {
    for (size_t i = 0; i < entry->n; i++)
        if (same_attr(entry->attrs[i].name, name) && entry->attrs[i].n) return &entry->attrs[i];
    return NULL;
}

static err_t *copy_text(arena_t *arena, const char *text, const char **ret_copy) {
    bytes_t copy;
    TRY(arena_copy(arena, bytes_str(text), &copy));
    *ret_copy = (const char *)copy.p;
    return NULL;
}

static err_t *read_values(arena_t *arena, struct berval **values, ldapconn_attr_t *attr) {
    size_t n = (size_t)ldap_count_values_len(values);
    bytes_t *copies = NULL;
    if (n > LIMIT_LDAP_VALUES)
        return err_new(ERR_LIMIT, "%s has over %d values", attr->name, LIMIT_LDAP_VALUES);
    TRY(arena_alloc(arena, (n + 1) * sizeof *copies, &copies));
    for (size_t i = 0; i < n; i++) {
        bytes_t value = bytes_make(values[i]->bv_val, values[i]->bv_len);
        if (value.n > LIMIT_LDAP_VALUE)
            return err_new(ERR_LIMIT, "a value of %s has over %d bytes", attr->name,
                           LIMIT_LDAP_VALUE);
        TRY(arena_copy(arena, value, &copies[i]));
    }
    attr->values = copies;
    attr->n = n;
    return NULL;
}

static err_t *read_attrs(ldapconn_t *conn, LDAPMessage *message, arena_t *arena,
                         ldapconn_entry_t *entry) {
    ldapconn_attr_t *attrs = NULL;
    BerElement *ber = NULL;
    err_t *e = NULL;
    TRY(arena_alloc(arena, LIMIT_LDAP_ATTRIBUTES * sizeof *attrs, &attrs));
    for (char *name = ldap_first_attribute(conn->ld, message, &ber); name && !e;) {
        if (entry->n == LIMIT_LDAP_ATTRIBUTES)
            e = err_new(ERR_LIMIT, "an entry has over %d attributes", LIMIT_LDAP_ATTRIBUTES);
        struct berval **values = e ? NULL : ldap_get_values_len(conn->ld, message, name);
        if (!e) e = copy_text(arena, name, &attrs[entry->n].name);
        if (!e && values) e = read_values(arena, values, &attrs[entry->n++]);
        ldap_value_free_len(values);
        ldap_memfree(name);
        name = e ? NULL : ldap_next_attribute(conn->ld, message, ber);
    }
    if (ber) ber_free(ber, 0);
    entry->attrs = attrs;
    return e;
}

static err_t *hand_out(ldapconn_t *conn, LDAPMessage *message, ldapconn_each_t *each, void *ctx) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    ldapconn_entry_t entry = {0};
    TRY(arena_new(LIMIT_LDAP_ENTRY, &arena));
    char *dn = ldap_get_dn(conn->ld, message);
    if (!dn) return err_new(ERR_INVALID, "an entry without a name");
    err_t *e = strlen(dn) > LIMIT_LDAP_DN
                   ? err_new(ERR_LIMIT, "an entry's name has over %d bytes", LIMIT_LDAP_DN)
                   : copy_text(arena, dn, &entry.dn);
    ldap_memfree(dn);
    if (e) return e;
    TRY_WRAP(read_attrs(conn, message, arena, &entry), "%s", entry.dn);
    return each(ctx, &entry);
}

/* ---- pages ---- */

typedef struct {
    ldapconn_t *conn;
    const ldapconn_search_t *search;
    ldapconn_each_t *each;
    void *ctx;
    int64_t deadline_ms;
    size_t entries, pages;
    struct berval cookie; /* libldap's memory; empty at the end */
} walk_t;

static void walk_done(walk_t *walk) { ldap_memfree(walk->cookie.bv_val); }
static void walk_done_p(walk_t *walk) { walk_done(walk); }

static err_t *send_page(walk_t *walk, int *ret_id) {
    const ldapconn_search_t *s = walk->search;
    LDAPControl *page = NULL;
    LDAP *ld = walk->conn->ld;
    bool paged = s->scope == LDAPCONN_SUBTREE;
    int scope = paged ? LDAP_SCOPE_SUBTREE : LDAP_SCOPE_BASE, id = -1;
    if (paged) {
        int rc = ldap_create_page_control(ld, (ber_int_t)walk->conn->o.page_size, &walk->cookie, 0,
                                          &page);
        if (rc != LDAP_SUCCESS) return ldapconn_error(walk->conn, rc, "search");
    }
    LDAPControl *controls[] = {page, NULL};
    int rc = ldap_search_ext(ld, s->base, scope, s->filter, (char **)(uintptr_t)s->attrs, 0,
                             paged ? controls : NULL, NULL, NULL, LDAP_NO_LIMIT, &id);
    ldap_control_free(page);
    if (rc != LDAP_SUCCESS) return ldapconn_error(walk->conn, rc, "search");
    *ret_id = id;
    return NULL;
}

static err_t *take_cookie(walk_t *walk, LDAPControl **controls) {
    LDAPControl *page = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
    ldap_memfree(walk->cookie.bv_val);
    walk->cookie = (struct berval){0};
    if (!page) return NULL;
    ber_int_t estimate = 0;
    int rc = ldap_parse_pageresponse_control(walk->conn->ld, page, &estimate, &walk->cookie);
    return rc == LDAP_SUCCESS ? NULL
                              : err_new(ERR_UNAVAILABLE, "search: a page's end is malformed");
}

static err_t *end_page(walk_t *walk, LDAPMessage *message) {
    int code = LDAP_OTHER;
    LDAPControl **controls = NULL;
    char *words = NULL;
    int rc = ldap_parse_result(walk->conn->ld, message, &code, NULL, &words, NULL, &controls, 0);
    ldap_memfree(words);
    err_t *e = NULL;
    if (rc != LDAP_SUCCESS) e = err_new(ERR_UNAVAILABLE, "search: the answer makes no sense");
    else if (code == LDAP_REFERRAL)
        e = err_new(ERR_UNAVAILABLE, "search: the server refers to another one, which is not "
                                     "followed: check [ldap] base");
    else if (code != LDAP_SUCCESS) e = ldapconn_error(walk->conn, code, "search");
    else e = take_cookie(walk, controls);
    ldap_controls_free(controls);
    return e;
}

static err_t *one_page(walk_t *walk) {
    int id = -1;
    err_t *e = NULL;
    TRY(send_page(walk, &id));
    for (bool more = true; more && !e;) {
        CLEANUP(ldapconn_message_free) LDAPMessage *message = NULL;
        e = ldapconn_wait(walk->conn, id, walk->deadline_ms, "search", &message);
        if (e) return e; /* abandoned already */
        switch (ldap_msgtype(message)) {
        case LDAP_RES_SEARCH_ENTRY:
            if (++walk->entries > walk->search->max)
                e = err_new(ERR_LIMIT, "the directory sends more than %zu entries",
                            walk->search->max);
            else e = hand_out(walk->conn, message, walk->each, walk->ctx);
            break;
        case LDAP_RES_SEARCH_RESULT:
            more = false;
            e = end_page(walk, message);
            break;
        default: break; /* a continuation reference, an intermediate response */
        }
    }
    if (e) (void)ldap_abandon_ext(walk->conn->ld, id, NULL, NULL);
    return e;
}

err_t *ldapconn_search(ldapconn_t *conn, const ldapconn_search_t *search, ldapconn_each_t *each,
                       void *ctx) {
    int64_t total = search->total_ms ? search->total_ms : 2 * conn->o.timeout_ms;
    CLEANUP(walk_done)
    walk_t walk = {.conn = conn,
                   .search = search,
                   .each = each,
                   .ctx = ctx,
                   .deadline_ms = clk_mono_ms(clk_real()) + total};
    do {
        if (++walk.pages > LIMIT_LDAP_PAGES)
            return err_new(ERR_LIMIT, "the directory sends more than %d pages", LIMIT_LDAP_PAGES);
        TRY(one_page(&walk));
    } while (walk.cookie.bv_len);
    return NULL;
}
