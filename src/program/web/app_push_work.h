/*
 * Pushes to mail programs, coffer-web's half: for each event it asks for the release of the lease,
 * if the device wants it along, and leaves coffer-courier what to send. So the courier never asks
 * for a key.
 */
#ifndef COFFER_PROGRAM_WEB_APP_PUSH_WORK_H
#define COFFER_PROGRAM_WEB_APP_PUSH_WORK_H

#include "program/web/web.h"

typedef struct app_push_work app_push_work_t;

/* `wake`: the courier has something to do; from any thread. */
err_t *app_push_work_start(web_t *web, void (*wake)(void *web),
                           app_push_work_t **ret_work) WARN_UNUSED;
/* There may be something; takes NULL, from any thread. */
void app_push_work_wake(void *work);
void app_push_work_stop(app_push_work_t *work); /* takes NULL */

#endif
