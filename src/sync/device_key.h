/*
 * A device's own keys and the file that holds them, record cofferYK: three private keys, in clear
 * for a file that only its owner may read (0600), or under a passphrase (Argon2id, AES-256-GCM).
 * On the device alone. One thread at a time.
 */
#ifndef COFFER_SYNC_DEVICE_KEY_H
#define COFFER_SYNC_DEVICE_KEY_H

#include "base/rnd.h"
#include "crypto/password.h"
#include "crypto/pkey.h"
#include "crypto/secret.h"
#include "sync/card.h"

typedef struct {
    sync_card_t card;
    uint8_t id[SYNC_HASH];
    secret_t *raw; /* the three private keys: log-in, content, seal */
    pkey_t *login, *content, *seal;
} sync_device_key_t;

void sync_device_key_done(sync_device_key_t *key); /* takes a zeroed one */

/* New keys with a signed card. */
err_t *sync_device_key_make(const rnd_t *rnd, const char *name, const char *person, int64_t now,
                            sync_device_key_t *ret_key) WARN_UNUSED;
/* Appends the file. No passphrase: the keys stand there in clear; else LIMIT_PASSWORD_MIN bytes. */
err_t *sync_device_key_write(const sync_device_key_t *key, const rnd_t *rnd, bytes_t passphrase,
                             const password_cost_t *cost, buf_t *out) WARN_UNUSED;
/* Whether the file asks for a passphrase. */
err_t *sync_device_key_sealed(bytes_t record, bool *ret_sealed) WARN_UNUSED;
/*
 * A wrong passphrase and a damaged file are the same ERR_VERIFY. ERR_INVALID if it is no such
 * file, ERR_LIMIT for one that asks for absurd work.
 */
err_t *sync_device_key_open(bytes_t record, bytes_t passphrase,
                            sync_device_key_t *ret_key) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(sync_device_key_t, sync_device_key_done)

#endif
