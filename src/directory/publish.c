/*
 * Which certificates stand in the directory: see publish.h (RFC 2798 section 2.8).
 */
#include "directory/publish.h"

#include "base/limits.h"
#include "base/text.h"
#include "crypto/cms.h"
#include "directory/source.h"
#include "format/conf.h"
#include "store/jobs.h"
#include "store/people.h"

enum { PAGE = 500, FINGERPRINT = 32, SWEEP_ARENA = 1024 * 1024 };

err_t *directory_publish_ask(db_conn_t *conn, bytes_t fingerprint, int64_t now_ms) {
    CLEANUP(buf_done) buf_t name;
    const char *text = NULL;
    buf_init(&name, 2 * FINGERPRINT);
    TRY(text_hex(fingerprint, &name));
    TRY(buf_cstr(&name, &text));
    return db_jobs_put(conn, DIRECTORY_JOB, text, "{}", now_ms, now_ms);
}

/* ---- the sweep ---- */

typedef struct {
    const char *profile; /* NULL: what is stale */
    int64_t now_ms;
    uint8_t after[FINGERPRINT];
    size_t after_n;
    size_t count; /* of the last page */
} sweep_t;

static err_t *sweep_page(db_conn_t *conn, void *arg) {
    sweep_t *sweep = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    bytes_t *rows = NULL, after = bytes_make(sweep->after, sweep->after_n);
    size_t count = 0;
    TRY(arena_new(SWEEP_ARENA, &arena));
    if (sweep->profile)
        TRY(db_directory_certs_missing(conn, arena, DIRECTORY_SOURCE, sweep->profile,
                                       sweep->now_ms / 1000, after, PAGE, &rows, &count));
    else
        TRY(db_directory_certs_stale(conn, arena, sweep->now_ms / 1000, after, PAGE, &rows,
                                     &count));
    for (size_t i = 0; i < count; i++) TRY(directory_publish_ask(conn, rows[i], sweep->now_ms));
    if (count && rows[count - 1].n == FINGERPRINT) {
        memcpy(sweep->after, rows[count - 1].p, FINGERPRINT);
        sweep->after_n = FINGERPRINT;
    }
    sweep->count = count;
    return NULL;
}

static err_t *sweep_all(db_t *db, const char *profile, int64_t now_ms) {
    sweep_t sweep = {.profile = profile, .now_ms = now_ms};
    do TRY(db_write(db, sweep_page, &sweep));
    while (sweep.count == PAGE);
    return NULL;
}

err_t *directory_publish_sweep(db_t *db, bytes_t profiles, int64_t now_ms) {
    bytes_t profile;
    TRY(sweep_all(db, NULL, now_ms));
    while (conf_list_next(&profiles, &profile)) {
        CLEANUP(buf_done) buf_t name;
        const char *text = NULL;
        buf_init(&name, LIMIT_CONFIG_BYTES);
        TRY(buf_add(&name, profile));
        TRY(buf_cstr(&name, &text));
        TRY(sweep_all(db, text, now_ms));
    }
    return NULL;
}

/* ---- one certificate ---- */

static bool is_listed(bytes_t profiles, const char *profile) {
    bytes_t one;
    while (conf_list_next(&profiles, &one))
        if (bytes_eq_str(one, profile)) return true;
    return false;
}

err_t *directory_publish_plan(db_conn_t *conn, arena_t *arena, const char *job_name,
                              bytes_t profiles, int64_t now_ms,
                              directory_publish_plan_t *ret_plan) {
    directory_publish_plan_t plan = {.what = PUBLISH_NOTHING};
    CLEANUP(buf_done) buf_t fingerprint;
    db_person_t person = {0};
    bool certified = false, published = false, known = false;
    buf_init(&fingerprint, FINGERPRINT);
    TRY(text_unhex(bytes_str(job_name), &fingerprint));
    bytes_t key = buf_bytes(&fingerprint);
    TRY(db_certificates_by_fingerprint(conn, arena, key, &plan.cert, &certified));
    TRY(db_directory_certs_get(conn, arena, key, &plan.row, &published));
    if (certified && plan.cert.person_id[0])
        TRY(db_people_by_id(conn, arena, plan.cert.person_id, &person, &known));
    bool theirs =
        known && !person.disabled && bytes_eq_str(bytes_str(person.source), DIRECTORY_SOURCE);
    bool good = certified && !plan.cert.revoked_ms && plan.cert.not_after > now_ms / 1000;
    bool wanted = theirs && good && is_listed(profiles, plan.cert.profile);
    bool elsewhere = published && known && strcmp(person.external_id, plan.row.external_id) != 0;
    if (published && (!wanted || elsewhere)) plan.what = PUBLISH_REMOVE;
    else if (!published && wanted) {
        plan.what = PUBLISH_ADD;
        plan.row = (db_directory_cert_t){.fingerprint = plan.cert.fingerprint,
                                         .external_id = person.external_id};
    }
    *ret_plan = plan;
    return NULL;
}

err_t *directory_publish_bundle(bytes_t der, const cert_t *issuer, buf_t *out) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(cert_list_done) cert_list_t chain = {0};
    TRY(cert_parse_der(der, &cert));
    TRY(cert_list_add(&chain, cert));
    if (issuer && bytes_eq(cert_issuer_der(cert), cert_subject_der(issuer)))
        TRY(cert_list_add(&chain, issuer));
    return cms_certs_only(&chain, out);
}
