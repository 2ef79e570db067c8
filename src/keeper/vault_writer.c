/*
 * The vault's writer thread: takes what is queued, writes it in one transaction, and lets the
 * answers go after COMMIT. Whoever waits is served at once if nobody else is about to; else a
 * commit gathers those for a moment. Entries nobody waits for linger so that they share a later
 * fsync.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "keeper/vault_internal.h"

enum {
    VAULT_LINGER_MS = 50,         /* entries without a waiter gather for so long */
    VAULT_GATHER_MS = 3,          /* those with one, while more are expected */
    VAULT_TALLY_MS = 60 * 1000,   /* entries alike are counted together for so long */
    VAULT_RETRY_MS = 500,         /* pause after a failed commit of such entries */
    DAY_MS = 24 * 60 * 60 * 1000, /* the period of a release cap */
    ENTRY_MAX = 4096,             /* bytes of one entry's hashed form */
};

err_t *vault_writer_prepare(vault_t *vault) {
    sql_t *sql = vault->writer;
    TRY(sql_prepare(sql, "BEGIN IMMEDIATE", &vault->begin));
    TRY(sql_prepare(sql, "COMMIT", &vault->commit));
    TRY(sql_prepare(sql, "ROLLBACK", &vault->rollback));
    TRY(sql_prepare(sql,
                    "INSERT INTO log (seq, ms, role, intent, object, outcome, prev_hash, hash)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    &vault->insert_log));
    TRY(sql_prepare(sql,
                    "INSERT INTO issued (fingerprint, serial, issuer, profile, owner, der,"
                    " not_after, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    &vault->insert_issued));
    TRY(sql_prepare(sql, "INSERT INTO release (device, kind, command, ms) VALUES (?, ?, ?, ?)",
                    &vault->insert_release));
    TRY(sql_prepare(sql,
                    "SELECT count(DISTINCT CASE WHEN command <> ? THEN command END), count(*)"
                    " FROM release WHERE device = ? AND kind = ? AND ms > ?",
                    &vault->count_releases));
    TRY(sql_prepare(sql, "SELECT count(*) FROM release WHERE kind = ? AND ms > ?",
                    &vault->count_all_releases));
    TRY(sql_prepare(sql,
                    "INSERT INTO head (node, seq, hash, ms) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (node) DO UPDATE SET seq = excluded.seq, hash = excluded.hash,"
                    " ms = excluded.ms WHERE excluded.seq > head.seq"
                    " OR (excluded.seq = head.seq AND excluded.hash = head.hash) RETURNING seq",
                    &vault->move_head));
    return sql_prepare(sql, "DELETE FROM release WHERE device = ? AND ms <= ?",
                       &vault->forget_releases);
}

void vault_op_done(vault_op_t *op) {
    cert_free(op->issued.cert);
    mem_free(op->issued.profile);
    mem_free(op->issued.owner);
    mem_free(op->release.device);
    mem_free(op->release.kind);
    mem_free(op->release.command);
    mem_free(op->head.node);
    if (op->rows.rows) op->rows.free(op->rows.rows);
    err_free(op->refused);
    op->issued = (vault_issued_t){0};
    op->release = (vault_release_t){0};
    op->head = (vault_head_t){0};
    op->rows = (vault_rows_t){0};
    op->refused = NULL;
}

/* ---- one transaction ---- */

typedef struct {
    vault_tip_t tip;
    uint64_t certificates;
    int64_t now_ms;
    vault_tally_t tallies[VAULT_TALLIES];
    buf_t scratch;
} batch_t;

static err_t *write_issued(vault_t *vault, const vault_issued_t *issued, batch_t *batch) {
    sql_stmt_t *stmt = vault->insert_issued;
    sql_bind_bytes(stmt, 1, bytes_make(cert_sha256(issued->cert), CERT_SHA256_SIZE));
    sql_bind_str(stmt, 2, cert_serial_hex(issued->cert));
    sql_bind_str(stmt, 3, issued->issuer);
    sql_bind_str(stmt, 4, issued->profile);
    sql_bind_str(stmt, 5, issued->owner);
    sql_bind_bytes(stmt, 6, cert_der(issued->cert));
    sql_bind_i64(stmt, 7, cert_not_after(issued->cert));
    sql_bind_i64(stmt, 8, batch->now_ms);
    TRY(sql_run(stmt));
    batch->certificates++;
    return NULL;
}

/* How many releases of this kind there were since then: to other commands of this device, to this
 * device at all, and to all devices. */
static err_t *count_releases(vault_t *vault, const vault_release_t *release, int64_t since,
                             int64_t ret_counts[3]) {
    sql_stmt_t *one = vault->count_releases, *all = vault->count_all_releases;
    bool row = false;
    sql_bind_str(one, 1, release->command);
    sql_bind_str(one, 2, release->device);
    sql_bind_str(one, 3, release->kind);
    sql_bind_i64(one, 4, since);
    err_t *e = sql_step(one, &row);
    ret_counts[0] = e || !row ? 0 : sql_i64(one, 0);
    ret_counts[1] = e || !row ? 0 : sql_i64(one, 1);
    sql_end(one);
    if (e) return e;
    sql_bind_str(all, 1, release->kind);
    sql_bind_i64(all, 2, since);
    e = sql_step(all, &row);
    ret_counts[2] = e || !row ? 0 : sql_i64(all, 0);
    sql_end(all);
    return e;
}

/*
 * The caps are checked here, in the one thread that records releases, so no race gets past them.
 * Each kind has its own: a device that asks for its bootstrap token must not use up its lock's PIN.
 * A command that is delivered again counts once, within reason: which command it is, the caller
 * says. The cap over all devices bounds what a fallen caller gets before somebody looks.
 */
static err_t *write_release(vault_t *vault, const vault_release_t *release, batch_t *batch,
                            err_t **ret_refused) {
    int64_t since = batch->now_ms - DAY_MS, counts[3] = {0};
    TRY(count_releases(vault, release, since, counts));
    if (counts[0] >= (int64_t)release->cap ||
        counts[1] >= (int64_t)release->cap * LIMIT_KEEPER_REDELIVERIES ||
        counts[2] >= (int64_t)release->all) {
        bool all = counts[2] >= (int64_t)release->all;
        *ret_refused = err_new(ERR_BUSY,
                               "ALARM: %lld secrets of this kind (%s) went to or came from %s in "
                               "24 hours",
                               (long long)(all ? counts[2] : counts[1]), release->kind,
                               all ? "devices" : "this device");
        return NULL;
    }
    sql_bind_str(vault->forget_releases, 1, release->device);
    sql_bind_i64(vault->forget_releases, 2, since);
    TRY(sql_run(vault->forget_releases));
    sql_bind_str(vault->insert_release, 1, release->device);
    sql_bind_str(vault->insert_release, 2, release->kind);
    sql_bind_str(vault->insert_release, 3, release->command);
    sql_bind_i64(vault->insert_release, 4, batch->now_ms);
    return sql_run(vault->insert_release);
}

/*
 * A chain only grows: whoever rewrites entries that were under a signed head gets no new one for
 * them, and the log says that it was asked.
 */
static err_t *write_head(vault_t *vault, const vault_head_t *head, batch_t *batch,
                         err_t **ret_refused) {
    sql_stmt_t *stmt = vault->move_head;
    bool moved = false;
    sql_bind_str(stmt, 1, head->node);
    sql_bind_i64(stmt, 2, head->seq);
    sql_bind_bytes(stmt, 3, BYTES_ARRAY(head->hash));
    sql_bind_i64(stmt, 4, batch->now_ms);
    err_t *e = sql_step(stmt, &moved);
    sql_end(stmt);
    if (e) return e;
    if (!moved)
        *ret_refused = err_new(ERR_DENIED,
                               "the audit chain %s went back or was changed: a later or another "
                               "head was signed before",
                               head->node);
    return NULL;
}

static err_t *write_entry(vault_t *vault, const char *role, const char *intent, const char *object,
                          const char *outcome, batch_t *batch) {
    log_entry_t entry = {
        .seq = batch->tip.seq + 1,
        .ms = batch->now_ms,
        .role = bytes_str(role),
        .intent = bytes_str(intent),
        .object = bytes_str(object),
        .outcome = bytes_str(outcome),
        .previous = batch->tip.hash,
    };
    uint8_t hash[VAULT_HASH_SIZE];
    TRY(log_entry_hash(&entry, &batch->scratch, hash));
    sql_stmt_t *stmt = vault->insert_log;
    sql_bind_i64(stmt, 1, (int64_t)entry.seq);
    sql_bind_i64(stmt, 2, entry.ms);
    sql_bind_str(stmt, 3, role);
    sql_bind_str(stmt, 4, intent);
    sql_bind_str(stmt, 5, object);
    sql_bind_str(stmt, 6, outcome);
    sql_bind_bytes(stmt, 7, bytes_make(entry.previous, VAULT_HASH_SIZE));
    sql_bind_bytes(stmt, 8, BYTES_ARRAY(hash));
    TRY(sql_run(stmt));
    batch->tip.seq = entry.seq;
    memcpy(batch->tip.hash, hash, sizeof hash);
    return NULL;
}

/* ---- entries alike ---- */

/* One entry for those counted, once their time is over or with `all`. */
static err_t *write_tallies(vault_t *vault, bool all, batch_t *batch) {
    for (size_t i = 0; i < VAULT_TALLIES; i++) {
        vault_tally_t *tally = &batch->tallies[i];
        if (!tally->role || (!all && batch->now_ms < tally->until_ms)) continue;
        char object[LIMIT_KEEPER_OBJECT + 1];
        (void)snprintf(object, sizeof object, "%llu more like entry %llu",
                       (unsigned long long)tally->count, (unsigned long long)tally->last_seq);
        if (tally->count)
            TRY(write_entry(vault, tally->role, tally->intent, object, "counted", batch));
        *tally = (vault_tally_t){0};
    }
    return NULL;
}

/* The tally that counts this operation, or NULL when it gets an entry (and begins one, if it can).
 */
static vault_tally_t *find_tally(const vault_op_t *op, batch_t *batch) {
    vault_tally_t *unused = NULL;
    for (size_t i = 0; i < VAULT_TALLIES; i++) {
        vault_tally_t *tally = &batch->tallies[i];
        if (!tally->role) unused = tally;
        else if (strcmp(tally->role, op->role) == 0 && strcmp(tally->intent, op->intent) == 0)
            return tally;
    }
    if (unused)
        *unused = (vault_tally_t){.role = op->role,
                                  .intent = op->intent,
                                  .until_ms = batch->now_ms + VAULT_TALLY_MS,
                                  .last_seq = batch->tip.seq + 1};
    return NULL;
}

static err_t *write_log(vault_t *vault, const vault_op_t *op, batch_t *batch) {
    vault_tally_t *tally = op->tally ? find_tally(op, batch) : NULL;
    if (tally) {
        tally->count++;
        return NULL;
    }
    return write_entry(vault, op->role, op->intent, op->object,
                       op->refused ? err_message(op->refused) : op->outcome, batch);
}

static bool has_counted(const vault_t *vault) {
    for (size_t i = 0; i < VAULT_TALLIES; i++)
        if (vault->tallies[i].count) return true;
    return false;
}

static err_t *write_op(vault_t *vault, vault_op_t *op, batch_t *batch) {
    err_free(op->refused); /* of an attempt that was rolled back */
    op->refused = NULL;
    if (op->release.device) TRY(write_release(vault, &op->release, batch, &op->refused));
    if (op->head.node) TRY(write_head(vault, &op->head, batch, &op->refused));
    if (op->rows.rows && !op->refused)
        TRY(op->rows.write(vault, op->rows.rows, batch->now_ms, &op->refused));
    if (op->issued.cert && !op->refused) TRY(write_issued(vault, &op->issued, batch));
    return write_log(vault, op, batch);
}

/* `last`: nothing comes after; what was counted is written now. */
static err_t *write_batch(vault_t *vault, vault_op_t *ops, bool last) {
    batch_t batch = {.tip = vault->tip, .now_ms = clk_unix_ms(vault->clk)};
    memcpy(batch.tallies, vault->tallies, sizeof batch.tallies);
    buf_init(&batch.scratch, ENTRY_MAX);
    vault->scrub_next = false;
    vault->crowded = ops && ops->next;
    err_t *e = sql_run(vault->begin);
    if (e) return e;
    e = write_tallies(vault, last, &batch);
    for (vault_op_t *op = ops; op && !e; op = op->next) e = write_op(vault, op, &batch);
    if (!e) e = sql_run(vault->commit);
    buf_done(&batch.scratch);
    if (e) {
        err_ignore(sql_run(vault->rollback));
        return err_wrap(e, "the keeper could not record it");
    }
    if (vault->scrub_next) atomic_store(&vault->scrub, true);
    vault->tip = batch.tip;
    memcpy(vault->tallies, batch.tallies, sizeof batch.tallies);
    atomic_fetch_add(&vault->certificates, batch.certificates);
    atomic_store(&vault->entries, batch.tip.seq);
    return NULL;
}

/* ---- the queue ---- */

static struct timespec in_ms(int64_t ms) {
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

/*
 * With the queue's lock and somebody waiting: others that are being worked on would each cost a
 * commit of their own, which is a tenth of an enrolment. A lone request never waits here.
 */
static void gather(vault_t *vault) {
    struct timespec until = in_ms(VAULT_GATHER_MS);
    int rc = 0;
    vault->gathering = true;
    while (vault->waiters && !vault->stopping && atomic_load(&vault->expected) &&
           vault->queued < LIMIT_DB_BATCH && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&vault->queue_filled, &vault->queue_lock, &until);
    vault->gathering = false;
}

/*
 * Blocks until there is something to commit; takes at most LIMIT_DB_BATCH. NULL: *ret_last
 * tells that nothing comes any more, or else what was counted waits to be written.
 */
static vault_op_t *take_batch(vault_t *vault, bool failing, bool *ret_last) {
    (void)pthread_mutex_lock(&vault->queue_lock);
    bool counted = has_counted(vault);
    struct timespec until = in_ms(VAULT_TALLY_MS);
    int rc = 0;
    while (!vault->first && !vault->stopping && rc != ETIMEDOUT)
        rc = counted ? pthread_cond_timedwait(&vault->queue_filled, &vault->queue_lock, &until)
                     : pthread_cond_wait(&vault->queue_filled, &vault->queue_lock);
    until = in_ms(failing ? VAULT_RETRY_MS : VAULT_LINGER_MS);
    rc = 0;
    while (vault->first && !vault->waiters && !vault->stopping &&
           (failing || vault->queued < LIMIT_DB_BATCH) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&vault->queue_filled, &vault->queue_lock, &until);
    gather(vault);
    vault_op_t *ops = vault->first, *end = ops;
    size_t taken = 0;
    while (end) {
        taken++;
        if (end->waits) vault->waiters--;
        if (!end->next || taken == LIMIT_DB_BATCH) break;
        end = end->next;
    }
    if (end) {
        vault->first = end->next;
        if (!vault->first) vault->last = NULL;
        end->next = NULL;
        vault->queued -= taken;
    }
    *ret_last = !ops && vault->stopping;
    (void)pthread_mutex_unlock(&vault->queue_lock);
    return ops;
}

/* Puts entries that nobody waits for back in front: a use of a key must not go unrecorded. */
static void put_back(vault_t *vault, vault_op_t *first, vault_op_t *last, size_t count) {
    (void)pthread_mutex_lock(&vault->queue_lock);
    last->next = vault->first;
    vault->first = first;
    if (!vault->last) vault->last = last;
    vault->queued += count;
    (void)pthread_mutex_unlock(&vault->queue_lock);
}

static void answer_all(vault_op_t *ops) {
    while (ops) {
        vault_op_t *op = ops;
        ops = op->next;
        err_t *refused = op->refused;
        op->refused = NULL;
        if (op->rows.rows && op->rows.committed && !refused) op->rows.committed(op->rows.rows);
        op->done(op, refused);
    }
}

/* Who waits gets the error; the others are kept for another try, unless we are stopping. */
static void fail_all(vault_t *vault, vault_op_t *ops, const err_t *why, bool stopping) {
    vault_op_t *kept = NULL, *kept_last = NULL;
    size_t kept_n = 0;
    while (ops) {
        vault_op_t *op = ops;
        ops = op->next;
        op->next = NULL;
        if (op->waits || stopping) {
            op->done(op, err_new(err_code(why), "%s", err_message(why)));
            continue;
        }
        if (kept_last) kept_last->next = op;
        else kept = op;
        kept_last = op;
        kept_n++;
    }
    if (kept) put_back(vault, kept, kept_last, kept_n);
}

static bool is_stopping(vault_t *vault) {
    (void)pthread_mutex_lock(&vault->queue_lock);
    bool stopping = vault->stopping;
    (void)pthread_mutex_unlock(&vault->queue_lock);
    return stopping;
}

static void *writer_main(void *arg) {
    vault_t *vault = arg;
    bool failing = false, last = false;
    for (;;) {
        vault_op_t *ops = take_batch(vault, failing, &last);
        if (last && !has_counted(vault)) return NULL;
        err_t *e = write_batch(vault, ops, last);
        failing = e != NULL;
        atomic_store(&vault->failing, failing);
        if (e) fail_all(vault, ops, e, is_stopping(vault));
        else answer_all(ops);
        err_free(e);
        if (last) return NULL;
    }
}

err_t *vault_start(vault_t *vault) {
    TRY(vault_janitor_start(vault)); /* first: the writer looks whether there is one */
    int rc = pthread_create(&vault->thread, NULL, writer_main, vault);
    if (rc != 0) {
        vault_janitor_stop(vault);
        return err_errno(rc, "cannot start the vault's writer");
    }
    vault->started = true;
    return NULL;
}

void vault_stop(vault_t *vault) {
    if (!vault->started) return;
    (void)pthread_mutex_lock(&vault->queue_lock);
    vault->stopping = true;
    (void)pthread_cond_signal(&vault->queue_filled);
    (void)pthread_mutex_unlock(&vault->queue_lock);
    (void)pthread_join(vault->thread, NULL);
    vault->started = false;
    vault_janitor_stop(vault);
}

err_t *vault_submit(vault_t *vault, vault_op_t *op) {
    op->next = NULL;
    (void)pthread_mutex_lock(&vault->queue_lock);
    bool full = vault->stopping || vault->queued >= LIMIT_DB_QUEUE;
    if (!full) {
        if (vault->last) vault->last->next = op;
        else vault->first = op;
        vault->last = op;
        vault->queued++;
        if (op->waits) vault->waiters++;
        bool news = op->waits ? !vault->gathering : vault->queued == 1;
        if (news || vault->queued == LIMIT_DB_BATCH)
            (void)pthread_cond_signal(&vault->queue_filled);
    }
    (void)pthread_mutex_unlock(&vault->queue_lock);
    return full ? err_new(ERR_BUSY, "the keeper has too much to record") : NULL;
}

void vault_expect(vault_t *vault) { (void)atomic_fetch_add(&vault->expected, 1); }

void vault_expect_done(vault_t *vault) {
    if (atomic_fetch_sub(&vault->expected, 1) != 1) return;
    (void)pthread_mutex_lock(&vault->queue_lock);
    if (vault->gathering) (void)pthread_cond_signal(&vault->queue_filled);
    (void)pthread_mutex_unlock(&vault->queue_lock);
}

bool vault_is_failing(const vault_t *vault) { return atomic_load(&vault->failing); }
