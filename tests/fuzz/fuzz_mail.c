/*
 * Whole messages through the mail reader, without keys: structure, signatures, verdict.
 */
#include "base/rnd.h"
#include "crypto/secret.h"
#include "mail/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const mail_reader_handler_t handler = {0};
    const mail_reader_options_t options = {
        .rnd = rnd_real(), .now = 1800000000, .keep = MAIL_KEEP_CONTENT, .max = 1 << 20};
    mail_reader_t *reader = NULL;
    const mail_verdict_t *verdict = NULL;
    json_t *json = NULL;
    if (size > 64 * 1024) return 0;
    err_t *e = crypto_init();
    if (!e) e = mail_reader_new(&handler, &options, &reader);
    if (!e) e = mail_reader_feed(reader, bytes_make(data, size));
    if (!e) e = mail_reader_finish(reader, &verdict);
    if (!e) e = mail_verdict_json(verdict, &json);
    jso_free(json);
    err_free(e);
    mail_reader_free(reader);
    return 0;
}
