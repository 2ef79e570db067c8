/*
 * Managed app configuration for a mail program (Apple: the command Settings, its item
 * ApplicationConfiguration): whether it may leave leases, for how long, where, and a token of this
 * device. Its keys have our names, and those of a well-known mail product beside them. The token is
 * made when the device fetches the command: it is in no table and no profile.
 */
#ifndef COFFER_DEVICE_MAIL_APP_H
#define COFFER_DEVICE_MAIL_APP_H

#include "base/arena.h"
#include "base/err.h"

enum { MAIL_APP_HOURS = 48, MAIL_APP_HOURS_MAX = 168, MAIL_APP_IDENTIFIER_MAX = 155 };

typedef struct {
    const char *identifier; /* the program's bundle identifier; "" or NULL: none */
    bool lease;             /* false: it gets no token, and the one before ends */
    int64_t hours;          /* of a lease; 1..MAIL_APP_HOURS_MAX */
} mail_app_t;

/* Of letters, digits, "." and "-", as Apple names bundles. */
static inline bool mail_app_is_identifier(const char *text) {
    size_t n = 0;
    for (; text[n]; n++) {
        char c = text[n];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '-') return false;
    }
    return n > 0 && n <= MAIL_APP_IDENTIFIER_MAX;
}

typedef struct devices devices_t;

/*
 * Queues it for one device and pushes. ERR_INVALID: no such identifier or hours; ERR_DENIED: not
 * enrolled, or devices are not asked for the right to manage apps; ERR_NOT_FOUND, ERR_BUSY.
 * *ret_uuid in the arena.
 */
err_t *devices_mail_app(devices_t *devices, arena_t *arena, const char *device,
                        const mail_app_t *app, const char *actor,
                        const char **ret_uuid) WARN_UNUSED;

#endif
