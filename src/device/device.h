/*
 * Devices: over-the-air enrolment, MDM check-in, the command queue. No sockets here: routes hand
 * in what came and send what comes back. All of it may be called from many threads at once.
 * Standards: Apple "Over-the-Air Profile Delivery Concepts", Apple device management reference.
 */
#ifndef COFFER_DEVICE_DEVICE_H
#define COFFER_DEVICE_DEVICE_H

#include "audit/audit.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/rnd.h"
#include "crypto/cert.h"
#include "device/mail_account.h"
#include "device/mail_app.h"
#include "keeper/client.h"
#include "keeper/client_escrow.h"
#include "notify/notify.h"
#include "pki/pki.h"
#include "pki/revoke.h"
#include "store/commands.h"
#include "store/db.h"
#include "store/devices.h"
#include "store/people.h"

/* Keeps what the keeper archived, inside a db_write: objects_keep of the room above. */
typedef err_t *(*device_keep_fn)(db_conn_t *conn, const keeper_archived_t *archived,
                                 const char *label, const char *actor, int64_t now_ms,
                                 int64_t *ret_seq);

typedef struct {
    db_t *db; /* borrowed, as all of these */
    keeper_t *keeper;
    pki_t *pki;
    revoker_t *revoker; /* or NULL: nothing is revoked by policy */
    const audit_t *audit;
    const notify_t *notify; /* who hears that a device waits for officers; or NULL: nobody */
    device_keep_fn keep;
    const clk_t *clk;
    const rnd_t *rnd;

    const char *organisation;
    const char *url;              /* https://host:port, no slash at the end */
    const char *mtls_url;         /* of the listener that asks for client certificates, or "" */
    const char *scep_url;         /* what devices are told; default url + "/scep" */
    const char *identity_profile; /* certificate profile; "device-identity" */
    const char *signing_profile;  /* another, of a certificate for mail; "" or NULL: none */
    const char *mail_key_profile; /* of keys that mail is encrypted to; "" or NULL: none */
    bool mail_key_approved;       /* an officer agrees before they go to a person's first device */
    bool mail_key_old_p12;        /* files for old systems: 3DES, SHA-1 */
    mail_account_t mail_account;  /* that comes with the keys, if there is one */
    mail_app_t mail_app;          /* what each new device is told, if it names a program */
    const char *topic;            /* com.apple.mgmt.*; from the push certificate */
    int64_t access_rights;        /* 1..8191 */
    bool sign_message;            /* Mdm-Signature; false: mutual TLS by mtls_url */
    bool check_out_when_removed;
    cms_cipher_t profile_cipher;    /* of phase 3's encrypted payloads */
    const cert_list_t *factory_cas; /* whose signature phase 2 must bear; empty: enrolment is off */
    void (*job_added)(void *ctx);   /* called after commit when there is work for the courier */
    void *job_ctx;
} devices_options_t;

err_t *devices_new(const devices_options_t *options, devices_t **ret_devices) WARN_UNUSED;
void devices_free(devices_t *devices);

/* ---- what a route sends back ---- */

typedef struct {
    int status;               /* HTTP status */
    const char *content_type; /* static, or NULL without a body */
    buf_t body;
} device_answer_t;

void device_answer_init(device_answer_t *answer);
void device_answer_done(device_answer_t *answer);

/* ---- over-the-air enrolment (enrol.c) ---- */

/*
 * Phase 1: the signed Profile Service payload for a person who logged in, with a one-time
 * challenge (LIMIT_ENROL_TTL_S). application/x-apple-aspen-config.
 */
err_t *devices_enrol_offer(devices_t *devices, const db_person_t *person, const char *peer,
                           device_answer_t *ret_answer) WARN_UNUSED;
/*
 * Phases 2 and 3: body is the device's signed attributes (CMS, BER or DER). Told apart by who
 * signed: a factory CA (answer: signed profile with a SCEP payload), or an identity of ours
 * (answer: signed profile, payloads encrypted to that identity: CA chain, MDM, assigned profiles).
 * ERR_VERIFY, ERR_DENIED (challenge unknown, used, expired, another device's), ERR_INVALID.
 */
err_t *devices_enrol_ota(devices_t *devices, bytes_t body, const char *peer,
                         device_answer_t *ret_answer) WARN_UNUSED;

/* ---- MDM (checkin.c, session.c) ---- */

typedef struct {
    bytes_t body;
    bytes_t signature;   /* value of Mdm-Signature (base64), or none */
    bytes_t client_cert; /* DER from TLS, or none */
    const char *peer;
} device_request_t;

/*
 * Check-in messages: Authenticate, TokenUpdate, CheckOut, UserAuthenticate (410), others refused.
 * Never answers 401; an unknown or foreign device gets 403 with ErrorCode
 * com.apple.unrecognized.device. An error is for malformed input and our own failures.
 */
err_t *devices_checkin(devices_t *devices, const device_request_t *request,
                       device_answer_t *ret_answer) WARN_UNUSED;
/*
 * One step of a command session: stores the result that came, durably, and answers with the next
 * command, or 200 with an empty body. Secrets are filled in by the keeper on the way out.
 */
err_t *devices_session(devices_t *devices, const device_request_t *request,
                       device_answer_t *ret_answer) WARN_UNUSED;

/*
 * The same in two halves, for a thread that must not wait. devices_session_begin checks the
 * signature and queues the transaction; when that is on disk, or has failed, ready(arg) is called
 * once, by any thread, perhaps before this returns. Until then the session must not be freed, and
 * what `request` points to must live until it is. If this fails, `ready` is not called.
 */
typedef struct device_session device_session_t;
err_t *devices_session_begin(devices_t *devices, const device_request_t *request,
                             void (*ready)(void *arg), void *arg,
                             device_session_t **ret_session) WARN_UNUSED;
/* Whether device_session_end has to wait for the keeper. */
bool device_session_waits(const device_session_t *x);
/* After `ready`, once: the answer, or why there is none. */
err_t *device_session_end(device_session_t *x, device_answer_t *ret_answer) WARN_UNUSED;
void device_session_free(device_session_t *x); /* takes NULL */

/* ---- the queue, for admins (queue.c) ---- */

typedef struct {
    const char *device;       /* id, UDID, serial number or name */
    const char *request_type; /* DeviceInformation, DeviceLock, ... */
    const char *parameters;   /* JSON object with Apple's key names, or "" */
    const char *actor;        /* for the audit */
    bool dry_run;             /* checks everything, queues nothing */
} device_command_t;

/*
 * Checks the command against the schema of its request type and the device, queues it and a push
 * in one transaction. Known: DeviceInformation, SecurityInfo, ProfileList, InstallProfile,
 * RemoveProfile, CertificateList, InstalledApplicationList, DeviceLock, EraseDevice,
 * ClearPasscode, RotateFileVaultKey, ActivationLockBypassCode, ClearActivationLockBypassCode,
 * RestartDevice, Settings, DeviceConfigured. ERR_NOT_FOUND, ERR_INVALID (which key, what it must
 * be), ERR_BUSY (a lock or erase is in flight; the queue is full), ERR_DENIED (device not
 * enrolled; no unlock token; a Mac's lock without PIN). *ret_uuid in the arena ("" for a dry run).
 */
err_t *devices_queue(devices_t *devices, arena_t *arena, const device_command_t *command,
                     const char **ret_uuid) WARN_UNUSED;
/* Cancels one open command. ERR_BUSY if it was sent already and not `force`. */
err_t *devices_cancel(devices_t *devices, const char *device, const char *uuid, bool force,
                      const char *actor) WARN_UNUSED;
/*
 * Ends the management of a device from this side: its identity is revoked, its queue cancelled, and
 * another person may enrol it. For a device that changes hands without having left, or is lost.
 */
err_t *devices_release(devices_t *devices, const char *device, const char *actor) WARN_UNUSED;
/*
 * Queues the profile with mail keys for devices that are due to get it: those of a person who has a
 * new key, and those that failed a while ago. person_id "": everybody's. Idempotent.
 */
err_t *devices_mail_deliver(devices_t *devices, const char *person_id,
                            size_t *ret_count) WARN_UNUSED;
/* Asks the courier for a push now. */
err_t *devices_push(devices_t *devices, const char *device, const char *actor) WARN_UNUSED;
/* Queues InstallProfile / RemoveProfile for everyone an assignment concerns. *ret_count devices. */
err_t *devices_profile_assign(devices_t *devices, const char *identifier, const char *device,
                              const char *actor, int64_t *ret_count) WARN_UNUSED;
err_t *devices_profile_unassign(devices_t *devices, const char *identifier, const char *device,
                                const char *actor, int64_t *ret_count) WARN_UNUSED;
/* Checks an admin's configuration profile (XML plist) and stores it. identifier in the arena. */
err_t *devices_profile_put(devices_t *devices, arena_t *arena, bytes_t content, const char *actor,
                           const char **ret_identifier) WARN_UNUSED;
err_t *devices_profile_remove(devices_t *devices, const char *identifier,
                              const char *actor) WARN_UNUSED;

DEFINE_CLEANUP(devices_t, devices_free)
DEFINE_CLEANUP(device_session_t, device_session_free)
DEFINE_CLEANUP_VALUE(device_answer_t, device_answer_done)

#endif
