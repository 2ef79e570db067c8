/*
 * See rotation.h. coffer-web, inside transactions.
 */
#include "device/rotation.h"

#include "device/secret.h"

#define TYPE "RotateFileVaultKey"

err_t *rotation_fill(db_conn_t *conn, arena_t *arena, const char *device_id, plist_t *command) {
    device_secret_t receiver;
    plist_t *unlock = NULL;
    TRY(device_secret_find(conn, arena, device_id, SECRET_RECEIVER, 0, &receiver));
    if (!receiver.in_escrow)
        return err_new(ERR_DENIED, "the device was never asked for its recovery key: coffer device "
                                   "filevault");
    TRY(plist_set_string(command, "KeyType", "personal"));
    TRY(plist_set_dict(command, "FileVaultUnlock", &unlock));
    return plist_set_data(command, "ReplyEncryptionCertificate", receiver.object.certificates);
}

static err_t *enqueue(devices_t *devices, db_conn_t *conn, const device_queued_t *command,
                      bool *ret_queued) {
    char uuid[TEXT_UUID_SIZE];
    err_t *e = device_enqueue(devices, conn, command, uuid);
    if (e && err_code(e) != ERR_BUSY) return e;
    *ret_queued = !e;
    err_free(e);
    return NULL;
}

err_t *rotation_enqueue(devices_t *devices, db_conn_t *conn, arena_t *arena, const char *device_id,
                        const char *actor, bool *ret_queued) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(buf_done) buf_t payload;
    plist_t *dict = NULL;
    db_command_t open;
    device_secret_t key;
    bool found = false;
    *ret_queued = false;
    buf_init(&payload, LIMIT_COMMAND_BYTES);
    TRY(db_commands_open_of_type(conn, arena, device_id, TYPE, &open, &found));
    TRY(device_secret_find(conn, arena, device_id, SECRET_FILEVAULT, 0, &key));
    if (found || !device_secret_is_there(&key)) return NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "RequestType", TYPE));
    TRY(rotation_fill(conn, arena, device_id, dict));
    TRY_WRAP(plist_write(dict, &payload), TYPE);
    const device_queued_t command = {.device_id = device_id,
                                     .request_type = TYPE,
                                     .payload = buf_bytes(&payload),
                                     .secret_kind = SECRET_FILEVAULT,
                                     .secret_version = key.row.version,
                                     .created_by = actor};
    return enqueue(devices, conn, &command, ret_queued);
}
