/*
 * Rules of the mail gateway: listed, shown with what holds in the end, set and removed.
 */
#include "program/web/api_mail_policy.h"

#include "audit/note.h"
#include "base/text.h"
#include "store/mail_policy.h"

enum { SETTINGS = 1000 }; /* bytes of one rule */

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *actor, *name, *after;
    size_t limit;
    const char *settings; /* to be written; "": the rule goes */
    db_mail_policy_t row, *rows;
    size_t n;
    bool found;
    db_mail_gateway_t gateway;
    bool has_gateway;
} policy_job_t;

/* ---- list ---- */

static err_t *add_rule(json_t *list, const char *name, const char *settings, const char *source) {
    json_t *item = NULL;
    TRY(jso_add_object(list, &item));
    TRY(jso_set_str(item, "name", name));
    TRY(jso_set_str(item, "settings", settings));
    return jso_set_str(item, "source", source);
}

static err_t *add_file_rules(const web_t *web, json_t *list) {
    for (size_t i = 0; i < web->mail_policy.rules_n; i++) {
        const mail_policy_rule_t *r = &web->mail_policy.rules[i];
        CLEANUP(buf_done) buf_t text;
        const char *settings;
        buf_init(&text, SETTINGS);
        if (!r->rule.has_encrypt && !r->rule.has) continue;
        TRY(gate_rule_write(&r->rule, &text));
        TRY(buf_cstr(&text, &settings));
        TRY(add_rule(list, r->name, settings, "coffer.conf"));
    }
    return NULL;
}

static err_t *read_list(db_conn_t *conn, void *arg) {
    policy_job_t *job = arg;
    return db_mail_policy_list(conn, job->arena, job->after, job->limit, &job->rows, &job->n);
}

err_t *api_mail_policy_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    policy_job_t job = {.web = ctx, .arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL;
    TRY(api_page(request, &job.after, &job.limit));
    TRY(db_read(job.web->db, read_list, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "policy", &list));
    if (!job.after[0]) TRY(add_file_rules(job.web, list));
    for (size_t i = 0; i < job.n; i++)
        TRY(add_rule(list, job.rows[i].name, job.rows[i].settings, job.rows[i].changed_by));
    if (job.n == job.limit) TRY(jso_set_str(out, "next", job.rows[job.n - 1].name));
    return api_send(reply, 200, out);
}

/* ---- show ---- */

static err_t *take_name(http_request_t *request, bytes_t text, const char **ret_name) {
    char name[MAIL_POLICY_NAME];
    bytes_t copy;
    TRY(mail_policy_name(text, name));
    TRY(arena_copy(request->arena, bytes_str(name), &copy));
    *ret_name = (const char *)copy.p;
    return NULL;
}

static err_t *read_one(db_conn_t *conn, void *arg) {
    policy_job_t *job = arg;
    TRY(db_mail_policy_get(conn, job->arena, job->name, &job->row, &job->found));
    return db_mail_gateway_get(conn, job->arena, job->name, &job->gateway, &job->has_gateway);
}

/* What holds for an address, or for one of a domain that has no rules of its own. */
static err_t *find_effective(const web_t *web, const char *name, gate_rule_t *rule) {
    bytes_t who = bytes_str(name);
    bool to = bytes_starts(who, BYTES_LIT("to:"));
    CLEANUP(buf_done) buf_t address;
    buf_init(&address, MAIL_POLICY_NAME + 2);
    if (to) who = bytes_from(who, 3);
    if (bytes_find(who, '@') == who.n) TRY(buf_add_str(&address, "@"));
    TRY(buf_add(&address, who));
    *rule = gate_rule_default();
    if (to) *rule = (gate_rule_t){0};
    return mail_policy_find(&web->mail_policy, web->db, to ? GATE_SCOPE_TO : GATE_SCOPE_FROM,
                            buf_bytes(&address), rule);
}

static err_t *set_gateway(json_t *out, const policy_job_t *job) {
    json_t *item = NULL;
    CLEANUP(buf_done) buf_t hex;
    const char *text;
    buf_init(&hex, 128);
    if (!job->has_gateway) return jso_set_null(out, "gateway");
    TRY(jso_set_object(out, "gateway", &item));
    TRY(jso_set_bool(item, "signs", job->gateway.signs));
    TRY(jso_set_bool(item, "decrypts", job->gateway.decrypts));
    if (!job->gateway.fingerprint.n) return jso_set_null(item, "certificate");
    TRY(text_hex(job->gateway.fingerprint, &hex));
    TRY(buf_cstr(&hex, &text));
    return jso_set_str(item, "certificate", text);
}

static err_t *send_one(policy_job_t *job, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t text;
    gate_rule_t rule;
    const char *effective;
    buf_init(&text, SETTINGS);
    TRY(db_read(job->web->db, read_one, job));
    TRY(find_effective(job->web, job->name, &rule));
    TRY(gate_rule_write(&rule, &text));
    TRY(buf_cstr(&text, &effective));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "name", job->name));
    TRY(jso_set_str(out, "settings", job->found ? job->row.settings : ""));
    TRY(jso_set_str(out, "effective", effective));
    TRY(set_gateway(out, job));
    return api_send(reply, 200, out);
}

err_t *api_mail_policy_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    policy_job_t job = {.web = ctx, .arena = request->arena};
    const char *text = NULL;
    TRY(api_param(request, "name", &text));
    TRY(take_name(request, bytes_str(text), &job.name));
    return send_one(&job, reply);
}

/* ---- set, remove ---- */

static err_t *write_rule(db_conn_t *conn, void *arg) {
    policy_job_t *job = arg;
    bool found = false;
    if (job->settings[0])
        TRY(db_mail_policy_put(conn, &(db_mail_policy_t){.name = job->name,
                                                         .settings = job->settings,
                                                         .changed_by = job->actor,
                                                         .changed_ms = clk_unix_ms(clk_real())}));
    else TRY(db_mail_policy_remove(conn, job->name, &found));
    return audit_note(&job->web->audit, conn, job->actor, "mail.policy", job->name, "settings",
                      job->settings, NULL);
}

/* What was stored, with each of these set over it. */
static err_t *merge(policy_job_t *job, bytes_t settings) {
    gate_rule_t rule = {0};
    CLEANUP(buf_done) buf_t text;
    bytes_t item, copy;
    buf_init(&text, SETTINGS);
    if (job->found) TRY(gate_rule_read(bytes_str(job->row.settings), &rule));
    while (text_split(&settings, ' ', &item)) {
        size_t n = bytes_find(item, '=');
        if (!item.n) continue;
        if (n == item.n)
            return err_new(ERR_INVALID, "a setting is written NAME=VALUE, such as sign=yes");
        TRY(gate_rule_set(&rule, bytes_make(item.p, n), bytes_from(item, n + 1)));
    }
    TRY(gate_rule_write(&rule, &text));
    TRY(arena_copy(job->arena, buf_bytes(&text), &copy));
    job->settings = copy.n ? (const char *)copy.p : "";
    return NULL;
}

/* A person's own rule is applied at once; the others by policy-apply. */
static err_t *grant_if_person(const policy_job_t *job) {
    db_person_t person;
    bool found = false, changed = false;
    TRY(db_people_find(job->web->db, job->arena, job->name, &person, &found));
    return found ? mail_policy_grant(job->web, &person, job->actor, &changed) : NULL;
}

err_t *api_mail_policy_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    policy_job_t job = {.web = ctx, .arena = request->arena, .actor = web_caller(request)->actor};
    CLEANUP(jso_free) json_t *body = NULL;
    bytes_t name, settings;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "name", "settings", NULL));
    TRY(jso_get_string(body, "name", MAIL_POLICY_NAME, true, &name));
    TRY(jso_get_string(body, "settings", SETTINGS, true, &settings));
    TRY(take_name(request, name, &job.name));
    TRY(db_read(job.web->db, read_one, &job));
    TRY(merge(&job, settings));
    TRY(db_write(job.web->db, write_rule, &job));
    TRY(grant_if_person(&job));
    return send_one(&job, reply);
}

err_t *api_mail_policy_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    policy_job_t job = {
        .web = ctx, .arena = request->arena, .actor = web_caller(request)->actor, .settings = ""};
    const char *text = NULL;
    TRY(api_param(request, "name", &text));
    TRY(take_name(request, bytes_str(text), &job.name));
    TRY(db_read(job.web->db, read_one, &job));
    if (!job.found) return err_new(ERR_NOT_FOUND, "no policy of %s is in the store", job.name);
    TRY(db_write(job.web->db, write_rule, &job));
    TRY(grant_if_person(&job));
    return http_reply_empty(reply, 204);
}
