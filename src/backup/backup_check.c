/*
 * See backup_check.h.
 */
#include "backup/backup_check.h"

#include <stdlib.h>

#include "base/mem.h"

err_t *backup_check_head(const backup_head_t *head, escrow_set_t *ret_set) {
    escrow_blob_t blob;
    TRY_WRAP(escrow_set_parse(head->set, ret_set), "officers' set");
    TRY_WRAP(escrow_blob_parse(head->blob, &blob), "sealed keys");
    for (size_t i = 0; i < ret_set->n; i++) {
        const escrow_officer_t *officer = &ret_set->officers[i];
        escrow_share_t share;
        TRY(backup_share_find(head->shares, officer->id, &share));
        if (share.epoch != ret_set->epoch || share.index != officer->index ||
            share.threshold != ret_set->threshold)
            return err_new(ERR_VERIFY, "the share of officer %s is of another set", officer->id);
    }
    return NULL;
}

/* ---- checking ---- */

typedef struct {
    const backup_repo_t *repo;
    bytes_t audit_key;
    buf_t first_key; /* of the newest, when none was given */
    const backup_report_t *report;
    backup_checked_t checked;
    backup_known_t seen; /* chunks that were read */
} check_t;

static void check_done(check_t *c) {
    buf_done(&c->first_key);
    backup_known_done(&c->seen);
}
DEFINE_CLEANUP_VALUE(check_t, check_done)

static err_t *tell(check_t *c, const char *name, err_t *e) {
    if (!e) return NULL;
    if (err_code(e) == ERR_NOMEM) return e;
    c->checked.problems++;
    c->report->problem(c->report->ctx, name, e);
    err_free(e);
    return NULL;
}

static err_t *check_key(check_t *c, const backup_head_t *head) {
    if (!c->audit_key.n && !c->first_key.n) TRY(buf_add(&c->first_key, head->audit_key));
    bytes_t expected = c->audit_key.n ? c->audit_key : buf_bytes(&c->first_key);
    if (!bytes_eq(head->audit_key, expected))
        return err_new(ERR_VERIFY, "it was signed by another keeper");
    return NULL;
}

static err_t *check_chunks(check_t *c, const char *name, const backup_manifest_t *manifest) {
    CLEANUP(buf_done) buf_t chunk;
    buf_init(&chunk, BACKUP_CHUNK_FILE);
    for (size_t i = 0; i < manifest->table.n / BACKUP_ENTRY; i++) {
        backup_entry_t entry = backup_entry_get(manifest->table, i);
        const backup_entry_t *seen = backup_known_find(&c->seen, entry.id);
        if (seen && memcmp(seen->sha256, entry.sha256, ESCROW_HASH) == 0) continue;
        TRY(tell(c, name, backup_chunk_read(c->repo, &entry, &chunk)));
        c->checked.chunks++;
        c->checked.bytes += chunk.n;
    }
    return backup_known_add(&c->seen, manifest->table);
}

static err_t *check_one(check_t *c, const char *name) {
    CLEANUP(buf_done) buf_t file;
    backup_manifest_t manifest;
    escrow_set_t set;
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    c->checked.backups++;
    err_t *e = backup_repo_read(c->repo, name, &file, &manifest);
    if (e) return tell(c, name, e);
    e = check_key(c, &manifest.head);
    if (!e) e = backup_check_head(&manifest.head, &set);
    TRY(tell(c, name, e));
    return check_chunks(c, name, &manifest);
}

err_t *backup_check(const backup_repo_t *repo, const char *name, bytes_t audit_key,
                    const backup_report_t *report, backup_checked_t *ret_checked) {
    CLEANUP(check_done) check_t c = {.repo = repo, .audit_key = audit_key, .report = report};
    CLEANUP(backup_names_done) backup_names_t names = {0};
    buf_init(&c.first_key, LIMIT_KEY_BYTES);
    if (name) {
        TRY(check_one(&c, name));
    } else {
        TRY(backup_repo_list(repo, &names));
        for (size_t i = names.n; i-- > 0;) TRY(check_one(&c, names.names[i]));
    }
    *ret_checked = c.checked;
    if (c.checked.problems)
        return err_new(ERR_VERIFY, "%llu problems in %s", (unsigned long long)c.checked.problems,
                       backup_repo_dir(repo));
    return NULL;
}

/* ---- pruning ---- */

err_t *backup_prune(const backup_repo_t *repo, size_t keep, backup_pruned_t *ret_pruned) {
    CLEANUP(backup_names_done) backup_names_t names = {0};
    CLEANUP(backup_known_done) backup_known_t known = {0};
    uint8_t generation[ESCROW_ID];
    backup_pruned_t pruned = {0};
    if (keep == 0) return err_new(ERR_USAGE, "at least one backup is kept");
    TRY(backup_repo_list(repo, &names));
    size_t old = names.n > keep ? names.n - keep : 0;
    backup_names_t kept = {names.names ? names.names + old : NULL, names.n - old};
    TRY(backup_repo_known(repo, &kept, &known, generation));
    for (; pruned.removed < old; pruned.removed++)
        TRY(backup_repo_remove(repo, names.names[pruned.removed]));
    pruned.kept = kept.n;
    TRY(backup_repo_sweep(repo, &known, &pruned.chunks, &pruned.bytes));
    *ret_pruned = pruned;
    return NULL;
}
