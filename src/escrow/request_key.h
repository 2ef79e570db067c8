/*
 * The recipient's file of one recovery request (record cofferRK): the one-time private key and the
 * request as it was made, so that nothing else can be opened with it. Kept 0600 on the recipient's
 * machine until it is opened. Pure.
 */
#ifndef COFFER_ESCROW_REQUEST_KEY_H
#define COFFER_ESCROW_REQUEST_KEY_H

#include "base/buf.h"
#include "base/rnd.h"
#include "crypto/pkey.h"
#include "keeper/escrow_format.h"

enum { REQUEST_KEY_FILE_MAX = 16 * 1024 }; /* bytes */

typedef struct {
    escrow_request_t request;
    uint8_t hash[ESCROW_HASH]; /* of it */
    pkey_t *key;               /* X25519 */
} request_key_t;

void request_key_done(request_key_t *key); /* takes a zeroed one */

/* 32 random bytes that are the private key, and what goes into the request. */
err_t *request_key_new(const rnd_t *rnd, secret_t **ret_private,
                       uint8_t ret_public[ESCROW_KEY]) WARN_UNUSED;
/* Appends the file; `request` is the record the server made. ERR_VERIFY: for another key. */
err_t *request_key_put(const secret_t *private, bytes_t request, buf_t *out) WARN_UNUSED;
err_t *request_key_parse(bytes_t record, request_key_t *ret_key) WARN_UNUSED;

/*
 * What the requester reads to the officers: eight letters drawn at random now that the record is
 * fixed, and twelve of a hash over both. Whoever made the record did not know the eight, so he can
 * have no second one of the same code (docs/formats/officer-files.md). Every call draws anew; all
 * codes of a request hold.
 */
enum { REQUEST_KEY_CODE = 25 };
err_t *request_key_code(const rnd_t *rnd, const escrow_request_t *request,
                        char out[REQUEST_KEY_CODE]) WARN_UNUSED;
/* ERR_VERIFY: `told` is the code of another request. Case, spaces and dashes don't matter. */
err_t *request_key_code_check(const escrow_request_t *request, bytes_t told) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(request_key_t, request_key_done)

#endif
