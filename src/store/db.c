/*
 * The façade's common part: group commit, the pool of readers, hooks, scripts. See db.h. Any
 * process but the keeper. Of those who want to write one leads, runs what is queued in one
 * transaction on its own thread, and hands the lead on; so a lone writer costs no change of
 * threads, and many share one flush. Who writes later doesn't wait and so can't lead: a thread
 * for that (writer_main) does it when nobody else does.
 */
#include "store/db.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "store/db_internal.h"

enum {
    READERS_DEFAULT = 4,
    BUSY_MS_DEFAULT = 10000,
    SCRIPT_MAX = 1024 * 1024,
    WRITER_STACK = 512 * 1024, /* bytes; only touched pages cost memory */
};

/* One caller of db_write, on whose stack it lies, or of db_write_later, on the heap. */
typedef struct request request_t;
struct request {
    db_fn fn;
    void *arg;
    err_t *error;
    void (*later)(void *arg, err_t *error); /* nobody waits: called when it is done */
    pthread_t thread;                       /* who leads when it is this one's turn */
    bool lead;                              /* woken to lead, not because it is done */
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

    pthread_mutex_t version_lock;
    db_conn_t
        *version; /* NULL until asked for; never writes, so it sees the writer's commits too */

    db_conn_t *writer; /* used by the leader alone */
    request_t *group[LIMIT_DB_BATCH];

    pthread_t writer_thread; /* leads for those who don't wait */
    bool writer_runs;
    bool writer_stops; /* once it does not lead; guarded by the lock */
    sem_t writer_wake; /* to lead, or to stop */
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

/* A request is gone once it is told: nobody may look at it afterwards. */
static void tell(request_t *request) {
    if (!request->later) {
        (void)sem_post(&request->done);
        return;
    }
    request->later(request->arg, request->error);
    mem_free(request);
}

/*
 * Runs one group and hands the lead to the first of those who came meanwhile, if anybody did.
 * True: that is the caller again (the writer's thread, for another who doesn't wait).
 */
static bool lead(db_t *db, const request_t *self) {
    size_t count = run_group(db);
    for (size_t i = 0; i < count; i++)
        if (db->group[i] != self) tell(db->group[i]);
    (void)pthread_mutex_lock(&db->lock);
    request_t *next = db->queue;
    sem_t *wake = NULL;
    if (next) {
        next->lead = true;
        db->leader = next->thread;
        wake = next->later ? &db->writer_wake : &next->done;
    } else {
        db->led = false;
    }
    (void)pthread_mutex_unlock(&db->lock);
    if (!wake) return false;
    if (!self && wake == &db->writer_wake) return true;
    (void)sem_post(wake);
    return false;
}

/* Leads whenever it is woken, until it is told to stop; by then nothing is queued. */
static void *writer_main(void *arg) {
    db_t *db = arg;
    for (bool stops = false; !stops;) {
        while (sem_wait(&db->writer_wake) != 0) continue;
        (void)pthread_mutex_lock(&db->lock);
        bool mine = db->led && pthread_equal(pthread_self(), db->leader);
        stops = !mine && db->writer_stops;
        (void)pthread_mutex_unlock(&db->lock);
        while (mine) mine = lead(db, NULL);
    }
    return NULL;
}

/* Queues the request; *ret_lead: nobody leads, so the caller does. */
static err_t *enqueue(db_t *db, request_t *request, bool *ret_lead) {
    (void)pthread_mutex_lock(&db->lock);
    err_t *e = NULL;
    if (db->led && !request->later && pthread_equal(request->thread, db->leader))
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
    if (leading) (void)lead(db, &request); /* the first in the queue: so it is in this group */
    (void)sem_destroy(&request.done);
    return e ? e : request.error;
}

err_t *db_write_later(db_t *db, db_fn fn, void (*done)(void *arg, err_t *error), void *arg) {
    bool leading = false;
    if (!db->writer_runs) return err_new(ERR_INTERNAL, "opened without `later`");
    request_t *request = mem_zalloc(sizeof *request);
    if (!request) return err_nomem();
    request->fn = fn;
    request->arg = arg;
    request->later = done;
    request->thread = db->writer_thread;
    err_t *e = enqueue(db, request, &leading);
    if (e) mem_free(request);
    else if (leading) (void)sem_post(&db->writer_wake);
    return e;
}

/* Signals belong to the main thread. */
static err_t *writer_start(db_t *db) {
    sigset_t all, before;
    pthread_attr_t attr;
    int rc = fault_io() ? EAGAIN : pthread_attr_init(&attr);
    if (rc != 0) return err_errno(rc, "cannot start the database's thread");
    (void)pthread_attr_setstacksize(&attr, WRITER_STACK);
    (void)sem_init(&db->writer_wake, 0, 0);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&db->writer_thread, &attr, writer_main, db);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (rc != 0) {
        (void)sem_destroy(&db->writer_wake);
        return err_errno(rc, "cannot start the database's thread");
    }
    db->writer_runs = true;
    return NULL;
}

/* What is queued is written first: its callers are owed an answer. */
static void writer_stop(db_t *db) {
    if (!db->writer_runs) return;
    (void)pthread_mutex_lock(&db->lock);
    db->writer_stops = true;
    (void)pthread_mutex_unlock(&db->lock);
    (void)sem_post(&db->writer_wake);
    (void)pthread_join(db->writer_thread, NULL);
    (void)sem_destroy(&db->writer_wake);
    db->writer_runs = false;
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

static err_t *read_version(db_t *db, uint64_t *ret_version) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    if (!db->version) TRY(conn_new(db, false, &db->version));
    db->version->busy_waited = 0;
    TRY(db_query_row(db->version, db->version->backend->version, &stmt, &found));
    if (!found) return err_new(ERR_INTERNAL, "the database has no version");
    *ret_version = (uint64_t)db_col_i64(stmt, 0);
    return NULL;
}

err_t *db_version(db_t *db, uint64_t *ret_version) {
    (void)pthread_mutex_lock(&db->version_lock);
    err_t *e = read_version(db, ret_version);
    (void)pthread_mutex_unlock(&db->version_lock);
    return e;
}

/* ---- lifecycle -------------------------------------------------------------------------- */

void db_close(db_t *db) {
    if (!db) return;
    writer_stop(db);
    while (db->readers) {
        db_conn_t *next = db->readers->next;
        conn_free(db->readers);
        db->readers = next;
    }
    conn_free(db->version);
    conn_free(db->writer); /* last: it folds the write-ahead log into the file */
    (void)pthread_cond_destroy(&db->reader_free);
    (void)pthread_mutex_destroy(&db->lock);
    (void)pthread_mutex_destroy(&db->version_lock);
    mem_free(db->path);
    mem_free(db);
}

err_t *db_open(const char *path, const db_options_t *options, const clk_t *clk, db_t **ret_db) {
    CLEANUP(db_close) db_t *db = mem_zalloc(sizeof *db);
    if (!db) return err_nomem();
    (void)pthread_mutex_init(&db->lock, NULL);
    (void)pthread_mutex_init(&db->version_lock, NULL);
    (void)pthread_cond_init(&db->reader_free, NULL);
    db->queue_end = &db->queue;
    db->clk = clk;
    if (options) db->options = *options;
    if (db->options.readers == 0) db->options.readers = READERS_DEFAULT;
    if (db->options.busy_ms == 0) db->options.busy_ms = BUSY_MS_DEFAULT;
    db->path = mem_strdup(path);
    if (!db->path) return err_nomem();
    TRY(conn_new(db, true, &db->writer));
    if (db->options.later) TRY(writer_start(db));
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
