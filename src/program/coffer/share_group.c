/*
 * Groups in shares: see share_group.h. Main thread; blocking.
 */
#include "program/coffer/share_group.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/remote.h"
#include "program/coffer/share_kept.h"
#include "program/coffer/share_known.h"

/* ---- what the service says ---- */

/* An empty list for a group that it has not. */
static err_t *fetch(const sync_open_t *open, const char *group, json_t **ret_json,
                    json_t **ret_list) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_path(&path, "/groups/%", group));
    err_t *e = sync_http_json(open->http, "GET", path, NULL, &json);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        TRY(jso_object(&json));
        TRY(jso_set_array(json, "members", ret_list));
    } else {
        TRY(e);
        TRY(jso_get_array(json, "members", LIMIT_SYNC_MEMBERS, true, ret_list));
    }
    *ret_json = STEAL(json);
    return NULL;
}

static err_t *name_at(const json_t *list, size_t i, char ret_name[LIMIT_SYNC_PERSON + 1]) {
    bytes_t text;
    TRY(jso_at_string(list, i, LIMIT_SYNC_PERSON, &text));
    if (text.n == 0 || !text_printable(text))
        return err_new(ERR_INVALID, "the service names a member that can't be");
    memset(ret_name, 0, LIMIT_SYNC_PERSON + 1);
    bytes_put(ret_name, text);
    return NULL;
}

static err_t *has_name(const json_t *list, const char *person, bool *ret_has) {
    char name[LIMIT_SYNC_PERSON + 1];
    *ret_has = false;
    for (size_t i = 0; i < json_array_size(list) && !*ret_has; i++) {
        TRY(name_at(list, i, name));
        *ret_has = strcmp(name, person) == 0;
    }
    return NULL;
}

err_t *share_group_check(const sync_open_t *open, const char *group, const char *person) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    bool has = false;
    TRY(fetch(open, group, &json, &list));
    TRY(has_name(list, person, &has));
    return has ? NULL : err_new(ERR_NOT_FOUND, "%s is not in the group %s", person, group);
}

/* ---- what is done ---- */

static err_t *note(const share_group_t *g, const char *what, const char *person, const char *why,
                   const char *digits) {
    json_t *list = NULL, *item = NULL;
    TRY(jso_get_array(g->out, what, SIZE_MAX, false, &list));
    if (!list) TRY(jso_set_array(g->out, what, &list));
    TRY(jso_add_object(list, &item));
    TRY(jso_set_str(item, "person", person));
    if (why) TRY(jso_set_str(item, "why", why));
    if (digits) TRY(jso_set_str(item, "digits", digits));
    return NULL;
}

static err_t *wait_for(share_group_t *g, const char *person, const char *why, const char *digits) {
    g->waiting++;
    return note(g, "waiting", person, why, digits);
}

static bool is_member(const share_work_t *work, const char *person, const uint8_t *home) {
    for (size_t i = 0; i < work->n; i++)
        if (strcmp(work->members[i].person, person) == 0 ||
            (home && memcmp(work->members[i].home, home, SYNC_HASH) == 0))
            return true;
    return false;
}

static err_t *let_in(share_group_t *g, const sync_member_t *member) {
    TRY(share_work_put(g->work, member));
    g->joined++;
    return note(g, "joined", member->person, member->compared ? NULL : "on the service's word",
                NULL);
}

/* Nobody comes in whose digits nobody compared, unless the service is to be believed. */
static err_t *judge(share_group_t *g, sync_member_t *member) {
    uint8_t known[SYNC_HASH];
    char digits[SYNC_SAFETY_TEXT];
    bool found = false;
    err_t *e = share_work_home_of(g->work->open, member->person, NULL, member->home);
    if (e && (err_code(e) == ERR_NOT_FOUND || err_code(e) == ERR_DENIED)) {
        err_free(e);
        return wait_for(g, member->person, "no device yet", NULL);
    }
    TRY(e);
    if (is_member(g->work, member->person, member->home)) return NULL;
    TRY(share_known_find(&g->work->open->home, member->person, &found, known));
    member->compared = found && memcmp(known, member->home, SYNC_HASH) == 0;
    TRY(sync_safety_text(g->mine, member->home, digits));
    if (found && !member->compared)
        return wait_for(g, member->person, "another region than the one that was compared", digits);
    if (member->compared || g->on_trust) return let_in(g, member);
    return wait_for(g, member->person, "compare the digits", digits);
}

static err_t *add_listed(share_group_t *g, const char *group, uint8_t roles, const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        sync_member_t member = {.roles = roles};
        bytes_put(member.group, bytes_str(group));
        TRY(name_at(list, i, member.person));
        if (is_member(g->work, member.person, NULL)) continue;
        TRY(judge(g, &member));
    }
    return NULL;
}

/* Also a group of whom all wait: the members' record does not have it. */
static err_t *keep(const share_group_t *g, const char *group, uint8_t roles) {
    const share_work_t *work = g->work;
    bool has = share_kept_count(work->members, work->n, group) > 0;
    return share_kept_put(work->open->state, group, roles, has);
}

err_t *share_group_add(share_group_t *g, const char *group, uint8_t roles) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    TRY(fetch(g->work->open, group, &json, &list));
    if (json_array_size(list) == 0)
        return err_new(ERR_NOT_FOUND, "nobody is in the group %s", group);
    TRY(add_listed(g, group, roles, list));
    return keep(g, group, roles);
}

/* ---- in step ---- */

/* Who came with the group and is not in it any more; never this device's own person. */
static err_t *has_left(const share_group_t *g, const char *group, const json_t *list,
                       const sync_member_t *m, bool *ret_left) {
    bool listed = false;
    *ret_left = false;
    if (strcmp(m->group, group) != 0 || memcmp(m->home, g->mine, SYNC_HASH) == 0) return NULL;
    TRY(has_name(list, m->person, &listed));
    *ret_left = !listed;
    return NULL;
}

/* Who was ended never comes back with the same keys: a directory's mistake must not end many. */
static err_t *let_go(share_group_t *g, const char *group, const json_t *list, bool *ret_held) {
    CLEANUP(mem_free) sync_member_t *gone = mem_array(g->work->n + 1, sizeof *gone);
    size_t n = 0, of = share_kept_count(g->work->members, g->work->n, group);
    if (!gone) return err_nomem();
    for (size_t i = 0; i < g->work->n; i++) {
        bool left = false;
        TRY(has_left(g, group, list, &g->work->members[i], &left));
        if (left) gone[n++] = g->work->members[i];
    }
    *ret_held = !g->release && share_kept_too_many(n, of);
    if (*ret_held)
        return wait_for(g, group,
                        "more than half of those who came with it are not in it any more: if that "
                        "is so, coffer sync follow --release-brake",
                        NULL);
    for (size_t i = 0; i < n; i++) {
        if (!is_member(g->work, gone[i].person, NULL)) continue; /* had two regions */
        TRY(share_work_drop(g->work, gone[i].person));
        g->removed++;
        TRY(note(g, "left", gone[i].person, NULL, NULL));
    }
    return NULL;
}

static err_t *follow_one(share_group_t *g, const share_kept_t *kept) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    bool held = false;
    /* Another device of those who manage may have ended it, which this one must not undo. */
    if (kept->had && share_kept_count(g->work->members, g->work->n, kept->group) == 0)
        return wait_for(g, kept->group,
                        "all who came with it were taken out: coffer sync share --group again, or "
                        "coffer sync unshare --group",
                        NULL);
    TRY(fetch(g->work->open, kept->group, &json, &list));
    if (json_array_size(list) == 0)
        return wait_for(g, kept->group, "the group is empty or gone: coffer sync unshare --group",
                        NULL);
    TRY(let_go(g, kept->group, list, &held));
    if (held) return NULL;
    TRY(add_listed(g, kept->group, kept->roles, list));
    return keep(g, kept->group, kept->roles);
}

err_t *share_group_follow(share_group_t *g) {
    CLEANUP(mem_free) share_kept_t *kept = NULL;
    CLEANUP(mem_free) share_kept_t *groups = NULL;
    size_t kept_n = 0, n = 0;
    TRY(share_kept_load(g->work->open->state, &kept, &kept_n));
    TRY(share_kept_gather(kept, kept_n, g->work->members, g->work->n, &groups, &n));
    for (size_t i = 0; i < n; i++) TRY(follow_one(g, &groups[i]));
    return NULL;
}

err_t *share_group_came(const share_work_t *work, const char *group) {
    CLEANUP(mem_free) share_kept_t *kept = NULL;
    size_t n = 0;
    TRY(share_kept_load(work->open->state, &kept, &n));
    for (size_t i = 0; i < n; i++)
        if (strcmp(kept[i].group, group) == 0)
            return share_kept_put(work->open->state, group, kept[i].roles, true);
    return NULL;
}

err_t *share_group_drop(share_work_t *work, const char *group) {
    size_t dropped = 0;
    bool kept = false;
    for (size_t i = 0; i < work->n;) {
        char person[LIMIT_SYNC_PERSON + 1];
        if (strcmp(work->members[i].group, group) != 0) {
            i++;
            continue;
        }
        memcpy(person, work->members[i].person, sizeof person);
        TRY(share_work_drop(work, person));
        dropped++;
        i = 0;
    }
    TRY(share_kept_drop(work->open->state, group, &kept));
    return dropped || kept ? NULL : err_new(ERR_NOT_FOUND, "nobody came with the group %s", group);
}
