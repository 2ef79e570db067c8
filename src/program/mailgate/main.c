/*
 * coffer-mailgate: an SMTP and LMTP proxy that has the policy of mail/gate.h sign, encrypt, verify
 * and decrypt what passes. Holds the key of its TLS certificate and no other. Started by cofferd;
 * ends at once, and is not missed, when coffer.conf turns it off. Threads: the main thread is the
 * event thread (loop.h); workers; the keeper client's reader, the control channel's, one that
 * answers coffer-web.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "crypto/secret.h"
#include "ipc/client.h"
#include "ipc/control.h"
#include "ipc/sandbox.h"
#include "ipc/server.h"
#include "ipc/signals.h"
#include "program/common/mailgate_wire.h"
#include "program/common/peers.h"
#include "program/mailgate/backing.h"
#include "program/mailgate/loop.h"

enum { CREDENTIAL_MAX = 256 * 1024, COUNTERS_MAX = 4096, SPARE_FILES = 256 };

typedef struct {
    settings_t settings;
    mailgate_conf_t conf;
    log_t log;
    counters_t counters;
    gatespool_t spool;
    char *spool_dir;
    control_t *control;
    peers_t peers;
    rpc_client_t *keeper_rpc;
    rpc_server_t *questions; /* of coffer-web */
    tls_context_t *tls;
    deliver_t deliver;
    backing_t backing;
    bool deliver_made;
    loop_t *loop;
    int signals;
} program_t;

static void on_question(void *ctx, const rpc_request_t *request, rpc_reply_t *reply) {
    program_t *p = ctx;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, COUNTERS_MAX);
    if (!reply) return;
    err_t *e = request->intent == MAILGATE_COUNTERS
                   ? counters_write(&p->counters, &out)
                   : err_new(ERR_INVALID, "unknown question %u", request->intent);
    rpc_reply_finish(reply, e, buf_bytes(&out));
}

/* ---- starting ---- */

static err_t *read_file(const program_t *p, const char *name, buf_t *out) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(settings_path(&p->settings, name, &path));
    return file_read(path, out);
}

static err_t *load_tls(program_t *p) {
    CLEANUP(buf_done) buf_t cert, key;
    buf_init(&cert, CREDENTIAL_MAX);
    buf_init_secret(&key, CREDENTIAL_MAX);
    if (!p->conf.certificate[0]) return NULL;
    TRY_WRAP(read_file(p, p->conf.certificate, &cert), "[mailgate] certificate");
    TRY_WRAP(read_file(p, p->conf.key, &key), "[mailgate] key");
    return tls_context_server(buf_bytes(&cert), buf_bytes(&key), &p->tls);
}

/* A descriptor a client, one a message, a worker's next hop and what it makes of a message. */
static err_t *raise_files(const program_t *p) {
    struct rlimit limit;
    rlim_t need = (rlim_t)p->conf.connections * 2 +
                  (rlim_t)p->conf.workers * (LIMIT_GATE_OPENED + 8) + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return err_errno(errno, "getrlimit");
    if (limit.rlim_cur >= need) return NULL;
    if (limit.rlim_max < need)
        return err_new(ERR_LIMIT,
                       "[mailgate] connections = %lld needs %llu open files, the system "
                       "allows %llu",
                       (long long)p->conf.connections, (unsigned long long)need,
                       (unsigned long long)limit.rlim_max);
    limit.rlim_cur = need;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? NULL : err_errno(errno, "setrlimit");
}

static err_t *open_spool(program_t *p) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(settings_path(&p->settings, p->conf.spool, &p->spool_dir));
    TRY(file_mkdir(p->spool_dir, 0700));
    p->spool = (gatespool_t){
        .dir = p->spool_dir, .max = (uint64_t)p->conf.spool_max, .counters = &p->counters};
    TRY(file_path(p->spool_dir, "ledger", &path));
    return ledger_open(path, clk_real(), &p->deliver.ledger);
}

static err_t *enter_sandbox(program_t *p) {
    sandbox_report_t report;
    const char *lists = mail_gateway_lists(p->backing.gateway);
    const sandbox_path_t paths[] = {
        {p->spool_dir, SANDBOX_READ | SANDBOX_WRITE},
        {p->backing.store_dir, SANDBOX_READ | SANDBOX_WRITE},
        {"/dev/urandom", SANDBOX_READ},
        {"/etc", SANDBOX_READ},                    /* resolver, hosts */
        {"/usr/lib", SANDBOX_READ | SANDBOX_EXEC}, /* name service modules */
        {"/run/systemd/resolve", SANDBOX_READ | SANDBOX_OPTIONAL},
        {lists, SANDBOX_READ}, /* the last: only if there is one */
    };
    TRY(sandbox_enter(SANDBOX_MAILGATE, paths, sizeof paths / sizeof paths[0] - (lists ? 0 : 1),
                      p->settings.require_sandbox, &report));
    log_line(&p->log, report.landlock_abi ? LOG_INFO : LOG_WARNING,
             "sandbox landlock=%d seccomp=%s", report.landlock_abi,
             report.relaxed ? "relaxed" : "on");
    return NULL;
}

static err_t *prepare(program_t *p) {
    deliver_t *d = &p->deliver;
    TRY(load_tls(p));
    TRY(raise_files(p));
    TRY(open_spool(p));
    TRY(backing_prepare(&p->backing, &p->settings, &p->conf, &p->spool, &p->log));
    d->conf = &p->conf;
    d->log = &p->log;
    d->counters = &p->counters;
    d->spool = &p->spool;
    d->rnd = rnd_real();
    d->clk = clk_real();
    for (side_t side = SIDE_OUT; side < SIDES; side++)
        if (p->conf.sides[side].next.there)
            TRY(nexthop_new(&p->settings, &p->conf, side, clk_real(), &p->counters,
                            &d->hops[side]));
    TRY(deliver_init(d));
    p->deliver_made = true;
    return loop_new(&(loop_options_t){.conf = &p->conf,
                                      .deliver = d,
                                      .tls = p->tls,
                                      .log = &p->log,
                                      .counters = &p->counters,
                                      .spool = &p->spool,
                                      .clk = clk_real()},
                    &p->loop);
}

/* *ret_on false: there is nothing to do. */
static err_t *start(program_t *p, const char *dir, bool *ret_on) {
    TRY(crypto_init());
    TRY(settings_load(dir, &p->settings));
    TRY(mailgate_conf_load(&p->settings, &p->conf));
    TRY(control_open(&p->control));
    *ret_on = mailgate_is_on(&p->conf);
    if (!*ret_on) return control_off(p->control);
    TRY(prepare(p));
    TRY(enter_sandbox(p));
    TRY(rpc_client_new(-1, &p->keeper_rpc));
    TRY(backing_start(&p->backing, p->keeper_rpc));
    TRY(policy_new(mail_gateway_gate(p->backing.gateway), &p->deliver.policy));
    TRY(rpc_server_new(&(rpc_server_config_t){.ctx = p, .handle = on_question, .workers = 1},
                       &p->questions));
    p->peers = (peers_t){.log = &p->log, .keeper = p->keeper_rpc, .web = p->questions};
    TRY(peers_start(&p->peers, p->control));
    return control_ready(p->control);
}

static void finish(program_t *p) {
    loop_free(p->loop);
    if (p->questions) rpc_server_stop(p->questions);
    control_free(p->control);
    rpc_server_free(p->questions);
    for (size_t i = 0; i < SIDES; i++) nexthop_free(p->deliver.hops[i]);
    policy_free(p->deliver.policy);
    backing_done(&p->backing);
    ledger_close(p->deliver.ledger);
    if (p->deliver_made) deliver_done(&p->deliver);
    rpc_client_free(p->keeper_rpc);
    tls_context_free(p->tls);
    settings_done(&p->settings);
    mem_free(p->spool_dir);
    fd_close(p->signals);
}

/* SIGHUP ends it too: cofferd starts it again, which is a reload. */
static bool options_parse(int argc, char **argv, const char **ret_dir, int *ret_status) {
    static const char text[] = "usage: coffer-mailgate --dir DIR\n\n"
                               "Mail gateway of an instance of Coffer. Started by cofferd.\n";
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') {
            *ret_status = fputs(text, stdout) < 0;
            return false;
        }
        if (c == 'd') *ret_dir = optarg;
        else *ret_dir = NULL;
        if (c != 'd') break;
    }
    if (*ret_dir && optind == argc) return true;
    (void)fputs(text, stderr);
    *ret_status = 2;
    return false;
}

int main(int argc, char **argv) {
    const char *dir = NULL;
    int status = 0;
    bool on = false;
    if (!options_parse(argc, argv, &dir, &status)) return status;
    (void)umask(077);
    program_t program = {.signals = -1};
    log_init(&program.log, "coffer-mailgate", clk_real());
    err_t *e = signals_watch(&program.signals);
    if (!e) e = start(&program, dir, &on);
    if (!e && on) e = loop_run(program.loop, program.signals);
    bool failed = e != NULL;
    log_error(&program.log, LOG_ERROR, e, "cannot serve");
    finish(&program);
    return failed ? 1 : 0;
}
