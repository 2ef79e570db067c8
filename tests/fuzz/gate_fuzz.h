/*
 * For the gate's fuzz targets: a gate with nobody's keys. Everything static: each target includes
 * it once.
 */
#ifndef COFFER_TESTS_FUZZ_GATE_FUZZ_H
#define COFFER_TESTS_FUZZ_GATE_FUZZ_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/secret.h"
#include "mail/gate.h"

static err_t *policy(void *arg, gate_scope_t scope, bytes_t address, gate_rule_t *rule) {
    gate_rule_t over;
    (void)scope, (void)address;
    TRY(gate_rule_read(bytes_str(arg), &over));
    gate_rule_apply(rule, &over);
    return NULL;
}

static err_t *recipients(void *arg, const bytes_t *addresses, size_t n, int64_t at,
                         mail_recipients_t *ret_list) {
    const mail_book_t none = {.arg = NULL};
    (void)arg;
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

static void check(gate_result_t *r) {
    unsigned seen[2] = {0};
    if (r->reply.smtp != 250 && r->mails_n) abort();
    for (size_t i = 0; i < r->mails_n; i++)
        for (size_t k = 0; k < r->mails[i].rcpts_n; k++)
            if (r->mails[i].rcpts[k].index >= 0 && seen[r->mails[i].rcpts[k].index]++) abort();
    for (size_t i = 0; i < r->mails_n; i++) {
        gate_reply_t made;
        gate_mail_make(r, i, &made);
        if (made.smtp == 250 && r->mails[i].fd < 0) abort();
        gate_mail_drop(r, i);
    }
}

static const char *const domains[] = {"example.org"};

/* A gate where these rules hold for everybody. */
static err_t *with_gate(const char *rules, gate_options_t *o, gate_services_t *s,
                        gate_t **ret_gate) {
    TRY(crypto_init());
    *o = (gate_options_t){.rnd = rnd_real(),
                          .clk = clk_real(),
                          .authserv_id = "gate.example.org",
                          .domains = domains,
                          .domains_n = 1,
                          .report_address = "report@example.org",
                          .report_mailbox = "spam@example.org",
                          .tag_encrypt = "[encrypt]",
                          .tag_plain = "[plain]",
                          .max = 1 << 22};
    *s = (gate_services_t){.policy = policy,
                           .recipients = recipients,
                           .sign = sign,
                           .find_key = find_key,
                           .unwrap = unwrap,
                           .trust = trust,
                           .new_file = new_file,
                           .arg = (void *)(uintptr_t)rules};
    return gate_new(o, s, ret_gate);
}

#endif
