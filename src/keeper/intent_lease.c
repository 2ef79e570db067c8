/*
 * Leases: put, release, revoke. A key is opened only to be sealed again at once, to the push key
 * that the device itself bound it to (HPKE, RFC 9180, base mode). Worker threads.
 */
#include "keeper/intent_lease.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/hpke.h"
#include "keeper/vault_lease.h"

enum { INFO_MAX = 1024 }; /* bytes */

static err_t *get_names(wire_reader_t *r, vault_lease_t *lease) {
    CLEANUP(mem_free) char *device = NULL, *account = NULL;
    TRY(intent_get_name(r, LIMIT_DEVICE_ID, "device", &device));
    TRY(intent_get_name(r, LIMIT_LEASE_ACCOUNT, "account", &account));
    memcpy(lease->device, device, strlen(device) + 1);
    memcpy(lease->account, account, strlen(account) + 1);
    return NULL;
}

err_t *intent_lease_put(const keeper_core_t *core, const intent_call_t *call,
                        intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    vault_lease_t lease = {0};
    bytes_t push_key, sealed;
    TRY(get_names(&r, &lease));
    TRY(wire_get_u64(&r, &lease.epoch));
    TRY(wire_get_i64(&r, &lease.expires));
    TRY(wire_get_raw(&r, LEASE_PUSH_KEY, &push_key));
    TRY_WRAP(wire_get_bytes(&r, LIMIT_LEASE_KEY, &sealed), "sealed key");
    TRY(wire_get_bool(&r, &lease.may_change));
    TRY(wire_done(&r));
    intent_about(answer, "device=%s account=%s epoch=%llu expires=%lld", lease.device,
                 lease.account, (unsigned long long)lease.epoch, (long long)lease.expires);
    int64_t now = clk_unix(core->clk);
    if (lease.epoch == 0 || lease.epoch > INT64_MAX || sealed.n <= HPKE_OVERHEAD)
        return err_new(ERR_INVALID, "a lease without epoch or key");
    if (lease.expires <= now || lease.expires - now > LIMIT_LEASE_LIFE_S)
        return err_new(ERR_INVALID, "a lease lives at most %d hours", LIMIT_LEASE_LIFE_S / 3600);
    memcpy(lease.push_key, push_key.p, LEASE_PUSH_KEY);
    bytes_put(lease.sealed, sealed);
    lease.sealed_n = sealed.n;
    return vault_lease_put(answer->op, &lease);
}

/* What the device bound the key to decides who gets it: whatever differs, it does not open. */
static err_t *reseal(const keeper_core_t *core, const vault_lease_t *lease, const char *event,
                     buf_t *out) {
    keeper_lease_t bound = {lease->device, lease->account, lease->epoch, lease->expires, {0}};
    CLEANUP(buf_done) buf_t info, release_info;
    CLEANUP(secret_free) secret_t *key = NULL;
    CLEANUP(pkey_free) pkey_t *push_key = NULL;
    buf_init(&info, INFO_MAX);
    buf_init(&release_info, INFO_MAX);
    memcpy(bound.push_key, lease->push_key, LEASE_PUSH_KEY);
    TRY(keeper_lease_info(&bound, &info));
    TRY(keeper_lease_release_info(&bound, event, &release_info));
    TRY_WRAP(hpke_open_secret(HPKE_AES256_GCM, core->keys->lease_key, buf_bytes(&info), BYTES_NONE,
                              bytes_make(lease->sealed, lease->sealed_n), &key),
             "the key was not sealed for this lease");
    TRY(pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(lease->push_key), &push_key));
    return hpke_seal(HPKE_AES256_GCM, push_key, buf_bytes(&release_info), BYTES_NONE,
                     secret_bytes(key), out);
}

err_t *intent_lease_release(const keeper_core_t *core, const intent_call_t *call,
                            intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    vault_lease_t asked = {0}, lease;
    CLEANUP(buf_done) buf_t sealed;
    CLEANUP(mem_free) char *event = NULL;
    bool found = false;
    buf_init(&sealed, LIMIT_LEASE_KEY + HPKE_OVERHEAD);
    TRY(get_names(&r, &asked));
    TRY(intent_get_name(&r, LIMIT_LEASE_EVENT, "event", &event));
    TRY(wire_done(&r));
    intent_about(answer, "device=%s account=%s event=%s", asked.device, asked.account, event);
    TRY(vault_lease_find(core->vault, asked.device, asked.account, &found, &lease));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no such lease, or it has expired");
    intent_about(answer, "device=%s account=%s epoch=%llu event=%s", lease.device, lease.account,
                 (unsigned long long)lease.epoch, event);
    TRY(reseal(core, &lease, event, &sealed));
    TRY(wire_put_u64(&answer->body, lease.epoch));
    TRY(wire_put_i64(&answer->body, lease.expires));
    TRY(buf_add(&answer->body, BYTES_ARRAY(lease.push_key)));
    TRY(wire_put_bytes(&answer->body, buf_bytes(&sealed)));
    return vault_lease_release(answer->op, &lease);
}

err_t *intent_lease_revoke(const keeper_core_t *core, const intent_call_t *call,
                           intent_answer_t *answer) {
    (void)core;
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *device = NULL, *account = NULL, *reason = NULL;
    TRY(intent_get_name(&r, LIMIT_DEVICE_ID, "device", &device));
    TRY(wire_get_str(&r, LIMIT_LEASE_ACCOUNT, &account));
    TRY(intent_get_name(&r, LIMIT_NAME, "reason", &reason));
    TRY(wire_done(&r));
    if (!text_printable(bytes_str(account)))
        return err_new(ERR_INVALID, "account is not printable");
    intent_about(answer, "device=%s account=%s reason=%s", device, account[0] ? account : "*",
                 reason);
    return vault_lease_revoke(answer->op, device, account);
}

err_t *intent_lease_reset(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    (void)core;
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *device = NULL, *reason = NULL;
    TRY(intent_get_name(&r, LIMIT_DEVICE_ID, "device", &device));
    TRY(intent_get_name(&r, LIMIT_NAME, "reason", &reason));
    TRY(wire_done(&r));
    intent_about(answer, "device=%s reason=%s", device, reason);
    return vault_lease_reset(answer->op, device);
}

static err_t *put_state(const keeper_lease_state_t *state, buf_t *out) {
    TRY(wire_put_str(out, state->account));
    TRY(wire_put_u64(out, state->epoch));
    TRY(wire_put_i64(out, state->expires));
    TRY(wire_put_u64(out, (uint64_t)state->releases));
    TRY(wire_put_i64(out, state->last_ms));
    TRY(wire_put_u8(out, state->revoked));
    return buf_add(out, BYTES_ARRAY(state->push_key));
}

err_t *intent_lease_list(const keeper_core_t *core, const intent_call_t *call,
                         intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *device = NULL;
    CLEANUP(mem_free) keeper_lease_state_t *list = NULL;
    size_t count = 0;
    TRY(intent_get_name(&r, LIMIT_DEVICE_ID, "device", &device));
    TRY(wire_done(&r));
    list = mem_array(LIMIT_LEASES_DEVICE, sizeof *list);
    if (!list) return err_nomem();
    TRY(vault_lease_list(core->vault, device, list, &count));
    TRY(wire_put_u32(&answer->body, (uint32_t)count));
    for (size_t i = 0; i < count; i++) TRY(put_state(&list[i], &answer->body));
    return NULL;
}
