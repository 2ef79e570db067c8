/*
 * coffer-sim load: many devices at once, with latency percentiles. Main thread.
 */
#include "base/file.h"
#include "base/limits.h"
#include "program/sim/load_modes.h"
#include "program/sim/sim.h"

static const char help[] =
    "usage: coffer-sim load scep    --url SCEP-URL --ca FILE --state DIR --challenges FILE ...\n"
    "       coffer-sim load checkin --url URL --ca FILE --state DIR --topic TOPIC ...\n"
    "       coffer-sim load mdm     --url URL --ca FILE --state DIR [--cycles M] ...\n\n"
    "Many devices at once. Keys, requests and signatures are made before the clock runs, replies\n"
    "are verified after it stops. Prints the rate and the latency percentiles of whole dialogues,\n"
    "and this process's own CPU time.\n\n"
    "  scep      each device asks for a certificate (PKCSReq by POST); kept in DIR for the others\n"
    "  checkin   each device sends Authenticate and TokenUpdate\n"
    "  mdm       Idle -> command -> Acknowledged until the queue is empty, M times for each "
    "device\n\n"
    "  --url URL          scep: http(s)://HOST:PORT/scep; else https://HOST:PORT\n"
    "  --ca FILE          PEM of the root\n"
    "  --state DIR        keys and certificates of the devices\n"
    "  --challenges FILE  one-time challenges, one a line: coffer scep challenge ...\n"
    "  --topic TOPIC      push topic in check-in messages\n"
    "  --devices N        default 100\n"
    "  --concurrency C    dialogues (and connections) at once, default 16\n"
    "  --cycles M         sessions of each device, default 1\n"
    "  --keys K           RSA keys that the devices share, default 16\n"
    "  --json             one JSON object\n";

static err_t *read_arguments(int argc, char **argv, load_arguments_t *a, const char **ret_mode,
                             const char **ret_ca) {
    const char *devices = NULL, *concurrency = NULL, *cycles = NULL, *keys = NULL;
    const char *words[1] = {NULL};
    size_t words_n = 0;
    uint64_t number = 0;
    const sim_option_t options[] = {
        {"url", &a->url, NULL},         {"ca", ret_ca, NULL},
        {"state", &a->state, NULL},     {"challenges", &a->challenges, NULL},
        {"topic", &a->topic, NULL},     {"devices", &devices, NULL},
        {"cycles", &cycles, NULL},      {"concurrency", &concurrency, NULL},
        {"keys", &keys, NULL},          {"json", NULL, &a->out.json},
        {"quiet", NULL, &a->out.quiet},
    };
    TRY(sim_args(argc, argv, options, sizeof options / sizeof options[0], words, 1, &words_n));
    if (words_n != 1) return err_new(ERR_USAGE, "load scep, load checkin or load mdm; see --help");
    TRY(sim_need(a->url, "url"));
    TRY(sim_need(*ret_ca, "ca"));
    TRY(sim_need(a->state, "state"));
    TRY(sim_number(devices, "devices", LOAD_DEVICES_MAX, 100, &number));
    a->devices = (size_t)number;
    TRY(sim_number(cycles, "cycles", 1000, 1, &number));
    a->cycles = (size_t)number;
    TRY(sim_number(keys, "keys", LOAD_KEYS_MAX, 16, &number));
    a->keys = (size_t)number;
    TRY(sim_number(concurrency, "concurrency", LIMIT_HTTP_MULTI, 16, &number));
    a->concurrency = (unsigned)number;
    if (!a->devices || !a->cycles || !a->keys || !a->concurrency)
        return err_new(ERR_USAGE, "--devices, --cycles, --keys and --concurrency begin at 1");
    *ret_mode = words[0];
    return NULL;
}

static err_t *dispatch(const load_arguments_t *a, const char *mode) {
    if (strcmp(mode, "scep") == 0) return load_mode_scep(a);
    if (strcmp(mode, "checkin") == 0) return load_mode_checkin(a);
    if (strcmp(mode, "mdm") == 0) return load_mode_mdm(a);
    return err_new(ERR_USAGE, "there is no load %s; see --help", mode);
}

static err_t *run(int argc, char **argv) {
    load_arguments_t a = {0};
    CLEANUP(buf_done) buf_t pem;
    const char *mode = NULL, *ca = NULL;
    buf_init(&pem, LIMIT_CERTIFICATE_BYTES * (size_t)8);
    TRY(read_arguments(argc, argv, &a, &mode, &ca));
    TRY(file_read(ca, &pem));
    TRY_WRAP(cert_parse_pem_list(buf_bytes(&pem), &a.roots), "%s", ca);
    a.http = (http_client_config_t){.ca_pem = buf_bytes(&pem)};
    err_t *e = dispatch(&a, mode);
    cert_list_done(&a.roots);
    return e;
}

const sim_command_t sim_load = {"load", "many devices at once, with latency percentiles", help,
                                run};
