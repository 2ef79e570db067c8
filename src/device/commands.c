/*
 * Queueing a command: what it may be, whether this device may get it now, and its secret. Any
 * worker thread of coffer-web. The checks run twice: on a read-only state first, so that a dry
 * run tells the same, and a PIN can be archived before the transaction; then inside it.
 */
#include "audit/note.h"
#include "device/command_schema.h"
#include "device/profile_check.h"
#include "device/rotation.h"
#include "device/secret.h"
#include "store/profiles.h"

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const device_command_t *command;
    const command_schema_t *schema;
    plist_t *dict;             /* the Command */
    buf_t secret;              /* a PIN, or empty */
    device_secret_new_t fresh; /* the same, archived */
    buf_t payload;             /* the Command, written */
    db_device_t device;
    const char *archived_for; /* id of the device the PIN was archived for */
    bool archived;
    const char *secret_kind;
    device_secret_t latest; /* of the kind, before a new one */
    int64_t secret_version;
    char uuid[TEXT_UUID_SIZE];
} job_t;

/* ---- rules ---- */

/* A locked Mac asks for the PIN that came with the lock; without one nobody can open it again. */
static err_t *check_pin(const job_t *job) {
    bool lock = strcmp(job->schema->request_type, "DeviceLock") == 0;
    if (!job->schema->exclusive) return NULL;
    if (device_is_mac(&job->device) && lock && job->secret.n == 0)
        return err_new(ERR_DENIED, "locking a Mac needs a PIN of six digits: without one it cannot "
                                   "be unlocked again");
    if (!device_is_mac(&job->device) && job->device.product[0] && job->secret.n)
        return err_new(ERR_INVALID, "PIN is for Macs; %s is a %s", job->device.enrolment_key,
                       job->device.product);
    return NULL;
}

/* A second lock or erase is nearly always a mistake, and replaces the first one's PIN. */
static err_t *check_exclusive(db_conn_t *conn, const job_t *job) {
    static const char *const types[] = {"EraseDevice", "DeviceLock"};
    if (!job->schema->exclusive) return NULL;
    for (size_t i = 0; i < 2; i++) {
        db_command_t open;
        bool found = false;
        char since[TEXT_TIME_SIZE];
        if (i > 0 && strcmp(job->schema->request_type, types[i]) != 0) continue;
        TRY(db_commands_open_of_type(conn, job->arena, job->device.id, types[i], &open, &found));
        if (found)
            return err_new(ERR_BUSY,
                           "%s is in flight since %s (%s, by %s); to cancel it: coffer device "
                           "cancel %s %s",
                           types[i], text_time(open.created_ms / 1000, since), open.state,
                           open.created_by, job->device.enrolment_key, open.uuid);
    }
    return NULL;
}

/* Which stored secret goes along, and as which version a new one will be stored. */
static err_t *choose_secret(db_conn_t *conn, job_t *job) {
    device_secret_t latest;
    job->secret_kind = "";
    if (!job->schema->secret_key) return NULL;
    if (!job->schema->secret_stored && job->secret.n == 0) return NULL;
    job->secret_kind = job->schema->secret_kind;
    TRY(device_secret_find(conn, job->arena, job->device.id, job->secret_kind, 0, &latest));
    if (!job->schema->secret_stored) { /* a PIN of the administrator's */
        job->latest = latest;
        job->secret_version = latest.found ? latest.row.version + 1 : 1;
        return NULL;
    }
    if (!device_secret_is_there(&latest))
        return err_new(ERR_DENIED, "device %s has sent no %s", job->device.enrolment_key,
                       strcmp(job->secret_kind, SECRET_FILEVAULT) == 0 ? "recovery key yet"
                                                                       : "unlock token");
    job->secret_version = latest.row.version;
    return NULL;
}

static err_t *examine(db_conn_t *conn, job_t *job) {
    int64_t open = 0;
    int64_t right = job->schema->right;
    TRY(device_find(conn, job->arena, job->command->device, &job->device));
    TRY(device_require_enrolled(&job->device));
    if ((job->devices->o.access_rights & right) != right)
        return err_new(ERR_DENIED,
                       "%s needs access right %lld, which this instance does not ask "
                       "devices for",
                       job->schema->request_type, (long long)right);
    TRY(check_pin(job));
    TRY(check_exclusive(conn, job));
    TRY(db_commands_count_open(conn, job->device.id, &open));
    if (open >= LIMIT_QUEUE)
        return err_new(ERR_BUSY, "the queue of device %s is full (%d commands)",
                       job->device.enrolment_key, LIMIT_QUEUE);
    return choose_secret(conn, job);
}

/* ---- InstallProfile ---- */

/* The profile's bytes, given inline or by the identifier of a stored one. */
static err_t *resolve_profile(db_conn_t *conn, job_t *job) {
    bytes_t name = BYTES_NONE, content = BYTES_NONE;
    const char *identifier = NULL, *display = NULL, *wanted = NULL;
    db_profile_t row;
    bool found = false;
    if (strcmp(job->schema->request_type, "InstallProfile") != 0) return NULL;
    TRY(plist_get_string(job->dict, "Identifier", LIMIT_DEVICE_ATTRIBUTE, false, &name));
    TRY(plist_get_data(job->dict, "Payload", LIMIT_PROFILE_BYTES, false, &content));
    if ((name.n != 0) == (content.n != 0))
        return err_new(ERR_INVALID, "InstallProfile: give Payload (base64) or Identifier (of a "
                                    "stored profile)");
    if (content.n) return profile_check(content, job->arena, &identifier, &display);
    TRY(device_str(job->arena, name, &wanted));
    TRY(db_profiles_get(conn, job->arena, wanted, &row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "no profile is called %s", wanted);
    plist_remove(job->dict, "Identifier");
    return plist_set_data(job->dict, "Payload", row.content);
}

/* ---- steps ---- */

static err_t *prepare(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    TRY(examine(conn, job));
    TRY(resolve_profile(conn, job));
    if (strcmp(job->schema->request_type, "RotateFileVaultKey") == 0)
        TRY(rotation_fill(conn, job->arena, job->device.id, job->dict));
    job->archived_for = job->device.id;
    TRY_WRAP(plist_write(job->dict, &job->payload), "%s", job->schema->request_type);
    return NULL;
}

static err_t *commit(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    int64_t version = job->secret_version;
    char object[DEVICE_ACTOR];
    TRY(examine(conn, job));
    bool moved = strcmp(job->device.id, job->archived_for) != 0 || job->secret_version != version;
    if (job->archived && moved)
        return err_new(ERR_BUSY, "another command for this device came at the same time; again");
    if (job->archived)
        TRY(device_secret_keep(job->devices, conn, &job->fresh, job->schema->request_type,
                               job->command->actor));
    const device_queued_t queued = {.device_id = job->device.id,
                                    .request_type = job->schema->request_type,
                                    .payload = buf_bytes(&job->payload),
                                    .secret_kind = job->secret_kind,
                                    .secret_version = job->secret_version,
                                    .created_by = job->command->actor};
    TRY(device_enqueue(job->devices, conn, &queued, job->uuid));
    TRY(device_push_job(job->devices, conn, job->device.id, 0));
    return audit_note(job->devices->o.audit, conn, job->command->actor, "command.queue",
                      device_actor(job->device.enrolment_key, object), "command", job->uuid, "type",
                      job->schema->request_type, NULL);
}

static err_t *run(job_t *job, json_t *parameters) {
    const devices_options_t *o = &job->devices->o;
    TRY(command_build(job->schema, parameters, job->dict, &job->secret));
    TRY(db_read(o->db, prepare, job));
    if (job->command->dry_run) return NULL;
    if (job->secret.n) {
        TRY(device_secret_archive(job->devices, job->device.id, job->secret_kind, &job->latest,
                                  buf_bytes(&job->secret), &job->fresh));
        job->archived = true;
    }
    return db_write(o->db, commit, job);
}

err_t *devices_queue(devices_t *devices, arena_t *arena, const device_command_t *command,
                     const char **ret_uuid) {
    CLEANUP(jso_free) json_t *parameters = NULL;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(arena_free) arena_t *rows = NULL;
    job_t job = {.devices = devices, .command = command};
    job.schema = command_schema_find(bytes_str(command->request_type));
    if (!job.schema)
        return err_new(ERR_INVALID, "the command %.100s is not known", command->request_type);
    if (command->parameters && command->parameters[0])
        TRY_WRAP(jso_parse_object(bytes_str(command->parameters), &parameters), "parameters");
    TRY(arena_new(DEVICE_ARENA, &rows));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &job.dict));
    job.arena = rows;
    buf_init_secret(&job.secret, LIMIT_DEVICE_ATTRIBUTE);
    device_secret_new_init(&job.fresh);
    buf_init(&job.payload, LIMIT_COMMAND_BYTES);
    err_t *e = run(&job, parameters);
    buf_done(&job.secret);
    device_secret_new_done(&job.fresh);
    buf_done(&job.payload);
    return e ? e : device_str(arena, bytes_str(job.uuid), ret_uuid);
}
