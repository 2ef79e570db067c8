/*
 * What the keeper says of itself: counters, public parts, its log. Worker threads.
 */
#include "base/limits.h"
#include "keeper/intent.h"
#include "keeper/intent_sync.h"

err_t *intent_status(const keeper_core_t *core, const intent_call_t *call,
                     intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    TRY(wire_done(&r));
    uint64_t certificates = 0, entries = 0;
    vault_counts(core->vault, &certificates, &entries);
    TRY(wire_put_u64(&answer->body, certificates));
    TRY(wire_put_u64(&answer->body, entries));
    TRY(wire_put_bool(&answer->body, core->seccomp));
    return wire_put_bool(&answer->body, core->landlock);
}

err_t *intent_public(const keeper_core_t *core, const intent_call_t *call,
                     intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    uint8_t which = 0;
    TRY(wire_get_u8(&r, &which));
    TRY(wire_done(&r));
    intent_about(answer, "which=%u", which);
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    const keyring_t *keys = core->keys;
    switch ((keeper_public_t)which) {
    case KEEPER_PUBLIC_ROOT: return wire_put_bytes(&answer->body, cert_der(keys->root));
    case KEEPER_PUBLIC_DEVICE_CA:
        return wire_put_bytes(&answer->body, cert_der(keys->device_ca->cert));
    case KEEPER_PUBLIC_MAIL_CA: return wire_put_bytes(&answer->body, cert_der(keys->mail_ca));
    case KEEPER_PUBLIC_PROFILE_SIGNER:
        return wire_put_bytes(&answer->body, cert_der(keys->profile_cert));
    case KEEPER_PUBLIC_LEASE_KEY: return wire_put_bytes(&answer->body, pkey_spki(keys->lease_key));
    case KEEPER_PUBLIC_SYNC_LOG:
        TRY(sync_log_public(core, &der));
        return wire_put_bytes(&answer->body, buf_bytes(&der));
    case KEEPER_PUBLIC_AUDIT_KEY:
        TRY(pkey_public_der(keys->audit_key, &der));
        return wire_put_bytes(&answer->body, buf_bytes(&der));
    }
    return err_new(ERR_NOT_FOUND, "the keeper has no such public part");
}

err_t *intent_log(const keeper_core_t *core, const intent_call_t *call, intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    uint64_t after = 0, last = 0;
    TRY(wire_get_u64(&r, &after));
    TRY(wire_done(&r));
    intent_about(answer, "after=%llu", (unsigned long long)after);
    CLEANUP(buf_done) buf_t lines;
    buf_init(&lines, LIMIT_KEEPER_LOG_PAGE);
    TRY(vault_log_read(core->vault, after, LIMIT_KEEPER_LOG_PAGE, &lines, &last));
    TRY(wire_put_u64(&answer->body, last));
    return wire_put_bytes(&answer->body, buf_bytes(&lines));
}
