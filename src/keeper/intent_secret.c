/*
 * Secrets of devices (unlock tokens, PINs, recovery keys): sealed for the store, and released
 * into a command for that device, a few times a day at most. Worker threads.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/aead.h"
#include "keeper/intent.h"

enum {
    SEALED_FIRST = 1,   /* first byte of a sealed secret: under storage key 1, as all once were */
    SEALED_VERSION = 2, /* the storage key's number follows */
    SEALED_HEAD = 5,    /* bytes: version and number */
    AAD_MAX = 1024,     /* bytes */
};

typedef struct {
    char *kind;
    char *device;
    int64_t version;
} binding_t;

static void binding_done(binding_t *binding) {
    mem_free(binding->kind);
    mem_free(binding->device);
}
DEFINE_CLEANUP_VALUE(binding_t, binding_done)

static err_t *get_binding(wire_reader_t *r, binding_t *binding) {
    TRY(intent_get_name(r, LIMIT_KEEPER_KIND, "kind of secret", &binding->kind));
    TRY(intent_get_name(r, LIMIT_DEVICE_ID, "device", &binding->device));
    return wire_get_i64(r, &binding->version);
}

/* What a sealed secret is bound to: it opens for nothing else. */
static err_t *make_aad(const binding_t *binding, buf_t *aad) {
    TRY(wire_put_str(aad, "coffer/v1/device-secret"));
    TRY(wire_put_str(aad, binding->kind));
    TRY(wire_put_str(aad, binding->device));
    return wire_put_i64(aad, binding->version);
}

err_t *intent_seal_secret(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(binding_done) binding_t binding = {0};
    bytes_t secret;
    TRY(get_binding(&r, &binding));
    TRY(wire_get_bytes(&r, LIMIT_KEEPER_SECRET, &secret));
    TRY(wire_done(&r));
    intent_about(answer, "kind=%s device=%s version=%lld", binding.kind, binding.device,
                 (long long)binding.version);
    if (secret.n == 0) return err_new(ERR_INVALID, "the secret is empty");
    CLEANUP(buf_done) buf_t aad, sealed;
    buf_init(&aad, AAD_MAX);
    buf_init(&sealed, LIMIT_KEEPER_SECRET + AEAD_OVERHEAD + SEALED_HEAD);
    uint32_t number = storage_current(core->keys->storage);
    const secret_t *key = NULL;
    TRY(storage_key(core->keys->storage, number, &key));
    TRY(make_aad(&binding, &aad));
    TRY(wire_put_u32(&aad, number));
    TRY(buf_add_byte(&sealed, SEALED_VERSION));
    TRY(wire_put_u32(&sealed, number));
    TRY(aead_seal(key, core->rnd, buf_bytes(&aad), secret, &sealed));
    return wire_put_bytes(&answer->body, buf_bytes(&sealed));
}

static err_t *open_sealed(const keeper_core_t *core, const binding_t *binding, bytes_t sealed,
                          buf_t *secret) {
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, AAD_MAX);
    const secret_t *key = NULL;
    uint32_t number = 1;
    wire_reader_t r = wire_reader(bytes_from(sealed, 1));
    TRY(make_aad(binding, &aad));
    if (sealed.n < SEALED_HEAD || (sealed.p[0] != SEALED_FIRST && sealed.p[0] != SEALED_VERSION))
        return err_new(ERR_VERIFY, "not a sealed secret");
    if (sealed.p[0] == SEALED_VERSION) {
        TRY(wire_get_u32(&r, &number));
        TRY(wire_put_u32(&aad, number));
    }
    err_t *e = storage_key(core->keys->storage, number, &key);
    if (e) return err_recode(e, ERR_VERIFY);
    return aead_open(key, buf_bytes(&aad), r.rest, secret);
}

err_t *intent_fill_secret(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(binding_done) binding_t binding = {0};
    CLEANUP(mem_free) char *command = NULL;
    bytes_t sealed;
    TRY(get_binding(&r, &binding));
    TRY(intent_get_name(&r, LIMIT_DEVICE_ID, "command", &command));
    TRY(wire_get_bytes(&r, LIMIT_KEEPER_SECRET + AEAD_OVERHEAD + SEALED_HEAD, &sealed));
    TRY(wire_done(&r));
    intent_about(answer, "kind=%s device=%s version=%lld command=%s", binding.kind, binding.device,
                 (long long)binding.version, command);
    CLEANUP(buf_done) buf_t secret;
    buf_init_secret(&secret, LIMIT_KEEPER_SECRET);
    TRY_WRAP(open_sealed(core, &binding, sealed, &secret), "secret of device %s", binding.device);
    TRY(wire_put_bytes(&answer->body, buf_bytes(&secret)));
    vault_release_t *release = &answer->op->release;
    *release = (vault_release_t){.cap = LIMIT_KEEPER_RELEASES, .all = LIMIT_KEEPER_RELEASES_ALL};
    release->device = STEAL(binding.device);
    release->kind = STEAL(binding.kind);
    release->command = STEAL(command);
    return NULL;
}
