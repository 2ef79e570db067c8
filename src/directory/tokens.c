/*
 * Bearer tokens of the API: random, stored hashed. Runs in coffer-web, any worker thread.
 */
#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "directory/directory_internal.h"

enum { TOKEN_RANDOM = 32, TOKEN_TEXT_MAX = 64 };

typedef struct {
    directory_t *directory;
    arena_t *arena;
    const char *actor;
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
    }
    err_t *e = db_tokens_add(conn, &job->row);
    if (e && err_code(e) == ERR_EXISTS) { /* the cause speaks of tables: not for the caller */
        err_free(e);
        return err_new(ERR_EXISTS, "there is a token called %s already", job->row.name);
    }
    if (e) return err_wrap(e, "token %s", job->row.name);
    return audit_note(job->directory->o.audit, conn, job->actor, "token.add", job->row.name, "role",
                      job->row.role, "person", job->address, NULL);
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
    static const char *const roles[] = {"admin", "auditor", "officer"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (!bytes_eq_str(role, roles[i])) continue;
        if (i == 2 && !is_persons)
            return err_new(ERR_INVALID, "an officer's token is a person's: say whose");
        *ret_role = roles[i];
        return NULL;
    }
    return err_new(ERR_INVALID, "a token's role is admin, auditor or officer");
}

err_t *directory_add_token(directory_t *directory, const char *actor, bytes_t name, bytes_t role,
                           bytes_t person, int64_t expires_ms, buf_t *ret_token) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t text;
    uint8_t hash[DIGEST_SHA256_SIZE];
    bytes_t label;
    buf_init_secret(&text, TOKEN_TEXT_MAX);
    TRY(arena_new(DIRECTORY_ARENA, &arena));
    if (name.n == 0 || name.n > LIMIT_NAME || !text_printable(name))
        return err_new(ERR_INVALID, "a token's name has 1 to %d printable characters", LIMIT_NAME);
    const char *role_name = NULL, *address = NULL;
    TRY(check_role(role, person.n > 0, &role_name));
    if (person.n) TRY(directory_check_email(arena, person, &address));
    TRY(arena_copy(arena, name, &label));
    TRY(make_token(directory->o.rnd, &text));
    TRY(digest_sha256(buf_bytes(&text), hash));
    token_job_t job = {.directory = directory,
                       .arena = arena,
                       .actor = actor,
                       .address = address,
                       .row = {.hash = BYTES_ARRAY(hash),
                               .name = (const char *)label.p,
                               .role = role_name,
                               .created_ms = clk_unix_ms(directory->o.clk),
                               .expires_ms = expires_ms}};
    TRY(db_write(directory->o.db, add_write, &job));
    return buf_add(ret_token, buf_bytes(&text));
}

static err_t *check_read(db_conn_t *conn, void *arg) {
    token_job_t *job = arg;
    bool there = false;
    TRY(db_tokens_by_hash(conn, job->arena, job->row.hash, &job->row, &job->found));
    if (!job->found || !job->row.person_id[0]) return NULL;
    TRY(db_people_by_id(conn, job->arena, job->row.person_id, &job->person, &there));
    job->found = there && !job->person.disabled;
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
    return audit_note(job->directory->o.audit, conn, job->actor, "token.remove", job->row.name,
                      NULL);
}

err_t *directory_remove_token(directory_t *directory, const char *actor, bytes_t name) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    bytes_t copy;
    TRY(arena_new(DIRECTORY_ARENA, &arena));
    TRY(arena_copy(arena, name, &copy));
    token_job_t job = {
        .directory = directory, .actor = actor, .row = {.name = (const char *)copy.p}};
    return db_write(directory->o.db, remove_write, &job);
}
