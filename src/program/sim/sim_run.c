/*
 * coffer-sim run, coffer-sim checkout: an enrolled device lives on. Main thread.
 */
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/sim/device_mdm.h"
#include "program/sim/push_client.h"
#include "program/sim/sim.h"

static const char run_help[] =
    "usage: coffer-sim run --state DIR [--apns HOST:PORT | --until-idle] [OPTIONS]\n\n"
    "Plays an enrolled device: waits for pushes through the stand-in (coffer-sim apns) and obeys\n"
    "every command as an iPhone would, until it is erased, un-enrolled or interrupted.\n\n"
    "  --state DIR         the device's memory, from coffer-sim enrol\n"
    "  --apns HOST:PORT    the stand-in's device port (default 127.0.0.1:2198)\n"
    "  --once              end after the first push and its session\n"
    "  --until-idle        do not wait: one session now, then end\n"
    "  --timeout SECONDS   end with status 1 if no push comes in this time\n"
    "  --apps N            apps in InstalledApplicationList (default 300)\n"
    "Faults:\n"
    "  --not-now N|TYPE    say NotNow to the next N commands, or to all of one type\n"
    "  --error TYPE        fail every command of this type\n"
    "  --malformed         send results cut off in the middle\n"
    "  --latency MS        take that long for each command\n"
    "  --json, --quiet     JSON lines; nothing\n";

static const char checkout_help[] =
    "usage: coffer-sim checkout --state DIR\n\n"
    "The device's user removes the enrolment profile: CheckOut goes to the server.\n\n"
    "  --state DIR         the device's memory\n"
    "  --json, --quiet     JSON lines; nothing\n";

enum { APPS_DEFAULT = 300, APPS_MAX = 5000, LATENCY_MAX_MS = 600000, RETRY_S = 1 };

typedef struct {
    const char *state, *apns, *not_now, *error, *latency, *apps, *timeout;
    bool once, until_idle, malformed;
    char host[64];
    uint16_t port;
    uint64_t timeout_s;
    sim_out_t out;
    faults_t faults;
} arguments_t;

static err_t *read_arguments(int argc, char **argv, arguments_t *a) {
    const sim_option_t options[] = {
        {"state", &a->state, NULL},         {"apns", &a->apns, NULL},
        {"not-now", &a->not_now, NULL},     {"error", &a->error, NULL},
        {"latency", &a->latency, NULL},     {"apps", &a->apps, NULL},
        {"timeout", &a->timeout, NULL},     {"once", NULL, &a->once},
        {"malformed", NULL, &a->malformed}, {"until-idle", NULL, &a->until_idle},
        {"json", NULL, &a->out.json},       {"quiet", NULL, &a->out.quiet},
    };
    TRY(sim_args(argc, argv, options, sizeof options / sizeof options[0], NULL, 0, NULL));
    TRY(sim_need(a->state, "state"));
    TRY(sim_host_port(a->apns ? a->apns : "127.0.0.1:2198", a->host, &a->port));
    TRY(sim_number(a->latency, "latency", LATENCY_MAX_MS, 0, &a->faults.latency_ms));
    TRY(sim_number(a->apps, "apps", APPS_MAX, APPS_DEFAULT, &a->faults.apps));
    TRY(sim_number(a->timeout, "timeout", 86400, 0, &a->timeout_s));
    a->faults.error_type = a->error;
    a->faults.malformed = a->malformed;
    if (!a->not_now) return NULL;
    err_t *e = text_u64(bytes_str(a->not_now), 1000000, &a->faults.not_now_count);
    if (e) a->faults.not_now_type = a->not_now;
    err_free(e);
    return NULL;
}

static err_t *open_device(const char *dir, sim_device_t *device) {
    bool found = false;
    TRY(device_open(dir, &found, device));
    if (!found)
        return err_new(ERR_NOT_FOUND, "there is no device in %s: coffer-sim enrol --state %s ...",
                       dir, dir);
    if (device->stage != STAGE_ENROLLED)
        return err_new(ERR_NOT_FOUND, "the device in %s is not enrolled (%s): coffer-sim enrol",
                       dir, device_stage_name(device->stage));
    return NULL;
}

static err_t *session(mdm_t *mdm) {
    unsigned obeyed = 0;
    TRY(mdm_session(mdm, &obeyed));
    sim_note(mdm->out, "mdm.idle", "session ended after %u command%s", obeyed,
             obeyed == 1 ? "" : "s");
    return NULL;
}

/* Waits for the line to the stand-in, which may be restarting. */
static err_t *connect_push(const arguments_t *a, const sim_device_t *device, int64_t deadline_ms,
                           push_client_t **ret_push) {
    for (;;) {
        err_t *e = push_client_open(a->host, a->port, device_data(device, "Token"), ret_push);
        if (!e || err_code(e) != ERR_UNAVAILABLE) return e;
        if (deadline_ms && clk_mono_ms(clk_real()) >= deadline_ms) return e;
        err_free(e);
        (void)nanosleep(&(struct timespec){.tv_sec = RETRY_S}, NULL);
    }
}

/* The next push of ours; a broken line is made anew. */
static err_t *await_push(const arguments_t *a, mdm_t *mdm, push_client_t **push) {
    int64_t deadline = a->timeout_s ? clk_mono_ms(clk_real()) + (int64_t)a->timeout_s * 1000 : 0;
    for (;;) {
        bytes_t magic = BYTES_NONE;
        if (!*push) {
            TRY(connect_push(a, mdm->device, deadline, push));
            sim_note(mdm->out, "push.wait", "waiting for pushes at %s:%u", a->host, a->port);
        }
        int64_t left = deadline ? deadline - clk_mono_ms(clk_real()) : -1;
        if (deadline && left < 0) left = 0;
        err_t *e = push_client_wait(*push, (int)left, &magic);
        if (e && err_code(e) == ERR_UNAVAILABLE) {
            err_free(e);
            push_client_free(STEAL(*push));
            continue;
        }
        if (e) return e;
        if (!magic.p)
            return err_new(ERR_TIMEOUT, "no push in %llu s", (unsigned long long)a->timeout_s);
        if (bytes_eq_str(magic, device_text(mdm->device, "PushMagic"))) return NULL;
        sim_note(mdm->out, "push.foreign", "a push with another magic: ignored");
    }
}

static err_t *live(const arguments_t *a, mdm_t *mdm) {
    CLEANUP(push_client_free) push_client_t *push = NULL;
    if (a->until_idle) return session(mdm);
    for (;;) {
        TRY(await_push(a, mdm, &push));
        sim_step(mdm->out, "push", "Push: magic ok, asking the server");
        err_t *e = session(mdm);
        if (a->once) return e;
        if (mdm->device->stage != STAGE_ENROLLED) return e;
        if (e && (err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT ||
                  err_code(e) == ERR_INVALID)) {
            char text[400];
            sim_note(mdm->out, "mdm.failed", "%s", err_text(e, text, sizeof text));
            err_free(e);
            continue;
        }
        if (e) return e;
    }
}

static err_t *run(int argc, char **argv) {
    arguments_t a = {0};
    CLEANUP(device_done) sim_device_t device = {.lock = -1};
    CLEANUP(http_client_free) http_client_t *client = NULL;
    TRY(read_arguments(argc, argv, &a));
    TRY(open_device(a.state, &device));
    TRY(mdm_client(&device, &client));
    mdm_t mdm = {.device = &device,
                 .client = client,
                 .out = &a.out,
                 .clk = clk_real(),
                 .rnd = rnd_real(),
                 .faults = a.faults};
    return live(&a, &mdm);
}

static err_t *check_out(int argc, char **argv) {
    arguments_t a = {0};
    CLEANUP(device_done) sim_device_t device = {.lock = -1};
    CLEANUP(http_client_free) http_client_t *client = NULL;
    TRY(read_arguments(argc, argv, &a));
    TRY(open_device(a.state, &device));
    TRY(mdm_client(&device, &client));
    mdm_t mdm = {
        .device = &device, .client = client, .out = &a.out, .clk = clk_real(), .rnd = rnd_real()};
    return mdm_check_out(&mdm);
}

const sim_command_t sim_run = {"run", "an enrolled device waits for pushes and obeys", run_help,
                               run};
const sim_command_t sim_checkout = {"checkout", "an enrolled device leaves", checkout_help,
                                    check_out};
