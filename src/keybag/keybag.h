/*
 * A software keybag after Apple's data protection: four classes of keys, of which a passcode and
 * this device together give out some at some times. docs/formats/keybag.md has the bytes.
 *
 *   class  usable                        for
 *   A      while unlocked                the mailbox's key-encryption key
 *   B      sealing always, opening       mail that arrives while locked (X25519, one DH an item)
 *          while unlocked
 *   C      from the first unlock on      what the agent needs to fetch mail
 *   D      always                        nothing that matters if the device is stolen
 *
 * Ten wrong passcodes destroy it. Each try is counted, durably, before it is judged; the count is
 * the anchor's and never goes back. One thread at a time.
 */
#ifndef COFFER_KEYBAG_KEYBAG_H
#define COFFER_KEYBAG_KEYBAG_H

#include "base/buf.h"
#include "base/clk.h"
#include "keybag/anchor.h"

typedef enum { KEYBAG_A, KEYBAG_B, KEYBAG_C, KEYBAG_D } keybag_class_t;

enum {
    KEYBAG_TRIES = 10,
    KEYBAG_LOCK_MS = 10 * 1000, /* between locking and the wiping of class A */
    KEYBAG_CONTEXT_MAX = 512,   /* bytes of what a sealed item is bound to */
};

typedef struct {
    const clk_t *clk; /* monotonic time since the start of the system; borrowed */
    const rnd_t *rnd; /* borrowed */
    uint8_t boot[16]; /* this start of the system: see keybag_boot */
} keybag_env_t;

/* The kernel's id of this start, for keybag_env_t. */
err_t *keybag_boot(uint8_t ret_boot[16]) WARN_UNUSED;

typedef struct keybag keybag_t;

/* ERR_USAGE for a passcode of less than LIMIT_PASSCODE_MIN bytes. */
err_t *keybag_check_passcode(bytes_t passcode) WARN_UNUSED;
/* A new one at `path`. ERR_EXISTS if there is one; ERR_USAGE as keybag_check_passcode. Unlocked.
 * Takes over the anchor, which is new too; on failure it is destroyed. `place`: a TPM's. */
err_t *keybag_create(const keybag_env_t *env, const char *path, anchor_t *anchor, uint32_t place,
                     bytes_t passcode, const password_cost_t *cost, keybag_t **ret_bag) WARN_UNUSED;
/* What anchor it needs. */
err_t *keybag_peek(const char *path, keybag_kind_t *ret_kind, uint32_t *ret_place) WARN_UNUSED;
/* Locked. Takes over the anchor, also on failure. ERR_VERIFY: changed, or another device's. */
err_t *keybag_open(const keybag_env_t *env, const char *path, anchor_t *anchor,
                   keybag_t **ret_bag) WARN_UNUSED;
void keybag_free(keybag_t *bag); /* wipes; takes NULL */

/*
 * ERR_AUTH: wrong, the text says how many tries are left. ERR_BUSY: too early, the text says how
 * many seconds; nothing was counted. ERR_DENIED: destroyed, now or before.
 */
err_t *keybag_unlock(keybag_t *bag, bytes_t passcode) WARN_UNUSED;
/* A try with the old passcode, then a new generation. An older copy of the file opens nothing. */
err_t *keybag_change(keybag_t *bag, bytes_t old_passcode, bytes_t new_passcode) WARN_UNUSED;
/* Wipes classes A and B after `after_ms`, or at once for 0. Unlocking meanwhile calls it off. */
void keybag_lock(keybag_t *bag, int64_t after_ms);
/* To be called when keybag_due has passed; wipes what is to be wiped. True: it did now. */
bool keybag_tick(keybag_t *bag);
/* Milliseconds until keybag_tick has something to do; -1: nothing is planned. */
int64_t keybag_due(const keybag_t *bag);
/* Destroys the anchor's part, then the files. No copy of the files opens again. */
err_t *keybag_destroy(keybag_t *bag) WARN_UNUSED;

typedef struct {
    bool unlocked;  /* classes A and B are there */
    bool locking;   /* until the timer has passed */
    bool first;     /* class C is there */
    bool destroyed; /* nothing ever will be */
    unsigned tries_left;
    int64_t wait_ms; /* until the next try is taken */
    uint64_t generation;
    keybag_kind_t kind;
} keybag_state_t;
err_t *keybag_state(keybag_t *bag, keybag_state_t *ret_state) WARN_UNUSED;

/*
 * Seals to a class, bound to `context` (a C string that names what it is and where it belongs).
 * ERR_DENIED while the class is out of reach.
 */
err_t *keybag_seal(const keybag_t *bag, keybag_class_t cls, const char *context, bytes_t plain,
                   buf_t *out) WARN_UNUSED;
/* Appends the plaintext; give a buf_init_secret buffer. ERR_DENIED, ERR_VERIFY. */
err_t *keybag_unseal(const keybag_t *bag, keybag_class_t cls, const char *context, bytes_t sealed,
                     buf_t *out) WARN_UNUSED;

DEFINE_CLEANUP(keybag_t, keybag_free)

#endif
