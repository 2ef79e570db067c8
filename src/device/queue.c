/*
 * The command queue of a device, and pushes. Any worker thread of coffer-web.
 */
#include "audit/note.h"
#include "device/caller.h"
#include "device/command_schema.h"
#include "device/mail_delivery.h"
#include "store/profiles.h"

err_t *device_enqueue(devices_t *devices, db_conn_t *conn, const device_queued_t *command,
                      char ret_uuid[TEXT_UUID_SIZE]) {
    char uuid[TEXT_UUID_SIZE];
    int64_t open = 0;
    TRY(db_commands_count_open(conn, command->device_id, &open));
    if (open >= LIMIT_QUEUE)
        return err_new(ERR_BUSY, "the device's queue is full (%d commands)", LIMIT_QUEUE);
    TRY(rnd_uuid(devices->o.rnd, uuid));
    const db_command_t row = {.uuid = uuid,
                              .device_id = command->device_id,
                              .request_type = command->request_type,
                              .state = "queued",
                              .payload = command->payload,
                              .secret_kind = command->secret_kind,
                              .secret_version = command->secret_version,
                              .created_by = command->created_by,
                              .created_ms = devices_now(devices)};
    TRY(db_commands_add(conn, &row));
    memcpy(ret_uuid, uuid, sizeof uuid);
    return NULL;
}

/* A full queue is the device's trouble, not the caller's: he has many devices. */
static err_t *enqueue_dict(devices_t *devices, db_conn_t *conn, const char *device_id,
                           const char *request_type, const plist_t *dict, const char *actor,
                           bool *ret_queued) {
    CLEANUP(buf_done) buf_t payload;
    char uuid[TEXT_UUID_SIZE];
    buf_init(&payload, LIMIT_COMMAND_BYTES);
    TRY_WRAP(plist_write(dict, &payload), "%s", request_type);
    const device_queued_t command = {.device_id = device_id,
                                     .request_type = request_type,
                                     .payload = buf_bytes(&payload),
                                     .secret_kind = "",
                                     .created_by = actor};
    err_t *e = device_enqueue(devices, conn, &command, uuid);
    if (e && err_code(e) != ERR_BUSY) return e;
    *ret_queued = !e;
    err_free(e);
    return NULL;
}

err_t *device_enqueue_install(devices_t *devices, db_conn_t *conn, const char *device_id,
                              bytes_t content, const char *actor, bool *ret_queued) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "RequestType", "InstallProfile"));
    TRY(plist_set_data(dict, "Payload", content));
    return enqueue_dict(devices, conn, device_id, "InstallProfile", dict, actor, ret_queued);
}

err_t *device_enqueue_remove(devices_t *devices, db_conn_t *conn, const char *device_id,
                             const char *identifier, const char *actor, bool *ret_queued) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "RequestType", "RemoveProfile"));
    TRY(plist_set_string(dict, "Identifier", identifier));
    return enqueue_dict(devices, conn, device_id, "RemoveProfile", dict, actor, ret_queued);
}

err_t *device_enqueue_plain(devices_t *devices, db_conn_t *conn, const char *device_id,
                            const char *request_type, const char *actor, bool *ret_queued) {
    const command_schema_t *schema = command_schema_find(bytes_str(request_type));
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(buf_done) buf_t secret = {.max = 1};
    plist_t *dict = NULL;
    *ret_queued = false;
    if (!schema || (devices->o.access_rights & schema->right) != schema->right) return NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(command_build(schema, NULL, dict, &secret));
    return enqueue_dict(devices, conn, device_id, request_type, dict, actor, ret_queued);
}

static err_t *enqueue_plain(devices_t *devices, db_conn_t *conn, const char *device_id,
                            const char *request_type) {
    bool queued = false;
    return device_enqueue_plain(devices, conn, device_id, request_type, "system", &queued);
}

err_t *device_enqueue_first(devices_t *devices, db_conn_t *conn, arena_t *arena,
                            const char *device_id, bool awaiting) {
    db_profile_t *profiles = NULL;
    size_t n = 0;
    TRY(enqueue_plain(devices, conn, device_id, "DeviceInformation"));
    TRY(enqueue_plain(devices, conn, device_id, "SecurityInfo"));
    TRY(db_profiles_of_device(conn, arena, device_id, &profiles, &n));
    for (size_t i = 0; i < n && devices->o.access_rights & RIGHT_INSTALL_PROFILES; i++) {
        bool queued = false;
        TRY(device_enqueue_install(devices, conn, device_id, profiles[i].content, "system",
                                   &queued));
    }
    /* The device stands in its Setup Assistant until it hears this. */
    return awaiting ? enqueue_plain(devices, conn, device_id, "DeviceConfigured") : NULL;
}

/* ---- for administrators ---- */

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const char *device;
    const char *uuid;
    bool force;
    const char *actor;
} admin_t;

static err_t *why_not_cancelled(db_conn_t *conn, const admin_t *job, const db_device_t *device) {
    db_command_t command;
    bool found = false;
    TRY(db_commands_get(conn, job->arena, job->uuid, &command, &found));
    if (!found || strcmp(command.device_id, device->id) != 0)
        return err_new(ERR_NOT_FOUND, "device %s has no command %.100s", device->enrolment_key,
                       job->uuid);
    if (strcmp(command.state, "sent") == 0)
        return err_new(ERR_BUSY,
                       "%s was sent already; the device may have obeyed it. To forget it "
                       "nevertheless, force it",
                       command.request_type);
    return err_new(ERR_EXISTS, "%s is finished already (%s)", command.request_type, command.state);
}

static err_t *cancel(db_conn_t *conn, void *arg) {
    const admin_t *job = arg;
    db_device_t device;
    bool found = false;
    char object[DEVICE_ACTOR];
    TRY(device_find(conn, job->arena, job->device, &device));
    TRY(db_commands_cancel(conn, device.id, job->uuid, job->force, devices_now(job->devices),
                           &found));
    if (!found) return why_not_cancelled(conn, job, &device);
    return audit_note(job->devices->o.audit, conn, job->actor, "command.cancel",
                      device_actor(device.enrolment_key, object), "command", job->uuid, "forced",
                      job->force ? "yes" : NULL, NULL);
}

err_t *devices_cancel(devices_t *devices, const char *device, const char *uuid, bool force,
                      const char *actor) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(DEVICE_ARENA, &arena));
    admin_t job = {devices, arena, device, uuid, force, actor};
    return db_write(devices->o.db, cancel, &job);
}

err_t *device_retire(devices_t *devices, db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                     const char *actor, const char *why) {
    db_cert_brief_t cert;
    bool found = false;
    if (!devices->o.revoker) return db_certificates_retire(conn, fingerprint, devices_now(devices));
    TRY(db_cert_briefs_by_fingerprint(conn, arena, fingerprint, &cert, &found));
    if (!found || cert.revoked_ms) return NULL;
    return revoke_certificate(devices->o.revoker, conn, &cert, CRL_SUPERSEDED, actor, why);
}

err_t *device_let_go(devices_t *devices, db_conn_t *conn, arena_t *arena, const db_device_t *device,
                     const char *actor, int64_t *ret_cancelled) {
    TRY(db_devices_set_state(conn, device->id, "removed"));
    TRY(device_end_reach(conn, device->id, "left management", devices_now(devices)));
    TRY(mail_delivery_end(devices, conn, device->id));
    TRY(device_retire(devices, conn, arena, device->identity, actor, "left management"));
    return db_commands_cancel_all(conn, device->id, devices_now(devices), ret_cancelled);
}

static err_t *release(db_conn_t *conn, void *arg) {
    const admin_t *job = arg;
    db_device_t device;
    int64_t cancelled = 0;
    char object[DEVICE_ACTOR];
    TRY(device_find(conn, job->arena, job->device, &device));
    size_t revoked = 0;
    TRY(revoke_device(job->devices->o.revoker, conn, job->arena, device.identity,
                      REVOKE_ON_CHECKOUT, job->actor, &revoked));
    TRY(device_let_go(job->devices, conn, job->arena, &device, job->actor, &cancelled));
    return audit_note(job->devices->o.audit, conn, job->actor, "device.release",
                      device_actor(device.enrolment_key, object), "commands",
                      cancelled ? "cancelled" : NULL, NULL);
}

err_t *devices_release(devices_t *devices, const char *device, const char *actor) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(DEVICE_ARENA, &arena));
    admin_t job = {devices, arena, device, "", false, actor};
    return db_write(devices->o.db, release, &job);
}

static err_t *push(db_conn_t *conn, void *arg) {
    const admin_t *job = arg;
    db_device_t device;
    char object[DEVICE_ACTOR];
    TRY(device_find(conn, job->arena, job->device, &device));
    TRY(device_require_enrolled(&device));
    TRY(device_push_job(job->devices, conn, device.id, 0));
    return audit_note(job->devices->o.audit, conn, job->actor, "device.push",
                      device_actor(device.enrolment_key, object), NULL);
}

err_t *devices_push(devices_t *devices, const char *device, const char *actor) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(DEVICE_ARENA, &arena));
    admin_t job = {devices, arena, device, "", false, actor};
    return db_write(devices->o.db, push, &job);
}
