/*
 * coffer-web: HTTPS for devices, people and programs. Holds the TLS key and nothing else that is
 * secret: certificates and signatures come from the keeper. Started by cofferd. Threads: HTTP
 * event threads, request workers, the keeper client's reader, the control
 * channel's, housekeeping; the main thread waits for signals.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "device/recoverable.h"
#include "escrow/objects.h"
#include "format/json.h"
#include "ipc/control.h"
#include "ipc/sandbox.h"
#include "program/common/head.h"
#include "program/common/notify_conf.h"
#include "program/common/peers.h"
#include "program/common/push_topic.h"
#include "program/common/settings.h"
#include "program/web/api_sync.h"
#include "program/web/app_push_work.h"
#include "program/web/directory_work.h"
#include "program/web/web.h"
#include "program/web/web_sync.h"
#include "store/migrate.h"

enum {
    STOP_GRACE_MS = 8000,
    SESSION_IDLE_S = 1800,
    SESSION_LIFE_S = 8 * 3600,
    SESSIONS_MAX = 10000,
    CREDENTIAL_MAX = 256 * 1024,
};

typedef struct {
    web_t web;
    control_t *control;
    peers_t peers;
    background_t *housekeeping;
    background_t *revocation_work;
    background_t *directory_work;
    background_t *escrow_work;
    notify_conf_t notify;
    char *crl_dir;
    char *store_dir;
    char *store_path;
    char *topic;    /* of pushes */
    char *scep_url; /* what devices are told */
    buf_t cert_pem, key_pem;
    buf_t device_ca_pem; /* all generations: who may show a client certificate */
} program_t;

static void on_job(void *ctx) {
    web_t *web = ctx;
    err_ignore(rpc_notify(web->courier_rpc, COURIER_WAKE, BYTES_NONE)); /* it polls as well */
}

static err_t *read_credentials(program_t *p) {
    const char *dir = p->web.settings.dir;
    CLEANUP(mem_free) char *cert = NULL;
    CLEANUP(mem_free) char *key = NULL;
    TRY(file_path(dir, "tls/cert.pem", &cert));
    TRY(file_path(dir, "tls/key.pem", &key));
    TRY(file_read(cert, &p->cert_pem));
    return file_read(key, &p->key_pem);
}

/* Which CAs may have signed a device's factory certificate: configuration, never built in. */
static err_t *read_factory_cas(web_t *web) {
    bytes_t list = web->settings.factory_cas, item;
    while (conf_list_next(&list, &item)) {
        CLEANUP(mem_free) char *name = mem_strndup((const char *)item.p, item.n);
        CLEANUP(mem_free) char *path = NULL;
        CLEANUP(buf_done) buf_t pem;
        buf_init(&pem, CREDENTIAL_MAX);
        if (!name) return err_nomem();
        TRY(settings_path(&web->settings, name, &path));
        TRY_WRAP(file_read(path, &pem), "coffer.conf: [enrol] factory_ca");
        TRY_WRAP(cert_parse_pem_list(buf_bytes(&pem), &web->factory_cas),
                 "coffer.conf: [enrol] factory_ca %s", name);
    }
    return NULL;
}

static err_t *enter_sandbox(program_t *p) {
    sandbox_report_t report;
    const char *lists = mailbook_lists(p->web.mailbook);
    CLEANUP(web_sync_paths_done) web_sync_paths_t sync;
    TRY(web_sync_paths(&p->web.settings, &sync));
    sandbox_path_t paths[4 + WEB_SYNC_PATHS] = {
        {p->store_dir, SANDBOX_READ | SANDBOX_WRITE},
        {"/dev/urandom", SANDBOX_READ},
        {"/etc/localtime", SANDBOX_READ | SANDBOX_OPTIONAL},
        {lists, SANDBOX_READ}, /* only if there is one */
    };
    size_t count = lists ? 4 : 3;
    for (size_t i = 0; i < sync.n; i++) paths[count++] = sync.list[i];
    TRY(sandbox_enter(SANDBOX_WEB, paths, count, p->web.settings.require_sandbox, &report));
    log_line(&p->web.log, report.landlock_abi ? LOG_INFO : LOG_WARNING,
             "sandbox landlock=%d seccomp=%s", report.landlock_abi,
             report.relaxed ? "relaxed" : "on");
    return NULL;
}

static revoke_policy_t policy_of(settings_policy_t policy) {
    return (revoke_policy_t){policy.revoke, policy.reason};
}

static err_t *start_revoker(program_t *p) {
    web_t *web = &p->web;
    const settings_t *s = &web->settings;
    TRY(file_path(p->store_dir, "crl", &p->crl_dir));
    return revoker_new(
        &(revoker_options_t){.db = web->db,
                             .keeper = web->keeper,
                             .pki = web->pki,
                             .audit = &web->audit,
                             .clk = clk_real(),
                             .crl_dir = p->crl_dir,
                             .crl_lifetime_s = s->crl_lifetime_s,
                             .crl_every_s = s->crl_every_s,
                             .delta_every_s = s->delta_every_s,
                             .ocsp_lifetime_s = s->ocsp_lifetime_s,
                             .policy = {policy_of(s->on_checkout), policy_of(s->on_erase),
                                        policy_of(s->on_lost), policy_of(s->on_leave)}},
        &web->revoker);
}

/* What people have seen is changed where the device can do it by itself. */
static err_t *on_reveal(void *ctx, db_conn_t *conn, arena_t *arena, const db_escrow_t *object,
                        const char *actor, const char **ret_what) {
    return devices_rotate(((web_t *)ctx)->devices, conn, arena, object, actor, ret_what);
}

static err_t *start_escrow(program_t *p) {
    web_t *web = &p->web;
    TRY(notify_conf_load(&web->settings, &p->notify));
    TRY(escrow_new(&(escrow_options_t){.db = web->db,
                                       .keeper = web->keeper,
                                       .audit = &web->audit,
                                       .clk = clk_real(),
                                       .rnd = rnd_real(),
                                       .notify = &p->notify.notify,
                                       .rotate = on_reveal,
                                       .rotate_ctx = web},
                   &web->escrow));
    TRY(app_push_work_start(web, on_job, &web->app_push));
    return streams_start(&(streams_options_t){.db = web->db,
                                              .escrow = web->escrow,
                                              .log = &web->log,
                                              .clk = clk_real(),
                                              .told = app_push_work_wake,
                                              .told_ctx = web->app_push},
                         &web->streams);
}

static err_t *start_channels(program_t *p) {
    web_t *web = &p->web;
    TRY(rpc_client_new(-1, &web->keeper_rpc));
    TRY(rpc_client_new(-1, &web->courier_rpc));
    TRY(mailgate_metrics_init(web));
    TRY(keeper_new(web->keeper_rpc, &web->keeper));
    p->peers = (peers_t){.log = &web->log,
                         .keeper = web->keeper_rpc,
                         .courier = web->courier_rpc,
                         .mailgate = web->mailgate_rpc};
    return peers_start(&p->peers, p->control);
}

static err_t *start_limits(web_t *web) {
    const settings_t *s = &web->settings;
    const clk_t *clk = clk_real();
    const rnd_t *rnd = rnd_real();
    TRY(http_rate_new(clk, rnd, (unsigned)s->rate, (unsigned)s->burst, &web->rate));
    TRY(http_rate_new(clk, rnd, 1, LIMIT_LEASE_ASKED, &web->lease_rate));
    return sessions_new(clk, rnd, SESSION_IDLE_S, SESSION_LIFE_S, SESSIONS_MAX, &web->sessions);
}

static err_t *start_services(program_t *p) {
    web_t *web = &p->web;
    const settings_t *s = &web->settings;
    const clk_t *clk = clk_real();
    const rnd_t *rnd = rnd_real();
    TRY(db_open(p->store_path, &(db_options_t){.later = true}, clk, &web->db));
    unsigned applied = 0;
    TRY(migrate_run(web->db, &applied));
    TRY(start_channels(p));
    if (settings_has_ldap(&s->ldap))
        TRY(directory_remote_new(web->courier_rpc, s->ldap.timeout_s, &web->remote));
    directory_options_t directory = {.db = web->db,
                                     .audit = &web->audit,
                                     .clk = clk,
                                     .rnd = rnd,
                                     .cheap_passwords = s->cheap_passwords,
                                     /* most workers stay free for devices */
                                     .waiting = s->workers > 8 ? (unsigned)s->workers / 8 : 1,
                                     .source =
                                         web->remote ? directory_remote_source(web->remote) : NULL};
    TRY(directory_new(&directory, &web->directory));
    pki_options_t pki = {.db = web->db,
                         .keeper = web->keeper,
                         .audit = &web->audit,
                         .clk = clk,
                         .rnd = rnd,
                         .challenge_ttl_s = s->challenge_ttl_s,
                         .pending_ttl_s = s->pending_ttl_s,
                         .renewal_window_s = s->renewal_window_s,
                         .renewal_grace_s = s->renewal_grace_s,
                         .clock_skew_s = s->clock_skew_s,
                         .manual_profiles = s->manual_profiles,
                         .publish_profiles = web->remote ? s->ldap.publish : BYTES_NONE,
                         .modern_profiles = s->modern_profiles,
                         .mail_profiles = s->mail_profiles,
                         .allow_des3 = s->scep_des3,
                         .allow_des = s->scep_des,
                         .allow_sha1 = s->scep_sha1};
    TRY(pki_new(&pki, &web->pki));
    p->scep_url = s->scep_url[0] ? mem_strdup(s->scep_url) : mem_printf("%s/scep", s->url);
    if (!p->scep_url) return err_nomem();
    TRY(start_revoker(p));
    pki_use_revoker(web->pki, web->revoker);
    TRY(start_escrow(p));
    devices_options_t devices = {.db = web->db,
                                 .keeper = web->keeper,
                                 .pki = web->pki,
                                 .revoker = web->revoker,
                                 .audit = &web->audit,
                                 .notify = &p->notify.notify,
                                 .keep = objects_keep,
                                 .clk = clk,
                                 .rnd = rnd,
                                 .organisation = s->organisation,
                                 .url = s->url,
                                 .mtls_url = s->mtls_url,
                                 .scep_url = p->scep_url,
                                 .identity_profile = s->identity_profile,
                                 .signing_profile = s->signing_profile,
                                 .mail_key_profile = s->mail_key_profile,
                                 .mail_key_approved = s->mail_key_approved,
                                 .mail_key_old_p12 = s->mail_key_old_p12,
                                 .mail_account = s->mail_account,
                                 .mail_app = s->mailbox.app,
                                 .topic = p->topic,
                                 .access_rights = s->access_rights,
                                 .sign_message = s->sign_message,
                                 .check_out_when_removed = s->check_out_when_removed,
                                 .profile_cipher = s->profile_cipher,
                                 .factory_cas = &web->factory_cas,
                                 .job_added = on_job,
                                 .job_ctx = web};
    TRY(devices_new(&devices, &web->devices));
    return start_limits(web);
}

static err_t *start_mailbook(web_t *web) {
    return mailbook_open(web->mailbook, &(mailbook_sources_t){.db = web->db,
                                                              .audit = &web->audit,
                                                              .remote = web->remote,
                                                              .root = pki_root(web->pki),
                                                              .mail_ca = pki_mail_ca(web->pki)});
}

static err_t *start_http(program_t *p) {
    web_t *web = &p->web;
    const keeper_cas_t *cas = pki_device_cas(web->pki);
    for (size_t i = 0; i < cas->n; i++) TRY(cert_pem(cas->list[i].cert, &p->device_ca_pem));
    const settings_t *s = &web->settings;
    http_listener_t listeners[3];
    size_t n = 0;
    const http_listener_t tls = {.tls = true,
                                 .cert_pem = buf_bytes(&p->cert_pem),
                                 .key_pem = buf_bytes(&p->key_pem),
                                 .hsts = true};
    listeners[n] = tls;
    listeners[n].address = s->listen.address;
    listeners[n].port = s->listen.port;
    listeners[n++].tag = WEB_TAG_HTTPS;
    if (s->http_listen.address[0])
        listeners[n++] = (http_listener_t){
            .address = s->http_listen.address, .port = s->http_listen.port, .tag = WEB_TAG_PLAIN};
    if (s->mtls_listen.address[0]) {
        listeners[n] = tls;
        listeners[n].address = s->mtls_listen.address;
        listeners[n].port = s->mtls_listen.port;
        listeners[n].tag = WEB_TAG_MTLS;
        listeners[n].request_client_cert = true;
        listeners[n++].client_ca_pem = buf_bytes(&p->device_ca_pem);
    }
    http_server_config_t config = {.listeners = listeners,
                                   .listeners_n = n,
                                   .routes = WEB_ROUTES,
                                   .routes_n = WEB_ROUTES_N,
                                   .hashed = sync_parts_put,
                                   .ctx = web,
                                   .before = web_before,
                                   .after = web_after,
                                   .step = route_sync_step,
                                   .json_prefix = "/api/",
                                   .workers = (unsigned)s->workers,
                                   .per_address = (unsigned)s->per_address};
    TRY(http_server_start(&config, &web->server));
    for (size_t i = 0; i < n; i++)
        log_line(&web->log, LOG_INFO, "listening on %s port %u (%s)", listeners[i].address,
                 http_server_port(web->server, i),
                 listeners[i].tag == WEB_TAG_PLAIN  ? "http"
                 : listeners[i].tag == WEB_TAG_MTLS ? "https with client certificates"
                                                    : "https");
    return NULL;
}

static void stop(program_t *p) {
    web_t *web = &p->web;
    web->draining = true;
    web_sync_quiet(web);
    if (web->server) http_server_stop(web->server, STOP_GRACE_MS);
    streams_stop(web->streams);
    app_push_work_stop(web->app_push);
    background_stop(p->escrow_work);
    background_stop(p->revocation_work);
    background_stop(p->directory_work);
    web_sync_stop(web);
    background_stop(p->housekeeping);
    http_server_free(web->server);
    web_sync_free(web);
    sessions_free(web->sessions);
    http_rate_free(web->rate);
    http_rate_free(web->lease_rate);
    devices_free(web->devices);
    escrow_free(web->escrow);
    notify_conf_done(&p->notify);
    mailbook_free(web->mailbook);
    revoker_free(web->revoker);
    pki_free(web->pki);
    directory_free(web->directory);
    directory_remote_free(web->remote);
    db_close(web->db);
    control_free(p->control);
    keeper_free(web->keeper);
    rpc_client_free(web->keeper_rpc);
    rpc_client_free(web->courier_rpc);
    rpc_client_free(web->mailgate_rpc);
    cert_list_done(&web->factory_cas);
    mail_policy_conf_done(&web->mail_policy);
    settings_done(&web->settings);
    buf_done(&p->key_pem);
    buf_done(&p->cert_pem);
    buf_done(&p->device_ca_pem);
    mem_free(p->store_dir);
    mem_free(p->store_path);
    mem_free(p->topic);
    mem_free(p->crl_dir);
    mem_free(p->scep_url);
}

static err_t *start(program_t *p, const char *dir) {
    web_t *web = &p->web;
    TRY(crypto_init());
    jso_init();
    TRY(settings_load(dir, &web->settings));
    TRY(expiry_conf_load(&web->settings, &web->expiry));
    TRY(mail_policy_conf_load(&web->settings, &web->mail_policy));
    TRY(head_name_node("web", web->node, sizeof web->node, &web->audit));
    TRY(file_path(web->settings.dir, "store", &p->store_dir));
    TRY(file_path(p->store_dir, "store.db", &p->store_path));
    TRY(read_credentials(p));
    TRY(read_factory_cas(web));
    TRY(mailbook_new(&web->settings, clk_real(), &web->mailbook));
    TRY(push_topic(&web->settings, &p->topic));
    TRY(control_open(&p->control));
    TRY(enter_sandbox(p));
    TRY(start_services(p));
    TRY(start_mailbook(web));
    TRY(web_sync_start(web));
    TRY(start_http(p));
    TRY(housekeeping_start(web, &p->housekeeping));
    TRY(revocation_work_start(web, &p->revocation_work));
    TRY(directory_work_start(web, &p->directory_work));
    TRY(escrow_work_start(web, &p->escrow_work));
    TRY(web_sync_begin(web));
    return control_ready(p->control);
}

static void usage(FILE *out) {
    (void)fputs("usage: coffer-web --dir DIR\n\n"
                "Serves HTTPS for an instance of Coffer. Started by cofferd.\n",
                out);
}

static int parse_arguments(int argc, char **argv, const char **ret_dir) {
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (c != 'd') break;
        *ret_dir = optarg;
    }
    if (!*ret_dir || optind != argc) {
        usage(stderr);
        return 2;
    }
    return -1;
}

int main(int argc, char **argv) {
    const char *dir = NULL;
    int done = parse_arguments(argc, argv, &dir);
    if (done >= 0) return done;
    program_t program = {0};
    program_t *p = &program;
    sigset_t signals;
    int number = 0;
    http_tune_memory();
    (void)umask(077);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);                /* cofferd starts it again: a reload */
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* inherited by every thread */
    (void)signal(SIGPIPE, SIG_IGN);
    log_init(&p->web.log, "coffer-web", clk_real());
    buf_init(&p->cert_pem, CREDENTIAL_MAX);
    buf_init_secret(&p->key_pem, CREDENTIAL_MAX);
    buf_init(&p->device_ca_pem, CREDENTIAL_MAX);
    err_t *e = start(p, dir);
    if (!e) (void)sigwait(&signals, &number);
    bool failed = e != NULL;
    log_error(&p->web.log, LOG_ERROR, e, "cannot start");
    stop(p);
    return failed ? 1 : 0;
}
