/*
 * The keys and certificates that `coffer mail` is given in files: PKCS#12 or PEM.
 */
#ifndef COFFER_PROGRAM_COFFER_MAIL_KEYS_H
#define COFFER_PROGRAM_COFFER_MAIL_KEYS_H

#include "crypto/cert.h"
#include "crypto/cms_open.h"
#include "program/coffer/cli.h"

enum { MAIL_KEYS_MAX = 64 };

typedef struct {
    cert_t *certs[MAIL_KEYS_MAX];
    pkey_t *keys[MAIL_KEYS_MAX];
    size_t n;
    cert_list_t chain; /* further certificates of the files */
} mail_keys_t;

/* Every --key FILE; PKCS#12's passphrase from --passphrase-file. */
err_t *mail_keys_read(const args_t *args, mail_keys_t *keys) WARN_UNUSED;
void mail_keys_done(mail_keys_t *keys);
/* As cms_open_handler_t's find; arg is the mail_keys_t. */
err_t *mail_keys_find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                      const pkey_t **ret_key, bool *ret_found) WARN_UNUSED;
/* Every certificate of a PEM file, or the one of a DER file; appended. */
err_t *mail_cert_file_read(const char *path, cert_list_t *list) WARN_UNUSED;
/* Certificates of the files that the option names, PEM or DER. */
err_t *mail_certs_read(const args_t *args, const char *option, cert_list_t *list) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(mail_keys_t, mail_keys_done)

#endif
