/*
 * See secret.h. coffer-web: a worker asks the keeper, a transaction finds and keeps.
 */
#include "device/secret.h"

#include "base/mem.h"
#include "ipc/wire.h"

enum {
    REFERENCE = 3, /* first byte of a row that names an object; the keeper's own begin with 1, 2 */
    REFERENCE_SIZE = 1 + ESCROW_ID + 8,
    VERSIONS_TRIED = 8,
};

/* As what each of a device's secrets is archived, and whether its successor is another version. */
static const struct {
    const char *kind, *escrow_kind;
    bool replaced;
} kinds[] = {
    {SECRET_UNLOCK_TOKEN, ESCROW_KIND_UNLOCK, true},
    {SECRET_BOOTSTRAP_TOKEN, ESCROW_KIND_BOOTSTRAP, true},
    {SECRET_LOCK_PIN, ESCROW_KIND_PIN, false},
    {SECRET_BYPASS_SERVER, ESCROW_KIND_BYPASS, true},
    {SECRET_BYPASS_DEVICE, ESCROW_KIND_BYPASS, true},
    {SECRET_FILEVAULT, ESCROW_KIND_FILEVAULT, true},
    {SECRET_RECEIVER, ESCROW_KIND_RECEIVER, false},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- rows ---- */

static err_t *put_reference(const escrow_object_t *object, buf_t *out) {
    TRY(buf_add_byte(out, REFERENCE));
    TRY(buf_add(out, BYTES_ARRAY(object->id)));
    return wire_put_u64(out, object->version);
}

static bool is_reference(bytes_t sealed) {
    return sealed.n == REFERENCE_SIZE && sealed.p[0] == REFERENCE;
}

err_t *device_secret_find(db_conn_t *conn, arena_t *arena, const char *device_id, const char *kind,
                          int64_t version, device_secret_t *ret_secret) {
    device_secret_t s = {0};
    char id[ESCROW_ID_TEXT];
    bool found = false;
    TRY(version ? db_sealed_get(conn, arena, device_id, kind, version, &s.row, &s.found)
                : db_sealed_latest(conn, arena, device_id, kind, &s.row, &s.found));
    s.in_escrow = s.found && is_reference(s.row.sealed);
    if (s.in_escrow) {
        escrow_id_text(s.row.sealed.p + 1, id);
        TRY(db_escrow_get(conn, arena, id, 0, &s.object, &found));
        if (!found)
            return err_new(ERR_VERIFY,
                           "the %s of device %s lies in escrow object %s, which is gone", kind,
                           device_id, id);
    }
    *ret_secret = s;
    return NULL;
}

static err_t *set_text(char *text, size_t size, const char *value) {
    size_t n = strlen(value);
    if (n >= size) return err_new(ERR_LIMIT, "an escrow object's text is too long");
    memcpy(text, value, n + 1);
    return NULL;
}

err_t *device_secret_kept(const device_secret_t *secret, keeper_kept_t *ret_kept) {
    const db_escrow_t *row = &secret->object;
    keeper_kept_t kept = {.blob = row->blob, .wrap = row->wrap, .certificate = row->certificates};
    escrow_object_t *object = &kept.object;
    if (!secret->in_escrow || row->version < 1 || (row->spki.n && row->spki.n != ESCROW_HASH))
        return err_new(ERR_VERIFY, "the row of an escrow object is damaged");
    TRY(escrow_id_parse(bytes_str(row->id), object->id));
    TRY(set_text(object->kind, sizeof object->kind, row->kind));
    TRY(set_text(object->owner, sizeof object->owner, row->owner));
    TRY(set_text(object->device, sizeof object->device, row->device_id));
    object->version = (uint64_t)row->version;
    object->has_spki = row->spki.n > 0;
    if (object->has_spki) memcpy(object->spki, row->spki.p, ESCROW_HASH);
    *ret_kept = kept;
    return NULL;
}

/* ---- archiving ---- */

void device_secret_new_init(device_secret_new_t *fresh) {
    *fresh = (device_secret_new_t){0};
    keeper_archived_init(&fresh->archived);
}

void device_secret_new_done(device_secret_new_t *fresh) { keeper_archived_done(&fresh->archived); }

/* The object it becomes: the next version of the one before, or a new one. */
static err_t *next_object(const devices_t *devices, const char *device_id, const char *kind,
                          const device_secret_t *before, escrow_object_t *ret_object) {
    escrow_object_t object = {.version = 1};
    keeper_kept_t kept;
    size_t i = 0;
    while (i < KINDS && strcmp(kinds[i].kind, kind) != 0) i++;
    if (i == KINDS) return err_new(ERR_USAGE, "devices have no secret %s", kind);
    if (before && before->in_escrow && kinds[i].replaced) {
        TRY(device_secret_kept(before, &kept));
        object = kept.object;
        object.version++;
    } else {
        TRY(rnd_fill(devices->o.rnd, object.id, ESCROW_ID));
        TRY(set_text(object.kind, sizeof object.kind, kinds[i].escrow_kind));
        TRY(set_text(object.device, sizeof object.device, device_id));
    }
    *ret_object = object;
    return NULL;
}

static void begin(device_secret_new_t *fresh, const char *device_id, const char *kind,
                  const device_secret_t *before) {
    fresh->device_id = device_id;
    fresh->kind = kind;
    fresh->version = before && before->found ? before->row.version + 1 : 1;
}

/* The keeper may know a version that the store missed (a crash between both): the next then. */
static bool try_next_version(escrow_object_t *object, err_t **e, unsigned tried) {
    if (!*e || err_code(*e) != ERR_EXISTS || tried + 1 == VERSIONS_TRIED) return false;
    err_free(*e);
    *e = NULL;
    object->version++;
    return true;
}

err_t *device_secret_archive(devices_t *devices, const char *device_id, const char *kind,
                             const device_secret_t *before, bytes_t secret,
                             device_secret_new_t *ret_fresh) {
    escrow_object_t object;
    err_t *e = NULL;
    TRY(next_object(devices, device_id, kind, before, &object));
    begin(ret_fresh, device_id, kind, before);
    for (unsigned i = 0; i == 0 || try_next_version(&object, &e, i - 1); i++)
        e = keeper_escrow_archive(devices->o.keeper, &object, KEEPER_WRAP_AUTOMATIC, secret,
                                  &ret_fresh->archived);
    return e;
}

err_t *device_secret_take(devices_t *devices, const char *device_id, const char *kind,
                          const device_secret_t *before, const device_secret_t *to, bytes_t secret,
                          device_secret_new_t *ret_fresh) {
    keeper_taking_t taking = {.secret = secret};
    keeper_kept_t previous = {0}, receiver;
    err_t *e = NULL;
    TRY(next_object(devices, device_id, kind, before, &taking.object));
    begin(ret_fresh, device_id, kind, before);
    if (before && before->in_escrow) {
        TRY(device_secret_kept(before, &previous));
        taking.previous = &previous;
    }
    if (to) {
        TRY(device_secret_kept(to, &receiver));
        taking.to = &receiver;
    }
    for (unsigned i = 0; i == 0 || try_next_version(&taking.object, &e, i - 1); i++)
        e = keeper_secret_take(devices->o.keeper, &taking, &ret_fresh->same, &ret_fresh->archived);
    if (!e && ret_fresh->same) ret_fresh->archived.object = previous.object;
    return e;
}

err_t *device_secret_make_receiver(devices_t *devices, const char *device_id,
                                   device_secret_new_t *ret_fresh) {
    escrow_object_t object;
    TRY(next_object(devices, device_id, SECRET_RECEIVER, NULL, &object));
    begin(ret_fresh, device_id, SECRET_RECEIVER, NULL);
    return keeper_receiver_make(devices->o.keeper, &object, &ret_fresh->archived);
}

/* ---- keeping ---- */

static err_t *note_proof(devices_t *devices, db_conn_t *conn, const escrow_object_t *object) {
    char id[ESCROW_ID_TEXT];
    CLEANUP(arena_free) arena_t *arena = NULL;
    db_escrow_t row;
    bool found = false;
    escrow_id_text(object->id, id);
    TRY(arena_new(DEVICE_ARENA, &arena));
    TRY(db_escrow_get(conn, arena, id, (int64_t)object->version, &row, &found));
    return found ? db_escrow_set_verified(conn, row.seq, devices_now(devices)) : NULL;
}

err_t *device_secret_keep(devices_t *devices, db_conn_t *conn, const device_secret_new_t *fresh,
                          const char *label, const char *actor) {
    CLEANUP(buf_done) buf_t reference;
    int64_t seq = 0, now = devices_now(devices);
    buf_init(&reference, REFERENCE_SIZE);
    if (fresh->same) return note_proof(devices, conn, &fresh->archived.object);
    TRY(devices->o.keep(conn, &fresh->archived, label, actor, now, &seq));
    TRY(put_reference(&fresh->archived.object, &reference));
    const db_sealed_t row = {.device_id = fresh->device_id,
                             .kind = fresh->kind,
                             .version = fresh->version,
                             .sealed = buf_bytes(&reference),
                             .created_ms = now};
    err_t *e = db_sealed_put(conn, &row);
    return e && err_code(e) == ERR_EXISTS ? err_recode(e, ERR_BUSY) : e;
}

/* ---- using ---- */

err_t *device_secret_fill(devices_t *devices, const device_secret_t *secret, const char *command,
                          buf_t *ret_secret) {
    const db_sealed_t *row = &secret->row;
    keeper_kept_t kept;
    if (!device_secret_is_there(secret))
        return err_new(ERR_DENIED, "the secret of this command is gone");
    if (!secret->in_escrow)
        return keeper_fill_secret(devices->o.keeper, row->kind, row->device_id, row->version,
                                  command, row->sealed, ret_secret);
    TRY(device_secret_kept(secret, &kept));
    return keeper_escrow_fill(devices->o.keeper, &kept.object, kept.blob, kept.wrap, command,
                              ret_secret);
}
