/*
 * See log_entry.h.
 */
#include "keeper/log_entry.h"

#include "crypto/digest.h"
#include "ipc/wire.h"

#define DOMAIN "coffer/v1/keeper-log" /* begins the hashed bytes */

err_t *log_entry_hash(const log_entry_t *entry, buf_t *scratch, uint8_t ret_hash[LOG_ENTRY_HASH]) {
    buf_clear(scratch);
    TRY(wire_put_str(scratch, DOMAIN));
    TRY(wire_put_u64(scratch, entry->seq));
    TRY(wire_put_i64(scratch, entry->ms));
    TRY(wire_put_bytes(scratch, entry->role));
    TRY(wire_put_bytes(scratch, entry->intent));
    TRY(wire_put_bytes(scratch, entry->object));
    TRY(wire_put_bytes(scratch, entry->outcome));
    TRY(buf_add(scratch, bytes_make(entry->previous, LOG_ENTRY_HASH)));
    return digest_sha256(buf_bytes(scratch), ret_hash);
}
