/*
 * LUKS2 volumes through the program cryptsetup: recovery key slots, and tokens in the header that
 * say which escrow object a slot's key is. On the machine that has the disk; as root for devices,
 * for container files anybody who may write them.
 */
#ifndef COFFER_PROGRAM_COFFER_LUKS_H
#define COFFER_PROGRAM_COFFER_LUKS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/rnd.h"
#include "keeper/escrow_format.h"

enum {
    LUKS_SLOTS = 32,    /* of LUKS2 */
    LUKS_KEY_TEXT = 71, /* characters of a recovery key */
    LUKS_UUID = 40,
};

/* A slot whose key is in escrow. */
typedef struct {
    unsigned token, slot;
    char object[ESCROW_ID_TEXT];
    uint64_t version;
} luks_token_t;

typedef struct {
    char uuid[LUKS_UUID + 1];
    bool slots[LUKS_SLOTS]; /* in use */
    luks_token_t tokens[LUKS_SLOTS];
    size_t tokens_n;
} luks_t;

/* The JSON area of a header: slots and tokens. Whoever may write the disk wrote it. */
err_t *luks_parse(bytes_t header, luks_t *ret_luks) WARN_UNUSED;
/* ERR_NOT_FOUND: no cryptsetup; ERR_INVALID: no LUKS2 volume. */
err_t *luks_read(const char *device, luks_t *ret_luks) WARN_UNUSED;
/* ERR_LIMIT if all are in use. */
err_t *luks_free_slot(const luks_t *luks, unsigned *ret_slot) WARN_UNUSED;

/*
 * 256 random bits in eight groups of eight letters that lie at the same place on most keyboards
 * (modhex, as systemd-cryptenroll's recovery keys).
 */
err_t *luks_key_make(const rnd_t *rnd, buf_t *ret_key) WARN_UNUSED;

/* Adds `key` in a slot that is free; `existing` opens the volume. ERR_DENIED if it does not. */
err_t *luks_add(const char *device, bytes_t existing, unsigned slot, bytes_t key) WARN_UNUSED;
/* Whether the key opens this very slot: ERR_VERIFY. */
err_t *luks_test(const char *device, unsigned slot, bytes_t key) WARN_UNUSED;
/* Destroys a slot; `other` opens another one. */
err_t *luks_kill(const char *device, unsigned slot, bytes_t other) WARN_UNUSED;
/* Writes, and removes, what says which object a slot's key is. */
err_t *luks_token_put(const char *device, unsigned slot, const char *object,
                      uint64_t version) WARN_UNUSED;
err_t *luks_token_remove(const char *device, unsigned token) WARN_UNUSED;

#endif
