/*
 * Whether bytes are a configuration profile that can be sent (Apple's schema TopLevel and
 * CommonPayloadKeys). Pure. Private to src/device.
 */
#ifndef COFFER_DEVICE_PROFILE_CHECK_H
#define COFFER_DEVICE_PROFILE_CHECK_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * An XML property list of PayloadType Configuration whose payloads all have type, version,
 * identifier and UUID, no UUID twice. Identifier and name (its display name, or else its
 * identifier) in the arena. ERR_INVALID says what is wrong, ERR_LIMIT past LIMIT_PROFILE_BYTES.
 */
err_t *profile_check(bytes_t content, arena_t *arena, const char **ret_identifier,
                     const char **ret_name) WARN_UNUSED;

#endif
