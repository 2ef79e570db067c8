/*
 * coffer-courier: outbound work from the durable job table: MDM pushes, mails, webhooks, the
 * expiry watch, certificates into the directory; and the organisation's directory, of which
 * coffer-web asks over its wire. Holds the push certificate, the mail server's and the directory's
 * passwords. Reads no requests from outside. Started by cofferd. Threads: the main thread sends and
 * receives; the keeper client's reader, the control channel's, those that hear coffer-web's
 * wake-ups and questions; one a kind of job (worker.h); one for mailboxes that are watched
 * (idler.h).
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "directory/remote.h"
#include "format/json.h"
#include "ipc/client.h"
#include "ipc/control.h"
#include "ipc/sandbox.h"
#include "ipc/server.h"
#include "keeper/client.h"
#include "program/common/head.h"
#include "program/common/peers.h"
#include "program/common/push_topic.h"
#include "program/common/settings.h"
#include "program/courier/app_pusher.h"
#include "program/courier/directory_serve.h"
#include "program/courier/idler.h"
#include "program/courier/publisher.h"
#include "program/courier/pusher.h"
#include "program/courier/sender.h"
#include "program/courier/watcher.h"
#include "store/migrate.h"

enum { ROUND_MS = 1000, HEAD_EVERY_MS = 10000, CREDENTIAL_MAX = 256 * 1024, BACK_OFF_MS = 500 };

typedef struct {
    settings_t settings;
    log_t log;
    char node[96];
    audit_t audit;
    control_t *control;
    peers_t peers;
    db_t *db;
    rpc_client_t *keeper_rpc;
    keeper_t *keeper;
    rpc_server_t *wakes;
    dirserve_t *directory; /* or NULL: people are all local */
    publisher_t *_Atomic publisher;
    pusher_t *_Atomic pusher; /* set once; the wake-up thread reads it */
    notify_conf_t notify;
    app_pusher_t *_Atomic app_pusher;
    sender_t *_Atomic sender;
    watcher_t *_Atomic watcher;
    idler_t *_Atomic idler;
    char *store_dir, *store_path, *topic;
    buf_t cert_pem, key_pem, ca_pem, device_ca_pem, imap_ca_pem;
    buf_t app_cert_pem, app_key_pem; /* for pushes to mail programs */
    _Atomic bool stop;
} courier_t;

static void on_wake(void *ctx, const rpc_request_t *request, rpc_reply_t *reply) {
    courier_t *c = ctx;
    pusher_t *pusher = c->pusher;
    if (request->intent == COURIER_WAKE) {
        if (pusher) pusher_wake(pusher);
        app_pusher_wake(c->app_pusher);
        sender_wake(c->sender);
        watcher_wake(c->watcher);
        publisher_wake(c->publisher);
        idler_wake(c->idler);
    }
    if (reply) dirserve_handle(c->directory, request, reply);
}

static err_t *read_pem(const settings_t *s, const char *name, buf_t *out) {
    CLEANUP(mem_free) char *path = NULL;
    if (!name[0]) return NULL;
    TRY(settings_path(s, name, &path));
    return file_read(path, out);
}

static err_t *enter_sandbox(courier_t *c) {
    sandbox_report_t report;
    const char *ca = c->directory ? dirserve_ca(c->directory) : NULL;
    sandbox_path_t paths[7 + LIMIT_WATCH_CONF] = {
        {ca ? ca : "/dev/urandom", SANDBOX_READ}, /* libldap reads it for each connection */
        {c->store_dir, SANDBOX_READ | SANDBOX_WRITE},
        {"/dev/urandom", SANDBOX_READ},
        {"/etc", SANDBOX_READ}, /* resolver, hosts, the system's CA certificates */
        {"/usr/share/ca-certificates", SANDBOX_READ | SANDBOX_OPTIONAL},
        {"/usr/lib", SANDBOX_READ | SANDBOX_EXEC}, /* name service modules */
        {"/run/systemd/resolve", SANDBOX_READ | SANDBOX_OPTIONAL},
    };
    size_t count = 7 + watcher_paths(c->watcher, paths + 7, LIMIT_WATCH_CONF);
    TRY(sandbox_enter(SANDBOX_COURIER, paths, count, c->settings.require_sandbox, &report));
    log_line(&c->log, report.landlock_abi ? LOG_INFO : LOG_WARNING,
             "sandbox landlock=%d seccomp=%s", report.landlock_abi,
             report.relaxed ? "relaxed" : "on");
    return NULL;
}

static pusher_options_t pusher_options(const courier_t *c) {
    return (pusher_options_t){.db = c->db,
                              .audit = &c->audit,
                              .log = &c->log,
                              .clk = clk_real(),
                              .url = c->settings.push_url,
                              .topic = c->topic,
                              .http = {.ca_pem = buf_bytes(&c->ca_pem),
                                       .cert_pem = buf_bytes(&c->cert_pem),
                                       .key_pem = buf_bytes(&c->key_pem),
                                       .version = HTTP_VERSION_ALPN,
                                       .connect_ms = 10000,
                                       .total_ms = 30000,
                                       .response_max = 64 * 1024}};
}

static err_t *start_pusher(courier_t *c) {
    pusher_options_t options = pusher_options(c);
    pusher_t *pusher = NULL;
    if (!c->settings.push_certificate[0]) {
        log_line(&c->log, LOG_WARNING, "pushing is off: coffer.conf has no [push] certificate");
        return NULL;
    }
    TRY(pusher_new(&options, &pusher));
    c->pusher = pusher;
    return NULL;
}

static err_t *start_app_pusher(courier_t *c) {
    pusher_options_t options = pusher_options(c);
    app_pusher_t *pusher = NULL;
    if (!c->settings.mailbox.push_certificate[0]) return NULL;
    options.kind = PUSHER_APP;
    options.topic = c->settings.mailbox.app.identifier;
    options.http.cert_pem = buf_bytes(&c->app_cert_pem);
    options.http.key_pem = buf_bytes(&c->app_key_pem);
    TRY(app_pusher_start(&options, &pusher));
    c->app_pusher = pusher;
    return NULL;
}

/* Runs also with nothing to publish: what was published before is taken out. */
static err_t *start_publisher(courier_t *c) {
    publisher_t *publisher = NULL;
    if (!c->directory) return NULL;
    const publisher_options_t options = {.db = c->db,
                                         .audit = &c->audit,
                                         .log = &c->log,
                                         .people = dirserve_people(c->directory),
                                         .profiles = c->settings.ldap.publish,
                                         .device_ca = buf_bytes(&c->device_ca_pem)};
    TRY(publisher_start(&options, &publisher));
    c->publisher = publisher;
    return NULL;
}

/* A descriptor for each mailbox that is watched: as many as this user may have. */
static err_t *start_idler(courier_t *c) {
    idler_t *idler = NULL;
    const idler_options_t options = {.db = c->db,
                                     .keeper = c->keeper,
                                     .log = &c->log,
                                     .clk = clk_real(),
                                     .ca_pem = buf_bytes(&c->imap_ca_pem),
                                     .reconcile_s = c->settings.mailbox.reconcile_s};
    TRY(idler_start(&options, &idler));
    c->idler = idler;
    return NULL;
}

static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static err_t *start(courier_t *c, const char *dir) {
    raise_limit();
    TRY(crypto_init());
    TRY(http_client_init());
    jso_init();
    TRY(settings_load(dir, &c->settings));
    const settings_t *s = &c->settings;
    TRY(head_name_node("courier", c->node, sizeof c->node, &c->audit));
    TRY(file_path(s->dir, "store", &c->store_dir));
    TRY(file_path(c->store_dir, "store.db", &c->store_path));
    TRY_WRAP(read_pem(s, s->push_certificate, &c->cert_pem), "[push] certificate");
    TRY(notify_conf_load(s, &c->notify));
    watcher_t *watcher = NULL; /* forks its helper: before a secret is read */
    TRY(watcher_new(&(watcher_options_t){s, &c->notify, buf_bytes(&c->cert_pem)}, &watcher));
    c->watcher = watcher;
    TRY_WRAP(read_pem(s, s->push_key, &c->key_pem), "[push] key");
    TRY_WRAP(read_pem(s, s->push_ca, &c->ca_pem), "[push] ca");
    TRY_WRAP(read_pem(s, "public/device-ca.pem", &c->device_ca_pem), "device CA");
    TRY_WRAP(read_pem(s, s->mailbox.imap_ca, &c->imap_ca_pem), "[mailbox] imap_ca");
    TRY_WRAP(read_pem(s, s->mailbox.push_certificate, &c->app_cert_pem),
             "[mailbox] push_certificate");
    TRY_WRAP(read_pem(s, s->mailbox.push_key, &c->app_key_pem), "[mailbox] push_key");
    TRY(push_topic(s, &c->topic));
    if (settings_has_ldap(&s->ldap)) TRY(dirserve_new(s, &c->log, &c->directory));
    sender_t *sender = NULL;
    TRY(sender_new(s, &c->notify, &sender));
    c->sender = sender;
    TRY(control_open(&c->control));
    TRY(enter_sandbox(c));
    TRY(db_open(c->store_path, &(db_options_t){.readers = 1}, clk_real(), &c->db));
    unsigned applied = 0;
    TRY(migrate_run(c->db, &applied));
    TRY(rpc_client_new(-1, &c->keeper_rpc));
    TRY(keeper_new(c->keeper_rpc, &c->keeper));
    /* One more than may wait for the directory, so that wake-ups are always heard. */
    unsigned workers = c->directory ? LIMIT_LDAP_CALLS + 1 : 1;
    TRY(rpc_server_new(&(rpc_server_config_t){.ctx = c, .handle = on_wake, .workers = workers},
                       &c->wakes));
    TRY(start_publisher(c));
    TRY(start_pusher(c));
    TRY(start_app_pusher(c));
    TRY(sender_start(sender, c->db, &c->audit, &c->log, clk_real()));
    if (c->directory) watcher_use_directory(watcher, dirserve_people(c->directory));
    TRY(watcher_start(watcher, c->db, c->keeper, &c->audit, &c->log, clk_real()));
    TRY(start_idler(c));
    c->peers = (peers_t){.log = &c->log, .keeper = c->keeper_rpc, .web = c->wakes};
    TRY(peers_start(&c->peers, c->control));
    return control_ready(c->control);
}

static void run(courier_t *c, const sigset_t *signals) {
    int64_t head_due = 0;
    const struct timespec none = {0}, round = {.tv_sec = ROUND_MS / 1000};
    pusher_t *pusher = c->pusher;
    for (;;) {
        if (sigtimedwait(signals, NULL, pusher ? &none : &round) > 0) return;
        err_t *e = pusher ? pusher_round(pusher, ROUND_MS) : NULL;
        if (e) {
            log_error(&c->log, LOG_WARNING, e, "push round");
            const struct timespec pause = {.tv_nsec = (long)BACK_OFF_MS * 1000000};
            if (sigtimedwait(signals, NULL, &pause) > 0) return;
        }
        int64_t now = clk_mono_ms(clk_real());
        log_error(&c->log, LOG_WARNING, watcher_tick(c->watcher), "expiry watch");
        if (now < head_due) continue;
        head_due = now + HEAD_EVERY_MS;
        log_error(&c->log, LOG_WARNING, head_sign(c->db, &c->audit, c->keeper),
                  "signing the audit head");
    }
}

static void finish(courier_t *c) {
    dirserve_stop(c->directory);
    if (c->wakes) rpc_server_stop(c->wakes);
    publisher_stop(c->publisher);
    control_free(c->control);
    idler_stop(c->idler);
    rpc_server_free(c->wakes);
    pusher_free(c->pusher);
    app_pusher_stop(c->app_pusher);
    sender_free(c->sender);
    watcher_free(c->watcher);
    dirserve_free(c->directory);
    notify_conf_done(&c->notify);
    db_close(c->db);
    keeper_free(c->keeper);
    rpc_client_free(c->keeper_rpc);
    settings_done(&c->settings);
    buf_done(&c->cert_pem);
    buf_done(&c->key_pem);
    buf_done(&c->ca_pem);
    buf_done(&c->device_ca_pem);
    buf_done(&c->imap_ca_pem);
    buf_done(&c->app_cert_pem);
    buf_done(&c->app_key_pem);
    mem_free(c->store_dir);
    mem_free(c->store_path);
    mem_free(c->topic);
}

int main(int argc, char **argv) {
    static const char text[] = "usage: coffer-courier --dir DIR\n\n"
                               "Sends pushes for an instance of Coffer. Started by cofferd.\n";
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *dir = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') return fputs(text, stdout) < 0;
        if (c == 'd') dir = optarg;
        else return 2;
    }
    if (!dir || optind != argc) {
        (void)fputs(text, stderr);
        return 2;
    }
    courier_t courier = {0};
    sigset_t signals;
    (void)umask(077);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP); /* cofferd starts it again: a reload */
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    log_init(&courier.log, "coffer-courier", clk_real());
    buf_init(&courier.cert_pem, CREDENTIAL_MAX);
    buf_init_secret(&courier.key_pem, CREDENTIAL_MAX);
    buf_init(&courier.ca_pem, CREDENTIAL_MAX);
    buf_init(&courier.device_ca_pem, CREDENTIAL_MAX);
    buf_init(&courier.imap_ca_pem, CREDENTIAL_MAX);
    buf_init(&courier.app_cert_pem, CREDENTIAL_MAX);
    buf_init_secret(&courier.app_key_pem, CREDENTIAL_MAX);
    err_t *e = start(&courier, dir);
    if (!e) run(&courier, &signals);
    bool failed = e != NULL;
    log_error(&courier.log, LOG_ERROR, e, "cannot start");
    finish(&courier);
    return failed ? 1 : 0;
}
