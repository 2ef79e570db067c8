/*
 * Codes that open an activation lock: made here from random bytes; Apple is given the hash when a
 * server turns the lock on. Apple, "Create a bypass code". Pure. Private to src/device.
 */
#ifndef COFFER_DEVICE_BYPASS_CODE_H
#define COFFER_DEVICE_BYPASS_CODE_H

#include <stdint.h>

#include "base/err.h"

enum {
    BYPASS_RAW = 16,  /* random bytes */
    BYPASS_TEXT = 32, /* 26 symbols, 5 dashes, the NUL */
    BYPASS_HASH = 32, /* PBKDF2-HMAC-SHA256, 50,000 rounds, salt of four zero bytes */
};

/* "3UM43-PUYVY-QYD1-UVCC-HEHJ-FKA4" */
void bypass_code_text(const uint8_t raw[BYPASS_RAW], char ret_text[BYPASS_TEXT]);
/* What Apple wants, in hexadecimal, as "escrow_key". */
err_t *bypass_code_hash(const uint8_t raw[BYPASS_RAW], uint8_t ret_hash[BYPASS_HASH]) WARN_UNUSED;

#endif
