/*
 * Groups that a share's home keeps: see share_kept.h. Main thread.
 */
#include "program/coffer/share_kept.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "ipc/wire.h"

enum {
    TABLE_GROUPS = 66, /* of the local state: group -> roles, had */
    VALUE_BYTES = 2,
    CHANGES_BYTES = 1024,
    LEFT_MIN = 3 /* fewer go without a question, however small the group */
};

/* ---- pure ---- */

static share_kept_t *find(share_kept_t *list, size_t n, const char *group) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].group, group) == 0) return &list[i];
    return NULL;
}

err_t *share_kept_gather(const share_kept_t *kept, size_t kept_n, const sync_member_t *members,
                         size_t n, share_kept_t **ret_list, size_t *ret_n) {
    share_kept_t *list = mem_array(kept_n + n + 1, sizeof *list);
    size_t used = 0;
    if (!list) return err_nomem();
    for (size_t i = 0; i < kept_n; i++) list[used++] = kept[i];
    for (size_t i = 0; i < n; i++) {
        if (!members[i].group[0]) continue;
        share_kept_t *known = find(list, used, members[i].group);
        if (known) {
            known->roles &= members[i].roles;
            continue;
        }
        share_kept_t fresh = {.roles = members[i].roles, .had = true};
        bytes_put(fresh.group, bytes_str(members[i].group));
        list[used++] = fresh;
    }
    *ret_list = list;
    *ret_n = used;
    return NULL;
}

size_t share_kept_count(const sync_member_t *members, size_t n, const char *group) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(members[i].group, group) == 0) count++;
    return count;
}

bool share_kept_too_many(size_t left, size_t of) { return left >= LEFT_MIN && left > of / 2; }

/* ---- kept ---- */

typedef struct {
    share_kept_t *list;
    size_t n;
} loading_t;

static err_t *load_one(void *arg, bytes_t key, bytes_t value) {
    loading_t *loading = arg;
    share_kept_t one = {0};
    wire_reader_t r = wire_reader(value);
    if (key.n == 0 || key.n > LIMIT_SYNC_PERSON)
        return err_new(ERR_INVALID, "the local state has a group that can't be");
    bytes_put(one.group, key);
    TRY(wire_get_u8(&r, &one.roles));
    TRY(wire_get_bool(&r, &one.had));
    TRY(wire_done(&r));
    share_kept_t *more = mem_array(loading->n + 1, sizeof *more);
    if (!more) return err_nomem();
    if (loading->n) memcpy(more, loading->list, loading->n * sizeof *more);
    more[loading->n++] = one;
    mem_free(loading->list);
    loading->list = more;
    return NULL;
}

err_t *share_kept_load(db_local_t *state, share_kept_t **ret_list, size_t *ret_n) {
    loading_t loading = {0};
    err_t *e = db_local_each(state, TABLE_GROUPS, load_one, &loading);
    if (e) {
        mem_free(loading.list);
        return e;
    }
    *ret_list = loading.list;
    *ret_n = loading.n;
    return NULL;
}

err_t *share_kept_put(db_local_t *state, const char *group, uint8_t roles, bool had) {
    CLEANUP(buf_done) buf_t value, changes;
    buf_init(&value, VALUE_BYTES);
    buf_init(&changes, CHANGES_BYTES);
    TRY(wire_put_u8(&value, roles));
    TRY(wire_put_bool(&value, had));
    TRY(db_local_put(&changes, TABLE_GROUPS, bytes_str(group), buf_bytes(&value)));
    return db_local_apply(state, buf_bytes(&changes));
}

err_t *share_kept_drop(db_local_t *state, const char *group, bool *ret_found) {
    CLEANUP(buf_done) buf_t value, changes;
    bool found = false;
    buf_init(&value, VALUE_BYTES);
    buf_init(&changes, CHANGES_BYTES);
    TRY(db_local_get(state, TABLE_GROUPS, bytes_str(group), &found, &value));
    TRY(db_local_drop(&changes, TABLE_GROUPS, bytes_str(group)));
    TRY(db_local_apply(state, buf_bytes(&changes)));
    *ret_found = found;
    return NULL;
}
