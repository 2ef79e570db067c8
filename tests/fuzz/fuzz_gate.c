/*
 * The gate on any message, both ways, with a policy that asks for everything and nobody's keys: no
 * crash, each recipient in at most one mail, and no field in our name gets in.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/secret.h"
#include "mail/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static err_t *policy(void *arg, gate_scope_t scope, bytes_t address, gate_rule_t *rule) {
    static const char all[] = "encrypt=split sign=yes decrypt=yes reencrypt=yes";
    gate_rule_t over;
    (void)arg, (void)scope, (void)address;
    TRY(gate_rule_read(bytes_str(all), &over));
    gate_rule_apply(rule, &over);
    return NULL;
}

static err_t *recipients(void *arg, const bytes_t *addresses, size_t n, int64_t at,
                         mail_recipients_t *ret_list) {
    const mail_book_t none = {.arg = arg};
    return mail_recipients_find(&none, addresses, n, BYTES_NONE, at, ret_list);
}

static err_t *sign(void *arg, bytes_t address, bytes_t sha256, buf_t *out, bool *ret_found) {
    (void)arg, (void)address;
    *ret_found = true;
    return sha256.n ? buf_add(out, sha256) : NULL; /* no CMS, but something of that place */
}

static err_t *find_key(void *arg, bytes_t address, const cms_recipient_t *r, cert_t **ret_cert,
                       bool *ret_found) {
    (void)arg, (void)address, (void)r, (void)ret_cert, (void)ret_found;
    return NULL;
}

static err_t *unwrap(void *arg, bytes_t address, const cert_t *cert, const cms_wrapped_t *wrapped,
                     uint8_t *ret_key, size_t n) {
    (void)arg, (void)address, (void)cert, (void)wrapped, (void)ret_key, (void)n;
    abort(); /* there is no key */
}

static err_t *trust(void *arg, bytes_t from, cert_list_t *ret_roots, cert_list_t *ret_others) {
    (void)arg, (void)from, (void)ret_roots, (void)ret_others;
    return NULL;
}

static err_t *new_file(void *arg, int *ret_fd) {
    (void)arg;
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return err_new(ERR_IO, "temporary file");
    *ret_fd = fd;
    return NULL;
}

static void check(const gate_result_t *r) {
    unsigned seen[2] = {0};
    if (r->reply.smtp != 250 && r->mails_n) abort();
    for (size_t i = 0; i < r->mails_n; i++)
        for (size_t k = 0; k < r->mails[i].rcpts_n; k++)
            if (r->mails[i].rcpts[k].index >= 0 && seen[r->mails[i].rcpts[k].index]++) abort();
}

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
    static const char *const domains[] = {"example.org"};
    const gate_options_t options = {.rnd = rnd_real(),
                                    .clk = clk_real(),
                                    .authserv_id = "gate.example.org",
                                    .domains = domains,
                                    .domains_n = 1,
                                    .report_address = "report@example.org",
                                    .report_mailbox = "spam@example.org",
                                    .tag_encrypt = "[encrypt]",
                                    .tag_plain = "[plain]",
                                    .max = 1 << 22};
    const gate_services_t services = {.policy = policy,
                                      .recipients = recipients,
                                      .sign = sign,
                                      .find_key = find_key,
                                      .unwrap = unwrap,
                                      .trust = trust,
                                      .new_file = new_file};
    CLEANUP(gate_free) gate_t *gate = NULL;
    if (size > 64 * 1024) return 0;
    err_t *e = crypto_init();
    if (!e) e = gate_new(&options, &services, &gate);
    if (!e) run(gate, GATE_OUT, bytes_make(data, size));
    if (!e) run(gate, GATE_IN, bytes_make(data, size));
    err_free(e);
    return 0;
}
