/*
 * See mail_ca.h. Main thread, at init and start.
 */
#include "keeper/mail_ca.h"

#include <stdio.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "keeper/keyring.h"

enum { MAIL_CA_YEARS = 10, YEAR_S = 365 * 24 * 60 * 60, PEM_MAX = 64 * 1024 };

err_t *mail_ca_make(vault_t *vault, const own_issuer_t *root, cert_t **ret_cert) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(pkey_generate(PKEY_P256, 0, &key));
    cert_spec_t spec = {
        .is_ca = true,
        .has_path_length = true,
        .path_length = 0,
        .key_usage = KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN,
        .key = key,
    };
    TRY(own_cert_issue(root, "Mail CA", (int64_t)MAIL_CA_YEARS * YEAR_S, &spec, &cert));
    TRY(own_cert_keep(vault, KEY_MAIL_CA, key, cert));
    *ret_cert = STEAL(cert);
    return NULL;
}

static err_t *make_late(vault_t *vault, const clk_t *clk, const rnd_t *rnd, cert_t **ret_cert) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *root = NULL;
    TRY(keyring_load_key(vault, KEY_ROOT, &key, &root));
    const char *organisation = cert_subject_get(root, "O");
    own_issuer_t by = {organisation ? organisation : "", root, key, clk, rnd};
    return mail_ca_make(vault, &by, ret_cert);
}

static err_t *publish(const char *dir, const cert_t *cert) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, PEM_MAX);
    TRY(file_path(dir, "public/mail-ca.pem", &path));
    if (file_exists(path)) return NULL;
    TRY(cert_pem(cert, &pem));
    return file_write(path, buf_bytes(&pem), 0644);
}

err_t *mail_ca_ensure(vault_t *vault, const char *dir, const clk_t *clk, const rnd_t *rnd,
                      cert_t **ret_made) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    err_t *e = keyring_load_key(vault, KEY_MAIL_CA, &key, &cert);
    if (e && err_code(e) != ERR_NOT_FOUND) return e;
    bool make = e != NULL;
    err_free(e);
    if (make) TRY_WRAP(make_late(vault, clk, rnd, &cert), "mail CA");
    TRY(publish(dir, cert));
    if (make) *ret_made = STEAL(cert);
    return NULL;
}

err_t *lease_key_ensure(vault_t *vault) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    err_t *e = keyring_load_key(vault, KEY_LEASE, &key, NULL);
    if (!e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    TRY(pkey_generate(PKEY_X25519, 0, &key));
    return own_cert_keep(vault, KEY_LEASE, key, NULL);
}

static void on_recorded(vault_op_t *op, err_t *e) {
    err_free(e);
    vault_op_done(op);
    mem_free(op);
}

err_t *mail_ca_record(vault_t *vault, const cert_t *cert) {
    vault_op_t *op = mem_zalloc(sizeof *op);
    if (!op) return err_nomem();
    *op = (vault_op_t){.role = "keeper", .intent = "mail-ca", .done = on_recorded};
    (void)snprintf(op->object, sizeof op->object, "%s serial=%s", KEY_MAIL_CA,
                   cert_serial_hex(cert));
    (void)snprintf(op->outcome, sizeof op->outcome, "ok");
    op->issued.issuer = KEY_ROOT;
    op->issued.profile = mem_strdup(KEY_MAIL_CA);
    op->issued.owner = mem_strdup("keeper");
    op->issued.cert = cert_share(cert);
    err_t *e = op->issued.profile && op->issued.owner ? vault_submit(vault, op) : err_nomem();
    if (e) on_recorded(op, NULL);
    return e;
}
