/*
 * What a small message costs: 8 KB, RSA-2048, in one thread, encrypted, decrypted, signed and
 * verified, beside the bare RSA operation that it can't do without. Microseconds of this thread's
 * CPU time, the least of several rounds of interleaved operations.
 *   bench_mail [MESSAGES of a round]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "crypto/cert.h"
#include "mail/reader.h"
#include "mail/writer.h"

enum { ROUNDS = 5, MESSAGES = 200, SIZE = 8 * 1024, MESSAGE_MAX = 256 * 1024 };

typedef struct {
    pkey_t *key;
    cert_t *cert;
    cert_list_t list;
    cms_signer_t *signer;
    buf_t plain, encrypted, opaque, out, signature;
} bench_t;

static void must(err_t *e) {
    if (!e) return;
    char text[512];
    (void)fprintf(stderr, "bench_mail: %s\n", err_trace(e, text, sizeof text));
    exit(1);
}

static double cpu_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

static void write_message(bench_t *b, bool sign, bool encrypt, buf_t *out) {
    const mail_write_options_t options = {.rnd = rnd_real(),
                                          .now = 1800000000,
                                          .max = MESSAGE_MAX,
                                          .signer = sign ? b->signer : NULL,
                                          .recipients = encrypt ? &b->list : NULL};
    mail_writer_t *writer = NULL;
    buf_clear(out);
    must(mail_writer_new(&options, &writer));
    must(mail_writer_feed(writer, buf_bytes(&b->plain)));
    must(mail_writer_finish(writer, collect, out));
    mail_writer_free(writer);
}

static err_t *find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found) {
    const bench_t *b = arg;
    (void)recipient;
    *ret_cert = b->cert;
    *ret_key = b->key;
    *ret_found = true;
    return NULL;
}

static void read_message(bench_t *b, bytes_t message, mail_keep_t keep) {
    const mail_reader_handler_t handler = {.find_key = find, .arg = b};
    const mail_reader_options_t options = {.rnd = rnd_real(),
                                           .now = 1800000000,
                                           .roots = &b->list,
                                           .keep = keep,
                                           .look = MAIL_LOOK_SKIM,
                                           .max = MESSAGE_MAX};
    mail_reader_t *reader = NULL;
    const mail_verdict_t *verdict;
    must(mail_reader_new(&handler, &options, &reader));
    must(mail_reader_feed(reader, message));
    must(mail_reader_finish(reader, &verdict));
    if (mail_status(verdict) != MAIL_GOOD) must(err_new(ERR_INTERNAL, "not good"));
    buf_clear(&b->out);
    if (keep != MAIL_KEEP_NOTHING) must(mail_reader_output(reader, collect, &b->out));
    mail_reader_free(reader);
}

static void do_encrypt(bench_t *b) { write_message(b, false, true, &b->out); }
static void do_sign(bench_t *b) { write_message(b, true, false, &b->out); }
static void do_decrypt(bench_t *b) {
    read_message(b, buf_bytes(&b->encrypted), MAIL_KEEP_DECRYPTED);
}
static void do_verify(bench_t *b) { read_message(b, buf_bytes(&b->opaque), MAIL_KEEP_NOTHING); }
static void do_rsa_private(bench_t *b) {
    buf_clear(&b->signature);
    must(pkey_sign(b->key, "bench", BYTES_LIT("x"), &b->signature));
}
static void do_rsa_public(bench_t *b) {
    must(pkey_verify(b->key, "bench", BYTES_LIT("x"), buf_bytes(&b->signature)));
}

static void make(bench_t *b) {
    const name_entry_t subject[] = {{"CN", "Alice"}};
    const san_entry_t sans[] = {{SAN_EMAIL, "alice@example.org"}};
    static const uint8_t serial[] = {1};
    const cert_spec_t spec = {.subject = subject,
                              .subject_n = 1,
                              .sans = sans,
                              .sans_n = 1,
                              .serial = BYTES_ARRAY(serial),
                              .not_before = 1700000000,
                              .not_after = 1900000000,
                              .key_usage =
                                  KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT};
    buf_t *all[] = {&b->plain, &b->encrypted, &b->opaque, &b->out, &b->signature};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buf_init(all[i], MESSAGE_MAX);
    must(crypto_init());
    must(pkey_generate(PKEY_RSA, 2048, &b->key));
    must(cert_issue(&spec, NULL, b->key, &b->cert));
    must(cert_list_add(&b->list, b->cert));
    must(cms_signer_new(b->cert, b->key, NULL, &b->signer));
    must(buf_add_str(&b->plain, "From: alice@example.org\r\nTo: b@example.org\r\nSubject: s\r\n"
                                "Content-Type: text/plain\r\n\r\n"));
    while (b->plain.n < SIZE)
        must(buf_add_str(&b->plain, "A line of text like any other one.\r\n"));
    write_message(b, false, true, &b->encrypted);
    write_message(b, true, false, &b->opaque);
}

static const struct {
    const char *name;
    void (*run)(bench_t *);
    int floor; /* the operation that it needs */
} operations[] = {
    {"RSA-2048 private operation", do_rsa_private, -1},
    {"RSA-2048 public operation", do_rsa_public, -1},
    {"decrypt", do_decrypt, 0},
    {"sign", do_sign, 0},
    {"encrypt", do_encrypt, 1},
    {"verify", do_verify, 1},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

int main(int argc, char **argv) {
    static bench_t b;
    double best[OPERATIONS];
    uint64_t n = MESSAGES;
    if (argc > 1) must(text_u64(bytes_str(argv[1]), 1000000, &n));
    make(&b);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < OPERATIONS; i++) {
            double start = cpu_us();
            for (uint64_t k = 0; k < n; k++) operations[i].run(&b);
            double each = (cpu_us() - start) / (double)n;
            if (!round || each < best[i]) best[i] = each;
        }
    for (size_t i = 0; i < OPERATIONS; i++) {
        (void)printf("%-28s %8.1f us", operations[i].name, best[i]);
        if (operations[i].floor >= 0)
            (void)printf(", %3.0f %% of what RSA allows",
                         100 * best[operations[i].floor] / best[i]);
        (void)printf("\n");
    }
    return 0;
}
