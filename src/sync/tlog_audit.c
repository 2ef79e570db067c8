/*
 * Reading the whole log: see tlog_audit.h (C2SP tlog-tiles, entry bundles). Pure; any thread.
 */
#include "sync/tlog_audit.h"

/* ---- what is kept ---- */

err_t *tlog_audit_put(const tlog_audit_t *audit, buf_t *out) {
    TRY(wire_put_u64(out, audit->tree.n));
    TRY(wire_put_u64(out, audit->own));
    return buf_add(out, bytes_make(audit->tree.stack, (size_t)audit->tree.depth * MERKLE_HASH));
}

err_t *tlog_audit_parse(bytes_t text, tlog_audit_t *ret_audit) {
    tlog_audit_t audit = {0};
    wire_reader_t r = wire_reader(text);
    bytes_t stack;
    TRY(wire_get_u64(&r, &audit.tree.n));
    TRY(wire_get_u64(&r, &audit.own));
    /* A complete subtree for each bit of the number of leaves. */
    audit.tree.depth = (unsigned)__builtin_popcountll(audit.tree.n);
    TRY(wire_get_raw(&r, (size_t)audit.tree.depth * MERKLE_HASH, &stack));
    TRY(wire_done(&r));
    if (audit.own > audit.tree.n) return err_new(ERR_INVALID, "more entries than leaves");
    bytes_put(audit.tree.stack, stack);
    *ret_audit = audit;
    return NULL;
}

/* ---- leaves ---- */

static err_t *invalid(const tlog_audit_t *audit, const char *what) {
    return err_new(ERR_VERIFY, "log-invalid: entry %llu of the log %s",
                   (unsigned long long)audit->tree.n, what);
}

/* A leaf of the region itself: the next entry of its chain, and no other. */
static err_t *judge_own(const tlog_audit_t *audit, const sync_chain_t *chain,
                        const sync_leaf_t *leaf) {
    if (leaf->position != audit->own)
        return invalid(audit, "is not the next one of this region's chain");
    err_t *e = sync_chain_check_place(chain, leaf->position, leaf->head);
    if (!e) return NULL;
    const char *word = err_code(e) == ERR_NOT_FOUND ? "chain-short" : "chain-forked";
    if (err_code(e) != ERR_NOT_FOUND && err_code(e) != ERR_VERIFY) return e;
    return err_wrap(e,
                    "%s: entry %llu of the log has an entry %llu of this region's chain that the "
                    "service does not show here",
                    word, (unsigned long long)audit->tree.n, (unsigned long long)leaf->position);
}

static err_t *take_leaf(tlog_audit_t *audit, const sync_chain_t *chain, const uint8_t *region,
                        bytes_t record) {
    sync_leaf_t leaf;
    err_t *e = sync_leaf_parse(record, &leaf);
    if (e)
        return err_recode(
            err_wrap(e, "log-invalid: entry %llu of the log", (unsigned long long)audit->tree.n),
            err_code(e) == ERR_NOMEM ? ERR_NOMEM : ERR_VERIFY);
    bool own = memcmp(leaf.region, region, SYNC_HASH) == 0;
    if (own) TRY(judge_own(audit, chain, &leaf));
    TRY(merkle_add_data(&audit->tree, record));
    audit->own += own;
    return NULL;
}

err_t *tlog_audit_take(tlog_audit_t *audit, const sync_chain_t *chain, uint64_t size,
                       bytes_t bundle) {
    sync_chain_head_t head;
    uint64_t at = audit->tree.n - audit->tree.n % TLOG_TILE, before = audit->tree.n;
    TRY(sync_chain_head(chain, &head));
    for (; bundle.n && at < size; at++) {
        bytes_t record;
        err_t *e = tlog_bundle_next(&bundle, &record);
        if (e) return err_recode(err_wrap(e, "log-invalid: a bundle of entries"), ERR_VERIFY);
        if (at >= before) TRY(take_leaf(audit, chain, head.region, record));
    }
    if (audit->tree.n == before) return invalid(audit, "is not shown");
    return NULL;
}

err_t *tlog_audit_check(const tlog_audit_t *audit, const tlog_checkpoint_t *checkpoint) {
    uint8_t root[MERKLE_HASH];
    TRY(merkle_root(&audit->tree, root));
    bool same =
        audit->tree.n == checkpoint->size && memcmp(root, checkpoint->root, MERKLE_HASH) == 0;
    return same ? NULL
                : err_new(ERR_VERIFY, "log-invalid: its entries are not those of the tree that "
                                      "was signed");
}
