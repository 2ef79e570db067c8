/*
 * Errors as values. A fallible function returns err_t * (NULL = success) and
 * leaves its outputs untouched on failure. An error carries a code (only what
 * callers branch on), a message, the place it was made, and its cause.
 *
 * The caller owns a returned error: free it, or wrap it and hand it on.
 * Thread-safe: an error belongs to whoever holds it.
 */
#ifndef COFFER_BASE_ERR_H
#define COFFER_BASE_ERR_H

#include <stdarg.h>

typedef enum {
    ERR_INTERNAL,    /* a defect in Coffer or a failure nobody can name better */
    ERR_NOMEM,       /* out of memory (a static instance, never allocated) */
    ERR_IO,          /* a system call failed */
    ERR_INVALID,     /* malformed input from outside */
    ERR_USAGE,       /* the person called it wrongly */
    ERR_LIMIT,       /* a named limit was exceeded */
    ERR_NOT_FOUND,   /* the named thing does not exist */
    ERR_EXISTS,      /* the named thing exists already */
    ERR_AUTH,        /* who are you? credentials missing or wrong */
    ERR_DENIED,      /* we know who you are, and policy says no */
    ERR_VERIFY,      /* a signature, chain or hash does not verify */
    ERR_BUSY,        /* in flight already, or throttled: later may work */
    ERR_UNAVAILABLE, /* a component or peer is away: retrying may work */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_FULL,        /* disk or database is full */
} err_code_t;

typedef struct err err_t;

#define WARN_UNUSED            __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Makes an error. Never fails: without memory it returns the static ERR_NOMEM instance. */
#define err_new(code, ...) err_new_at(__FILE__, __LINE__, (code), __VA_ARGS__)
err_t *err_new_at(const char *file, int line, err_code_t code, const char *format, ...) WARN_UNUSED
    PRINTF_LIKE(4, 5);

/* Puts a sentence around `cause` (takes ownership), keeping its code. */
#define err_wrap(cause, ...) err_wrap_at(__FILE__, __LINE__, (cause), __VA_ARGS__)
err_t *err_wrap_at(const char *file, int line, err_t *cause, const char *format, ...) WARN_UNUSED
    PRINTF_LIKE(4, 5);

/* An ERR_IO (ERR_FULL for ENOSPC/EDQUOT, ERR_NOT_FOUND for ENOENT, ...) from errno `number`. */
#define err_errno(number, ...) err_errno_at(__FILE__, __LINE__, (number), __VA_ARGS__)
err_t *err_errno_at(const char *file, int line, int number, const char *format, ...) WARN_UNUSED
    PRINTF_LIKE(4, 5);

/* The static out-of-memory error. */
err_t *err_nomem(void) WARN_UNUSED;

/* Changes the code, e.g. when a callee's ERR_NOT_FOUND means ERR_DENIED here. Returns e. */
err_t *err_recode(err_t *e, err_code_t code) WARN_UNUSED;

void err_free(err_t *e); /* takes NULL */

err_code_t err_code(const err_t *e);
const char *err_code_name(err_code_t code);
/* This level's own sentence; owned by e. */
const char *err_message(const err_t *e);
const err_t *err_cause(const err_t *e);
const char *err_file(const err_t *e);
int err_line(const err_t *e);

/*
 * Writes "outer: cause: root" into out (always NUL-terminated, cut with "..." if it does not
 * fit). Returns out. `err_trace` adds file:line of each level, for logs.
 */
const char *err_text(const err_t *e, char *out, unsigned long size);
const char *err_trace(const err_t *e, char *out, unsigned long size);

/* Returns the error of `expression` to the caller, if there is one. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        err_t *try_error_ = (expression);                                                          \
        if (try_error_) return try_error_;                                                         \
    } while (0)

/* The same, putting a sentence around it. */
#define TRY_WRAP(expression, ...)                                                                  \
    do {                                                                                           \
        err_t *try_error_ = (expression);                                                          \
        if (try_error_) return err_wrap(try_error_, __VA_ARGS__);                                  \
    } while (0)

/* For places that must go on whatever happened (destructors, best effort). */
#define err_ignore(expression) err_free(expression)

#define CLEANUP(function) __attribute__((cleanup(function##_p)))
/* Defines the helper that CLEANUP(function) needs, for a `void function(type *)`. */
#define DEFINE_CLEANUP(type, function)                                                             \
    static inline void function##_p(type **p) { function(*p); }
/* The same for a `void function(type *)` that undoes a by-value struct (x_done). */
#define DEFINE_CLEANUP_VALUE(type, function)                                                       \
    static inline void function##_p(type *p) { function(p); }
/* Hands over: yields p's value and leaves NULL behind. */
#define STEAL(p)                                                                                   \
    (__extension__({                                                                               \
        __typeof__(p) *steal_from_ = &(p);                                                         \
        __typeof__(p) stolen_ = *steal_from_;                                                      \
        *steal_from_ = 0;                                                                          \
        stolen_;                                                                                   \
    }))

DEFINE_CLEANUP(err_t, err_free)

#endif
