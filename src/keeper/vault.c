/*
 * Opening, schema and closing of the vault: see vault.h. Main thread, before the sandbox.
 */
#include "keeper/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "ipc/wire.h"
#include "keeper/vault_internal.h"

/* Entry n brings the schema from version n to n+1; never changed once released, only added to. */
static const char *const migrations[] = {
    "CREATE TABLE key ("
    " name TEXT PRIMARY KEY,"
    " kind TEXT NOT NULL,"
    " version INTEGER NOT NULL,"
    " wrapped BLOB NOT NULL," /* AES-256-GCM, AAD: see vault_key.c */
    " public_der BLOB NOT NULL,"
    " certificate BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL);"
    "CREATE TABLE issued ("
    " id INTEGER PRIMARY KEY,"
    " fingerprint BLOB NOT NULL UNIQUE," /* SHA-256 of the DER */
    " serial TEXT NOT NULL,"             /* lower-case hex */
    " issuer TEXT NOT NULL,"
    " profile TEXT NOT NULL,"
    " owner TEXT NOT NULL,"
    " der BLOB NOT NULL,"
    " not_after INTEGER NOT NULL," /* seconds */
    " created_ms INTEGER NOT NULL);"
    "CREATE TABLE release ("
    " id INTEGER PRIMARY KEY,"
    " device TEXT NOT NULL,"
    " kind TEXT NOT NULL,"
    " command TEXT NOT NULL,"
    " ms INTEGER NOT NULL);"
    "CREATE INDEX release_by_device ON release(device, ms);"
    "CREATE INDEX release_by_kind ON release(kind, ms);"
    "CREATE TABLE head (" /* of each audit chain: the last one signed */
    " node TEXT PRIMARY KEY,"
    " seq INTEGER NOT NULL,"
    " hash BLOB NOT NULL,"
    " ms INTEGER NOT NULL);"
    "CREATE TABLE log ("
    " seq INTEGER PRIMARY KEY,"
    " ms INTEGER NOT NULL,"
    " role TEXT NOT NULL,"
    " intent TEXT NOT NULL,"
    " object TEXT NOT NULL,"
    " outcome TEXT NOT NULL,"
    " prev_hash BLOB NOT NULL,"
    " hash BLOB NOT NULL);",
    /* Escrow. Each row of a record has a MAC under a key of the master key: see vault_escrow.c. */
    "CREATE TABLE officers ("
    " epoch INTEGER PRIMARY KEY,"
    " record BLOB NOT NULL,"
    " mac BLOB NOT NULL,"
    " ms INTEGER NOT NULL);"
    "CREATE TABLE escrow ("
    " id BLOB NOT NULL,"
    " version INTEGER NOT NULL,"
    " object BLOB NOT NULL," /* encoded escrow_object_t */
    " wrap INTEGER NOT NULL,"
    " blob_hash BLOB NOT NULL,"
    " epoch INTEGER NOT NULL," /* last dealt to by the keeper; 0: not yet */
    " mac BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (id, version)) WITHOUT ROWID;"
    "CREATE TABLE delivery ("
    " id INTEGER PRIMARY KEY,"
    " person TEXT NOT NULL,"
    " holder TEXT NOT NULL," /* whose certificate: issued.owner */
    " ms INTEGER NOT NULL);"
    "CREATE INDEX delivery_by_person ON delivery(person, ms);"
    "CREATE INDEX delivery_by_holder ON delivery(holder);"
    "CREATE TABLE attempt ("
    " id INTEGER PRIMARY KEY,"
    " what TEXT NOT NULL,"
    " who TEXT NOT NULL,"
    " ms INTEGER NOT NULL);"
    "CREATE INDEX attempt_by_who ON attempt(what, who, ms);",
    /* Leases: see vault_lease.c. */
    "CREATE TABLE lease ("
    " device TEXT NOT NULL,"
    " account TEXT NOT NULL,"
    " epoch INTEGER NOT NULL,"
    " expires INTEGER NOT NULL," /* seconds */
    " push_key BLOB NOT NULL,"
    " sealed BLOB NOT NULL,"      /* to the lease key, as the device sealed it */
    " since_ms INTEGER NOT NULL," /* of the hour in which releases are counted */
    " releases INTEGER NOT NULL,"
    " PRIMARY KEY (device, account)) WITHOUT ROWID;"
    "CREATE INDEX lease_by_expiry ON lease(expires);",
    /* A lease whose `sealed` is empty was revoked. */
    "ALTER TABLE lease ADD COLUMN total INTEGER NOT NULL DEFAULT 0;" /* releases since it was put */
    "ALTER TABLE lease ADD COLUMN last_ms INTEGER NOT NULL DEFAULT 0;",
    /* What the mail gateway may do for whom: see vault_mail.c. */
    "CREATE TABLE mail_person ("
    " email TEXT PRIMARY KEY,"
    " person TEXT NOT NULL,"
    " sign INTEGER NOT NULL,"
    " decrypt INTEGER NOT NULL,"
    " certificate BLOB NOT NULL,"
    " sealed BLOB NOT NULL,"      /* the signing key, or nothing; the rest is its AAD */
    " since_ms INTEGER NOT NULL," /* of the hour in which opened messages are counted */
    " opened INTEGER NOT NULL) WITHOUT ROWID;",
    /*
     * keep_until: the highest expiry that a lease ever had; its epoch is known until then. due:
     * when the sweep has something to do with it. A device's push key stays when its leases have
     * ended.
     */
    "ALTER TABLE lease ADD COLUMN keep_until INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lease ADD COLUMN due INTEGER NOT NULL DEFAULT 0;"
    "UPDATE lease SET keep_until = expires, due = expires;"
    "DROP INDEX lease_by_expiry;"
    "CREATE INDEX lease_by_due ON lease(due);"
    "CREATE TABLE lease_device ("
    " device TEXT PRIMARY KEY,"
    " push_key BLOB NOT NULL) WITHOUT ROWID;"
    "INSERT OR REPLACE INTO lease_device SELECT device, push_key FROM lease;",
    /* To which key of a device, and, where an officer's consent was checked, a MAC that says so. */
    "ALTER TABLE delivery ADD COLUMN key BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE delivery ADD COLUMN mac BLOB NOT NULL DEFAULT x'';",
    "CREATE INDEX issued_by_owner ON issued(owner, issuer);",
    /* Of each log of device chains: the last tree that was signed. See vault_sync.c. */
    "CREATE TABLE sync_tree ("
    " origin TEXT PRIMARY KEY,"
    " size INTEGER NOT NULL,"
    " root BLOB NOT NULL) WITHOUT ROWID;",
};

static err_t *one_number(sql_t *sql, const char *text, int64_t *ret_value) {
    sql_stmt_t *stmt = NULL;
    TRY(sql_prepare(sql, text, &stmt));
    CLEANUP(sql_end) sql_stmt_t *end = stmt;
    bool row = false;
    TRY(sql_step(end, &row));
    *ret_value = row ? sql_i64(stmt, 0) : 0;
    return NULL;
}

static err_t *migrate(sql_t *sql) {
    int64_t version = 0;
    const int64_t newest = sizeof migrations / sizeof migrations[0];
    TRY(one_number(sql, "PRAGMA user_version", &version));
    if (version < 0 || version > newest)
        return err_new(ERR_USAGE, "the vault has schema %lld, this keeper knows %lld: too old?",
                       (long long)version, (long long)newest);
    for (; version < newest; version++) {
        CLEANUP(mem_free)
        char *text = mem_printf("BEGIN IMMEDIATE; %s PRAGMA user_version=%lld; COMMIT;",
                                migrations[version], (long long)version + 1);
        if (!text) return err_nomem();
        TRY_WRAP(sql_exec(sql, text), "vault schema %lld", (long long)version + 1);
    }
    return NULL;
}

static err_t *check_directory(const char *dir) {
    struct stat st;
    if (stat(dir, &st) != 0) return err_errno(errno, "cannot look at the vault %s", dir);
    if (!S_ISDIR(st.st_mode)) return err_new(ERR_INVALID, "%s is not a directory", dir);
    if ((st.st_mode & 077) != 0)
        return err_new(ERR_DENIED, "others may look into the vault: chmod 700 %s", dir);
    return NULL;
}

static err_t *take_lock(const char *dir, int *ret_fd) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(dir, "lock", &path));
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return err_new(ERR_BUSY, "another keeper has the vault %s", dir);
        return err_errno(errno, "cannot lock %s", path);
    }
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

static err_t *load_tip(vault_t *vault) {
    sql_stmt_t *stmt = NULL;
    TRY(sql_prepare(vault->writer, "SELECT seq, hash FROM log ORDER BY seq DESC LIMIT 1", &stmt));
    CLEANUP(sql_end) sql_stmt_t *end = stmt;
    bool row = false;
    TRY(sql_step(end, &row));
    if (!row) return NULL;
    bytes_t hash = sql_bytes(stmt, 1);
    if (hash.n != VAULT_HASH_SIZE) return err_new(ERR_VERIFY, "the vault's log is damaged");
    vault->tip.seq = (uint64_t)sql_i64(stmt, 0);
    memcpy(vault->tip.hash, hash.p, VAULT_HASH_SIZE);
    atomic_store(&vault->entries, vault->tip.seq);
    return NULL;
}

static err_t *open_database(vault_t *vault, const char *dir, bool create) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(dir, "vault.db", &path));
    TRY(sql_open(path, create, &vault->writer));
    TRY(migrate(vault->writer));
    TRY(load_tip(vault));
    int64_t issued = 0;
    TRY(one_number(vault->writer, "SELECT coalesce(max(id), 0) FROM issued", &issued));
    atomic_store(&vault->certificates, (uint64_t)issued);
    TRY(vault_writer_prepare(vault));
    vault_janitor_watch(vault);
    TRY(sql_open(path, false, &vault->janitor));
    TRY(sql_open(path, false, &vault->reader));
    TRY(vault_reader_prepare(vault));
    TRY(vault_escrow_prepare(vault));
    TRY(vault_lease_prepare(vault));
    TRY(vault_mail_prepare(vault));
    return vault_sync_prepare(vault);
}

err_t *vault_open(const vault_options_t *options, bool create, vault_t **ret_vault) {
    TRY(check_directory(options->dir));
    CLEANUP(vault_free) vault_t *vault = mem_zalloc(sizeof *vault);
    if (!vault) return err_nomem();
    vault->lock_fd = -1;
    vault->clk = options->clk;
    vault->rnd = options->rnd;
    (void)pthread_mutex_init(&vault->queue_lock, NULL);
    (void)pthread_mutex_init(&vault->read_lock, NULL);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&vault->queue_filled, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    TRY(take_lock(options->dir, &vault->lock_fd));
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(options->master), BYTES_LIT("coffer/v1/vault/key-wrap"),
                 32, &vault->wrap_key));
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(options->master), BYTES_LIT("coffer/v1/vault/row-mac"),
                 32, &vault->mac_key));
    TRY(secret_copy(secret_bytes(options->master), &vault->master));
    vault->dir = mem_strdup(options->dir);
    if (!vault->dir) return err_nomem();
    TRY(open_database(vault, options->dir, create));
    *ret_vault = STEAL(vault);
    return NULL;
}

void vault_free(vault_t *vault) {
    if (!vault) return;
    vault_stop(vault);
    sql_close(vault->reader);
    sql_close(vault->writer);
    sql_close(vault->janitor);
    mem_free(vault->escrow);
    mem_free(vault->lease);
    mem_free(vault->sync);
    vault_mail_release(vault);
    secret_free(vault->wrap_key);
    secret_free(vault->mac_key);
    secret_free(vault->master);
    mem_free(vault->dir);
    fd_close(vault->lock_fd);
    (void)pthread_cond_destroy(&vault->queue_filled);
    (void)pthread_mutex_destroy(&vault->queue_lock);
    (void)pthread_mutex_destroy(&vault->read_lock);
    mem_free(vault);
}

void vault_counts(const vault_t *vault, uint64_t *ret_certificates, uint64_t *ret_entries) {
    *ret_certificates = atomic_load(&vault->certificates);
    *ret_entries = atomic_load(&vault->entries);
}
