/*
 * Which device an identity belongs to, over its renewals: see pki.h. Any worker thread of
 * coffer-web.
 */
#include "base/limits.h"
#include "pki/pki_internal.h"
#include "store/devices.h"
#include "store/scep.h"

/*
 * Backwards from the certificate: the device is pinned to it or to one it was renewed from. Each
 * step was authorised by the older certificate's key, so the chain is the device's own. Never
 * forwards: an older certificate does not speak for a device that has gone on to a newer one.
 */
err_t *pki_device_of(db_conn_t *conn, arena_t *arena, bytes_t fingerprint, db_device_t *ret_device,
                     bool *ret_found) {
    bytes_t at = fingerprint;
    bool more = true;
    for (unsigned i = 0; more && i < LIMIT_SCEP_CHAIN; i++) {
        bool found = false;
        TRY(db_devices_by_identity(conn, arena, at, ret_device, &found));
        if (found) {
            *ret_found = true;
            return NULL;
        }
        TRY(db_renewals_from(conn, arena, at, &at, &more));
    }
    *ret_found = false;
    return NULL;
}
