/*
 * The log of a process: see log.h.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { LOG_LINE_MAX = 2048 };

void log_init(log_t *log, const char *program, const clk_t *clk) {
    *log = (log_t){.program = program, .least = LOG_INFO, .clk = clk, .fd = STDERR_FILENO};
}

static const char *level_name(log_level_t level) {
    switch (level) {
    case LOG_DEBUG: return "debug";
    case LOG_INFO: return "info";
    case LOG_WARNING: return "warning";
    case LOG_ERROR: return "error";
    }
    return "?";
}

static void put(const log_t *log, log_level_t level, const char *text) {
    char line[LOG_LINE_MAX + 64];
    char when[TEXT_TIME_SIZE];
    int n = snprintf(line, sizeof line - 1, "%s %s %s %s", text_time(clk_unix(log->clk), when),
                     log->program, level_name(level), text);
    if (n < 0) return;
    size_t length = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) line[i] = '?';
    line[length++] = '\n';
    ssize_t ignored = write(log->fd, line, length); /* nowhere to report a failing log to */
    (void)ignored;
}

void log_line(const log_t *log, log_level_t level, const char *format, ...) {
    if (level < log->least) return;
    char text[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0) put(log, level, text);
}

void log_error(const log_t *log, log_level_t level, err_t *e, const char *format, ...) {
    if (!e) return;
    if (level >= log->least) {
        char what[512], trace[1024], text[LOG_LINE_MAX];
        va_list args;
        va_start(args, format);
        int n = vsnprintf(what, sizeof what, format, args);
        va_end(args);
        if (n >= 0) {
            (void)snprintf(text, sizeof text, "%s: %s", what, err_trace(e, trace, sizeof trace));
            put(log, level, text);
        }
    }
    err_free(e);
}
