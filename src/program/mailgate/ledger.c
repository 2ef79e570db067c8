/*
 * The ledger: see ledger.h. Used by all workers. Records are written by offset into room that was
 * allocated before; the first that is not whole ends the file.
 */
#include "program/mailgate/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"

/* kind (1), zeros (3), checksum (4), seconds since 1970 (8), key (32) */
enum {
    RECORD = 48,
    RECORD_SUM = 4,
    RECORD_TIME = 8,
    RECORD_KEY = 16,
    ADDED = 'a',
    FORGOTTEN = 'f',
    COMPACT_AT = 4096, /* records in the file beyond twice those that count */
};

typedef struct {
    ledger_key_t key;
    int64_t unix_s; /* 0: the place is free */
} entry_t;

struct ledger {
    pthread_mutex_t lock;
    pthread_cond_t synced;
    char *path;
    const clk_t *clk;
    int fd;
    off_t end, reserved; /* of the records; of the file */
    entry_t *entries;    /* open addressing, a power of two */
    size_t room, count;
    uint64_t written, on_disk; /* numbers of writes */
    bool syncing;
};

/* ---- the table ---- */

static size_t place_of(const ledger_t *l, const ledger_key_t *key) {
    size_t hash = 0;
    memcpy(&hash, key->bytes, sizeof hash);
    size_t i = hash & (l->room - 1);
    while (l->entries[i].unix_s && memcmp(&l->entries[i].key, key, sizeof *key) != 0)
        i = (i + 1) & (l->room - 1);
    return i;
}

static err_t *grow(ledger_t *l) {
    entry_t *old = l->entries;
    size_t n = l->room;
    entry_t *more = mem_array(n ? n * 2 : 256, sizeof *more);
    if (!more) return err_nomem();
    l->entries = more;
    l->room = n ? n * 2 : 256;
    for (size_t i = 0; i < n; i++)
        if (old[i].unix_s) l->entries[place_of(l, &old[i].key)] = old[i];
    mem_free(old);
    return NULL;
}

static err_t *put(ledger_t *l, const ledger_key_t *key, int64_t unix_s) {
    if (l->room < (l->count + 1) * 2) TRY(grow(l));
    entry_t *e = &l->entries[place_of(l, key)];
    if (!e->unix_s) l->count++;
    *e = (entry_t){*key, unix_s > 0 ? unix_s : 1};
    return NULL;
}

/* Fills the gap by moving up what would not be found behind it. */
static void drop(ledger_t *l, size_t i) {
    size_t mask = l->room - 1;
    l->count--;
    l->entries[i].unix_s = 0;
    for (size_t k = (i + 1) & mask; l->entries[k].unix_s; k = (k + 1) & mask) {
        entry_t moved = l->entries[k];
        l->entries[k].unix_s = 0;
        l->entries[place_of(l, &moved.key)] = moved;
    }
}

static bool find(const ledger_t *l, const ledger_key_t *key, size_t *ret_place) {
    if (!l->count) return false;
    *ret_place = place_of(l, key);
    return l->entries[*ret_place].unix_s != 0;
}

/* ---- records ---- */

static void put_u64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) v = v << 8 | p[i];
    return v;
}

static err_t *checksum(const uint8_t record[RECORD], uint8_t out[4]) {
    uint8_t copy[RECORD], digest[DIGEST_SHA256_SIZE];
    memcpy(copy, record, RECORD);
    memset(copy + RECORD_SUM, 0, 4);
    TRY(digest_sha256(bytes_make(copy, RECORD), digest));
    memcpy(out, digest, 4);
    return NULL;
}

static err_t *encode(uint8_t kind, const ledger_key_t *key, int64_t unix_s, buf_t *out) {
    uint8_t record[RECORD] = {kind};
    put_u64(record + RECORD_TIME, (uint64_t)unix_s);
    memcpy(record + RECORD_KEY, key->bytes, LEDGER_KEY);
    TRY(checksum(record, record + RECORD_SUM));
    return buf_add(out, BYTES_ARRAY(record));
}

static err_t *write_at(ledger_t *l, bytes_t data) {
    if (fault_io()) return err_errno(ENOSPC, "ledger");
    while (data.n) {
        ssize_t n = pwrite(l->fd, data.p, data.n, l->end);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_errno(n < 0 ? errno : EIO, "ledger");
        l->end += n;
        data = bytes_from(data, (size_t)n);
    }
    return NULL;
}

/* With the lock: all or nothing. */
static err_t *append(ledger_t *l, bytes_t records) {
    off_t before = l->end;
    err_t *e = write_at(l, records);
    if (e) l->end = before;
    else l->written++;
    return e;
}

/* ---- opening ---- */

static err_t *take_record(ledger_t *l, const uint8_t record[RECORD], bool *ret_good) {
    uint8_t sum[4];
    ledger_key_t key;
    size_t place = 0;
    int64_t unix_s = (int64_t)get_u64(record + RECORD_TIME);
    TRY(checksum(record, sum));
    *ret_good =
        memcmp(sum, record + RECORD_SUM, 4) == 0 && (record[0] == ADDED || record[0] == FORGOTTEN);
    if (!*ret_good) return NULL;
    memcpy(key.bytes, record + RECORD_KEY, LEDGER_KEY);
    if (record[0] == FORGOTTEN) {
        if (find(l, &key, &place)) drop(l, place);
        return NULL;
    }
    return unix_s + LEDGER_LIFE_S > clk_unix(l->clk) ? put(l, &key, unix_s) : NULL;
}

static err_t *load(ledger_t *l) {
    CLEANUP(buf_done) buf_t all;
    buf_init(&all, (size_t)LIMIT_MAILGATE_LEDGER * 4 * RECORD);
    if (!file_exists(l->path)) return NULL;
    TRY(file_read(l->path, &all));
    bool good = true;
    for (size_t at = 0; good && at + RECORD <= all.n; at += RECORD)
        TRY(take_record(l, all.p + at, &good));
    return NULL;
}

/* Writes what counts as a new file and opens that. */
static err_t *compact(ledger_t *l) {
    CLEANUP(buf_done) buf_t all;
    buf_init(&all, (size_t)LIMIT_MAILGATE_LEDGER * 4 * RECORD);
    int64_t dead = clk_unix(l->clk) - LEDGER_LIFE_S;
    for (size_t i = 0; i < l->room;) {
        if (l->entries[i].unix_s && l->entries[i].unix_s <= dead) {
            drop(l, i); /* another may have moved here: look again */
            continue;
        }
        if (l->entries[i].unix_s)
            TRY(encode(ADDED, &l->entries[i].key, l->entries[i].unix_s, &all));
        i++;
    }
    TRY(file_write(l->path, buf_bytes(&all), 0600));
    int fd = open(l->path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "%s", l->path);
    fd_close(l->fd);
    l->fd = fd;
    l->end = l->reserved = (off_t)all.n;
    return NULL;
}

err_t *ledger_open(const char *path, const clk_t *clk, ledger_t **ret_ledger) {
    CLEANUP(ledger_close) ledger_t *l = mem_zalloc(sizeof *l);
    if (!l) return err_nomem();
    l->fd = -1;
    l->clk = clk;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->synced, NULL);
    if (!(l->path = mem_strdup(path))) return err_nomem();
    TRY(grow(l));
    TRY_WRAP(load(l), "%s", path);
    TRY(compact(l));
    *ret_ledger = STEAL(l);
    return NULL;
}

void ledger_close(ledger_t *l) {
    if (!l) return;
    fd_close(l->fd);
    (void)pthread_cond_destroy(&l->synced);
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(l->entries);
    mem_free(l->path);
    mem_free(l);
}

/* ---- use ---- */

bool ledger_has(ledger_t *l, const ledger_key_t *key) {
    size_t place = 0;
    (void)pthread_mutex_lock(&l->lock);
    bool found =
        find(l, key, &place) && l->entries[place].unix_s + LEDGER_LIFE_S > clk_unix(l->clk);
    (void)pthread_mutex_unlock(&l->lock);
    return found;
}

size_t ledger_count(ledger_t *l) {
    (void)pthread_mutex_lock(&l->lock);
    size_t count = l->count;
    (void)pthread_mutex_unlock(&l->lock);
    return count;
}

static err_t *reserve(ledger_t *l, size_t n) {
    off_t need = l->end + (off_t)(n * RECORD);
    if (l->count + n > LIMIT_MAILGATE_LEDGER)
        return err_new(ERR_LIMIT, "the ledger holds %zu recipients", l->count);
    if (l->end / RECORD > (off_t)(l->count * 2 + COMPACT_AT) && !l->syncing) TRY(compact(l));
    need = l->end + (off_t)(n * RECORD);
    if (need <= l->reserved) return NULL;
    if (fault_io()) return err_errno(ENOSPC, "ledger");
    int number = posix_fallocate(l->fd, l->end, need - l->end + LEDGER_RESERVE);
    if (number != 0) return err_errno(number, "ledger");
    l->reserved = need + LEDGER_RESERVE;
    return NULL;
}

err_t *ledger_reserve(ledger_t *l, size_t n) {
    (void)pthread_mutex_lock(&l->lock);
    err_t *e = reserve(l, n);
    (void)pthread_mutex_unlock(&l->lock);
    return e;
}

/* With the lock: until write number `mine` is on disk. One syncs for all who wait. */
static err_t *sync_to(ledger_t *l, uint64_t mine) {
    while (l->on_disk < mine) {
        if (l->syncing) {
            (void)pthread_cond_wait(&l->synced, &l->lock);
            continue;
        }
        uint64_t upto = l->written;
        int fd = l->fd;
        l->syncing = true;
        (void)pthread_mutex_unlock(&l->lock);
        int number = fault_io() ? EIO : fdatasync(fd) == 0 ? 0 : errno;
        (void)pthread_mutex_lock(&l->lock);
        l->syncing = false;
        (void)pthread_cond_broadcast(&l->synced);
        if (number) return err_errno(number, "ledger");
        l->on_disk = upto;
    }
    return NULL;
}

static err_t *add(ledger_t *l, const ledger_key_t *keys, size_t n, buf_t *records) {
    int64_t now = clk_unix(l->clk);
    TRY(reserve(l, n));
    for (size_t i = 0; i < n; i++) TRY(encode(ADDED, &keys[i], now, records));
    TRY(append(l, buf_bytes(records)));
    uint64_t mine = l->written;
    for (size_t i = 0; i < n; i++) TRY(put(l, &keys[i], now));
    return sync_to(l, mine);
}

err_t *ledger_add(ledger_t *l, const ledger_key_t *keys, size_t n) {
    CLEANUP(buf_done) buf_t records;
    buf_init(&records, n * RECORD);
    if (n == 0) return NULL;
    (void)pthread_mutex_lock(&l->lock);
    err_t *e = add(l, keys, n, &records);
    (void)pthread_mutex_unlock(&l->lock);
    return e;
}

static err_t *forget(ledger_t *l, const ledger_key_t *keys, size_t n, buf_t *records) {
    int64_t now = clk_unix(l->clk);
    for (size_t i = 0; i < n; i++) {
        size_t place = 0;
        if (!find(l, &keys[i], &place)) continue;
        drop(l, place);
        TRY(encode(FORGOTTEN, &keys[i], now, records));
    }
    return records->n ? append(l, buf_bytes(records)) : NULL;
}

err_t *ledger_forget(ledger_t *l, const ledger_key_t *keys, size_t n) {
    CLEANUP(buf_done) buf_t records;
    buf_init(&records, n * RECORD);
    if (n == 0) return NULL;
    (void)pthread_mutex_lock(&l->lock);
    err_t *e = forget(l, keys, n, &records);
    (void)pthread_mutex_unlock(&l->lock);
    return e;
}
