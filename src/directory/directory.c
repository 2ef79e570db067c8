/*
 * The directory's context and its people: see directory.h. Runs in coffer-web, any worker thread.
 */
#include <stdio.h>

#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "directory/directory_internal.h"
#include "store/hands.h"

static err_t *hash_text(bytes_t password, const password_cost_t *cost, char **ret_hash) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, PASSWORD_HASH_MAX);
    TRY(password_hash(password, cost, &text));
    return buf_steal_str(&text, ret_hash);
}

err_t *directory_new(const directory_options_t *options, directory_t **ret_directory) {
    CLEANUP(directory_free) directory_t *directory = mem_zalloc(sizeof *directory);
    if (!directory) return err_nomem();
    directory->o = *options;
    if (directory->o.waiting == 0 || directory->o.waiting > LIMIT_LOGINS_WAITING)
        directory->o.waiting = LIMIT_LOGINS_WAITING;
    directory->cost = options->cheap_passwords ? &PASSWORD_COST_TEST : &PASSWORD_COST;
    (void)pthread_mutex_init(&directory->strangers_lock, NULL);
    (void)pthread_mutex_init(&directory->gate_lock, NULL);
    (void)pthread_cond_init(&directory->gate_open, NULL);
    TRY(rnd_fill(options->rnd, directory->strangers_key, sizeof directory->strangers_key));
    uint8_t nobody[32];
    TRY(rnd_fill(options->rnd, nobody, sizeof nobody));
    TRY(hash_text(BYTES_ARRAY(nobody), directory->cost, &directory->dummy_hash));
    *ret_directory = STEAL(directory);
    return NULL;
}

void directory_free(directory_t *directory) {
    if (!directory) return;
    mem_free(directory->dummy_hash);
    (void)pthread_mutex_destroy(&directory->strangers_lock);
    (void)pthread_mutex_destroy(&directory->gate_lock);
    (void)pthread_cond_destroy(&directory->gate_open);
    mem_free(directory);
}

err_t *directory_enter(directory_t *directory) {
    err_t *e = NULL;
    (void)pthread_mutex_lock(&directory->gate_lock);
    if (directory->waiting >= directory->o.waiting) {
        e = err_new(ERR_BUSY, "too many log-ins at once: try again in a few seconds");
    } else {
        directory->waiting++;
        while (directory->computing >= LIMIT_LOGINS_CONCURRENT)
            (void)pthread_cond_wait(&directory->gate_open, &directory->gate_lock);
        directory->waiting--;
        directory->computing++;
    }
    (void)pthread_mutex_unlock(&directory->gate_lock);
    return e;
}

void directory_leave(directory_t *directory) {
    (void)pthread_mutex_lock(&directory->gate_lock);
    directory->computing--;
    (void)pthread_cond_signal(&directory->gate_open);
    (void)pthread_mutex_unlock(&directory->gate_lock);
}

/* The password to use: the one given, checked, or a generated one, also put into ret_password. */
static err_t *choose_password(directory_t *directory, bytes_t given, buf_t *ret_password,
                              bytes_t *ret_chosen) {
    if (given.n == 0) {
        if (!ret_password) return err_new(ERR_USAGE, "a password is missing");
        size_t before = ret_password->n;
        TRY(password_generate(directory->o.rnd, ret_password));
        *ret_chosen = bytes_from(buf_bytes(ret_password), before);
        return NULL;
    }
    if (given.n < LIMIT_PASSWORD_MIN)
        return err_new(ERR_INVALID, "a password has at least %d characters", LIMIT_PASSWORD_MIN);
    if (given.n > LIMIT_PASSWORD_MAX)
        return err_new(ERR_INVALID, "a password has at most %d bytes", LIMIT_PASSWORD_MAX);
    *ret_chosen = given;
    return NULL;
}

static err_t *hash_gated(directory_t *directory, bytes_t password, char **ret_hash) {
    TRY(directory_enter(directory));
    err_t *e = hash_text(password, directory->cost, ret_hash);
    directory_leave(directory);
    return e;
}

const directory_by_t DIRECTORY_SYSTEM = {"system", "", true};

typedef struct {
    directory_t *directory;
    const char *actor;
    const directory_by_t *by; /* NULL: nothing is made that somebody could use */
    db_person_t row;
    bool disabled, left;
    bool found;
    int64_t tokens; /* that ended */
    arena_t *arena;
} person_job_t;

static err_t *through_hands(db_conn_t *conn, const person_job_t *job, const char *person_id,
                            const char *what) {
    return db_hands_add(
        conn, &(db_hand_t){person_id, job->by->hand, what, clk_unix_ms(job->directory->o.clk)});
}

static err_t *add_write(db_conn_t *conn, void *arg) {
    person_job_t *job = arg;
    err_t *e = db_people_add(conn, &job->row);
    if (e && err_code(e) == ERR_EXISTS) { /* the cause speaks of tables: not for the caller */
        err_free(e);
        return err_new(ERR_EXISTS, "%s is in the directory already", job->row.email);
    }
    if (e) return e;
    TRY(through_hands(conn, job, job->row.id, "account"));
    return audit_note(job->directory->o.audit, conn, job->by->actor, "person.add", job->row.email,
                      "id", job->row.id, "role", job->row.role, NULL);
}

err_t *directory_add_person(directory_t *directory, const directory_by_t *by, bytes_t email,
                            bytes_t name, bytes_t role, bytes_t password, buf_t *ret_password) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(DIRECTORY_ARENA, &arena));
    const char *address = NULL;
    char id[TEXT_UUID_SIZE];
    bytes_t shown, chosen;
    TRY(directory_check_email(arena, email, &address));
    if (name.n > LIMIT_NAME || !text_printable(name))
        return err_new(ERR_INVALID, "a name has at most %d printable characters", LIMIT_NAME);
    bool admin = bytes_eq_str(role, "admin");
    if (!admin && !bytes_eq_str(role, "member"))
        return err_new(ERR_INVALID, "a role is admin or member");
    TRY(arena_copy(arena, name, &shown));
    TRY(rnd_uuid(directory->o.rnd, id));
    TRY(choose_password(directory, password, ret_password, &chosen));
    CLEANUP(mem_free) char *hash = NULL;
    TRY(hash_gated(directory, chosen, &hash));
    person_job_t job = {.directory = directory,
                        .by = by,
                        .row = {.id = id,
                                .email = address,
                                .name = (const char *)shown.p,
                                .role = admin ? "admin" : "member",
                                .password_hash = hash,
                                .created_ms = clk_unix_ms(directory->o.clk)}};
    return db_write(directory->o.db, add_write, &job);
}

static err_t *password_write(db_conn_t *conn, void *arg) {
    person_job_t *job = arg;
    db_person_t person;
    TRY(db_people_by_email(conn, job->arena, job->row.email, &person, &job->found));
    if (!job->found)
        return err_new(ERR_NOT_FOUND, "nobody here has the address %s", job->row.email);
    if (person.source[0])
        return err_new(ERR_DENIED,
                       "the password of %s is your organisation's directory's: change "
                       "it there",
                       job->row.email);
    TRY(db_people_set_password(conn, person.id, job->row.password_hash));
    TRY(db_people_login_ok(conn, person.id));
    TRY(db_tokens_drop_own(conn, person.id, &job->tokens));
    TRY(through_hands(conn, job, person.id, "password"));
    char tokens[24];
    (void)snprintf(tokens, sizeof tokens, "%lld", (long long)job->tokens);
    return audit_note(job->directory->o.audit, conn, job->by->actor, "person.password",
                      job->row.email, "tokens-ended", job->tokens ? tokens : NULL, NULL);
}

err_t *directory_set_password(directory_t *directory, const directory_by_t *by, bytes_t email,
                              bytes_t password, buf_t *ret_password, int64_t *ret_tokens) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(DIRECTORY_ARENA, &arena));
    person_job_t job = {.directory = directory, .by = by, .arena = arena};
    bytes_t chosen;
    TRY(directory_check_email(arena, email, &job.row.email));
    TRY(choose_password(directory, password, ret_password, &chosen));
    CLEANUP(mem_free) char *hash = NULL;
    TRY(hash_gated(directory, chosen, &hash));
    job.row.password_hash = hash;
    TRY(db_write(directory->o.db, password_write, &job));
    if (ret_tokens) *ret_tokens = job.tokens;
    return NULL;
}

static err_t *disable_write(db_conn_t *conn, void *arg) {
    person_job_t *job = arg;
    TRY(db_people_set_disabled(conn, job->row.email, job->disabled, &job->found));
    if (!job->found)
        return err_new(ERR_NOT_FOUND, "nobody here has the address %s", job->row.email);
    return audit_note(job->directory->o.audit, conn, job->actor,
                      job->disabled ? "person.disable" : "person.enable", job->row.email, "left",
                      job->left ? "yes" : NULL, NULL);
}

err_t *directory_set_disabled(directory_t *directory, const char *actor, bytes_t email,
                              bool disabled, bool left) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(DIRECTORY_ARENA, &arena));
    person_job_t job = {
        .directory = directory, .actor = actor, .disabled = disabled, .left = left, .arena = arena};
    TRY(directory_check_email(arena, email, &job.row.email));
    return db_write(directory->o.db, disable_write, &job);
}

typedef struct {
    arena_t *arena;
    const char *after;
    size_t limit;
    db_person_t *rows;
    size_t count;
} list_job_t;

static err_t *list_read(db_conn_t *conn, void *arg) {
    list_job_t *job = arg;
    return db_people_list(conn, job->arena, job->after, job->limit, &job->rows, &job->count);
}

err_t *directory_list(directory_t *directory, arena_t *arena, const char *after, size_t limit,
                      db_person_t **ret_people, size_t *ret_count) {
    list_job_t job = {.arena = arena, .after = after, .limit = limit};
    TRY(db_read(directory->o.db, list_read, &job));
    *ret_people = job.rows;
    *ret_count = job.count;
    return NULL;
}
