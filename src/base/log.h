/*
 * The log of a process: one line an event on standard error,
 *   2026-11-22T04:19:00Z coffer-web info enrolled device=... person=...
 * Libraries never log; the request or process boundary logs once. Control characters in values
 * are escaped, so that a stranger can't forge lines. Thread-safe (one write per line).
 */
#ifndef COFFER_BASE_LOG_H
#define COFFER_BASE_LOG_H

#include "base/clk.h"
#include "base/err.h"

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR } log_level_t;

typedef struct {
    const char *program; /* borrowed */
    log_level_t least;
    const clk_t *clk; /* borrowed */
    int fd;
} log_t;

void log_init(log_t *log, const char *program, const clk_t *clk);
void log_line(const log_t *log, log_level_t level, const char *format, ...) PRINTF_LIKE(3, 4);
/* Logs what failed with the error's whole chain and places, and frees it. NULL is fine. */
void log_error(const log_t *log, log_level_t level, err_t *e, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
