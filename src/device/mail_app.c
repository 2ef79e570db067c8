/*
 * See mail_app.h and mail_app_internal.h. Schema: mdm/commands/settings, ApplicationConfiguration.
 * Any worker thread of coffer-web.
 */
#include "device/mail_app.h"

#include "audit/note.h"
#include "base/mem.h"
#include "device/caller.h"
#include "device/command_schema.h"
#include "device/mail_app_internal.h"
#include "store/device_tokens.h"

/* secret_kind of such commands. */
#define APP_TOKEN "app-token" /* a token is made on the way out */
#define APP_END   "app-end"   /* the token ends then */

/* Stands in the stored command where the token belongs; no other value of it can be this. */
#define PLACE "@token-of-the-device@"

enum { TOKEN_MAX = 128, TOKEN_ROOM = 512 };

/* ---- what the program is told ---- */

/* Ours, and the names that are known from elsewhere. */
static err_t *add_configuration(const devices_t *devices, const mail_app_t *app, plist_t *dict) {
    TRY(plist_set_bool(dict, "CofferLease", app->lease));
    TRY(plist_set_int(dict, "CofferLeaseHours", app->hours));
    TRY(plist_set_string(dict, "CofferServer", devices->o.url));
    TRY(plist_set_int(dict, "ENSEnableKeyEscrow", app->lease ? 1 : 0));
    TRY(plist_set_int(dict, "ENSKeyEscrowExpiry", app->hours));
    TRY(plist_set_string(dict, "ENSLinkAddress", devices->o.url));
    if (!app->lease) return NULL;
    TRY(plist_set_string(dict, "CofferToken", PLACE));
    return plist_set_string(dict, "ENSAPIToken", PLACE);
}

static err_t *write_command(const devices_t *devices, const mail_app_t *app, buf_t *out) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL, *list = NULL, *item = NULL, *configuration = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "RequestType", "Settings"));
    TRY(plist_set_array(dict, "Settings", &list));
    TRY(plist_array_add_dict(list, &item));
    TRY(plist_set_string(item, "Item", "ApplicationConfiguration"));
    TRY(plist_set_string(item, "Identifier", app->identifier));
    TRY(plist_set_dict(item, "Configuration", &configuration));
    TRY(add_configuration(devices, app, configuration));
    return plist_write(dict, out);
}

/* ---- queueing ---- */

static err_t *check(const mail_app_t *app) {
    if (!app->identifier || !mail_app_is_identifier(app->identifier))
        return err_new(ERR_INVALID, "a mail program is named by its bundle identifier, such as "
                                    "org.example.mail");
    if (app->hours < 1 || app->hours > MAIL_APP_HOURS_MAX)
        return err_new(ERR_INVALID, "a lease lives 1 to %d hours", MAIL_APP_HOURS_MAX);
    return NULL;
}

/*
 * The last word counts: an older one that waits, or comes again, would give the device a token
 * that the later one was to end. One that it has in hand already can't be called back, but what it
 * answers to it changes nothing any more.
 */
static err_t *cancel_open(devices_t *devices, db_conn_t *conn, const char *device_id) {
    int64_t now_ms = devices_now(devices), count = 0;
    TRY(db_commands_cancel_kind(conn, device_id, APP_TOKEN, now_ms, &count));
    return db_commands_cancel_kind(conn, device_id, APP_END, now_ms, &count);
}

static err_t *enqueue(devices_t *devices, db_conn_t *conn, const char *device_id,
                      const mail_app_t *app, const char *actor, char ret_uuid[TEXT_UUID_SIZE]) {
    CLEANUP(buf_done) buf_t payload;
    buf_init(&payload, LIMIT_COMMAND_BYTES);
    TRY(cancel_open(devices, conn, device_id));
    TRY(write_command(devices, app, &payload));
    const device_queued_t command = {.device_id = device_id,
                                     .request_type = "Settings",
                                     .payload = buf_bytes(&payload),
                                     .secret_kind = app->lease ? APP_TOKEN : APP_END,
                                     .created_by = actor};
    return device_enqueue(devices, conn, &command, ret_uuid);
}

static bool may_manage(const devices_t *devices) {
    int64_t need = RIGHT_SETTINGS | RIGHT_MANAGE_APPS;
    return (devices->o.access_rights & need) == need;
}

err_t *mail_app_begin(devices_t *devices, db_conn_t *conn, const char *device_id) {
    const mail_app_t *app = &devices->o.mail_app;
    char uuid[TEXT_UUID_SIZE];
    if (!app->identifier || !app->identifier[0] || !may_manage(devices)) return NULL;
    err_t *e = enqueue(devices, conn, device_id, app, "system", uuid);
    if (e && err_code(e) != ERR_BUSY) return e;
    err_free(e); /* a full queue: an admin sends it later */
    return NULL;
}

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const char *device, *actor;
    const mail_app_t *app;
    char uuid[TEXT_UUID_SIZE];
} app_job_t;

static err_t *queue(db_conn_t *conn, void *arg) {
    app_job_t *job = arg;
    devices_t *devices = job->devices;
    db_device_t device;
    char object[DEVICE_ACTOR], hours[24];
    TRY(device_find(conn, job->arena, job->device, &device));
    TRY(device_require_enrolled(&device));
    if (!may_manage(devices))
        return err_new(ERR_DENIED,
                       "configuring an app needs the access rights %d and %d, which "
                       "this instance does not ask devices for",
                       RIGHT_SETTINGS, RIGHT_MANAGE_APPS);
    TRY(enqueue(devices, conn, device.id, job->app, job->actor, job->uuid));
    if (!job->app->lease) TRY(db_device_tokens_remove(conn, device.id));
    TRY(device_push_job(devices, conn, device.id, 0));
    (void)snprintf(hours, sizeof hours, "%lld", (long long)job->app->hours);
    return audit_note(devices->o.audit, conn, job->actor, "device.mail-app",
                      device_actor(device.enrolment_key, object), "command", job->uuid, "app",
                      job->app->identifier, "lease", job->app->lease ? "on" : "off", "hours", hours,
                      NULL);
}

err_t *devices_mail_app(devices_t *devices, arena_t *arena, const char *device,
                        const mail_app_t *app, const char *actor, const char **ret_uuid) {
    CLEANUP(arena_free) arena_t *rows = NULL;
    app_job_t job = {.devices = devices, .device = device, .actor = actor, .app = app};
    TRY(check(app));
    TRY(arena_new(DEVICE_ARENA, &rows));
    job.arena = rows;
    TRY(db_write(devices->o.db, queue, &job));
    return device_str(arena, bytes_str(job.uuid), ret_uuid);
}

/* ---- sending ---- */

bool mail_app_is(const db_command_t *command) {
    return strcmp(command->secret_kind, APP_TOKEN) == 0 ||
           strcmp(command->secret_kind, APP_END) == 0;
}

static err_t *end_token(db_conn_t *conn, void *arg) {
    const db_device_t *device = arg;
    return db_device_tokens_remove(conn, device->id);
}

/* As text, so that the token lies in wiped memory only. */
static err_t *put_token(bytes_t xml, bytes_t token, buf_t *out) {
    const bytes_t mark = BYTES_LIT(PLACE);
    size_t places = 0;
    TRY(buf_reserve(out, xml.n + TOKEN_ROOM));
    for (const uint8_t *at; (at = memmem(xml.p, xml.n, mark.p, mark.n)) != NULL; places++) {
        size_t before = (size_t)(at - xml.p);
        TRY(buf_add(out, bytes_make(xml.p, before)));
        TRY(buf_add_xml(out, token));
        xml = bytes_from(xml, before + mark.n);
    }
    if (places == 0) return err_new(ERR_INTERNAL, "a command without a place for its token");
    return buf_add(out, xml);
}

err_t *mail_app_fill(devices_t *devices, const db_command_t *command, db_device_t *device,
                     bytes_t xml, buf_t *out) {
    CLEANUP(buf_done) buf_t token;
    char actor[DEVICE_ACTOR];
    buf_init_secret(&token, TOKEN_MAX);
    if (strcmp(command->secret_kind, APP_END) == 0) {
        TRY(db_write(devices->o.db, end_token, device));
        return buf_add(out, xml);
    }
    bool open = false;
    TRY(devices_token_offer(devices, device->id, command->uuid,
                            device_actor(device->enrolment_key, actor), &open, &token));
    return open ? put_token(xml, buf_bytes(&token), out) : NULL;
}

err_t *mail_app_answered(db_conn_t *conn, const char *device_id, const char *uuid,
                         mdm_status_t status) {
    return status == MDM_ACKNOWLEDGED ? db_device_tokens_taken(conn, device_id, uuid)
                                      : db_device_tokens_refused(conn, device_id, uuid);
}
