/*
 * Backups: what leaves the keeper of its vault is sealed to the officers' set, who together hold
 * the key that opens it. Worker threads.
 */
#include "keeper/intent_backup.h"

#include "base/limits.h"
#include "base/mem.h"
#include "keeper/backup_seal.h"
#include "keeper/backups.h"
#include "keeper/escrow_codec.h"
#include "keeper/intent_escrow.h"

enum { SHARES_MAX = LIMIT_ESCROW_OFFICERS * 512, SECRET_MAX = 512 }; /* bytes */

static void about(intent_answer_t *answer, const uint8_t *id) {
    char text[ESCROW_ID_TEXT];
    escrow_id_text(id, text);
    intent_about(answer, "backup=%s", text);
}

static err_t *backups_of(const keeper_core_t *core, backups_t **ret_backups) {
    if (!core->backups) return err_new(ERR_UNAVAILABLE, "this keeper makes no backups");
    *ret_backups = core->backups;
    return NULL;
}

static err_t *need_set(const escrow_set_t *set, uint8_t ret_hash[ESCROW_HASH]) {
    if (set->epoch == 0)
        return err_new(ERR_DENIED,
                       "there is no officers' set yet to encrypt a backup to: register recovery "
                       "officers and activate their set first (coffer officer activate)");
    return escrow_set_hash(set, ret_hash);
}

err_t *intent_backup_begin(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    uint8_t id[ESCROW_ID], generation[ESCROW_ID], set_hash[ESCROW_HASH];
    escrow_set_t set;
    backups_t *backups = NULL;
    TRY(record_get_raw(&r, ESCROW_ID, id));
    TRY(record_get_raw(&r, ESCROW_ID, generation));
    TRY(wire_done(&r));
    about(answer, id);
    TRY(backups_of(core, &backups));
    TRY(escrow_set_load(core, &set));
    TRY(need_set(&set, set_hash));
    return backups_begin(backups, id, generation, set_hash, core->rnd, &answer->body,
                         &answer->body);
}

err_t *intent_backup_copy(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    uint8_t id[ESCROW_ID];
    unsigned left = 0;
    backups_t *backups = NULL;
    TRY(record_get_raw(&r, ESCROW_ID, id));
    TRY(wire_done(&r));
    about(answer, id);
    TRY(backups_of(core, &backups));
    TRY(backups_copy(backups, id, &left));
    return wire_put_u32(&answer->body, left);
}

err_t *intent_backup_read(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    uint8_t id[ESCROW_ID];
    uint32_t first = 0;
    backups_t *backups = NULL;
    TRY(record_get_raw(&r, ESCROW_ID, id));
    TRY(wire_get_u32(&r, &first));
    TRY(wire_done(&r));
    about(answer, id);
    TRY(backups_of(core, &backups));
    return backups_read(backups, id, first, core->rnd, &answer->body);
}

/* ---- the end ---- */

static err_t *get_head(wire_reader_t *r, backup_head_t *head) {
    TRY(record_get_raw(r, ESCROW_ID, head->id));
    TRY(record_get_text(r, LIMIT_BACKUP_LABEL, true, "label", head->label));
    TRY(wire_get_u32(r, &head->file_chunks));
    TRY(record_get_raw(r, ESCROW_HASH, head->table_hash));
    TRY(wire_get_u64(r, &head->index_size));
    TRY(record_get_raw(r, ESCROW_HASH, head->index_hash));
    return wire_done(r);
}

/* The secret under a fresh key, which goes to the officers in shares and nowhere else. */
static err_t *seal(const keeper_core_t *core, const uint8_t *id, const escrow_dealing_t *dealing,
                   bytes_t secret, buf_t *blob, buf_t *shares) {
    CLEANUP(secret_free) secret_t *dek = NULL;
    escrow_object_t object;
    backup_object(id, &object);
    TRY(escrow_dek_new(core->rnd, &dek));
    TRY(escrow_blob_seal(&object, dek, core->rnd, secret, blob));
    return escrow_deal(&object, &dealing->set, dealing->sealers, core->rnd, dek, shares);
}

static err_t *sign(const keeper_core_t *core, const backup_head_t *head, buf_t *out) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, LIMIT_BACKUP_HEAD);
    TRY(backup_head_put(head, &message));
    TRY(buf_add(out, buf_bytes(&message)));
    return pkey_sign(core->keys->audit_key, BACKUP_DOMAIN, buf_bytes(&message), out);
}

/* The parts of a head that live as long as it takes to write it. */
typedef struct {
    escrow_dealing_t dealing;
    buf_t secret, blob, shares, set, audit_key;
} parts_t;

static void parts_done(parts_t *p) {
    escrow_dealing_done(&p->dealing);
    buf_done(&p->secret);
    buf_done(&p->blob);
    buf_done(&p->shares);
    buf_done(&p->set);
    buf_done(&p->audit_key);
}
DEFINE_CLEANUP_VALUE(parts_t, parts_done)

static void parts_init(parts_t *p) {
    *p = (parts_t){0};
    buf_init_secret(&p->secret, SECRET_MAX);
    buf_init(&p->blob, SECRET_MAX + ESCROW_BLOB_OVERHEAD);
    buf_init(&p->shares, SHARES_MAX);
    buf_init(&p->set, LIMIT_ESCROW_RECORD);
    buf_init(&p->audit_key, LIMIT_KEY_BYTES);
}

err_t *intent_backup_finish(const keeper_core_t *core, const intent_call_t *call,
                            intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(parts_done) parts_t p;
    backup_head_t head = {0};
    backups_t *backups = NULL;
    uint8_t set_hash[ESCROW_HASH];
    parts_init(&p);
    TRY(get_head(&r, &head));
    about(answer, head.id);
    TRY(backups_of(core, &backups));
    TRY(escrow_dealing_load(core, &p.dealing));
    TRY(need_set(&p.dealing.set, set_hash));
    TRY(backups_finish(backups, head.id, set_hash, &p.secret, head.generation, &head.vault_chunks));
    TRY(seal(core, head.id, &p.dealing, buf_bytes(&p.secret), &p.blob, &p.shares));
    TRY(escrow_set_put(&p.dealing.set, &p.set));
    TRY(pkey_public_der(core->keys->audit_key, &p.audit_key));
    head.created = clk_unix_ms(core->clk);
    head.set = buf_bytes(&p.set);
    head.blob = buf_bytes(&p.blob);
    head.shares = buf_bytes(&p.shares);
    head.audit_key = buf_bytes(&p.audit_key);
    return sign(core, &head, &answer->body);
}
