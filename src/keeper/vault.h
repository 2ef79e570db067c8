/*
 * The vault: the keeper's own database D/vault/vault.db. Wrapped keys, every certificate issued,
 * every secret released, and a hash-chained log of every use of a key. One writer thread commits
 * many requests at once (group commit) and only then lets their answers go, so nothing is
 * acknowledged before it is on disk (SQLite, WAL, synchronous=FULL).
 *
 * Locks: vault->queue_lock (the writer's queue), vault->read_lock (the reading connection).
 * Open it before the sandbox; start the writer after.
 */
#ifndef COFFER_KEEPER_VAULT_H
#define COFFER_KEEPER_VAULT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/clk.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/rnd.h"
#include "crypto/cert.h"
#include "crypto/secret.h"

typedef struct vault vault_t;

enum { VAULT_HASH_SIZE = 32 };

typedef struct {
    const char *dir;        /* the vault directory, mode 0700; borrowed during the call */
    const secret_t *master; /* MASTER_KEY_SIZE bytes; copied */
    const clk_t *clk;       /* borrowed for the vault's life */
    const rnd_t *rnd;       /* the same */
} vault_options_t;

/*
 * Opens (or with `create` makes) the database and brings its schema up to date. ERR_BUSY when
 * another keeper has this vault; ERR_DENIED when others may look into the directory.
 */
err_t *vault_open(const vault_options_t *options, bool create, vault_t **ret_vault) WARN_UNUSED;
/* Stops the writer if it runs; takes NULL. */
void vault_free(vault_t *vault);

/* ---- keys (vault_key.c), at init and start only ---- */

typedef struct {
    const char *name;    /* "device-ca" */
    const char *kind;    /* VAULT_KEY_PRIVATE, VAULT_KEY_SECRET */
    bytes_t private_key; /* PKCS#8 DER, or the secret's bytes */
    bytes_t public_der;  /* SubjectPublicKeyInfo; none for a secret */
    bytes_t certificate; /* DER; may be none */
} vault_key_t;

#define VAULT_KEY_PRIVATE "pkcs8"
#define VAULT_KEY_SECRET  "secret"
#define VAULT_KEY_STATE   "state" /* no secret, but nobody else's to change */

/* ERR_EXISTS if the name is taken. */
err_t *vault_key_put(vault_t *vault, const vault_key_t *key) WARN_UNUSED;
/* The same, over what was there. */
err_t *vault_key_replace(vault_t *vault, const vault_key_t *key) WARN_UNUSED;
/* Several of these as one change: begins, and ends with `e` or the commit's own error. Takes e. */
err_t *vault_keys_begin(vault_t *vault) WARN_UNUSED;
err_t *vault_keys_end(vault_t *vault, err_t *e) WARN_UNUSED;
/*
 * Unwraps. The certificate is appended to certificate (may be NULL). ERR_NOT_FOUND; ERR_VERIFY if
 * the row was changed, belongs to another name or kind, or the master key is another.
 */
err_t *vault_key_get(vault_t *vault, const char *name, const char *kind, secret_t **ret_private,
                     buf_t *certificate) WARN_UNUSED;

/* ---- the writer (vault_writer.c) ---- */

/* A certificate for the record. */
typedef struct {
    cert_t *cert;       /* owned by the operation; NULL: none */
    const char *issuer; /* "device-ca", "root"; outlives the operation */
    char *profile;      /* owned */
    char *owner;        /* owned */
} vault_issued_t;

/* A secret that leaves, or is taken; refused (ERR_BUSY) at `cap` of this device and kind in 24
 * hours, at `all` of the kind. */
typedef struct {
    char *device; /* owned; NULL: none */
    char *kind;   /* owned */
    char *command;
    unsigned cap, all;
} vault_release_t;

/* The head of an audit chain that is signed; refused (ERR_DENIED) if the chain went back. */
typedef struct {
    char *node; /* owned; NULL: none */
    int64_t seq;
    uint8_t hash[32];
} vault_head_t;

/* Rows of another family of tables (vault_escrow.h), written with the operation's others. */
typedef struct {
    void *rows; /* owned by the operation; NULL: none */
    /*
     * On the writer's thread, inside the transaction; again if that was rolled back. What a rule
     * forbids goes to *ret_refused, before anything is written.
     */
    err_t *(*write)(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused);
    void (*committed)(void *rows); /* on the writer's thread; may be NULL */
    void (*free)(void *rows);
} vault_rows_t;

typedef struct vault_op vault_op_t;

/*
 * One request's rows. They come to disk together with its log entry, in one transaction with
 * others'; then done(op, e) is called on the writer thread and the operation is the caller's
 * again. e is NULL when everything is durable.
 */
struct vault_op {
    vault_op_t *next;   /* the queue's */
    const char *role;   /* static */
    const char *intent; /* static */
    char object[LIMIT_KEEPER_OBJECT + 1];
    char outcome[LIMIT_KEEPER_OUTCOME + 1]; /* "ok", or the refusal */
    vault_issued_t issued;
    vault_release_t release;
    vault_head_t head;
    vault_rows_t rows;
    bool tally;     /* the log counts it, see vault_writer.c, when there was one like it just now */
    bool waits;     /* somebody waits for the commit; else it may take VAULT_LINGER_MS longer, and
                       is tried again when a commit fails */
    err_t *refused; /* the writer's: a rule of the record (cap, head) refused it */
    void (*done)(vault_op_t *op, err_t *e);
};

/* Starts the thread (after the sandbox). */
err_t *vault_start(vault_t *vault) WARN_UNUSED;
/* Commits what is queued and joins the thread. Idempotent. */
void vault_stop(vault_t *vault);
/* Hands the operation over; ERR_BUSY with LIMIT_DB_QUEUE waiting (it stays the caller's then). */
err_t *vault_submit(vault_t *vault, vault_op_t *op) WARN_UNUSED;
/*
 * Around the handling of a request that may submit an operation somebody waits for: while others
 * are at work a commit waits a few milliseconds for theirs.
 */
void vault_expect(vault_t *vault);
void vault_expect_done(vault_t *vault);
/* Whether the last commit failed: then nobody should be answered before his own commit. */
bool vault_is_failing(const vault_t *vault);
/* Frees what an operation owns, not itself. */
void vault_op_done(vault_op_t *op);

/* ---- reading (vault_read.c), any thread ---- */

/* Appends the DER of the certificate with this fingerprint. */
err_t *vault_issued_find(vault_t *vault, bytes_t fingerprint, bool *ret_found,
                         buf_t *der) WARN_UNUSED;
/* Whom it was issued to (vault_issued_t.owner), as a new string; NULL if there is no such one. */
err_t *vault_issued_owner(vault_t *vault, bytes_t fingerprint, char **ret_owner) WARN_UNUSED;
/* All certificates (DER) that this issuer made for this owner, in their order. */
err_t *vault_issued_each(vault_t *vault, const char *issuer, const char *owner,
                         err_t *(*visit)(void *arg, bytes_t der), void *arg) WARN_UNUSED;
/*
 * Appends log entries after `after` as JSON lines, as many as fit in max_bytes; *ret_last is the
 * last one's number (or `after`).
 */
err_t *vault_log_read(vault_t *vault, uint64_t after, size_t max_bytes, buf_t *lines,
                      uint64_t *ret_last) WARN_UNUSED;
/* Walks the whole log and checks the chain; ERR_VERIFY at the first entry that doesn't hold. */
err_t *vault_log_verify(vault_t *vault, uint64_t *ret_entries) WARN_UNUSED;
/* What was committed, ever. */
void vault_counts(const vault_t *vault, uint64_t *ret_certificates, uint64_t *ret_entries);

/* ---- copies for backups (vault_copy.c), one thread at a time ---- */

const secret_t *vault_master(const vault_t *vault); /* borrowed */

/* The whole vault as it was at one moment, in a file that has no name any more once it is made. */
typedef struct vault_copy vault_copy_t;
err_t *vault_copy_begin(const vault_t *vault, vault_copy_t **ret_copy) WARN_UNUSED;
/* Works for about half a second; *ret_left are pages still to come, 0 when it can be read. */
err_t *vault_copy_step(vault_copy_t *copy, unsigned *ret_left) WARN_UNUSED;
uint64_t vault_copy_size(const vault_copy_t *copy); /* bytes, once it can be read */
/* Exactly n bytes. */
err_t *vault_copy_read(const vault_copy_t *copy, uint64_t offset, uint8_t *p, size_t n) WARN_UNUSED;
void vault_copy_free(vault_copy_t *copy); /* takes NULL */

DEFINE_CLEANUP(vault_t, vault_free)
DEFINE_CLEANUP(vault_copy_t, vault_copy_free)

#endif
