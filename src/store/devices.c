/*
 * Rows of `device` and `sealed_secret`: see devices.h.
 */
#include "store/devices.h"

#include "store/rows_internal.h"

#define COLUMNS                                                                                    \
    "id, enrolment_key, udid, serial_number, product, os_version, build, name, person_id, state, " \
    "identity, topic, push_token, push_magic, push_state, token_ms, info, enrolled_ms, "           \
    "last_seen_ms, created_ms"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_device_t, id)},           {ROW_STR, offsetof(db_device_t, enrolment_key)},
    {ROW_STR, offsetof(db_device_t, udid)},         {ROW_STR, offsetof(db_device_t, serial_number)},
    {ROW_STR, offsetof(db_device_t, product)},      {ROW_STR, offsetof(db_device_t, os_version)},
    {ROW_STR, offsetof(db_device_t, build)},        {ROW_STR, offsetof(db_device_t, name)},
    {ROW_STR, offsetof(db_device_t, person_id)},    {ROW_STR, offsetof(db_device_t, state)},
    {ROW_BYTES, offsetof(db_device_t, identity)},   {ROW_STR, offsetof(db_device_t, topic)},
    {ROW_BYTES, offsetof(db_device_t, push_token)}, {ROW_STR, offsetof(db_device_t, push_magic)},
    {ROW_STR, offsetof(db_device_t, push_state)},   {ROW_I64, offsetof(db_device_t, token_ms)},
    {ROW_STR, offsetof(db_device_t, info)},         {ROW_I64, offsetof(db_device_t, enrolled_ms)},
    {ROW_I64, offsetof(db_device_t, last_seen_ms)}, {ROW_I64, offsetof(db_device_t, created_ms)},
};
static const row_type_t device_type = ROW_TYPE(columns, db_device_t);

/* An attribute the device did not send this time stays as it was. */
#define KEEP_IF_EMPTY(column)                                                                      \
#column " = COALESCE(NULLIF(excluded." #column ", ''), device." #column "), "

err_t *db_devices_authenticate(db_conn_t *conn, arena_t *arena, const db_device_t *row,
                               const char **ret_id) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(
        conn,
        "INSERT INTO device (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
        " 'authenticated', $10, $11, $12, '', '', 0, $13, 0, $14, $15)"
        " ON CONFLICT (enrolment_key) DO UPDATE SET " KEEP_IF_EMPTY(udid) KEEP_IF_EMPTY(
            serial_number) KEEP_IF_EMPTY(product) KEEP_IF_EMPTY(os_version) KEEP_IF_EMPTY(build)
            KEEP_IF_EMPTY(
                name) "person_id = excluded.person_id, state = 'authenticated', identity = "
                      "excluded.identity,"
                      " topic = excluded.topic, push_token = excluded.push_token, push_magic = '',"
                      " push_state = '', token_ms = 0, last_seen_ms = excluded.last_seen_ms"
                      " RETURNING id",
        &stmt, &found, DB_STR(row->id), DB_STR(row->enrolment_key), DB_TEXT(bytes_str(row->udid)),
        DB_TEXT(bytes_str(row->serial_number)), DB_TEXT(bytes_str(row->product)),
        DB_TEXT(bytes_str(row->os_version)), DB_TEXT(bytes_str(row->build)),
        DB_TEXT(bytes_str(row->name)), DB_TEXT(bytes_str(row->person_id)), DB_BYTES(row->identity),
        DB_TEXT(bytes_str(row->topic)), DB_BYTES(BYTES_NONE), DB_TEXT(bytes_str(row->info)),
        DB_I64(row->last_seen_ms), DB_I64(row->created_ms)));
    if (!found) return err_new(ERR_INTERNAL, "the database returned no device");
    return row_str(stmt, arena, 0, ret_id);
}

err_t *db_devices_by_id(db_conn_t *conn, arena_t *arena, const char *id, db_device_t *ret_row,
                        bool *ret_found) {
    return row_find(conn, arena, &device_type, "SELECT " COLUMNS " FROM device WHERE id = $1",
                    ret_row, ret_found, DB_STR(id));
}

err_t *db_devices_by_key(db_conn_t *conn, arena_t *arena, const char *enrolment_key,
                         db_device_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &device_type,
                    "SELECT " COLUMNS " FROM device WHERE enrolment_key = $1", ret_row, ret_found,
                    DB_STR(enrolment_key));
}

err_t *db_devices_by_identity(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                              db_device_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &device_type, "SELECT " COLUMNS " FROM device WHERE identity = $1",
                    ret_row, ret_found, DB_BYTES(fingerprint));
}

typedef struct {
    db_certificate_t certificate;
    db_device_t device;
} sender_t;

#define OF_CERTIFICATE(field) offsetof(sender_t, certificate.field)
#define OF_DEVICE(field)      offsetof(sender_t, device.field)
static const row_column_t sender_columns[] = {
    {ROW_BYTES, OF_CERTIFICATE(fingerprint)}, {ROW_STR, OF_CERTIFICATE(serial)},
    {ROW_STR, OF_CERTIFICATE(profile)},       {ROW_STR, OF_CERTIFICATE(enrolment_id)},
    {ROW_I64, OF_CERTIFICATE(not_before)},    {ROW_I64, OF_CERTIFICATE(not_after)},
    {ROW_I64, OF_CERTIFICATE(revoked_ms)},    {ROW_STR, OF_DEVICE(id)},
    {ROW_STR, OF_DEVICE(enrolment_key)},      {ROW_STR, OF_DEVICE(state)},
    {ROW_I64, OF_DEVICE(last_seen_ms)},       {ROW_STR, OF_DEVICE(info)},
};
static const row_type_t sender_type = ROW_TYPE(sender_columns, sender_t);

err_t *db_devices_sender(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                         db_certificate_t *ret_certificate, bool *ret_found,
                         db_device_t *ret_device, bool *ret_pinned) {
    sender_t row = {.device = {.id = ""}};
    bool found = false;
    TRY(row_find(conn, arena, &sender_type,
                 "SELECT c.fingerprint, c.serial, c.profile, c.enrolment_id, c.not_before,"
                 " c.not_after, c.revoked_ms, d.id, d.enrolment_key, d.state,"
                 " d.last_seen_ms, d.info"
                 " FROM certificate c LEFT JOIN device d ON d.identity = c.fingerprint"
                 " WHERE c.fingerprint = $1",
                 &row, &found, DB_BYTES(fingerprint)));
    *ret_found = found;
    *ret_pinned = found && row.device.id[0];
    if (!found) return NULL;
    row.device.identity = row.certificate.fingerprint;
    *ret_certificate = row.certificate;
    if (*ret_pinned) *ret_device = row.device;
    return NULL;
}

/*
 * What a person may type: the id, which we gave; else anything a device says of itself. All of that
 * at once, so that no device comes before another by calling itself as that one is called.
 */
static const char *const find_by[] = {
    "SELECT " COLUMNS " FROM device WHERE id = $1 LIMIT 2",
    "SELECT " COLUMNS " FROM device WHERE enrolment_key = $1 OR udid = $1 OR serial_number = $1"
    " OR name = $1 LIMIT 2",
};

err_t *db_devices_find(db_conn_t *conn, arena_t *arena, const char *text, db_device_t *ret_row,
                       bool *ret_found) {
    for (size_t i = 0; text[0] && i < sizeof find_by / sizeof find_by[0]; i++) {
        db_device_t *rows = NULL;
        size_t count = 0;
        TRY(row_list(conn, arena, &device_type, find_by[i], &rows, &count, DB_STR(text)));
        if (count > 1)
            return err_new(ERR_EXISTS, "several devices are called %.100s: name one by its id",
                           text);
        if (count == 0) continue;
        *ret_row = rows[0];
        *ret_found = true;
        return NULL;
    }
    *ret_found = false;
    return NULL;
}

err_t *db_devices_list(db_conn_t *conn, arena_t *arena, const char *state, const char *after,
                       size_t limit, db_device_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &device_type,
                    "SELECT " COLUMNS " FROM device WHERE id > $1 AND ($2 = '' OR state = $2)"
                    " ORDER BY id LIMIT $3",
                    ret_rows, ret_count, DB_STR(after), DB_STR(state), DB_I64((int64_t)limit));
}

err_t *db_devices_set_token(db_conn_t *conn, const char *id, bytes_t token, const char *magic,
                            const char *topic, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE device SET push_token = $2, push_magic = $3, topic = $4,"
                   " push_state = 'ok', token_ms = $5, state = 'enrolled', last_seen_ms = $5,"
                   " enrolled_ms = CASE WHEN enrolled_ms = 0 THEN $5 ELSE enrolled_ms END"
                   " WHERE id = $1",
                   DB_STR(id), DB_BYTES(token), DB_STR(magic), DB_STR(topic), DB_I64(now_ms));
}

err_t *db_devices_set_state(db_conn_t *conn, const char *id, const char *state) {
    return db_exec(conn, "UPDATE device SET state = $2 WHERE id = $1", DB_STR(id), DB_STR(state));
}

err_t *db_devices_set_identity(db_conn_t *conn, const char *id, bytes_t fingerprint) {
    return db_exec(conn, "UPDATE device SET identity = $2 WHERE id = $1", DB_STR(id),
                   DB_BYTES(fingerprint));
}

err_t *db_devices_set_push_state(db_conn_t *conn, const char *id, const char *push_state,
                                 int64_t token_ms) {
    return db_exec(conn, "UPDATE device SET push_state = $2 WHERE id = $1 AND token_ms <= $3",
                   DB_STR(id), DB_STR(push_state), DB_I64(token_ms));
}

err_t *db_devices_touch(db_conn_t *conn, const char *id, int64_t now_ms) {
    return db_exec(conn, "UPDATE device SET last_seen_ms = $2 WHERE id = $1", DB_STR(id),
                   DB_I64(now_ms));
}

err_t *db_devices_set_info(db_conn_t *conn, const char *id, const char *name,
                           const char *os_version, const char *build, const char *product,
                           const char *info_json) {
    return db_exec(conn,
                   "UPDATE device SET name = COALESCE(NULLIF($2, ''), name),"
                   " os_version = COALESCE(NULLIF($3, ''), os_version),"
                   " build = COALESCE(NULLIF($4, ''), build),"
                   " product = COALESCE(NULLIF($5, ''), product),"
                   " info = COALESCE(NULLIF($6, ''), info) WHERE id = $1",
                   DB_STR(id), DB_STR(name), DB_STR(os_version), DB_STR(build), DB_STR(product),
                   DB_STR(info_json));
}

typedef struct {
    const char *id;
} device_id_t;

static const row_column_t id_columns[] = {{ROW_STR, offsetof(device_id_t, id)}};
static const row_type_t id_type = ROW_TYPE(id_columns, device_id_t);

err_t *db_devices_of_person(db_conn_t *conn, arena_t *arena, const char *person_id,
                            const char ***ret_ids, size_t *ret_count) {
    device_id_t *rows = NULL;
    const char **ids = NULL;
    size_t count = 0;
    TRY(row_list(conn, arena, &id_type,
                 "SELECT id FROM device WHERE person_id = $1 AND $1 <> '' AND state <> 'removed'"
                 " ORDER BY id",
                 &rows, &count, DB_STR(person_id)));
    TRY(arena_alloc(arena, (count + 1) * sizeof *ids, &ids));
    for (size_t i = 0; i < count; i++) ids[i] = rows[i].id;
    *ret_ids = ids;
    *ret_count = count;
    return NULL;
}

err_t *db_devices_count(db_conn_t *conn, const char *state, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM device WHERE $1 = '' OR state = $1", ret_count,
                      DB_STR(state));
}

/* ---- sealed secrets --------------------------------------------------------------------- */

#define SEALED_COLUMNS "device_id, kind, version, sealed, created_ms"

static const row_column_t sealed_columns[] = {
    {ROW_STR, offsetof(db_sealed_t, device_id)},  {ROW_STR, offsetof(db_sealed_t, kind)},
    {ROW_I64, offsetof(db_sealed_t, version)},    {ROW_BYTES, offsetof(db_sealed_t, sealed)},
    {ROW_I64, offsetof(db_sealed_t, created_ms)},
};
static const row_type_t sealed_type = ROW_TYPE(sealed_columns, db_sealed_t);

err_t *db_sealed_put(db_conn_t *conn, const db_sealed_t *row) {
    return row_insert(conn,
                      "INSERT INTO sealed_secret (" SEALED_COLUMNS ") VALUES ($1, $2, $3, $4, $5)",
                      &sealed_type, row);
}

err_t *db_sealed_latest(db_conn_t *conn, arena_t *arena, const char *device_id, const char *kind,
                        db_sealed_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &sealed_type,
                    "SELECT " SEALED_COLUMNS " FROM sealed_secret"
                    " WHERE device_id = $1 AND kind = $2 ORDER BY version DESC LIMIT 1",
                    ret_row, ret_found, DB_STR(device_id), DB_STR(kind));
}

err_t *db_sealed_get(db_conn_t *conn, arena_t *arena, const char *device_id, const char *kind,
                     int64_t version, db_sealed_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &sealed_type,
                    "SELECT " SEALED_COLUMNS " FROM sealed_secret"
                    " WHERE device_id = $1 AND kind = $2 AND version = $3",
                    ret_row, ret_found, DB_STR(device_id), DB_STR(kind), DB_I64(version));
}
