/*
 * Keys and certificates of `coffer mail`: see mail_keys.h.
 */
#include "program/coffer/mail_keys.h"
#include "base/file.h"
#include "base/mem.h"
#include "crypto/p12.h"
#include "program/coffer/prompt.h"

enum { FILE_MAX = 1024 * 1024 };

static bool is_pem(bytes_t data) {
    const bytes_t begin = BYTES_LIT("-----BEGIN ");
    for (size_t at = 0; at + begin.n <= data.n; at++)
        if (bytes_starts(bytes_from(data, at), begin)) return true;
    return false;
}

static err_t *add(mail_keys_t *keys, pkey_t *key, cert_t *cert) {
    size_t n = keys->n;
    if (!pkey_same_public(cert_key(cert), key))
        return err_new(ERR_USAGE, "the first certificate is not the key's");
    keys->keys[n] = pkey_share(key);
    keys->certs[n] = cert_share(cert);
    keys->n++;
    return NULL;
}

static err_t *read_pem(mail_keys_t *keys, bytes_t pem) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    cert_list_t certs CLEANUP(cert_list_done) = {0};
    TRY(pkey_parse_private_pem(pem, &key));
    TRY(cert_parse_pem_list(pem, &certs));
    for (size_t i = 1; i < certs.n; i++) TRY(cert_list_add(&keys->chain, certs.certs[i]));
    return add(keys, key, certs.certs[0]);
}

static err_t *read_p12(mail_keys_t *keys, bytes_t der, bytes_t password) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(p12_read(der, password, &key, &cert, &keys->chain));
    return add(keys, key, cert);
}

/* The passphrase of all the PKCS#12 files, read once: "-" is there only once. */
static err_t *read_passphrase(const args_t *args, buf_t *password) {
    const char *file = args_value(args, "passphrase-file");
    if (!file)
        return err_new(ERR_USAGE, "the key is in a PKCS#12 file: give --passphrase-file FILE");
    return password->n ? NULL : prompt_secret_file(file, password);
}

err_t *mail_keys_read(const args_t *args, mail_keys_t *keys) {
    size_t cursor = 0;
    CLEANUP(buf_done) buf_t password;
    buf_init_secret(&password, P12_PASSWORD_MAX);
    for (const char *path; (path = args_each(args, "key", &cursor));) {
        CLEANUP(buf_done) buf_t data;
        buf_init_secret(&data, FILE_MAX);
        if (keys->n == MAIL_KEYS_MAX) return err_new(ERR_LIMIT, "more than %d keys", MAIL_KEYS_MAX);
        TRY(file_read(path, &data));
        bytes_t bytes = buf_bytes(&data);
        bool pem = is_pem(bytes);
        if (!pem) TRY_WRAP(read_passphrase(args, &password), "%s", path);
        TRY_WRAP(pem ? read_pem(keys, bytes) : read_p12(keys, bytes, buf_bytes(&password)), "%s",
                 path);
    }
    return NULL;
}

void mail_keys_done(mail_keys_t *keys) {
    for (size_t i = 0; i < keys->n; i++) {
        cert_free(keys->certs[i]);
        pkey_free(keys->keys[i]);
    }
    cert_list_done(&keys->chain);
    *keys = (mail_keys_t){0};
}

err_t *mail_keys_find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                      const pkey_t **ret_key, bool *ret_found) {
    const mail_keys_t *keys = arg;
    for (size_t i = 0; i < keys->n && !*ret_found; i++) {
        if (!cms_recipient_is(recipient, keys->certs[i])) continue;
        *ret_cert = keys->certs[i];
        *ret_key = keys->keys[i];
        *ret_found = true;
    }
    return NULL;
}

err_t *mail_cert_file_read(const char *path, cert_list_t *list) {
    CLEANUP(buf_done) buf_t data;
    CLEANUP(cert_free) cert_t *cert = NULL;
    buf_init(&data, FILE_MAX);
    TRY(file_read(path, &data));
    if (is_pem(buf_bytes(&data))) {
        TRY_WRAP(cert_parse_pem_list(buf_bytes(&data), list), "%s", path);
        return NULL;
    }
    TRY_WRAP(cert_parse_der(buf_bytes(&data), &cert), "%s", path);
    return cert_list_add(list, cert);
}

err_t *mail_certs_read(const args_t *args, const char *option, cert_list_t *list) {
    size_t cursor = 0;
    for (const char *path; (path = args_each(args, option, &cursor));)
        TRY(mail_cert_file_read(path, list));
    return NULL;
}
