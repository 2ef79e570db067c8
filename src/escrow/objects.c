/*
 * Escrow objects: see objects.h. coffer-web, any worker thread; objects_deal_some its own.
 */
#include "escrow/objects.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "escrow/escrow_internal.h"
#include "store/devices.h"

enum {
    BITLOCKER_GROUPS = 8,
    BITLOCKER_DIGITS = 6,
    BITLOCKER_BELOW = 720896, /* 11 * 2^16 */
    PIN_MIN = 4,
    PIN_MAX = 16,
    VERSIONS_TRIED = 8,
    DEAL_ARENA = 64 * 1024 * 1024,
};

/* ---- what may go in ---- */

err_t *objects_check_kind(const char *kind) {
    size_t n = strlen(kind);
    bool fine = n > 0 && n <= LIMIT_ESCROW_KIND;
    for (size_t i = 0; fine && i < n; i++)
        fine = (kind[i] >= 'a' && kind[i] <= 'z') || (kind[i] >= '0' && kind[i] <= '9') ||
               kind[i] == '-';
    if (!fine)
        return err_new(ERR_INVALID, "a kind has 1 to %d lower-case letters, digits and '-'",
                       LIMIT_ESCROW_KIND);
    if (strstr(kind, "signing"))
        return err_new(ERR_DENIED, "signing keys are never archived: who holds another's signing "
                                   "key can sign as him");
    return NULL;
}

static err_t *check_group(bytes_t group, unsigned number) {
    uint64_t value = 0;
    err_t *e = group.n == BITLOCKER_DIGITS ? text_u64(group, 999999, &value)
                                           : err_new(ERR_INVALID, "not six digits");
    if (e) {
        err_free(e);
        return err_new(ERR_INVALID, "group %u of a BitLocker recovery password is no six digits",
                       number);
    }
    if (value % 11 != 0 || value >= BITLOCKER_BELOW)
        return err_new(ERR_INVALID,
                       "group %u of the BitLocker recovery password is mistyped: it must be "
                       "divisible by 11 and below %d",
                       number, BITLOCKER_BELOW);
    return NULL;
}

static err_t *check_bitlocker(bytes_t secret) {
    unsigned count = 0;
    for (bytes_t rest = secret, group; text_split(&rest, '-', &group);)
        TRY(check_group(group, ++count));
    if (count != BITLOCKER_GROUPS)
        return err_new(ERR_INVALID, "a BitLocker recovery password has %d groups, not %u",
                       BITLOCKER_GROUPS, count);
    return NULL;
}

static err_t *check_pin(bytes_t secret) {
    bool fine = secret.n >= PIN_MIN && secret.n <= PIN_MAX;
    for (size_t i = 0; fine && i < secret.n; i++) fine = secret.p[i] >= '0' && secret.p[i] <= '9';
    return fine ? NULL : err_new(ERR_INVALID, "a PIN has %d to %d digits", PIN_MIN, PIN_MAX);
}

err_t *objects_check_secret(const char *kind, bytes_t secret) {
    if (secret.n == 0 || secret.n > LIMIT_ESCROW_SECRET)
        return err_new(ERR_LIMIT, "a secret has 1 to %d bytes", LIMIT_ESCROW_SECRET);
    if (strcmp(kind, ESCROW_KIND_SMIME) == 0)
        return err_new(ERR_DENIED, "S/MIME keys are archived with coffer key import");
    if (strcmp(kind, ESCROW_KIND_BITLOCKER) == 0) return check_bitlocker(secret);
    if (strcmp(kind, ESCROW_KIND_PIN) == 0) return check_pin(secret);
    return NULL;
}

err_t *objects_record(const db_escrow_t *row, escrow_object_t *ret_object) {
    return escrow_object_of(row, ret_object);
}

/* ---- putting in ---- */

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    const objects_spec_t *spec;
    escrow_object_t object;
    const char *label;
    bool officers_only;
    const keeper_archived_t *archived;
    db_escrow_t row;
} put_job_t;

static err_t *find_new(db_conn_t *conn, put_job_t *job) {
    const objects_spec_t *spec = job->spec;
    bool found = false;
    job->officers_only = spec->officers_only;
    job->label = spec->label;
    TRY(objects_check_kind(spec->kind));
    TRY(rnd_fill(job->escrow->o.rnd, job->object.id, ESCROW_ID));
    TRY(escrow_set_text(job->object.kind, sizeof job->object.kind, spec->kind, "kind"));
    job->object.version = 1;
    if (spec->owner[0]) {
        db_person_t person;
        TRY(db_people_by_email(conn, job->arena, spec->owner, &person, &found));
        if (!found) return err_new(ERR_NOT_FOUND, "nobody here has the address %s", spec->owner);
        TRY(escrow_set_text(job->object.owner, sizeof job->object.owner, person.id, "owner"));
    }
    if (spec->device[0]) {
        db_device_t device;
        TRY(db_devices_find(conn, job->arena, spec->device, &device, &found));
        if (!found) return err_new(ERR_NOT_FOUND, "there is no device %s", spec->device);
        TRY(escrow_set_text(job->object.device, sizeof job->object.device, device.id, "device"));
    }
    return NULL;
}

static err_t *find_old(db_conn_t *conn, put_job_t *job) {
    db_escrow_t row;
    bool found = false;
    TRY(db_escrow_get(conn, job->arena, job->spec->id, 0, &row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no escrow object %s", job->spec->id);
    TRY(escrow_object_of(&row, &job->object));
    if (job->object.has_spki)
        return err_new(ERR_DENIED, "object %s is a key pair: another key is another object",
                       row.id);
    job->object.version++;
    job->officers_only = row.officers_only;
    job->label = job->spec->label[0] ? job->spec->label : row.label;
    return NULL;
}

static err_t *put_read(db_conn_t *conn, void *arg) {
    put_job_t *job = arg;
    return job->spec->id ? find_old(conn, job) : find_new(conn, job);
}

err_t *objects_keep(db_conn_t *conn, const keeper_archived_t *archived, const char *label,
                    const char *actor, int64_t now_ms, int64_t *ret_seq) {
    const escrow_object_t *object = &archived->object;
    char id[ESCROW_ID_TEXT];
    int64_t seq = 0;
    escrow_id_text(object->id, id);
    TRY(db_escrow_add(
        conn,
        &(db_escrow_t){.id = id,
                       .kind = object->kind,
                       .owner = object->owner,
                       .device_id = object->device,
                       .version = (int64_t)object->version,
                       .label = label,
                       .epoch = (int64_t)archived->epoch,
                       .spki = object->has_spki ? BYTES_ARRAY(object->spki) : BYTES_NONE,
                       .created_by = actor,
                       .created_ms = now_ms,
                       .certificates = buf_bytes(&archived->certificate),
                       .blob = buf_bytes(&archived->blob),
                       .wrap = buf_bytes(&archived->wrap)},
        &seq));
    TRY(escrow_keep_shares(conn, seq, buf_bytes(&archived->shares)));
    *ret_seq = seq;
    return NULL;
}

static err_t *put_write(db_conn_t *conn, void *arg) {
    put_job_t *job = arg;
    int64_t seq = 0;
    bool found = false;
    char version[24];
    TRY(objects_keep(conn, job->archived, job->label, job->caller->actor,
                     escrow_now_ms(job->escrow), &seq));
    TRY(db_escrow_by_seq(conn, job->arena, seq, &job->row, &found));
    (void)snprintf(version, sizeof version, "%lld", (long long)job->row.version);
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "escrow.put", job->row.id,
                      "kind", job->row.kind, "version", version, "owner", job->row.owner, "device",
                      job->row.device_id, NULL);
}

/* The keeper may know a version that the store missed (a crash between both): the next then. */
static err_t *archive(put_job_t *job, bytes_t secret, keeper_archived_t *archived) {
    keeper_wrap_t wrap = job->officers_only ? KEEPER_WRAP_NEVER : KEEPER_WRAP_AUTOMATIC;
    err_t *e = NULL;
    for (unsigned i = 0; i < VERSIONS_TRIED; i++) {
        e = keeper_escrow_archive(job->escrow->o.keeper, &job->object, wrap, secret, archived);
        if (!e || err_code(e) != ERR_EXISTS || i + 1 == VERSIONS_TRIED) return e;
        err_free(e);
        job->object.version++;
    }
    return e;
}

err_t *objects_put(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                   const objects_spec_t *spec, bytes_t secret, db_escrow_t *ret_row) {
    put_job_t job = {.escrow = escrow, .caller = caller, .arena = arena, .spec = spec};
    keeper_archived_t archived;
    if (!text_printable(bytes_str(spec->label)) || strlen(spec->label) > LIMIT_NAME)
        return err_new(ERR_INVALID, "a label has at most %d printable characters", LIMIT_NAME);
    TRY(db_read(escrow->o.db, put_read, &job));
    TRY(objects_check_secret(job.object.kind, secret));
    keeper_archived_init(&archived);
    err_t *e = archive(&job, secret, &archived);
    job.archived = &archived;
    if (!e) e = db_write(escrow->o.db, put_write, &job);
    keeper_archived_done(&archived);
    if (!e) *ret_row = job.row;
    return e;
}

/* ---- proving ---- */

typedef struct {
    arena_t *arena;
    const db_escrow_t *row;
    objects_proof_t proof;
} prove_job_t;

static err_t *prove_read(db_conn_t *conn, void *arg) {
    prove_job_t *job = arg;
    db_officer_set_t set;
    bool found = false;
    TRY(db_escrow_shares_count(conn, job->row->seq, job->row->epoch, &job->proof.shares));
    if (job->row->epoch == 0) return NULL;
    TRY(db_officer_sets_get(conn, job->arena, job->row->epoch, &set, &found));
    job->proof.officers = found ? set.officers : 0;
    return NULL;
}

static err_t *say(prove_job_t *job, const char *text) {
    bytes_t copy;
    TRY(arena_copy(job->arena, bytes_str(text), &copy));
    job->proof.problem = (const char *)copy.p;
    return NULL;
}

/* Trouble on the way to the keeper is no failed proof. */
static bool is_proof_failure(const err_t *e) {
    err_code_t code = err_code(e);
    return code == ERR_VERIFY || code == ERR_DENIED || code == ERR_INVALID || code == ERR_NOT_FOUND;
}

err_t *objects_prove(escrow_t *escrow, arena_t *arena, const db_escrow_t *row,
                     objects_proof_t *ret_proof) {
    prove_job_t job = {.arena = arena, .row = row};
    escrow_object_t object;
    char text[512];
    TRY(db_read(escrow->o.db, prove_read, &job));
    err_t *e = escrow_object_of(row, &object);
    if (!e && row->wrap.n) e = keeper_escrow_drill(escrow->o.keeper, &object, row->blob, row->wrap);
    if (e && !is_proof_failure(e)) return e;
    if (e) {
        err_t *failed = say(&job, err_text(e, text, sizeof text));
        err_free(e);
        if (failed) return failed;
    } else {
        job.proof.by_keeper = row->wrap.n > 0;
        if (row->epoch == 0 && !row->wrap.n) TRY(say(&job, "there is neither a wrap nor a share"));
        else if (row->epoch && (!job.proof.officers || job.proof.shares != job.proof.officers))
            TRY(say(&job, "not every officer of its set has a share"));
    }
    *ret_proof = job.proof;
    return NULL;
}

/* ---- dealing in the background ---- */

typedef struct {
    escrow_t *escrow;
    arena_t *arena;
    int64_t epoch; /* active */
    objects_cursor_t cursor;
    db_escrow_t *rows;
    size_t count;
    size_t dealt;
    bytes_t shares[LIMIT_ESCROW_BATCH]; /* none: refused */
    err_t *first_refusal;
} deal_job_t;

/* The next objects: of the newest earlier epoch first, then of those before it. */
static err_t *deal_read(db_conn_t *conn, void *arg) {
    deal_job_t *job = arg;
    db_officer_set_t set;
    bool found = false;
    TRY(db_officer_sets_in_state(conn, job->arena, "active", &set, &found));
    if (!found) return NULL;
    job->epoch = set.epoch;
    for (;;) {
        if (job->cursor.started)
            TRY(db_escrow_of_epoch(conn, job->arena, job->cursor.epoch, false, job->cursor.seq,
                                   LIMIT_ESCROW_BATCH, &job->rows, &job->count));
        if (job->count) return NULL;
        int64_t below = job->cursor.started ? job->cursor.epoch : set.epoch;
        TRY(db_escrow_older_epoch(conn, below, false, &job->cursor.epoch, &found));
        if (!found) return NULL;
        job->cursor.seq = 0;
        job->cursor.started = true;
    }
}

static err_t *take_shares(void *arg, size_t index, uint64_t epoch, bytes_t shares, const err_t *e) {
    deal_job_t *job = arg;
    char why[256];
    if (e) {
        if (!job->first_refusal)
            job->first_refusal = err_new(err_code(e), "object %s: %s", job->rows[index].id,
                                         err_text(e, why, sizeof why));
        return NULL;
    }
    if ((int64_t)epoch != job->epoch) return NULL; /* the set changed meanwhile: the next round */
    return arena_copy(job->arena, shares, &job->shares[index]);
}

static err_t *deal_write(db_conn_t *conn, void *arg) {
    deal_job_t *job = arg;
    for (size_t i = 0; i < job->count; i++) {
        if (!job->shares[i].n) continue;
        TRY(escrow_keep_shares(conn, job->rows[i].seq, job->shares[i]));
        TRY(db_escrow_shares_drop_others(conn, job->rows[i].seq, job->epoch));
        TRY(db_escrow_set_epoch(conn, job->rows[i].seq, job->epoch));
        job->dealt++;
    }
    char name[32], objects[24];
    (void)snprintf(name, sizeof name, "set:%lld", (long long)job->epoch);
    (void)snprintf(objects, sizeof objects, "%zu", job->dealt);
    return job->dealt ? audit_note(job->escrow->o.audit, conn, "system", "escrow.deal", name,
                                   "objects", objects, NULL)
                      : NULL;
}

static err_t *ask_keeper(deal_job_t *job) {
    keeper_stored_t *list = NULL;
    TRY(escrow_stored_of(job->arena, job->rows, job->count, &list));
    return keeper_escrow_deal(job->escrow->o.keeper, list, job->count, take_shares, job);
}

err_t *objects_deal_some(escrow_t *escrow, objects_cursor_t *cursor, size_t *ret_count,
                         bool *ret_more) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    deal_job_t *job = NULL;
    TRY(arena_new(DEAL_ARENA, &arena));
    TRY(arena_alloc(arena, sizeof *job, &job));
    *job = (deal_job_t){.escrow = escrow, .arena = arena, .cursor = *cursor};
    TRY(db_read(escrow->o.db, deal_read, job));
    if (job->count) {
        err_t *e = ask_keeper(job);
        if (!e) e = db_write(escrow->o.db, deal_write, job);
        if (e) {
            err_free(job->first_refusal);
            return e;
        }
        job->cursor.seq = job->rows[job->count - 1].seq;
    }
    *cursor = job->cursor;
    *ret_more = job->count > 0;
    *ret_count = job->dealt;
    return job->first_refusal;
}
