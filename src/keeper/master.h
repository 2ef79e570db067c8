/*
 * Where the vault's master key comes from. Everything in the vault is wrapped under keys derived
 * from it, so it is the one secret that lies outside. Used at start only, on the main thread.
 */
#ifndef COFFER_KEEPER_MASTER_H
#define COFFER_KEEPER_MASTER_H

#include "base/err.h"
#include "base/rnd.h"
#include "crypto/secret.h"

enum { MASTER_KEY_SIZE = 32 }; /* bytes */

/* The numbers are written nowhere; a provider is chosen by name in the configuration. */
typedef enum {
    MASTER_FILE,       /* vault/master.key, mode 0600 */
    MASTER_PASSPHRASE, /* typed at start */
    MASTER_TPM2,       /* sealed to this machine's state */
    MASTER_PKCS11,     /* in a hardware module */
} master_kind_t;

/* One way to keep the master key. */
typedef struct {
    master_kind_t kind;
    const char *name; /* in the configuration */
    /* Makes a new one inside vault_dir. ERR_EXISTS if there is one. */
    err_t *(*create)(const char *vault_dir, const rnd_t *rnd, secret_t **ret_key);
    err_t *(*load)(const char *vault_dir, secret_t **ret_key);
} master_provider_t;

/* NULL if this build has no such provider; static. */
const master_provider_t *master_provider(const char *name);

#endif
