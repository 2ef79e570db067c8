/*
 * /api/v1/mail/groups: groups and aliases that are expanded before it is said who can read.
 */
#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "directory/directory.h"
#include "program/web/api.h"
#include "store/mail_book.h"

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *actor;
    const char *after, *after_member;
    size_t limit;
    db_mail_member_t *rows;
    size_t count;
    const char *address;
    const char **members;
    size_t members_n;
} groups_job_t;

static err_t *read_groups(db_conn_t *conn, void *arg) {
    groups_job_t *job = arg;
    return db_mail_groups_list(conn, job->arena, job->after, job->after_member, job->limit,
                               &job->rows, &job->count);
}

static err_t *split_after(groups_job_t *job) {
    bytes_t rest = bytes_str(job->after), copy;
    size_t space = bytes_find(rest, ' ');
    TRY(arena_copy(job->arena, bytes_slice(rest, 0, space), &copy));
    job->after = (const char *)copy.p;
    TRY(arena_copy(job->arena, bytes_from(rest, space + 1), &copy));
    job->after_member = (const char *)copy.p;
    return NULL;
}

err_t *api_mail_groups(void *ctx, http_request_t *request, http_reply_t *reply) {
    groups_job_t job = {.web = ctx, .arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(mem_free) char *next = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page(request, &job.after, &job.limit));
    TRY(split_after(&job));
    TRY(db_read(job.web->db, read_groups, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "members", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "group", job.rows[i].address));
        TRY(jso_set_str(item, "member", job.rows[i].member));
        TRY(jso_set_str(item, "created_by", job.rows[i].created_by));
        TRY(api_set_ms(item, "created", job.rows[i].created_ms));
    }
    if (job.count == job.limit) {
        const db_mail_member_t *last = &job.rows[job.count - 1];
        if (!(next = mem_printf("%s %s", last->address, last->member))) return err_nomem();
        TRY(jso_set_str(out, "next", next));
    }
    return api_send(reply, 200, out);
}

static err_t *write_group(db_conn_t *conn, void *arg) {
    groups_job_t *job = arg;
    CLEANUP(mem_free) char *count = mem_printf("%zu", job->members_n);
    bool found = false;
    if (!count) return err_nomem();
    TRY(db_mail_groups_remove(conn, job->address, &found));
    for (size_t i = 0; i < job->members_n; i++)
        TRY(db_mail_groups_add(conn, &(db_mail_member_t){.address = job->address,
                                                         .member = job->members[i],
                                                         .created_by = job->actor,
                                                         .created_ms = clk_unix_ms(clk_real())}));
    return audit_note(&job->web->audit, conn, job->actor, "mail.group", job->address, "members",
                      count, NULL);
}

err_t *api_mail_groups_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    groups_job_t job = {.web = ctx, .arena = request->arena, .actor = web_caller(request)->actor};
    CLEANUP(jso_free) json_t *body = NULL;
    json_t *list = NULL;
    bytes_t text;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "address", "members", NULL));
    TRY(jso_get_string(body, "address", LIMIT_EMAIL, true, &text));
    TRY(directory_check_email(request->arena, text, &job.address));
    TRY(jso_get_array(body, "members", LIMIT_MAIL_GROUP, true, &list));
    if (!json_array_size(list)) return err_new(ERR_INVALID, "a group has at least one member");
    TRY(arena_alloc(request->arena, json_array_size(list) * sizeof *job.members, &job.members));
    for (; job.members_n < json_array_size(list); job.members_n++) {
        TRY(jso_at_string(list, job.members_n, LIMIT_EMAIL, &text));
        TRY(directory_check_email(request->arena, text, &job.members[job.members_n]));
    }
    TRY(db_write(job.web->db, write_group, &job));
    return http_reply_empty(reply, 204);
}

static err_t *remove_group(db_conn_t *conn, void *arg) {
    groups_job_t *job = arg;
    bool found = false;
    TRY(db_mail_groups_remove(conn, job->address, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no group %s", job->address);
    return audit_note(&job->web->audit, conn, job->actor, "mail.group-removed", job->address, NULL);
}

err_t *api_mail_groups_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    groups_job_t job = {.web = ctx, .arena = request->arena, .actor = web_caller(request)->actor};
    TRY(api_param(request, "address", &job.address));
    TRY(directory_check_email(request->arena, bytes_str(job.address), &job.address));
    TRY(db_write(job.web->db, remove_group, &job));
    return http_reply_empty(reply, 204);
}
