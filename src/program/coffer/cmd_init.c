/*
 * coffer init: makes an instance.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/init_make.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"
#include "program/common/settings.h"

static err_t *need(const args_t *args, const char *name, const char **ret_value) {
    const char *value = args_value(args, name);
    if (!value || !value[0]) return err_new(ERR_USAGE, "coffer init needs --%s", name);
    *ret_value = value;
    return NULL;
}

/* Options with a key of their own in coffer.conf, then --set. */
static err_t *read_values(const args_t *args, char *const *defaults, init_values_t *values) {
    static const char *const named[][2] = {
        {"listen", "web.listen"},
        {"http-listen", "web.http_listen"},
        {"mtls-listen", "web.mtls_listen"},
        {"mtls-url", "web.mtls_url"},
    };
    TRY(init_conf_set(values, "instance.url", defaults[0]));
    TRY(init_conf_set(values, "web.listen", defaults[1]));
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        const char *value = args_value(args, named[i][0]);
        if (value) TRY(init_conf_set(values, named[i][1], value));
    }
    if (args_flag(args, "no-require-sandbox"))
        TRY(init_conf_set(values, "instance.require_sandbox", "no"));
    size_t cursor = 0;
    for (const char *given; (given = args_each(args, "set", &cursor));) {
        const char *equals = strchr(given, '=');
        if (!equals) return err_new(ERR_USAGE, "--set is written SECTION.KEY=VALUE");
        CLEANUP(mem_free) char *name = mem_strndup(given, (size_t)(equals - given));
        if (!name) return err_nomem();
        TRY(init_conf_set(values, name, equals + 1));
    }
    return NULL;
}

static err_t *show(cli_t *cli, const init_make_t *init, const char *url, bytes_t password) {
    if (cli->json) {
        CLEANUP(jso_free) json_t *json = NULL;
        TRY(jso_object(&json));
        TRY(jso_set_str(json, "dir", init->dir));
        TRY(jso_set_str(json, "url", url));
        TRY(jso_set_str(json, "admin", init->admin));
        TRY(jso_set_string(json, "password", password));
        return output_json(cli, json);
    }
    CLEANUP(mem_free) char *dir = NULL;
    TRY(cli_quote(init->dir, &dir));
    return cli_say(cli,
                   "The instance of %s is in %s\n\n"
                   "  URL       %s/\n"
                   "  log-in    %s\n"
                   "  password  %.*s   (shown only now)\n\n"
                   "Next:\n"
                   "  1. start it:           cofferd --dir %s\n"
                   "  2. see that it runs:   coffer --dir %s status\n"
                   "  3. trust its root on your computer: %s/public/root.pem\n"
                   "  4. say in %s/coffer.conf which factory CA devices have ([enrol] factory_ca)\n"
                   "     and where the push certificate is ([push]), then start it again;\n"
                   "     [revocation] url goes into every certificate: choose it before you enrol\n"
                   "  5. add people:         coffer --dir %s user add EMAIL\n",
                   init->organisation, init->dir, url, init->admin, (int)password.n,
                   (const char *)password.p, dir, dir, init->dir, init->dir, dir);
}

/* An IPv6 address stands in a URL with brackets, in a certificate without. */
static void strip_brackets(char *host) {
    size_t n = strlen(host);
    if (n < 3 || host[0] != '[') return;
    memmove(host, host + 1, n - 2);
    host[n - 2] = '\0';
}

static err_t *run_init(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *host = NULL;
    CLEANUP(mem_free) char *listen = NULL;
    CLEANUP(mem_free) char *url = NULL;
    CLEANUP(buf_done) buf_t password;
    init_values_t values = {0};
    init_make_t init = {.values = &values, .clk = cli->clk, .rnd = cli->rnd, .dir = cli_dir(cli)};
    const char *given = NULL;
    unsigned port = 0;
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    if (!init.dir) return err_new(ERR_USAGE, "coffer init needs --dir");
    TRY(need(args, "org", &init.organisation));
    TRY(need(args, "url", &given));
    TRY(need(args, "admin", &init.admin));
    TRY(remote_split_url(given, &host, &port));
    url = mem_strdup(given);
    listen = mem_printf("0.0.0.0:%u", port);
    if (!url || !listen) return err_nomem();
    if (url[strlen(url) - 1] == '/') url[strlen(url) - 1] = '\0';
    init.device_ca_key = args_value(args, "device-ca-key");
    init.scep_mode = args_value(args, "scep-mode");
    TRY(init_conf_set(&values, "instance.organisation", init.organisation));
    TRY(read_values(args, (char *const[]){url, listen}, &values));
    strip_brackets(host);
    init.host = host;
    TRY(init_make(&init, &password));
    return show(cli, &init, url, buf_bytes(&password));
}

static const option_t options[] = {
    {"org", "NAME", "the organisation, for certificates and people"},
    {"url", "URL", "how devices will reach the server: https://host:port"},
    {"admin", "EMAIL", "the first person, who administrates"},
    {"listen", "ADDR:PORT", "default: 0.0.0.0 and the URL's port"},
    {"http-listen", "ADDR:PORT",
     "plain HTTP too, for SCEP, CA certificates, revocation lists and OCSP"},
    {"mtls-listen", "ADDR:PORT", "HTTPS that asks devices for certificates"},
    {"mtls-url", "URL", "how devices reach that"},
    {"no-require-sandbox", NULL, "run also where the kernel has no Landlock"},
    {"device-ca-key", "KEY", "rsa2048 (default), rsa3072, rsa4096, p256, p384"},
    {"scep-mode", "MODE", "ca (default with RSA): the device CA speaks SCEP; ra: an RA does"},
    {"set", "SECTION.KEY=VALUE", "any other key of coffer.conf; repeatable"},
    {NULL, NULL, NULL},
};

const command_t CMD_INIT = {
    .group = "",
    .name = "init",
    .operands = "",
    .summary = "Make a new instance in --dir",
    .notes = "Makes the configuration, all keys and certificates, an empty database, the "
             "administrator with a\ngenerated password (shown once), and DIR/api-token for this "
             "command line. All or nothing; an\nexisting DIR is refused.",
    .examples = "  coffer init --dir /var/lib/coffer --org \"Example Clinic\" \\\n"
                "    --url https://coffer.example.org:8443 --admin admin@example.org",
    .options = options,
    .run = run_init,
};
