/*
 * Certificates into the directory: see publisher.h. A job says no more than which certificate; what
 * is to be done about it the database says in the moment of doing it.
 */
#include "program/courier/publisher.h"

#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "directory/publish.h"
#include "program/common/worker.h"

enum { ARENA = 1024 * 1024, LEASE_MS = 10 * 60 * 1000, BATCH = 4 };

struct publisher {
    publisher_options_t o;
    worker_t *worker;
    cert_t *issuer;
    /* Of the job that is being done; the worker's thread. */
    arena_t *arena;
    buf_t bundle;
    directory_publish_plan_t plan;
};

typedef struct {
    publisher_t *publisher;
    const db_job_t *job;
} read_t;

static err_t *read_plan(db_conn_t *conn, void *arg) {
    read_t *read = arg;
    publisher_t *p = read->publisher;
    return directory_publish_plan(conn, p->arena, read->job->name, p->o.profiles,
                                  clk_unix_ms(clk_real()), &p->plan);
}

static err_t *change_entry(publisher_t *p) {
    directory_publish_plan_t *plan = &p->plan;
    bool add = plan->what == PUBLISH_ADD, changed = false;
    if (plan->what == PUBLISH_NOTHING) return NULL;
    if (add) {
        TRY(directory_publish_bundle(plan->cert.der, p->issuer, &p->bundle));
        plan->row.bundle = buf_bytes(&p->bundle);
    }
    err_t *e = ldappeople_publish(p->o.people, plan->row.external_id, plan->cert.der,
                                  plan->row.bundle, add, &changed);
    if (add || !e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e); /* gone with the person */
    return NULL;
}

static void forget(publisher_t *p) {
    arena_free(p->arena);
    p->arena = NULL;
    buf_clear(&p->bundle);
    p->plan = (directory_publish_plan_t){.what = PUBLISH_NOTHING};
}

static void work(void *ctx, const db_job_t *job, work_result_t *result) {
    publisher_t *p = ctx;
    read_t read = {p, job};
    forget(p);
    err_t *e = arena_new(ARENA, &p->arena);
    if (!e) e = db_read(p->o.db, read_plan, &read);
    if (!e) e = change_entry(p);
    if (!e) {
        result->end = WORK_DONE;
        return;
    }
    bool hopeless = err_code(e) == ERR_NOT_FOUND || err_code(e) == ERR_INVALID;
    work_failed(result, hopeless ? WORK_BURY : WORK_RETRY, e);
}

static err_t *settled(void *ctx, db_conn_t *conn, const db_job_t *job,
                      const work_result_t *result) {
    publisher_t *p = ctx;
    const directory_publish_plan_t *plan = &p->plan;
    (void)job;
    if (result->end != WORK_DONE || plan->what == PUBLISH_NOTHING) return NULL;
    bool add = plan->what == PUBLISH_ADD;
    db_directory_cert_t row = plan->row;
    row.published_ms = clk_unix_ms(clk_real());
    TRY(add ? db_directory_certs_put(conn, &row)
            : db_directory_certs_remove(conn, plan->cert.fingerprint));
    return audit_note(p->o.audit, conn, "directory",
                      add ? "certificate.publish" : "certificate.unpublish", plan->cert.serial,
                      "subject", plan->cert.subject, "profile", plan->cert.profile, "external_id",
                      row.external_id, NULL);
}

err_t *publisher_start(const publisher_options_t *options, publisher_t **ret_publisher) {
    publisher_t *p = mem_zalloc(sizeof *p);
    if (!p) return err_nomem();
    p->o = *options;
    buf_init(&p->bundle, LIMIT_CMS_BYTES);
    const worker_kind_t kind = {.kind = DIRECTORY_JOB,
                                .batch = BATCH,
                                .lease_ms = LEASE_MS,
                                .attempts = LIMIT_JOB_ATTEMPTS,
                                .ctx = p,
                                .work = work,
                                .settled = settled};
    err_t *e = cert_parse_pem(options->device_ca, &p->issuer);
    if (!e) e = worker_start(options->db, options->log, clk_real(), &kind, &p->worker);
    if (e) {
        publisher_stop(p);
        return e;
    }
    *ret_publisher = p;
    return NULL;
}

void publisher_wake(publisher_t *p) {
    if (p) worker_wake(p->worker);
}

void publisher_stop(publisher_t *p) {
    if (!p) return;
    worker_stop(p->worker);
    forget(p);
    buf_done(&p->bundle);
    cert_free(p->issuer);
    mem_free(p);
}
