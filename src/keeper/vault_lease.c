/*
 * See vault_lease.h. Writing: the vault's writer thread. Reading: any, under vault->read_lock.
 */
#include "keeper/vault_lease.h"

#include <stdio.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "ipc/wire.h"
#include "keeper/vault_internal.h"

enum {
    HOUR_MS = 3600 * 1000,
    SWEEP = 200,     /* leases deleted in one transaction */
    SWEEP_BUSY = 20, /* the same when others wait or are at work: that is what they wait for */
    LIST_MAX = 256 * 1024, /* bytes of their names, digested */
};

struct vault_lease_sql {
    sql_stmt_t *epoch, *others, *put, *releases, *count, *revoke, *revoke_all;
    sql_stmt_t *expired, *forget, *end, *pin, *set_pin, *unpin;
    sql_stmt_t *find, *list, *any_expired; /* the reader's */
};

static err_t *prepare_writer(sql_t *sql, vault_lease_sql_t *s) {
    TRY(sql_prepare(sql,
                    "SELECT epoch, CASE WHEN expires > ? AND length(sealed) > 0 THEN push_key END"
                    " FROM lease WHERE device = ? AND account = ?",
                    &s->epoch));
    TRY(sql_prepare(
        sql,
        "SELECT COUNT(*), MAX(CASE WHEN expires > ? AND length(sealed) > 0 THEN push_key"
        " END) FROM lease WHERE device = ?",
        &s->others));
    TRY(sql_prepare(sql,
                    "INSERT INTO lease (device, account, epoch, expires, push_key, sealed,"
                    " since_ms, releases, keep_until, due) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0,"
                    " ?4, ?4) ON CONFLICT (device, account) DO UPDATE SET epoch = ?3,"
                    " expires = ?4, push_key = ?5, sealed = ?6, total = 0, last_ms = 0,"
                    " keep_until = max(keep_until, ?4), due = ?4",
                    &s->put));
    TRY(sql_prepare(sql,
                    "SELECT since_ms, releases FROM lease WHERE device = ? AND account = ?"
                    " AND epoch = ? AND expires > ? AND length(sealed) > 0",
                    &s->releases));
    TRY(sql_prepare(sql,
                    "UPDATE lease SET since_ms = ?, releases = ?, total = total + 1, last_ms = ?"
                    " WHERE device = ? AND account = ?",
                    &s->count));
    TRY(sql_prepare(sql, "UPDATE lease SET sealed = x'' WHERE device = ? AND account = ?",
                    &s->revoke));
    TRY(sql_prepare(sql, "UPDATE lease SET sealed = x'' WHERE device = ?", &s->revoke_all));
    TRY(sql_prepare(sql,
                    "SELECT device, account, epoch FROM lease WHERE due <= ?"
                    " ORDER BY due, device, account LIMIT ?",
                    &s->expired));
    TRY(sql_prepare(sql,
                    "DELETE FROM lease WHERE device = ? AND account = ? AND epoch = ?"
                    " AND keep_until <= ?",
                    &s->forget));
    return sql_prepare(sql,
                       "UPDATE lease SET sealed = x'', due = keep_until WHERE device = ?"
                       " AND account = ? AND epoch = ?",
                       &s->end);
}

static err_t *prepare_pins(sql_t *sql, vault_lease_sql_t *s) {
    TRY(sql_prepare(sql, "SELECT push_key FROM lease_device WHERE device = ?", &s->pin));
    TRY(sql_prepare(sql, "INSERT OR REPLACE INTO lease_device (device, push_key) VALUES (?, ?)",
                    &s->set_pin));
    return sql_prepare(sql, "DELETE FROM lease_device WHERE device = ?", &s->unpin);
}

err_t *vault_lease_prepare(vault_t *vault) {
    vault_lease_sql_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    vault->lease = s;
    TRY(vault_lease_clock_prepare(vault));
    TRY(prepare_writer(vault->writer, s));
    TRY(prepare_pins(vault->writer, s));
    TRY(sql_prepare(vault->reader,
                    "SELECT epoch, expires, push_key, sealed FROM lease WHERE device = ?"
                    " AND account = ? AND length(sealed) > 0",
                    &s->find));
    TRY(sql_prepare(vault->reader,
                    "SELECT account, epoch, expires, total, last_ms, length(sealed), push_key"
                    " FROM lease WHERE device = ? AND expires > ? ORDER BY account LIMIT ?",
                    &s->list));
    return sql_prepare(vault->reader, "SELECT 1 FROM lease WHERE due <= ? LIMIT 1",
                       &s->any_expired);
}

static err_t *attach(vault_op_t *op, const vault_lease_t *lease,
                     err_t *(*write)(vault_t *, void *, int64_t, err_t **)) {
    vault_lease_t *copy = mem_alloc(sizeof *copy);
    if (!copy) return err_nomem();
    *copy = *lease;
    op->rows = (vault_rows_t){.rows = copy, .write = write, .free = mem_free};
    return NULL;
}

/* ---- put ---- */

/* What a put has to fit: the lease that it renews, or the device's others. */
typedef struct {
    bool found;
    uint64_t epoch;
    int64_t leases;
    bool has_push_key; /* of leases that live */
    uint8_t push_key[LEASE_PUSH_KEY];
    bool has_pin; /* the device's registered push key */
    uint8_t pin[LEASE_PUSH_KEY];
} standing_t;

static void take_push_key(bytes_t push_key, standing_t *standing) {
    if (push_key.n != LEASE_PUSH_KEY) return;
    memcpy(standing->push_key, push_key.p, LEASE_PUSH_KEY);
    standing->has_push_key = true;
}

static err_t *find_epoch(vault_t *vault, const vault_lease_t *lease, int64_t now,
                         standing_t *standing) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->epoch;
    sql_bind_i64(stmt, 1, now);
    sql_bind_str(stmt, 2, lease->device);
    sql_bind_str(stmt, 3, lease->account);
    TRY(sql_step(stmt, &standing->found));
    if (!standing->found) return NULL;
    standing->epoch = (uint64_t)sql_i64(stmt, 0);
    take_push_key(sql_bytes(stmt, 1), standing);
    return NULL;
}

static err_t *find_others(vault_t *vault, const vault_lease_t *lease, int64_t now,
                          standing_t *standing) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->others;
    bool row = false;
    sql_bind_i64(stmt, 1, now);
    sql_bind_str(stmt, 2, lease->device);
    TRY(sql_step(stmt, &row));
    if (!row) return NULL;
    standing->leases = sql_i64(stmt, 0);
    take_push_key(sql_bytes(stmt, 1), standing);
    return NULL;
}

static err_t *find_pin(vault_t *vault, const vault_lease_t *lease, standing_t *standing) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->pin;
    bool row = false;
    sql_bind_str(stmt, 1, lease->device);
    TRY(sql_step(stmt, &row));
    bytes_t pin = row ? sql_bytes(stmt, 0) : BYTES_NONE;
    if (pin.n != LEASE_PUSH_KEY) return NULL;
    memcpy(standing->pin, pin.p, LEASE_PUSH_KEY);
    standing->has_pin = true;
    return NULL;
}

/* Who holds a token must not be able to leap where the device can't follow. */
static err_t *check_epoch(const vault_lease_t *lease, const standing_t *standing) {
    if (!standing->found && lease->epoch > UINT64_C(1) << LIMIT_LEASE_EPOCH_FIRST_BITS)
        return err_new(ERR_DENIED, "a lease begins at epoch 2^%d at most",
                       LIMIT_LEASE_EPOCH_FIRST_BITS);
    if (standing->found && lease->epoch > standing->epoch &&
        lease->epoch - standing->epoch > LIMIT_LEASE_EPOCH_STEP)
        return err_new(ERR_DENIED, "the lease has epoch %llu: the next is at most %d higher",
                       (unsigned long long)standing->epoch, LIMIT_LEASE_EPOCH_STEP);
    return NULL;
}

static err_t *check_put(const vault_lease_t *lease, const standing_t *standing) {
    if (standing->found && lease->epoch <= standing->epoch)
        return err_new(ERR_DENIED, "the lease has epoch %llu already",
                       (unsigned long long)standing->epoch);
    if (standing->has_push_key && memcmp(standing->push_key, lease->push_key, LEASE_PUSH_KEY) != 0)
        return err_new(ERR_DENIED, "the device has leases for another push key");
    if (standing->has_pin && !lease->may_change &&
        memcmp(standing->pin, lease->push_key, LEASE_PUSH_KEY) != 0)
        return err_new(ERR_DENIED, "the device registered another push key: its identity "
                                   "certificate or an admin's reset changes it");
    if (!standing->found && standing->leases >= LIMIT_LEASES_DEVICE)
        return err_new(ERR_LIMIT, "a device has at most %d leases", LIMIT_LEASES_DEVICE);
    return check_epoch(lease, standing);
}

static err_t *write_pin(vault_t *vault, const vault_lease_t *lease) {
    sql_stmt_t *stmt = vault->lease->set_pin;
    sql_bind_str(stmt, 1, lease->device);
    sql_bind_bytes(stmt, 2, BYTES_ARRAY(lease->push_key));
    return sql_run(stmt);
}

static err_t *write_put(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const vault_lease_t *lease = rows;
    standing_t standing = {0};
    TRY(find_epoch(vault, lease, now_ms / 1000, &standing));
    if (!standing.has_push_key) TRY(find_others(vault, lease, now_ms / 1000, &standing));
    TRY(find_pin(vault, lease, &standing));
    *ret_refused = check_put(lease, &standing);
    if (*ret_refused) return NULL;
    if (standing.found) vault->scrub_next = true; /* the former key */
    sql_stmt_t *stmt = vault->lease->put;
    sql_bind_str(stmt, 1, lease->device);
    sql_bind_str(stmt, 2, lease->account);
    sql_bind_i64(stmt, 3, (int64_t)lease->epoch);
    sql_bind_i64(stmt, 4, lease->expires);
    sql_bind_bytes(stmt, 5, BYTES_ARRAY(lease->push_key));
    sql_bind_bytes(stmt, 6, bytes_make(lease->sealed, lease->sealed_n));
    TRY(sql_run(stmt));
    return write_pin(vault, lease);
}

err_t *vault_lease_put(vault_op_t *op, const vault_lease_t *lease) {
    return attach(op, lease, write_put);
}

/* ---- release ---- */

/* How many there were in the hour that goes on, and since when that is. */
static err_t *find_releases(vault_t *vault, const vault_lease_t *lease, int64_t now_ms,
                            bool *ret_found, int64_t *ret_since, int64_t *ret_n) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->releases;
    sql_bind_str(stmt, 1, lease->device);
    sql_bind_str(stmt, 2, lease->account);
    sql_bind_i64(stmt, 3, (int64_t)lease->epoch);
    sql_bind_i64(stmt, 4, now_ms / 1000);
    TRY(sql_step(stmt, ret_found));
    if (!*ret_found) return NULL;
    *ret_since = sql_i64(stmt, 0);
    *ret_n = sql_i64(stmt, 1);
    if (now_ms - *ret_since >= HOUR_MS) {
        *ret_since = now_ms;
        *ret_n = 0;
    }
    return NULL;
}

static err_t *write_release(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const vault_lease_t *lease = rows;
    bool found = false;
    int64_t since = 0, n = 0;
    TRY(find_releases(vault, lease, now_ms, &found, &since, &n));
    if (!found) *ret_refused = err_new(ERR_NOT_FOUND, "the lease is gone");
    else if (n >= LIMIT_LEASE_RELEASES)
        *ret_refused =
            err_new(ERR_BUSY, "the lease was released %lld times within an hour", (long long)n);
    if (*ret_refused) return NULL;
    sql_stmt_t *stmt = vault->lease->count;
    sql_bind_i64(stmt, 1, since);
    sql_bind_i64(stmt, 2, n + 1);
    sql_bind_i64(stmt, 3, now_ms);
    sql_bind_str(stmt, 4, lease->device);
    sql_bind_str(stmt, 5, lease->account);
    return sql_run(stmt);
}

err_t *vault_lease_release(vault_op_t *op, const vault_lease_t *lease) {
    return attach(op, lease, write_release);
}

/* ---- revoke ---- */

static err_t *write_revoke(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    (void)now_ms;
    (void)ret_refused;
    const vault_lease_t *lease = rows;
    bool all = lease->account[0] == '\0';
    sql_stmt_t *stmt = all ? vault->lease->revoke_all : vault->lease->revoke;
    sql_bind_str(stmt, 1, lease->device);
    if (!all) sql_bind_str(stmt, 2, lease->account);
    vault->scrub_next = true;
    return sql_run(stmt);
}

err_t *vault_lease_revoke(vault_op_t *op, const char *device, const char *account) {
    vault_lease_t lease = {0};
    if (strlen(device) > LIMIT_DEVICE_ID || strlen(account) > LIMIT_LEASE_ACCOUNT)
        return err_new(ERR_LIMIT, "a lease's device or account is too long");
    memcpy(lease.device, device, strlen(device) + 1);
    memcpy(lease.account, account, strlen(account) + 1);
    return attach(op, &lease, write_revoke);
}

/* All keys of the device go; it registers anew. Epochs stay known: nothing is put twice. */
static err_t *write_reset(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const vault_lease_t *lease = rows;
    sql_bind_str(vault->lease->unpin, 1, lease->device);
    TRY(sql_run(vault->lease->unpin));
    return write_revoke(vault, rows, now_ms, ret_refused);
}

err_t *vault_lease_reset(vault_op_t *op, const char *device) {
    vault_lease_t lease = {0};
    if (strlen(device) > LIMIT_DEVICE_ID) return err_new(ERR_LIMIT, "a device's id is too long");
    memcpy(lease.device, device, strlen(device) + 1);
    return attach(op, &lease, write_reset);
}

/* ---- reading ---- */

static err_t *read_lease(sql_stmt_t *row, vault_lease_t *lease) {
    bytes_t push_key = sql_bytes(row, 2), sealed = sql_bytes(row, 3);
    if (push_key.n != LEASE_PUSH_KEY || sealed.n > LIMIT_LEASE_KEY)
        return err_new(ERR_VERIFY, "a lease in the vault was changed");
    lease->epoch = (uint64_t)sql_i64(row, 0);
    lease->expires = sql_i64(row, 1);
    lease->sealed_n = sealed.n;
    memcpy(lease->push_key, push_key.p, LEASE_PUSH_KEY);
    bytes_put(lease->sealed, sealed);
    return NULL;
}

static err_t *find(vault_t *vault, const char *device, const char *account, bool *ret_found,
                   vault_lease_t *lease) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->find;
    sql_bind_str(stmt, 1, device);
    sql_bind_str(stmt, 2, account);
    TRY(sql_step(stmt, ret_found));
    return *ret_found ? read_lease(stmt, lease) : NULL;
}

err_t *vault_lease_find(vault_t *vault, const char *device, const char *account, bool *ret_found,
                        vault_lease_t *ret_lease) {
    vault_lease_t lease = {0};
    bool found = false;
    if (strlen(device) > LIMIT_DEVICE_ID || strlen(account) > LIMIT_LEASE_ACCOUNT)
        return err_new(ERR_LIMIT, "a lease's device or account is too long");
    memcpy(lease.device, device, strlen(device) + 1);
    memcpy(lease.account, account, strlen(account) + 1);
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = find(vault, device, account, &found, &lease);
    (void)pthread_mutex_unlock(&vault->read_lock);
    if (e) return e;
    *ret_found = found && lease.expires > clk_unix(vault->clk);
    if (*ret_found) *ret_lease = lease;
    return NULL;
}

static err_t *read_state(sql_stmt_t *row, keeper_lease_state_t *state) {
    bytes_t account = sql_bytes(row, 0), push_key = sql_bytes(row, 6);
    if (account.n > LIMIT_LEASE_ACCOUNT || push_key.n != LEASE_PUSH_KEY)
        return err_new(ERR_VERIFY, "a lease in the vault was changed");
    *state = (keeper_lease_state_t){.epoch = (uint64_t)sql_i64(row, 1),
                                    .expires = sql_i64(row, 2),
                                    .releases = sql_i64(row, 3),
                                    .last_ms = sql_i64(row, 4),
                                    .revoked = sql_i64(row, 5) == 0};
    bytes_put(state->account, account);
    memcpy(state->push_key, push_key.p, LEASE_PUSH_KEY);
    return NULL;
}

static err_t *list(vault_t *vault, const char *device, keeper_lease_state_t *states,
                   size_t *ret_count) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->list;
    size_t n = 0;
    sql_bind_str(stmt, 1, device);
    sql_bind_i64(stmt, 2, clk_unix(vault->clk));
    sql_bind_i64(stmt, 3, LIMIT_LEASES_DEVICE);
    for (bool row = true;;) {
        TRY(sql_step(stmt, &row));
        if (!row) break;
        TRY(read_state(stmt, &states[n++]));
    }
    *ret_count = n;
    return NULL;
}

err_t *vault_lease_list(vault_t *vault, const char *device,
                        keeper_lease_state_t ret_list[LIMIT_LEASES_DEVICE], size_t *ret_count) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = list(vault, device, ret_list, ret_count);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

/* ---- the sweep ---- */

typedef struct {
    char device[LIMIT_DEVICE_ID + 1];
    char account[LIMIT_LEASE_ACCOUNT + 1];
    int64_t epoch;
} expired_t;

typedef struct {
    vault_op_t op; /* first */
    vault_t *vault;
    size_t n; /* deleted by the last transaction */
    size_t want;
    expired_t list[SWEEP];
} sweep_t;

static void copy_text(bytes_t from, size_t max, char *to) {
    size_t n = from.n < max ? from.n : max;
    if (n) memcpy(to, from.p, n);
    to[n] = '\0';
}

static err_t *find_expired(vault_t *vault, int64_t now, sweep_t *sweep) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->expired;
    bool row = false;
    sql_bind_i64(stmt, 1, now);
    sql_bind_i64(stmt, 2, (int64_t)sweep->want);
    sweep->n = 0;
    for (;;) {
        TRY(sql_step(stmt, &row));
        if (!row) return NULL;
        expired_t *one = &sweep->list[sweep->n++];
        copy_text(sql_bytes(stmt, 0), LIMIT_DEVICE_ID, one->device);
        copy_text(sql_bytes(stmt, 1), LIMIT_LEASE_ACCOUNT, one->account);
        one->epoch = sql_i64(stmt, 2);
    }
}

/* Names the first and digests all, so that the deletion of each can be shown from the log. */
static err_t *say(sweep_t *sweep) {
    CLEANUP(buf_done) buf_t list;
    uint8_t hash[DIGEST_SHA256_SIZE];
    char hex[2 * DIGEST_SHA256_SIZE + 1];
    buf_init(&list, LIST_MAX);
    for (size_t i = 0; i < sweep->n; i++) {
        TRY(wire_put_str(&list, sweep->list[i].device));
        TRY(wire_put_str(&list, sweep->list[i].account));
        TRY(wire_put_i64(&list, sweep->list[i].epoch));
    }
    TRY(digest_sha256(buf_bytes(&list), hash));
    for (size_t i = 0; i < sizeof hash; i++) (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    (void)snprintf(sweep->op.object, sizeof sweep->op.object,
                   "leases=%zu sha256=%s first=%s/%s/%lld", sweep->n, hex, sweep->list[0].device,
                   sweep->list[0].account, (long long)sweep->list[0].epoch);
    return NULL;
}

/* The key goes; the row too, unless an earlier one under this name would live on: its epoch stays.
 */
static err_t *end_one(vault_t *vault, const expired_t *one, int64_t now) {
    sql_stmt_t *forget = vault->lease->forget, *end = vault->lease->end;
    sql_bind_str(forget, 1, one->device);
    sql_bind_str(forget, 2, one->account);
    sql_bind_i64(forget, 3, one->epoch);
    sql_bind_i64(forget, 4, now);
    TRY(sql_run(forget));
    sql_bind_str(end, 1, one->device);
    sql_bind_str(end, 2, one->account);
    sql_bind_i64(end, 3, one->epoch);
    return sql_run(end);
}

static err_t *write_sweep(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    sweep_t *sweep = rows;
    sweep->want = vault->crowded || atomic_load(&vault->expected) ? SWEEP_BUSY : SWEEP;
    TRY(find_expired(vault, now_ms / 1000, sweep));
    if (sweep->n == 0) {
        *ret_refused = err_new(ERR_NOT_FOUND, "no lease has expired");
        return NULL;
    }
    vault->scrub_next = true;
    for (size_t i = 0; i < sweep->n; i++) TRY(end_one(vault, &sweep->list[i], now_ms / 1000));
    return say(sweep);
}

static void keep(void *rows) { (void)rows; }

static void begin(sweep_t *sweep) {
    vault_op_t *op = &sweep->op;
    *op = (vault_op_t){.role = "keeper", .intent = "lease-expire", .waits = true};
    (void)snprintf(op->outcome, sizeof op->outcome, "ok");
    op->rows = (vault_rows_t){.rows = sweep, .write = write_sweep, .free = keep};
}

static void swept(vault_op_t *op, err_t *e) {
    sweep_t *sweep = (sweep_t *)(void *)op;
    vault_t *vault = sweep->vault;
    bool more = !e && sweep->n == sweep->want;
    err_free(e);
    vault_op_done(op);
    if (more) {
        begin(sweep);
        op->done = swept;
        e = vault_submit(vault, op); /* behind what came meanwhile */
        if (!e) return;
        err_free(e);
        vault_op_done(op);
    }
    mem_free(sweep);
    atomic_store(&vault->sweeping, false);
}

static err_t *any_expired(vault_t *vault, bool *ret_any) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->lease->any_expired;
    sql_bind_i64(stmt, 1, clk_unix(vault->clk));
    return sql_step(stmt, ret_any);
}

err_t *vault_lease_sweep(vault_t *vault) {
    bool any = false;
    TRY(vault_lease_clock_look(vault));
    if (atomic_exchange(&vault->sweeping, true)) return NULL;
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = any_expired(vault, &any);
    (void)pthread_mutex_unlock(&vault->read_lock);
    sweep_t *sweep = !e && any ? mem_zalloc(sizeof *sweep) : NULL;
    if (sweep) {
        sweep->vault = vault;
        begin(sweep);
        sweep->op.done = swept;
        e = vault_submit(vault, &sweep->op);
        if (!e) return NULL;
        mem_free(sweep);
    } else if (!e && any) {
        e = err_nomem();
    }
    atomic_store(&vault->sweeping, false);
    return e;
}

bool vault_lease_sweeping(const vault_t *vault) { return atomic_load(&vault->sweeping); }
