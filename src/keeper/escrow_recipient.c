/*
 * See escrow_recipient.h. Any thread.
 */
#include "keeper/escrow_recipient.h"

#include <string.h>

#include "base/text.h"

static bool is_letter(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* What an address goes on with on its left (RFC 5322 section 3.2.3), less what quotes it. */
static bool goes_on_before(const char *text, const char *at) {
    if (at == text) return false;
    char c = at[-1];
    bool joins = c == '.' || c == '+' || c == '-' || c == '_';
    return is_letter(c) || (joins && at - 1 > text && is_letter(at[-2]));
}

/* A dot or hyphen with a letter behind it belongs to the domain; one at a sentence's end doesn't.
 */
static bool goes_on_behind(const char *end) {
    return is_letter(*end) || ((*end == '.' || *end == '-') && is_letter(end[1]));
}

bool escrow_recipient_names(const char *text, const char *address) {
    size_t n = strlen(address), all = strlen(text);
    if (n == 0) return false;
    for (size_t i = 0; i + n <= all; i++) {
        bytes_t here = bytes_make((const uint8_t *)text + i, n);
        if (text_eq_fold(here, bytes_str(address)) && !goes_on_before(text, text + i) &&
            !goes_on_behind(text + i + n))
            return true;
    }
    return false;
}
