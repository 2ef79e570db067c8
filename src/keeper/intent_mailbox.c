/*
 * See intent_mailbox.h. A sealed password: version 1, the storage key's number (u32), AES-256-GCM
 * bound to what it is for. Worker threads.
 */
#include "keeper/intent_mailbox.h"

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/aead.h"
#include "keeper/client_mailbox.h"

enum { VERSION = 1, HEAD = 5, AAD_MAX = 2048 };

typedef struct {
    char *account, *server, *login;
} binding_t;

static void binding_done(binding_t *b) {
    mem_free(b->account);
    mem_free(b->server);
    mem_free(b->login);
}
DEFINE_CLEANUP_VALUE(binding_t, binding_done)

static err_t *get_binding(wire_reader_t *r, binding_t *b, intent_answer_t *answer) {
    TRY(intent_get_name(r, LIMIT_LEASE_ACCOUNT, "mailbox", &b->account));
    TRY(intent_get_name(r, LIMIT_MAILBOX_SERVER, "server", &b->server));
    TRY(intent_get_name(r, LIMIT_EMAIL, "login", &b->login));
    intent_about(answer, "mailbox=%s server=%s login=%s", b->account, b->server, b->login);
    return NULL;
}

static err_t *make_aad(const binding_t *b, uint32_t number, buf_t *aad) {
    TRY(wire_put_str(aad, "coffer/v1/mailbox-password"));
    TRY(wire_put_str(aad, b->account));
    TRY(wire_put_str(aad, b->server));
    TRY(wire_put_str(aad, b->login));
    return wire_put_u32(aad, number);
}

err_t *intent_mailbox_seal(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(binding_done) binding_t binding = {0};
    CLEANUP(buf_done) buf_t aad, sealed;
    bytes_t password;
    const secret_t *key = NULL;
    uint32_t number = storage_current(core->keys->storage);
    buf_init(&aad, AAD_MAX);
    buf_init(&sealed, LIMIT_MAILBOX_SEALED);
    TRY(get_binding(&r, &binding, answer));
    TRY(wire_get_bytes(&r, LIMIT_PASSWORD_MAX, &password));
    TRY(wire_done(&r));
    if (password.n == 0) return err_new(ERR_INVALID, "the password is empty");
    TRY(storage_key(core->keys->storage, number, &key));
    TRY(make_aad(&binding, number, &aad));
    TRY(buf_add_byte(&sealed, VERSION));
    TRY(wire_put_u32(&sealed, number));
    TRY(aead_seal(key, core->rnd, buf_bytes(&aad), password, &sealed));
    return wire_put_bytes(&answer->body, buf_bytes(&sealed));
}

err_t *intent_mailbox_open(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(binding_done) binding_t binding = {0};
    CLEANUP(buf_done) buf_t aad, password;
    bytes_t sealed;
    const secret_t *key = NULL;
    uint32_t number = 0;
    buf_init(&aad, AAD_MAX);
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    TRY(get_binding(&r, &binding, answer));
    TRY(wire_get_bytes(&r, LIMIT_MAILBOX_SEALED, &sealed));
    TRY(wire_done(&r));
    if (sealed.n < HEAD || sealed.p[0] != VERSION)
        return err_new(ERR_VERIFY, "not a sealed password");
    wire_reader_t head = wire_reader(bytes_from(sealed, 1));
    TRY(wire_get_u32(&head, &number));
    err_t *e = storage_key(core->keys->storage, number, &key);
    if (e) return err_recode(e, ERR_VERIFY);
    TRY(make_aad(&binding, number, &aad));
    TRY_WRAP(aead_open(key, buf_bytes(&aad), head.rest, &password), "password of %s",
             binding.account);
    return wire_put_bytes(&answer->body, buf_bytes(&password));
}
