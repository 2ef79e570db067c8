/*
 * Payloads that a web server hands the keeper to put mail keys in: whatever they say, a key's file
 * and password stand behind the tokens that they may stand behind, or nothing is filled.
 */
#include <stdlib.h>
#include <string.h>

#include "keeper/escrow_payloads.h"

#define ID1 "01010101010101010101010101010101"
#define ID2 "02020202020202020202020202020202"

static void demand(bool what) {
    if (!what) abort();
}

/* Every place of the secret has the token before and the other behind. */
static void check(bytes_t text, const char *secret, const char *before, const char *behind) {
    size_t n = strlen(secret), b = strlen(before);
    for (const uint8_t *at = text.p;
         (at = memmem(at, (size_t)(text.p + text.n - at), secret, n)) != NULL; at += n) {
        demand((size_t)(at - text.p) >= b && memcmp(at - b, before, b) == 0);
        demand(bytes_starts(bytes_from(text, (size_t)(at - text.p) + n), bytes_str(behind)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char file[] = "@FILE@", password[] = "@PASSWORD@";
    bytes_t given = bytes_make(data, size);
    escrow_payload_t keys[2] = {
        {.id = ID1, .file = bytes_str(file), .password = bytes_str(password)},
        {.id = ID2, .file = bytes_str(file), .password = bytes_str(password)}};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1024 * 1024);
    if (bytes_find(given, '@') < size) return 0; /* ours alone */
    err_t *e = escrow_payloads_fill(given, keys, 1 + size % 2, &out);
    if (!e) {
        demand(keys[0].used);
        check(buf_bytes(&out), file, "<data>", "</data>");
        check(buf_bytes(&out), password, "<string>", "</string>");
    }
    err_free(e);
    return 0;
}
