/*
 * /api/v1/status, /jobs, /audit, /audit/export, /keeper/log: what an admin and an auditor look at.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "audit/audit_export.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "http/query.h"
#include "program/common/head.h"
#include "program/web/api.h"
#include "program/web/directory_work.h"
#include "store/certs.h"
#include "store/jobs.h"

typedef struct {
    int64_t enrolled, authenticated, removed, certificates, jobs, jobs_dead;
} status_t;

static err_t *read_status(db_conn_t *conn, void *arg) {
    status_t *s = arg;
    TRY(db_devices_count(conn, "enrolled", &s->enrolled));
    TRY(db_devices_count(conn, "authenticated", &s->authenticated));
    TRY(db_devices_count(conn, "removed", &s->removed));
    TRY(db_certificates_count(conn, &s->certificates));
    return db_jobs_count(conn, &s->jobs, &s->jobs_dead);
}

static err_t *keeper_json(web_t *web, json_t *out) {
    keeper_status_t keeper;
    json_t *object = NULL;
    TRY(keeper_status(web->keeper, &keeper));
    TRY(jso_set_object(out, "keeper", &object));
    TRY(jso_set_int(object, "certificates_issued", (int64_t)keeper.certificates));
    TRY(jso_set_int(object, "log_entries", (int64_t)keeper.log_entries));
    TRY(jso_set_bool(object, "seccomp", keeper.seccomp));
    return jso_set_bool(object, "landlock", keeper.landlock);
}

/* null: none; else how the last sync with it went. */
static err_t *directory_json(web_t *web, arena_t *arena, json_t *out) {
    json_t *last = NULL, *object = NULL;
    if (!web->remote) return jso_set_null(out, "directory");
    TRY(jso_set_object(out, "directory", &object));
    TRY(directory_work_last(web, arena, &last));
    return last ? jso_set(object, "last_sync", last) : jso_set_null(object, "last_sync");
}

err_t *api_status(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    status_t s;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *devices = NULL, *jobs = NULL;
    TRY(db_read(web->db, read_status, &s));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "version", COFFER_VERSION));
    TRY(jso_set_str(out, "organisation", web->settings.organisation));
    TRY(jso_set_str(out, "url", web->settings.url));
    TRY(jso_set_object(out, "devices", &devices));
    TRY(jso_set_int(devices, "enrolled", s.enrolled));
    TRY(jso_set_int(devices, "enrolling", s.authenticated));
    TRY(jso_set_int(devices, "removed", s.removed));
    TRY(jso_set_int(out, "certificates", s.certificates));
    TRY(jso_set_object(out, "jobs", &jobs));
    TRY(jso_set_int(jobs, "waiting", s.jobs));
    TRY(jso_set_int(jobs, "given_up", s.jobs_dead));
    TRY(jso_set_bool(out, "push", web->settings.push_certificate[0] != '\0'));
    TRY(directory_json(web, request->arena, out));
    TRY(keeper_json(web, out));
    return api_send(reply, 200, out);
}

typedef struct {
    arena_t *arena;
    db_job_t *rows;
    size_t count;
} jobs_job_t;

static err_t *read_jobs(db_conn_t *conn, void *arg) {
    jobs_job_t *job = arg;
    return db_jobs_list(conn, job->arena, LIMIT_LIST_PAGE, &job->rows, &job->count);
}

err_t *api_jobs(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    jobs_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(web->db, read_jobs, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "jobs", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "kind", job.rows[i].kind));
        TRY(jso_set_str(item, "name", job.rows[i].name));
        TRY(jso_set_int(item, "attempts", job.rows[i].attempts));
        TRY(jso_set_bool(item, "given_up", job.rows[i].dead));
        TRY(jso_set_str(item, "last_error", job.rows[i].last_error));
        TRY(api_set_ms(item, "due", job.rows[i].due_ms));
    }
    return api_send(reply, 200, out);
}

typedef struct {
    json_t *list;
    int64_t before;
    unsigned limit;
} audit_job_t;

static err_t *audit_item(const audit_row_t *row, void *arg) {
    audit_job_t *job = arg;
    json_t *item = NULL, *detail = NULL;
    TRY(jso_add_object(job->list, &item));
    TRY(jso_set_string(item, "node", row->node));
    TRY(jso_set_int(item, "seq", row->seq));
    TRY(api_set_ms(item, "time", row->unix_ms));
    TRY(jso_set_string(item, "actor", row->actor));
    TRY(jso_set_string(item, "action", row->action));
    TRY(jso_set_string(item, "object", row->object));
    TRY(jso_parse_object(row->detail, &detail));
    return jso_set(item, "detail", detail);
}

static err_t *read_audit(db_conn_t *conn, void *arg) {
    audit_job_t *job = arg;
    return audit_rows_recent(conn, job->before, job->limit, audit_item, job);
}

err_t *api_audit_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *after = NULL;
    size_t limit = 0;
    CLEANUP(jso_free) json_t *out = NULL;
    audit_job_t job = {.before = INT64_MAX};
    TRY(api_page(request, &after, &limit));
    if (after[0]) TRY(text_i64(bytes_str(after), &job.before));
    job.limit = (unsigned)limit;
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "entries", &job.list));
    TRY(db_read(web->db, read_audit, &job));
    return api_send(reply, 200, out);
}

typedef struct {
    int fd;
    bytes_t key;
} export_job_t;

static err_t *export_sink(void *arg, bytes_t piece) {
    export_job_t *job = arg;
    return file_write_fd(job->fd, piece);
}

static err_t *read_export(db_conn_t *conn, void *arg) {
    export_job_t *job = arg;
    return audit_export(conn, &job->key, 1, export_sink, job);
}

/* Through an unnamed file, so that memory does not grow with the log. */
err_t *api_audit_export(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(buf_done) buf_t key;
    CLEANUP(mem_free) char *directory = NULL;
    struct stat st;
    (void)request;
    buf_init(&key, 4096);
    TRY(head_sign(web->db, &web->audit,
                  web->keeper)); /* so that an auditor finds nothing unsigned */
    TRY(keeper_public(web->keeper, KEEPER_PUBLIC_AUDIT_KEY, &key));
    TRY(file_path(web->settings.dir, "store", &directory));
    CLEANUP(fd_close) int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "cannot make a temporary file in %s", directory);
    export_job_t job = {.fd = fd, .key = buf_bytes(&key)};
    TRY(db_read(web->db, read_export, &job));
    if (fstat(fd, &st) != 0) return err_errno(errno, "audit export");
    int handed = fd;
    fd = -1;
    return http_reply_file(reply, 200, "application/jsonl", handed, 0, (uint64_t)st.st_size);
}

err_t *api_keeper_log(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(buf_done) buf_t lines;
    uint64_t after = 0, last = 0;
    buf_init(&lines, LIMIT_FRAME_BYTES);
    TRY(http_query_u64(request->raw_query, "after", INT64_MAX, 0, &after));
    TRY(keeper_log(web->keeper, after, &lines, &last));
    return http_reply_body(reply, 200, "application/jsonl", &lines);
}
