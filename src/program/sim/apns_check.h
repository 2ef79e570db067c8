/*
 * What the push stand-in demands of a request: Apple's "Sending notification requests to APNs",
 * of MDM pushes that the body is exactly {"mdm":"magic"}, of an app's that it has "aps" and fits
 * its push type. Pure.
 */
#ifndef COFFER_SIM_APNS_CHECK_H
#define COFFER_SIM_APNS_CHECK_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

enum { APNS_FIELD = 600, APNS_TOKEN_HEX = LIMIT_TOKEN * 2 };

/* A request's pseudo-headers and headers; "" if absent. */
typedef struct {
    char method[16];
    char path[APNS_FIELD];
    char topic[APNS_FIELD];
    char push_type[32];
    char expiration[32];
    char priority[8];
    bool too_long; /* some field did not fit */
} apns_request_t;

typedef struct {
    unsigned status;                /* 200, or Apple's error status */
    const char *reason;             /* Apple's word, "" with 200 */
    char token[APNS_TOKEN_HEX + 1]; /* lower-case hex */
    char magic[LIMIT_PUSH_MAGIC + 1];
    int64_t expiry; /* seconds since 1970; 0: do not keep */
    bool app;       /* for an app, not for the MDM client */
} apns_verdict_t;

/* Notes one header; unknown ones are skipped. */
void apns_request_header(apns_request_t *request, bytes_t name, bytes_t value);
/* `topic`: the UID of the client certificate's subject. */
apns_verdict_t apns_check(const apns_request_t *request, bytes_t body, const char *topic);

#endif
