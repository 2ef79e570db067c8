/*
 * Archiving and opening, as several intents need it: see intent_escrow.h. Worker threads.
 */
#include "base/text.h"
#include "crypto/digest.h"
#include "keeper/escrow_seal.h"
#include "keeper/intent_escrow.h"

enum { SHARES_MAX = LIMIT_ESCROW_OFFICERS * 512 }; /* bytes of one object's shares */

/* ---- the officers ---- */

err_t *escrow_set_load(const keeper_core_t *core, escrow_set_t *ret_set) {
    CLEANUP(buf_done) buf_t record;
    bool found = false;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(vault_officers_current(core->vault, &found, &record));
    if (found) return escrow_set_parse(buf_bytes(&record), ret_set);
    *ret_set = (escrow_set_t){0};
    return NULL;
}

err_t *escrow_dealing_load(const keeper_core_t *core, escrow_dealing_t *ret_dealing) {
    CLEANUP(escrow_dealing_done) escrow_dealing_t dealing = {0};
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_set_load(core, &dealing.set));
    if (dealing.set.epoch) TRY(escrow_set_hash(&dealing.set, hash));
    for (size_t i = 0; i < dealing.set.n; i++)
        TRY(escrow_sealer_new(hash, &dealing.set.officers[i], &dealing.sealers[i]));
    *ret_dealing = dealing;
    dealing = (escrow_dealing_t){0};
    return NULL;
}

void escrow_dealing_done(escrow_dealing_t *dealing) {
    for (size_t i = 0; i < LIMIT_ESCROW_OFFICERS; i++) escrow_sealer_free(dealing->sealers[i]);
    *dealing = (escrow_dealing_t){0};
}

/* ---- reading and saying ---- */

err_t *escrow_get_wrap(wire_reader_t *r, keeper_wrap_t *ret_wrap) {
    uint8_t wrap = 0;
    TRY(wire_get_u8(r, &wrap));
    if (wrap > KEEPER_WRAP_APPROVED) return err_new(ERR_INVALID, "unknown wrap %u", wrap);
    *ret_wrap = (keeper_wrap_t)wrap;
    return NULL;
}

void escrow_about(intent_answer_t *answer, const escrow_object_t *object) {
    char id[ESCROW_ID_TEXT];
    escrow_id_text(object->id, id);
    intent_about(answer, "object=%s/%llu kind=%s owner=%s device=%s", id,
                 (unsigned long long)object->version, object->kind, object->owner, object->device);
}

/* ---- archiving ---- */

static err_t *make_parts(const keeper_core_t *core, const vault_escrow_t *record, bytes_t secret,
                         const escrow_dealing_t *dealing, buf_t *blob, buf_t *wrap, buf_t *shares) {
    const escrow_object_t *object = &record->object;
    CLEANUP(secret_free) secret_t *dek = NULL;
    TRY(escrow_dek_new(core->rnd, &dek));
    TRY(escrow_blob_seal(object, dek, core->rnd, secret, blob));
    if (record->wrap != KEEPER_WRAP_NEVER) {
        uint32_t number = storage_current(core->keys->storage);
        const secret_t *key = NULL;
        TRY(storage_key(core->keys->storage, number, &key));
        TRY(escrow_wrap_seal(object, key, number, core->rnd, dek, wrap));
    }
    if (!dealing->set.epoch) return NULL;
    return escrow_deal(object, &dealing->set, dealing->sealers, core->rnd, dek, shares);
}

err_t *escrow_make(const keeper_core_t *core, const escrow_object_t *object, keeper_wrap_t wrap,
                   bytes_t secret, bytes_t certificate, intent_answer_t *answer) {
    CLEANUP(escrow_dealing_done) escrow_dealing_t dealing = {0};
    CLEANUP(buf_done) buf_t blob, wrapped, shares;
    buf_init(&blob, LIMIT_ESCROW_SECRET + ESCROW_BLOB_OVERHEAD);
    buf_init(&wrapped, ESCROW_WRAP_SIZE);
    buf_init(&shares, SHARES_MAX);
    TRY(escrow_dealing_load(core, &dealing));
    if (wrap == KEEPER_WRAP_NEVER && !dealing.set.epoch)
        return err_new(ERR_DENIED, "there are no officers yet to deal it to, and nobody else is "
                                   "to open it");
    vault_escrow_t record = {.object = *object, .wrap = wrap, .epoch = dealing.set.epoch};
    TRY(make_parts(core, &record, secret, &dealing, &blob, &wrapped, &shares));
    TRY(digest_sha256(buf_bytes(&blob), record.blob_hash));
    TRY(vault_escrow_put(answer->op, &record));
    TRY(escrow_object_put(object, &answer->body));
    TRY(wire_put_bytes(&answer->body, buf_bytes(&blob)));
    TRY(wire_put_bytes(&answer->body, buf_bytes(&wrapped)));
    TRY(wire_put_u64(&answer->body, record.epoch));
    TRY(wire_put_bytes(&answer->body, buf_bytes(&shares)));
    return wire_put_bytes(&answer->body, certificate);
}

/* ---- opening ---- */

static bool same_object(const escrow_object_t *a, const escrow_object_t *b) {
    return memcmp(a->id, b->id, ESCROW_ID) == 0 && strcmp(a->kind, b->kind) == 0 &&
           strcmp(a->owner, b->owner) == 0 && strcmp(a->device, b->device) == 0 &&
           a->has_spki == b->has_spki &&
           (!a->has_spki || memcmp(a->spki, b->spki, ESCROW_HASH) == 0) && a->version == b->version;
}

err_t *escrow_find_record(const keeper_core_t *core, const escrow_object_t *object,
                          bytes_t blob_hash, vault_escrow_t *ret_record) {
    vault_escrow_t record;
    bool found = false, newest = false;
    TRY(vault_escrow_find(core->vault, object->id, object->version, &found, &newest, &record));
    if (!found) return err_new(ERR_NOT_FOUND, "the keeper archived no such object");
    if (!same_object(&record.object, object))
        return err_new(ERR_VERIFY, "the object is not what the keeper archived: another owner, "
                                   "kind, device or key");
    if (!newest)
        return err_new(ERR_VERIFY, "the object has a newer version: this one was replayed");
    if (!bytes_eq(blob_hash, BYTES_ARRAY(record.blob_hash)))
        return err_new(ERR_VERIFY, "the blob is not what the keeper archived");
    *ret_record = record;
    return NULL;
}

err_t *escrow_open_wrap(const keeper_core_t *core, const escrow_object_t *object, bytes_t wrap,
                        secret_t **ret_dek) {
    escrow_wrap_t parsed;
    const secret_t *key = NULL;
    TRY_WRAP(escrow_wrap_parse(wrap, &parsed), "wrap");
    err_t *e = storage_key(core->keys->storage, parsed.storage_key, &key);
    if (e) return err_recode(e, ERR_VERIFY);
    return escrow_wrap_open(object, key, wrap, ret_dek);
}

/* The private key is that of the certificate it was archived with. */
static err_t *check_pair(const escrow_object_t *object, const secret_t *secret) {
    if (!object->has_spki) return NULL;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    uint8_t spki[ESCROW_HASH];
    TRY_WRAP(pkey_parse_private_der(secret_bytes(secret), &key), "archived key");
    TRY(pkey_spki_sha256(key, spki));
    if (memcmp(spki, object->spki, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the archived key is not its certificate's");
    return NULL;
}

err_t *escrow_open_stored(const keeper_core_t *core, const escrow_object_t *object, bytes_t blob,
                          bytes_t wrap, vault_escrow_t *ret_record, secret_t **ret_secret) {
    uint8_t hash[ESCROW_HASH];
    CLEANUP(secret_free) secret_t *dek = NULL, *secret = NULL;
    TRY(digest_sha256(blob, hash));
    TRY(escrow_find_record(core, object, BYTES_ARRAY(hash), ret_record));
    if (ret_record->wrap == KEEPER_WRAP_NEVER)
        return err_new(ERR_DENIED, "only officers open this object");
    TRY(escrow_open_wrap(core, object, wrap, &dek));
    err_t *e = escrow_blob_open(object, dek, blob, &secret);
    if (e) return err_code(e) == ERR_DENIED ? err_recode(e, ERR_VERIFY) : e;
    TRY(check_pair(object, secret));
    *ret_secret = STEAL(secret);
    return NULL;
}
