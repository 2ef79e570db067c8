/*
 * The context, and what the room's files share: see escrow.h. coffer-web, any worker thread.
 */
#include "escrow/escrow_internal.h"

#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "store/hands.h"

err_t *escrow_new(const escrow_options_t *options, escrow_t **ret_escrow) {
    escrow_t *escrow = mem_zalloc(sizeof *escrow);
    if (!escrow) return err_nomem();
    escrow->o = *options;
    *ret_escrow = escrow;
    return NULL;
}

void escrow_free(escrow_t *escrow) { mem_free(escrow); }

const char *escrow_rotate_after_reveal(const char *kind) {
    static const struct {
        const char *kind, *what;
    } advice[] = {
        {ESCROW_KIND_SMIME, "by hand: revoke the certificate if the key left its owner's hands"},
        {ESCROW_KIND_LUKS, "by hand: coffer disk rotate VOLUME on the machine"},
        {ESCROW_KIND_FILEVAULT, "by hand: coffer device command DEVICE RotateFileVaultKey"},
        {ESCROW_KIND_BITLOCKER, "by hand: make a new recovery password on the machine, upload it"},
        {ESCROW_KIND_BYPASS, "by hand: turn the activation lock off and on again"},
        {ESCROW_KIND_UNLOCK, "none: the device sends a new token by itself"},
        {ESCROW_KIND_BOOTSTRAP, "none: the device sends a new token by itself"},
        {ESCROW_KIND_PIN, "by hand: set another PIN"},
    };
    for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++)
        if (strcmp(kind, advice[i].kind) == 0) return advice[i].what;
    return "by hand: replace the secret where it is used, then archive the new one";
}

err_t *escrow_set_text(char *text, size_t size, const char *value, const char *what) {
    size_t n = strlen(value);
    if (n >= size) return err_new(ERR_LIMIT, "the %s has more than %zu bytes", what, size - 1);
    memcpy(text, value, n + 1);
    return NULL;
}

err_t *escrow_object_of(const db_escrow_t *row, escrow_object_t *ret_object) {
    escrow_object_t object = {.version = (uint64_t)row->version, .has_spki = row->spki.n > 0};
    if (row->version < 1 || (row->spki.n && row->spki.n != ESCROW_HASH))
        return err_new(ERR_VERIFY, "escrow object %s: its row is damaged", row->id);
    TRY(escrow_id_parse(bytes_str(row->id), object.id));
    TRY(escrow_set_text(object.kind, sizeof object.kind, row->kind, "kind"));
    TRY(escrow_set_text(object.owner, sizeof object.owner, row->owner, "owner"));
    TRY(escrow_set_text(object.device, sizeof object.device, row->device_id, "device"));
    if (row->spki.n) memcpy(object.spki, row->spki.p, ESCROW_HASH);
    *ret_object = object;
    return NULL;
}

err_t *escrow_set_of_epoch(db_conn_t *conn, arena_t *arena, int64_t epoch,
                           db_officer_set_t *ret_row, escrow_set_t *ret_set) {
    bool found = false;
    TRY(db_officer_sets_get(conn, arena, epoch, ret_row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no officers' set %lld", (long long)epoch);
    TRY_WRAP(escrow_set_parse(ret_row->record, ret_set), "officers' set %lld", (long long)epoch);
    return NULL;
}

err_t *escrow_active_set(db_conn_t *conn, arena_t *arena, db_officer_set_t *ret_row,
                         escrow_set_t *ret_set) {
    bool found = false;
    TRY(db_officer_sets_in_state(conn, arena, "active", ret_row, &found));
    if (!found)
        return err_new(ERR_NOT_FOUND, "there are no recovery officers yet: coffer officer add, "
                                      "then coffer officer activate");
    TRY_WRAP(escrow_set_parse(ret_row->record, ret_set), "officers' set %lld",
             (long long)ret_row->epoch);
    return NULL;
}

err_t *escrow_own_officer(const escrow_set_t *set, const escrow_caller_t *caller,
                          const escrow_officer_t **ret_officer) {
    for (size_t i = 0; caller->person_id[0] && i < set->n; i++) {
        if (strcmp(set->officers[i].person, caller->person_id) != 0) continue;
        *ret_officer = &set->officers[i];
        return NULL;
    }
    return err_new(ERR_DENIED, "%s is no recovery officer of set %llu",
                   caller->email[0] ? caller->email : caller->actor,
                   (unsigned long long)set->epoch);
}

err_t *escrow_check_hands(db_conn_t *conn, const char *person_id, const char *email,
                          const escrow_officer_t *officer) {
    bool reach = false;
    TRY(db_hands_reach(conn, person_id, officer->person, &reach));
    if (!reach) return NULL;
    return err_new(ERR_DENIED,
                   "a token, the password or the account of %s was made by officer %s, or by "
                   "somebody whose own was: another officer must answer",
                   email, officer->id);
}

err_t *escrow_address_of(db_conn_t *conn, arena_t *arena, const char *person_id,
                         const char **ret_email) {
    db_person_t person;
    bool found = false;
    if (person_id[0]) TRY(db_people_by_id(conn, arena, person_id, &person, &found));
    *ret_email = found ? person.email : person_id;
    return NULL;
}

typedef struct {
    const escrow_t *escrow;
    const escrow_caller_t *caller;
    const char *action, *object, *why;
} refusal_t;

static err_t *refusal_write(db_conn_t *conn, void *arg) {
    const refusal_t *r = arg;
    return audit_note(r->escrow->o.audit, conn, r->caller->actor, r->action, r->object, "person",
                      r->caller->email, "why", r->why, NULL);
}

err_t *escrow_refused(const escrow_t *escrow, const escrow_caller_t *caller, const char *action,
                      const char *object, err_t *e) {
    if (!e) return NULL;
    err_code_t code = err_code(e);
    if (code != ERR_DENIED && code != ERR_VERIFY && code != ERR_EXISTS) return e;
    char why[512];
    refusal_t r = {escrow, caller, action, object, err_text(e, why, sizeof why)};
    err_ignore(db_write(escrow->o.db, refusal_write, &r));
    return e;
}

err_t *escrow_stored_of(arena_t *arena, const db_escrow_t *rows, size_t count,
                        keeper_stored_t **ret_list) {
    keeper_stored_t *list = NULL;
    TRY(arena_alloc(arena, count * sizeof *list, &list));
    for (size_t i = 0; i < count; i++) {
        TRY(escrow_object_of(&rows[i], &list[i].object));
        list[i].wrap = rows[i].wrap;
        TRY(digest_sha256(rows[i].blob, list[i].blob_hash));
    }
    *ret_list = list;
    return NULL;
}

err_t *escrow_keep_shares(db_conn_t *conn, int64_t seq, bytes_t shares) {
    wire_reader_t r = wire_reader(shares);
    while (r.rest.n) {
        bytes_t record;
        escrow_share_t share;
        TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &record));
        TRY(escrow_share_parse(record, &share));
        TRY(db_escrow_shares_put(conn, &(db_escrow_share_t){.object_seq = seq,
                                                            .epoch = (int64_t)share.epoch,
                                                            .officer = share.index,
                                                            .dealer = share.dealer,
                                                            .record = record}));
    }
    return NULL;
}
