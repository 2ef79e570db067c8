/*
 * Folders, messages and keys in the mailbox's database, a function a deed: see db.h. In
 * coffer-mailbox.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "box/db_internal.h"

#define CLEANUP_ROW  __attribute__((cleanup(db_reset_p)))
#define CLEANUP_BLOB __attribute__((cleanup(blob_close)))

enum { LARGE = 1024 * 1024, CHUNK = 256 * 1024 }; /* bytes of a message */

static void blob_close(sqlite3_blob **blob) { (void)sqlite3_blob_close(*blob); }

/* ---- folders ---- */

static err_t *find_folder(box_db_t *db, const char *name, bool *ret_found, uint32_t *ret_validity,
                          box_folder_t *ret_folder) {
    row_t *stmt = NULL;
    TRY(db_use(db,
               "SELECT id, uidvalidity, modseq, (SELECT coalesce(max(uid), 0) FROM message WHERE"
               " message.folder = folder.id) FROM folder WHERE name = ?1",
               &stmt));
    CLEANUP_ROW row_t *row = stmt;
    db_text(row, 1, bytes_str(name));
    TRY(db_step(db, row, ret_found));
    if (!*ret_found) return NULL;
    *ret_validity = (uint32_t)sqlite3_column_int64(row, 1);
    *ret_folder = (box_folder_t){.id = sqlite3_column_int64(row, 0),
                                 .modseq = (uint64_t)sqlite3_column_int64(row, 2),
                                 .last_uid = (uint32_t)sqlite3_column_int64(row, 3)};
    return NULL;
}

static err_t *add_folder(box_db_t *db, const char *name, uint32_t uidvalidity, int64_t *ret_id) {
    row_t *row = NULL;
    TRY(db_use(db, "INSERT INTO folder (name, uidvalidity, modseq) VALUES (?1, ?2, 0)", &row));
    db_text(row, 1, bytes_str(name));
    db_i64(row, 2, uidvalidity);
    TRY(db_run(db, row));
    *ret_id = sqlite3_last_insert_rowid(db->handle);
    return NULL;
}

/* With one value, the folder's id or a message's. */
static err_t *run_with(box_db_t *db, const char *sql, int64_t value) {
    row_t *row = NULL;
    TRY(db_use(db, sql, &row));
    db_i64(row, 1, value);
    return db_run(db, row);
}

static err_t *empty_folder(box_db_t *db, int64_t id, uint32_t uidvalidity) {
    row_t *row = NULL;
    TRY(run_with(db, "DELETE FROM body WHERE id IN (SELECT id FROM message WHERE folder = ?1)",
                 id));
    TRY(run_with(db, "DELETE FROM words WHERE docid IN (SELECT id FROM message WHERE folder = ?1)",
                 id));
    TRY(run_with(
        db, "DELETE FROM draft WHERE message IN (SELECT id FROM message WHERE folder = ?1)", id));
    TRY(run_with(db, "DELETE FROM message WHERE folder = ?1", id));
    TRY(db_use(db, "UPDATE folder SET uidvalidity = ?2, modseq = 0 WHERE id = ?1", &row));
    db_i64(row, 1, id);
    db_i64(row, 2, uidvalidity);
    return db_run(db, row);
}

err_t *box_db_folder(box_db_t *db, const char *name, uint32_t uidvalidity,
                     box_folder_t *ret_folder) {
    bool found = false;
    uint32_t validity = 0;
    box_folder_t folder = {0};
    TRY(find_folder(db, name, &found, &validity, &folder));
    if (!found) TRY(add_folder(db, name, uidvalidity, &folder.id));
    else if (uidvalidity && validity != uidvalidity) {
        TRY(empty_folder(db, folder.id, uidvalidity));
        folder.modseq = 0;
        folder.last_uid = 0;
    }
    *ret_folder = folder;
    return NULL;
}

err_t *box_db_set_modseq(box_db_t *db, int64_t folder, uint64_t modseq) {
    row_t *row = NULL;
    TRY(db_use(db, "UPDATE folder SET modseq = ?2 WHERE id = ?1", &row));
    db_i64(row, 1, folder);
    db_i64(row, 2, (int64_t)modseq);
    return db_run(db, row);
}

err_t *box_db_folders(box_db_t *db, err_t *(*each)(void *arg, const box_folder_info_t *info),
                      void *arg) {
    row_t *stmt = NULL;
    bool more = true;
    TRY(db_use(db,
               "SELECT name, uidvalidity, count(message.id), coalesce(sum(1 - (flags & 1)), 0),"
               " coalesce(max(uid), 0) FROM folder LEFT JOIN message ON message.folder = folder.id"
               " GROUP BY folder.id ORDER BY name",
               &stmt));
    CLEANUP_ROW row_t *row = stmt;
    for (;;) {
        TRY(db_step(db, row, &more));
        if (!more) return NULL;
        box_folder_info_t info = {.name = (const char *)sqlite3_column_text(row, 0),
                                  .uidvalidity = (uint32_t)sqlite3_column_int64(row, 1),
                                  .messages = sqlite3_column_int64(row, 2),
                                  .unseen = sqlite3_column_int64(row, 3),
                                  .last_uid = (uint32_t)sqlite3_column_int64(row, 4)};
        TRY(each(arg, &info));
    }
}

/* ---- messages ---- */

static err_t *add_row(box_db_t *db, int64_t folder, const box_row_t *m, bool *ret_new) {
    row_t *row = NULL;
    TRY(db_use(db,
               "INSERT OR IGNORE INTO message (folder, uid, flags, date, size, closed, sender,"
               " recipients, subject, message_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
               &row));
    db_i64(row, 1, folder);
    db_i64(row, 2, m->uid);
    db_i64(row, 3, m->flags);
    db_i64(row, 4, m->date);
    db_i64(row, 5, m->size);
    db_i64(row, 6, m->closed);
    db_text(row, 7, m->sender);
    db_text(row, 8, m->recipients);
    db_text(row, 9, m->subject);
    db_text(row, 10, m->message_id);
    TRY(db_run(db, row));
    *ret_new = sqlite3_changes(db->handle) == 1;
    return NULL;
}

/* Room first and bytes later: as one value SQLite would hold another copy of it. */
static err_t *fill_body(box_db_t *db, int64_t id, bytes_t message) {
    CLEANUP_BLOB sqlite3_blob *blob = NULL;
    int code = sqlite3_blob_open(db->handle, "main", "body", "bytes", id, 1, &blob);
    for (size_t at = 0; at < message.n && code == SQLITE_OK; at += CHUNK) {
        bytes_t part = bytes_slice(message, at, CHUNK);
        code = sqlite3_blob_write(blob, part.p, (int)part.n, (int)at);
    }
    return code == SQLITE_OK ? NULL : db_error(db, code, "a message");
}

static err_t *add_body(box_db_t *db, int64_t id, bytes_t message) {
    row_t *row = NULL;
    TRY(db_use(db, "INSERT INTO body (id, bytes) VALUES (?1, ?2)", &row));
    db_i64(row, 1, id);
    if (message.n <= LARGE) db_blob(row, 2, message);
    else (void)sqlite3_bind_zeroblob64(row, 2, message.n);
    TRY(db_run(db, row));
    return message.n <= LARGE ? NULL : fill_body(db, id, message);
}

static err_t *add_words(box_db_t *db, int64_t id, const box_row_t *m, bytes_t text) {
    row_t *row = NULL;
    TRY(db_use(db,
               "INSERT INTO words (docid, sender, recipients, subject, text)"
               " VALUES (?1, ?2, ?3, ?4, ?5)",
               &row));
    db_i64(row, 1, id);
    db_text(row, 2, m->sender);
    db_text(row, 3, m->recipients);
    db_text(row, 4, m->subject);
    db_text(row, 5, text);
    return db_run(db, row);
}

err_t *box_db_add(box_db_t *db, int64_t folder, const box_row_t *row, bytes_t text, bytes_t message,
                  bool *ret_new) {
    bool fresh = false;
    TRY(add_row(db, folder, row, &fresh));
    if (ret_new) *ret_new = fresh;
    if (!fresh) return NULL;
    int64_t id = sqlite3_last_insert_rowid(db->handle);
    TRY(add_body(db, id, message));
    return add_words(db, id, row, text);
}

err_t *box_db_set_flags(box_db_t *db, int64_t folder, uint32_t uid, unsigned flags) {
    row_t *row = NULL;
    TRY(db_use(db, "UPDATE message SET flags = ?3 WHERE folder = ?1 AND uid = ?2", &row));
    db_i64(row, 1, folder);
    db_i64(row, 2, uid);
    db_i64(row, 3, flags);
    return db_run(db, row);
}

static err_t *remove_id(box_db_t *db, int64_t id) {
    TRY(run_with(db, "DELETE FROM body WHERE id = ?1", id));
    TRY(run_with(db, "DELETE FROM words WHERE docid = ?1", id));
    TRY(run_with(db, "DELETE FROM draft WHERE message = ?1", id));
    return run_with(db, "DELETE FROM message WHERE id = ?1", id);
}

err_t *box_db_has(box_db_t *db, int64_t folder, uint32_t uid, bool *ret_has) {
    row_t *stmt = NULL;
    TRY(db_use(db, "SELECT 1 FROM message WHERE folder = ?1 AND uid = ?2", &stmt));
    CLEANUP_ROW row_t *row = stmt;
    db_i64(row, 1, folder);
    db_i64(row, 2, uid);
    return db_step(db, row, ret_has);
}

err_t *box_db_remove(box_db_t *db, int64_t folder, uint32_t uid) {
    row_t *row = NULL;
    bool found = false;
    TRY(db_use(db, "SELECT id FROM message WHERE folder = ?1 AND uid = ?2", &row));
    db_i64(row, 1, folder);
    db_i64(row, 2, uid);
    TRY(db_step(db, row, &found));
    if (!found) return NULL;
    int64_t id = sqlite3_column_int64(row, 0);
    db_reset(row);
    return remove_id(db, id);
}

static int compare_uids(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The next message of the folder from that UID on. */
static err_t *next_uid(box_db_t *db, int64_t folder, int64_t from, int64_t *ret_id,
                       uint32_t *ret_uid, bool *ret_found) {
    row_t *stmt = NULL;
    TRY(db_use(db,
               "SELECT id, uid FROM message WHERE folder = ?1 AND uid >= ?2 ORDER BY uid LIMIT 1",
               &stmt));
    CLEANUP_ROW row_t *row = stmt;
    db_i64(row, 1, folder);
    db_i64(row, 2, from);
    TRY(db_step(db, row, ret_found));
    if (!*ret_found) return NULL;
    *ret_id = sqlite3_column_int64(row, 0);
    *ret_uid = (uint32_t)sqlite3_column_int64(row, 1);
    return NULL;
}

err_t *box_db_keep_only(box_db_t *db, int64_t folder, const uint32_t *uids, size_t n) {
    int64_t id = 0, from = 1;
    uint32_t uid = 0;
    for (bool found = true;; from = (int64_t)uid + 1) {
        TRY(next_uid(db, folder, from, &id, &uid, &found));
        if (!found) return NULL;
        if (!n || !bsearch(&uid, uids, n, sizeof uid, compare_uids)) TRY(remove_id(db, id));
    }
}

#define COLUMNS                                                                                    \
    "SELECT message.id, folder.name, uid, flags, date, size, closed, message.sender,"              \
    " message.recipients, message.subject, message_id FROM message JOIN folder ON folder.id ="     \
    " message.folder"

static err_t *hand_out(row_t *row, box_row_fn_t each, void *arg) {
    box_row_t m = {.id = sqlite3_column_int64(row, 0),
                   .folder = (const char *)sqlite3_column_text(row, 1),
                   .uid = (uint32_t)sqlite3_column_int64(row, 2),
                   .flags = (unsigned)sqlite3_column_int64(row, 3),
                   .date = sqlite3_column_int64(row, 4),
                   .size = sqlite3_column_int64(row, 5),
                   .closed = sqlite3_column_int64(row, 6) != 0,
                   .sender = db_bytes(row, 7),
                   .recipients = db_bytes(row, 8),
                   .subject = db_bytes(row, 9),
                   .message_id = db_bytes(row, 10)};
    return each(arg, &m);
}

static err_t *hand_out_all(box_db_t *db, row_t *stmt, box_row_fn_t each, void *arg) {
    CLEANUP_ROW row_t *row = stmt;
    for (bool more = true;;) {
        TRY(db_step(db, row, &more));
        if (!more) return NULL;
        TRY(hand_out(row, each, arg));
    }
}

err_t *box_db_list(box_db_t *db, const char *folder, int64_t before, unsigned limit,
                   box_row_fn_t each, void *arg) {
    row_t *row = NULL;
    TRY(db_use(db,
               COLUMNS " WHERE (?1 = '' OR folder.name = ?1) AND message.id < ?2"
                       " ORDER BY message.id DESC LIMIT ?3",
               &row));
    db_text(row, 1, bytes_str(folder ? folder : ""));
    db_i64(row, 2, before ? before : INT64_MAX);
    db_i64(row, 3, limit);
    return hand_out_all(db, row, each, arg);
}

/* Each word quoted, with a star: nothing of the person's is syntax. */
static err_t *put_query(bytes_t words, buf_t *out) {
    for (bytes_t word; text_split(&words, ' ', &word);) {
        if (!word.n) continue;
        TRY(buf_add_str(out, out->n ? " \"" : "\""));
        for (size_t i = 0; i < word.n; i++)
            TRY(buf_add_byte(
                out, word.p[i] < ' ' || word.p[i] == '"' || word.p[i] == '*' ? ' ' : word.p[i]));
        TRY(buf_add_str(out, "*\""));
    }
    return NULL;
}

err_t *box_db_search(box_db_t *db, bytes_t words, unsigned limit, box_row_fn_t each, void *arg) {
    row_t *row = NULL;
    CLEANUP(buf_done) buf_t query;
    buf_init(&query, (size_t)LIMIT_BOX_QUERY * 4);
    if (words.n > LIMIT_BOX_QUERY || !text_utf8_valid(words))
        return err_new(ERR_USAGE, "that can't be searched for");
    TRY(put_query(words, &query));
    if (!query.n) return err_new(ERR_USAGE, "search for what?");
    TRY(db_use(db,
               COLUMNS " WHERE message.id IN (SELECT docid FROM words WHERE words MATCH ?1 ORDER"
                       " BY docid DESC LIMIT ?2) ORDER BY message.id DESC",
               &row));
    db_text(row, 1, buf_bytes(&query));
    db_i64(row, 2, limit);
    return hand_out_all(db, row, each, arg);
}

static err_t *get_body(box_db_t *db, int64_t id, buf_t *out) {
    CLEANUP_BLOB sqlite3_blob *blob = NULL;
    int code = sqlite3_blob_open(db->handle, "main", "body", "bytes", id, 0, &blob);
    if (code != SQLITE_OK) return db_error(db, code, "a message");
    int n = sqlite3_blob_bytes(blob);
    TRY(buf_reserve(out, (size_t)n));
    code = sqlite3_blob_read(blob, out->p + out->n, n, 0);
    if (code != SQLITE_OK) return db_error(db, code, "a message");
    out->n += (size_t)n;
    return NULL;
}

err_t *box_db_message(box_db_t *db, int64_t id, box_row_fn_t each, void *arg, buf_t *message) {
    row_t *stmt = NULL;
    bool found = false;
    TRY(db_use(db, COLUMNS " WHERE message.id = ?1", &stmt));
    CLEANUP_ROW row_t *row = stmt;
    db_i64(row, 1, id);
    TRY(db_step(db, row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no message %lld", (long long)id);
    TRY(hand_out(row, each, arg));
    return message ? get_body(db, id, message) : NULL;
}

/* ---- replies that were begun ---- */

err_t *box_db_set_draft(box_db_t *db, int64_t id, bytes_t text) {
    row_t *row = NULL;
    if (!text.n) return run_with(db, "DELETE FROM draft WHERE message = ?1", id);
    TRY(db_use(db,
               "INSERT OR REPLACE INTO draft (message, text) SELECT id, ?2 FROM message WHERE"
               " id = ?1",
               &row));
    db_i64(row, 1, id);
    db_text(row, 2, text);
    return db_run(db, row);
}

err_t *box_db_draft(box_db_t *db, int64_t id, buf_t *text) {
    row_t *stmt = NULL;
    bool found = false;
    TRY(db_use(db, "SELECT text FROM draft WHERE message = ?1", &stmt));
    CLEANUP_ROW row_t *row = stmt;
    db_i64(row, 1, id);
    TRY(db_step(db, row, &found));
    return found ? buf_add(text, db_bytes(row, 0)) : NULL;
}

/* ---- others' certificates ---- */

err_t *box_db_add_peer(box_db_t *db, bytes_t address, bytes_t certificate, int64_t seen) {
    row_t *row = NULL;
    TRY(db_use(db,
               "INSERT OR REPLACE INTO peer (address, certificate, seen)"
               " VALUES (lower(?1), ?2, ?3)",
               &row));
    db_text(row, 1, address);
    db_blob(row, 2, certificate);
    db_i64(row, 3, seen);
    TRY(db_run(db, row));
    TRY(db_use(
        db,
        "DELETE FROM peer WHERE address = lower(?1) AND certificate NOT IN (SELECT certificate"
        " FROM peer WHERE address = lower(?1) ORDER BY seen DESC LIMIT ?2)",
        &row));
    db_text(row, 1, address);
    db_i64(row, 2, BOX_PEERS);
    return db_run(db, row);
}

err_t *box_db_peers(box_db_t *db, bytes_t address, err_t *(*each)(void *arg, bytes_t certificate),
                    void *arg) {
    row_t *stmt = NULL;
    TRY(db_use(db, "SELECT certificate FROM peer WHERE address = lower(?1) ORDER BY seen DESC",
               &stmt));
    CLEANUP_ROW row_t *row = stmt;
    db_text(row, 1, address);
    for (bool more = true;;) {
        TRY(db_step(db, row, &more));
        if (!more) return NULL;
        TRY(each(arg, db_bytes(row, 0)));
    }
}

/* ---- keys ---- */

err_t *box_db_add_key(box_db_t *db, bytes_t certificate, bytes_t key) {
    row_t *row = NULL;
    TRY(db_use(db, "INSERT OR REPLACE INTO own_key (certificate, key) VALUES (?1, ?2)", &row));
    db_blob(row, 1, certificate);
    db_blob(row, 2, key);
    return db_run(db, row);
}

err_t *box_db_keys(box_db_t *db, err_t *(*each)(void *arg, bytes_t certificate, bytes_t key),
                   void *arg) {
    row_t *stmt = NULL;
    TRY(db_use(db, "SELECT certificate, key FROM own_key ORDER BY id DESC", &stmt));
    CLEANUP_ROW row_t *row = stmt;
    for (bool more = true;;) {
        TRY(db_step(db, row, &more));
        if (!more) return NULL;
        TRY(each(arg, db_bytes(row, 0), db_bytes(row, 1)));
    }
}
