/*
 * Copies: see db_copy.h. SQLite's online backup, from a connection that stays in one read
 * transaction; a second connection holds the write lock for a moment. One thread.
 */
#include "store/db_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

enum { BUSY_MS = 10000, STEP_PAGES = 1024 };

struct db_copy {
    sqlite3 *lock, *from;
};

static err_t *sqlite_error(sqlite3 *db, int rc, const char *doing) {
    if ((rc & 0xff) == SQLITE_NOMEM) return err_nomem();
    err_code_t code = (rc & 0xff) == SQLITE_BUSY   ? ERR_BUSY
                      : (rc & 0xff) == SQLITE_FULL ? ERR_FULL
                                                   : ERR_IO;
    return err_new(code, "cannot %s: %s (%d)", doing, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc),
                   rc);
}

static err_t *open_one(const char *path, const char *script, sqlite3 **db) {
    if (fault_io()) return err_new(ERR_IO, "cannot open %s", path);
    int rc = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) (void)sqlite3_busy_timeout(*db, BUSY_MS);
    if (rc == SQLITE_OK) rc = sqlite3_exec(*db, script, NULL, NULL, NULL);
    return rc == SQLITE_OK ? NULL : sqlite_error(*db, rc, "open the database for a copy");
}

err_t *db_copy_begin(const char *path, db_copy_t **ret_copy) {
    CLEANUP(db_copy_free) db_copy_t *copy = mem_zalloc(sizeof *copy);
    if (!copy) return err_nomem();
    if (!file_exists(path)) return err_new(ERR_NOT_FOUND, "there is no database %s", path);
    TRY(open_one(path, "BEGIN IMMEDIATE", &copy->lock));
    TRY(open_one(path, "BEGIN; SELECT count(*) FROM sqlite_schema", &copy->from));
    *ret_copy = STEAL(copy);
    return NULL;
}

void db_copy_release(db_copy_t *copy) {
    if (copy->lock) (void)sqlite3_exec(copy->lock, "ROLLBACK", NULL, NULL, NULL);
    (void)sqlite3_close(copy->lock);
    copy->lock = NULL;
}

static err_t *run(db_copy_t *copy, sqlite3 *to) {
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", copy->from, "main");
    if (!backup) return sqlite_error(to, SQLITE_ERROR, "copy the database");
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK)
        rc = fault_io() ? SQLITE_IOERR : sqlite3_backup_step(backup, STEP_PAGES);
    (void)sqlite3_backup_finish(backup);
    return rc == SQLITE_DONE ? NULL : sqlite_error(NULL, rc, "copy the database");
}

err_t *db_copy_run(db_copy_t *copy, const char *to) {
    sqlite3 *db = NULL;
    CLEANUP(fd_close) int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_errno(errno, "cannot create %s", to);
    err_t *e = open_one(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", &db);
    if (!e) e = run(copy, db);
    (void)sqlite3_close(db);
    return e;
}

void db_copy_free(db_copy_t *copy) {
    if (!copy) return;
    db_copy_release(copy);
    (void)sqlite3_close(copy->from);
    mem_free(copy);
}
