/*
 * Connections to next hops: made, kept between mails, used again. Thread-safe; a connection
 * belongs to one worker at a time. Blocks, with time limits.
 */
#ifndef COFFER_PROGRAM_MAILGATE_NEXTHOP_H
#define COFFER_PROGRAM_MAILGATE_NEXTHOP_H

#include "base/clk.h"
#include "program/mailgate/conf.h"
#include "program/mailgate/counters.h"
#include "smtp/hop.h"

typedef struct nexthop nexthop_t;

/* Everything borrowed; reads the CA file, so before the sandbox. */
err_t *nexthop_new(const settings_t *settings, const mailgate_conf_t *conf, side_t side,
                   const clk_t *clk, counters_t *counters, nexthop_t **ret_nexthop) WARN_UNUSED;
/* Says QUIT on kept connections. Takes NULL. */
void nexthop_free(nexthop_t *nexthop);

/* Rewinds what the mail's `read` reads. */
typedef err_t *(*nexthop_rewind_t)(void *arg);

/*
 * Delivers, as smtp_hop_deliver. On an error a status with code 0 is of a recipient about whom
 * nothing was said. A kept connection that turns out to be dead costs nothing: another is made.
 * *ret_dsn, left alone if no connection was made: whether it takes what RFC 3461 asks for.
 */
err_t *nexthop_deliver(nexthop_t *nexthop, const smtp_mail_t *mail, nexthop_rewind_t rewind,
                       smtp_status_t *statuses, bool *ret_dsn) WARN_UNUSED;
/* Closes kept connections that were idle for long. */
void nexthop_tidy(nexthop_t *nexthop);

DEFINE_CLEANUP(nexthop_t, nexthop_free)

#endif
