/*
 * For the files of src/device only: what is behind a devices_t, and what they share.
 */
#ifndef COFFER_DEVICE_DEVICE_INTERNAL_H
#define COFFER_DEVICE_DEVICE_INTERNAL_H

#include "base/limits.h"
#include "device/device.h"
#include "format/plist.h"
#include "store/enrolments.h"

#define TYPE_CONFIG "application/x-apple-aspen-config"
#define TYPE_PLIST  "application/xml; charset=utf-8"
#define TYPE_JSON   "application/json"

#define SECRET_UNLOCK_TOKEN    "unlock-token"
#define SECRET_BOOTSTRAP_TOKEN "bootstrap-token"
#define SECRET_LOCK_PIN        "lock-pin"
#define SECRET_BYPASS_SERVER   "bypass-server" /* activation lock: made here */
#define SECRET_BYPASS_DEVICE   "bypass-device" /* the device's own */
#define SECRET_FILEVAULT       "filevault-key"
#define SECRET_RECEIVER        "filevault-receiver"

enum {
    DEVICE_HASH = 32,                      /* SHA-256 */
    DEVICE_ACTOR = LIMIT_DEVICE_ID + 16,   /* "device:" and an id */
    DEVICE_ARENA = 8 * 1024 * 1024,        /* bytes of one request's rows; a command has 1 MiB */
    DEVICE_PUSH_AGAIN_MS = 10 * 60 * 1000, /* after a session that left NotNow commands behind */
    DEVICE_TOUCH_MS = 60 * 1000,           /* how exact "last seen" is */
};

struct devices {
    devices_options_t o;
    char *reverse_host;  /* "org.example.coffer", begins every PayloadIdentifier; owned */
    pkey_t *speller_key; /* signs throw-away requests, see payload_subject_text; owned */
    uint8_t ca_sha1[20]; /* CAFingerprint of the current device CA */
    const char *ca_name; /* its name; the pki's */
};

/* ---- devices.c: small things everybody needs ---- */

/* "device:ID" into out; returns out. */
const char *device_actor(const char *id, char out[DEVICE_ACTOR]);
static inline int64_t devices_now(const devices_t *devices) { return clk_unix_ms(devices->o.clk); }
/* A C string in the arena. */
err_t *device_str(arena_t *arena, bytes_t text, const char **ret_text) WARN_UNUSED;
/* An answer without a body. */
void device_answer_empty(device_answer_t *answer, int status);
/* 403 that makes a device un-enrol: Apple's errors/unrecognized.device. */
err_t *device_answer_unrecognised(device_answer_t *answer) WARN_UNUSED;
/* 200 with a plist. */
err_t *device_answer_plist(device_answer_t *answer, const plist_t *node) WARN_UNUSED;
/* Hands a finished answer to the caller and leaves an empty one behind. */
void device_answer_move(device_answer_t *from, device_answer_t *ret_answer);
/* A push for this device, in the transaction that makes it necessary; wakes the courier. */
err_t *device_push_job(devices_t *devices, db_conn_t *conn, const char *device_id,
                       int64_t delay_ms) WARN_UNUSED;
/* By what a person types; ERR_NOT_FOUND. */
err_t *device_find(db_conn_t *conn, arena_t *arena, const char *text,
                   db_device_t *ret_device) WARN_UNUSED;
/* It is not managed any more: state removed, identity revoked, queue cancelled. */
err_t *device_let_go(devices_t *devices, db_conn_t *conn, arena_t *arena, const db_device_t *device,
                     const char *actor, int64_t *ret_cancelled) WARN_UNUSED;
/* Revokes one identity that another took the place of; done before: stays as it was. */
err_t *device_retire(devices_t *devices, db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                     const char *actor, const char *why) WARN_UNUSED;
/* By its product name. */
bool device_is_mac(const db_device_t *device);
/* ERR_DENIED unless the device is enrolled. */
err_t *device_require_enrolled(const db_device_t *device) WARN_UNUSED;

/* ---- queue.c ---- */

typedef struct {
    const char *device_id;
    const char *request_type;
    bytes_t payload; /* the Command dictionary as a plist */
    const char *secret_kind;
    int64_t secret_version;
    const char *created_by;
} device_queued_t;

/* Adds one command; ERR_BUSY when the queue is full. No push, no audit. */
err_t *device_enqueue(devices_t *devices, db_conn_t *conn, const device_queued_t *command,
                      char ret_uuid[TEXT_UUID_SIZE]) WARN_UNUSED;
/* InstallProfile with this content; *ret_queued false when the device's queue is full. */
err_t *device_enqueue_install(devices_t *devices, db_conn_t *conn, const char *device_id,
                              bytes_t content, const char *actor, bool *ret_queued) WARN_UNUSED;
/* A command without parameters; *ret_queued false: our access rights or its full queue forbid it.
 */
err_t *device_enqueue_plain(devices_t *devices, db_conn_t *conn, const char *device_id,
                            const char *request_type, const char *actor,
                            bool *ret_queued) WARN_UNUSED;
/* RemoveProfile. */
err_t *device_enqueue_remove(devices_t *devices, db_conn_t *conn, const char *device_id,
                             const char *identifier, const char *actor,
                             bool *ret_queued) WARN_UNUSED;
/* What every device is asked when it has just enrolled, and the profiles assigned to it. */
err_t *device_enqueue_first(devices_t *devices, db_conn_t *conn, arena_t *arena,
                            const char *device_id, bool awaiting) WARN_UNUSED;

#endif
