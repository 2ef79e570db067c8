/*
 * Reading the record and the log: see vault.h. Any thread; one at a time (vault->read_lock).
 */
#include "base/mem.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "keeper/vault_internal.h"

enum { LINE_MAX_BYTES = 8192 }; /* bytes of one log line with every character escaped */

err_t *vault_reader_prepare(vault_t *vault) {
    TRY(sql_prepare(vault->reader, "SELECT der, owner FROM issued WHERE fingerprint = ?",
                    &vault->select_issued));
    TRY(sql_prepare(vault->reader,
                    "SELECT der FROM issued WHERE owner = ? AND issuer = ? ORDER BY id",
                    &vault->select_owned));
    return sql_prepare(vault->reader,
                       "SELECT seq, ms, role, intent, object, outcome, prev_hash, hash FROM log"
                       " WHERE seq > ? ORDER BY seq",
                       &vault->select_log);
}

static err_t *find_issued(vault_t *vault, bytes_t fingerprint, bool *ret_found, buf_t *der) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->select_issued;
    sql_bind_bytes(stmt, 1, fingerprint);
    bool row = false;
    TRY(sql_step(stmt, &row));
    if (row) TRY(buf_add(der, sql_bytes(stmt, 0)));
    *ret_found = row;
    return NULL;
}

err_t *vault_issued_find(vault_t *vault, bytes_t fingerprint, bool *ret_found, buf_t *der) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = find_issued(vault, fingerprint, ret_found, der);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

static err_t *find_owner(vault_t *vault, bytes_t fingerprint, char **ret_owner) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->select_issued;
    sql_bind_bytes(stmt, 1, fingerprint);
    bool row = false;
    *ret_owner = NULL;
    TRY(sql_step(stmt, &row));
    if (!row) return NULL;
    bytes_t owner = sql_bytes(stmt, 1);
    *ret_owner = mem_strndup((const char *)owner.p, owner.n);
    return *ret_owner ? NULL : err_nomem();
}

err_t *vault_issued_owner(vault_t *vault, bytes_t fingerprint, char **ret_owner) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = find_owner(vault, fingerprint, ret_owner);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

static err_t *each_issued(vault_t *vault, const char *issuer, const char *owner,
                          err_t *(*visit)(void *arg, bytes_t der), void *arg) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->select_owned;
    bool row = false;
    sql_bind_str(stmt, 1, owner);
    sql_bind_str(stmt, 2, issuer);
    TRY(sql_step(stmt, &row));
    while (row) {
        TRY(visit(arg, sql_bytes(stmt, 0)));
        TRY(sql_step(stmt, &row));
    }
    return NULL;
}

err_t *vault_issued_each(vault_t *vault, const char *issuer, const char *owner,
                         err_t *(*visit)(void *arg, bytes_t der), void *arg) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = each_issued(vault, issuer, owner, visit, arg);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

/* RFC 8259 section 7. What is not UTF-8 cannot stand in an entry: see keeper/core.c. */
static err_t *add_json_string(buf_t *line, const char *name, bytes_t value) {
    TRY(buf_printf(line, ",\"%s\":\"", name));
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        if (c == '"' || c == '\\') TRY(buf_printf(line, "\\%c", c));
        else if (c < 0x20 || c == 0x7f) TRY(buf_printf(line, "\\u%04x", c));
        else TRY(buf_add_byte(line, c));
    }
    return buf_add_byte(line, '"');
}

static err_t *add_json_hash(buf_t *line, const char *name, bytes_t hash) {
    TRY(buf_printf(line, ",\"%s\":\"", name));
    TRY(text_hex(hash, line));
    return buf_add_byte(line, '"');
}

static err_t *add_line(sql_stmt_t *row, buf_t *line) {
    TRY(buf_printf(line, "{\"seq\":%lld,\"ms\":%lld", (long long)sql_i64(row, 0),
                   (long long)sql_i64(row, 1)));
    TRY(add_json_string(line, "role", sql_bytes(row, 2)));
    TRY(add_json_string(line, "intent", sql_bytes(row, 3)));
    TRY(add_json_string(line, "object", sql_bytes(row, 4)));
    TRY(add_json_string(line, "outcome", sql_bytes(row, 5)));
    TRY(add_json_hash(line, "prev_hash", sql_bytes(row, 6)));
    TRY(add_json_hash(line, "hash", sql_bytes(row, 7)));
    return buf_add_str(line, "}\n");
}

static err_t *read_log(vault_t *vault, uint64_t after, size_t max_bytes, buf_t *lines,
                       uint64_t *ret_last) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->select_log;
    CLEANUP(buf_done) buf_t line;
    buf_init(&line, LINE_MAX_BYTES);
    size_t before = lines->n;
    uint64_t last = after;
    bool row = false;
    sql_bind_i64(stmt, 1, after > INT64_MAX ? INT64_MAX : (int64_t)after);
    for (;;) {
        TRY(sql_step(stmt, &row));
        if (!row) break;
        buf_clear(&line);
        TRY(add_line(stmt, &line));
        if (lines->n - before + line.n > max_bytes) break;
        TRY(buf_add(lines, buf_bytes(&line)));
        last = (uint64_t)sql_i64(stmt, 0);
    }
    *ret_last = last;
    return NULL;
}

err_t *vault_log_read(vault_t *vault, uint64_t after, size_t max_bytes, buf_t *lines,
                      uint64_t *ret_last) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = read_log(vault, after, max_bytes, lines, ret_last);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

static err_t *check_entry(sql_stmt_t *row, vault_tip_t *tip, buf_t *scratch) {
    bytes_t previous = sql_bytes(row, 6), kept = sql_bytes(row, 7);
    log_entry_t entry = {
        .seq = (uint64_t)sql_i64(row, 0),
        .ms = sql_i64(row, 1),
        .role = sql_bytes(row, 2),
        .intent = sql_bytes(row, 3),
        .object = sql_bytes(row, 4),
        .outcome = sql_bytes(row, 5),
        .previous = tip->hash,
    };
    uint8_t hash[VAULT_HASH_SIZE];
    TRY(log_entry_hash(&entry, scratch, hash));
    if (entry.seq != tip->seq + 1 || !bytes_eq(previous, BYTES_ARRAY(tip->hash)) ||
        !bytes_eq(kept, BYTES_ARRAY(hash)))
        return err_new(ERR_VERIFY, "the keeper's log does not hold at entry %llu",
                       (unsigned long long)tip->seq + 1);
    tip->seq = entry.seq;
    memcpy(tip->hash, hash, sizeof hash);
    return NULL;
}

static err_t *verify_log(vault_t *vault, uint64_t *ret_entries) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->select_log;
    CLEANUP(buf_done) buf_t scratch;
    buf_init(&scratch, LINE_MAX_BYTES);
    vault_tip_t tip = {0};
    sql_bind_i64(stmt, 1, -1);
    for (;;) {
        bool row = false;
        TRY(sql_step(stmt, &row));
        if (!row) break;
        TRY(check_entry(stmt, &tip, &scratch));
    }
    *ret_entries = tip.seq;
    return NULL;
}

err_t *vault_log_verify(vault_t *vault, uint64_t *ret_entries) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = verify_log(vault, ret_entries);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}
