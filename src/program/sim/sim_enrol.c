/*
 * coffer-sim enrol: a factory-new iPhone enrols, checking everything. Main thread.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/sim/device_enrol.h"
#include "program/sim/device_mdm.h"
#include "program/sim/sim.h"

static const char help[] =
    "usage: coffer-sim enrol --url URL --ca FILE --user EMAIL --password-file FILE --state DIR\n\n"
    "Plays a factory-new iPhone: logs in on the portal, goes through over-the-air enrolment\n"
    "(profile service, SCEP, encrypted configuration, SCEP again) and MDM check-in, and obeys the\n"
    "first commands. Verifies every signature, chain, nonce and content as a strict device would,\n"
    "and says so. Each step is remembered in DIR; run again after an interruption and it goes "
    "on.\n\n"
    "  --url URL             https://HOST:PORT of the instance\n"
    "  --ca FILE             PEM of the root that the device trusts (INSTANCE/public/root.pem)\n"
    "  --user EMAIL          who enrols\n"
    "  --password-file FILE  that person's password, first line; readable by the owner alone\n"
    "  --state DIR           the device's memory\n"
    "  --factory DIR         the factory CA (default DIR/factory of --state); see factory-ca\n"
    "  --udid, --serial, --product, --name, --os-version TEXT   what the device is\n"
    "  --supervised          it has an activation-lock code to tell\n"
    "  --basic               HTTP Basic instead of the portal's form\n"
    "  --old-factory         sign phase 2 with SHA-1, as real devices do\n"
    "  --mtls                offer the MDM identity as TLS client certificate, too\n"
    "  --json, --quiet       JSON lines; nothing\n";

typedef struct {
    const char *url, *ca, *user, *password_file, *state, *factory;
    device_birth_t birth;
    bool basic, old_factory, mtls;
    sim_out_t out;
} arguments_t;

static err_t *read_arguments(int argc, char **argv, arguments_t *a) {
    const sim_option_t options[] = {
        {"url", &a->url, NULL},
        {"ca", &a->ca, NULL},
        {"user", &a->user, NULL},
        {"password-file", &a->password_file, NULL},
        {"state", &a->state, NULL},
        {"factory", &a->factory, NULL},
        {"udid", &a->birth.udid, NULL},
        {"serial", &a->birth.serial, NULL},
        {"product", &a->birth.product, NULL},
        {"name", &a->birth.name, NULL},
        {"os-version", &a->birth.version, NULL},
        {"supervised", NULL, &a->birth.supervised},
        {"basic", NULL, &a->basic},
        {"old-factory", NULL, &a->old_factory},
        {"mtls", NULL, &a->mtls},
        {"json", NULL, &a->out.json},
        {"quiet", NULL, &a->out.quiet},
    };
    TRY(sim_args(argc, argv, options, sizeof options / sizeof options[0], NULL, 0, NULL));
    TRY(sim_need(a->url, "url"));
    TRY(sim_need(a->ca, "ca"));
    TRY(sim_need(a->user, "user"));
    TRY(sim_need(a->password_file, "password-file"));
    TRY(sim_need(a->state, "state"));
    if (strncmp(a->url, "https://", 8) != 0)
        return err_new(ERR_USAGE, "--url is written https://HOST:PORT");
    return NULL;
}

static err_t *born(arguments_t *a, sim_device_t *device) {
    CLEANUP(mem_free) char *factory = NULL;
    CLEANUP(credential_done) credential_t ca = {0};
    CLEANUP(buf_done) buf_t roots;
    bool made = false;
    buf_init(&roots, LIMIT_CERTIFICATE_BYTES * (size_t)8);
    TRY(file_read(a->ca, &roots));
    TRY(file_mkdir(a->state, 0700));
    if (!a->factory) TRY(file_path(a->state, "factory", &factory));
    const char *dir = a->factory ? a->factory : factory;
    int64_t now = clk_unix(clk_real());
    TRY_WRAP(factory_ca_open(dir, now, rnd_real(), &made, &ca), "factory");
    if (made)
        sim_note(
            &a->out, "factory.ca",
            "made a factory CA: name %s/factory-ca.cert.pem in coffer.conf, [enrol] factory_ca",
            dir);
    a->birth.factory_ca = &ca;
    a->birth.roots_pem = buf_bytes(&roots);
    TRY(device_create(a->state, &a->birth, now, rnd_real(), device));
    sim_step(&a->out, "device.new",
             "Device: factory-new %s \"%s\", serial %s, UDID %s, certificate of the simulator's "
             "factory",
             device_text(device, "Product"), device_text(device, "Name"),
             device_text(device, "Serial"), device_text(device, "UDID"));
    return NULL;
}

static err_t *over_the_air(arguments_t *a, sim_device_t *device) {
    CLEANUP(http_client_free) http_client_t *client = NULL;
    CLEANUP(buf_done) buf_t password;
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    http_client_config_t config = {.ca_pem = device_data(device, "Roots")};
    TRY(http_client_new(&config, &client));
    enrolment_t e = {.device = device,
                     .client = client,
                     .out = &a->out,
                     .clk = clk_real(),
                     .rnd = rnd_real(),
                     .url = a->url,
                     .user = a->user,
                     .basic = a->basic,
                     .old_factory = a->old_factory};
    if (device->stage == STAGE_NEW) {
        TRY(file_read_secret(a->password_file, &password));
        e.password = buf_bytes(&password);
        TRY(enrol_offer(&e));
        TRY(enrol_certify(&e));
    }
    if (device->stage == STAGE_CERTIFIED) TRY(enrol_configure(&e));
    return NULL;
}

static err_t *check_in(arguments_t *a, sim_device_t *device) {
    CLEANUP(http_client_free) http_client_t *client = NULL;
    unsigned obeyed = 0;
    if (a->mtls) TRY(plist_set_bool(device->state, "MTLS", true));
    TRY(mdm_client(device, &client));
    mdm_t mdm = {.device = device,
                 .client = client,
                 .out = &a->out,
                 .clk = clk_real(),
                 .rnd = rnd_real(),
                 .faults = {.apps = 12}};
    if (device->stage == STAGE_CONFIGURED) TRY(mdm_authenticate(&mdm));
    if (device->stage == STAGE_AUTHENTICATED) TRY(mdm_token_update(&mdm));
    TRY(mdm_session(&mdm, &obeyed));
    sim_step(&a->out, "mdm.idle", "MDM: idle after %u command%s; now: coffer-sim run --state %s",
             obeyed, obeyed == 1 ? "" : "s", a->state);
    return NULL;
}

static err_t *run(int argc, char **argv) {
    arguments_t a = {0};
    CLEANUP(device_done) sim_device_t device = {.lock = -1};
    bool found = false;
    TRY(read_arguments(argc, argv, &a));
    TRY(device_open(a.state, &found, &device));
    if (!found) TRY(born(&a, &device));
    else
        sim_step(&a.out, "device.resume", "Device: %s \"%s\", UDID %s, goes on where it was: %s",
                 device_text(&device, "Product"), device_text(&device, "Name"),
                 device_text(&device, "UDID"), device_stage_name(device.stage));
    if (device.stage == STAGE_ENROLLED)
        return err_new(ERR_EXISTS,
                       "the device in %s is enrolled already: coffer-sim run --state %s, or check "
                       "it out first",
                       a.state, a.state);
    if (device.stage == STAGE_GONE) TRY(device_wipe(&device));
    TRY(over_the_air(&a, &device));
    return check_in(&a, &device);
}

const sim_command_t sim_enrol = {"enrol", "a factory-new iPhone enrols, checking everything", help,
                                 run};
