/*
 * Members of shares: see share.h. Pure; any process, any thread.
 */
#include "sync/share.h"

#include <stdio.h>

#include "base/mem.h"
#include "crypto/digest.h"

#define DOMAIN "coffer/v1/sync/members"
#define SAFETY "coffer/v1/sync/safety"

enum { GROUPS = 8, GROUP_BYTES = 5, GROUP_MOD = 100000 };

/* ---- digits ---- */

/* 40 digits, 132 bits: nobody finds a chain that gives the same, so there is no need to commit. */
err_t *sync_safety_text(const uint8_t one[SYNC_HASH], const uint8_t other[SYNC_HASH],
                        char ret_text[SYNC_SAFETY_TEXT]) {
    uint8_t hash[DIGEST_SHA512_SIZE];
    CLEANUP(buf_done) buf_t in;
    buf_init(&in, 256);
    bool first = memcmp(one, other, SYNC_HASH) <= 0;
    TRY(buf_add(&in, bytes_make(SAFETY, sizeof SAFETY)));
    TRY(record_put_raw(&in, first ? one : other, SYNC_HASH));
    TRY(record_put_raw(&in, first ? other : one, SYNC_HASH));
    TRY(digest_sha512(buf_bytes(&in), hash));
    char *out = ret_text;
    for (size_t i = 0; i < GROUPS; i++) {
        uint64_t value = 0;
        for (size_t k = 0; k < GROUP_BYTES; k++) value = value << 8 | hash[i * GROUP_BYTES + k];
        (void)snprintf(out, 7, "%05u%s", (unsigned)(value % GROUP_MOD), i + 1 < GROUPS ? " " : "");
        out += 6;
    }
    return NULL;
}

/* ---- members, packed ---- */

static err_t *check_roles(uint8_t roles) {
    if (!(roles & SYNC_READ) || (roles & ~SYNC_ALL))
        return err_new(ERR_INVALID, "a member reads, and may write and manage");
    return NULL;
}

err_t *sync_members_pack(const sync_member_t *members, size_t n, buf_t *out) {
    if (n > LIMIT_SYNC_MEMBERS)
        return err_new(ERR_LIMIT, "a share has up to %d members", LIMIT_SYNC_MEMBERS);
    for (size_t i = 0; i < n; i++) {
        const sync_member_t *m = &members[i];
        if (i && memcmp(members[i - 1].home, m->home, SYNC_HASH) >= 0)
            return err_new(ERR_INVALID, "the members are not ascending");
        TRY(check_roles(m->roles));
        TRY(record_put_raw(out, m->home, SYNC_HASH));
        TRY(record_put_text(out, LIMIT_SYNC_PERSON, false, "a member's address", m->person));
        TRY(record_put_text(out, LIMIT_SYNC_PERSON, true, "a group's name", m->group));
        TRY(wire_put_u8(out, m->roles));
        TRY(wire_put_bool(out, m->compared));
    }
    return NULL;
}

static err_t *get_member(wire_reader_t *r, const uint8_t *last, sync_member_t *ret_member) {
    sync_member_t m = {0};
    TRY(record_get_raw(r, SYNC_HASH, m.home));
    if (last && memcmp(last, m.home, SYNC_HASH) >= 0)
        return err_new(ERR_INVALID, "the members are not ascending");
    TRY(record_get_text(r, LIMIT_SYNC_PERSON, false, "a member's address", m.person));
    TRY(record_get_text(r, LIMIT_SYNC_PERSON, true, "a group's name", m.group));
    TRY(wire_get_u8(r, &m.roles));
    TRY(check_roles(m.roles));
    TRY(wire_get_bool(r, &m.compared));
    *ret_member = m;
    return NULL;
}

err_t *sync_members_unpack(const sync_members_t *members, sync_member_t **ret_list, size_t *ret_n) {
    CLEANUP(mem_free) sync_member_t *list = NULL;
    wire_reader_t r = wire_reader(members->members);
    if (members->count > LIMIT_SYNC_MEMBERS)
        return err_new(ERR_LIMIT, "a share with %u members", (unsigned)members->count);
    list = mem_array(members->count ? members->count : 1, sizeof *list);
    if (!list) return err_nomem();
    for (uint32_t i = 0; i < members->count; i++)
        TRY(get_member(&r, i ? list[i - 1].home : NULL, &list[i]));
    TRY(wire_done(&r));
    *ret_list = STEAL(list);
    *ret_n = members->count;
    return NULL;
}

/* ---- the record ---- */

static err_t *put_message(const sync_members_t *m, buf_t *out) {
    TRY(sync_put_head(out, "YU", m->suite));
    TRY(record_put_raw(out, m->region, SYNC_HASH));
    TRY(wire_put_u64(out, m->counter));
    TRY(record_put_raw(out, m->previous, SYNC_HASH));
    TRY(wire_put_u32(out, m->count));
    TRY(wire_put_bytes(out, m->members));
    TRY(record_put_raw(out, m->device, SYNC_HASH));
    TRY(wire_put_u64(out, m->position));
    return record_put_raw(out, m->head, SYNC_HASH);
}

err_t *sync_members_put(const sync_members_t *members, buf_t *out) {
    TRY(put_message(members, out));
    return record_put_raw(out, members->signature, SYNC_SIGNATURE);
}

err_t *sync_members_parse(bytes_t record, sync_members_t *ret_members) {
    sync_members_t m = {0};
    CLEANUP(mem_free) sync_member_t *list = NULL;
    size_t n = 0;
    wire_reader_t r = wire_reader(record);
    TRY(sync_get_head(&r, "YU", &m.suite));
    TRY(record_get_raw(&r, SYNC_HASH, m.region));
    TRY(wire_get_u64(&r, &m.counter));
    if (m.counter == 0) return err_new(ERR_INVALID, "records of members count from 1");
    TRY(record_get_raw(&r, SYNC_HASH, m.previous));
    TRY(wire_get_u32(&r, &m.count));
    TRY(wire_get_bytes(&r, LIMIT_SYNC_MEMBERS_BYTES, &m.members));
    TRY(record_get_raw(&r, SYNC_HASH, m.device));
    TRY(wire_get_u64(&r, &m.position));
    TRY(record_get_raw(&r, SYNC_HASH, m.head));
    m.message = bytes_slice(record, 0, record.n - r.rest.n);
    TRY(record_get_raw(&r, SYNC_SIGNATURE, m.signature));
    TRY(wire_done(&r));
    TRY(sync_members_unpack(&m, &list, &n));
    *ret_members = m;
    return NULL;
}

err_t *sync_members_hash(const sync_members_t *members, uint8_t ret_hash[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, LIMIT_SYNC_MEMBERS_BYTES + 1024);
    TRY(sync_members_put(members, &record));
    return digest_sha256(buf_bytes(&record), ret_hash);
}

err_t *sync_members_sign(sync_members_t *members, const sync_members_seen_t *before,
                         const sync_chain_t *share, const sync_device_key_t *device) {
    CLEANUP(buf_done) buf_t message;
    CLEANUP(buf_done) buf_t signature;
    sync_chain_head_t head;
    sync_members_t m = *members;
    buf_init(&signature, SYNC_SIGNATURE);
    buf_init(&message, LIMIT_SYNC_MEMBERS_BYTES + 1024);
    TRY(sync_chain_head(share, &head));
    m.suite = head.suite;
    memcpy(m.region, head.region, SYNC_HASH);
    m.counter = before->counter + 1;
    memcpy(m.previous, before->hash, SYNC_HASH);
    memcpy(m.device, device->id, SYNC_HASH);
    m.position = head.position;
    memcpy(m.head, head.head, SYNC_HASH);
    TRY(put_message(&m, &message));
    TRY(pkey_sign(device->content, DOMAIN, buf_bytes(&message), &signature));
    memcpy(m.signature, signature.p, SYNC_SIGNATURE);
    m.message = BYTES_NONE;
    *members = m;
    return NULL;
}

static err_t *check(const sync_members_t *m, const sync_chain_t *share) {
    CLEANUP(buf_done) buf_t message;
    const sync_device_t *author = NULL;
    sync_chain_head_t head;
    buf_init(&message, LIMIT_SYNC_MEMBERS_BYTES + 1024);
    TRY(sync_chain_head(share, &head));
    if (memcmp(m->region, head.region, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "these are the members of another share");
    TRY(sync_chain_check_author(share, m->device, m->position, m->head, SYNC_MANAGE, &author));
    TRY(put_message(m, &message));
    return pkey_verify(author->content, DOMAIN, buf_bytes(&message),
                       bytes_make(m->signature, SYNC_SIGNATURE));
}

err_t *sync_members_follow(const sync_members_t *members, const sync_chain_t *share,
                           sync_members_seen_t *seen) {
    uint8_t hash[SYNC_HASH];
    TRY(check(members, share));
    TRY(sync_members_hash(members, hash));
    if (members->counter == seen->counter && memcmp(hash, seen->hash, SYNC_HASH) == 0)
        return err_new(ERR_EXISTS, "these members are known already");
    if (members->counter < seen->counter)
        return err_new(ERR_VERIFY, "rolled back: members number %llu after number %llu",
                       (unsigned long long)members->counter, (unsigned long long)seen->counter);
    if (members->counter > seen->counter + 1)
        return err_new(ERR_NOT_FOUND, "members between number %llu and %llu are missing",
                       (unsigned long long)seen->counter, (unsigned long long)members->counter);
    if (members->counter == seen->counter ||
        memcmp(members->previous, seen->hash, SYNC_HASH) != 0 || members->position < seen->position)
        return err_new(ERR_VERIFY, "forked: other members than those that were seen");
    seen->counter = members->counter;
    memcpy(seen->hash, hash, SYNC_HASH);
    seen->position = members->position;
    return NULL;
}

err_t *sync_members_admit(const sync_members_t *members, const sync_chain_t *share,
                          sync_members_seen_t *seen) {
    const sync_device_t *author = sync_chain_device(share, members->device);
    if (!author || author->state != SYNC_DEVICE_ACTIVE || !(author->roles & SYNC_MANAGE))
        return err_new(ERR_DENIED, "the device may not manage this share");
    return sync_members_follow(members, share, seen);
}
