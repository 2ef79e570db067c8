/*
 * Errors as values: see err.h. Pure; any process, any thread.
 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

enum { ERR_MESSAGE_MAX = 512 };

struct err {
    err_code_t code;
    int line;
    const char *file;
    err_t *cause;
    char message[];
};

/* The flexible member of a static instance cannot be initialised portably: message is separate. */
static struct err nomem_instance = {.code = ERR_NOMEM, .line = 0, .file = "memory", .cause = NULL};

err_t *err_nomem(void) { return &nomem_instance; }

PRINTF_LIKE(6, 0)
static err_t *err_make(const char *file, int line, err_code_t code, err_t *cause,
                       const char *suffix, const char *format, va_list args) {
    char text[ERR_MESSAGE_MAX];
    int wrote = vsnprintf(text, sizeof text, format, args);
    if (wrote < 0) text[0] = '\0';
    size_t length = strlen(text);
    size_t suffix_length = suffix ? strlen(suffix) + 2 : 0;
    err_t *e = fault_memory() ? NULL : malloc(sizeof *e + length + suffix_length + 1);
    if (!e) {
        err_free(cause);
        return err_nomem();
    }
    e->code = code;
    e->line = line;
    e->file = file;
    e->cause = cause;
    memcpy(e->message, text, length + 1);
    if (suffix) {
        memcpy(e->message + length, ": ", 2);
        memcpy(e->message + length + 2, suffix, strlen(suffix) + 1);
    }
    return e;
}

err_t *err_new_at(const char *file, int line, err_code_t code, const char *format, ...) {
    if (code == ERR_NOMEM) return err_nomem();
    va_list args;
    va_start(args, format);
    err_t *e = err_make(file, line, code, NULL, NULL, format, args);
    va_end(args);
    return e;
}

err_t *err_wrap_at(const char *file, int line, err_t *cause, const char *format, ...) {
    if (!cause || cause == &nomem_instance) return cause;
    va_list args;
    va_start(args, format);
    err_t *e = err_make(file, line, cause->code, cause, NULL, format, args);
    va_end(args);
    return e;
}

static err_code_t code_of_errno(int number) {
    switch (number) {
    case ENOMEM: return ERR_NOMEM;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT: return ERR_FULL;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED: return ERR_UNAVAILABLE;
    default: return ERR_IO;
    }
}

err_t *err_errno_at(const char *file, int line, int number, const char *format, ...) {
    err_code_t code = code_of_errno(number);
    if (code == ERR_NOMEM) return err_nomem();
    char reason[128];
    const char *text = strerror_r(number, reason, sizeof reason); /* the GNU form */
    va_list args;
    va_start(args, format);
    err_t *e = err_make(file, line, code, NULL, text, format, args);
    va_end(args);
    return e;
}

err_t *err_recode(err_t *e, err_code_t code) {
    if (e && e != &nomem_instance) e->code = code;
    return e;
}

void err_free(err_t *e) {
    while (e && e != &nomem_instance) {
        err_t *cause = e->cause;
        free(e);
        e = cause;
    }
}

err_code_t err_code(const err_t *e) { return e->code; }

const char *err_code_name(err_code_t code) {
    switch (code) {
    case ERR_INTERNAL: return "internal";
    case ERR_NOMEM: return "out-of-memory";
    case ERR_IO: return "io";
    case ERR_INVALID: return "invalid";
    case ERR_USAGE: return "usage";
    case ERR_LIMIT: return "limit";
    case ERR_NOT_FOUND: return "not-found";
    case ERR_EXISTS: return "exists";
    case ERR_AUTH: return "authentication";
    case ERR_DENIED: return "denied";
    case ERR_VERIFY: return "verification";
    case ERR_BUSY: return "busy";
    case ERR_UNAVAILABLE: return "unavailable";
    case ERR_TIMEOUT: return "timeout";
    case ERR_FULL: return "full";
    }
    return "unknown";
}

const char *err_message(const err_t *e) {
    return e == &nomem_instance ? "out of memory" : e->message;
}

const err_t *err_cause(const err_t *e) { return e->cause; }
const char *err_file(const err_t *e) { return e->file; }
int err_line(const err_t *e) { return e->line; }

static const char *err_join(const err_t *e, char *out, size_t size, int with_place) {
    size_t used = 0;
    if (size == 0) return out;
    out[0] = '\0';
    for (; e && used < size; e = e->cause) {
        int n = with_place
                    ? snprintf(out + used, size - used, "%s%s [%s:%d]", used ? ": " : "",
                               err_message(e), e->file, e->line)
                    : snprintf(out + used, size - used, "%s%s", used ? ": " : "", err_message(e));
        if (n < 0) break;
        used += (size_t)n;
    }
    if (used >= size && size > 4) memcpy(out + size - 4, "...", 4);
    return out;
}

const char *err_text(const err_t *e, char *out, unsigned long size) {
    return err_join(e, out, size, 0);
}

const char *err_trace(const err_t *e, char *out, unsigned long size) {
    return err_join(e, out, size, 1);
}
