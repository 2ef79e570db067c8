/*
 * The many devices of coffer-sim load, on disk between its modes: DIR/keys.pem (a few RSA keys
 * that they share: for a server it makes no difference and it saves minutes) and DIR/devices.pem
 * (their certificates, in order).
 */
#ifndef COFFER_SIM_LOAD_DEVICES_H
#define COFFER_SIM_LOAD_DEVICES_H

#include "base/rnd.h"
#include "crypto/cms.h"

enum { LOAD_DEVICES_MAX = 100000, LOAD_KEYS_MAX = 1024, LOAD_UDID = 32 };

typedef struct {
    char *dir;
    pkey_t **keys;
    size_t keys_n;
    cms_signer_t **signers; /* one a device, with its certificate */
    size_t n;
} load_devices_t;

/* Loads DIR/keys.pem, making `keys` keys if it is not there. */
err_t *load_devices_open(const char *dir, size_t keys, load_devices_t *ret_devices) WARN_UNUSED;
/* Loads the certificates as well; ERR_NOT_FOUND if there are fewer than n. */
err_t *load_devices_certified(load_devices_t *devices, size_t n) WARN_UNUSED;
void load_devices_done(load_devices_t *devices);

pkey_t *load_devices_key(const load_devices_t *devices, size_t index); /* borrowed */
/* Writes DIR/devices.pem. */
err_t *load_devices_save(const load_devices_t *devices, const cert_list_t *certs) WARN_UNUSED;
/* The UDID of device `index`. */
void load_devices_udid(size_t index, char out[LOAD_UDID]);
/* "Mdm-Signature: ..." for a body, as device `index` signs it (mem_free). */
err_t *load_devices_sign(const load_devices_t *devices, size_t index, bytes_t body,
                         char **ret_header) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(load_devices_t, load_devices_done)

#endif
