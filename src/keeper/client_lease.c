/*
 * The asking half of leases: see client_lease.h. Any program, any thread.
 */
#include "keeper/client_lease.h"

#include "ipc/frame.h"
#include "ipc/wire.h"

static void body_init(buf_t *body) { buf_init_secret(body, FRAME_BODY_MAX); }

err_t *keeper_lease_put(keeper_t *keeper, const keeper_lease_t *lease, bytes_t sealed) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(keeper_lease_put_fields(lease, &body));
    TRY(wire_put_bytes(&body, sealed));
    TRY(wire_put_bool(&body, lease->may_change));
    return keeper_call_once(keeper, KEEPER_LEASE_PUT, &body, &reply);
}

err_t *keeper_lease_release(keeper_t *keeper, const char *device, const char *account,
                            const char *event, keeper_lease_t *ret_lease, buf_t *ret_sealed) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t push_key, sealed;
    keeper_lease_t lease = {.device = device, .account = account};
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, device));
    TRY(wire_put_str(&body, account));
    TRY(wire_put_str(&body, event));
    TRY(keeper_call_once(keeper, KEEPER_LEASE_RELEASE, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_u64(&r, &lease.epoch));
    TRY(wire_get_i64(&r, &lease.expires));
    TRY(wire_get_raw(&r, LEASE_PUSH_KEY, &push_key));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &sealed));
    TRY(wire_done(&r));
    memcpy(lease.push_key, push_key.p, LEASE_PUSH_KEY);
    TRY(buf_add(ret_sealed, sealed));
    *ret_lease = lease;
    return NULL;
}

err_t *keeper_lease_revoke(keeper_t *keeper, const char *device, const char *account,
                           const char *reason) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, device));
    TRY(wire_put_str(&body, account));
    TRY(wire_put_str(&body, reason));
    return keeper_call(keeper, KEEPER_LEASE_REVOKE, &body, &reply);
}

err_t *keeper_lease_reset(keeper_t *keeper, const char *device, const char *reason) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, device));
    TRY(wire_put_str(&body, reason));
    return keeper_call(keeper, KEEPER_LEASE_RESET, &body, &reply);
}

static err_t *read_state(wire_reader_t *r, keeper_lease_state_t *state) {
    bytes_t account, push_key;
    uint64_t releases = 0;
    uint8_t revoked = 0;
    TRY(wire_get_bytes(r, LIMIT_LEASE_ACCOUNT, &account));
    TRY(wire_get_u64(r, &state->epoch));
    TRY(wire_get_i64(r, &state->expires));
    TRY(wire_get_u64(r, &releases));
    TRY(wire_get_i64(r, &state->last_ms));
    TRY(wire_get_u8(r, &revoked));
    TRY(wire_get_raw(r, LEASE_PUSH_KEY, &push_key));
    bytes_put(state->account, account);
    state->account[account.n] = '\0';
    state->releases = (int64_t)releases;
    state->revoked = revoked != 0;
    memcpy(state->push_key, push_key.p, LEASE_PUSH_KEY);
    return NULL;
}

err_t *keeper_lease_list(keeper_t *keeper, const char *device,
                         keeper_lease_state_t ret_list[LIMIT_LEASES_DEVICE], size_t *ret_count) {
    CLEANUP(buf_done) buf_t body, reply;
    uint32_t count = 0;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, device));
    TRY(keeper_call(keeper, KEEPER_LEASE_LIST, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_u32(&r, &count));
    if (count > LIMIT_LEASES_DEVICE) return err_new(ERR_LIMIT, "the keeper has too many leases");
    for (uint32_t i = 0; i < count; i++) TRY(read_state(&r, &ret_list[i]));
    TRY(wire_done(&r));
    *ret_count = count;
    return NULL;
}
