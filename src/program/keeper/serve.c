/*
 * Serving: vault and keys are opened, the sandbox is entered, then channels come in by the
 * control channel. Main thread: waits for channels and signals. Workers (rpc_server): intents.
 * Vault's writer: commits and late answers.
 */
#include "program/keeper/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "crypto/cms.h"
#include "ipc/control.h"
#include "ipc/sandbox.h"
#include "ipc/server.h"
#include "keeper/core.h"
#include "keeper/master.h"
#include "keeper/rollover.h"
#include "keeper/vault_lease.h"
#include "program/keeper/config.h"

enum { SWEEP_MS = 10 * 1000 }; /* how often expired leases are looked for */

typedef struct {
    const log_t *log;
    keeper_config_t config;
    vault_t *vault;
    keyring_t *keys;
    csr_cache_t *csrs;
    revocation_t *revocation;
    backups_t *backups;
    char *vault_dir;
    cert_t *new_mail_ca; /* made at this start, or NULL */
} keeper_state_t;

typedef struct {
    keeper_core_t core;
    const log_t *log;
} service_t;

static void state_done(keeper_state_t *state) {
    csr_cache_free(state->csrs);
    revocation_free(state->revocation);
    backups_free(state->backups);
    cert_free(state->new_mail_ca);
    keyring_free(state->keys);
    vault_free(state->vault);
    mem_free(state->vault_dir);
    keeper_config_done(&state->config);
}
DEFINE_CLEANUP_VALUE(keeper_state_t, state_done)

static err_t *open_vault(const char *dir, keeper_state_t *state) {
    TRY(keeper_config_load(dir, &state->config));
    TRY(file_path(dir, "vault", &state->vault_dir));
    const master_provider_t *provider = master_provider(state->config.master);
    if (!provider)
        return err_new(ERR_INVALID, "[keeper] master_key: \"%s\" is none of: file",
                       state->config.master);
    CLEANUP(secret_free) secret_t *master = NULL;
    TRY_WRAP(provider->load(state->vault_dir, &master), "master key");
    vault_options_t options = {state->vault_dir, master, clk_real(), rnd_real()};
    return vault_open(&options, false, &state->vault);
}

/* ---- requests ---- */

static void on_finish(void *arg, err_t *e, bytes_t body) { rpc_reply_finish(arg, e, body); }

static void on_request(void *ctx, const rpc_request_t *request, rpc_reply_t *reply) {
    const service_t *service = ctx;
    if (!reply) return; /* an event: the keeper knows none */
    keeper_core_handle(&service->core, request->role, request->intent, request->body,
                       (keeper_finish_t){on_finish, reply});
}

static void on_closed(void *ctx, role_t role, uint64_t channel, err_t *why) {
    const service_t *service = ctx;
    if (why)
        log_error(service->log, LOG_WARNING, why, "channel %llu of %s was closed",
                  (unsigned long long)channel, role_name(role));
}

/* ---- main thread ---- */

static err_t *block_signals(int *ret_fd) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGPIPE);
    int rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (rc != 0) return err_errno(rc, "cannot block signals");
    (void)sigdelset(&set, SIGPIPE);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot wait for signals");
    *ret_fd = fd;
    return NULL;
}

/* SIGHUP is "read the configuration again"; the keeper's rules change by a restart only. */
static bool is_end(int signals) {
    struct signalfd_siginfo info;
    ssize_t n = read(signals, &info, sizeof info);
    return n == (ssize_t)sizeof info && info.ssi_signo != SIGHUP;
}

static err_t *take_channel(control_t *control, rpc_server_t *server, bool *ret_gone) {
    role_t peer = ROLE_WEB;
    int fd = -1;
    err_t *e = control_take(control, &peer, &fd);
    if (e && err_code(e) == ERR_UNAVAILABLE) {
        err_free(e);
        *ret_gone = true;
        return NULL;
    }
    return e ? e : rpc_server_add(server, fd, peer);
}

/* Expired leases go, whatever else happens; a failure is told and tried again. */
static err_t *sweep(vault_t *vault, const log_t *log) {
    err_t *e = vault_lease_sweep(vault);
    if (e) log_error(log, LOG_WARNING, e, "expired leases could not be deleted");
    return NULL;
}

static err_t *wait_for_work(control_t *control, rpc_server_t *server, int signals, vault_t *vault,
                            const log_t *log) {
    struct pollfd fds[] = {{.fd = control_fd(control), .events = POLLIN},
                           {.fd = signals, .events = POLLIN}};
    for (bool gone = false; !gone;) {
        if (poll(fds, 2, SWEEP_MS) < 0) {
            if (errno == EINTR) continue;
            return err_errno(errno, "poll");
        }
        TRY(sweep(vault, log));
        if (fds[1].revents && is_end(signals)) return NULL;
        if (fds[0].revents) TRY(take_channel(control, server, &gone));
    }
    return NULL;
}

static err_t *enter_sandbox(const keeper_state_t *state, service_t *service) {
    sandbox_path_t paths[] = {{state->vault_dir, SANDBOX_READ | SANDBOX_WRITE}};
    sandbox_report_t report = {0};
    TRY(sandbox_enter(SANDBOX_KEEPER, paths, 1, state->config.require_sandbox, &report));
    service->core.seccomp = !report.relaxed;
    service->core.landlock = report.landlock_abi > 0;
    uint64_t certificates = 0, entries = 0;
    vault_counts(state->vault, &certificates, &entries);
    log_line(service->log, service->core.landlock ? LOG_INFO : LOG_WARNING,
             "started landlock=%s abi=%d seccomp=%s certificates=%llu log=%llu",
             service->core.landlock ? "on" : "OFF: this kernel has none", report.landlock_abi,
             report.relaxed ? "relaxed (sanitizer build)" : "on", (unsigned long long)certificates,
             (unsigned long long)entries);
    return NULL;
}

static err_t *serve(const keeper_state_t *state, service_t *service, control_t *control,
                    int signals) {
    CLEANUP(rpc_server_free) rpc_server_t *server = NULL;
    TRY(vault_start(state->vault));
    if (state->new_mail_ca) TRY(mail_ca_record(state->vault, state->new_mail_ca));
    rpc_server_config_t config = {
        .ctx = service,
        .handle = on_request,
        .closed = on_closed,
        .workers = state->config.workers,
    };
    err_t *e = rpc_server_new(&config, &server);
    if (!e) e = control_ready(control);
    if (!e) e = wait_for_work(control, server, signals, state->vault, service->log);
    if (server) rpc_server_stop(server);
    vault_stop(state->vault); /* answers what waits for a commit; the server must still be there */
    return e;
}

err_t *keeper_serve(const char *dir, const log_t *log) {
    CLEANUP(state_done) keeper_state_t state = {.log = log};
    CLEANUP(fd_close) int signals = -1;
    CLEANUP(control_free) control_t *control = NULL;
    TRY(control_open(&control));
    TRY(block_signals(&signals));
    TRY(open_vault(dir, &state));
    TRY(mail_ca_ensure(state.vault, dir, clk_real(), rnd_real(), &state.new_mail_ca));
    TRY(lease_key_ensure(state.vault));
    TRY(keyring_load(state.vault, &state.keys));
    TRY(csr_cache_new(&state.csrs));
    TRY(backups_new(state.vault, &state.backups));
    if (state.config.revocation_url)
        TRY(revocation_new(state.config.revocation_url, &state.revocation));
    service_t service = {
        .core =
            {
                .vault = state.vault,
                .keys = state.keys,
                .profiles = &state.config.profiles,
                .csrs = state.csrs,
                .revocation = state.revocation,
                .backups = state.backups,
                .clk = clk_real(),
                .rnd = rnd_real(),
                .takes_all = state.config.takes_all,
                .allow_des3 = state.config.allow_des3,
                .allow_des = state.config.allow_des,
            },
        .log = log,
    };
    if (state.config.allow_des) TRY_WRAP(cms_enable_des(), "coffer.conf: [scep] allow_des");
    TRY(enter_sandbox(&state, &service));
    return serve(&state, &service, control, signals);
}

err_t *keeper_verify(const char *dir, uint64_t *ret_entries) {
    CLEANUP(state_done) keeper_state_t state = {0};
    TRY(open_vault(dir, &state));
    return vault_log_verify(state.vault, ret_entries);
}

err_t *keeper_rollover(const char *dir, const device_ca_spec_t *spec) {
    CLEANUP(state_done) keeper_state_t state = {0};
    char name[DEVICE_CA_NAME];
    TRY(open_vault(dir, &state));
    rollover_t r = {state.vault, dir, clk_real(), rnd_real()};
    return spec ? rollover_prepare(&r, spec, name) : rollover_activate(&r, name);
}
