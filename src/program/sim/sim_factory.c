/*
 * coffer-sim factory-ca: makes the CA that simulated devices are born under. Main thread.
 */
#include "program/sim/factory.h"
#include "program/sim/sim.h"

static const char help[] =
    "usage: coffer-sim factory-ca --out DIR\n\n"
    "Makes the test factory \"Coffer Simulator Device CA\" (RSA-2048): DIR/factory-ca.key.pem and\n"
    "DIR/factory-ca.cert.pem. Name the certificate in coffer.conf, [enrol] factory_ca, and\n"
    "simulated devices may enrol; give DIR to coffer-sim enrol --factory. Does nothing if it is\n"
    "there already.\n\n"
    "  --out DIR   where to put it\n"
    "  --json      tell as JSON\n";

static err_t *run(int argc, char **argv) {
    CLEANUP(credential_done) credential_t ca = {0};
    const char *dir = NULL;
    sim_out_t out = {0};
    bool made = false;
    const sim_option_t options[] = {
        {"out", &dir, NULL}, {"json", NULL, &out.json}, {"quiet", NULL, &out.quiet}};
    TRY(sim_args(argc, argv, options, 3, NULL, 0, NULL));
    TRY(sim_need(dir, "out"));
    TRY(factory_ca_open(dir, clk_unix(clk_real()), rnd_real(), &made, &ca));
    sim_note(&out, "factory.ca", "%s %s/factory-ca.cert.pem: %s, SHA-256 %s",
             made ? "made" : "there already:", dir, cert_subject(ca.cert),
             cert_sha256_hex(ca.cert));
    return NULL;
}

const sim_command_t sim_factory = {"factory-ca",
                                   "make the CA that simulated devices are born under", help, run};
