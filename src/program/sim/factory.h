/*
 * The factory: a test CA that signs the certificates simulated devices are born with, as the
 * "Apple iPhone Device CA" does. Trusted by an instance only if its configuration says so.
 */
#ifndef COFFER_SIM_FACTORY_H
#define COFFER_SIM_FACTORY_H

#include "base/rnd.h"
#include "crypto/cert.h"

typedef struct {
    pkey_t *key;
    cert_t *cert;
} credential_t; /* a key with its certificate */
void credential_done(credential_t *credential);

/* The key (0600) and the certificate (0644), each file replaced atomically. */
err_t *credential_write(const credential_t *credential, const char *key_path,
                        const char *cert_path) WARN_UNUSED;
/* The same as DIR/NAME.key.pem and DIR/NAME.cert.pem. */
err_t *credential_save(const credential_t *credential, const char *dir,
                       const char *name) WARN_UNUSED;
/* ERR_NOT_FOUND if they are not there; ERR_INVALID if they do not belong together. */
err_t *credential_load(const char *dir, const char *name, credential_t *ret_credential) WARN_UNUSED;

/* What a certificate of a test PKI shall be; `issuer` NULL: self-signed. */
typedef struct {
    const name_entry_t *subject;
    size_t subject_n;
    const san_entry_t *sans;
    size_t sans_n;
    bool is_ca;
    unsigned key_usage;
    const char *eku; /* or NULL */
    int64_t days;
} credential_spec_t;

/* A fresh key of `kind` (RSA: 2048 bits) with a certificate. */
err_t *credential_make(const credential_spec_t *spec, pkey_kind_t kind, const credential_t *issuer,
                       int64_t now, const rnd_t *rnd, credential_t *ret_credential) WARN_UNUSED;

/* "Coffer Simulator Device CA", RSA-2048. */
err_t *factory_ca_make(int64_t now, const rnd_t *rnd, credential_t *ret_ca) WARN_UNUSED;
/* Loads DIR/factory-ca.*, making it first if it is not there. */
err_t *factory_ca_open(const char *dir, int64_t now, const rnd_t *rnd, bool *ret_made,
                       credential_t *ret_ca) WARN_UNUSED;
/* What a device leaves the factory with: CN is its UDID. */
err_t *factory_device_make(const credential_t *ca, const char *udid, int64_t now, const rnd_t *rnd,
                           credential_t *ret_device) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(credential_t, credential_done)

#endif
