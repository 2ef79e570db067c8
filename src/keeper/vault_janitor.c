/*
 * What SQLite's journal of the vault (WAL) needs, apart from the writer: its pages go to the
 * database in the background, so that no commit waits for that, and it is emptied when keys were
 * deleted or replaced, for copies of them lie there. One thread of its own, with a connection of
 * its own.
 */
#include "keeper/vault_internal.h"

enum {
    LOOK_S = 10,         /* a deleted key lies in the journal no longer than that */
    CHECKPOINT = 1000,   /* pages that are carried over at once, in the background */
    TOO_MANY = 16 * 1000 /* pages after which the writer has to do it */
};

/* On the writer's thread, after a commit. */
static bool on_commit(void *arg, int pages) {
    vault_t *vault = arg;
    atomic_store(&vault->wal_pages, pages);
    if (!vault->janitor_started) return pages >= CHECKPOINT;
    if (pages >= CHECKPOINT) (void)pthread_cond_signal(&vault->janitor_wake);
    return pages >= TOO_MANY;
}

void vault_janitor_watch(vault_t *vault) { sql_watch(vault->writer, on_commit, vault); }

static bool is_due(vault_t *vault, int done) {
    int pages = atomic_load(&vault->wal_pages);
    return pages - (pages < done ? 0 : done) >= CHECKPOINT;
}

/* *done: pages of the journal that are in the database. */
static bool wait_for_work(vault_t *vault, int done) {
    struct timespec until;
    int rc = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_S;
    (void)pthread_mutex_lock(&vault->janitor_lock);
    while (!vault->janitor_stop && !is_due(vault, done) && rc == 0)
        rc = pthread_cond_timedwait(&vault->janitor_wake, &vault->janitor_lock, &until);
    bool stop = vault->janitor_stop;
    (void)pthread_mutex_unlock(&vault->janitor_lock);
    return !stop;
}

static void *janitor_main(void *arg) {
    vault_t *vault = arg;
    int done = 0;
    while (wait_for_work(vault, done)) {
        bool scrub = !is_due(vault, done) && atomic_exchange(&vault->scrub, false);
        if (!scrub && !is_due(vault, done)) continue;
        err_t *e = sql_checkpoint(vault->janitor, scrub, &done);
        if (e && scrub) atomic_store(&vault->scrub, true); /* somebody read: the next time */
        err_free(e);
    }
    return NULL;
}

err_t *vault_janitor_start(vault_t *vault) {
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&vault->janitor_wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&vault->janitor_lock, NULL);
    vault->janitor_stop = false;
    int rc = pthread_create(&vault->janitor_thread, NULL, janitor_main, vault);
    if (rc != 0) return err_errno(rc, "cannot start the vault's janitor");
    vault->janitor_started = true;
    return NULL;
}

void vault_janitor_stop(vault_t *vault) {
    if (!vault->janitor_started) return;
    (void)pthread_mutex_lock(&vault->janitor_lock);
    vault->janitor_stop = true;
    (void)pthread_cond_signal(&vault->janitor_wake);
    (void)pthread_mutex_unlock(&vault->janitor_lock);
    (void)pthread_join(vault->janitor_thread, NULL);
    vault->janitor_started = false;
    (void)pthread_cond_destroy(&vault->janitor_wake);
    (void)pthread_mutex_destroy(&vault->janitor_lock);
}
