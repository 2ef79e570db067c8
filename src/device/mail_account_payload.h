/*
 * See mail_account.h. Private to src/device.
 */
#ifndef COFFER_DEVICE_MAIL_ACCOUNT_PAYLOAD_H
#define COFFER_DEVICE_MAIL_ACCOUNT_PAYLOAD_H

#include "device/device_internal.h"

/* Whose account it is, and what it encrypts with. All borrowed. */
typedef struct {
    const char *person_id, *mailbox, *name;
    const char *key_uuid; /* of the current key's payload in the same profile */
} mail_account_owner_t;

/* Appends the payload to the array, if there is an account in the configuration. */
err_t *mail_account_add(const devices_t *devices, const mail_account_owner_t *owner,
                        plist_t *array) WARN_UNUSED;

#endif
