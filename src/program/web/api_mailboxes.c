/*
 * /api/v1/mailboxes and /api/v1/mail-hooks: see api_arrival.h. Worker threads.
 */
#include "arrival/mail_server.h"
#include "audit/note.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "keeper/client_mailbox.h"
#include "program/web/api_arrival.h"
#include "store/mailboxes.h"

enum { SECRET_RANDOM = 32, SECRET_TEXT_MAX = 64, SOURCE_MAX = 160, DAY_MS = 86400 * 1000 };

typedef struct {
    web_t *web;
    http_request_t *request;
    arena_t *arena;
    const char *actor;
    const char *name, *after;
    size_t limit;
    db_mail_hook_t hook, *hooks;
    db_mailbox_t box, *boxes;
    const char **emails; /* of each box's person */
    int64_t *released;   /* of each box, in a day */
    db_mail_release_t *releases;
    int64_t day, week;
    const char *person; /* address */
    size_t count;
    bool found;
    bool renews; /* another subscription may take the place of the former */
    int64_t now_ms;
} job_t;

static job_t begin(web_t *web, http_request_t *request) {
    return (job_t){.web = web,
                   .request = request,
                   .arena = request->arena,
                   .actor = web_caller(request)->actor,
                   .now_ms = clk_unix_ms(clk_real())};
}

/* ---- mail servers that tell ---- */

static err_t *check_name(const char *name) {
    size_t n = strlen(name);
    bool fits = n > 0 && n <= LIMIT_NAME;
    for (size_t i = 0; fits && i < n; i++)
        fits = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
               (i > 0 && strchr("._-", name[i]) != NULL);
    return fits ? NULL
                : err_new(ERR_INVALID,
                          "a name has small letters, digits, dots, dashes and underscores");
}

static err_t *read_hooks(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    return db_mail_hooks_list(conn, job->arena, LIMIT_ARRIVAL_HOOKS, &job->hooks, &job->count);
}

err_t *api_mail_hooks_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = begin(web, request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(web->db, read_hooks, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "hooks", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "name", job.hooks[i].name));
        TRY(jso_set_str(item, "created_by", job.hooks[i].created_by));
        TRY(api_set_ms(item, "created", job.hooks[i].created_ms));
        TRY(api_set_ms(item, "heard", job.hooks[i].heard_ms));
    }
    return api_send(reply, 200, out);
}

static err_t *write_hook(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    TRY(db_mail_hooks_list(conn, job->arena, LIMIT_ARRIVAL_HOOKS, &job->hooks, &job->count));
    if (job->count >= LIMIT_ARRIVAL_HOOKS)
        return err_new(ERR_LIMIT, "there are %d hooks already", LIMIT_ARRIVAL_HOOKS);
    TRY(db_mail_hooks_put(conn, &job->hook));
    return audit_note(&job->web->audit, conn, job->actor, "mail-hook.add", job->hook.name, NULL);
}

static err_t *make_secret(buf_t *out) {
    uint8_t random[SECRET_RANDOM];
    TRY(rnd_fill(rnd_real(), random, sizeof random));
    TRY(buf_add_str(out, "cfh_"));
    return text_base64url(BYTES_ARRAY(random), out);
}

err_t *api_mail_hooks_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = begin(web, request);
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t secret;
    uint8_t hash[DIGEST_SHA256_SIZE];
    bytes_t name;
    buf_init_secret(&secret, SECRET_TEXT_MAX);
    TRY(api_body(request, &body));
    TRY(jso_only(body, "name", NULL));
    TRY(jso_get_string(body, "name", LIMIT_NAME, true, &name));
    TRY(check_name((const char *)name.p));
    TRY(make_secret(&secret));
    TRY(digest_sha256(buf_bytes(&secret), hash));
    job.hook = (db_mail_hook_t){.name = (const char *)name.p,
                                .hash = BYTES_ARRAY(hash),
                                .created_by = job.actor,
                                .created_ms = job.now_ms};
    TRY(db_write(web->db, write_hook, &job));
    TRY(jso_object(&out));
    TRY(jso_set_string(out, "name", name));
    TRY(jso_set_string(out, "secret", buf_bytes(&secret)));
    CLEANUP(buf_done) buf_t url;
    buf_init(&url, 1000);
    TRY(buf_printf(&url, "%s/push/v1/hook", web->settings.url));
    TRY(jso_set_string(out, "url", buf_bytes(&url)));
    buf_clear(&url);
    TRY(buf_printf(&url, "%s/push/v1/graph/%s", web->settings.url, job.hook.name));
    TRY(jso_set_string(out, "graph_url", buf_bytes(&url)));
    return api_send(reply, 201, out);
}

static err_t *remove_hook(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    TRY(db_mail_hooks_remove(conn, job->name, &job->found));
    if (!job->found) return err_new(ERR_NOT_FOUND, "there is no hook %s", job->name);
    return audit_note(&job->web->audit, conn, job->actor, "mail-hook.remove", job->name, NULL);
}

err_t *api_mail_hooks_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = begin(web, request);
    TRY(api_param(request, "name", &job.name));
    TRY(db_write(web->db, remove_hook, &job));
    return http_reply_empty(reply, 204);
}

/* ---- mailboxes ---- */

static err_t *read_boxes(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_person_t person;
    TRY(db_mailboxes_list(conn, job->arena, "", job->after, job->limit, &job->boxes, &job->count));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->emails, &job->emails));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->released, &job->released));
    for (size_t i = 0; i < job->count; i++) {
        bool found = false;
        TRY(db_people_by_id(conn, job->arena, job->boxes[i].person_id, &person, &found));
        job->emails[i] = found ? person.email : NULL;
        TRY(db_mail_releases_count(conn, job->boxes[i].account, job->now_ms - DAY_MS,
                                   &job->released[i]));
    }
    return NULL;
}

static err_t *box_json(const db_mailbox_t *box, const char *email, int64_t released, json_t *out) {
    TRY(jso_set_str(out, "address", box->account));
    TRY(jso_set_str(out, "person", email));
    TRY(jso_set_str(out, "source", box->source));
    TRY(jso_set_str(out, "login", box->login));
    TRY(jso_set_str(out, "server", box->server[0] ? box->server : NULL));
    TRY(jso_set_str(out, "state", box->state));
    TRY(jso_set_str(out, "problem", box->problem[0] ? box->problem : NULL));
    TRY(api_set_ms(out, "heard", box->heard_ms));
    TRY(api_set_ms(out, "last_event", box->event_ms));
    TRY(jso_set_int(out, "releases_day", released));
    return jso_set_str(out, "created_by", box->created_by);
}

err_t *api_mailboxes_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = begin(web, request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page(request, &job.after, &job.limit));
    TRY(db_read(web->db, read_boxes, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "mailboxes", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(box_json(&job.boxes[i], job.emails[i], job.released[i], item));
    }
    if (job.count == job.limit) TRY(jso_set_str(out, "next", job.boxes[job.count - 1].account));
    return api_send(reply, 200, out);
}

static err_t *check_hook(db_conn_t *conn, const job_t *job, const char *name) {
    db_mail_hook_t *hooks = NULL;
    size_t count = 0;
    TRY(db_mail_hooks_list(conn, job->arena, LIMIT_ARRIVAL_HOOKS, &hooks, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(hooks[i].name, name) == 0) return NULL;
    return err_new(ERR_NOT_FOUND, "there is no hook %s", name);
}

/* Subscriptions of Graph end and are made again: the newer one takes the place of the former. */
static err_t *renew_box(db_conn_t *conn, job_t *job, bool *ret_renewed) {
    db_mailbox_t box;
    bool found = false;
    if (!job->renews) return NULL;
    TRY(db_mailboxes_find(conn, job->arena, job->box.account, &box, &found));
    if (!found || strcmp(box.source, job->box.source) != 0 ||
        strcmp(box.person_id, job->box.person_id) != 0)
        return NULL;
    err_t *e = db_mailboxes_login(conn, box.account, job->box.login);
    if (e && err_code(e) == ERR_EXISTS)
        return err_wrap(e, "this subscription is another mailbox's");
    if (e) return e;
    *ret_renewed = true;
    return audit_note(&job->web->audit, conn, job->actor, "mailbox.renew", box.account, "source",
                      box.source, "login", job->box.login, NULL);
}

static err_t *write_box(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_person_t person;
    bool found = false, renewed = false;
    int64_t count = 0;
    TRY(db_people_by_email(conn, job->arena, job->person, &person, &found));
    if (!found || person.disabled)
        return err_new(ERR_NOT_FOUND, "there is nobody with the address %s", job->person);
    if (job->name) TRY(check_hook(conn, job, job->name));
    job->box.person_id = person.id;
    TRY(renew_box(conn, job, &renewed));
    if (renewed) return NULL;
    TRY(db_mailboxes_count(conn, &count));
    if (count >= LIMIT_ARRIVAL_MAILBOXES)
        return err_new(ERR_LIMIT, "%d mailboxes are watched already", LIMIT_ARRIVAL_MAILBOXES);
    err_t *e = db_mailboxes_add(conn, &job->box);
    if (e && err_code(e) == ERR_EXISTS)
        return err_wrap(e, "%s, or this login of the source, is watched already", job->box.account);
    if (e) return e;
    return audit_note(&job->web->audit, conn, job->actor, "mailbox.add", job->box.account, "source",
                      job->box.source, "login", job->box.login, "person", job->person, NULL);
}

/* Of a hook in small letters, as what it says is read. */
static err_t *get_login(http_request_t *request, const json_t *body, const char *address,
                        bool lower, const char **ret_login) {
    bytes_t login = bytes_str(address), copy;
    TRY(jso_get_string(body, "login", LIMIT_EMAIL, false, &login));
    if (login.n == 0 || !text_printable(login))
        return err_new(ERR_INVALID, "that is no login of a mail server");
    TRY(arena_copy(request->arena, login, &copy));
    if (lower) text_lower((char *)(uintptr_t)copy.p); /* our own copy */
    *ret_login = (const char *)copy.p;
    return NULL;
}

/* Told by a mail server's hook, or by Microsoft Graph with a hook's secret. */
static void set_teller(job_t *job, const char *kind, bytes_t hook, char source[SOURCE_MAX]) {
    job->name = (const char *)hook.p;
    (void)snprintf(source, SOURCE_MAX, "%s:%s", kind, job->name);
    job->box.source = source;
    job->box.server = "";
}

/* Its notifications name the subscription and nobody else. */
static err_t *set_graph(job_t *job, const json_t *body, bytes_t hook, char source[SOURCE_MAX]) {
    bytes_t id, copy;
    TRY(jso_get_string(body, "subscription", LIMIT_ARRIVAL_SUBSCRIPTION, true, &id));
    if (id.n == 0 || !text_printable(id))
        return err_new(ERR_INVALID, "that is no id of a subscription");
    TRY(arena_copy(job->arena, id, &copy));
    text_lower((char *)(uintptr_t)copy.p); /* our own copy */
    job->box.login = (const char *)copy.p;
    job->renews = true;
    set_teller(job, "graph", hook, source);
    return NULL;
}

/* Watched by us at its server. The password goes to the keeper and is here no more. */
static err_t *seal(job_t *job, const json_t *body, buf_t *sealed) {
    bytes_t password;
    TRY(jso_get_string(body, "password", LIMIT_PASSWORD_MAX, true, &password));
    const keeper_mailbox_t mailbox = {job->box.account, job->box.server, job->box.login};
    TRY(keeper_mailbox_seal(job->web->keeper, &mailbox, password, sealed));
    job->box.sealed = buf_bytes(sealed);
    return NULL;
}

static err_t *set_imap(job_t *job, const json_t *body, bytes_t server, buf_t *sealed) {
    mail_server_t parsed;
    TRY(mail_server_imap(server, &parsed));
    job->box.source = "imap";
    job->box.server = (const char *)server.p;
    return seal(job, body, sealed);
}

/* RFC 7617 section 2: a user-id has no colon. */
static err_t *set_ews(job_t *job, const json_t *body, bytes_t server, buf_t *sealed) {
    mail_server_t parsed;
    bool all = false;
    TRY(jso_get_bool(body, "all_folders", false, &all));
    TRY(mail_server_ews(server, &parsed));
    if (strchr(job->box.login, ':'))
        return err_new(ERR_INVALID, "a login of Exchange has no colon");
    job->box.source = all ? MAILBOX_EWS_ALL : "ews";
    job->box.server = (const char *)server.p;
    return seal(job, body, sealed);
}

static err_t *get_address(job_t *job, const json_t *body) {
    bytes_t address, person;
    TRY(jso_get_string(body, "address", LIMIT_EMAIL, true, &address));
    TRY(directory_check_email(job->arena, address, &job->box.account));
    if (strlen(job->box.account) > LIMIT_LEASE_ACCOUNT)
        return err_new(ERR_LIMIT, "the address has more than %d bytes", LIMIT_LEASE_ACCOUNT);
    person = bytes_str(job->box.account);
    TRY(jso_get_string(body, "person", LIMIT_EMAIL, false, &person));
    return directory_check_email(job->arena, person, &job->person);
}

static err_t *get_source(job_t *job, const json_t *body, char source[SOURCE_MAX], buf_t *sealed) {
    bytes_t hook = BYTES_NONE, server = BYTES_NONE, graph = BYTES_NONE, ews = BYTES_NONE;
    TRY(jso_get_string(body, "hook", LIMIT_NAME, false, &hook));
    TRY(jso_get_string(body, "graph", LIMIT_NAME, false, &graph));
    TRY(jso_get_string(body, "server", LIMIT_MAILBOX_SERVER, false, &server));
    TRY(jso_get_string(body, "ews", LIMIT_MAILBOX_SERVER, false, &ews));
    if ((hook.n > 0) + (server.n > 0) + (graph.n > 0) + (ews.n > 0) != 1)
        return err_new(ERR_INVALID,
                       "a mailbox has a hook, a server, Exchange or a subscription of Graph");
    if (graph.n) return set_graph(job, body, graph, source);
    TRY(get_login(job->request, body, job->box.account, hook.n > 0, &job->box.login));
    if (server.n) return set_imap(job, body, server, sealed);
    if (ews.n) return set_ews(job, body, ews, sealed);
    set_teller(job, "hook", hook, source);
    return NULL;
}

err_t *api_mailboxes_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = begin(web, request);
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t sealed;
    char source[SOURCE_MAX];
    buf_init(&sealed, LIMIT_MAILBOX_SEALED);
    TRY(api_body(request, &body));
    TRY(jso_only(body, "address", "person", "hook", "login", "server", "password", "graph",
                 "subscription", "ews", "all_folders", NULL));
    TRY(get_address(&job, body));
    TRY(get_source(&job, body, source, &sealed));
    job.box.problem = "";
    job.box.state = "waiting";
    job.box.created_by = job.actor;
    job.box.created_ms = job.now_ms;
    TRY(db_write(web->db, write_box, &job));
    err_ignore(rpc_notify(web->courier_rpc, COURIER_WAKE, BYTES_NONE)); /* it looks by itself too */
    TRY(jso_object(&out));
    TRY(box_json(&job.box, job.person, 0, out));
    return api_send(reply, 201, out);
}

static err_t *remove_box(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    TRY(db_mailboxes_remove(conn, job->name, &job->found));
    if (!job->found) return err_new(ERR_NOT_FOUND, "%s is not watched", job->name);
    return audit_note(&job->web->audit, conn, job->actor, "mailbox.remove", job->name, NULL);
}

err_t *api_mailboxes_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = begin(web, request);
    TRY(api_param(request, "account", &job.name));
    TRY(db_write(web->db, remove_box, &job));
    err_ignore(rpc_notify(web->courier_rpc, COURIER_WAKE, BYTES_NONE));
    return http_reply_empty(reply, 204);
}

/* ---- what came of it ---- */

static err_t *read_releases(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    db_mailbox_t box;
    const web_caller_t *caller = web_caller(job->request);
    TRY(db_mailboxes_find(conn, job->arena, job->name, &box, &job->found));
    bool reads = strcmp(caller->role, "admin") == 0 || strcmp(caller->role, "auditor") == 0;
    bool own = job->found && caller->person_id[0] && strcmp(box.person_id, caller->person_id) == 0;
    if (!reads && !own)
        return err_new(ERR_DENIED, "this needs the role admin or auditor, or your own mailbox");
    if (!job->found) return err_new(ERR_NOT_FOUND, "%s is not watched", job->name);
    TRY(db_mail_releases_count(conn, job->name, job->now_ms - DAY_MS, &job->day));
    TRY(db_mail_releases_count(conn, job->name, job->now_ms - 7LL * DAY_MS, &job->week));
    return db_mail_releases(conn, job->arena, job->name, LIMIT_LIST_PAGE, &job->releases,
                            &job->count);
}

err_t *api_mailboxes_releases(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = begin(web, request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_param(request, "account", &job.name));
    TRY(db_read(web->db, read_releases, &job));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "address", job.name));
    TRY(jso_set_int(out, "day", job.day));
    TRY(jso_set_int(out, "week", job.week));
    TRY(jso_set_array(out, "releases", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "device", job.releases[i].device_id));
        TRY(jso_set_str(item, "event", job.releases[i].event));
        TRY(api_set_ms(item, "released", job.releases[i].released_ms));
    }
    return api_send(reply, 200, out);
}
