/*
 * The stand-in's other side: devices on plain TCP lines, and the one push it keeps for each token
 * while its device is away (as APNs does). Driven by the event loop in apns_server.c; one thread.
 */
#ifndef COFFER_SIM_APNS_LINES_H
#define COFFER_SIM_APNS_LINES_H

#include "base/bytes.h"
#include "base/err.h"
#include "program/sim/apns_check.h"

typedef struct apns_lines apns_lines_t;
typedef struct apns_line apns_line_t; /* one device's connection */

err_t *apns_lines_new(apns_lines_t **ret_lines) WARN_UNUSED;
void apns_lines_free(apns_lines_t *lines); /* closes every line; takes NULL */

/* A device called; takes fd over. */
err_t *apns_line_add(apns_lines_t *lines, int fd, apns_line_t **ret_line) WARN_UNUSED;
int apns_line_fd(const apns_line_t *line);
/* Closes and frees. */
void apns_line_drop(apns_lines_t *lines, apns_line_t *line);
/* Reads what came. False: drop the line. `now` in seconds since 1970. */
bool apns_line_read(apns_lines_t *lines, apns_line_t *line, int64_t now);

/* Delivers now, or keeps it until its expiry. *ret_delivered: a device took it at once. */
err_t *apns_lines_push(apns_lines_t *lines, const char *token, const char *magic, int64_t expiry,
                       int64_t now, bool *ret_delivered) WARN_UNUSED;

DEFINE_CLEANUP(apns_lines_t, apns_lines_free)

#endif
