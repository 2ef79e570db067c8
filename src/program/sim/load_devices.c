/*
 * The many devices of coffer-sim load: see load_devices.h. Main thread.
 */
#include "program/sim/load_devices.h"

#include <stdio.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum { KEY_FILE = 8 * 1024 * 1024, CERT_FILE = 512 * 1024 * 1024, HEADER_BYTES = 32 * 1024 };

static const char END_MARK[] = "-----END ";

void load_devices_done(load_devices_t *d) {
    for (size_t i = 0; d->keys && i < d->keys_n; i++) pkey_free(d->keys[i]);
    for (size_t i = 0; d->signers && i < d->n; i++) cms_signer_free(d->signers[i]);
    mem_free(d->keys);
    mem_free(d->signers);
    mem_free(d->dir);
    *d = (load_devices_t){0};
}

/* Takes the next PEM block off *rest; false at the end. */
static bool next_pem(bytes_t *rest, bytes_t *ret_block) {
    const uint8_t *end = rest->n ? memmem(rest->p, rest->n, END_MARK, sizeof END_MARK - 1) : NULL;
    if (!end) return false;
    size_t at = (size_t)(end - rest->p);
    size_t line = at + bytes_find(bytes_from(*rest, at), '\n');
    size_t n = line < rest->n ? line + 1 : rest->n;
    *ret_block = bytes_slice(*rest, 0, n);
    *rest = bytes_from(*rest, n);
    return true;
}

static err_t *make_keys(load_devices_t *d, size_t n, const char *path) {
    CLEANUP(buf_done) buf_t pem;
    buf_init_secret(&pem, KEY_FILE);
    for (d->keys_n = 0; d->keys_n < n; d->keys_n++) {
        TRY(pkey_generate(PKEY_RSA, LIMIT_RSA_BITS_MIN, &d->keys[d->keys_n]));
        TRY(pkey_private_pem(d->keys[d->keys_n], &pem));
    }
    return file_write(path, buf_bytes(&pem), 0600);
}

static err_t *read_keys(load_devices_t *d, const char *path) {
    CLEANUP(buf_done) buf_t pem;
    bytes_t block;
    buf_init_secret(&pem, KEY_FILE);
    TRY(file_read(path, &pem));
    bytes_t rest = buf_bytes(&pem);
    while (d->keys_n < LOAD_KEYS_MAX && next_pem(&rest, &block)) {
        TRY_WRAP(pkey_parse_private_pem(block, &d->keys[d->keys_n]), "%s", path);
        d->keys_n++;
    }
    return d->keys_n ? NULL : err_new(ERR_INVALID, "%s has no keys", path);
}

err_t *load_devices_open(const char *dir, size_t keys, load_devices_t *ret_devices) {
    CLEANUP(load_devices_done) load_devices_t d = {0};
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_mkdir(dir, 0700));
    TRY(file_path(dir, "keys.pem", &path));
    d.dir = mem_strdup(dir);
    d.keys = mem_array(LOAD_KEYS_MAX, sizeof(pkey_t *));
    if (!d.dir || !d.keys) return err_nomem();
    if (file_exists(path)) TRY(read_keys(&d, path));
    else TRY(make_keys(&d, keys, path));
    *ret_devices = d;
    d = (load_devices_t){0};
    return NULL;
}

err_t *load_devices_certified(load_devices_t *d, size_t n) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t pem;
    bytes_t block;
    buf_init(&pem, CERT_FILE);
    TRY(file_path(d->dir, "devices.pem", &path));
    TRY_WRAP(file_read(path, &pem), "no devices yet: coffer-sim load scep");
    d->signers = mem_array(n, sizeof(cms_signer_t *));
    if (!d->signers) return err_nomem();
    bytes_t rest = buf_bytes(&pem);
    while (d->n < n && next_pem(&rest, &block)) {
        CLEANUP(cert_free) cert_t *cert = NULL;
        TRY_WRAP(cert_parse_pem(block, &cert), "%s", path);
        TRY(cms_signer_new(cert, load_devices_key(d, d->n), NULL, &d->signers[d->n]));
        d->n++;
    }
    if (d->n == n) return NULL;
    return err_new(ERR_NOT_FOUND, "%s has %zu devices, not %zu: coffer-sim load scep", path, d->n,
                   n);
}

pkey_t *load_devices_key(const load_devices_t *d, size_t index) {
    return d->keys[index % d->keys_n];
}

err_t *load_devices_save(const load_devices_t *d, const cert_list_t *certs) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, CERT_FILE);
    TRY(file_path(d->dir, "devices.pem", &path));
    for (size_t i = 0; i < certs->n; i++) TRY(cert_pem(certs->certs[i], &pem));
    return file_write(path, buf_bytes(&pem), 0600);
}

void load_devices_udid(size_t index, char out[LOAD_UDID]) {
    (void)snprintf(out, LOAD_UDID, "00008130-%016zX", index + 1);
}

err_t *load_devices_sign(const load_devices_t *d, size_t index, bytes_t body, char **ret_header) {
    CLEANUP(buf_done) buf_t der;
    CLEANUP(buf_done) buf_t header;
    buf_init(&der, HEADER_BYTES);
    buf_init(&header, HEADER_BYTES);
    const cms_sign_options_t options = {.detached = true};
    TRY(cms_sign(d->signers[index], body, &options, &der));
    TRY(buf_add_str(&header, "Mdm-Signature: "));
    TRY(text_base64(buf_bytes(&der), &header));
    return buf_steal_str(&header, ret_header);
}
