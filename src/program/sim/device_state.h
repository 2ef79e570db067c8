/*
 * A simulated device's memory: DIR/state.plist (0600), replaced atomically after each step, and
 * its keys and certificates as PEM beside it: factory.*, ota.* (what phase 2's SCEP gave), mdm.*
 * (what it authenticates to the MDM server with). One process at a time holds a device (a lock on
 * DIR/lock). Not thread-safe.
 */
#ifndef COFFER_SIM_DEVICE_STATE_H
#define COFFER_SIM_DEVICE_STATE_H

#include "crypto/cert.h"
#include "format/plist.h"
#include "program/sim/factory.h"

/* How far it has come. Each stage is entered when everything it needs is on disk. */
typedef enum {
    STAGE_NEW,           /* factory-new: begins at the portal */
    STAGE_CERTIFIED,     /* has the identity of phase 2: goes on with phase 3 */
    STAGE_CONFIGURED,    /* has the MDM payload and identity: goes on with Authenticate */
    STAGE_AUTHENTICATED, /* goes on with TokenUpdate */
    STAGE_ENROLLED,
    STAGE_GONE, /* checked out */
} device_stage_t;

typedef struct {
    char *dir;
    int lock;
    plist_doc_t *doc;
    plist_t *state; /* the dictionary in state.plist */
    device_stage_t stage;
    cert_list_t roots; /* what the device trusts, for TLS and profiles */
    credential_t factory;
    credential_t ota; /* certificate NULL before STAGE_CERTIFIED */
    credential_t mdm; /* certificate NULL before STAGE_CONFIGURED */
} sim_device_t;

/* What a new device shall be; texts may be NULL for something random or usual. */
typedef struct {
    const char *udid, *serial, *product, *name, *version;
    bool supervised;
    bytes_t roots_pem;
    const credential_t *factory_ca;
} device_birth_t;

/* Loads what is in dir. *ret_found false (no error) if there is no device yet. ERR_BUSY if
 * another process has it. */
err_t *device_open(const char *dir, bool *ret_found, sim_device_t *ret_device) WARN_UNUSED;
/* A factory-new device in dir, which is made. */
err_t *device_create(const char *dir, const device_birth_t *birth, int64_t now, const rnd_t *rnd,
                     sim_device_t *ret_device) WARN_UNUSED;
void device_done(sim_device_t *device);

/* Writes state.plist. */
err_t *device_save(sim_device_t *device) WARN_UNUSED;
/* The same, having moved on to `stage`. */
err_t *device_advance(sim_device_t *device, device_stage_t stage) WARN_UNUSED;
/* Back to factory-new: keeps hardware identity and trusted roots, forgets all else. */
err_t *device_wipe(sim_device_t *device) WARN_UNUSED;

/* A text of the state; "" if it is not there. Borrowed until the next device_save. */
const char *device_text(const sim_device_t *device, const char *key);
bytes_t device_data(const sim_device_t *device, const char *key);
bool device_flag(const sim_device_t *device, const char *key);
const char *device_stage_name(device_stage_t stage);

DEFINE_CLEANUP_VALUE(sim_device_t, device_done)

#endif
