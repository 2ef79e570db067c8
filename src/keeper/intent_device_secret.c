/*
 * Secrets that devices send into escrow: activation-lock bypass codes, and recovery keys of Macs,
 * which come encrypted (CMS, RFC 5652) to a key made here and are opened nowhere else; and the
 * proof that a disk's key is the archived one. Worker threads.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cms.h"
#include "crypto/digest.h"
#include "keeper/client_device_secret.h"
#include "keeper/intent_escrow.h"
#include "keeper/own_cert.h"

enum {
    RECEIVER_BITS = 2048, /* macOS takes RSA alone here */
    RECEIVER_YEARS = 20,  /* nothing checks its dates; a disk lives shorter */
    YEAR_S = 365 * 24 * 60 * 60,
    MESSAGE_MAX = 64 * 1024, /* bytes of an encrypted recovery key */
    GROUPS = 6,              /* of a FileVault recovery key: XXXX-XXXX-XXXX-XXXX-XXXX-XXXX */
    GROUP = 4,
    TAKE_ID = 8,   /* bytes of what tells one thing sent from another */
    CODE_MAX = 64, /* bytes of a bypass code; Apple's have 31 */
};

/* ---- the receiver ---- */

err_t *intent_receiver_make(const keeper_core_t *core, const intent_call_t *call,
                            intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    escrow_object_t object;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(secret_free) secret_t *der = NULL;
    TRY(escrow_object_get(&r, &object));
    escrow_about(answer, &object);
    TRY(wire_done(&r));
    if (strcmp(object.kind, ESCROW_KIND_RECEIVER) != 0 || !object.device[0])
        return err_new(ERR_DENIED, "a receiver is a device's and of kind " ESCROW_KIND_RECEIVER);
    if (object.version != 1 || object.has_spki)
        return err_new(ERR_INVALID, "every key pair is an object of its own, of version 1");
    const char *organisation = cert_subject_get(core->keys->root, "O");
    TRY(pkey_generate(PKEY_RSA, RECEIVER_BITS, &key));
    own_issuer_t by = {organisation ? organisation : "", NULL, key, core->clk, core->rnd};
    cert_spec_t spec = {.key_usage = KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_DATA_ENCIPHERMENT,
                        .key = key};
    TRY(own_cert_issue(&by, "Disk Recovery", (int64_t)RECEIVER_YEARS * YEAR_S, &spec, &cert));
    TRY(pkey_spki_sha256(key, object.spki));
    object.has_spki = true;
    TRY(pkey_private_der(key, &der));
    return escrow_make(core, &object, KEEPER_WRAP_AUTOMATIC, secret_bytes(der), cert_der(cert),
                       answer);
}

/* ---- reading ---- */

static err_t *get_kept(wire_reader_t *r, bool *ret_found, keeper_kept_t *kept) {
    TRY(wire_get_bool(r, ret_found));
    if (!*ret_found) return NULL;
    TRY(escrow_object_get(r, &kept->object));
    TRY(wire_get_bytes(r, LIMIT_ESCROW_SECRET + ESCROW_BLOB_OVERHEAD, &kept->blob));
    TRY(wire_get_bytes(r, ESCROW_WRAP_SIZE, &kept->wrap));
    return wire_get_bytes(r, LIMIT_CERTIFICATE_BYTES, &kept->certificate);
}

static err_t *open_kept(const keeper_core_t *core, const keeper_kept_t *kept,
                        secret_t **ret_secret) {
    vault_escrow_t record;
    return escrow_open_stored(core, &kept->object, kept->blob, kept->wrap, &record, ret_secret);
}

/* ---- what it must look like ---- */

static bool is_symbol(uint8_t c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

static bool is_filevault_key(bytes_t text) {
    if (text.n != GROUPS * GROUP + GROUPS - 1) return false;
    for (size_t i = 0; i < text.n; i++)
        if (i % (GROUP + 1) == GROUP ? text.p[i] != '-' : !is_symbol(text.p[i])) return false;
    return true;
}

static bool is_bypass_code(bytes_t text) {
    if (text.n == 0 || text.n > CODE_MAX) return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '-' && !is_symbol(text.p[i])) return false;
    return true;
}

static err_t *check_secret(const char *kind, bytes_t secret) {
    bool disk = strcmp(kind, ESCROW_KIND_FILEVAULT) == 0;
    if (disk ? is_filevault_key(secret) : is_bypass_code(secret)) return NULL;
    return err_new(ERR_INVALID, "what the device sent has not the form of a %s", kind);
}

/* ---- taking ---- */

/* Opens what the Mac encrypted. 3DES is what older systems write. */
static err_t *open_message(const keeper_core_t *core, const keeper_kept_t *to, bytes_t message,
                           buf_t *secret) {
    CLEANUP(secret_free) secret_t *der = NULL;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    const cms_decrypt_options_t options = {.allow_des3 = true};
    if (strcmp(to->object.kind, ESCROW_KIND_RECEIVER) != 0)
        return err_new(ERR_DENIED, "recovery keys are encrypted to a " ESCROW_KIND_RECEIVER);
    TRY_WRAP(open_kept(core, to, &der), "receiver");
    TRY(pkey_parse_private_der(secret_bytes(der), &key));
    TRY_WRAP(cert_parse_der(to->certificate, &cert), "receiver's certificate");
    if (!pkey_same_public(cert_key(cert), key))
        return err_new(ERR_VERIFY, "the receiver's certificate is not for its key");
    TRY_WRAP(cms_decrypt(message, cert, key, &options, secret, NULL), "encrypted recovery key");
    return NULL;
}

/* A previous version that does not open is none: the new one is archived. */
static bool is_same(const keeper_core_t *core, const keeper_kept_t *previous, bytes_t secret) {
    CLEANUP(secret_free) secret_t *before = NULL;
    err_t *e = open_kept(core, previous, &before);
    bool same = !e && bytes_eq_ct(secret_bytes(before), secret);
    err_free(e);
    return same;
}

typedef struct {
    escrow_object_t object;
    bytes_t message;
    keeper_kept_t to, previous;
    bool has_to, has_previous;
} taking_t;

static err_t *check_taking(const taking_t *t) {
    const escrow_object_t *object = &t->object;
    bool disk = strcmp(object->kind, ESCROW_KIND_FILEVAULT) == 0;
    if (!disk && strcmp(object->kind, ESCROW_KIND_BYPASS) != 0)
        return err_new(ERR_DENIED, "a %s is not taken from a device", object->kind);
    if (!object->device[0]) return err_new(ERR_DENIED, "the object belongs to no device");
    if (object->has_spki) return err_new(ERR_INVALID, "a secret has no public key");
    if (t->has_to != disk)
        return err_new(ERR_DENIED, "recovery keys of disks come encrypted, codes don't");
    if (t->has_to && strcmp(t->to.object.device, object->device) != 0)
        return err_new(ERR_DENIED, "the receiver belongs to another device");
    if (t->has_previous && (memcmp(t->previous.object.id, object->id, ESCROW_ID) != 0 ||
                            strcmp(t->previous.object.device, object->device) != 0))
        return err_new(ERR_DENIED, "the version before belongs to another object");
    /* Whether two secrets are the same must not be asked of a kind that can be guessed, a PIN. */
    if (t->has_previous && strcmp(t->previous.object.kind, object->kind) != 0)
        return err_new(ERR_DENIED, "the version before is a %s, not a %s", t->previous.object.kind,
                       object->kind);
    /* Not always the next: a number may have been used up by an answer that was lost. */
    if (t->has_previous && t->previous.object.version >= object->version)
        return err_new(ERR_DENIED, "the version before is not one before");
    return NULL;
}

/*
 * Whether what is sent is an earlier version is told without an approval, and each new one is an
 * entry for good: both are counted, by device and kind, and for all devices.
 */
static err_t *count_taking(const keeper_core_t *core, const taking_t *t, vault_release_t *release) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    TRY(digest_sha256(t->message, hash));
    *release = (vault_release_t){.cap = LIMIT_KEEPER_TAKES,
                                 .all = core->takes_all ? core->takes_all : LIMIT_KEEPER_TAKES_ALL};
    release->device = mem_strdup(t->object.device);
    release->kind = mem_printf("take %s", t->object.kind);
    TRY(text_hex_new(bytes_make(hash, TAKE_ID), &release->command));
    return release->device && release->kind ? NULL : err_nomem();
}

err_t *intent_secret_take(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    taking_t t = {0};
    CLEANUP(buf_done) buf_t opened;
    buf_init_secret(&opened, LIMIT_ESCROW_SECRET);
    TRY(escrow_object_get(&r, &t.object));
    escrow_about(answer, &t.object);
    TRY(wire_get_bytes(&r, MESSAGE_MAX, &t.message));
    TRY(get_kept(&r, &t.has_to, &t.to));
    TRY(get_kept(&r, &t.has_previous, &t.previous));
    TRY(wire_done(&r));
    TRY(check_taking(&t));
    TRY(count_taking(core, &t, &answer->op->release));
    if (t.has_to) TRY(open_message(core, &t.to, t.message, &opened));
    bytes_t secret = t.has_to ? buf_bytes(&opened) : t.message;
    TRY(check_secret(t.object.kind, secret));
    bool same = t.has_previous && is_same(core, &t.previous, secret);
    TRY(wire_put_bool(&answer->body, same));
    if (same) return NULL;
    return escrow_make(core, &t.object, KEEPER_WRAP_AUTOMATIC, secret, BYTES_NONE, answer);
}

/* ---- proving ---- */

err_t *intent_secret_prove(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    keeper_kept_t kept = {0};
    CLEANUP(secret_free) secret_t *secret = NULL;
    bytes_t nonce;
    uint8_t proof[KEEPER_PROOF];
    bool found = false;
    TRY(get_kept(&r, &found, &kept));
    if (!found) return err_new(ERR_INVALID, "an object is missing");
    escrow_about(answer, &kept.object);
    TRY(wire_get_raw(&r, KEEPER_PROOF, &nonce));
    TRY(wire_done(&r));
    /* Of a PIN or a password such a proof would tell everything to who tries them all. */
    if (strcmp(kept.object.kind, ESCROW_KIND_LUKS) != 0)
        return err_new(ERR_DENIED, "no proof is given of a %s", kept.object.kind);
    TRY(open_kept(core, &kept, &secret));
    TRY(keeper_proof_make(secret_bytes(secret), nonce.p, proof));
    return buf_add(&answer->body, BYTES_ARRAY(proof));
}
