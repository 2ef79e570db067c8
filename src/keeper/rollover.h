/*
 * Rolling the device CA over (decision 0018): the next generation is made, devices get to know it,
 * then it becomes current and the former stays for what it once certified. Changes the vault while
 * no keeper serves from it; runs in `coffer-keeper --rollover`.
 */
#ifndef COFFER_KEEPER_ROLLOVER_H
#define COFFER_KEEPER_ROLLOVER_H

#include "keeper/device_ca.h"

typedef struct {
    vault_t *vault;  /* opened, its writer not started; all borrowed */
    const char *dir; /* the instance, for public/device-ca.pem */
    const clk_t *clk;
    const rnd_t *rnd;
} rollover_t;

/*
 * Makes the next device CA under the root; its name goes to ret_name. ERR_EXISTS if there is a
 * next one; ERR_LIMIT at LIMIT_DEVICE_CAS.
 */
err_t *rollover_prepare(const rollover_t *r, const device_ca_spec_t *spec,
                        char ret_name[DEVICE_CA_NAME]) WARN_UNUSED;
/* The next one becomes current. ERR_NOT_FOUND if there is none. */
err_t *rollover_activate(const rollover_t *r, char ret_name[DEVICE_CA_NAME]) WARN_UNUSED;

#endif
