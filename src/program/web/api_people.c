/*
 * /api/v1/people and /api/v1/tokens.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "program/web/api.h"

static directory_by_t doer(const http_request_t *request) {
    const web_caller_t *caller = web_caller(request);
    return (directory_by_t){caller->actor, caller->hand, caller->not_hers};
}

static err_t *person_json(const db_person_t *person, json_t *out) {
    TRY(jso_set_str(out, "email", person->email));
    TRY(jso_set_str(out, "name", person->name));
    TRY(jso_set_str(out, "role", person->role));
    TRY(jso_set_str(out, "source", person->source[0] ? person->source : "local"));
    TRY(jso_set_bool(out, "disabled", person->disabled));
    TRY(jso_set_int(out, "failed_logins", person->failures));
    return api_set_ms(out, "created", person->created_ms);
}

err_t *api_people_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *after = NULL;
    size_t limit = 0, count = 0;
    db_person_t *people = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page(request, &after, &limit));
    TRY(directory_list(web->directory, request->arena, after, limit, &people, &count));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "people", &list));
    for (size_t i = 0; i < count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(person_json(&people[i], item));
    }
    if (count == limit) TRY(jso_set_str(out, "next", people[count - 1].email));
    return api_send(reply, 200, out);
}

/* A generated password is answered once and never again. */
static err_t *send_password(bytes_t email, bytes_t password, int64_t tokens, unsigned status,
                            http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(jso_set_string(out, "email", email));
    if (password.n) TRY(jso_set_string(out, "password", password));
    if (tokens) TRY(jso_set_int(out, "tokens_ended", tokens));
    return api_send(reply, status, out);
}

err_t *api_people_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t generated;
    bytes_t email, name = BYTES_NONE, role = BYTES_LIT("member"), password = BYTES_NONE;
    buf_init_secret(&generated, LIMIT_PASSWORD_MAX);
    TRY(api_body(request, &body));
    TRY(jso_only(body, "email", "name", "role", "password", NULL));
    TRY(jso_get_string(body, "email", LIMIT_EMAIL, true, &email));
    TRY(jso_get_string(body, "name", LIMIT_NAME, false, &name));
    TRY(jso_get_string(body, "role", 16, false, &role));
    TRY(jso_get_string(body, "password", LIMIT_PASSWORD_MAX, false, &password));
    directory_by_t by = doer(request);
    TRY(directory_add_person(web->directory, &by, email, name, role, password, &generated));
    return send_password(email, buf_bytes(&generated), 0, 201, reply);
}

/* Under the address as the directory writes it, whichever role it has. */
static err_t *drop_sessions(web_t *web, http_request_t *request, const char *email) {
    static const char *const roles[] = {"admin", "member"};
    const char *address = NULL;
    TRY(directory_check_email(request->arena, bytes_str(email), &address));
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(mem_free) char *subject = mem_printf("%s %s", roles[i], address);
        if (!subject) return err_nomem();
        session_drop_subject(web->sessions, subject);
    }
    return NULL;
}

static err_t *set_disabled(web_t *web, http_request_t *request, bool disabled, bool left,
                           http_reply_t *reply) {
    const char *email = NULL;
    TRY(api_param(request, "email", &email));
    TRY(directory_set_disabled(web->directory, web_caller(request)->actor, bytes_str(email),
                               disabled, left));
    if (disabled) TRY(drop_sessions(web, request, email));
    return http_reply_empty(reply, 204);
}

err_t *api_people_disable(void *ctx, http_request_t *request, http_reply_t *reply) {
    return set_disabled(ctx, request, true, false, reply);
}

err_t *api_people_gone(void *ctx, http_request_t *request, http_reply_t *reply) {
    return set_disabled(ctx, request, true, true, reply);
}

err_t *api_people_enable(void *ctx, http_request_t *request, http_reply_t *reply) {
    return set_disabled(ctx, request, false, false, reply);
}

err_t *api_people_password(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t generated;
    const char *email = NULL;
    bytes_t password = BYTES_NONE;
    int64_t tokens = 0;
    buf_init_secret(&generated, LIMIT_PASSWORD_MAX);
    TRY(api_param(request, "email", &email));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "password", NULL));
    TRY(jso_get_string(body, "password", LIMIT_PASSWORD_MAX, false, &password));
    directory_by_t by = doer(request);
    TRY(directory_set_password(web->directory, &by, bytes_str(email), password, &generated,
                               &tokens));
    TRY(drop_sessions(web, request, email)); /* whoever knew the old one is out */
    return send_password(bytes_str(email), buf_bytes(&generated), tokens, 200, reply);
}

typedef struct {
    arena_t *arena;
    db_token_t *rows;
    const char **persons; /* addresses, or NULL */
    size_t count;
} tokens_job_t;

static err_t *read_tokens(db_conn_t *conn, void *arg) {
    tokens_job_t *job = arg;
    TRY(db_tokens_list(conn, job->arena, &job->rows, &job->count));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->persons, &job->persons));
    for (size_t i = 0; i < job->count; i++) {
        db_person_t person = {.email = NULL};
        bool found = false;
        if (job->rows[i].person_id[0])
            TRY(db_people_by_id(conn, job->arena, job->rows[i].person_id, &person, &found));
        job->persons[i] = found ? person.email : NULL;
    }
    return NULL;
}

err_t *api_tokens_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    tokens_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(web->db, read_tokens, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "tokens", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "name", job.rows[i].name));
        TRY(jso_set_str(item, "role", job.rows[i].role));
        TRY(jso_set_str(item, "person", job.persons[i]));
        TRY(api_set_ms(item, "created", job.rows[i].created_ms));
        TRY(api_set_ms(item, "expires", job.rows[i].expires_ms));
    }
    return api_send(reply, 200, out);
}

err_t *api_tokens_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t token;
    bytes_t name, role, person = BYTES_NONE;
    int64_t expires = 0;
    buf_init_secret(&token, 128);
    TRY(api_body(request, &body));
    TRY(jso_only(body, "name", "role", "person", "expires", NULL));
    TRY(jso_get_string(body, "name", LIMIT_NAME, true, &name));
    TRY(jso_get_string(body, "role", 16, true, &role));
    TRY(jso_get_string(body, "person", LIMIT_EMAIL, false, &person));
    TRY(jso_get_time(body, "expires", false, &expires));
    directory_by_t by = doer(request);
    TRY(directory_add_token(web->directory, &by, name, role, person, expires * 1000, &token));
    TRY(jso_object(&out));
    TRY(jso_set_string(out, "name", name));
    TRY(jso_set_string(out, "token", buf_bytes(&token)));
    return api_send(reply, 201, out);
}

err_t *api_tokens_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *name = NULL;
    TRY(api_param(request, "name", &name));
    TRY(directory_remove_token(web->directory, web_caller(request)->actor, bytes_str(name)));
    return http_reply_empty(reply, 204);
}

/* Who is asking. A session needs the token for every request that changes something. */
err_t *api_session(void *ctx, http_request_t *request, http_reply_t *reply) {
    const web_caller_t *caller = web_caller(request);
    CLEANUP(jso_free) json_t *out = NULL;
    (void)ctx;
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "actor", caller->actor));
    TRY(jso_set_str(out, "role", caller->role));
    TRY(jso_set_str(out, "person", caller->email[0] ? caller->email : NULL));
    TRY(jso_set_str(out, "csrf", caller->csrf[0] ? caller->csrf : NULL));
    return api_send(reply, 200, out);
}
