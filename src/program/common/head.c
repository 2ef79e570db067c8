/*
 * Signed heads of the audit chain: see head.h.
 */
#include "program/common/head.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/digest.h"

enum { SIGNATURE_MAX = 1024, KEY_MAX = 4096 };

typedef struct {
    const audit_t *audit;
    audit_head_t head;
    bool found;
    bytes_t signature;
} head_job_t;

static err_t *find_pending(db_conn_t *conn, void *arg) {
    head_job_t *job = arg;
    return audit_head_pending(job->audit, conn, &job->found, &job->head);
}

static err_t *store_head(db_conn_t *conn, void *arg) {
    head_job_t *job = arg;
    return audit_head_store(conn, &job->head, job->signature);
}

err_t *head_sign(db_t *db, const audit_t *audit, keeper_t *keeper) {
    head_job_t job = {.audit = audit};
    CLEANUP(buf_done) buf_t signature;
    CLEANUP(buf_done) buf_t key;
    buf_init(&signature, SIGNATURE_MAX);
    buf_init(&key, KEY_MAX);
    TRY(db_read(db, find_pending, &job));
    if (!job.found) return NULL;
    TRY(keeper_public(keeper, KEEPER_PUBLIC_AUDIT_KEY, &key));
    TRY(digest_sha256(buf_bytes(&key), job.head.key_id));
    TRY(keeper_sign_audit_head(keeper, job.head.node, job.head.seq, job.head.hash, job.head.unix_ms,
                               &signature));
    job.signature = buf_bytes(&signature);
    err_t *e = db_write(db, store_head, &job);
    if (e && err_code(e) == ERR_EXISTS) { /* two asked at once: one signature is enough */
        err_free(e);
        return NULL;
    }
    return e;
}

err_t *head_name_node(const char *program, char *node, size_t size, audit_t *ret_audit) {
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) != 0) return err_errno(errno, "gethostname");
    int n = snprintf(node, size, "%s/%s", host, program);
    if (n < 0 || (size_t)n >= size) return err_new(ERR_INTERNAL, "the host's name is too long");
    *ret_audit = (audit_t){.node = node, .clk = clk_real()};
    return NULL;
}
