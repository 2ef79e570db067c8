/* Foreign certificates as files: whatever is in them, texts are printable and ended. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/cert_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cert_facts_t facts[4];
    size_t count = 0;
    err_t *e = cert_facts_file(bytes_make(data, size), 4, facts, &count);
    if (!e && (count == 0 || count > 4)) abort();
    for (size_t i = 0; !e && i < count; i++)
        if (!text_printable(bytes_str(facts[i].subject)) ||
            !text_printable(bytes_str(facts[i].issuer)))
            abort();
    err_free(e);
    return 0;
}
