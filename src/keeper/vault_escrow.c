/*
 * See vault_escrow.h. Writing: the vault's writer thread. Reading: any thread, one at a time
 * (vault->read_lock).
 */
#include "keeper/vault_escrow.h"

#include "base/mem.h"
#include "crypto/digest.h"
#include "keeper/vault_internal.h"

enum {
    ROW_MAX = 64 * 1024,   /* bytes of a row as it is MACed */
    OBJECT_MAX = 1024,     /* bytes of an encoded object */
    DAY_MS = 24 * 3600000, /* the period of the cap on deliveries */
    WEEK_MS = 7 * DAY_MS,  /* how long attempts are kept */
};

struct vault_escrow_sql {
    /* the writer's */
    sql_stmt_t *put, *last, *set_epoch, *put_set, *current_epoch, *put_attempt, *forget_attempts,
        *put_delivery, *count_deliveries, *delivered_before, *other_person;
    /* the reader's */
    sql_stmt_t *find, *current_set, *count_attempts, *known_delivery;
};

static err_t *prepare_writer(sql_t *sql, vault_escrow_sql_t *s) {
    TRY(sql_prepare(sql,
                    "INSERT INTO escrow (id, version, object, wrap, blob_hash, epoch, mac,"
                    " created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    &s->put));
    TRY(sql_prepare(sql,
                    "SELECT version, object, wrap, blob_hash, epoch, mac FROM escrow WHERE id = ?"
                    " ORDER BY version DESC LIMIT 1",
                    &s->last));
    TRY(sql_prepare(sql, "UPDATE escrow SET epoch = ?, mac = ? WHERE id = ? AND version = ?",
                    &s->set_epoch));
    TRY(sql_prepare(sql, "INSERT INTO officers (epoch, record, mac, ms) VALUES (?, ?, ?, ?)",
                    &s->put_set));
    TRY(sql_prepare(sql, "SELECT coalesce(max(epoch), 0) FROM officers", &s->current_epoch));
    TRY(sql_prepare(sql, "INSERT INTO attempt (what, who, ms) VALUES (?, ?, ?)", &s->put_attempt));
    TRY(sql_prepare(sql, "DELETE FROM attempt WHERE what = ? AND who = ? AND ms <= ?",
                    &s->forget_attempts));
    TRY(sql_prepare(sql,
                    "INSERT INTO delivery (person, holder, ms, key, mac) VALUES (?, ?, ?, ?, ?)",
                    &s->put_delivery));
    TRY(sql_prepare(sql, "SELECT count(*) FROM delivery WHERE person = ? AND ms > ?",
                    &s->count_deliveries));
    /* Rows are never deleted, so ids have no gaps: how long ago the nth newest was. */
    TRY(sql_prepare(sql,
                    "SELECT ms FROM delivery WHERE id = (SELECT max(id) FROM delivery) + 1 - ?",
                    &s->delivered_before));
    return sql_prepare(sql, "SELECT 1 FROM delivery WHERE holder = ? AND person <> ? LIMIT 1",
                       &s->other_person);
}

static err_t *prepare_reader(sql_t *sql, vault_escrow_sql_t *s) {
    TRY(sql_prepare(sql,
                    "SELECT version, object, wrap, blob_hash, epoch, mac,"
                    " (SELECT max(version) FROM escrow WHERE id = ?1)"
                    " FROM escrow WHERE id = ?1 AND version = ?2",
                    &s->find));
    TRY(sql_prepare(sql, "SELECT epoch, record, mac FROM officers ORDER BY epoch DESC LIMIT 1",
                    &s->current_set));
    TRY(sql_prepare(sql, "SELECT count(*) FROM attempt WHERE what = ? AND who = ? AND ms > ?",
                    &s->count_attempts));
    return sql_prepare(sql,
                       "SELECT mac FROM delivery WHERE person = ? AND holder = ? AND key = ?"
                       " ORDER BY length(mac) DESC LIMIT 1",
                       &s->known_delivery);
}

err_t *vault_escrow_prepare(vault_t *vault) {
    vault->escrow = mem_zalloc(sizeof *vault->escrow);
    if (!vault->escrow) return err_nomem();
    TRY(prepare_writer(vault->writer, vault->escrow));
    return prepare_reader(vault->reader, vault->escrow);
}

/* ---- MACs ---- */

static err_t *mac_record(const vault_t *vault, const vault_escrow_t *record,
                         uint8_t ret_mac[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t row;
    buf_init(&row, ROW_MAX);
    TRY(wire_put_str(&row, "coffer/v1/vault/escrow"));
    TRY(escrow_object_put(&record->object, &row));
    TRY(wire_put_u8(&row, (uint8_t)record->wrap));
    TRY(buf_add(&row, BYTES_ARRAY(record->blob_hash)));
    TRY(wire_put_u64(&row, record->epoch));
    return digest_hmac_sha256(secret_bytes(vault->mac_key), buf_bytes(&row), ret_mac);
}

static err_t *mac_set(const vault_t *vault, uint64_t epoch, bytes_t record,
                      uint8_t ret_mac[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t row;
    buf_init(&row, ROW_MAX);
    TRY(wire_put_str(&row, "coffer/v1/vault/officers"));
    TRY(wire_put_u64(&row, epoch));
    TRY(wire_put_bytes(&row, record));
    return digest_hmac_sha256(secret_bytes(vault->mac_key), buf_bytes(&row), ret_mac);
}

static err_t *mac_delivery(const vault_t *vault, const char *person, bytes_t holder, bytes_t key,
                           uint8_t ret_mac[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t row;
    buf_init(&row, ROW_MAX);
    TRY(wire_put_str(&row, "coffer/v1/vault/delivery"));
    TRY(wire_put_str(&row, person));
    TRY(wire_put_bytes(&row, holder));
    TRY(wire_put_bytes(&row, key));
    return digest_hmac_sha256(secret_bytes(vault->mac_key), buf_bytes(&row), ret_mac);
}

/* Columns version, object, wrap, blob_hash, epoch, mac of a row of this object. */
static err_t *read_record(const vault_t *vault, sql_stmt_t *row, const uint8_t *id,
                          vault_escrow_t *ret_record) {
    vault_escrow_t record = {0};
    uint8_t mac[ESCROW_HASH];
    bytes_t hash = sql_bytes(row, 3);
    wire_reader_t r = wire_reader(sql_bytes(row, 1));
    err_t *e = escrow_object_get(&r, &record.object);
    if (!e) e = wire_done(&r);
    record.wrap = (keeper_wrap_t)sql_i64(row, 2);
    record.epoch = (uint64_t)sql_i64(row, 4);
    if (hash.n == ESCROW_HASH) memcpy(record.blob_hash, hash.p, ESCROW_HASH);
    if (!e) e = mac_record(vault, &record, mac);
    bool good = !e && hash.n == ESCROW_HASH && memcmp(record.object.id, id, ESCROW_ID) == 0 &&
                record.object.version == (uint64_t)sql_i64(row, 0) &&
                bytes_eq_ct(sql_bytes(row, 5), BYTES_ARRAY(mac));
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (!good) return err_new(ERR_VERIFY, "the vault's record of an escrow object was changed");
    *ret_record = record;
    return NULL;
}

/* ---- writing ---- */

static err_t *one_number(sql_stmt_t *stmt, int64_t *ret_value) {
    bool row = false;
    err_t *e = sql_step(stmt, &row);
    *ret_value = !e && row ? sql_i64(stmt, 0) : 0;
    sql_end(stmt);
    return e;
}

/* What is dealt must be dealt to those who are officers when it counts. */
static err_t *check_epoch(const vault_t *vault, uint64_t epoch, err_t **ret_refused) {
    int64_t current = 0;
    TRY(one_number(vault->escrow->current_epoch, &current));
    if ((uint64_t)current != epoch)
        *ret_refused = err_new(ERR_BUSY, "the officers' set changed meanwhile: ask again");
    return NULL;
}

static err_t *find_last(vault_t *vault, const uint8_t *id, bool *ret_found,
                        vault_escrow_t *ret_last) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->escrow->last;
    sql_bind_bytes(stmt, 1, bytes_make(id, ESCROW_ID));
    TRY(sql_step(stmt, ret_found));
    return *ret_found ? read_record(vault, stmt, id, ret_last) : NULL;
}

static err_t *check_successor(vault_t *vault, const vault_escrow_t *record, err_t **ret_refused) {
    vault_escrow_t last;
    bool found = false;
    TRY(find_last(vault, record->object.id, &found, &last));
    if (!found) return NULL;
    const escrow_object_t *a = &last.object, *b = &record->object;
    if (b->version <= a->version)
        *ret_refused = err_new(ERR_EXISTS, "version %llu of the object is recorded already",
                               (unsigned long long)a->version);
    else if (strcmp(a->kind, b->kind) != 0 || strcmp(a->owner, b->owner) != 0 ||
             strcmp(a->device, b->device) != 0)
        *ret_refused = err_new(ERR_DENIED, "the object is of another kind, owner or device");
    return NULL;
}

static err_t *write_record(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const vault_escrow_t *record = rows;
    uint8_t mac[ESCROW_HASH];
    TRY(check_epoch(vault, record->epoch, ret_refused));
    if (!*ret_refused) TRY(check_successor(vault, record, ret_refused));
    if (*ret_refused) return NULL;
    CLEANUP(buf_done) buf_t object;
    buf_init(&object, OBJECT_MAX);
    TRY(escrow_object_put(&record->object, &object));
    TRY(mac_record(vault, record, mac));
    sql_stmt_t *stmt = vault->escrow->put;
    sql_bind_bytes(stmt, 1, BYTES_ARRAY(record->object.id));
    sql_bind_i64(stmt, 2, (int64_t)record->object.version);
    sql_bind_bytes(stmt, 3, buf_bytes(&object));
    sql_bind_i64(stmt, 4, (int64_t)record->wrap);
    sql_bind_bytes(stmt, 5, BYTES_ARRAY(record->blob_hash));
    sql_bind_i64(stmt, 6, (int64_t)record->epoch);
    sql_bind_bytes(stmt, 7, BYTES_ARRAY(mac));
    sql_bind_i64(stmt, 8, now_ms);
    return sql_run(stmt);
}

err_t *vault_escrow_put(vault_op_t *op, const vault_escrow_t *record) {
    vault_escrow_t *copy = mem_alloc(sizeof *copy);
    if (!copy) return err_nomem();
    *copy = *record;
    op->rows = (vault_rows_t){.rows = copy, .write = write_record, .free = mem_free};
    return NULL;
}

typedef struct {
    uint64_t epoch;
    size_t n;
    vault_escrow_t records[];
} dealt_t;

static err_t *write_dealt(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    (void)now_ms;
    dealt_t *dealt = rows;
    TRY(check_epoch(vault, dealt->epoch, ret_refused));
    for (size_t i = 0; i < dealt->n && !*ret_refused; i++) {
        vault_escrow_t record = dealt->records[i];
        uint8_t mac[ESCROW_HASH];
        record.epoch = dealt->epoch;
        TRY(mac_record(vault, &record, mac));
        sql_stmt_t *stmt = vault->escrow->set_epoch;
        sql_bind_i64(stmt, 1, (int64_t)record.epoch);
        sql_bind_bytes(stmt, 2, BYTES_ARRAY(mac));
        sql_bind_bytes(stmt, 3, BYTES_ARRAY(record.object.id));
        sql_bind_i64(stmt, 4, (int64_t)record.object.version);
        TRY(sql_run(stmt));
    }
    return NULL;
}

err_t *vault_escrow_dealt(vault_op_t *op, const vault_escrow_t *records, size_t n, uint64_t epoch) {
    if (n > LIMIT_ESCROW_BATCH) return err_new(ERR_LIMIT, "too many objects in one batch");
    dealt_t *dealt = mem_alloc(sizeof *dealt + n * sizeof *records);
    if (!dealt) return err_nomem();
    dealt->epoch = epoch;
    dealt->n = n;
    if (n) memcpy(dealt->records, records, n * sizeof *records);
    op->rows = (vault_rows_t){.rows = dealt, .write = write_dealt, .free = mem_free};
    return NULL;
}

typedef struct {
    uint64_t epoch;
    size_t n;
    uint8_t record[];
} set_t;

static err_t *write_set(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    set_t *set = rows;
    uint8_t mac[ESCROW_HASH];
    TRY(check_epoch(vault, set->epoch - 1, ret_refused));
    if (*ret_refused) return NULL;
    TRY(mac_set(vault, set->epoch, bytes_make(set->record, set->n), mac));
    sql_stmt_t *stmt = vault->escrow->put_set;
    sql_bind_i64(stmt, 1, (int64_t)set->epoch);
    sql_bind_bytes(stmt, 2, bytes_make(set->record, set->n));
    sql_bind_bytes(stmt, 3, BYTES_ARRAY(mac));
    sql_bind_i64(stmt, 4, now_ms);
    return sql_run(stmt);
}

err_t *vault_officers_put(vault_op_t *op, uint64_t epoch, bytes_t record) {
    set_t *set = mem_alloc(sizeof *set + record.n);
    if (!set) return err_nomem();
    set->epoch = epoch;
    set->n = record.n;
    bytes_put(set->record, record);
    op->rows = (vault_rows_t){.rows = set, .write = write_set, .free = mem_free};
    return NULL;
}

/* Two names: what and who. */
typedef struct {
    char *a, *b;
} pair_t;

static void pair_free(void *rows) {
    pair_t *pair = rows;
    mem_free(pair->a);
    mem_free(pair->b);
    mem_free(pair);
}

static err_t *pair_put(vault_op_t *op, const char *a, const char *b,
                       err_t *(*write)(vault_t *, void *, int64_t, err_t **)) {
    pair_t *pair = mem_zalloc(sizeof *pair);
    if (!pair) return err_nomem();
    pair->a = mem_strdup(a);
    pair->b = mem_strdup(b);
    if (!pair->a || !pair->b) {
        pair_free(pair);
        return err_nomem();
    }
    op->rows = (vault_rows_t){.rows = pair, .write = write, .free = pair_free};
    return NULL;
}

static err_t *write_attempt(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    (void)ret_refused;
    const pair_t *pair = rows;
    sql_stmt_t *forget = vault->escrow->forget_attempts, *put = vault->escrow->put_attempt;
    sql_bind_str(forget, 1, pair->a);
    sql_bind_str(forget, 2, pair->b);
    sql_bind_i64(forget, 3, now_ms - WEEK_MS);
    TRY(sql_run(forget));
    sql_bind_str(put, 1, pair->a);
    sql_bind_str(put, 2, pair->b);
    sql_bind_i64(put, 3, now_ms);
    return sql_run(put);
}

err_t *vault_attempt_put(vault_op_t *op, const char *what, const char *who) {
    return pair_put(op, what, who, write_attempt);
}

typedef struct {
    char *person, *holder;
    uint8_t key[ESCROW_HASH];
    bool consented;
} delivered_t;

static void delivered_free(void *rows) {
    delivered_t *delivered = rows;
    mem_free(delivered->person);
    mem_free(delivered->holder);
    mem_free(delivered);
}

static err_t *check_delivery(vault_t *vault, const delivered_t *d, int64_t now_ms,
                             err_t **ret_refused) {
    int64_t n = 0, other = 0, nth_ms = 0;
    sql_bind_i64(vault->escrow->delivered_before, 1, LIMIT_ESCROW_DELIVERIES_ALL);
    TRY(one_number(vault->escrow->delivered_before, &nth_ms));
    sql_bind_str(vault->escrow->count_deliveries, 1, d->person);
    sql_bind_i64(vault->escrow->count_deliveries, 2, now_ms - DAY_MS);
    TRY(one_number(vault->escrow->count_deliveries, &n));
    sql_bind_str(vault->escrow->other_person, 1, d->holder);
    sql_bind_str(vault->escrow->other_person, 2, d->person);
    TRY(one_number(vault->escrow->other_person, &other));
    if (other)
        *ret_refused =
            err_new(ERR_DENIED, "ALARM: %s was given another person's keys before", d->holder);
    else if (n >= LIMIT_ESCROW_DELIVERIES)
        *ret_refused = err_new(ERR_BUSY,
                               "ALARM: the keys of %s were delivered %lld times in 24 "
                               "hours",
                               d->person, (long long)n);
    else if (nth_ms > now_ms - DAY_MS)
        *ret_refused = err_new(ERR_BUSY, "ALARM: keys were delivered %d times in 24 hours",
                               LIMIT_ESCROW_DELIVERIES_ALL);
    return NULL;
}

static err_t *write_delivery(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const delivered_t *d = rows;
    uint8_t mac[ESCROW_HASH];
    TRY(check_delivery(vault, d, now_ms, ret_refused));
    if (*ret_refused) return NULL;
    if (d->consented)
        TRY(mac_delivery(vault, d->person, bytes_str(d->holder), BYTES_ARRAY(d->key), mac));
    sql_stmt_t *put = vault->escrow->put_delivery;
    sql_bind_str(put, 1, d->person);
    sql_bind_str(put, 2, d->holder);
    sql_bind_i64(put, 3, now_ms);
    sql_bind_bytes(put, 4, BYTES_ARRAY(d->key));
    sql_bind_bytes(put, 5, d->consented ? BYTES_ARRAY(mac) : BYTES_NONE);
    return sql_run(put);
}

err_t *vault_delivery_put(vault_op_t *op, const vault_delivery_t *delivery) {
    delivered_t *copy = mem_zalloc(sizeof *copy);
    if (!copy) return err_nomem();
    copy->person = mem_strdup(delivery->person);
    copy->holder = mem_strdup(delivery->holder);
    memcpy(copy->key, delivery->key, sizeof copy->key);
    copy->consented = delivery->consented;
    if (!copy->person || !copy->holder) {
        delivered_free(copy);
        return err_nomem();
    }
    op->rows = (vault_rows_t){.rows = copy, .write = write_delivery, .free = delivered_free};
    return NULL;
}

/* ---- reading ---- */

static err_t *find(vault_t *vault, const uint8_t *id, uint64_t version, bool *ret_found,
                   bool *ret_newest, vault_escrow_t *ret_record) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->escrow->find;
    bool row = false;
    sql_bind_bytes(stmt, 1, bytes_make(id, ESCROW_ID));
    sql_bind_i64(stmt, 2, version > INT64_MAX ? 0 : (int64_t)version);
    TRY(sql_step(stmt, &row));
    if (row) TRY(read_record(vault, stmt, id, ret_record));
    *ret_newest = row && (uint64_t)sql_i64(stmt, 6) == version;
    *ret_found = row;
    return NULL;
}

err_t *vault_escrow_find(vault_t *vault, const uint8_t id[ESCROW_ID], uint64_t version,
                         bool *ret_found, bool *ret_newest, vault_escrow_t *ret_record) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = find(vault, id, version, ret_found, ret_newest, ret_record);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

static err_t *current_set(vault_t *vault, bool *ret_found, buf_t *record) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->escrow->current_set;
    uint8_t mac[ESCROW_HASH];
    bool row = false;
    TRY(sql_step(stmt, &row));
    *ret_found = row;
    if (!row) return NULL;
    TRY(mac_set(vault, (uint64_t)sql_i64(stmt, 0), sql_bytes(stmt, 1), mac));
    if (!bytes_eq_ct(sql_bytes(stmt, 2), BYTES_ARRAY(mac)))
        return err_new(ERR_VERIFY, "the vault's record of the officers was changed");
    return buf_add(record, sql_bytes(stmt, 1));
}

err_t *vault_officers_current(vault_t *vault, bool *ret_found, buf_t *record) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = current_set(vault, ret_found, record);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

err_t *vault_attempts(vault_t *vault, const char *what, const char *who, int64_t since_ms,
                      int64_t *ret_n) {
    (void)pthread_mutex_lock(&vault->read_lock);
    sql_bind_str(vault->escrow->count_attempts, 1, what);
    sql_bind_str(vault->escrow->count_attempts, 2, who);
    sql_bind_i64(vault->escrow->count_attempts, 3, since_ms);
    err_t *e = one_number(vault->escrow->count_attempts, ret_n);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}

static err_t *known(vault_t *vault, const vault_delivery_t *d, bool *ret_seen,
                    bool *ret_consented) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->escrow->known_delivery;
    uint8_t want[ESCROW_HASH];
    bool row = false;
    sql_bind_str(stmt, 1, d->person);
    sql_bind_str(stmt, 2, d->holder);
    sql_bind_bytes(stmt, 3, BYTES_ARRAY(d->key));
    TRY(sql_step(stmt, &row));
    bytes_t mac = row ? sql_bytes(stmt, 0) : BYTES_NONE;
    if (mac.n) {
        TRY(mac_delivery(vault, d->person, bytes_str(d->holder), BYTES_ARRAY(d->key), want));
        if (!bytes_eq_ct(mac, BYTES_ARRAY(want)))
            return err_new(ERR_VERIFY, "the vault's record of a delivery was changed");
    }
    *ret_seen = row;
    *ret_consented = mac.n > 0;
    return NULL;
}

err_t *vault_delivery_known(vault_t *vault, const vault_delivery_t *delivery, bool *ret_seen,
                            bool *ret_consented) {
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = known(vault, delivery, ret_seen, ret_consented);
    (void)pthread_mutex_unlock(&vault->read_lock);
    return e;
}
