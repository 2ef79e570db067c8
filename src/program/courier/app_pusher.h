/*
 * Pushes to devices' mail programs: the pusher (pusher.h) with the program's own certificate and
 * topic, on a thread of its own.
 */
#ifndef COFFER_PROGRAM_APP_PUSHER_H
#define COFFER_PROGRAM_APP_PUSHER_H

#include "program/courier/pusher.h"

typedef struct app_pusher app_pusher_t;

/* `options` as of pusher_new, its kind PUSHER_APP. */
err_t *app_pusher_start(const pusher_options_t *options, app_pusher_t **ret_pusher) WARN_UNUSED;
void app_pusher_wake(app_pusher_t *pusher); /* from any thread; takes NULL */
void app_pusher_stop(app_pusher_t *pusher); /* takes NULL */

#endif
