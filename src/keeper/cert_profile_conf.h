/*
 * Certificate profiles from coffer.conf: the one place where the key-holding process meets the
 * configuration's reader (docs/decisions/0013). At start, before the sandbox, on the main thread.
 */
#ifndef COFFER_KEEPER_CERT_PROFILE_CONF_H
#define COFFER_KEEPER_CERT_PROFILE_CONF_H

#include "format/conf.h"
#include "keeper/cert_profile.h"

/*
 * The built-in ones, changed and added to by the sections [certificate-profile NAME]; keys that
 * are absent keep the built-in value of that name, or else that of device-identity. ERR_INVALID
 * names section and key.
 */
err_t *cert_profiles_load(conf_t *conf, cert_profiles_t *ret_profiles) WARN_UNUSED;

#endif
