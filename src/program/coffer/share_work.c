/*
 * Members of a share, from a device: see share_work.h. Main thread; blocking.
 */
#include "program/coffer/share_work.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/remote.h"

enum {
    TABLE = 64,
    TABLE_HOMES = 65, /* home -> place and head of its chain as it was seen */
    SEEN_BYTES = 8 + SYNC_HASH + 8,
    PATH_BYTES = 512,
    ANSWER_MAX = 16 * 1024 * 1024
};

#define SEEN_KEY BYTES_LIT("members")

static void free_homes(share_work_t *work) {
    for (size_t i = 0; work->homes && i < work->n; i++)
        sync_chain_free((sync_chain_t *)(uintptr_t)work->homes[i].home);
    mem_free(work->homes);
    work->homes = NULL;
}

void share_work_done(share_work_t *work) {
    free_homes(work);
    mem_free(work->rows);
    mem_free(work->members);
    *work = (share_work_t){0};
}

/* ---- what was seen ---- */

static err_t *load_seen(const sync_open_t *open, sync_members_seen_t *seen) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    buf_init(&value, SEEN_BYTES);
    TRY(db_local_get(open->state, TABLE, SEEN_KEY, &found, &value));
    if (!found) return NULL;
    wire_reader_t r = wire_reader(buf_bytes(&value));
    TRY(wire_get_u64(&r, &seen->counter));
    TRY(record_get_raw(&r, SYNC_HASH, seen->hash));
    return wire_get_u64(&r, &seen->position);
}

static err_t *save_seen(const sync_open_t *open, const sync_members_seen_t *seen) {
    CLEANUP(buf_done) buf_t value;
    CLEANUP(buf_done) buf_t changes;
    buf_init(&value, SEEN_BYTES);
    buf_init(&changes, 1024);
    TRY(wire_put_u64(&value, seen->counter));
    TRY(record_put_raw(&value, seen->hash, SYNC_HASH));
    TRY(wire_put_u64(&value, seen->position));
    TRY(db_local_put(&changes, TABLE, SEEN_KEY, buf_bytes(&value)));
    return db_local_apply(open->state, buf_bytes(&changes));
}

/* A home's chain goes on from the place where this device saw it, for good. */
static err_t *check_home(const sync_open_t *open, const sync_chain_t *chain,
                         const sync_chain_head_t *head) {
    CLEANUP(buf_done) buf_t value, changes;
    bool found = false;
    buf_init(&value, SEEN_BYTES);
    buf_init(&changes, 1024);
    TRY(db_local_get(open->state, TABLE_HOMES, BYTES_ARRAY(head->region), &found, &value));
    if (found) {
        wire_reader_t r = wire_reader(buf_bytes(&value));
        uint64_t position = 0;
        bytes_t hash;
        TRY(wire_get_u64(&r, &position));
        TRY(wire_get_raw(&r, SYNC_HASH, &hash));
        if (position > head->position)
            return err_new(ERR_VERIFY, "rolled back: the server hides entries of a member's chain "
                                       "that were seen");
        TRY_WRAP(sync_chain_check_place(chain, position, hash.p),
                 "forked: another chain of a member than the one that was seen");
        if (position == head->position) return NULL;
    }
    buf_clear(&value);
    TRY(wire_put_u64(&value, head->position));
    TRY(record_put_raw(&value, head->head, SYNC_HASH));
    TRY(db_local_put(&changes, TABLE_HOMES, BYTES_ARRAY(head->region), buf_bytes(&value)));
    return db_local_apply(open->state, buf_bytes(&changes));
}

/* ---- reading ---- */

/* All records from the first on, so that each is checked; ends at the newest. */
static err_t *read_records(share_work_t *work, sync_members_seen_t *now) {
    const sync_open_t *open = work->open;
    const sync_chain_t *chain = sync_engine_chain(open->engine);
    CLEANUP(buf_done) buf_t runs;
    buf_init(&runs, ANSWER_MAX);
    for (;;) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "/members?after=%llu", (unsigned long long)now->counter);
        TRY(sync_http_call(open->http, "GET", path, "application/octet-stream", BYTES_NONE, &runs));
        wire_reader_t r = wire_reader(buf_bytes(&runs));
        if (r.rest.n == 0) return NULL;
        while (r.rest.n) {
            bytes_t record;
            sync_members_t members;
            TRY(wire_get_bytes(&r, LIMIT_SYNC_MEMBERS_RECORD, &record));
            TRY(sync_members_parse(record, &members));
            TRY(sync_members_follow(&members, chain, now));
            if (now->counter == work->seen.counter &&
                memcmp(now->hash, work->seen.hash, SYNC_HASH) != 0)
                return err_new(ERR_VERIFY, "forked: other members than those that were seen");
            mem_free(work->members);
            work->members = NULL;
            TRY(sync_members_unpack(&members, &work->members, &work->n));
        }
    }
}

err_t *share_work_read(sync_open_t *open, share_work_t *ret_work) {
    CLEANUP(share_work_done) share_work_t work = {.open = open};
    sync_members_seen_t now = {0};
    TRY(load_seen(open, &work.seen));
    TRY(read_records(&work, &now));
    if (now.counter < work.seen.counter)
        return err_new(ERR_VERIFY, "rolled back: the server hides members that were seen");
    work.seen = now;
    TRY(save_seen(open, &now));
    *ret_work = work;
    work = (share_work_t){0};
    return NULL;
}

/* ---- what members are known by ---- */

err_t *share_work_chain(const sync_open_t *open, const uint8_t home[SYNC_HASH],
                        sync_chain_t **ret_chain) {
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(buf_done) buf_t runs;
    sync_chain_head_t head;
    buf_init(&runs, ANSWER_MAX);
    TRY(text_hex_new(bytes_make(home, SYNC_HASH), &hex));
    TRY(sync_chain_new(&chain));
    for (;;) {
        char path[PATH_BYTES];
        bytes_t entry;
        (void)snprintf(path, sizeof path, "/homes/%s/chain?after=%zu", hex,
                       sync_chain_count(chain));
        TRY(sync_http_call(open->http, "GET", path, "application/octet-stream", BYTES_NONE, &runs));
        wire_reader_t r = wire_reader(buf_bytes(&runs));
        if (r.rest.n == 0) break;
        while (r.rest.n) {
            TRY(wire_get_bytes(&r, LIMIT_SYNC_ENTRY, &entry));
            TRY(sync_chain_append(chain, entry));
        }
    }
    TRY(sync_chain_head(chain, &head));
    if (memcmp(head.region, home, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the server shows another chain than was asked for");
    TRY(check_home(open, chain, &head));
    *ret_chain = STEAL(chain);
    return NULL;
}

static err_t *has_device(const sync_open_t *open, const uint8_t home[SYNC_HASH],
                         const uint8_t *device, bool *ret_has) {
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    TRY(share_work_chain(open, home, &chain));
    const sync_device_t *found = sync_chain_device(chain, device);
    *ret_has = found && found->state == SYNC_DEVICE_ACTIVE;
    return NULL;
}

static err_t *get_home(const json_t *homes, size_t i, uint8_t ret_home[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t raw;
    const char *hex = json_string_value(json_array_get(homes, i));
    buf_init(&raw, 2 * SYNC_HASH);
    if (!hex) return err_new(ERR_INVALID, "the server's answer is malformed");
    TRY(text_unhex(bytes_str(hex), &raw));
    if (raw.n != SYNC_HASH) return err_new(ERR_INVALID, "the server's answer is malformed");
    memcpy(ret_home, raw.p, SYNC_HASH);
    return NULL;
}

err_t *share_work_home_of(const sync_open_t *open, const char *email, const uint8_t *device,
                          uint8_t ret_home[SYNC_HASH]) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *homes = NULL;
    uint8_t home[SYNC_HASH];
    TRY(remote_path(&path, "/people/%", email));
    TRY(sync_http_json(open->http, "GET", path, NULL, &json));
    TRY(jso_get_array(json, "homes", LIMIT_SYNC_REGIONS, true, &homes));
    size_t n = json_array_size(homes);
    if (n == 0) return err_new(ERR_NOT_FOUND, "%s has no device yet: see coffer sync init", email);
    for (size_t i = 0; i < n; i++) {
        bool has = !device;
        TRY(get_home(homes, i, home));
        if (device) TRY(has_device(open, home, device, &has));
        if (!has) continue;
        memcpy(ret_home, home, SYNC_HASH);
        return NULL;
    }
    return err_new(ERR_NOT_FOUND, "no region of %s has this device", email);
}

err_t *share_work_judge(share_work_t *work) {
    free_homes(work);
    mem_free(work->rows);
    work->rows = NULL;
    work->homes = mem_array(work->n ? work->n : 1, sizeof *work->homes);
    if (!work->homes) return err_nomem();
    for (size_t i = 0; i < work->n; i++) work->homes[i].home = NULL;
    for (size_t i = 0; i < work->n; i++) {
        sync_chain_t *chain = NULL;
        err_t *e = share_work_chain(work->open, work->members[i].home, &chain);
        /* Withheld is a state of its own; a chain that doesn't hold is an attack. */
        if (e && err_code(e) != ERR_NOT_FOUND && err_code(e) != ERR_UNAVAILABLE) return e;
        err_free(e);
        work->homes[i].home = chain;
    }
    return sync_share_judge(sync_engine_chain(work->open->engine), work->members, work->n,
                            work->homes, &work->rows, &work->rows_n);
}

/* ---- changing ---- */

static err_t *send(share_work_t *work, const sync_member_t *members, size_t n) {
    const sync_open_t *open = work->open;
    const sync_chain_t *chain = sync_engine_chain(open->engine);
    CLEANUP(buf_done) buf_t packed, record, answer;
    buf_init(&packed, LIMIT_SYNC_MEMBERS_BYTES);
    buf_init(&record, LIMIT_SYNC_MEMBERS_RECORD);
    buf_init(&answer, ANSWER_MAX);
    TRY(sync_members_pack(members, n, &packed));
    sync_members_t m = {.members = buf_bytes(&packed), .count = (uint32_t)n};
    sync_members_seen_t seen = work->seen;
    TRY(sync_members_sign(&m, &work->seen, chain, &open->key));
    TRY(sync_members_put(&m, &record));
    TRY(sync_members_follow(&m, chain, &seen));
    TRY(sync_http_call(open->http, "POST", "/members", "application/octet-stream",
                       buf_bytes(&record), &answer));
    work->seen = seen;
    return save_seen(open, &seen);
}

/* Takes over the list. */
static err_t *swap(share_work_t *work, sync_member_t *list, size_t n) {
    err_t *e = send(work, list, n);
    if (e) {
        mem_free(list);
        return e;
    }
    free_homes(work);
    mem_free(work->rows);
    work->rows = NULL;
    work->rows_n = 0;
    mem_free(work->members);
    work->members = list;
    work->n = n;
    return NULL;
}

err_t *share_work_put(share_work_t *work, const sync_member_t *member) {
    sync_member_t *list = mem_array(work->n + 1, sizeof *list);
    size_t n = 0;
    bool placed = false;
    if (!list) return err_nomem();
    for (size_t i = 0; i < work->n; i++) {
        int order = memcmp(member->home, work->members[i].home, SYNC_HASH);
        if (order <= 0 && !placed) {
            list[n++] = *member;
            placed = true;
        }
        if (order != 0) list[n++] = work->members[i];
    }
    if (!placed) list[n++] = *member;
    return swap(work, list, n);
}

err_t *share_work_drop(share_work_t *work, const char *person) {
    sync_member_t *list = mem_array(work->n + 1, sizeof *list);
    size_t n = 0;
    if (!list) return err_nomem();
    for (size_t i = 0; i < work->n; i++)
        if (strcmp(work->members[i].person, person) != 0) list[n++] = work->members[i];
    if (n == work->n) {
        mem_free(list);
        return err_new(ERR_NOT_FOUND, "%s is no member of this share", person);
    }
    return swap(work, list, n);
}

err_t *share_work_follow(share_work_t *work, size_t *ret_added, size_t *ret_ended) {
    size_t added = 0, ended = 0;
    TRY(share_work_judge(work));
    /* Who goes, goes first: the keys of newcomers are of the newest epoch then. */
    for (size_t i = 0; i < work->rows_n; i++) {
        const uint8_t *device = work->rows[i].device;
        bool self = memcmp(device, work->open->key.id, SYNC_HASH) == 0;
        if (work->rows[i].state != SYNC_SHARE_REVOKE || self) continue; /* nobody ends himself */
        TRY(sync_members_revoke(work->open->engine, device));
        ended++;
    }
    if (ended) TRY(share_work_judge(work)); /* rows borrow from the chain that went on */
    for (size_t i = 0; i < work->rows_n; i++) {
        const sync_share_row_t *row = &work->rows[i];
        if (row->state != SYNC_SHARE_ADD && row->state != SYNC_SHARE_APPROVE) continue;
        sync_card_t card = *row->card;
        TRY(sync_members_approve(work->open->engine, &card, row->wanted));
        added++;
    }
    if (added || ended) TRY(share_work_judge(work));
    *ret_added = added;
    *ret_ended = ended;
    return NULL;
}
