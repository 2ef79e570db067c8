/*
 * What must be encrypted, and nobody can read: only what is closed already goes out, as it is. A
 * message without any mark of CMS or PGP is never taken for that, and the answer for one message is
 * always the same.
 */
#include "gate_fuzz.h"

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has(bytes_t data, const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= data.n; i++)
        if (text_eq_fold(bytes_slice(data, i, n), bytes_make((const uint8_t *)text, n)))
            return true;
    return false;
}

static bool has_mark(bytes_t data) {
    return has(data, "pkcs7") || has(data, "BEGIN PGP MESSAGE") || has(data, ".p7m");
}

static err_t *run(const gate_t *gate, bytes_t from, bytes_t message, unsigned *ret_smtp) {
    const gate_rcpt_t rcpts[] = {{BYTES_LIT("b@example.com"), BYTES_NONE}};
    CLEANUP(fd_close) int fd = -1;
    gate_result_t result CLEANUP(gate_result_done) = {0};
    TRY(new_file(NULL, &fd));
    TRY(file_write_fd(fd, message));
    const gate_envelope_t env = {.direction = GATE_OUT,
                                 .from = from,
                                 .rcpts = rcpts,
                                 .rcpts_n = 1,
                                 .fd = fd,
                                 .size = message.n};
    TRY(gate_run(gate, &env, &result));
    check(&result);
    for (size_t i = 0; i < result.mails_n; i++)
        if (!result.mails[i].same) abort();
    *ret_smtp = result.reply.smtp;
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const bytes_t message = bytes_make(data, size), me = BYTES_LIT("me@example.org");
    gate_options_t options;
    gate_services_t services;
    unsigned first = 0, second = 0;
    CLEANUP(gate_free) gate_t *gate = NULL;
    if (size > 64 * 1024) return 0;
    err_t *e = with_gate("encrypt=require tag=no", &options, &services, &gate);
    if (!e) e = run(gate, me, message, &first);
    if (!e) e = run(gate, me, message, &second);
    if (!e && first != second) abort();
    if (!e && first == 250 && !has_mark(message)) abort();
    err_free(e);
    return 0;
}
