/*
 * What a lease's ciphertexts are bound to: see client_lease.h. Pure; devices, the keeper.
 */
#include "ipc/wire.h"
#include "keeper/client_lease.h"

err_t *keeper_lease_put_fields(const keeper_lease_t *lease, buf_t *out) {
    TRY(wire_put_str(out, lease->device));
    TRY(wire_put_str(out, lease->account));
    TRY(wire_put_u64(out, lease->epoch));
    TRY(wire_put_i64(out, lease->expires));
    return buf_add(out, BYTES_ARRAY(lease->push_key));
}

err_t *keeper_lease_info(const keeper_lease_t *lease, buf_t *ret_info) {
    TRY(wire_put_str(ret_info, "coffer/v1/lease/put"));
    return keeper_lease_put_fields(lease, ret_info);
}

err_t *keeper_lease_release_info(const keeper_lease_t *lease, const char *event, buf_t *ret_info) {
    TRY(wire_put_str(ret_info, "coffer/v2/lease/release"));
    TRY(keeper_lease_put_fields(lease, ret_info));
    return wire_put_str(ret_info, event);
}
