/*
 * A new instance's keys: vault, master key, root CA, device CA, profile signer, audit key, storage
 * key, and the TLS server's key and certificate. All or nothing: the vault appears by one rename,
 * last. Runs in `coffer-keeper --init`, before any server exists.
 */
#ifndef COFFER_KEEPER_INIT_H
#define COFFER_KEEPER_INIT_H

#include "base/clk.h"
#include "base/err.h"
#include "base/rnd.h"
#include "keeper/cert_profile.h"
#include "keeper/device_ca.h"

typedef struct {
    const char *dir;            /* the instance D, which exists */
    const char *organisation;   /* 1..LIMIT_KEEPER_ORGANISATION bytes, printable */
    const char *host;           /* DNS name or IP address of the HTTPS server */
    device_ca_spec_t device_ca; /* its key, and SCEP's mode; all zero: RSA-2048, CA mode */
    const cert_profiles_t *profiles;
    const clk_t *clk;
    const rnd_t *rnd;
} keeper_init_t;

/* ERR_EXISTS when D has a vault already; ERR_USAGE for an unusable name. */
err_t *keeper_init(const keeper_init_t *init) WARN_UNUSED;

#endif
