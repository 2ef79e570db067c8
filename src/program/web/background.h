/*
 * A thread of coffer-web's own that does something again and again until the program stops: what
 * housekeeping, revocation, the directory and escrow have in common.
 */
#ifndef COFFER_PROGRAM_WEB_BACKGROUND_H
#define COFFER_PROGRAM_WEB_BACKGROUND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct web web_t;
typedef struct background background_t;

/* Runs `run` on a thread of its own; it returns soon after it is to stop. `what` is for the error.
 */
err_t *background_start(web_t *web, const char *what, void (*run)(background_t *background),
                        background_t **ret_background) WARN_UNUSED;
/* Has it stop, waits for its end, frees it; takes NULL. */
void background_stop(background_t *background);

/* For `run`. */
web_t *background_web(const background_t *background);
/* Becomes true when it is to stop; for calls that take long. */
const _Atomic bool *background_stopping(const background_t *background);
/* Waits, less long if it is to stop: whether it is. */
bool background_wait(background_t *background, int64_t seconds);

#endif
