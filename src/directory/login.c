/*
 * Log-in with a password: uniform in answer and time, throttled per person, audited. The delay
 * stands in the database, so it survives a restart. People made here have a hash here; everybody
 * else is asked of the directory. Runs in coffer-web, any worker thread.
 */
#include <stdio.h>

#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "directory/directory_internal.h"
#include "directory/import.h"
#include "store/tokens.h"

typedef struct {
    directory_t *directory;
    arena_t *arena;
    const char *email;
    const char *peer;
    db_person_t person;
    bool found;
    bool good;
    const char *new_hash; /* or NULL */
    bool asked;           /* the source said that the password is good, and who it is */
    directory_entry_t entry;
    int64_t now_ms;
} login_t;

static err_t *find(db_conn_t *conn, void *arg) {
    login_t *login = arg;
    return db_people_by_email(conn, login->arena, login->email, &login->person, &login->found);
}

/* 1 s after the LIMIT_LOGIN_FAILURES-th failure, doubling up to LIMIT_LOGIN_DELAY_MAX_S. */
static int64_t delay_ms(int64_t failures) {
    if (failures < LIMIT_LOGIN_FAILURES) return 0;
    int64_t over = failures - LIMIT_LOGIN_FAILURES;
    int64_t seconds = over >= 20 ? LIMIT_LOGIN_DELAY_MAX_S : (int64_t)1 << over;
    if (seconds > LIMIT_LOGIN_DELAY_MAX_S) seconds = LIMIT_LOGIN_DELAY_MAX_S;
    return seconds * 1000;
}

/*
 * The same throttle for an address that nobody has, or it would tell that nobody has it. One slot
 * an address, in memory, chosen by a keyed hash: whoever floods it with addresses learns nothing by
 * that either, and can't aim at another's.
 */
static err_t *stranger(login_t *login, bool failed, int64_t *ret_retry_after_ms) {
    directory_t *d = login->directory;
    uint8_t hash[DIGEST_SHA256_SIZE];
    TRY(digest_hmac_sha256(BYTES_ARRAY(d->strangers_key), bytes_str(login->email), hash));
    size_t slot = ((size_t)hash[0] << 8 | hash[1]) % DIRECTORY_STRANGERS;
    (void)pthread_mutex_lock(&d->strangers_lock);
    bool same = memcmp(d->strangers[slot].address, hash, sizeof hash) == 0;
    if (failed) {
        int64_t failures = same ? d->strangers[slot].failures + 1 : 1;
        memcpy(d->strangers[slot].address, hash, sizeof hash);
        d->strangers[slot].failures = failures;
        d->strangers[slot].retry_after_ms = login->now_ms + delay_ms(failures);
    }
    *ret_retry_after_ms = same || failed ? d->strangers[slot].retry_after_ms : 0;
    (void)pthread_mutex_unlock(&d->strangers_lock);
    return NULL;
}

/* The first log-in makes the person here; a later one brings what changed. */
static err_t *take_over(db_conn_t *conn, login_t *login, const char *actor) {
    directory_import_t done = IMPORT_SAME;
    db_person_t row;
    TRY(directory_import(login->directory, conn, login->arena, &login->entry, actor, &done, &row));
    /* Of an address that is somebody else's here, and of somebody disabled here, the password
     * means nothing. */
    login->good = done != IMPORT_CONFLICT && !row.disabled;
    if (done != IMPORT_CONFLICT) {
        login->person = row;
        login->found = true;
    }
    return NULL;
}

/*
 * Something of a known person's failure is always written, and waiting for the disk takes longer
 * than much else here: an address that nobody has must not be told by that. One row, so it fills
 * nothing.
 */
static err_t *write_stranger(db_conn_t *conn, const login_t *login) {
    char now[24];
    (void)snprintf(now, sizeof now, "%lld", (long long)login->now_ms);
    return db_meta_set(conn, "login.stranger", now);
}

/* Counts anew from the row as it is now: several attempts may run at once. */
static err_t *record(db_conn_t *conn, void *arg) {
    login_t *login = arg;
    const audit_t *audit = login->directory->o.audit;
    CLEANUP(mem_free) char *actor = mem_printf("person:%s", login->email);
    if (!actor) return err_nomem();
    TRY(db_people_by_email(conn, login->arena, login->email, &login->person, &login->found));
    if (login->asked) TRY(take_over(conn, login, actor));
    if (!login->found) return write_stranger(conn, login);
    const char *id = login->person.id;
    if (login->good) {
        if (login->person.failures || login->person.retry_after_ms)
            TRY(db_people_login_ok(conn, id));
        if (login->new_hash) TRY(db_people_set_password(conn, id, login->new_hash));
        return audit_note(audit, conn, actor, "person.login", login->email, "peer", login->peer,
                          NULL);
    }
    int64_t failures = login->person.failures + 1;
    TRY(db_people_login_failed(conn, id, failures, login->now_ms + delay_ms(failures)));
    return audit_note(audit, conn, actor, "person.login-failed", login->email, "peer", login->peer,
                      NULL);
}

static err_t *compute(login_t *login, bytes_t password, bool *ret_good) {
    directory_t *directory = login->directory;
    bool here = login->found && login->person.password_hash[0];
    const char *hash = here ? login->person.password_hash : directory->dummy_hash;
    bool ok = false, rehash = false;
    TRY(directory_enter(directory));
    err_t *e = password_verify(password, bytes_str(hash), directory->cost, &ok, &rehash);
    if (!e && ok && rehash && here) {
        CLEANUP(buf_done) buf_t text;
        bytes_t copy;
        buf_init(&text, PASSWORD_HASH_MAX);
        e = password_hash(password, directory->cost, &text);
        if (!e) e = arena_copy(login->arena, buf_bytes(&text), &copy);
        if (!e) login->new_hash = (const char *)copy.p;
    }
    directory_leave(directory);
    if (e) return e;
    *ret_good = ok && here && !login->person.disabled;
    return NULL;
}

/* Who was not made here. The name must not be known to tell who was: so is asked for all others. */
static err_t *ask(login_t *login, bytes_t password) {
    const directory_source_t *source = login->directory->o.source;
    err_t *e = source->log_in(source->ctx, login->arena, bytes_str(login->email), password,
                              &login->asked, &login->entry);
    if (!e) login->good = login->asked;
    if (!e || err_code(e) == ERR_BUSY || err_code(e) == ERR_NOMEM) return e;
    return err_recode(err_wrap(e, "your organisation's directory can't be asked just now: sign in "
                                  "again later"),
                      ERR_UNAVAILABLE);
}

err_t *directory_log_in(directory_t *directory, arena_t *arena, bytes_t email, bytes_t password,
                        const char *peer, db_person_t *ret_person) {
    static const char uniform[] = "address or password is wrong";
    login_t login = {.directory = directory,
                     .arena = arena,
                     .peer = peer,
                     .now_ms = clk_unix_ms(directory->o.clk)};
    err_t *e = directory_check_email(arena, email, &login.email);
    if (e || password.n == 0 || password.n > LIMIT_PASSWORD_MAX) {
        err_free(e);
        return err_new(ERR_AUTH, "%s", uniform);
    }
    TRY(db_read(directory->o.db, find, &login));
    int64_t retry_after_ms = login.person.retry_after_ms;
    if (!login.found) TRY(stranger(&login, false, &retry_after_ms));
    if (retry_after_ms > login.now_ms)
        return err_new(ERR_BUSY, "too many failed log-ins: try again in %lld seconds",
                       (long long)((retry_after_ms - login.now_ms + 999) / 1000));
    bool local = login.found && !login.person.source[0];
    if (local || !directory->o.source) TRY(compute(&login, password, &login.good));
    else TRY(ask(&login, password));
    TRY(db_write(directory->o.db, record, &login));
    if (!login.found) TRY(stranger(&login, true, &retry_after_ms));
    if (!login.good || !login.found) return err_new(ERR_AUTH, "%s", uniform);
    *ret_person = login.person;
    return NULL;
}
