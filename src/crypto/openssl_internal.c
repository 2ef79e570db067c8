/*
 * OpenSSL's error queue as an err_t: see openssl_internal.h. The queue is the thread's own.
 */
#include "crypto/openssl_internal.h"

#include <openssl/err.h>
#include <stdio.h>

/* OpenSSL's reason for a packed code; system errors and unknown ones as a number. */
static void reason_text(unsigned long code, char *out, size_t size) {
    const char *reason = ERR_reason_error_string(code);
    if (reason) (void)snprintf(out, size, "%s", reason);
    else (void)snprintf(out, size, "OpenSSL error %lx", code);
}

err_t *err_openssl_at(const char *file, int line, err_code_t code, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);

    unsigned long first = ERR_get_error();
    unsigned long last = first;
    bool nomem = false;
    for (unsigned long next = first; next != 0; next = ERR_get_error()) {
        nomem = nomem || ERR_GET_REASON(next) == ERR_R_MALLOC_FAILURE;
        last = next;
    }
    if (nomem) return err_nomem();
    if (first == 0) return err_new_at(file, line, code, "%s", text);
    char head[96];
    char tail[96];
    reason_text(first, head, sizeof head);
    reason_text(last, tail, sizeof tail);
    if (strcmp(head, tail) == 0) return err_new_at(file, line, code, "%s: %s", text, head);
    return err_new_at(file, line, code, "%s: %s; %s", text, head, tail);
}
