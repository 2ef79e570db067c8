/*
 * The files of a new instance that the keeper makes, and their all-or-nothing: everything is made
 * beside its place, and `vault` appears last, by one rename.
 */
#ifndef COFFER_KEEPER_INIT_FILES_H
#define COFFER_KEEPER_INIT_FILES_H

#include "crypto/cert.h"
#include "crypto/pkey.h"

typedef struct {
    char *dir;
    char *vault_new; /* where the vault is made */
    bool began;
} init_files_t;

typedef struct {
    const cert_t *root, *device_ca, *mail_ca, *tls;
    const pkey_t *audit, *tls_key;
} init_parts_t;

/*
 * Clears what an interrupted attempt left and makes vault.new. ERR_EXISTS if the instance has a
 * vault, or a TLS key that is none of such an attempt's.
 */
err_t *init_files_begin(const char *dir, init_files_t *ret_files) WARN_UNUSED;
/* tls/key.pem, tls/cert.pem, public/root.pem, public/device-ca.pem, public/mail-ca.pem,
 * public/audit-key.pem. */
err_t *init_files_write(const init_files_t *files, const init_parts_t *parts) WARN_UNUSED;
/* The rename that makes it all real. */
err_t *init_files_commit(const init_files_t *files) WARN_UNUSED;
/* Removes what was made, as far as that works. */
void init_files_undo(const init_files_t *files);
void init_files_done(init_files_t *files);

DEFINE_CLEANUP_VALUE(init_files_t, init_files_done)

#endif
