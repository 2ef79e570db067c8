/*
 * See vault_sync.h. Writing: the vault's writer thread. Reading: any, under vault->read_lock.
 */
#include "keeper/vault_sync.h"

#include "base/mem.h"
#include "keeper/vault_internal.h"

struct vault_sync_sql {
    sql_stmt_t *put, *last; /* the writer's */
    sql_stmt_t *find;       /* the reader's */
};

#define SELECT "SELECT size, root FROM sync_tree WHERE origin = ?"

err_t *vault_sync_prepare(vault_t *vault) {
    vault_sync_sql_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    vault->sync = s;
    TRY(sql_prepare(vault->writer, SELECT, &s->last));
    TRY(sql_prepare(vault->writer,
                    "INSERT INTO sync_tree (origin, size, root) VALUES (?, ?, ?) ON CONFLICT"
                    " (origin) DO UPDATE SET size = excluded.size, root = excluded.root",
                    &s->put));
    return sql_prepare(vault->reader, SELECT, &s->find);
}

static err_t *read_tree(sql_stmt_t *stmt, vault_tree_t *tree) {
    CLEANUP(sql_end) sql_stmt_t *end = stmt;
    bool row = false;
    tree->size = 0;
    sql_bind_str(end, 1, tree->origin);
    TRY(sql_step(end, &row));
    if (!row) return NULL;
    bytes_t root = sql_bytes(stmt, 1);
    if (root.n != MERKLE_HASH) return err_new(ERR_VERIFY, "the vault's last tree is damaged");
    bytes_put(tree->root, root);
    tree->size = (uint64_t)sql_i64(stmt, 0);
    return NULL;
}

typedef struct {
    vault_tree_t tree;
    uint64_t old_size;
    uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH];
    size_t proof_n;
} row_t;

/* In the transaction that keeps the new tree, so that two requests can't both follow the old one.
 */
static err_t *write_tree(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const row_t *row = rows;
    vault_tree_t last = row->tree;
    err_t *e = NULL;
    (void)now_ms;
    TRY(read_tree(vault->sync->last, &last));
    if (last.size && last.size != row->old_size)
        e = err_new(ERR_DENIED, "the last tree that was signed has %llu leaves",
                    (unsigned long long)last.size);
    if (last.size && !e)
        e = merkle_check_consistency(last.size, last.root, row->tree.size, row->tree.root,
                                     row->proof, row->proof_n);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e) {
        *ret_refused =
            err_recode(err_wrap(e,
                                "ALARM: the log of device chains does not go on from the %llu "
                                "entries that were signed",
                                (unsigned long long)last.size),
                       ERR_DENIED);
        return NULL;
    }
    sql_stmt_t *stmt = vault->sync->put;
    sql_bind_str(stmt, 1, row->tree.origin);
    sql_bind_i64(stmt, 2, (int64_t)row->tree.size);
    sql_bind_bytes(stmt, 3, BYTES_ARRAY(row->tree.root));
    return sql_run(stmt);
}

err_t *vault_sync_put(vault_op_t *op, const vault_tree_t *tree, uint64_t old_size, bytes_t proof) {
    row_t *row = mem_zalloc(sizeof *row);
    if (!row) return err_nomem();
    if (proof.n % MERKLE_HASH != 0 || proof.n > sizeof row->proof) {
        mem_free(row);
        return err_new(ERR_INVALID, "no such proof");
    }
    row->tree = *tree;
    row->old_size = old_size;
    row->proof_n = proof.n / MERKLE_HASH;
    bytes_put(row->proof, proof);
    op->rows = (vault_rows_t){.rows = row, .write = write_tree, .free = mem_free};
    return NULL;
}

err_t *vault_sync_last(vault_t *vault, vault_tree_t *tree) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = read_tree(vault->sync->find, tree);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}
