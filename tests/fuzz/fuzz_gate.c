/*
 * The gate on any message, both ways, with a policy that asks for everything and nobody's keys: no
 * crash, each recipient in at most one mail, and no field in our name gets in.
 */
#include "gate_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const gate_t *gate, gate_direction_t direction, bytes_t message) {
    const gate_rcpt_t rcpts[] = {{BYTES_LIT("a@example.org"), BYTES_NONE},
                                 {BYTES_LIT("b@example.com"), BYTES_LIT("list@example.org")}};
    const gate_rcpt_t report[] = {{BYTES_LIT("report@example.org"), BYTES_NONE}};
    CLEANUP(fd_close) int fd = -1;
    err_t *e = new_file(NULL, &fd);
    if (!e) e = file_write_fd(fd, message);
    for (int spam = 0; spam < 2 && !e; spam++) {
        gate_result_t result CLEANUP(gate_result_done) = {0};
        const gate_envelope_t env = {.direction = direction,
                                     .from = BYTES_LIT("me@example.org"),
                                     .rcpts = spam ? report : rcpts,
                                     .rcpts_n = spam ? 1 : 2,
                                     .fd = fd,
                                     .size = message.n};
        e = gate_run(gate, &env, &result);
        if (!e) check(&result);
    }
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gate_options_t options;
    gate_services_t services;
    CLEANUP(gate_free) gate_t *gate = NULL;
    if (size > 64 * 1024) return 0;
    err_t *e =
        with_gate("encrypt=split sign=yes decrypt=yes reencrypt=yes", &options, &services, &gate);
    if (!e) run(gate, GATE_OUT, bytes_make(data, size));
    if (!e) run(gate, GATE_IN, bytes_make(data, size));
    err_free(e);
    return 0;
}
