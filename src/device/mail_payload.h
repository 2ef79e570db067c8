/*
 * A person's mail encryption keys as payloads of a profile: one com.apple.security.pkcs12 for
 * each, the current and every former one. The files are put in by the
 * keeper, which encrypts the whole; here they are holes. Private to src/device.
 */
#ifndef COFFER_DEVICE_MAIL_PAYLOAD_H
#define COFFER_DEVICE_MAIL_PAYLOAD_H

#include "device/mail_consent.h"
#include "pki/mail_key.h"

/* Whether devices get mail keys here. */
bool mail_payload_wanted(const devices_t *devices);
/* Makes the person's first key if he has none, and devices get mail keys here. */
err_t *mail_payload_first_key(devices_t *devices, arena_t *arena, const char *person_id,
                              const char *mailbox, const char *actor) WARN_UNUSED;
/*
 * Appends the payloads. Their UUIDs stay the same for the same person's key; ret_current: that of
 * the current one.
 */
err_t *mail_payload_add(const devices_t *devices, const mail_keys_t *keys, const char *person_id,
                        plist_t *array, char ret_current[TEXT_UUID_SIZE]) WARN_UNUSED;
/*
 * Encrypts the payloads to the device through the keeper, with the keys filled in. `consent`: what
 * officers gave, perhaps nothing. ERR_AUTH: an
 * officer must agree first.
 */
err_t *mail_payload_seal(const devices_t *devices, const mail_keys_t *keys, const char *person_id,
                         const mail_consent_t *consent, bytes_t fingerprint, const plist_t *array,
                         buf_t *ret_sealed) WARN_UNUSED;

#endif
