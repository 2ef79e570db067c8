/*
 * Bearer tokens of the API: random, stored hashed. Runs in coffer-web, any worker thread.
 */
#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "directory/directory_internal.h"
#include "store/hands.h"

enum { TOKEN_RANDOM = 32, TOKEN_TEXT_MAX = 64, TOKEN_NAME_RANDOM = 6 };

typedef struct {
    directory_t *directory;
    arena_t *arena;
    const directory_by_t *by;
    db_token_t row;
    const char *address; /* of the person it is for, or NULL */
    db_person_t person;
    bool found;
} token_job_t;

static err_t *add_write(db_conn_t *conn, void *arg) {
    token_job_t *job = arg;
    if (job->address) {
        TRY(db_people_by_email(conn, job->arena, job->address, &job->person, &job->found));
        if (!job->found)
            return err_new(ERR_NOT_FOUND, "nobody here has the address %s", job->address);
        job->row.person_id = job->person.id;
        TRY(db_hands_add(
            conn, &(db_hand_t){job->person.id, job->by->hand, "token", job->row.created_ms}));
    }
    err_t *e = db_tokens_add(conn, &job->row);
    if (e && err_code(e) == ERR_EXISTS) { /* the cause speaks of tables: not for the caller */
        err_free(e);
        return err_new(ERR_EXISTS, "there is a token called %s already", job->row.name);
    }
    if (e) return err_wrap(e, "token %s", job->row.name);
    return audit_note(job->directory->o.audit, conn, job->by->actor, "token.add", job->row.name,
                      "role", job->row.role, "person", job->address, NULL);
}

static err_t *make_token(const rnd_t *rnd, buf_t *out) {
    uint8_t random[TOKEN_RANDOM];
    TRY(rnd_fill(rnd, random, sizeof random));
    err_t *e = buf_add_str(out, "cft_");
    if (!e) e = text_base64url(BYTES_ARRAY(random), out);
    mem_wipe(random, sizeof random);
    return e;
}

static err_t *check_role(bytes_t role, bool is_persons, const char **ret_role) {
    static const char *const roles[] = {"admin", "auditor", "officer", "member"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (!bytes_eq_str(role, roles[i])) continue;
        if (i >= 2 && !is_persons)
            return err_new(ERR_INVALID,
                           "a token for an officer or member is a person's: say whose");
        *ret_role = roles[i];
        return NULL;
    }
    return err_new(ERR_INVALID, "a token's role is admin, auditor, officer or member");
}

/* Makes the token and writes its row. */
static err_t *keep_token(token_job_t *job, err_t *(*write)(db_conn_t *conn, void *arg),
                         buf_t *ret_token) {
    CLEANUP(buf_done) buf_t text;
    uint8_t hash[DIGEST_SHA256_SIZE];
    buf_init_secret(&text, TOKEN_TEXT_MAX);
    TRY(make_token(job->directory->o.rnd, &text));
    TRY(digest_sha256(buf_bytes(&text), hash));
    job->row.hash = BYTES_ARRAY(hash);
    job->row.created_ms = clk_unix_ms(job->directory->o.clk);
    err_t *e = db_write(job->directory->o.db, write, job);
    job->row.hash = BYTES_NONE;
    if (e) return e;
    return buf_add(ret_token, buf_bytes(&text));
}

err_t *directory_add_token(directory_t *directory, const directory_by_t *by, bytes_t name,
                           bytes_t role, bytes_t person, int64_t expires_ms, buf_t *ret_token) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    bytes_t label;
    TRY(arena_new(DIRECTORY_ARENA, &arena));
    if (name.n == 0 || name.n > LIMIT_NAME || !text_printable(name))
        return err_new(ERR_INVALID, "a token's name has 1 to %d printable characters", LIMIT_NAME);
    const char *role_name = NULL, *address = NULL;
    TRY(check_role(role, person.n > 0, &role_name));
    if (person.n) TRY(directory_check_email(arena, person, &address));
    TRY(arena_copy(arena, name, &label));
    token_job_t job = {.directory = directory,
                       .arena = arena,
                       .by = by,
                       .address = address,
                       .row = {.name = (const char *)label.p,
                               .role = role_name,
                               .expires_ms = expires_ms,
                               .maker = by->hand,
                               .not_hers = by->not_hers}};
    return keep_token(&job, add_write, ret_token);
}

/* ---- by log-in ---- */

static err_t *login_write(db_conn_t *conn, void *arg) {
    token_job_t *job = arg;
    int64_t count = 0;
    TRY(db_tokens_drop_expired(conn, job->row.person_id, job->row.created_ms));
    TRY(db_tokens_of_person(conn, job->row.person_id, &count));
    if (count >= LIMIT_TOKENS_PERSON)
        return err_new(ERR_LIMIT, "%s has %lld tokens: remove some (coffer token remove)",
                       job->person.email, (long long)count);
    TRY(db_tokens_add(conn, &job->row));
    return audit_note(job->directory->o.audit, conn, job->by->actor, "token.login", job->row.name,
                      "role", job->row.role, "person", job->person.email, NULL);
}

err_t *directory_login_token(directory_t *directory, arena_t *arena, const db_person_t *person,
                             const char *role, int64_t expires_ms, const char **ret_name,
                             buf_t *ret_token) {
    CLEANUP(mem_free) char *actor = mem_printf("person:%s", person->email);
    CLEANUP(mem_free) char *name = NULL;
    uint8_t random[TOKEN_NAME_RANDOM];
    CLEANUP(mem_free) char *hex = NULL;
    bytes_t copy;
    TRY(rnd_fill(directory->o.rnd, random, sizeof random));
    TRY(text_hex_new(BYTES_ARRAY(random), &hex));
    name = mem_printf("login-%s-%s", person->email, hex);
    if (!actor || !name) return err_nomem();
    TRY(arena_copy(arena, bytes_str(name), &copy));
    directory_by_t by = {actor, person->id, false};
    token_job_t job = {.directory = directory,
                       .arena = arena,
                       .by = &by,
                       .person = *person,
                       .row = {.name = name,
                               .role = role,
                               .expires_ms = expires_ms,
                               .person_id = person->id,
                               .maker = person->id}};
    TRY(keep_token(&job, login_write, ret_token));
    *ret_name = (const char *)copy.p;
    return NULL;
}

/* What a person's log-in gave is no more than what she may be now: directories take roles away. */
static bool is_above(const db_token_t *row, const db_person_t *person) {
    bool own = strcmp(row->maker, row->person_id) == 0;
    bool reads_all = strcmp(row->role, "admin") == 0 || strcmp(row->role, "auditor") == 0;
    return own && reads_all && strcmp(person->role, "admin") != 0;
}

static err_t *check_read(db_conn_t *conn, void *arg) {
    token_job_t *job = arg;
    bool there = false;
    TRY(db_tokens_by_hash(conn, job->arena, job->row.hash, &job->row, &job->found));
    if (!job->found || !job->row.person_id[0]) return NULL;
    TRY(db_people_by_id(conn, job->arena, job->row.person_id, &job->person, &there));
    job->found = there && !job->person.disabled && !is_above(&job->row, &job->person);
    return NULL;
}

err_t *directory_check_token(directory_t *directory, arena_t *arena, bytes_t token,
                             db_token_t *ret_token, db_person_t *ret_person) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    if (token.n == 0 || token.n > TOKEN_TEXT_MAX)
        return err_new(ERR_AUTH, "the token is not valid");
    TRY(digest_sha256(token, hash));
    token_job_t job = {.directory = directory,
                       .arena = arena,
                       .row = {.hash = BYTES_ARRAY(hash)},
                       .person = {.id = "", .email = ""}};
    TRY(db_read(directory->o.db, check_read, &job));
    if (!job.found) return err_new(ERR_AUTH, "the token is not valid");
    if (job.row.expires_ms && clk_unix_ms(directory->o.clk) > job.row.expires_ms)
        return err_new(ERR_AUTH, "the token has expired");
    *ret_token = job.row;
    *ret_person = job.person;
    return NULL;
}

static err_t *remove_write(db_conn_t *conn, void *arg) {
    token_job_t *job = arg;
    TRY(db_tokens_remove(conn, job->row.name, &job->found));
    if (!job->found) return err_new(ERR_NOT_FOUND, "there is no token %s", job->row.name);
    return audit_note(job->directory->o.audit, conn, job->by->actor, "token.remove", job->row.name,
                      NULL);
}

err_t *directory_remove_token(directory_t *directory, const char *actor, bytes_t name) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    bytes_t copy;
    TRY(arena_new(DIRECTORY_ARENA, &arena));
    TRY(arena_copy(arena, name, &copy));
    directory_by_t by = {actor, "", false};
    token_job_t job = {.directory = directory, .by = &by, .row = {.name = (const char *)copy.p}};
    return db_write(directory->o.db, remove_write, &job);
}
