/*
 * /api/v1/login: a person's own token for a password. Throttled as the portal is.
 */
#include "base/limits.h"
#include "base/text.h"
#include "http/rate.h"
#include "program/web/api.h"
#include "store/officers.h"

enum { LIFE_S = 12 * 3600 }; /* of a token, unless told */

typedef struct {
    arena_t *arena;
    const char *person_id;
    bool officer;
} officer_job_t;

static err_t *read_officer(db_conn_t *conn, void *arg) {
    officer_job_t *job = arg;
    db_officer_t *rows = NULL;
    size_t count = 0;
    TRY(db_officers_list(conn, job->arena, &rows, &count));
    for (size_t i = 0; i < count; i++)
        if (!rows[i].removed_ms && strcmp(rows[i].person_id, job->person_id) == 0)
            job->officer = true;
    return NULL;
}

/*
 * Roles are taken, not given: everybody may be a member, an admin may be less, and an officer's is
 * for who handed in a key.
 */
static err_t *choose_role(web_t *web, http_request_t *request, const db_person_t *person,
                          bytes_t asked, const char **ret_role) {
    officer_job_t job = {.arena = request->arena, .person_id = person->id};
    bool admin = strcmp(person->role, "admin") == 0;
    TRY(db_read(web->db, read_officer, &job));
    if (admin && (asked.n == 0 || bytes_eq_str(asked, "admin"))) *ret_role = "admin";
    else if (admin && bytes_eq_str(asked, "auditor")) *ret_role = "auditor";
    else if (job.officer && (asked.n == 0 || bytes_eq_str(asked, "officer"))) *ret_role = "officer";
    else if (asked.n == 0 || bytes_eq_str(asked, "member")) *ret_role = "member";
    else
        return err_new(ERR_DENIED, "%s has not the role %.*s", person->email, (int)asked.n,
                       (const char *)asked.p);
    return NULL;
}

err_t *api_login(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t token;
    bytes_t email, password, asked = BYTES_NONE;
    db_person_t person;
    const char *role = NULL, *name = NULL;
    int64_t life_s = LIFE_S;
    buf_init_secret(&token, 128);
    TRY(http_rate_take(web->rate, request->peer));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "email", "password", "role", "lifetime_s", NULL));
    TRY(jso_get_string(body, "email", LIMIT_EMAIL, true, &email));
    TRY(jso_get_string(body, "password", LIMIT_PASSWORD_MAX, true, &password));
    TRY(jso_get_string(body, "role", 16, false, &asked));
    TRY(jso_get_int(body, "lifetime_s", 60, LIMIT_LOGIN_TOKEN_S, false, &life_s));
    TRY(directory_log_in(web->directory, request->arena, email, password, request->peer, &person));
    TRY(choose_role(web, request, &person, asked, &role));
    int64_t expires_ms = clk_unix_ms(clk_real()) + life_s * 1000;
    TRY(directory_login_token(web->directory, request->arena, &person, role, expires_ms, &name,
                              &token));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "name", name));
    TRY(jso_set_str(out, "person", person.email));
    TRY(jso_set_str(out, "role", role));
    TRY(api_set_ms(out, "expires", expires_ms));
    TRY(jso_set_string(out, "token", buf_bytes(&token)));
    return api_send(reply, 201, out);
}
