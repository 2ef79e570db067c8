/*
 * People in an LDAP directory: see ldap_people.h. coffer-courier's workers.
 */
#include "directory/ldap_people.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "directory/directory.h"
#include "directory/ldap_people_internal.h"
#include "format/conf.h"

/* ---- lifecycle ---- */

bool ldappeople_next_dn(bytes_t *list, bytes_t *ret_dn) {
    while (list->n) {
        size_t end = 0;
        while (end < list->n && list->p[end] != ';') end += list->p[end] == '\\' ? 2 : 1;
        bytes_t dn = text_trim(bytes_slice(*list, 0, end));
        *list = bytes_from(*list, end + 1);
        if (dn.n == 0) continue;
        *ret_dn = dn;
        return true;
    }
    return false;
}

static err_t *check_dn(const char *what, bytes_t dn) {
    CLEANUP(buf_done) buf_t folded;
    buf_init(&folded, 8 * LIMIT_LDAP_DN);
    TRY_WRAP(ldaptext_dn_fold(dn, &folded), "coffer.conf: [ldap] %s", what);
    return NULL;
}

static err_t *check_groups(const char *what, const char *groups) {
    bytes_t list = bytes_str(groups), dn;
    for (size_t n = 0; ldappeople_next_dn(&list, &dn); n++) {
        if (n == LIMIT_LDAP_ROLE_GROUPS)
            return err_new(ERR_LIMIT, "coffer.conf: [ldap] %s has over %d groups", what,
                           LIMIT_LDAP_ROLE_GROUPS);
        TRY(check_dn(what, dn));
    }
    return NULL;
}

static err_t *check_filter(const char *what, const char *filter) {
    if (ldaptext_filter_whole(bytes_str(filter))) return NULL;
    return err_new(ERR_INVALID,
                   "coffer.conf: [ldap] %s is one filter in parentheses, like "
                   "(objectClass=inetOrgPerson)",
                   what);
}

static err_t *check(const ldappeople_options_t *o) {
    bytes_t urls = o->conn.urls, text;
    size_t n = 0;
    for (; conf_list_next(&urls, &text); n++) {
        ldaptext_url_t url;
        TRY_WRAP(ldaptext_url(text, &url), "coffer.conf: [ldap] url");
        if (url.tls || o->conn.starttls) continue;
        if (!o->conn.insecure || !ldaptext_is_loopback(&url))
            return err_new(ERR_INVALID,
                           "coffer.conf: [ldap] url: %.*s has no TLS: write ldaps:// or starttls "
                           "= yes (insecure = yes is for this machine alone)",
                           (int)text.n, (const char *)text.p);
    }
    if (n == 0 || n > LIMIT_LDAP_URLS)
        return err_new(ERR_INVALID, "coffer.conf: [ldap] url names 1 to %d servers",
                       LIMIT_LDAP_URLS);
    if (o->bind_dn[0] && o->bind_password.n == 0)
        return err_new(ERR_INVALID, "coffer.conf: [ldap] bind_password_file is empty");
    TRY(check_dn("bind_dn", bytes_str(o->bind_dn)));
    TRY(check_dn("user_base", bytes_str(o->user_base)));
    TRY(check_dn("group_base", bytes_str(o->group_base)));
    TRY(check_groups("admin_groups", o->admin_groups));
    TRY(check_groups("member_groups", o->member_groups));
    TRY(check_filter("user_filter", o->user_filter));
    return check_filter("group_filter", o->group_filter);
}

err_t *ldappeople_new(const ldappeople_options_t *options, ldappeople_t **ret_people) {
    TRY(check(options));
    ldappeople_t *people = mem_zalloc(sizeof *people);
    if (!people) return err_nomem();
    people->o = *options;
    ldapconn_gate_init(&people->gate);
    *ret_people = people;
    return NULL;
}

void ldappeople_free(ldappeople_t *people) {
    if (!people) return;
    ldapconn_gate_done(&people->gate);
    mem_free(people);
}

void ldappeople_stop(ldappeople_t *people) { ldapconn_gate_shut(&people->gate); }

err_t *ldappeople_open(ldappeople_t *people, ldapconn_t **ret_conn) {
    CLEANUP(ldapconn_free) ldapconn_t *conn = NULL;
    bool good = true;
    TRY(ldapconn_open(&people->o.conn, &people->gate, &conn));
    if (people->o.bind_dn[0])
        TRY(ldapconn_bind(conn, people->o.bind_dn, people->o.bind_password, &good));
    if (!good)
        return err_new(ERR_UNAVAILABLE, "the directory refuses [ldap] bind_dn with the password of "
                                        "bind_password_file");
    *ret_conn = STEAL(conn);
    return NULL;
}

/* ---- filters ---- */

err_t *ldappeople_filter(const ldappeople_t *people, bytes_t attributes, bytes_t value,
                         buf_t *out) {
    bytes_t attribute;
    TRY(buf_printf(out, "(&%s(|", people->o.user_filter));
    while (conf_list_next(&attributes, &attribute)) {
        TRY(buf_add_byte(out, '('));
        TRY(buf_add(out, attribute));
        TRY(buf_add_byte(out, '='));
        TRY(ldaptext_filter_value(value, out));
        TRY(buf_add_byte(out, ')'));
    }
    return buf_add_str(out, "))");
}

err_t *ldappeople_filter_id(const ldappeople_t *people, const char *external_id, buf_t *out) {
    TRY(buf_printf(out, "(&%s(%s=", people->o.user_filter, people->o.id_attribute));
    if (people->o.id_is_guid) {
        uint8_t guid[16];
        TRY(ldaptext_unguid(bytes_str(external_id), guid));
        TRY(ldaptext_filter_binary(BYTES_ARRAY(guid), out));
    } else TRY(ldaptext_filter_value(bytes_str(external_id), out));
    return buf_add_str(out, "))");
}

/* ---- what a server says of a person ---- */

void ldappeople_attrs(const ldappeople_t *people, const char *ret_attrs[LDAPPEOPLE_ATTRS]) {
    const ldappeople_options_t *o = &people->o;
    const char *const all[] = {o->id_attribute,    o->mail_attribute,     o->name_attribute,
                               o->login_attribute, "userPrincipalName",   "userAccountControl",
                               "accountExpires",   "pwdAccountLockedTime"};
    size_t n = sizeof all / sizeof all[0];
    memcpy((void *)ret_attrs, (const void *)all, sizeof all);
    ret_attrs[n] = NULL;
}

static err_t *copy_text(arena_t *arena, bytes_t text, const char **ret_text) {
    bytes_t copy;
    TRY(arena_copy(arena, text, &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

/* A text for people to see, or "" if it is not fit for that. */
static err_t *read_shown(const ldapconn_entry_t *entry, const char *attribute, arena_t *arena,
                         const char **ret_text) {
    const ldapconn_attr_t *attr = ldapconn_attr(entry, attribute);
    bytes_t text = attr ? text_trim(attr->values[0]) : BYTES_NONE;
    if (text.n > LIMIT_NAME || !text_printable(text)) text = BYTES_NONE;
    return copy_text(arena, text, ret_text);
}

static err_t *read_id(const ldappeople_t *people, const ldapconn_entry_t *entry, arena_t *arena,
                      const char **ret_id) {
    const char *name = people->o.id_attribute;
    const ldapconn_attr_t *attr = ldapconn_attr(entry, name);
    char guid[TEXT_UUID_SIZE];
    if (!attr) return err_new(ERR_INVALID, "no %s", name);
    bytes_t id = attr->values[0];
    if (attr->n != 1) return err_new(ERR_INVALID, "%s has several values", name);
    if (people->o.id_is_guid) {
        TRY(ldaptext_guid(id, guid));
        id = bytes_str(guid);
    }
    if (id.n == 0 || id.n > LIMIT_LDAP_EXTERNAL_ID || !text_printable(id))
        return err_new(ERR_INVALID, "%s is no text of up to %d bytes", name,
                       LIMIT_LDAP_EXTERNAL_ID);
    return copy_text(arena, id, ret_id);
}

/* The first that is an address. */
static err_t *read_mail(const ldappeople_t *people, const ldapconn_entry_t *entry, arena_t *arena,
                        const char **ret_mail) {
    const ldapconn_attr_t *attr = ldapconn_attr(entry, people->o.mail_attribute);
    CLEANUP(err_free) err_t *e = NULL;
    for (size_t i = 0; attr && i < attr->n; i++) {
        err_free(e);
        e = directory_check_email(arena, attr->values[i], ret_mail);
        if (!e || err_code(e) == ERR_NOMEM) return STEAL(e);
    }
    return err_new(ERR_INVALID, "no mail address in %s", people->o.mail_attribute);
}

/* Active Directory's ACCOUNTDISABLE, and the lock without an end of slapo-ppolicy(5). */
static bool is_disabled(const ldapconn_entry_t *entry) {
    enum { ACCOUNTDISABLE = 2 };
    const ldapconn_attr_t *control = ldapconn_attr(entry, "userAccountControl");
    const ldapconn_attr_t *locked = ldapconn_attr(entry, "pwdAccountLockedTime");
    int64_t flags = 0;
    if (control) {
        err_t *e = text_i64(control->values[0], &flags);
        if (e) flags = ACCOUNTDISABLE; /* nonsense lets nobody in */
        err_free(e);
    }
    return (flags & ACCOUNTDISABLE) || (locked && bytes_eq_str(locked->values[0], "000001010000Z"));
}

err_t *ldappeople_read(const ldappeople_t *people, const ldapconn_entry_t *entry, arena_t *arena,
                       directory_entry_t *ret_entry) {
    directory_entry_t e = {.disabled = is_disabled(entry)};
    bool under = false;
    TRY(ldaptext_dn_under(bytes_str(entry->dn), bytes_str(people->o.user_base), &under));
    if (!under || !text_printable(bytes_str(entry->dn)))
        return err_new(ERR_INVALID, "it is not beneath [ldap] user_base");
    TRY(copy_text(arena, bytes_str(entry->dn), &e.dn));
    TRY(read_id(people, entry, arena, &e.external_id));
    TRY(read_mail(people, entry, arena, &e.email));
    TRY(read_shown(entry, people->o.name_attribute, arena, &e.name));
    TRY(read_shown(entry, people->o.login_attribute, arena, &e.login));
    *ret_entry = e;
    return NULL;
}

/* ---- one person ---- */

typedef struct {
    const ldappeople_t *people;
    arena_t *arena;
    bytes_t attributes, value; /* what the entry must have been found by */
    directory_entry_t entry;
    size_t count;
} one_t;

/* Whether the server gave what was asked for, not another's entry. */
static bool has_value(const one_t *one, const ldapconn_entry_t *entry) {
    bytes_t list = one->attributes, attribute;
    while (conf_list_next(&list, &attribute)) {
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)(attribute.n < 63 ? attribute.n : 63),
                       (const char *)attribute.p);
        const ldapconn_attr_t *attr = ldapconn_attr(entry, name);
        for (size_t i = 0; attr && i < attr->n; i++)
            if (text_eq_fold(attr->values[i], one->value)) return true;
    }
    return false;
}

static err_t *take_one(void *ctx, const ldapconn_entry_t *entry) {
    one_t *one = ctx;
    if (one->attributes.n && !has_value(one, entry))
        return err_new(ERR_UNAVAILABLE, "the directory answers with an entry that was not asked "
                                        "for");
    if (one->count++) return NULL;
    err_t *e = ldappeople_read(one->people, entry, one->arena, &one->entry);
    if (e && err_code(e) == ERR_INVALID) return err_wrap(e, "%s", entry->dn);
    return e;
}

enum { SAME_NAME_MAX = 16 };

static err_t *search_one(const ldappeople_t *people, ldapconn_t *conn, const buf_t *filter,
                         one_t *one) {
    CLEANUP(buf_done) buf_t copy;
    const char *text = NULL, *attrs[LDAPPEOPLE_ATTRS] = {NULL};
    buf_init(&copy, LIMIT_LDAP_FILTER);
    TRY(buf_add(&copy, buf_bytes(filter)));
    TRY(buf_cstr(&copy, &text));
    ldappeople_attrs(people, attrs);
    const ldapconn_search_t search = {.base = people->o.user_base,
                                      .scope = LDAPCONN_SUBTREE,
                                      .filter = text,
                                      .attrs = attrs,
                                      .max = SAME_NAME_MAX};
    return ldapconn_search(conn, &search, take_one, one);
}

/* Nobody has this name: what follows takes as long as if somebody had. */
static err_t *bind_as_nobody(ldappeople_t *people, ldapconn_t *conn, bytes_t password) {
    uint8_t random[8];
    bool good = false;
    CLEANUP(buf_done) buf_t dn;
    const char *text = NULL;
    buf_init(&dn, LIMIT_LDAP_DN + 64);
    TRY(rnd_fill(people->o.rnd, random, sizeof random));
    TRY(buf_add_str(&dn, "cn=nobody-"));
    TRY(text_hex(BYTES_ARRAY(random), &dn));
    TRY(buf_printf(&dn, "%s%s", people->o.user_base[0] ? "," : "", people->o.user_base));
    TRY(buf_cstr(&dn, &text));
    return ldapconn_bind(conn, text, password, &good);
}

err_t *ldappeople_log_in(ldappeople_t *people, arena_t *arena, bytes_t name, bytes_t password,
                         bool *ret_good, directory_entry_t *ret_entry) {
    CLEANUP(ldapconn_free) ldapconn_t *conn = NULL;
    CLEANUP(buf_done) buf_t filter;
    one_t one = {
        .people = people, .arena = arena, .attributes = people->o.login_names, .value = name};
    bool good = false;
    buf_init(&filter, LIMIT_LDAP_FILTER);
    if (password.n == 0) return err_new(ERR_USAGE, "an empty password proves nothing");
    TRY(ldappeople_open(people, &conn));
    TRY(ldappeople_filter(people, people->o.login_names, name, &filter));
    TRY(search_one(people, conn, &filter, &one));
    if (one.count != 1) {
        TRY(bind_as_nobody(people, conn, password));
        *ret_good = false;
        return NULL;
    }
    TRY(ldappeople_role(people, conn, &one.entry, &one.entry.role));
    TRY(ldapconn_bind(conn, one.entry.dn, password, &good));
    good = good && !one.entry.disabled && one.entry.role != DIRECTORY_NOBODY;
    if (good) *ret_entry = one.entry;
    *ret_good = good;
    return NULL;
}

typedef struct {
    ldappeople_group_t *groups;
    void *ctx;
} show_groups_t;

static err_t *show_group(void *ctx, const ldapconn_entry_t *entry) {
    show_groups_t *show = ctx;
    bytes_t dn = bytes_str(entry->dn);
    return text_printable(dn) ? show->groups(show->ctx, dn) : NULL;
}

static err_t *find_groups(ldappeople_t *people, ldapconn_t *conn, const directory_entry_t *entry,
                          show_groups_t *show) {
    static const char *const attrs[] = {"1.1", NULL};
    CLEANUP(buf_done) buf_t filter;
    const char *text = NULL;
    buf_init(&filter, LIMIT_LDAP_FILTER);
    TRY(buf_printf(&filter, "(&%s(|(member=", people->o.group_filter));
    TRY(ldaptext_filter_value(bytes_str(entry->dn), &filter));
    TRY(buf_add_str(&filter, ")(uniqueMember="));
    TRY(ldaptext_filter_value(bytes_str(entry->dn), &filter));
    if (entry->login[0]) {
        TRY(buf_add_str(&filter, ")(memberUid="));
        TRY(ldaptext_filter_value(bytes_str(entry->login), &filter));
    }
    TRY(buf_add_str(&filter, ")))"));
    TRY(buf_cstr(&filter, &text));
    const ldapconn_search_t search = {.base = people->o.group_base,
                                      .scope = LDAPCONN_SUBTREE,
                                      .filter = text,
                                      .attrs = attrs,
                                      .max = LIMIT_LDAP_GROUPS};
    return ldapconn_search(conn, &search, show_group, show);
}

err_t *ldappeople_find(ldappeople_t *people, arena_t *arena, bytes_t name,
                       ldappeople_group_t *groups, void *ctx, bool *ret_found,
                       directory_entry_t *ret_entry) {
    CLEANUP(ldapconn_free) ldapconn_t *conn = NULL;
    CLEANUP(buf_done) buf_t filter;
    CLEANUP(buf_done) buf_t attributes;
    one_t one = {.people = people, .arena = arena};
    buf_init(&filter, LIMIT_LDAP_FILTER);
    buf_init(&attributes, LIMIT_LDAP_FILTER);
    TRY(buf_printf(&attributes, "%s, %s", people->o.mail_attribute, people->o.login_attribute));
    TRY(ldappeople_open(people, &conn));
    TRY(ldappeople_filter(people, buf_bytes(&attributes), name, &filter));
    TRY(search_one(people, conn, &filter, &one));
    if (one.count > 1)
        return err_new(ERR_INVALID, "the directory has %zu people of that name", one.count);
    if (one.count == 1) {
        TRY(ldappeople_role(people, conn, &one.entry, &one.entry.role));
        show_groups_t show = {groups, ctx};
        if (groups) TRY(find_groups(people, conn, &one.entry, &show));
        *ret_entry = one.entry;
    }
    *ret_found = one.count == 1;
    return NULL;
}

/* ---- everybody ---- */

typedef struct {
    ldappeople_t *people;
    ldappeople_roles_t roles;
    ldappeople_each_t *each;
    void *ctx;
    ldappeople_report_t report;
} all_t;

static void all_done_p(all_t *all) { ldappeople_roles_done(&all->roles); }

static void skip(all_t *all, const ldapconn_entry_t *entry, err_t *e) {
    char text[200];
    if (all->report.skipped++ == 0)
        (void)snprintf(all->report.why, sizeof all->report.why, "%.90s: %s",
                       text_printable(bytes_str(entry->dn)) ? entry->dn : "an odd name",
                       err_text(e, text, sizeof text));
    err_free(e);
}

static err_t *take_all(void *ctx, const ldapconn_entry_t *entry) {
    all_t *all = ctx;
    CLEANUP(arena_free) arena_t *arena = NULL;
    directory_entry_t person;
    TRY(arena_new(LDAPPEOPLE_ARENA, &arena));
    err_t *e = ldappeople_read(all->people, entry, arena, &person);
    if (!e) e = ldappeople_roles_of(all->people, &all->roles, &person, &person.role);
    if (e && (err_code(e) == ERR_INVALID || err_code(e) == ERR_LIMIT)) {
        skip(all, entry, e);
        return NULL;
    }
    if (e) return e;
    all->report.people++;
    all->report.admins += person.role == DIRECTORY_ADMIN;
    all->report.members += person.role == DIRECTORY_MEMBER;
    all->report.disabled += person.disabled;
    return all->each ? all->each(all->ctx, &person) : NULL;
}

err_t *ldappeople_list(ldappeople_t *people, ldappeople_each_t *each, void *ctx,
                       ldappeople_report_t *ret_report) {
    CLEANUP(ldapconn_free) ldapconn_t *conn = NULL;
    CLEANUP(all_done) all_t all = {.people = people, .each = each, .ctx = ctx};
    const char *attrs[LDAPPEOPLE_ATTRS] = {NULL};
    TRY(ldappeople_open(people, &conn));
    TRY_WRAP(ldappeople_roles_load(people, conn, &all.roles), "groups");
    ldappeople_attrs(people, attrs);
    const ldapconn_search_t search = {.base = people->o.user_base,
                                      .scope = LDAPCONN_SUBTREE,
                                      .filter = people->o.user_filter,
                                      .attrs = attrs,
                                      .max = LIMIT_LDAP_PEOPLE,
                                      .total_ms = (int64_t)LIMIT_LDAP_SYNC_S * 1000};
    TRY_WRAP(ldapconn_search(conn, &search, take_all, &all), "people");
    (void)snprintf(all.report.server, sizeof all.report.server, "%s", ldapconn_server(conn));
    all.report.tls = people->o.conn.starttls || strncmp(all.report.server, "ldaps:", 6) == 0;
    *ret_report = all.report;
    return NULL;
}
