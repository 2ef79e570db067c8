/*
 * The inside of a vault_t, for vault*.c only.
 */
#ifndef COFFER_KEEPER_VAULT_INTERNAL_H
#define COFFER_KEEPER_VAULT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "keeper/log_entry.h"
#include "keeper/vault.h"
#include "keeper/vault_sql.h"

typedef struct {
    uint64_t seq; /* of the last entry; 0: none yet */
    uint8_t hash[VAULT_HASH_SIZE];
} vault_tip_t;

/*
 * What anybody can have the keeper do as often as he likes, without being known, must not fill the
 * disk: the first of a kind is an entry, those that follow within VAULT_TALLY_MS are one together.
 */
typedef struct {
    const char *role; /* static; NULL: free */
    const char *intent;
    int64_t until_ms;  /* of the wall clock */
    uint64_t count;    /* not in the log yet */
    uint64_t last_seq; /* of the entry that they are like */
} vault_tally_t;

enum { VAULT_TALLIES = 8 };

typedef struct vault_escrow_sql vault_escrow_sql_t; /* vault_escrow.c */
typedef struct vault_lease_sql vault_lease_sql_t;   /* vault_lease.c */
typedef struct vault_mail_sql vault_mail_sql_t;     /* vault_mail.c */
typedef struct vault_sync_sql vault_sync_sql_t;     /* vault_sync.c */

/* What the wall clock did, against the one that never jumps. */
typedef struct {
    sql_stmt_t *move;       /* the writer's */
    sql_stmt_t *last_entry; /* the reader's */
    bool known;
    int64_t ahead_ms; /* wall clock minus the other, at the last look */
    int64_t back_ms;  /* set back by so much, and leases with it */
} vault_lease_clock_t;

struct vault {
    const clk_t *clk;
    const rnd_t *rnd;
    int lock_fd;        /* flock: one keeper a vault */
    secret_t *wrap_key; /* AES-256-GCM, derived from the master key */
    secret_t *mac_key;  /* HMAC-SHA256 over rows of records, the same */
    secret_t *master;   /* for backups alone; worth as much as the two above */
    char *dir;

    /* The writer's connection; before vault_start it is the main thread's. */
    sql_t *writer;
    sql_stmt_t *begin, *commit, *rollback;
    sql_stmt_t *insert_log, *insert_issued, *insert_release, *count_releases, *count_all_releases,
        *forget_releases, *move_head;
    sql_stmt_t *key_get, *key_put, *key_replace; /* prepared when first needed */
    vault_tip_t tip;                             /* committed */
    vault_tally_t tallies[VAULT_TALLIES]; /* the writer's; as they are after the last commit */

    pthread_t thread;
    bool started;
    pthread_mutex_t queue_lock;
    pthread_cond_t queue_filled;
    vault_op_t *first, *last; /* guarded by queue_lock, as the next three */
    size_t queued;
    size_t waiters;
    bool stopping;
    bool gathering; /* the writer waits for others; guarded by queue_lock */

    atomic_uint expected; /* requests at work that may want a commit */
    atomic_bool failing;
    atomic_uint_fast64_t certificates, entries; /* committed */

    pthread_mutex_t read_lock;
    sql_t *reader; /* guarded by read_lock, as the next two */
    sql_stmt_t *select_issued, *select_owned, *select_log;

    vault_escrow_sql_t *escrow; /* statements of both connections, under the same rules */
    vault_lease_sql_t *lease;   /* the same */
    vault_mail_sql_t *mail;     /* the same */
    vault_sync_sql_t *sync;     /* the same */
    atomic_bool sweeping;       /* expired leases are being deleted */
    vault_lease_clock_t clock;  /* the main thread's: see vault_lease_clock.c */

    sql_t *janitor; /* vault_janitor.c's */
    pthread_t janitor_thread;
    bool janitor_started;
    pthread_mutex_t janitor_lock;
    pthread_cond_t janitor_wake;
    bool janitor_stop;    /* guarded by janitor_lock */
    atomic_int wal_pages; /* in the journal, after the last commit */
    bool crowded;         /* the writer's: the transaction is of several operations */
    bool scrub_next;      /* the writer's: this transaction deletes or replaces a key */
    atomic_bool scrub;    /* copies of such keys are in the journal */
};

/* Prepares the writer's and the reader's statements. */
err_t *vault_writer_prepare(vault_t *vault) WARN_UNUSED;
err_t *vault_reader_prepare(vault_t *vault) WARN_UNUSED;
err_t *vault_escrow_prepare(vault_t *vault) WARN_UNUSED;
err_t *vault_lease_prepare(vault_t *vault) WARN_UNUSED;
err_t *vault_lease_clock_prepare(vault_t *vault) WARN_UNUSED;
/* Whether the wall clock was set back: leases end with the time that passed. With each sweep. */
err_t *vault_lease_clock_look(vault_t *vault) WARN_UNUSED;
err_t *vault_mail_prepare(vault_t *vault) WARN_UNUSED;
void vault_mail_release(vault_t *vault);
err_t *vault_sync_prepare(vault_t *vault) WARN_UNUSED;
/* Before the first commit; then the thread, started and stopped with the writer's. */
void vault_janitor_watch(vault_t *vault);
err_t *vault_janitor_start(vault_t *vault) WARN_UNUSED;
void vault_janitor_stop(vault_t *vault);

#endif
