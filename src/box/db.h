/*
 * The mailbox's database: SQLCipher (AES-256-CBC with HMAC per page) under a raw 32-byte key.
 * Message bodies lie in it as they came, S/MIME-encrypted ones stay so. All SQL of the mailbox is
 * in db.c and db_rows.c. One thread.
 */
#ifndef COFFER_BOX_DB_H
#define COFFER_BOX_DB_H

#include "base/buf.h"
#include "crypto/secret.h"

typedef struct box_db box_db_t;

enum { BOX_DB_KEY = 32 };

/* Makes it if it isn't there. ERR_VERIFY: another key, or damaged. */
err_t *box_db_open(const char *path, const secret_t *key, box_db_t **ret_db) WARN_UNUSED;
/* Closes the file and forgets the key at once, while somebody goes on holding `db`: all that is
 * asked of it from then on is ERR_BUSY. Not from within a function that hands out rows. */
void box_db_shut(box_db_t *db);
void box_db_close(box_db_t *db); /* takes NULL */

err_t *box_db_begin(box_db_t *db) WARN_UNUSED;
err_t *box_db_commit(box_db_t *db) WARN_UNUSED;
void box_db_rollback(box_db_t *db); /* fine without a transaction */

/* ---- folders ---- */

typedef struct {
    int64_t id;
    uint64_t modseq;   /* up to which changes are known; 0: none */
    uint32_t last_uid; /* the highest there; 0: none */
} box_folder_t;

/*
 * The folder of that name, made if needed. With another UIDVALIDITY than before all its messages
 * are gone (RFC 9051 section 2.3.1.1); 0 leaves it as it is.
 */
err_t *box_db_folder(box_db_t *db, const char *name, uint32_t uidvalidity,
                     box_folder_t *ret_folder) WARN_UNUSED;
err_t *box_db_set_modseq(box_db_t *db, int64_t folder, uint64_t modseq) WARN_UNUSED;
typedef struct {
    const char *name;
    uint32_t uidvalidity;
    uint32_t last_uid;
    int64_t messages, unseen;
} box_folder_info_t;
err_t *box_db_folders(box_db_t *db, err_t *(*each)(void *arg, const box_folder_info_t *info),
                      void *arg) WARN_UNUSED;

/* ---- messages ---- */

enum { BOX_SEEN = 1, BOX_ANSWERED = 2, BOX_FLAGGED = 4, BOX_DELETED = 8, BOX_DRAFT = 16 };

typedef struct {
    int64_t id;
    const char *folder; /* when read */
    uint32_t uid;
    unsigned flags;
    int64_t date; /* seconds since 1970 UTC; 0: none */
    int64_t size; /* bytes */
    bool closed;  /* S/MIME-encrypted */
    bytes_t sender, recipients, subject, message_id;
} box_row_t;

/* Once for each (folder, uid): *ret_new (may be NULL) says whether it is now there anew. `text`:
 * what is searched besides the header. */
err_t *box_db_add(box_db_t *db, int64_t folder, const box_row_t *row, bytes_t text, bytes_t message,
                  bool *ret_new) WARN_UNUSED;
err_t *box_db_has(box_db_t *db, int64_t folder, uint32_t uid, bool *ret_has) WARN_UNUSED;
err_t *box_db_set_flags(box_db_t *db, int64_t folder, uint32_t uid, unsigned flags) WARN_UNUSED;
err_t *box_db_remove(box_db_t *db, int64_t folder, uint32_t uid) WARN_UNUSED;
/* Removes what is not among the n sorted UIDs. */
err_t *box_db_keep_only(box_db_t *db, int64_t folder, const uint32_t *uids, size_t n) WARN_UNUSED;

typedef err_t *(*box_row_fn_t)(void *arg, const box_row_t *row);
/* The newest first; `before`: only ids below, 0: all. `folder` NULL: all. */
err_t *box_db_list(box_db_t *db, const char *folder, int64_t before, unsigned limit,
                   box_row_fn_t each, void *arg) WARN_UNUSED;
/* Messages that have all the words, each at the beginning of one of theirs. */
err_t *box_db_search(box_db_t *db, bytes_t words, unsigned limit, box_row_fn_t each,
                     void *arg) WARN_UNUSED;
/* One row with its message; ERR_NOT_FOUND. */
err_t *box_db_message(box_db_t *db, int64_t id, box_row_fn_t each, void *arg,
                      buf_t *message) WARN_UNUSED;

/* ---- replies that were begun ---- */

/* One for each message; an empty one removes it. Nothing is kept for a message that isn't there. */
err_t *box_db_set_draft(box_db_t *db, int64_t id, bytes_t text) WARN_UNUSED;
/* Nothing is appended where there is none. */
err_t *box_db_draft(box_db_t *db, int64_t id, buf_t *text) WARN_UNUSED;

/* ---- others' certificates ---- */

enum { BOX_PEERS = 8 }; /* kept for an address, the latest seen */
/* `address` in any case. */
err_t *box_db_add_peer(box_db_t *db, bytes_t address, bytes_t certificate,
                       int64_t seen) WARN_UNUSED;
err_t *box_db_peers(box_db_t *db, bytes_t address, err_t *(*each)(void *arg, bytes_t certificate),
                    void *arg) WARN_UNUSED;

/* ---- keys ---- */

err_t *box_db_add_key(box_db_t *db, bytes_t certificate, bytes_t key) WARN_UNUSED;
err_t *box_db_keys(box_db_t *db, err_t *(*each)(void *arg, bytes_t certificate, bytes_t key),
                   void *arg) WARN_UNUSED;

DEFINE_CLEANUP(box_db_t, box_db_close)

#endif
