/*
 * Officers, archiving, drill, and secrets into commands. Worker threads.
 */
#include "keeper/intent_escrow.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "keeper/escrow_seal.h"

/* ---- the officers' set ---- */

err_t *escrow_get_signatures(wire_reader_t *r, escrow_signature_t signatures[LIMIT_ESCROW_OFFICERS],
                             size_t *ret_n) {
    uint16_t n = 0;
    TRY(wire_get_u16(r, &n));
    if (n > LIMIT_ESCROW_OFFICERS) return err_new(ERR_LIMIT, "too many signatures");
    for (size_t i = 0; i < n; i++) {
        bytes_t record;
        TRY(wire_get_bytes(r, LIMIT_ESCROW_RECORD, &record));
        TRY_WRAP(escrow_signature_parse(record, &signatures[i]), "signature");
    }
    *ret_n = n;
    return NULL;
}

static err_t *about_set(intent_answer_t *answer, const escrow_set_t *set) {
    CLEANUP(mem_free) char *hex = NULL;
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_set_hash(set, hash));
    TRY(text_hex_new(BYTES_ARRAY(hash), &hex));
    intent_about(answer, "epoch=%llu threshold=%u officers=%zu hash=%s",
                 (unsigned long long)set->epoch, set->threshold, set->n, hex);
    return NULL;
}

err_t *intent_officers_activate(const keeper_core_t *core, const intent_call_t *call,
                                intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    escrow_signature_t signatures[LIMIT_ESCROW_OFFICERS];
    size_t n = 0;
    bytes_t record;
    escrow_set_t current, next;
    uint8_t current_hash[ESCROW_HASH], next_hash[ESCROW_HASH];
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &record));
    TRY(escrow_get_signatures(&r, signatures, &n));
    TRY(wire_done(&r));
    TRY_WRAP(escrow_set_parse(record, &next), "officers' set");
    TRY(about_set(answer, &next));
    TRY(escrow_set_load(core, &current));
    TRY(escrow_set_hash(&next, next_hash));
    if (current.epoch == 0) {
        if (next.epoch != 1) return err_new(ERR_VERIFY, "the first set has epoch 1");
    } else {
        TRY(escrow_set_hash(&current, current_hash));
        if (memcmp(current_hash, next_hash, ESCROW_HASH) == 0) return NULL; /* done already */
        TRY(escrow_set_verify_next(&current, &next, signatures, n));
    }
    return vault_officers_put(answer->op, next.epoch, record);
}

err_t *intent_officers_set(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(buf_done) buf_t record;
    bool found = false;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(wire_done(&r));
    TRY(vault_officers_current(core->vault, &found, &record));
    return wire_put_bytes(&answer->body, buf_bytes(&record));
}

/* ---- archiving a given secret ---- */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* A key that can do nothing but sign is nobody's to recover (non-repudiation). */
static err_t *refuse_signing(const escrow_object_t *object, bytes_t secret) {
    if (ends_with(object->kind, "signing-key"))
        return err_new(ERR_DENIED, "signing keys are not archived");
    if (strcmp(object->kind, ESCROW_KIND_SMIME) == 0)
        return err_new(ERR_DENIED, "S/MIME keys are archived with their certificates");
    CLEANUP(pkey_free) pkey_t *key = NULL;
    err_t *e = secret.n <= LIMIT_KEY_BYTES ? pkey_parse_private_der(secret, &key) : NULL;
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (!key && secret.n <= LIMIT_KEY_BYTES) {
        e = pkey_parse_private_pem(secret, &key);
        if (e && err_code(e) == ERR_NOMEM) return e;
        err_free(e);
    }
    if (key && pkey_kind(key) == PKEY_ED25519)
        return err_new(ERR_DENIED, "signing keys are not archived");
    return NULL;
}

err_t *intent_escrow_archive(const keeper_core_t *core, const intent_call_t *call,
                             intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    escrow_object_t object;
    keeper_wrap_t wrap;
    bytes_t secret;
    TRY(escrow_object_get(&r, &object));
    escrow_about(answer, &object);
    TRY(escrow_get_wrap(&r, &wrap));
    TRY_WRAP(wire_get_bytes(&r, LIMIT_ESCROW_SECRET, &secret), "secret");
    TRY(wire_done(&r));
    if (object.has_spki) return err_new(ERR_INVALID, "a secret has no public key");
    TRY(refuse_signing(&object, secret));
    return escrow_make(core, &object, wrap, secret, BYTES_NONE, answer);
}

/* ---- drill ---- */

err_t *intent_escrow_drill(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    escrow_object_t object;
    vault_escrow_t record;
    bytes_t blob, wrap;
    CLEANUP(secret_free) secret_t *secret = NULL;
    TRY(escrow_object_get(&r, &object));
    escrow_about(answer, &object);
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_SECRET + ESCROW_BLOB_OVERHEAD, &blob));
    TRY(wire_get_bytes(&r, ESCROW_WRAP_SIZE, &wrap));
    TRY(wire_done(&r));
    return escrow_open_stored(core, &object, blob, wrap, &record, &secret);
}

/* ---- into a command ---- */

/* What a device is told by a command, or to do with what it holds. Never mail keys or files. */
static const char *const fillable[] = {
    ESCROW_KIND_UNLOCK, ESCROW_KIND_BOOTSTRAP, ESCROW_KIND_BYPASS,
    ESCROW_KIND_PIN,    ESCROW_KIND_FILEVAULT,
};

static err_t *check_fillable(const escrow_object_t *object) {
    if (object->device[0] == '\0') return err_new(ERR_DENIED, "the object belongs to no device");
    for (size_t i = 0; i < sizeof fillable / sizeof fillable[0]; i++)
        if (strcmp(object->kind, fillable[i]) == 0) return NULL;
    return err_new(ERR_DENIED, "no command has a %s in it", object->kind);
}

static err_t *set_release(const escrow_object_t *object, char *command, vault_release_t *release) {
    *release = (vault_release_t){.cap = LIMIT_KEEPER_RELEASES, .all = LIMIT_KEEPER_RELEASES_ALL};
    release->command = command;
    release->kind = mem_strdup(object->kind);
    release->device = mem_strdup(object->device);
    return release->kind && release->device ? NULL : err_nomem();
}

err_t *intent_escrow_fill(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    escrow_object_t object;
    vault_escrow_t record;
    bytes_t blob, wrap;
    CLEANUP(mem_free) char *command = NULL;
    CLEANUP(secret_free) secret_t *secret = NULL;
    TRY(escrow_object_get(&r, &object));
    escrow_about(answer, &object);
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_SECRET + ESCROW_BLOB_OVERHEAD, &blob));
    TRY(wire_get_bytes(&r, ESCROW_WRAP_SIZE, &wrap));
    TRY(intent_get_name(&r, LIMIT_DEVICE_ID, "command", &command));
    TRY(wire_done(&r));
    TRY(check_fillable(&object));
    TRY(escrow_open_stored(core, &object, blob, wrap, &record, &secret));
    TRY(wire_put_bytes(&answer->body, secret_bytes(secret)));
    return set_release(&object, STEAL(command), &answer->op->release);
}
