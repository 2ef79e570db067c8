/*
 * Which role somebody's groups give. Either the groups' entries name their members (RFC 2307, RFC
 * 4519) or the people's entries their groups (memberOf, [MS-ADTS]). coffer-courier's workers.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "directory/ldap_people_internal.h"

/* LDAP_MATCHING_RULE_IN_CHAIN, [MS-ADTS] 3.1.1.3.4.4.3: groups in groups. */
#define IN_CHAIN ":1.2.840.113556.1.4.1941:"

enum { SET_BYTES = 64 * 1024 * 1024, SET_ROOM = 64 };

static const char *const NO_ATTRS[] = {"1.1", NULL};

static err_t *put_memberof(const ldappeople_t *people, bytes_t group, buf_t *out) {
    TRY(buf_printf(out, "(memberOf%s=", people->o.nested ? IN_CHAIN : ""));
    TRY(ldaptext_filter_value(group, out));
    return buf_add_str(out, ")");
}

/* ---- one person ---- */

static err_t *count_one(void *ctx, const ldapconn_entry_t *entry) {
    size_t *count = ctx;
    (void)entry;
    ++*count;
    return NULL;
}

static err_t *put_member(const ldappeople_t *people, const directory_entry_t *entry, buf_t *out) {
    TRY(buf_printf(out, "(&%s(|(member=", people->o.group_filter));
    TRY(ldaptext_filter_value(bytes_str(entry->dn), out));
    TRY(buf_add_str(out, ")(uniqueMember="));
    TRY(ldaptext_filter_value(bytes_str(entry->dn), out));
    if (entry->login[0]) {
        TRY(buf_add_str(out, ")(memberUid="));
        TRY(ldaptext_filter_value(bytes_str(entry->login), out));
    }
    return buf_add_str(out, ")))");
}

/* The server compares the names, by its own rules. */
static err_t *is_in(ldappeople_t *people, ldapconn_t *conn, const directory_entry_t *entry,
                    bytes_t group, bool *ret_in) {
    CLEANUP(buf_done) buf_t filter;
    CLEANUP(buf_done) buf_t base;
    const char *filter_text = NULL, *base_text = NULL;
    size_t count = 0;
    buf_init(&filter, LIMIT_LDAP_FILTER);
    buf_init(&base, LIMIT_LDAP_DN);
    TRY(buf_add(&base, people->o.memberof ? bytes_str(entry->dn) : group));
    TRY(people->o.memberof ? put_memberof(people, group, &filter)
                           : put_member(people, entry, &filter));
    TRY(buf_cstr(&filter, &filter_text));
    TRY(buf_cstr(&base, &base_text));
    const ldapconn_search_t search = {.base = base_text,
                                      .scope = LDAPCONN_BASE,
                                      .filter = filter_text,
                                      .attrs = NO_ATTRS,
                                      .max = 1};
    err_t *e = ldapconn_search(conn, &search, count_one, &count);
    if (e && err_code(e) == ERR_NOT_FOUND) { /* a group that is gone has no members */
        err_free(e);
        e = NULL;
    }
    if (e) return err_wrap(e, "group %.*s", (int)group.n, (const char *)group.p);
    *ret_in = count != 0;
    return NULL;
}

static err_t *is_in_any(ldappeople_t *people, ldapconn_t *conn, const directory_entry_t *entry,
                        const char *groups, bool *ret_in) {
    bytes_t list = bytes_str(groups), group;
    bool in = false;
    while (!in && ldappeople_next_dn(&list, &group)) TRY(is_in(people, conn, entry, group, &in));
    *ret_in = in;
    return NULL;
}

err_t *ldappeople_role(ldappeople_t *people, ldapconn_t *conn, const directory_entry_t *entry,
                       directory_role_t *ret_role) {
    bool admin = false, member = !people->o.member_groups[0];
    TRY(is_in_any(people, conn, entry, people->o.admin_groups, &admin));
    if (!admin && !member) TRY(is_in_any(people, conn, entry, people->o.member_groups, &member));
    *ret_role = admin ? DIRECTORY_ADMIN : member ? DIRECTORY_MEMBER : DIRECTORY_NOBODY;
    return NULL;
}

/* ---- everybody ---- */

static err_t *set_add(ldappeople_set_t *set, char kind, bytes_t name) {
    CLEANUP(buf_done) buf_t text;
    bytes_t copy;
    buf_init(&text, 8 * LIMIT_LDAP_DN);
    if (set->n == LIMIT_LDAP_PEOPLE * (size_t)2)
        return err_new(ERR_LIMIT, "the groups have too many members");
    if (set->n == set->room) {
        size_t room = set->room ? 2 * set->room : SET_ROOM;
        const char **names = mem_resize((void *)set->names, room * sizeof *names);
        if (!names) return err_nomem();
        set->names = names;
        set->room = room;
    }
    TRY(buf_add_byte(&text, (uint8_t)kind));
    TRY(buf_add(&text, name));
    if (!set->arena) TRY(arena_new(SET_BYTES, &set->arena));
    TRY(arena_copy(set->arena, buf_bytes(&text), &copy));
    if (!bytes_has_nul(copy)) set->names[set->n++] = (const char *)copy.p;
    return NULL;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static err_t *set_has(const ldappeople_set_t *set, char kind, bytes_t name, bool *ret_has) {
    CLEANUP(buf_done) buf_t text;
    const char *key = NULL;
    buf_init(&text, 8 * LIMIT_LDAP_DN);
    TRY(buf_add_byte(&text, (uint8_t)kind));
    TRY(buf_add(&text, name));
    TRY(buf_cstr(&text, &key));
    *ret_has = set->n && bsearch((const void *)&key, (const void *)set->names, set->n,
                                 sizeof *set->names, compare);
    return NULL;
}

typedef struct {
    const ldappeople_t *people;
    ldappeople_set_t *set;
} fill_t;

/* From a group's entry. */
static err_t *take_members(void *ctx, const ldapconn_entry_t *entry) {
    static const char *const dns[] = {"member", "uniqueMember"};
    fill_t *fill = ctx;
    for (size_t k = 0; k < 2; k++) {
        const ldapconn_attr_t *attr = ldapconn_attr(entry, dns[k]);
        for (size_t i = 0; attr && i < attr->n; i++) {
            CLEANUP(buf_done) buf_t folded;
            buf_init(&folded, 8 * LIMIT_LDAP_DN);
            err_t *e = ldaptext_dn_fold(attr->values[i], &folded);
            if (!e) e = set_add(fill->set, 'd', buf_bytes(&folded));
            /* No name, so nobody's. */
            if (e && err_code(e) != ERR_INVALID) return e;
            err_free(e);
        }
    }
    const ldapconn_attr_t *uids = ldapconn_attr(entry, "memberUid");
    for (size_t i = 0; uids && i < uids->n; i++)
        if (uids->values[i].n <= LIMIT_NAME) TRY(set_add(fill->set, 'u', uids->values[i]));
    return NULL;
}

/* From a person's entry that the server found to be in the group. */
static err_t *take_member(void *ctx, const ldapconn_entry_t *entry) {
    fill_t *fill = ctx;
    const ldapconn_attr_t *id = ldapconn_attr(entry, fill->people->o.id_attribute);
    char guid[TEXT_UUID_SIZE];
    if (!id || id->n != 1 || id->values[0].n > LIMIT_LDAP_EXTERNAL_ID) return NULL;
    if (!fill->people->o.id_is_guid) return set_add(fill->set, 'i', id->values[0]);
    if (id->values[0].n != 16) return NULL;
    TRY(ldaptext_guid(id->values[0], guid));
    return set_add(fill->set, 'i', bytes_str(guid));
}

static err_t *load_group(ldappeople_t *people, ldapconn_t *conn, bytes_t group,
                         ldappeople_set_t *set) {
    const char *const members[] = {"member", "uniqueMember", "memberUid", NULL};
    const char *const ids[] = {people->o.id_attribute, NULL};
    fill_t fill = {people, set};
    CLEANUP(buf_done) buf_t filter;
    CLEANUP(buf_done) buf_t base;
    const char *filter_text = NULL, *base_text = NULL;
    buf_init(&filter, LIMIT_LDAP_FILTER);
    buf_init(&base, LIMIT_LDAP_DN);
    TRY(buf_add(&base, group));
    TRY(buf_cstr(&base, &base_text));
    if (people->o.memberof) {
        TRY(buf_printf(&filter, "(&%s", people->o.user_filter));
        TRY(put_memberof(people, group, &filter));
        TRY(buf_add_str(&filter, ")"));
    } else TRY(buf_add_str(&filter, people->o.group_filter));
    TRY(buf_cstr(&filter, &filter_text));
    ldapconn_search_t search = {.base = base_text,
                                .scope = LDAPCONN_BASE,
                                .filter = filter_text,
                                .attrs = members,
                                .max = 1};
    if (!people->o.memberof) return ldapconn_search(conn, &search, take_members, &fill);
    search.base = people->o.user_base;
    search.scope = LDAPCONN_SUBTREE;
    search.attrs = ids;
    search.max = LIMIT_LDAP_PEOPLE;
    search.total_ms = (int64_t)LIMIT_LDAP_SYNC_S * 1000;
    return ldapconn_search(conn, &search, take_member, &fill);
}

/* A group that is gone is no error at a log-in, but here it would send its people away. */
static err_t *load(ldappeople_t *people, ldapconn_t *conn, const char *groups,
                   ldappeople_set_t *set) {
    bytes_t list = bytes_str(groups), group;
    while (ldappeople_next_dn(&list, &group))
        TRY_WRAP(load_group(people, conn, group, set), "%.*s", (int)group.n, (const char *)group.p);
    if (set->n) qsort((void *)set->names, set->n, sizeof *set->names, compare);
    return NULL;
}

err_t *ldappeople_roles_load(ldappeople_t *people, ldapconn_t *conn, ldappeople_roles_t *roles) {
    TRY(load(people, conn, people->o.admin_groups, &roles->admins));
    return load(people, conn, people->o.member_groups, &roles->members);
}

static err_t *has_any(const ldappeople_set_t *set, const directory_entry_t *entry, bool *ret_has) {
    CLEANUP(buf_done) buf_t folded;
    bool has = false;
    buf_init(&folded, 8 * LIMIT_LDAP_DN);
    TRY(set_has(set, 'i', bytes_str(entry->external_id), &has));
    if (!has && entry->login[0]) TRY(set_has(set, 'u', bytes_str(entry->login), &has));
    if (!has) {
        TRY(ldaptext_dn_fold(bytes_str(entry->dn), &folded));
        TRY(set_has(set, 'd', buf_bytes(&folded), &has));
    }
    *ret_has = has;
    return NULL;
}

err_t *ldappeople_roles_of(const ldappeople_t *people, const ldappeople_roles_t *roles,
                           const directory_entry_t *entry, directory_role_t *ret_role) {
    bool admin = false, member = !people->o.member_groups[0];
    TRY(has_any(&roles->admins, entry, &admin));
    if (!admin && !member) TRY(has_any(&roles->members, entry, &member));
    *ret_role = admin ? DIRECTORY_ADMIN : member ? DIRECTORY_MEMBER : DIRECTORY_NOBODY;
    return NULL;
}

static void set_done(ldappeople_set_t *set) {
    arena_free(set->arena);
    mem_free((void *)set->names);
}

void ldappeople_roles_done(ldappeople_roles_t *roles) {
    set_done(&roles->admins);
    set_done(&roles->members);
}
