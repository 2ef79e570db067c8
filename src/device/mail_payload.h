/*
 * A person's mail encryption keys as payloads of a management profile: one
 * com.apple.security.pkcs12 for each, the current and every former one. The files are put in by the
 * keeper, which encrypts the whole; here they are holes. Private to src/device.
 */
#ifndef COFFER_DEVICE_MAIL_PAYLOAD_H
#define COFFER_DEVICE_MAIL_PAYLOAD_H

#include "device/device_internal.h"
#include "pki/mail_key.h"

/* The person's keys; makes the first one if there is none and a profile for it. In the arena. */
err_t *mail_payload_keys(devices_t *devices, arena_t *arena, const char *person_id,
                         const char *mailbox, const char *actor, mail_keys_t *ret_keys) WARN_UNUSED;
/* Appends the payloads. Their UUIDs stay the same for the same person's key. */
err_t *mail_payload_add(const devices_t *devices, const mail_keys_t *keys, const char *person_id,
                        plist_t *array) WARN_UNUSED;
/*
 * Encrypts the payloads to the device through the keeper, with the keys filled in. *ret_refused
 * tells why the keys may not go to it (now), and nothing was appended then.
 */
err_t *mail_payload_seal(const devices_t *devices, const mail_keys_t *keys, const char *person_id,
                         bytes_t fingerprint, const plist_t *array, buf_t *ret_sealed,
                         err_t **ret_refused) WARN_UNUSED;

#endif
