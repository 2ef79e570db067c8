/*
 * What a mail program's push says (Apple, "Generating a remote notification"): that there is mail,
 * the event's name and, if it is wanted, the release of its lease, sealed to the device. Neither
 * address nor folder: whoever carries it learns nothing of either. Pure.
 */
#ifndef COFFER_ARRIVAL_APP_PUSH_H
#define COFFER_ARRIVAL_APP_PUSH_H

#include "base/buf.h"
#include "format/json.h"

/* Kinds of jobs; their name is "DEVICE ACCOUNT". */
#define APP_PUSH_RELEASE_JOB                                                                       \
    "app-release"               /* payload {"event"}: coffer-web asks for the release              \
                                 */
#define APP_PUSH_JOB "app-push" /* payload: what is sent, by coffer-courier */

/* At most LIMIT_APNS_PAYLOAD bytes: a release that does not fit stays out. `release` (borrowed):
 * the answer of a release of the lease for it, or NULL. */
err_t *app_push_payload(const char *event, json_t *release, buf_t *out) WARN_UNUSED;
/* The parts of a job's name, in order; *ret_account borrowed. ERR_INVALID. */
err_t *app_push_name(const char *name, bytes_t *ret_device, const char **ret_account) WARN_UNUSED;

#endif
