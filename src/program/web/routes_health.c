/*
 * /healthz, /metrics (Prometheus text format) and the CA certificates for everyone.
 */
#include "base/limits.h"
#include "program/web/web.h"
#include "store/certs.h"
#include "store/devices.h"
#include "store/jobs.h"

typedef struct {
    int64_t enrolled, certificates, jobs, jobs_dead;
} counts_t;

static err_t *read_counts(db_conn_t *conn, void *arg) {
    counts_t *counts = arg;
    TRY(db_devices_count(conn, "enrolled", &counts->enrolled));
    TRY(db_certificates_count(conn, &counts->certificates));
    return db_jobs_count(conn, &counts->jobs, &counts->jobs_dead);
}

err_t *route_healthz(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    keeper_status_t status;
    counts_t counts;
    (void)request;
    if (web->draining) return err_new(ERR_UNAVAILABLE, "shutting down");
    TRY_WRAP(keeper_status(web->keeper, &status), "keeper");
    TRY_WRAP(db_read(web->db, read_counts, &counts), "store");
    return http_reply_text(reply, 200, "ok");
}

static err_t *stream_metrics(web_t *web, buf_t *out) {
    streams_stats_t s = streams_stats(web->streams);
    return buf_printf(out,
                      "# HELP coffer_streams Streams that devices hold; in flight, too.\n"
                      "# TYPE coffer_streams gauge\ncoffer_streams %zu\n"
                      "# HELP coffer_stream_events_total Mail events told to devices.\n"
                      "# TYPE coffer_stream_events_total counter\n"
                      "coffer_stream_events_total %llu\n"
                      "# HELP coffer_stream_releases_total Of them with the release of a lease.\n"
                      "# TYPE coffer_stream_releases_total counter\n"
                      "coffer_stream_releases_total %llu\n",
                      s.held, (unsigned long long)s.events, (unsigned long long)s.releases);
}

err_t *route_metrics(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    counts_t counts;
    CLEANUP(buf_done) buf_t out;
    (void)request;
    buf_init(&out, 64 * 1024);
    TRY(db_read(web->db, read_counts, &counts));
    http_server_stats_t stats = http_server_stats(web->server);
    TRY(buf_add_str(&out, "# HELP coffer_replies_total HTTP replies by status class.\n"
                          "# TYPE coffer_replies_total counter\n"));
    for (unsigned i = 1; i < 6; i++)
        TRY(buf_printf(&out, "coffer_replies_total{class=\"%uxx\"} %llu\n", i,
                       (unsigned long long)web->replies[i]));
    TRY(buf_printf(&out,
                   "# HELP coffer_requests_overloaded_total Requests refused for a full queue.\n"
                   "# TYPE coffer_requests_overloaded_total counter\n"
                   "coffer_requests_overloaded_total %llu\n"
                   "# HELP coffer_requests_in_flight Requests being handled.\n"
                   "# TYPE coffer_requests_in_flight gauge\ncoffer_requests_in_flight %u\n"
                   "# HELP coffer_devices_enrolled Devices under management.\n"
                   "# TYPE coffer_devices_enrolled gauge\ncoffer_devices_enrolled %lld\n"
                   "# HELP coffer_certificates Certificates issued.\n"
                   "# TYPE coffer_certificates gauge\ncoffer_certificates %lld\n"
                   "# HELP coffer_jobs Work waiting for the courier.\n"
                   "# TYPE coffer_jobs gauge\ncoffer_jobs{state=\"open\"} %lld\n"
                   "coffer_jobs{state=\"dead\"} %lld\n",
                   (unsigned long long)stats.overloaded, stats.in_flight,
                   (long long)counts.enrolled, (long long)counts.certificates,
                   (long long)counts.jobs, (long long)counts.jobs_dead));
    TRY(stream_metrics(web, &out));
    TRY(mailgate_metrics(web, &out));
    return http_reply_body(reply, 200, "text/plain; version=0.0.4", &out);
}

err_t *route_ca_root(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    (void)request;
    return http_reply_bytes(reply, 200, "application/x-x509-ca-cert", cert_der(pki_root(web->pki)));
}

/* "device-ca.der", "device-ca-2.der": what certificates of that generation point to. */
err_t *route_ca_mail(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    (void)request;
    return http_reply_bytes(reply, 200, "application/x-x509-ca-cert",
                            cert_der(pki_mail_ca(web->pki)));
}

err_t *route_ca_device(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    bytes_t file = http_request_param(request, "file"), ending = BYTES_LIT(".der");
    const keeper_ca_t *ca = NULL;
    if (file.n > ending.n && bytes_eq(bytes_from(file, file.n - ending.n), ending))
        ca = pki_device_ca_by_name(web->pki, bytes_slice(file, 0, file.n - ending.n));
    if (!ca) return err_new(ERR_NOT_FOUND, "there is no such CA");
    return http_reply_bytes(reply, 200, "application/x-x509-ca-cert", cert_der(ca->cert));
}
