/*
 * coffer-keeper: the only holder of keys. Answers typed intents that come in over channels which
 * cofferd hands it; no network, no other files than its vault. With --init it makes the keys of a
 * new instance, with --rollover it makes the next device CA or has it take over, with --verify-log
 * it checks its own log.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "crypto/secret.h"
#include "keeper/init.h"
#include "program/keeper/config.h"
#include "program/keeper/serve.h"

/* BUSY: another keeper serves; ORDER: the step does not come now. `coffer` explains them. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BUSY = 3, EXIT_ORDER = 4 };

typedef struct {
    const char *dir, *organisation, *host, *key, *mode;
    bool init, rollover, activate, verify_log, version, help;
} arguments_t;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(KEEPER_ASAN)
/* The leak check traces the process, which the sandbox forbids. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

static void usage(FILE *out) {
    (void)fputs(
        "usage: coffer-keeper --dir DIR\n"
        "       coffer-keeper --dir DIR --init --org NAME --host HOST\n"
        "                     [--device-ca-key KEY] [--scep-mode ca|ra]\n"
        "       coffer-keeper --dir DIR --rollover [--device-ca-key KEY] [--scep-mode ca|ra]\n"
        "       coffer-keeper --dir DIR --rollover --activate\n"
        "       coffer-keeper --dir DIR --verify-log\n"
        "Holds the keys of the instance in DIR; started by cofferd.\n"
        "  --init               make the vault, the CAs and the TLS certificate\n"
        "  --org NAME           the organisation, for the certificates\n"
        "  --host HOST          DNS name or IP address of the HTTPS server\n"
        "  --device-ca-key KEY  rsa2048 (default), rsa3072, rsa4096, p256, p384\n"
        "  --scep-mode MODE     ca: the device CA speaks SCEP itself (needs an RSA key);\n"
        "                       ra: a registration authority with keys of its own does\n"
        "  --rollover           make the next device CA; no keeper may be serving\n"
        "  --activate           with --rollover: the next device CA becomes current\n"
        "  --verify-log         check the chain of the keeper's log\n"
        "  --version            print the version\n",
        out);
}

static bool parse(int argc, char **argv, arguments_t *arguments) {
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"init", no_argument, NULL, 'i'},
        {"org", required_argument, NULL, 'o'},
        {"host", required_argument, NULL, 'H'},
        {"device-ca-key", required_argument, NULL, 'k'},
        {"scep-mode", required_argument, NULL, 'm'},
        {"rollover", no_argument, NULL, 'r'},
        {"activate", no_argument, NULL, 'a'},
        {"verify-log", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'd': arguments->dir = optarg; break;
        case 'i': arguments->init = true; break;
        case 'o': arguments->organisation = optarg; break;
        case 'H': arguments->host = optarg; break;
        case 'k': arguments->key = optarg; break;
        case 'm': arguments->mode = optarg; break;
        case 'r': arguments->rollover = true; break;
        case 'a': arguments->activate = true; break;
        case 'v': arguments->verify_log = true; break;
        case 'V': arguments->version = true; break;
        case 'h': arguments->help = true; break;
        default: return false;
        }
    }
    if (arguments->version || arguments->help) return true;
    bool named = arguments->organisation && arguments->host;
    bool naming = arguments->organisation || arguments->host;
    bool keyed = arguments->key || arguments->mode;
    bool makes = arguments->init || (arguments->rollover && !arguments->activate);
    int tasks = arguments->init + arguments->rollover + arguments->verify_log;
    return optind == argc && arguments->dir && (arguments->init ? named : !naming) &&
           (makes || !keyed) && (arguments->rollover || !arguments->activate) && tasks <= 1;
}

static err_t *do_init(const arguments_t *arguments) {
    device_ca_spec_t spec;
    TRY(device_ca_spec_parse(arguments->key, arguments->mode, &spec));
    CLEANUP(keeper_config_done) keeper_config_t config = {0};
    TRY(keeper_config_load(arguments->dir, &config));
    keeper_init_t init = {
        .dir = arguments->dir,
        .organisation = arguments->organisation,
        .host = arguments->host,
        .device_ca = spec,
        .profiles = &config.profiles,
        .clk = clk_real(),
        .rnd = rnd_real(),
    };
    return keeper_init(&init);
}

static err_t *do_rollover(const arguments_t *arguments) {
    device_ca_spec_t spec;
    TRY(device_ca_spec_parse(arguments->key, arguments->mode, &spec));
    return keeper_rollover(arguments->dir, arguments->activate ? NULL : &spec);
}

static int status_of(const err_t *e) {
    switch (err_code(e)) {
    case ERR_USAGE: return EXIT_USAGE;
    case ERR_BUSY: return EXIT_BUSY;
    case ERR_EXISTS:
    case ERR_NOT_FOUND:
    case ERR_LIMIT: return EXIT_ORDER;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_INVALID:
    case ERR_AUTH:
    case ERR_DENIED:
    case ERR_VERIFY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: break;
    }
    return EXIT_FAILED;
}

static err_t *run(const arguments_t *arguments, const log_t *log) {
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* before the first key is in memory */
    TRY(crypto_init());
    if (arguments->init) return do_init(arguments);
    if (arguments->rollover) return do_rollover(arguments);
    if (!arguments->verify_log) return keeper_serve(arguments->dir, log);
    uint64_t entries = 0;
    TRY(keeper_verify(arguments->dir, &entries));
    (void)printf("the keeper's log holds: %" PRIu64 " entries\n", entries);
    return NULL;
}

int main(int argc, char **argv) {
    arguments_t arguments = {0};
    if (!parse(argc, argv, &arguments)) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (arguments.version || arguments.help) {
        if (arguments.help) usage(stdout);
        else (void)puts("coffer-keeper " COFFER_VERSION);
        return EXIT_DONE;
    }
    log_t log;
    log_init(&log, "coffer-keeper", clk_real());
    err_t *e = run(&arguments, &log);
    if (!e) return EXIT_DONE;
    int status = arguments.rollover         ? status_of(e)
                 : err_code(e) == ERR_USAGE ? EXIT_USAGE
                                            : EXIT_FAILED;
    log_error(&log, LOG_ERROR, e, "stopped");
    return status;
}
