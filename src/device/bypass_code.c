/*
 * See bypass_code.h.
 */
#include "device/bypass_code.h"

#include "crypto/kdf.h"

enum { SYMBOLS = 26, BITS = 5, ROUNDS = 50000 };

/* Without the letters that look like digits or each other: B, I, O, S. */
static const char alphabet[] = "0123456789ACDEFGHJKLMNPQRTUVWXYZ";

/* Bits of the 128, most significant first; the last symbol has the three that are left. */
static unsigned bits_at(const uint8_t raw[BYPASS_RAW], unsigned at) {
    unsigned value = 0;
    for (unsigned i = at; i < at + BITS && i < BYPASS_RAW * 8; i++)
        value = value << 1 | ((raw[i / 8] >> (7 - i % 8)) & 1U);
    return value;
}

void bypass_code_text(const uint8_t raw[BYPASS_RAW], char ret_text[BYPASS_TEXT]) {
    size_t n = 0;
    for (unsigned i = 0; i < SYMBOLS; i++) {
        if (i == 5 || i == 10 || i == 14 || i == 18 || i == 22) ret_text[n++] = '-';
        ret_text[n++] = alphabet[bits_at(raw, i * BITS)];
    }
    ret_text[n] = '\0';
}

err_t *bypass_code_hash(const uint8_t raw[BYPASS_RAW], uint8_t ret_hash[BYPASS_HASH]) {
    static const uint8_t salt[4] = {0};
    CLEANUP(secret_free) secret_t *hash = NULL;
    TRY(kdf_pbkdf2_sha256(bytes_make(raw, BYPASS_RAW), BYTES_ARRAY(salt), ROUNDS, BYPASS_HASH,
                          &hash));
    memcpy(ret_hash, secret_bytes(hash).p, BYPASS_HASH);
    return NULL;
}
