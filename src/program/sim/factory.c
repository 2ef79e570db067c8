/*
 * The factory and its files: see factory.h. Main thread.
 */
#include "program/sim/factory.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

enum { FACTORY_DAYS = 3650, BACKDATE_S = 3600, DAY_S = 86400, PEM_MAX = 64 * 1024 };

void credential_done(credential_t *credential) {
    pkey_free(credential->key);
    cert_free(credential->cert);
    *credential = (credential_t){0};
}

static err_t *paths(const char *dir, const char *name, char **ret_key, char **ret_cert) {
    CLEANUP(mem_free) char *key = mem_printf("%s/%s.key.pem", dir, name);
    CLEANUP(mem_free) char *cert = mem_printf("%s/%s.cert.pem", dir, name);
    if (!key || !cert) return err_nomem();
    *ret_key = STEAL(key);
    *ret_cert = STEAL(cert);
    return NULL;
}

err_t *credential_write(const credential_t *credential, const char *key_path,
                        const char *cert_path) {
    CLEANUP(buf_done) buf_t key;
    CLEANUP(buf_done) buf_t cert;
    buf_init_secret(&key, PEM_MAX);
    buf_init(&cert, PEM_MAX * (size_t)2);
    TRY(pkey_private_pem(credential->key, &key));
    TRY(cert_pem(credential->cert, &cert));
    TRY(file_write(key_path, buf_bytes(&key), 0600));
    return file_write(cert_path, buf_bytes(&cert), 0644);
}

err_t *credential_save(const credential_t *credential, const char *dir, const char *name) {
    CLEANUP(mem_free) char *key_path = NULL;
    CLEANUP(mem_free) char *cert_path = NULL;
    TRY(paths(dir, name, &key_path, &cert_path));
    return credential_write(credential, key_path, cert_path);
}

err_t *credential_load(const char *dir, const char *name, credential_t *ret_credential) {
    CLEANUP(credential_done) credential_t c = {0};
    CLEANUP(mem_free) char *key_path = NULL;
    CLEANUP(mem_free) char *cert_path = NULL;
    CLEANUP(buf_done) buf_t key;
    CLEANUP(buf_done) buf_t cert;
    buf_init_secret(&key, PEM_MAX);
    buf_init(&cert, PEM_MAX * (size_t)2);
    TRY(paths(dir, name, &key_path, &cert_path));
    TRY(file_read(key_path, &key));
    TRY(file_read(cert_path, &cert));
    TRY_WRAP(pkey_parse_private_pem(buf_bytes(&key), &c.key), "%s", key_path);
    TRY_WRAP(cert_parse_pem(buf_bytes(&cert), &c.cert), "%s", cert_path);
    if (!pkey_same_public(c.key, cert_key(c.cert)))
        return err_new(ERR_INVALID, "%s and %s do not belong together", key_path, cert_path);
    *ret_credential = c;
    c = (credential_t){0};
    return NULL;
}

err_t *credential_make(const credential_spec_t *spec, pkey_kind_t kind, const credential_t *issuer,
                       int64_t now, const rnd_t *rnd, credential_t *ret_credential) {
    CLEANUP(credential_done) credential_t c = {0};
    uint8_t serial[CERT_SERIAL_SIZE];
    TRY(cert_serial_random(rnd, serial));
    TRY(pkey_generate(kind, kind == PKEY_RSA ? LIMIT_RSA_BITS_MIN : 0, &c.key));
    cert_spec_t cert = {.subject = spec->subject,
                        .subject_n = spec->subject_n,
                        .sans = spec->sans,
                        .sans_n = spec->sans_n,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = now - BACKDATE_S,
                        .not_after = now + spec->days * DAY_S,
                        .is_ca = spec->is_ca,
                        .key_usage = spec->key_usage,
                        .ekus = spec->eku ? &spec->eku : NULL,
                        .ekus_n = spec->eku ? 1 : 0,
                        .key = c.key};
    TRY(cert_issue(&cert, issuer ? issuer->cert : NULL, issuer ? issuer->key : c.key, &c.cert));
    *ret_credential = c;
    c = (credential_t){0};
    return NULL;
}

err_t *factory_ca_make(int64_t now, const rnd_t *rnd, credential_t *ret_ca) {
    static const name_entry_t subject[] = {{"O", "Coffer"}, {"CN", "Coffer Simulator Device CA"}};
    const credential_spec_t spec = {.subject = subject,
                                    .subject_n = 2,
                                    .is_ca = true,
                                    .key_usage = KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN,
                                    .days = FACTORY_DAYS};
    return credential_make(&spec, PKEY_RSA, NULL, now, rnd, ret_ca);
}

err_t *factory_ca_open(const char *dir, int64_t now, const rnd_t *rnd, bool *ret_made,
                       credential_t *ret_ca) {
    CLEANUP(credential_done) credential_t ca = {0};
    TRY(file_mkdir(dir, 0700));
    err_t *e = credential_load(dir, "factory-ca", &ca);
    *ret_made = e && err_code(e) == ERR_NOT_FOUND;
    if (*ret_made) {
        err_free(e);
        TRY(factory_ca_make(now, rnd, &ca));
        TRY(credential_save(&ca, dir, "factory-ca"));
    } else if (e) {
        return e;
    }
    *ret_ca = ca;
    ca = (credential_t){0};
    return NULL;
}

err_t *factory_device_make(const credential_t *ca, const char *udid, int64_t now, const rnd_t *rnd,
                           credential_t *ret_device) {
    const name_entry_t subject[] = {{"OU", "iPhone"}, {"CN", udid}};
    const credential_spec_t spec = {.subject = subject,
                                    .subject_n = 2,
                                    .key_usage =
                                        KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT,
                                    .days = FACTORY_DAYS};
    return credential_make(&spec, PKEY_RSA, ca, now, rnd, ret_device);
}
