/*
 * Secrets in devices' answers: they go into escrow before the answer is kept, and the kept answer
 * is without them. Private to src/device.
 */
#ifndef COFFER_DEVICE_RESULT_SECRET_H
#define COFFER_DEVICE_RESULT_SECRET_H

#include "device/secret.h"

/* What an acknowledged answer brings; all borrowed from it. */
typedef struct {
    const char *kind; /* SECRET_*; NULL: nothing */
    bytes_t secret;
    bool encrypted; /* to the device's receiver */
} result_secret_t;

/* What is oddly formed is nothing: the answer is kept as it came. */
result_secret_t result_secret_find(const char *request_type, const plist_t *result);
/* Writes the answer again without what is secret in clear. The dictionary is changed. */
err_t *result_secret_strip(const result_secret_t *secret, plist_t *result, buf_t *out) WARN_UNUSED;

/* A secret on its way from an answer into escrow: between two transactions. */
typedef struct {
    result_secret_t what;
    device_secret_t before, to;
    device_secret_new_t fresh;
    bool waits;          /* the first transaction is over, the keeper is to be asked */
    bool settled;        /* it was: `fresh`, or why not: */
    const char *refusal; /* in the arena, or NULL */
} result_taking_t;

/* In the first transaction: *ret_waits if there is something to be archived. */
err_t *result_taking_look(db_conn_t *conn, arena_t *arena, const char *device_id,
                          const char *request_type, const plist_t *result, result_taking_t *taking,
                          bool *ret_waits) WARN_UNUSED;
/* Between both: asks the keeper. A refusal is no error. */
err_t *result_taking_ask(devices_t *devices, arena_t *arena, const char *device_id,
                         result_taking_t *taking) WARN_UNUSED;
/* In the second: keeps it and notes it. */
err_t *result_taking_keep(devices_t *devices, db_conn_t *conn, const char *enrolment_key,
                          const result_taking_t *taking) WARN_UNUSED;

#endif
