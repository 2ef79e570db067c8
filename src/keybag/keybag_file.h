/*
 * The bytes of a keybag, frozen in docs/formats/keybag.md. Pure: no I/O, no state.
 */
#ifndef COFFER_KEYBAG_KEYBAG_FILE_H
#define COFFER_KEYBAG_KEYBAG_FILE_H

#include "base/buf.h"
#include "crypto/aead.h"
#include "crypto/password.h"
#include "crypto/secret.h"

enum {
    KEYBAG_ID = 16,
    KEYBAG_KEY = 32,
    KEYBAG_WRAPPED = KEYBAG_KEY + AEAD_OVERHEAD,
    KEYBAG_MAC = 32,
    KEYBAG_CLASSES = 4,
    /* magic, kind, slot, id, generation, base, passes, memory, salt, place, B's public key, wrapped
     * keys, MAC */
    KEYBAG_FILE = 8 + 1 + 1 + KEYBAG_ID + 8 + 8 + 4 + 4 + PASSWORD_SALT_SIZE + 4 + KEYBAG_KEY +
                  KEYBAG_CLASSES * KEYBAG_WRAPPED + KEYBAG_MAC,
};

/* Where the device's part lies. */
typedef enum {
    KEYBAG_TPM = 1,  /* in a TPM 2 */
    KEYBAG_DISK = 2, /* in a file beside it: weaker, a copy of the disk has both */
} keybag_kind_t;
const char *keybag_kind_name(keybag_kind_t kind);

typedef struct {
    keybag_kind_t kind;
    uint8_t slot; /* which of the anchor's two secrets is in use: 0 or 1 */
    uint8_t id[KEYBAG_ID];
    uint64_t generation; /* from 1; one more with each change of the passcode */
    uint64_t base;       /* the anchor's count when a passcode was last right */
    password_cost_t cost;
    uint8_t salt[PASSWORD_SALT_SIZE];
    uint32_t place;                                  /* of a TPM: its first index; else 0 */
    uint8_t b_public[KEYBAG_KEY];                    /* X25519 */
    uint8_t wrapped[KEYBAG_CLASSES][KEYBAG_WRAPPED]; /* A, B, C, D */
} keybag_file_t;

/* Appends the file with its MAC under `uid`, the anchor's key. */
err_t *keybag_file_write(const keybag_file_t *file, const secret_t *uid, buf_t *out) WARN_UNUSED;
/* What it says, before anything is known to be true: for finding the anchor. ERR_INVALID. */
err_t *keybag_file_parse(bytes_t data, keybag_file_t *ret_file) WARN_UNUSED;
/* ERR_VERIFY if it isn't whole, or another anchor's. */
err_t *keybag_file_check(bytes_t data, const secret_t *uid) WARN_UNUSED;

/* AAD of a class's wrapped key: bound to this bag, class and, but for D, generation. */
err_t *keybag_class_aad(const keybag_file_t *file, unsigned cls, buf_t *out) WARN_UNUSED;
/* The key that wraps A, B and C, from a passcode's Argon2id and the anchor's parts. */
err_t *keybag_passcode_key(const keybag_file_t *file, const secret_t *uid, const secret_t *argon,
                           const secret_t *slot, secret_t **ret_key) WARN_UNUSED;
/* What the anchor's secret asks for: from the passcode, says nothing of the key above. */
err_t *keybag_slot_auth(const keybag_file_t *file, const secret_t *uid, const secret_t *argon,
                        secret_t **ret_auth) WARN_UNUSED;
/* The key that wraps D: from the anchor alone. */
err_t *keybag_device_key(const keybag_file_t *file, const secret_t *uid,
                         secret_t **ret_key) WARN_UNUSED;

#endif
