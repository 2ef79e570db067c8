/*
 * Making an instance on disk, all or nothing: everything is made in DIR.new, which becomes DIR by
 * one rename.
 */
#ifndef COFFER_PROGRAM_COFFER_INIT_MAKE_H
#define COFFER_PROGRAM_COFFER_INIT_MAKE_H

#include "base/clk.h"
#include "base/rnd.h"
#include "program/coffer/init_conf.h"

typedef struct {
    const char *dir;
    const char *organisation;
    const char *host;  /* of the URL, for the TLS certificate; an IPv6 address without brackets */
    const char *admin; /* an e-mail address */
    const char *device_ca_key; /* "p256"; NULL: the default */
    const char *scep_mode;     /* "ca", "ra"; NULL: what the key can do */
    const init_values_t *values;
    const clk_t *clk;
    const rnd_t *rnd;
} init_make_t;

/*
 * *ret_password is a secret buffer that gets the admin's generated password. ERR_EXISTS: DIR or
 * DIR.new is there. On failure nothing stays behind.
 */
err_t *init_make(const init_make_t *init, buf_t *ret_password) WARN_UNUSED;

#endif
