/*
 * The façade's common part: group commit, the pool of readers, hooks, scripts. See db.h. Any
 * process but the keeper. There is no writer thread: of those who want to write one leads, runs
 * what is queued in one transaction on its own thread, and hands the lead on; so a lone writer
 * costs no change of threads, and many share one flush.
 */
#include "store/db.h"

#include <ctype.h>
#include <pthread.h>
#include <semaphore.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/db_internal.h"

enum { READERS_DEFAULT = 4, BUSY_MS_DEFAULT = 10000, SCRIPT_MAX = 1024 * 1024 };

/* One waiting caller of db_write; lies on its stack. */
typedef struct request request_t;
struct request {
    db_fn fn;
    void *arg;
    err_t *error;
    pthread_t thread; /* whose it is */
    bool lead;        /* woken to lead, not because it is done */
    sem_t done; /* a condition's waiter would wake only to queue for the lock its waker holds */
    request_t *next;
};

struct db {
    char *path;
    db_options_t options;
    const clk_t *clk;
    pthread_mutex_t lock; /* guards what follows, but for `writer` and `group` */
    request_t *queue;     /* first in, first out */
    request_t **queue_end;
    size_t waiting;
    bool led;         /* somebody leads */
    pthread_t leader; /* who, if led */
    pthread_cond_t reader_free;
    db_conn_t *readers; /* idle */
    unsigned readers_open;

    db_conn_t *writer; /* used by the leader alone */
    request_t *group[LIMIT_DB_BATCH];
};

/* ---- connections ------------------------------------------------------------------------ */

static void conn_free(db_conn_t *conn) {
    if (!conn) return;
    db_stmt_drop_all(conn);
    if (conn->handle) conn->backend->close(conn);
    mem_free(conn->hooks);
    mem_free(conn);
}
DEFINE_CLEANUP(db_conn_t, conn_free)

static err_t *conn_new(db_t *db, bool writable, db_conn_t **ret_conn) {
    CLEANUP(conn_free) db_conn_t *conn = mem_zalloc(sizeof *conn);
    if (!conn) return err_nomem();
    conn->backend = &db_sqlite_backend;
    conn->db = db;
    conn->writable = writable;
    conn->busy_max = (int64_t)db->options.busy_ms * 1000;
    TRY_WRAP(conn->backend->open(conn, db->path, &db->options), "cannot open database %s",
             db->path);
    *ret_conn = STEAL(conn);
    return NULL;
}

const clk_t *db_clk(const db_conn_t *conn) { return conn->db->clk; }

/* ---- hooks ------------------------------------------------------------------------------ */

err_t *db_after_commit(db_conn_t *conn, void (*fn)(void *arg), void *arg) {
    if (!conn->writable) return err_new(ERR_INTERNAL, "a reader has no commit to wait for");
    for (size_t i = 0; i < conn->hook_count; i++) {
        if (conn->hooks[i].fn == fn && conn->hooks[i].arg == arg) return NULL;
    }
    if (conn->hook_count == conn->hook_room) {
        size_t room = conn->hook_room ? conn->hook_room * 2 : 16;
        db_hook_t *grown = mem_resize(conn->hooks, room * sizeof *grown);
        if (!grown) return err_nomem();
        conn->hooks = grown;
        conn->hook_room = room;
    }
    conn->hooks[conn->hook_count++] = (db_hook_t){fn, arg};
    return NULL;
}

/* ---- writing ------------------------------------------------------------------------- */

/* Runs one request in a savepoint of its own. */
static err_t *run_request(db_conn_t *conn, const request_t *request) {
    size_t hooks_before = conn->hook_count;
    err_t *e = db_exec(conn, "SAVEPOINT request");
    if (e) return e;
    e = request->fn(conn, request->arg);
    err_t *leak = db_stmt_end_all(conn);
    if (e) err_free(leak);
    else e = leak;
    if (!e) e = db_exec(conn, "RELEASE SAVEPOINT request");
    if (!e) return NULL;
    conn->hook_count = hooks_before;
    /* If even this fails, the whole group is given up (see run_taken): nothing half-done stays. */
    if (conn->backend->in_transaction(conn)) {
        err_t *undo = conn->backend->script(conn, "ROLLBACK TO SAVEPOINT request;"
                                                  "RELEASE SAVEPOINT request;");
        if (undo) conn->backend->rollback(conn);
        err_free(undo);
    }
    return e;
}

/* Moves waiting requests into the group, as many as fit. Returns the group's new size. */
static size_t take_requests(db_t *db, size_t count) {
    (void)pthread_mutex_lock(&db->lock);
    while (db->queue && count < LIMIT_DB_BATCH) {
        request_t *r = db->queue;
        db->queue = r->next;
        if (!db->queue) db->queue_end = &db->queue;
        db->waiting--;
        db->group[count++] = r;
    }
    (void)pthread_mutex_unlock(&db->lock);
    return count;
}

/*
 * Runs the group's requests, and those that arrive meanwhile while there is room: a transaction
 * that has begun costs them no further flush. *ret_count: the group's size, also on failure.
 */
static err_t *run_taken(db_t *db, size_t *count) {
    size_t ran = 0;
    while (ran < *count) {
        request_t *r = db->group[ran];
        r->error = run_request(db->writer, r);
        ran++;
        if (!db->writer->backend->in_transaction(db->writer)) {
            if (!r->error) return err_new(ERR_INTERNAL, "a write ended its own transaction");
            char why[400];
            return err_new(err_code(r->error), "another write of the group failed: %s",
                           err_text(r->error, why, sizeof why));
        }
        if (ran == *count) *count = take_requests(db, *count);
    }
    return NULL;
}

/* Gives everyone in the group without an error of their own this one. */
static void fail_group(db_t *db, size_t count, const err_t *e) {
    char why[400];
    (void)err_text(e, why, sizeof why);
    for (size_t i = 0; i < count; i++) {
        if (!db->group[i]->error) db->group[i]->error = err_new(err_code(e), "%s", why);
    }
}

static size_t run_group(db_t *db) {
    db_conn_t *conn = db->writer;
    conn->hook_count = 0;
    conn->busy_waited = 0;
    size_t count = take_requests(db, 0);
    err_t *e = db_exec(conn, conn->backend->begin_write);
    if (!e) e = run_taken(db, &count);
    if (!e) {
        e = db_exec(conn, "COMMIT");
        if (e) e = err_wrap(e, "commit");
    }
    if (e) {
        conn->backend->rollback(conn);
        fail_group(db, count, e);
        err_free(e);
        return count;
    }
    for (size_t i = 0; i < conn->hook_count; i++) conn->hooks[i].fn(conn->hooks[i].arg);
    return count;
}

/* Runs one group and hands the lead to the first of those who came meanwhile, if anybody did. */
static void lead(db_t *db, const request_t *self) {
    size_t count = run_group(db);
    /* A request is gone from its owner's stack once it is told: look at nothing of it afterwards.
     */
    for (size_t i = 0; i < count; i++)
        if (db->group[i] != self) (void)sem_post(&db->group[i]->done);
    (void)pthread_mutex_lock(&db->lock);
    request_t *next = db->queue;
    if (next) {
        next->lead = true;
        db->leader = next->thread;
    } else {
        db->led = false;
    }
    (void)pthread_mutex_unlock(&db->lock);
    if (next) (void)sem_post(&next->done);
}

/* Queues the request; *ret_lead: nobody leads, so the caller does. */
static err_t *enqueue(db_t *db, request_t *request, bool *ret_lead) {
    (void)pthread_mutex_lock(&db->lock);
    err_t *e = NULL;
    if (db->led && pthread_equal(request->thread, db->leader))
        e = err_new(ERR_INTERNAL, "db_write inside db_write");
    else if (db->waiting >= LIMIT_DB_QUEUE)
        e = err_new(ERR_BUSY, "%d writes are waiting already", LIMIT_DB_QUEUE);
    if (!e) {
        *db->queue_end = request;
        db->queue_end = &request->next;
        db->waiting++;
        *ret_lead = !db->led;
        if (!db->led) db->leader = request->thread;
        db->led = true;
    }
    (void)pthread_mutex_unlock(&db->lock);
    return e;
}

err_t *db_write(db_t *db, db_fn fn, void *arg) {
    request_t request = {.fn = fn, .arg = arg, .thread = pthread_self()};
    bool leading = false;
    (void)sem_init(&request.done, 0, 0);
    err_t *e = enqueue(db, &request, &leading);
    if (!e && !leading) {
        while (sem_wait(&request.done) != 0) continue; /* a signal handler ran */
        leading = request.lead;
    }
    if (leading) lead(db, &request); /* the first in the queue: so it is in this group */
    (void)sem_destroy(&request.done);
    return e ? e : request.error;
}

/* ---- readers ---------------------------------------------------------------------------- */

static err_t *reader_take(db_t *db, db_conn_t **ret_conn) {
    (void)pthread_mutex_lock(&db->lock);
    while (!db->readers && db->readers_open >= db->options.readers)
        (void)pthread_cond_wait(&db->reader_free, &db->lock);
    db_conn_t *conn = db->readers;
    if (conn) db->readers = conn->next;
    else db->readers_open++;
    (void)pthread_mutex_unlock(&db->lock);
    err_t *e = conn ? NULL : conn_new(db, false, &conn);
    if (!e) {
        *ret_conn = conn;
        return NULL;
    }
    (void)pthread_mutex_lock(&db->lock);
    db->readers_open--;
    (void)pthread_cond_signal(&db->reader_free);
    (void)pthread_mutex_unlock(&db->lock);
    return e;
}

static void reader_give(db_t *db, db_conn_t *conn) {
    (void)pthread_mutex_lock(&db->lock);
    conn->next = db->readers;
    db->readers = conn;
    (void)pthread_cond_signal(&db->reader_free);
    (void)pthread_mutex_unlock(&db->lock);
}

err_t *db_read(db_t *db, db_fn fn, void *arg) {
    db_conn_t *conn = NULL;
    TRY(reader_take(db, &conn));
    conn->busy_waited = 0;
    err_t *e = db_exec(conn, conn->backend->begin_read);
    if (!e) e = fn(conn, arg);
    err_t *leak = db_stmt_end_all(conn);
    if (e) err_free(leak);
    else e = leak;
    conn->backend->rollback(conn); /* nothing was written: the cheapest way to end it */
    reader_give(db, conn);
    return e;
}

/* ---- lifecycle -------------------------------------------------------------------------- */

void db_close(db_t *db) {
    if (!db) return;
    while (db->readers) {
        db_conn_t *next = db->readers->next;
        conn_free(db->readers);
        db->readers = next;
    }
    conn_free(db->writer); /* last: it folds the write-ahead log into the file */
    (void)pthread_cond_destroy(&db->reader_free);
    (void)pthread_mutex_destroy(&db->lock);
    mem_free(db->path);
    mem_free(db);
}

err_t *db_open(const char *path, const db_options_t *options, const clk_t *clk, db_t **ret_db) {
    CLEANUP(db_close) db_t *db = mem_zalloc(sizeof *db);
    if (!db) return err_nomem();
    (void)pthread_mutex_init(&db->lock, NULL);
    (void)pthread_cond_init(&db->reader_free, NULL);
    db->queue_end = &db->queue;
    db->clk = clk;
    if (options) db->options = *options;
    if (db->options.readers == 0) db->options.readers = READERS_DEFAULT;
    if (db->options.busy_ms == 0) db->options.busy_ms = BUSY_MS_DEFAULT;
    db->path = mem_strdup(path);
    if (!db->path) return err_nomem();
    TRY(conn_new(db, true, &db->writer));
    *ret_db = STEAL(db);
    return NULL;
}

/* ---- scripts ---------------------------------------------------------------------------- */

/* Length of the word, comment, quoted run or single character that `rest` begins with. */
static size_t token_length(bytes_t rest) {
    size_t n = 1;
    if (rest.p[0] == '\'' || rest.p[0] == '"') {
        while (n < rest.n && rest.p[n] != rest.p[0]) n++;
        return n < rest.n ? n + 1 : n;
    }
    if (bytes_starts(rest, BYTES_LIT("--"))) return bytes_find(rest, '\n');
    if (!isalpha(rest.p[0]) && rest.p[0] != '_') return 1;
    while (n < rest.n && (isalnum(rest.p[n]) || rest.p[n] == '_')) n++;
    return n;
}

err_t *db_script(db_conn_t *conn, const char *sql) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, SCRIPT_MAX);
    bytes_t rest = bytes_str(sql);
    while (rest.n) {
        bytes_t token = bytes_slice(rest, 0, token_length(rest));
        rest = bytes_from(rest, token.n);
        if (bytes_eq_str(token, "BYTES")) token = bytes_str(conn->backend->word_bytes);
        else if (bytes_eq_str(token, "IDENTITY")) token = bytes_str(conn->backend->word_identity);
        TRY(buf_add(&out, token));
    }
    const char *translated = NULL;
    TRY(buf_cstr(&out, &translated));
    return conn->backend->script(conn, translated);
}
