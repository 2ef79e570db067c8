/*
 * See mail_delivery.h. Any worker thread of coffer-web; the queueing of what is due also on its
 * escrow thread.
 */
#include "device/mail_delivery.h"

#include "audit/note.h"
#include "base/mem.h"
#include "device/command_schema.h"
#include "device/mail_account_payload.h"
#include "device/mail_payload.h"
#include "device/payload.h"
#include "store/mail_consents.h"

#define PROFILE_SUFFIX "coffer.mail-keys"

enum {
    ROWS = 50,                 /* queued in one transaction */
    AGAIN_MS = 60 * 60 * 1000, /* after the first failure; doubled after each further one */
    AGAIN_MAX_MS = 24 * 60 * 60 * 1000, /* the longest */
    AGAIN_DOUBLINGS = 5,
};

/* ---- queueing ---- */

static err_t *move_on(devices_t *devices, db_conn_t *conn, db_mail_delivery_t *row,
                      const char *state, const char *why, int64_t due_ms) {
    row->state = state;
    row->why = why;
    row->due_ms = due_ms;
    row->changed_ms = devices_now(devices);
    return db_mail_deliveries_put(conn, row);
}

static int64_t later(devices_t *devices, int64_t tries) {
    int64_t ms = (int64_t)AGAIN_MS << (tries < AGAIN_DOUBLINGS ? tries : AGAIN_DOUBLINGS);
    return devices_now(devices) + (ms < AGAIN_MAX_MS ? ms : AGAIN_MAX_MS);
}

/* The command without its profile: *ret_uuid in the arena; "" if the device's queue is full. */
static err_t *enqueue(devices_t *devices, db_conn_t *conn, arena_t *arena, const char *device_id,
                      const char **ret_uuid) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(buf_done) buf_t payload;
    plist_t *dict = NULL;
    char uuid[TEXT_UUID_SIZE];
    buf_init(&payload, LIMIT_COMMAND_BYTES);
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "RequestType", "InstallProfile"));
    TRY(plist_write(dict, &payload));
    const device_queued_t command = {.device_id = device_id,
                                     .request_type = "InstallProfile",
                                     .payload = buf_bytes(&payload),
                                     .secret_kind = MAIL_DELIVERY_SECRET,
                                     .created_by = "system"};
    err_t *e = device_enqueue(devices, conn, &command, uuid);
    if (e && err_code(e) != ERR_BUSY) return e;
    bool full = e != NULL;
    err_free(e);
    if (!full) TRY(device_push_job(devices, conn, device_id, 0));
    return device_str(arena, full ? BYTES_NONE : bytes_str(uuid), ret_uuid);
}

/* Whether the row's last command is still on its way: it will have the newest keys. */
static err_t *is_open(db_conn_t *conn, arena_t *arena, const db_mail_delivery_t *row,
                      bool *ret_open) {
    static const char *const open[] = {"queued", "sent", "not-now"};
    db_command_t command;
    bool found = false;
    *ret_open = false;
    if (!row->command_uuid[0]) return NULL;
    TRY(db_commands_get(conn, arena, row->command_uuid, &command, &found));
    for (size_t i = 0; found && i < sizeof open / sizeof open[0]; i++)
        *ret_open |= strcmp(command.state, open[i]) == 0;
    return NULL;
}

static err_t *queue(devices_t *devices, db_conn_t *conn, arena_t *arena, db_mail_delivery_t *row) {
    bool open = false;
    const char *uuid = NULL;
    if (!(devices->o.access_rights & RIGHT_INSTALL_PROFILES))
        return move_on(devices, conn, row, "refused",
                       "this instance does not ask devices for the right to install profiles", 0);
    TRY(is_open(conn, arena, row, &open));
    if (open) return move_on(devices, conn, row, "queued", "", 0);
    TRY(enqueue(devices, conn, arena, row->device_id, &uuid));
    if (!uuid[0])
        return move_on(devices, conn, row, "failed", "the device's queue is full",
                       later(devices, 0));
    row->command_uuid = uuid;
    row->profile = row->certificate = BYTES_NONE;
    return move_on(devices, conn, row, "queued", "", 0);
}

err_t *mail_delivery_begin(devices_t *devices, db_conn_t *conn, arena_t *arena,
                           const char *device_id) {
    db_device_t device;
    bool found = false;
    if (!mail_payload_wanted(devices)) return NULL;
    TRY(db_devices_by_id(conn, arena, device_id, &device, &found));
    if (!found || !device.person_id[0]) return NULL;
    db_mail_delivery_t row = {.device_id = device_id,
                              .person_id = device.person_id,
                              .command_uuid = "",
                              .profile = BYTES_NONE,
                              .certificate = BYTES_NONE};
    TRY(db_mail_deliveries_newest(conn, device.person_id, &row.wanted_seq));
    if (!row.wanted_seq) return mail_delivery_end(devices, conn, device_id);
    return queue(devices, conn, arena, &row);
}

err_t *mail_delivery_end(devices_t *devices, db_conn_t *conn, const char *device_id) {
    TRY(db_mail_consents_void(conn, device_id, devices_now(devices)));
    return db_mail_deliveries_remove(conn, device_id);
}

/* ---- what is due ---- */

typedef struct {
    devices_t *devices;
    const char *person_id;
    size_t count;
    bool more;
} due_t;

static err_t *queue_due(db_conn_t *conn, void *arg) {
    due_t *x = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    db_mail_delivery_t *rows = NULL;
    size_t n = 0;
    TRY(arena_new(DEVICE_ARENA, &arena));
    TRY(db_mail_deliveries_due(conn, arena, x->person_id, devices_now(x->devices), ROWS, &rows,
                               &n));
    for (size_t i = 0; i < n; i++) {
        db_device_t device;
        db_mail_delivery_t row;
        bool found = false;
        TRY(db_devices_by_id(conn, arena, rows[i].device_id, &device, &found));
        if (!found || strcmp(device.state, "enrolled") != 0 ||
            strcmp(device.person_id, rows[i].person_id) != 0) {
            TRY(mail_delivery_end(x->devices, conn, rows[i].device_id));
            continue;
        }
        TRY(db_mail_deliveries_get(conn, arena, rows[i].device_id, &row, &found));
        TRY(queue(x->devices, conn, arena, &row));
    }
    x->count = n;
    x->more = n == ROWS;
    return NULL;
}

err_t *devices_mail_deliver(devices_t *devices, const char *person_id, size_t *ret_count) {
    due_t x = {.devices = devices, .person_id = person_id, .more = true};
    *ret_count = 0;
    if (!mail_payload_wanted(devices)) return NULL;
    while (x.more) {
        TRY(db_write(devices->o.db, queue_due, &x));
        *ret_count += x.count;
    }
    return NULL;
}

/* ---- sending ---- */

bool mail_delivery_is(const db_command_t *command) {
    return strcmp(command->secret_kind, MAIL_DELIVERY_SECRET) == 0;
}

err_t *mail_delivery_pick(devices_t *devices, db_conn_t *conn, arena_t *arena,
                          const char *device_id, mail_delivery_t *ret_delivery) {
    mail_delivery_t delivery = {0};
    TRY(db_mail_deliveries_get(conn, arena, device_id, &delivery.row, &delivery.picked));
    TRY(mail_consent_find(devices, conn, arena, device_id, &delivery.consent));
    if (delivery.picked)
        TRY(db_people_by_id(conn, arena, delivery.row.person_id, &delivery.person,
                            &delivery.picked));
    *ret_delivery = delivery;
    return NULL;
}

static err_t *seal(const devices_t *devices, const mail_delivery_t *delivery,
                   const mail_keys_t *keys, bytes_t fingerprint, buf_t *sealed) {
    const char *person = delivery->row.person_id;
    char current[TEXT_UUID_SIZE] = "";
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *array = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_array(doc, &array));
    TRY(mail_payload_add(devices, keys, person, array, current));
    const mail_account_owner_t owner = {.person_id = person,
                                        .mailbox = delivery->person.email,
                                        .name = delivery->person.name,
                                        .key_uuid = current};
    TRY(mail_account_add(devices, &owner, array));
    return mail_payload_seal(devices, keys, person, &delivery->consent, fingerprint, array, sealed);
}

/* The next one has the same identifier and UUID, and takes the place of this. */
static err_t *write_profile(const devices_t *devices, const char *person_id, bytes_t sealed,
                            device_answer_t *ret_signed) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *profile = NULL;
    char uuid[TEXT_UUID_SIZE];
    TRY(payload_stable_uuid(devices, PROFILE_SUFFIX, person_id, uuid));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &profile));
    TRY(payload_common(devices, profile, "Configuration", PROFILE_SUFFIX, "Encrypted mail", NULL));
    TRY(plist_set_string(profile, "PayloadUUID", uuid));
    TRY(plist_set_string(profile, "PayloadDescription",
                         "Holds the keys that your mail is encrypted to."));
    TRY(plist_set_data(profile, "EncryptedPayloadContent", sealed));
    TRY(plist_set_bool(profile, "IsEncrypted", true));
    return payload_sign(devices, profile, ret_signed);
}

typedef struct {
    devices_t *devices;
    mail_delivery_t *delivery;
    const char *uuid;
} sent_t;

static err_t *note_sent(db_conn_t *conn, void *arg) {
    const sent_t *x = arg;
    char count[24], object[DEVICE_ACTOR];
    db_mail_delivery_t *row = &x->delivery->row;
    bool used = false;
    if (x->delivery->consent.id)
        TRY(db_mail_consents_decide(conn, x->delivery->consent.id, "given", "used",
                                    devices_now(x->devices), &used));
    (void)snprintf(count, sizeof count, "%lld", (long long)row->sent_keys);
    TRY(move_on(x->devices, conn, row, "sent", "", 0));
    return audit_note(x->devices->o.audit, conn, "system", "key.deliver",
                      device_actor(row->device_id, object), "owner", row->person_id, "keys", count,
                      "command", x->uuid, "consent", used ? x->delivery->consent.id : NULL,
                      "outcome", "delivered", NULL);
}

/* Ciphertext that was sent before serves again, unless there is a newer key. */
static bool serves_again(const db_mail_delivery_t *row, bytes_t fingerprint) {
    return row->profile.n && row->sent_seq >= row->wanted_seq &&
           bytes_eq(row->certificate, fingerprint);
}

static err_t *make_profile(devices_t *devices, arena_t *arena, mail_delivery_t *delivery,
                           bytes_t fingerprint, const char *uuid) {
    db_mail_delivery_t *row = &delivery->row;
    mail_keys_t keys = {0};
    CLEANUP(buf_done) buf_t sealed;
    CLEANUP(device_answer_done) device_answer_t signed_profile;
    buf_init(&sealed, LIMIT_PROFILE_BYTES);
    device_answer_init(&signed_profile);
    TRY(mail_keys_load(devices->o.pki, arena, row->person_id, &keys));
    if (keys.n == 0) return err_new(ERR_NOT_FOUND, "the person's mail keys are gone");
    TRY(seal(devices, delivery, &keys, fingerprint, &sealed));
    TRY(write_profile(devices, row->person_id, buf_bytes(&sealed), &signed_profile));
    TRY(arena_copy(arena, buf_bytes(&signed_profile.body), &row->profile));
    row->certificate = fingerprint;
    row->sent_seq = keys.newest;
    row->sent_keys = (int64_t)keys.n;
    sent_t sent = {devices, delivery, uuid};
    return db_write(devices->o.db, note_sent, &sent);
}

static err_t *write_command(const db_mail_delivery_t *row, const char *uuid, buf_t *out) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *root = NULL, *command = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &root));
    TRY(plist_set_dict(root, "Command", &command));
    TRY(plist_set_string(command, "RequestType", "InstallProfile"));
    TRY(plist_set_data(command, "Payload", row->profile));
    TRY(plist_set_string(root, "CommandUUID", uuid));
    return plist_write(root, out);
}

err_t *mail_delivery_make(devices_t *devices, arena_t *arena, mail_delivery_t *delivery,
                          bytes_t fingerprint, const char *uuid, buf_t *out) {
    if (!delivery->picked) return err_new(ERR_NOT_FOUND, "nobody's mail keys go to this device");
    if (!bytes_eq(delivery->consent.certificate, fingerprint)) /* it has another identity by now */
        delivery->consent = (mail_consent_t){0};
    if (!serves_again(&delivery->row, fingerprint))
        TRY(make_profile(devices, arena, delivery, fingerprint, uuid));
    return write_command(&delivery->row, uuid, out);
}

/* ---- what came of it ---- */

err_t *mail_delivery_refused(devices_t *devices, db_conn_t *conn, arena_t *arena,
                             mail_delivery_t *delivery, bytes_t fingerprint, err_code_t code,
                             const char *why) {
    db_mail_delivery_t *row = &delivery->row;
    char object[DEVICE_ACTOR];
    int64_t again = 0;
    if (!delivery->picked) return NULL;
    bool consent = code == ERR_AUTH;
    row->profile = row->certificate = BYTES_NONE;
    if (consent) /* due again when the question has expired: then it is asked anew */
        TRY(mail_consent_ask(devices, conn, arena, row->device_id, row->person_id, fingerprint,
                             &again));
    if (!again) again = later(devices, row->tries++);
    TRY(move_on(devices, conn, row, consent ? "waiting" : "refused", why, again));
    return audit_note(devices->o.audit, conn, "system", "key.deliver",
                      device_actor(row->device_id, object), "owner", row->person_id, "outcome", why,
                      NULL);
}

err_t *mail_delivery_done(devices_t *devices, db_conn_t *conn, arena_t *arena,
                          const char *device_id, const char *uuid, const char *error) {
    db_mail_delivery_t row;
    bool found = false;
    TRY(db_mail_deliveries_get(conn, arena, device_id, &row, &found));
    if (!found || strcmp(row.command_uuid, uuid) != 0) return NULL;
    row.profile = row.certificate = BYTES_NONE;
    if (error) return move_on(devices, conn, &row, "failed", error, later(devices, row.tries++));
    row.tries = 0;
    row.held_seq = row.sent_seq;
    row.held_keys = row.sent_keys;
    if (row.held_seq < row.wanted_seq) return queue(devices, conn, arena, &row);
    return move_on(devices, conn, &row, "delivered", "", 0);
}
