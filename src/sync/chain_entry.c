/*
 * Entries of device chains as bytes: see chain_entry.h. Pure; any process, any thread.
 */
#include "sync/chain_entry.h"

enum { CARD_MAX = 1024 };

const char *sync_chain_kind_name(sync_chain_kind_t kind) {
    switch (kind) {
    case SYNC_CHAIN_ADD: return "add";
    case SYNC_CHAIN_APPROVE: return "approve";
    case SYNC_CHAIN_REVOKE: return "revoke";
    case SYNC_CHAIN_ROTATE: return "rotate";
    case SYNC_CHAIN_RECOVER: return "recover";
    }
    return "?";
}

err_t *sync_chain_entry_put(const sync_chain_entry_t *entry, buf_t *out) {
    TRY(sync_put_head(out, "YC", entry->suite));
    TRY(record_put_raw(out, entry->region, SYNC_HASH));
    TRY(wire_put_u64(out, entry->position));
    TRY(record_put_raw(out, entry->previous, SYNC_HASH));
    TRY(wire_put_u8(out, (uint8_t)entry->kind));
    TRY(wire_put_i64(out, entry->time));
    TRY(record_put_raw(out, entry->author, SYNC_HASH));
    TRY(record_put_raw(out, entry->subject, SYNC_HASH));
    TRY(wire_put_u8(out, entry->roles));
    TRY(wire_put_bytes(out, entry->card));
    TRY(wire_put_u64(out, entry->epoch));
    TRY(record_put_raw(out, entry->commit, SYNC_HASH));
    return wire_put_bytes(out, entry->history);
}

static err_t *get_kind(wire_reader_t *r, sync_chain_kind_t *ret_kind) {
    uint8_t kind = 0;
    TRY(wire_get_u8(r, &kind));
    if (kind < SYNC_CHAIN_ADD || kind > SYNC_CHAIN_RECOVER)
        return err_new(ERR_VERIFY, "a chain entry of kind %u, which nobody knows here", kind);
    *ret_kind = (sync_chain_kind_t)kind;
    return NULL;
}

err_t *sync_chain_entry_parse(bytes_t record, sync_chain_entry_t *ret_entry) {
    sync_chain_entry_t entry = {0};
    wire_reader_t r = wire_reader(record);
    if (record.n > LIMIT_SYNC_ENTRY) return err_new(ERR_LIMIT, "a chain entry is too long");
    TRY(sync_get_head(&r, "YC", &entry.suite));
    TRY(record_get_raw(&r, SYNC_HASH, entry.region));
    TRY(wire_get_u64(&r, &entry.position));
    TRY(record_get_raw(&r, SYNC_HASH, entry.previous));
    TRY(get_kind(&r, &entry.kind));
    TRY(wire_get_i64(&r, &entry.time));
    TRY(record_get_raw(&r, SYNC_HASH, entry.author));
    TRY(record_get_raw(&r, SYNC_HASH, entry.subject));
    TRY(wire_get_u8(&r, &entry.roles));
    TRY(wire_get_bytes(&r, CARD_MAX, &entry.card));
    TRY(wire_get_u64(&r, &entry.epoch));
    TRY(record_get_raw(&r, SYNC_HASH, entry.commit));
    TRY(wire_get_bytes(&r, SYNC_WRAP, &entry.history));
    entry.message = bytes_slice(record, 0, record.n - r.rest.n);
    TRY(record_get_raw(&r, SYNC_SIGNATURE, entry.signature));
    TRY(wire_done(&r));
    *ret_entry = entry;
    return NULL;
}
