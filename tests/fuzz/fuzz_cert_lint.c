/* Foreign certificates before the linter, under each set of rules, whole and as what is signed. */
#include <stdlib.h>

#include "crypto/cert_lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const cert_lint_t *lint) {
    size_t all = lint->errors + lint->warnings + lint->notices;
    if (lint->n > all || (lint->n < all && lint->n != CERT_LINT_FINDINGS)) abort();
    if (lint->rules == CERT_LINT_NONE || lint->rules == CERT_LINT_AUTO) abort();
    for (size_t i = 0; i < lint->n; i++)
        for (const char *c = lint->findings[i].detail; *c; c++)
            if (*c < ' ' || *c > '~') abort(); /* a certificate's text must not come through */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t input = bytes_make(data, size);
    cert_lint_t lint;
    for (int r = CERT_LINT_RFC5280; r <= CERT_LINT_AUTO; r++) {
        cert_lint(input, (cert_lint_rules_t)r, &lint);
        check(&lint);
        cert_lint_tbs(input, (cert_lint_rules_t)r, &lint);
        check(&lint);
    }
    return 0;
}
