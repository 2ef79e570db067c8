/*
 * What coffer-keeper reads from coffer.conf itself: its own sections, strictly, and nothing else
 * (decision 0013). Main thread, at start.
 */
#ifndef COFFER_PROGRAM_KEEPER_CONFIG_H
#define COFFER_PROGRAM_KEEPER_CONFIG_H

#include "keeper/cert_profile.h"

typedef struct {
    cert_profiles_t profiles;
    char *revocation_url; /* prefix of lists and OCSP in certificates; NULL: none */
    char *master;         /* name of the master key's provider */
    bool allow_des3;      /* [scep] allow_3des: open 3DES envelopes of old clients */
    bool allow_des;       /* [scep] allow_des: single DES, for very old clients */
    bool require_sandbox; /* refuse to run without Landlock */
    unsigned workers;     /* 0: one a core */
    unsigned takes_all;   /* [keeper] takes_per_day */
} keeper_config_t;

/* An absent file gives the defaults. A key of ours that is unknown is ERR_INVALID. */
err_t *keeper_config_load(const char *dir, keeper_config_t *ret_config) WARN_UNUSED;
void keeper_config_done(keeper_config_t *config);

DEFINE_CLEANUP_VALUE(keeper_config_t, keeper_config_done)

#endif
