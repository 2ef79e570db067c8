/*
 * What ties a keybag to one device: a key that stays there, a count that never goes back, and two
 * places for a secret that a change of passcode replaces. In a TPM 2 (anchor_tpm.c), or in a file
 * (anchor_file.c), which a copy of the disk has too. All of it is durable when a call returns. One
 * thread at a time.
 */
#ifndef COFFER_KEYBAG_ANCHOR_H
#define COFFER_KEYBAG_ANCHOR_H

#include "base/rnd.h"
#include "crypto/secret.h"
#include "keybag/keybag_file.h"

typedef struct anchor anchor_t;

typedef struct {
    keybag_kind_t kind;
    /* Before a try is counted: ERR_BUSY while a guess would not even be judged. */
    err_t *(*ready)(anchor_t *anchor);
    err_t *(*uid)(anchor_t *anchor, secret_t **ret_uid); /* KEYBAG_KEY bytes */
    err_t *(*count)(anchor_t *anchor, uint64_t *ret_count);
    /* One more; *ret_count is what it became. */
    err_t *(*raise)(anchor_t *anchor, uint64_t *ret_count);
    /* Slot 0 or 1, replaced if it is there; only who brings `auth` is given it. */
    err_t *(*put)(anchor_t *anchor, unsigned slot, bytes_t auth, bytes_t secret);
    /* ERR_AUTH: another auth (where it is asked for); ERR_NOT_FOUND: was dropped; ERR_BUSY: the
     * TPM refuses guesses for now. */
    err_t *(*get)(anchor_t *anchor, unsigned slot, bytes_t auth, secret_t **ret_secret);
    err_t *(*drop)(anchor_t *anchor, unsigned slot); /* fine if it isn't there */
    err_t *(*destroy)(anchor_t *anchor);             /* everything, for good */
    void (*free)(anchor_t *anchor);
} anchor_ops_t;

struct anchor {
    const anchor_ops_t *ops;
};

void anchor_free(anchor_t *anchor); /* takes NULL */

/* A new file, 0600; ERR_EXISTS if there is one. */
err_t *anchor_file_create(const char *path, const rnd_t *rnd, anchor_t **ret_anchor) WARN_UNUSED;
err_t *anchor_file_open(const char *path, anchor_t **ret_anchor) WARN_UNUSED;

/*
 * `tcti` as tpm2-tss names it: "device:/dev/tpmrm0", "swtpm:path=/run/x"; NULL: its default. Uses
 * four indices of the owner's NV space from *ret_place on. Library `keybag_tpm`.
 */
err_t *anchor_tpm_create(const char *tcti, const rnd_t *rnd, uint32_t *ret_place,
                         anchor_t **ret_anchor) WARN_UNUSED;
err_t *anchor_tpm_open(const char *tcti, uint32_t place, anchor_t **ret_anchor) WARN_UNUSED;

DEFINE_CLEANUP(anchor_t, anchor_free)

#endif
