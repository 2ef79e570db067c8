/*
 * Before and after every request of coffer-web: who is asking, may he, and one line in the log.
 * On the worker threads.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "http/auth.h"
#include "program/web/web.h"

/* `person` may be the nobody of a token: its id is "" then. */
static err_t *caller_new(http_request_t *request, const char *kind, const char *name,
                         const char *role, const db_person_t *person, const char *csrf,
                         web_caller_t **ret_caller) {
    web_caller_t *caller = NULL;
    CLEANUP(mem_free) char *actor = mem_printf("%s:%s", kind, name);
    bytes_t copy;
    if (!actor) return err_nomem();
    TRY(arena_alloc(request->arena, sizeof *caller, &caller));
    TRY(arena_copy(request->arena, bytes_str(actor), &copy));
    caller->actor = (const char *)copy.p;
    caller->email = person->email;
    caller->person_id = person->id;
    caller->hand = person->id;
    caller->not_hers = false;
    TRY(arena_copy(request->arena, bytes_str(role), &copy));
    caller->role = (const char *)copy.p;
    TRY(arena_copy(request->arena, bytes_str(csrf), &copy));
    caller->csrf = (const char *)copy.p;
    *ret_caller = caller;
    return NULL;
}

static bool is_safe_method(const http_request_t *request) {
    return bytes_eq_str(request->method, "GET") || bytes_eq_str(request->method, "HEAD");
}

/* A session's subject is "role email"; what it is worth says the person's row as it is now. */
static err_t *caller_from_session(web_t *web, http_request_t *request, web_caller_t **ret_caller) {
    bytes_t cookies, token;
    bool found = false;
    CLEANUP(session_done) session_t session = {0};
    if (!http_request_header(request, "Cookie", &cookies)) return NULL;
    TRY(http_cookie_get(cookies, WEB_COOKIE, &token, &found));
    if (!found) return NULL;
    err_t *e = session_check(web->sessions, token, &session);
    if (e && err_code(e) == ERR_AUTH) {
        err_free(e);
        return NULL;
    }
    if (e) return e;
    const char *space = strchr(session.subject, ' ');
    if (!space) return err_new(ERR_INTERNAL, "session without a role");
    db_person_t person;
    TRY(db_people_find(web->db, request->arena, space + 1, &person, &found));
    if (!found || person.disabled) return NULL;
    return caller_new(request, "person", person.email, person.role, &person, session.csrf,
                      ret_caller);
}

static err_t *caller_from_token(web_t *web, http_request_t *request, web_caller_t **ret_caller) {
    bytes_t authorization, token;
    bool found = false;
    db_token_t row;
    db_person_t person;
    TRY(http_request_header_once(request, "Authorization", &authorization, &found));
    if (!found) return NULL;
    TRY(http_auth_bearer(authorization, &token, &found));
    if (!found) return NULL;
    TRY(directory_check_token(web->directory, request->arena, token, &row, &person));
    TRY(caller_new(request, "token", row.name, row.role, &person, "", ret_caller));
    if (!person.id[0]) (*ret_caller)->hand = row.maker;
    (*ret_caller)->not_hers = row.not_hers;
    return NULL;
}

static err_t *demand_csrf(const http_request_t *request, const web_caller_t *caller) {
    bytes_t token = BYTES_NONE;
    if (is_safe_method(request) || !caller->csrf[0]) return NULL;
    if (!http_request_header(request, "X-CSRF-Token", &token) ||
        !bytes_eq_ct(token, bytes_str(caller->csrf)))
        return err_new(ERR_DENIED, "the header X-CSRF-Token is missing or wrong");
    return NULL;
}

err_t *web_caller_find(web_t *web, http_request_t *request, web_caller_t **ret_caller) {
    web_caller_t *caller = NULL;
    TRY(caller_from_token(web, request, &caller));
    if (!caller) TRY(caller_from_session(web, request, &caller));
    if (caller) TRY(demand_csrf(request, caller));
    *ret_caller = caller;
    return NULL;
}

static err_t *demand_role(const http_request_t *request, const web_caller_t *caller) {
    bool admin = strcmp(caller->role, "admin") == 0;
    bool auditor = strcmp(caller->role, "auditor") == 0;
    if (request->route->need == WEB_NEED_ADMIN && !admin)
        return err_new(ERR_DENIED, "this needs the role admin");
    if (request->route->need == WEB_NEED_READ && !admin && !auditor)
        return err_new(ERR_DENIED, "this needs the role admin or auditor");
    bool officer = strcmp(caller->role, "officer") == 0;
    if (request->route->need == WEB_NEED_OFFICER && !admin && !officer)
        return err_new(ERR_DENIED, "this needs the role officer");
    if (request->route->need == WEB_NEED_RECOVERY && !admin && !auditor && !officer)
        return err_new(ERR_DENIED, "this needs the role admin, auditor or officer");
    return NULL;
}

err_t *web_before(void *ctx, http_request_t *request, http_reply_t *reply, bool *ret_answered) {
    web_t *web = ctx;
    web_caller_t *caller = NULL;
    (void)reply;
    *ret_answered = false;
    switch (request->route->auth) {
    case HTTP_AUTH_NONE:
    case HTTP_AUTH_DEVICE:
    case HTTP_AUTH_OWN: return NULL;
    case HTTP_AUTH_SESSION: TRY(caller_from_session(web, request, &caller)); break;
    case HTTP_AUTH_TOKEN: TRY(caller_from_token(web, request, &caller)); break;
    case HTTP_AUTH_SESSION_OR_TOKEN:
        TRY(caller_from_token(web, request, &caller));
        if (!caller) TRY(caller_from_session(web, request, &caller));
        break;
    }
    if (!caller)
        return err_new(ERR_AUTH, "sign in, or send Authorization: Bearer with an API token");
    TRY(demand_role(request, caller));
    TRY(demand_csrf(request, caller));
    request->user = caller;
    return NULL;
}

void web_after(void *ctx, const http_request_t *request, const http_reply_t *reply,
               const err_t *e) {
    web_t *web = ctx;
    char why[512] = "";
    unsigned class = reply->status / 100;
    atomic_fetch_add_explicit(&web->replies[class < 6 ? class : 0], 1, memory_order_relaxed);
    log_level_t level = reply->status >= 500   ? LOG_ERROR
                        : reply->status >= 400 ? LOG_INFO
                                               : LOG_DEBUG;
    if (level < web->log.least) return;
    if (e) (void)err_trace(e, why, sizeof why);
    log_line(&web->log, level, "request id=%s peer=%s %.*s %.*s status=%u ms=%lld%s%s", request->id,
             request->peer, (int)request->method.n, (const char *)request->method.p,
             (int)(request->path.n < 200 ? request->path.n : 200), (const char *)request->path.p,
             reply->status, (long long)(clk_mono_ms(clk_real()) - request->seen_ms),
             e ? " error: " : "", why);
}
