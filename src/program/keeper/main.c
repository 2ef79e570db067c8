/*
 * coffer-keeper: the only holder of keys. Answers typed intents that come in over channels which
 * cofferd hands it; no network, no other files than its vault. With --init it makes the keys of a
 * new instance, with --verify-log it checks its own log.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "keeper/init.h"
#include "program/keeper/config.h"
#include "program/keeper/serve.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef struct {
    const char *dir, *organisation, *host, *bits;
    bool init, verify_log, version, help;
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
    (void)fputs("usage: coffer-keeper --dir DIR\n"
                "       coffer-keeper --dir DIR --init --org NAME --host HOST\n"
                "                     [--device-ca-bits N]\n"
                "       coffer-keeper --dir DIR --verify-log\n"
                "Holds the keys of the instance in DIR; started by cofferd.\n"
                "  --init               make the vault, the CAs and the TLS certificate\n"
                "  --org NAME           the organisation, for the certificates\n"
                "  --host HOST          DNS name or IP address of the HTTPS server\n"
                "  --device-ca-bits N   RSA size of the device CA: 2048 (default), 3072, 4096\n"
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
        {"device-ca-bits", required_argument, NULL, 'b'},
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
        case 'b': arguments->bits = optarg; break;
        case 'v': arguments->verify_log = true; break;
        case 'V': arguments->version = true; break;
        case 'h': arguments->help = true; break;
        default: return false;
        }
    }
    if (arguments->version || arguments->help) return true;
    bool named = arguments->organisation && arguments->host;
    bool naming = arguments->organisation || arguments->host || arguments->bits;
    return optind == argc && arguments->dir && (arguments->init ? named : !naming) &&
           !(arguments->init && arguments->verify_log);
}

static err_t *do_init(const arguments_t *arguments) {
    uint64_t bits = 0;
    if (arguments->bits) {
        TRY_WRAP(text_u64(bytes_str(arguments->bits), LIMIT_RSA_BITS_MAX, &bits),
                 "--device-ca-bits");
        if (bits != 2048 && bits != 3072 && bits != 4096)
            return err_new(ERR_USAGE, "--device-ca-bits must be 2048, 3072 or 4096");
    }
    CLEANUP(keeper_config_done) keeper_config_t config = {0};
    TRY(keeper_config_load(arguments->dir, &config));
    keeper_init_t init = {
        .dir = arguments->dir,
        .organisation = arguments->organisation,
        .host = arguments->host,
        .device_ca = {PKEY_RSA, (unsigned)bits, false},
        .profiles = &config.profiles,
        .clk = clk_real(),
        .rnd = rnd_real(),
    };
    return keeper_init(&init);
}

static err_t *run(const arguments_t *arguments, const log_t *log) {
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* before the first key is in memory */
    TRY(crypto_init());
    if (arguments->init) return do_init(arguments);
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
    int status = err_code(e) == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
    log_error(&log, LOG_ERROR, e, "stopped");
    return status;
}
