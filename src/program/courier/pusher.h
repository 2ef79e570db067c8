/*
 * Turns push jobs into APNs requests over one kept HTTP/2 connection, and their answers into
 * rows. Owned by the thread that calls it; only pusher_wake may be called from others.
 */
#ifndef COFFER_PROGRAM_PUSHER_H
#define COFFER_PROGRAM_PUSHER_H

#include "audit/audit.h"
#include "base/log.h"
#include "http/client.h"
#include "store/db.h"

typedef struct pusher pusher_t;

typedef enum {
    PUSHER_MDM, /* jobs "push": devices are to call the MDM server */
    PUSHER_APP, /* jobs "app-push": devices' mail programs are told */
} pusher_kind_t;

typedef struct {
    db_t *db; /* borrowed, as all of these */
    const audit_t *audit;
    const log_t *log;
    const clk_t *clk;
    const char *url;   /* https://api.push.apple.com:443 */
    const char *topic; /* com.apple.mgmt.*, or the program's bundle identifier */
    pusher_kind_t kind;
    http_client_config_t http;
} pusher_options_t;

err_t *pusher_new(const pusher_options_t *options, pusher_t **ret_pusher) WARN_UNUSED;
void pusher_free(pusher_t *pusher);

/* One round: takes due jobs, moves bytes for up to wait_ms, writes down what ended. */
err_t *pusher_round(pusher_t *pusher, int wait_ms) WARN_UNUSED;
/* Ends the wait of a round, from any thread. */
void pusher_wake(pusher_t *pusher);

DEFINE_CLEANUP(pusher_t, pusher_free)

#endif
