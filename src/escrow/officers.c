/*
 * Officers' keys and sets: see officers.h. coffer-web, any worker thread.
 */
#include "escrow/officers.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "escrow/escrow_internal.h"

enum { ID_BYTES = 8, RECORD_MAX = LIMIT_ESCROW_RECORD };

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    const char *email;
    db_officer_t row;
} add_job_t;

static err_t *add_write(db_conn_t *conn, void *arg) {
    add_job_t *job = arg;
    db_person_t person;
    bool found = false;
    TRY(db_people_by_email(conn, job->arena, job->email, &person, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "nobody here has the address %s", job->email);
    if (person.disabled) return err_new(ERR_DENIED, "%s is disabled", person.email);
    job->row.person_id = person.id;
    job->row.label = person.email;
    err_t *e = db_officers_add(conn, &job->row);
    if (e && err_code(e) == ERR_EXISTS) {
        err_free(e);
        return err_new(ERR_EXISTS, "this officer's key was handed in already");
    }
    if (e) return e;
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "officer.add", person.email,
                      "officer", job->row.id, NULL);
}

static err_t *check_file(bytes_t record, uint8_t ret_fingerprint[ESCROW_HASH]) {
    escrow_officer_file_t file;
    TRY_WRAP(escrow_officer_file_parse(record, &file), "the officer's public file");
    TRY_WRAP(escrow_officer_file_verify(&file), "the officer's public file");
    return escrow_officer_fingerprint(file.hpke, file.sign, ret_fingerprint);
}

err_t *officers_add(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, bytes_t email,
                    bytes_t record, const char **ret_id) {
    uint8_t fingerprint[ESCROW_HASH];
    CLEANUP(buf_done) buf_t id;
    bytes_t copy, address;
    buf_init(&id, 2 * ID_BYTES);
    TRY(check_file(record, fingerprint));
    TRY(text_hex(bytes_make(fingerprint, ID_BYTES), &id));
    TRY(arena_copy(arena, buf_bytes(&id), &copy));
    TRY(arena_copy(arena, email, &address));
    text_lower((char *)(uintptr_t)address.p);
    add_job_t job = {.escrow = escrow,
                     .caller = caller,
                     .arena = arena,
                     .email = (const char *)address.p,
                     .row = {.id = (const char *)copy.p,
                             .fingerprint = BYTES_ARRAY(fingerprint),
                             .record = record,
                             .created_by = caller->actor,
                             .created_ms = escrow_now_ms(escrow)}};
    TRY(db_write(escrow->o.db, add_write, &job));
    *ret_id = job.row.id;
    return NULL;
}

/* ---- looking ---- */

static err_t *index_in(const db_officer_set_t *set, const char *id, int64_t *ret_index) {
    escrow_set_t parsed;
    TRY(escrow_set_parse(set->record, &parsed));
    const escrow_officer_t *officer = escrow_set_officer(&parsed, id);
    *ret_index = officer ? officer->index : 0;
    return NULL;
}

static err_t *view_line(db_conn_t *conn, arena_t *arena, const officers_view_t *view,
                        officers_line_t *line) {
    db_person_t person;
    bool found = false;
    line->email = line->row.label;
    TRY(db_people_by_id(conn, arena, line->row.person_id, &person, &found));
    if (found) line->email = person.email;
    if (view->has_active) TRY(index_in(&view->active, line->row.id, &line->active_index));
    if (view->has_proposed) TRY(index_in(&view->proposed, line->row.id, &line->proposed_index));
    return NULL;
}

err_t *officers_view(db_conn_t *conn, arena_t *arena, officers_view_t *ret_view) {
    officers_view_t view = {0};
    db_officer_t *rows = NULL;
    TRY(db_officer_sets_in_state(conn, arena, "active", &view.active, &view.has_active));
    TRY(db_officer_sets_in_state(conn, arena, "proposed", &view.proposed, &view.has_proposed));
    if (view.has_proposed)
        TRY(db_set_signatures_list(conn, arena, view.proposed.epoch, &view.signatures,
                                   &view.signatures_n));
    TRY(db_officers_list(conn, arena, &rows, &view.count));
    TRY(arena_alloc(arena, (view.count + 1) * sizeof *view.lines, &view.lines));
    for (size_t i = 0; i < view.count; i++) {
        view.lines[i] = (officers_line_t){.row = rows[i]};
        TRY(view_line(conn, arena, &view, &view.lines[i]));
    }
    *ret_view = view;
    return NULL;
}

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    const char *id;
} remove_job_t;

static err_t *remove_write(db_conn_t *conn, void *arg) {
    remove_job_t *job = arg;
    officers_view_t view;
    bool changed = false;
    TRY(officers_view(conn, job->arena, &view));
    for (size_t i = 0; i < view.count; i++) {
        const officers_line_t *line = &view.lines[i];
        if (strcmp(line->row.id, job->id) != 0) continue;
        if (line->active_index || line->proposed_index)
            return err_new(ERR_DENIED,
                           "officer %s is in a set: propose one without, have it signed, and deal "
                           "anew (coffer officer activate)",
                           job->id);
    }
    TRY(db_officers_remove(conn, job->id, escrow_now_ms(job->escrow), &changed));
    if (!changed) return err_new(ERR_NOT_FOUND, "there is no officer %s", job->id);
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "officer.remove", job->id,
                      NULL);
}

err_t *officers_remove(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                       const char *id) {
    remove_job_t job = {escrow, caller, arena, id};
    return db_write(escrow->o.db, remove_write, &job);
}

/* ---- a new set ---- */

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    unsigned threshold;
    const char *const *ids;
    size_t ids_n;
    bool has_active;
    escrow_set_t active, next;
    bytes_t record;
    uint8_t hash[ESCROW_HASH];
} propose_job_t;

static bool index_taken(const propose_job_t *job, uint8_t index) {
    return escrow_set_index(&job->next, index) ||
           (job->has_active && escrow_set_index(&job->active, index));
}

static err_t *add_member(db_conn_t *conn, propose_job_t *job, const char *id) {
    db_officer_t row;
    escrow_officer_file_t file;
    bool found = false;
    escrow_officer_t *officer = &job->next.officers[job->next.n];
    TRY(db_officers_get(conn, job->arena, id, &row, &found));
    if (!found || row.removed_ms) return err_new(ERR_NOT_FOUND, "there is no officer %s", id);
    TRY(escrow_officer_file_parse(row.record, &file));
    *officer = (escrow_officer_t){0};
    TRY(escrow_set_text(officer->id, sizeof officer->id, row.id, "officer's id"));
    TRY(escrow_set_text(officer->person, sizeof officer->person, row.person_id, "person's id"));
    memcpy(officer->hpke, file.hpke, ESCROW_KEY);
    memcpy(officer->sign, file.sign, ESCROW_KEY);
    const escrow_officer_t *before =
        job->has_active ? escrow_set_officer(&job->active, row.id) : NULL;
    officer->index = before ? before->index : 1;
    while (!before && index_taken(job, officer->index)) officer->index++;
    job->next.n++;
    return NULL;
}

/* In ascending order of index, as the record demands. */
static void sort_members(escrow_set_t *set) {
    for (size_t i = 1; i < set->n; i++)
        for (size_t k = i; k && set->officers[k].index < set->officers[k - 1].index; k--) {
            escrow_officer_t moved = set->officers[k];
            set->officers[k] = set->officers[k - 1];
            set->officers[k - 1] = moved;
        }
}

/* All objects must be dealt to the active set: only its officers can deal to the next. */
static err_t *check_settled(db_conn_t *conn, const escrow_set_t *active) {
    int64_t epoch = 0;
    bool found = false;
    TRY(db_escrow_older_epoch(conn, (int64_t)active->epoch, true, &epoch, &found));
    if (found && epoch > 0)
        return err_new(ERR_DENIED,
                       "objects are still dealt to officers' set %lld: finish that first (coffer "
                       "officer redeal)",
                       (long long)epoch);
    int64_t kept = 0;
    TRY(db_escrow_count_kept(conn, (int64_t)active->epoch, 0, &kept));
    if (kept)
        return err_new(ERR_DENIED,
                       "nobody showed yet that the %lld objects dealt to officers' set %llu open: "
                       "recover one, then finish that first (coffer officer finish)",
                       (long long)kept, (unsigned long long)active->epoch);
    return NULL;
}

static err_t *build_next(db_conn_t *conn, void *arg) {
    propose_job_t *job = arg;
    db_officer_set_t row;
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, RECORD_MAX);
    TRY(db_officer_sets_in_state(conn, job->arena, "active", &row, &job->has_active));
    if (job->has_active) {
        TRY(escrow_set_parse(row.record, &job->active));
        TRY(escrow_set_hash(&job->active, job->next.previous));
        TRY(check_settled(conn, &job->active));
    }
    if (job->threshold > LIMIT_ESCROW_OFFICERS || job->ids_n > LIMIT_ESCROW_OFFICERS)
        return err_new(ERR_LIMIT, "at most %d officers", LIMIT_ESCROW_OFFICERS);
    job->next.epoch = job->has_active ? job->active.epoch + 1 : 1;
    job->next.threshold = (uint8_t)job->threshold;
    for (size_t i = 0; i < job->ids_n; i++) TRY(add_member(conn, job, job->ids[i]));
    sort_members(&job->next);
    TRY(escrow_set_put(&job->next, &record));
    TRY(escrow_set_hash(&job->next, job->hash));
    return arena_copy(job->arena, buf_bytes(&record), &job->record);
}

static err_t *note_set(const propose_job_t *job, db_conn_t *conn, const char *action) {
    char name[32], threshold[16], officers[16];
    CLEANUP(buf_done) buf_t hex;
    const char *hash = NULL;
    buf_init(&hex, 2 * ESCROW_HASH);
    (void)snprintf(name, sizeof name, "set:%llu", (unsigned long long)job->next.epoch);
    (void)snprintf(threshold, sizeof threshold, "%u", job->next.threshold);
    (void)snprintf(officers, sizeof officers, "%zu", job->next.n);
    TRY(text_hex(BYTES_ARRAY(job->hash), &hex));
    TRY(buf_cstr(&hex, &hash));
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, action, name, "threshold",
                      threshold, "officers", officers, "hash", hash, NULL);
}

static err_t *keep_set(db_conn_t *conn, propose_job_t *job) {
    return db_officer_sets_add(conn, &(db_officer_set_t){.epoch = (int64_t)job->next.epoch,
                                                         .record = job->record,
                                                         .hash = BYTES_ARRAY(job->hash),
                                                         .threshold = job->next.threshold,
                                                         .officers = (int64_t)job->next.n,
                                                         .state = "proposed",
                                                         .created_by = job->caller->actor,
                                                         .created_ms = escrow_now_ms(job->escrow)});
}

static err_t *first_write(db_conn_t *conn, void *arg) {
    propose_job_t *job = arg;
    bool dropped = false;
    TRY(db_officer_sets_drop(conn, (int64_t)job->next.epoch, &dropped));
    TRY(keep_set(conn, job));
    TRY(db_officer_sets_activate(conn, (int64_t)job->next.epoch, escrow_now_ms(job->escrow)));
    return note_set(job, conn, "officers.activate");
}

static err_t *propose_write(db_conn_t *conn, void *arg) {
    propose_job_t *job = arg;
    bool dropped = false;
    TRY(db_officer_sets_drop(conn, (int64_t)job->next.epoch, &dropped));
    TRY(keep_set(conn, job));
    return note_set(job, conn, "officers.propose");
}

err_t *officers_propose(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                        unsigned threshold, const char *const *ids, size_t ids_n,
                        int64_t *ret_epoch, bool *ret_active) {
    propose_job_t job = {.escrow = escrow,
                         .caller = caller,
                         .arena = arena,
                         .threshold = threshold,
                         .ids = ids,
                         .ids_n = ids_n};
    TRY(officers_adopt(escrow));
    TRY(db_read(escrow->o.db, build_next, &job));
    if (job.has_active) {
        TRY(db_write(escrow->o.db, propose_write, &job));
    } else {
        TRY(keeper_officers_activate(escrow->o.keeper, job.record, NULL, 0));
        TRY(db_write(escrow->o.db, first_write, &job));
    }
    *ret_epoch = (int64_t)job.next.epoch;
    *ret_active = !job.has_active;
    return NULL;
}

/* ---- agreeing to it ---- */

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    int64_t epoch;
    bytes_t record;
    escrow_signature_t signature;
    db_officer_set_t next_row;
    escrow_set_t active, next;
    db_set_signature_t *signatures;
    size_t signatures_n;
} sign_job_t;

static err_t *verify_one(const sign_job_t *job, const escrow_officer_t *officer) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_set_hash(&job->next, hash));
    TRY(pkey_from_raw_public(PKEY_ED25519, BYTES_ARRAY(officer->sign), &key));
    TRY_WRAP(pkey_verify(key, ESCROW_DOMAIN_SET, BYTES_ARRAY(hash),
                         BYTES_ARRAY(job->signature.signature)),
             "signature of officer %s", officer->id);
    return NULL;
}

static bool has_signed(const sign_job_t *job, const char *id) {
    for (size_t i = 0; i < job->signatures_n; i++)
        if (strcmp(job->signatures[i].officer_id, id) == 0) return true;
    return false;
}

static err_t *sign_write(db_conn_t *conn, void *arg) {
    sign_job_t *job = arg;
    db_officer_set_t active_row;
    const escrow_officer_t *own = NULL;
    char name[32];
    TRY(escrow_active_set(conn, job->arena, &active_row, &job->active));
    TRY(escrow_set_of_epoch(conn, job->arena, job->epoch, &job->next_row, &job->next));
    if (strcmp(job->next_row.state, "proposed") != 0)
        return err_new(ERR_DENIED, "officers' set %lld waits for no signatures",
                       (long long)job->epoch);
    TRY(escrow_own_officer(&job->active, job->caller, &own));
    if (strcmp(own->id, job->signature.officer) != 0)
        return err_new(ERR_DENIED, "the signature is of officer %s, not yours",
                       job->signature.officer);
    TRY(verify_one(job, own));
    TRY(db_set_signatures_list(conn, job->arena, job->epoch, &job->signatures, &job->signatures_n));
    if (has_signed(job, own->id)) {
        /* Once is enough; but if the keeper was away over the last one, it is asked again. */
        if (job->signatures_n >= job->active.threshold) return NULL;
        return err_new(ERR_EXISTS, "officer %s signed already and counts once", own->id);
    }
    TRY(db_set_signatures_add(conn, job->epoch,
                              &(db_set_signature_t){.officer_id = own->id,
                                                    .record = job->record,
                                                    .created_ms = escrow_now_ms(job->escrow)}));
    TRY(db_set_signatures_list(conn, job->arena, job->epoch, &job->signatures, &job->signatures_n));
    (void)snprintf(name, sizeof name, "set:%lld", (long long)job->epoch);
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "officers.sign", name,
                      "officer", own->id, NULL);
}

/* The first who signed deal; each must be in the old set, which verify_one saw to. */
static err_t *plan_redeal(db_conn_t *conn, const sign_job_t *job) {
    for (size_t i = 0; i < job->active.threshold && i < job->signatures_n; i++) {
        const escrow_officer_t *dealer =
            escrow_set_officer(&job->active, job->signatures[i].officer_id);
        if (!dealer) return err_new(ERR_INTERNAL, "a signature of nobody in the set");
        TRY(db_redeals_add(conn, &(db_redeal_t){.to_epoch = job->epoch,
                                                .dealer = dealer->index,
                                                .officer_id = dealer->id,
                                                .updated_ms = escrow_now_ms(job->escrow)}));
    }
    return NULL;
}

static err_t *activate_write(db_conn_t *conn, void *arg) {
    sign_job_t *job = arg;
    char name[32];
    TRY(db_redeals_drop(conn, job->epoch));
    TRY(plan_redeal(conn, job));
    TRY(db_officer_sets_activate(conn, job->epoch, escrow_now_ms(job->escrow)));
    (void)snprintf(name, sizeof name, "set:%lld", (long long)job->epoch);
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "officers.activate", name,
                      NULL);
}

static err_t *activate(sign_job_t *job) {
    bytes_t records[LIMIT_ESCROW_OFFICERS];
    size_t n = 0;
    for (; n < job->signatures_n && n < LIMIT_ESCROW_OFFICERS; n++)
        records[n] = job->signatures[n].record;
    TRY(keeper_officers_activate(job->escrow->o.keeper, job->next_row.record, records, n));
    return db_write(job->escrow->o.db, activate_write, job);
}

err_t *officers_sign(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, int64_t epoch,
                     bytes_t record, bool *ret_active) {
    sign_job_t job = {
        .escrow = escrow, .caller = caller, .arena = arena, .epoch = epoch, .record = record};
    TRY(escrow_signature_parse(record, &job.signature));
    TRY(db_write(escrow->o.db, sign_write, &job));
    bool enough = job.signatures_n >= job.active.threshold;
    if (enough) TRY(activate(&job));
    *ret_active = enough;
    return NULL;
}

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    int64_t epoch;
} withdraw_job_t;

static err_t *withdraw_write(db_conn_t *conn, void *arg) {
    withdraw_job_t *job = arg;
    bool changed = false;
    char name[32];
    TRY(db_officer_sets_drop(conn, job->epoch, &changed));
    if (!changed)
        return err_new(ERR_NOT_FOUND, "no officers' set %lld is proposed", (long long)job->epoch);
    (void)snprintf(name, sizeof name, "set:%lld", (long long)job->epoch);
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "officers.withdraw", name,
                      NULL);
}

err_t *officers_withdraw(escrow_t *escrow, const escrow_caller_t *caller, int64_t epoch) {
    withdraw_job_t job = {escrow, caller, epoch};
    TRY(officers_adopt(escrow));
    return db_write(escrow->o.db, withdraw_write, &job);
}
