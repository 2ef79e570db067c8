/*
 * What results tell about a device. Private to src/device.
 */
#ifndef COFFER_DEVICE_RESULT_H
#define COFFER_DEVICE_RESULT_H

#include "device/device_internal.h"

/*
 * After an acknowledged DeviceInformation or SecurityInfo: name, system version, build, product
 * and the JSON of what was answered go into the device's row. Other commands: nothing. What a
 * device answers oddly is left out, never an error: the result itself is kept as it came.
 */
err_t *result_update_device(db_conn_t *conn, arena_t *arena, const db_device_t *device,
                            const char *request_type, const plist_t *result) WARN_UNUSED;

#endif
