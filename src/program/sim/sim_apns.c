/*
 * coffer-sim apns, coffer-sim apns-cert: the stand-in for Apple's push service and its
 * certificates. Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "program/sim/apns_server.h"
#include "program/sim/factory.h"
#include "program/sim/sim.h"

static const char serve_help[] =
    "usage: coffer-sim apns --listen HOST:PORT --tls-cert FILE --tls-key FILE --client-ca FILE\n"
    "                       --device-port PORT [--script FILE] [--log FILE]\n\n"
    "Stands in for Apple's push service: HTTP/2 over TLS, client certificate demanded, its UID "
    "must\n"
    "be the topic. Checks every request strictly and passes pushes on to simulated devices\n"
    "(coffer-sim run --apns 127.0.0.1:PORT); keeps one for each device that is away. SIGTERM ends\n"
    "it.\n\n"
    "  --listen HOST:PORT   where providers connect; port 0: the kernel chooses, the line printed\n"
    "                       says which\n"
    "  --tls-cert, --tls-key, --client-ca FILE   PEM; see coffer-sim apns-cert\n"
    "  --device-port PORT   plain TCP on 127.0.0.1 for devices\n"
    "  --script FILE        faults, one a line: \"410 next 1\", \"429 next 3\", \"503 next 2\",\n"
    "                       \"stall next 1 5s\", \"goaway after 5\", \"close after 3\",\n"
    "                       \"badtoken HEX\"\n"
    "  --log FILE           one JSON line for each request, appended\n"
    "  --json, --quiet      JSON lines; nothing\n";

static const char cert_help[] =
    "usage: coffer-sim apns-cert --out DIR --topic com.apple.mgmt.External.NAME [--app ID] "
    "[--host NAME]\n\n"
    "Makes what the push stand-in and an instance need to talk: DIR/ca.*, DIR/server.* (for\n"
    "localhost and 127.0.0.1, and --host), DIR/push.* (the push certificate: its UID is the "
    "topic),\n"
    "each as .cert.pem and .key.pem.\n\n"
    "  --out DIR       where to put them\n"
    "  --topic TOPIC   the push topic\n"
    "  --app ID        also app-push-*.pem, for pushes to the app with this bundle identifier\n"
    "  --host NAME     another DNS name of the stand-in\n"
    "  --json, --quiet JSON lines; nothing\n";

enum { FILE_BYTES = 256 * 1024, CERT_DAYS = 365 };

typedef struct {
    const char *listen, *cert, *key, *ca, *device_port, *script, *log;
    sim_out_t out;
    char host[64];
    uint16_t port;
    uint64_t devices;
} arguments_t;

static err_t *read_arguments(int argc, char **argv, arguments_t *a) {
    const sim_option_t options[] = {
        {"listen", &a->listen, NULL},   {"tls-cert", &a->cert, NULL},
        {"tls-key", &a->key, NULL},     {"client-ca", &a->ca, NULL},
        {"script", &a->script, NULL},   {"device-port", &a->device_port, NULL},
        {"log", &a->log, NULL},         {"json", NULL, &a->out.json},
        {"quiet", NULL, &a->out.quiet},
    };
    TRY(sim_args(argc, argv, options, sizeof options / sizeof options[0], NULL, 0, NULL));
    TRY(sim_need(a->listen, "listen"));
    TRY(sim_need(a->cert, "tls-cert"));
    TRY(sim_need(a->key, "tls-key"));
    TRY(sim_need(a->ca, "client-ca"));
    TRY(sim_host_port(a->listen, a->host, &a->port));
    return sim_number(a->device_port, "device-port", 65535, 2198, &a->devices);
}

static err_t *open_tls(const arguments_t *a, tls_server_t **ret_tls) {
    CLEANUP(buf_done) buf_t cert;
    CLEANUP(buf_done) buf_t key;
    CLEANUP(buf_done) buf_t ca;
    buf_init(&cert, FILE_BYTES);
    buf_init_secret(&key, FILE_BYTES);
    buf_init(&ca, FILE_BYTES);
    TRY(file_read(a->cert, &cert));
    TRY(file_read(a->key, &key));
    TRY(file_read(a->ca, &ca));
    tls_server_config_t config = {.cert_pem = buf_bytes(&cert),
                                  .key_pem = buf_bytes(&key),
                                  .client_ca_pem = buf_bytes(&ca),
                                  .alpn = "h2"};
    return tls_server_new(&config, ret_tls);
}

static err_t *serve(int argc, char **argv) {
    arguments_t a = {0};
    CLEANUP(tls_server_free) tls_server_t *tls = NULL;
    CLEANUP(apns_lines_free) apns_lines_t *lines = NULL;
    CLEANUP(buf_done) buf_t script;
    CLEANUP(fd_close) int log = -1;
    sigset_t signals;
    buf_init(&script, FILE_BYTES);
    TRY(read_arguments(argc, argv, &a));
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    apns_t apns = {.clk = clk_real(), .log = -1};
    if (a.script) {
        TRY(file_read(a.script, &script));
        TRY(apns_script_parse(buf_bytes(&script), &apns.script));
    }
    if (a.log) {
        log = open(a.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0) return err_errno(errno, "%s", a.log);
        apns.log = log;
    }
    TRY(open_tls(&a, &tls));
    TRY(apns_lines_new(&lines));
    apns.lines = lines;
    apns_server_options_t options = {.host = a.host,
                                     .port = a.port,
                                     .device_port = (uint16_t)a.devices,
                                     .tls = tls,
                                     .out = &a.out};
    return apns_serve(&apns, &options);
}

static err_t *make_server(const credential_t *ca, const char *host, int64_t now,
                          credential_t *ret_server) {
    static const name_entry_t subject[] = {{"O", "Coffer Simulator"}, {"CN", "localhost"}};
    const san_entry_t sans[] = {{SAN_DNS, "localhost"},
                                {SAN_IP, "127.0.0.1"},
                                {SAN_IP, "::1"},
                                {SAN_DNS, host ? host : "localhost"}};
    const credential_spec_t spec = {.subject = subject,
                                    .subject_n = 2,
                                    .sans = sans,
                                    .sans_n = host ? 4 : 3,
                                    .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
                                    .eku = OID_EKU_SERVER_AUTH,
                                    .days = CERT_DAYS};
    return credential_make(&spec, PKEY_P256, ca, now, rnd_real(), ret_server);
}

static err_t *make_push(const credential_t *ca, const char *topic, int64_t now,
                        credential_t *ret_push) {
    CLEANUP(mem_free) char *common = mem_printf("APSP:%.40s", topic);
    if (!common) return err_nomem();
    const name_entry_t subject[] = {{OID_UID, topic}, {"CN", common}, {"C", "US"}};
    const credential_spec_t spec = {.subject = subject,
                                    .subject_n = 3,
                                    .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
                                    .eku = OID_EKU_CLIENT_AUTH,
                                    .days = CERT_DAYS};
    return credential_make(&spec, PKEY_RSA, ca, now, rnd_real(), ret_push);
}

static err_t *write_pair(const credential_t *credential, const char *dir, const char *key_name,
                         const char *cert_name) {
    CLEANUP(mem_free) char *key = NULL;
    CLEANUP(mem_free) char *cert = NULL;
    TRY(file_path(dir, key_name, &key));
    TRY(file_path(dir, cert_name, &cert));
    return credential_write(credential, key, cert);
}

static err_t *make_certificates(int argc, char **argv) {
    static const name_entry_t ca_subject[] = {{"O", "Coffer Simulator"},
                                              {"CN", "Coffer Simulator Push CA"}};
    CLEANUP(credential_done) credential_t ca = {0};
    CLEANUP(credential_done) credential_t server = {0};
    CLEANUP(credential_done) credential_t push = {0};
    CLEANUP(credential_done) credential_t app_push = {0};
    const char *dir = NULL, *topic = NULL, *host = NULL, *app = NULL;
    sim_out_t out = {0};
    const sim_option_t options[] = {{"out", &dir, NULL},       {"topic", &topic, NULL},
                                    {"host", &host, NULL},     {"app", &app, NULL},
                                    {"json", NULL, &out.json}, {"quiet", NULL, &out.quiet}};
    TRY(sim_args(argc, argv, options, 6, NULL, 0, NULL));
    TRY(sim_need(dir, "out"));
    TRY(sim_need(topic, "topic"));
    if (strncmp(topic, "com.apple.mgmt.", 15) != 0)
        return err_new(ERR_USAGE, "a push topic begins with com.apple.mgmt.");
    int64_t now = clk_unix(clk_real());
    const credential_spec_t spec = {.subject = ca_subject,
                                    .subject_n = 2,
                                    .is_ca = true,
                                    .key_usage = KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN,
                                    .days = CERT_DAYS};
    TRY(file_mkdir(dir, 0700));
    TRY(credential_make(&spec, PKEY_P256, NULL, now, rnd_real(), &ca));
    TRY(make_server(&ca, host, now, &server));
    TRY(make_push(&ca, topic, now, &push));
    TRY(write_pair(&ca, dir, "ca-key.pem", "ca.pem"));
    TRY(write_pair(&server, dir, "server-key.pem", "server-cert.pem"));
    TRY(write_pair(&push, dir, "push-key.pem", "push-cert.pem"));
    if (app) TRY(make_push(&ca, app, now, &app_push));
    if (app) TRY(write_pair(&app_push, dir, "app-push-key.pem", "app-push-cert.pem"));
    sim_note(&out, "apns.certificates",
             "made ca.pem, server-*.pem and push-*.pem in %s for the topic %s", dir, topic);
    return NULL;
}

const sim_command_t sim_apns = {"apns", "stand in for Apple's push service", serve_help, serve};
const sim_command_t sim_apns_cert = {"apns-cert", "make the stand-in's and the push certificate",
                                     cert_help, make_certificates};
