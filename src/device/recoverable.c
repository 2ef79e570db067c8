/*
 * See recoverable.h. The keeper is asked outside of transactions.
 */
#include "device/recoverable.h"

#include <stdio.h>

#include "audit/note.h"
#include "base/mem.h"
#include "device/bypass_code.h"
#include "device/payload.h"
#include "device/rotation.h"
#include "device/secret.h"

static const char *const secrets[] = {
    SECRET_BYPASS_SERVER, SECRET_BYPASS_DEVICE,   SECRET_FILEVAULT, SECRET_LOCK_PIN,
    SECRET_UNLOCK_TOKEN,  SECRET_BOOTSTRAP_TOKEN, SECRET_RECEIVER,
};
enum { SECRETS = sizeof secrets / sizeof secrets[0] };

/* ---- looking ---- */

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const char *name; /* as people say it */
    const char *actor;
    db_device_t device;
    recoverable_t *list;
    size_t count;
    device_secret_t before, receiver;
    device_secret_new_t fresh;
    bool makes_receiver;
    const device_answer_t *profile;
} recoverable_job_t;

static void order_codes(recoverable_job_t *job) {
    recoverable_t *codes[2] = {0};
    size_t n = 0;
    for (size_t i = 0; i < job->count; i++)
        if (strcmp(job->list[i].object.kind, ESCROW_KIND_BYPASS) == 0 && n < 2)
            codes[n++] = &job->list[i];
    if (n == 1) codes[0]->try_order = 1;
    if (n < 2) return;
    bool second = codes[1]->object.created_ms > codes[0]->object.created_ms;
    codes[0]->try_order = second ? 2 : 1;
    codes[1]->try_order = second ? 1 : 2;
}

static err_t *list_read(db_conn_t *conn, void *arg) {
    recoverable_job_t *job = arg;
    TRY(device_find(conn, job->arena, job->name, &job->device));
    TRY(arena_alloc(job->arena, SECRETS * sizeof *job->list, &job->list));
    for (size_t i = 0; i < SECRETS; i++) {
        device_secret_t secret;
        TRY(device_secret_find(conn, job->arena, job->device.id, secrets[i], 0, &secret));
        if (!secret.in_escrow) continue;
        job->list[job->count++] = (recoverable_t){.secret = secrets[i], .object = secret.object};
    }
    order_codes(job);
    return NULL;
}

err_t *devices_recoverable(devices_t *devices, arena_t *arena, const char *device,
                           recoverable_t **ret_list, size_t *ret_count) {
    recoverable_job_t job = {.devices = devices, .arena = arena, .name = device};
    TRY(db_read(devices->o.db, list_read, &job));
    *ret_list = job.list;
    *ret_count = job.count;
    return NULL;
}

/* ---- activation lock ---- */

static err_t *bypass_read(db_conn_t *conn, void *arg) {
    recoverable_job_t *job = arg;
    TRY(device_find(conn, job->arena, job->name, &job->device));
    return device_secret_find(conn, job->arena, job->device.id, SECRET_BYPASS_SERVER, 0,
                              &job->before);
}

static err_t *bypass_write(db_conn_t *conn, void *arg) {
    const recoverable_job_t *job = arg;
    char object[DEVICE_ACTOR], id[ESCROW_ID_TEXT];
    TRY(device_secret_keep(job->devices, conn, &job->fresh, job->device.enrolment_key, job->actor));
    escrow_id_text(job->fresh.archived.object.id, id);
    return audit_note(job->devices->o.audit, conn, job->actor, "device.bypass-code",
                      device_actor(job->device.enrolment_key, object), "object", id, NULL);
}

static err_t *bypass_make(recoverable_job_t *job, const uint8_t raw[BYPASS_RAW]) {
    CLEANUP(secret_free) secret_t *text = NULL;
    TRY(secret_new(BYPASS_TEXT, &text));
    bypass_code_text(raw, (char *)secret_data(text));
    TRY(device_secret_archive(job->devices, job->device.id, SECRET_BYPASS_SERVER, &job->before,
                              bytes_make(secret_bytes(text).p, BYPASS_TEXT - 1), &job->fresh));
    return db_write(job->devices->o.db, bypass_write, job);
}

err_t *devices_bypass_make(devices_t *devices, arena_t *arena, const char *device,
                           const char *actor, const char **ret_object, uint8_t ret_hash[32]) {
    recoverable_job_t job = {.devices = devices, .arena = arena, .name = device, .actor = actor};
    CLEANUP(secret_free) secret_t *raw = NULL;
    char id[ESCROW_ID_TEXT];
    TRY(db_read(devices->o.db, bypass_read, &job));
    TRY(secret_random(devices->o.rnd, BYPASS_RAW, &raw));
    TRY(bypass_code_hash(secret_bytes(raw).p, ret_hash));
    device_secret_new_init(&job.fresh);
    err_t *e = bypass_make(&job, secret_bytes(raw).p);
    escrow_id_text(job.fresh.archived.object.id, id);
    device_secret_new_done(&job.fresh);
    return e ? e : device_str(arena, bytes_str(id), ret_object);
}

/* ---- FileVault ---- */

static err_t *filevault_read(db_conn_t *conn, void *arg) {
    recoverable_job_t *job = arg;
    TRY(device_find(conn, job->arena, job->name, &job->device));
    TRY(device_require_enrolled(&job->device));
    if (!device_is_mac(&job->device))
        return err_new(ERR_DENIED, "FileVault is of Macs; %s is a %s", job->device.enrolment_key,
                       job->device.product);
    return device_secret_find(conn, job->arena, job->device.id, SECRET_RECEIVER, 0, &job->receiver);
}

/* com.apple.security.pkcs1 and com.apple.security.FDERecoveryKeyEscrow, which names it. */
static err_t *add_payloads(const recoverable_job_t *job, bytes_t certificate, plist_t *array) {
    const devices_t *devices = job->devices;
    plist_t *dict = NULL;
    char uuid[TEXT_UUID_SIZE];
    CLEANUP(mem_free) char *place = mem_printf("%s (%s)", devices->o.organisation, devices->o.url);
    if (!place) return err_nomem();
    TRY(plist_array_add_dict(array, &dict));
    TRY(payload_common(devices, dict, "com.apple.security.pkcs1", "coffer.filevault.certificate",
                       "Disk recovery", uuid));
    TRY(plist_set_data(dict, "PayloadContent", certificate));
    TRY(plist_array_add_dict(array, &dict));
    TRY(payload_common(devices, dict, "com.apple.security.FDERecoveryKeyEscrow",
                       "coffer.filevault.escrow", "Disk recovery key in escrow", NULL));
    TRY(plist_set_string(dict, "Location", place));
    TRY(plist_set_string(dict, "EncryptCertPayloadUUID", uuid));
    return plist_set_string(dict, "DeviceKey",
                            job->device.serial_number[0] ? job->device.serial_number
                                                         : job->device.enrolment_key);
}

static err_t *build_profile(const recoverable_job_t *job, bytes_t certificate,
                            device_answer_t *answer) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *profile = NULL, *array = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &profile));
    TRY(payload_common(job->devices, profile, "Configuration", "coffer.filevault", "Disk recovery",
                       NULL));
    TRY(plist_set_string(profile, "PayloadScope", "System"));
    TRY(plist_set_array(profile, "PayloadContent", &array));
    TRY(add_payloads(job, certificate, array));
    return payload_sign(job->devices, profile, answer);
}

static err_t *filevault_write(db_conn_t *conn, void *arg) {
    recoverable_job_t *job = arg;
    devices_t *devices = job->devices;
    char object[DEVICE_ACTOR];
    bool queued = false;
    if (job->makes_receiver)
        TRY(device_secret_keep(devices, conn, &job->fresh, job->device.enrolment_key, job->actor));
    TRY(device_enqueue_install(devices, conn, job->device.id, buf_bytes(&job->profile->body),
                               job->actor, &queued));
    if (!queued) return err_new(ERR_BUSY, "the queue of %s is full", job->device.enrolment_key);
    TRY(device_enqueue_plain(devices, conn, job->device.id, "SecurityInfo", job->actor, &queued));
    TRY(device_push_job(devices, conn, job->device.id, 0));
    return audit_note(devices->o.audit, conn, job->actor, "device.filevault-escrow",
                      device_actor(job->device.enrolment_key, object), NULL);
}

static err_t *filevault_run(recoverable_job_t *job, device_answer_t *answer) {
    bytes_t certificate = job->receiver.object.certificates;
    if (!job->receiver.in_escrow) {
        TRY(device_secret_make_receiver(job->devices, job->device.id, &job->fresh));
        job->makes_receiver = true;
        certificate = buf_bytes(&job->fresh.archived.certificate);
    }
    TRY(build_profile(job, certificate, answer));
    job->profile = answer;
    return db_write(job->devices->o.db, filevault_write, job);
}

err_t *devices_filevault_escrow(devices_t *devices, const char *device, const char *actor) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    TRY(arena_new(DEVICE_ARENA, &arena));
    recoverable_job_t job = {.devices = devices, .arena = arena, .name = device, .actor = actor};
    TRY(db_read(devices->o.db, filevault_read, &job));
    device_secret_new_init(&job.fresh);
    err_t *e = filevault_run(&job, &answer);
    device_secret_new_done(&job.fresh);
    return e;
}

/* ---- after a reveal ---- */

static err_t *say_queued(arena_t *arena, const char *type, const char *device,
                         const char **ret_what) {
    CLEANUP(mem_free) char *text = mem_printf("started: %s is queued for device %s", type, device);
    return text ? device_str(arena, bytes_str(text), ret_what) : err_nomem();
}

/* Whether this is what the device has under that name now. */
static err_t *is_current(db_conn_t *conn, arena_t *arena, const db_escrow_t *object,
                         const char *kind, bool *ret_current) {
    device_secret_t secret;
    TRY(device_secret_find(conn, arena, object->device_id, kind, 0, &secret));
    *ret_current = secret.in_escrow && strcmp(secret.object.id, object->id) == 0 &&
                   secret.object.version == object->version;
    return NULL;
}

err_t *devices_rotate(devices_t *devices, db_conn_t *conn, arena_t *arena,
                      const db_escrow_t *object, const char *actor, const char **ret_what) {
    bool disk = strcmp(object->kind, ESCROW_KIND_FILEVAULT) == 0;
    const char *kind = disk ? SECRET_FILEVAULT : SECRET_BYPASS_DEVICE;
    const char *type = disk ? "RotateFileVaultKey" : "ClearActivationLockBypassCode";
    db_device_t device;
    bool found = false, current = false, queued = false;
    if ((!disk && strcmp(object->kind, ESCROW_KIND_BYPASS) != 0) || !object->device_id[0])
        return NULL;
    TRY(db_devices_by_id(conn, arena, object->device_id, &device, &found));
    if (!found || strcmp(device.state, "enrolled") != 0) return NULL;
    TRY(is_current(conn, arena, object, kind, &current));
    if (!current) return NULL; /* it was replaced since */
    TRY(disk ? rotation_enqueue(devices, conn, arena, device.id, actor, &queued)
             : device_enqueue_plain(devices, conn, device.id, type, actor, &queued));
    if (!queued) return NULL;
    TRY(device_push_job(devices, conn, device.id, 0));
    return say_queued(arena, type, device.enrolment_key, ret_what);
}
