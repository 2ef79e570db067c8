/*
 * Files of a new instance: see init_files.h. Blocking; one thread.
 */
#include "keeper/init_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum { PEM_MAX = 64 * 1024, PEM_LINE = 64 }; /* bytes; RFC 7468 section 2 */

static const char *const vault_files[] = {
    "vault.db", "vault.db-wal", "vault.db-shm",   "vault.db-journal",
    "lock",     "master.key",   "master.key.new",
};
static const char *const public_files[] = {
    "tls/key.pem",          "tls/cert.pem",       "public/root.pem",
    "public/device-ca.pem", "public/mail-ca.pem", "public/audit-key.pem",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void remove_files(const char *dir, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        err_ignore(file_path(dir, names[i], &path));
        if (path) (void)unlink(path);
        mem_free(path);
    }
}

static err_t *sync_directory(const char *path) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    if (fault_io() || fsync(fd) != 0) return err_errno(errno, "cannot sync %s", path);
    return NULL;
}

static err_t *check_absent(const char *dir, const char *name) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(dir, name, &path));
    return file_exists(path) ? err_new(ERR_EXISTS, "%s exists already", path) : NULL;
}

err_t *init_files_begin(const char *dir, init_files_t *ret_files) {
    CLEANUP(init_files_done) init_files_t files = {.dir = mem_strdup(dir)};
    if (!files.dir) return err_nomem();
    TRY(check_absent(dir, "vault"));
    TRY(file_path(dir, "vault.new", &files.vault_new));
    if (file_exists(files.vault_new))
        remove_files(files.vault_new, vault_files, COUNT(vault_files));
    else TRY(check_absent(dir, "tls/key.pem"));
    TRY(file_mkdir(files.vault_new, 0700));
    if (chmod(files.vault_new, 0700) != 0)
        return err_errno(errno, "cannot set the mode of %s", files.vault_new);
    files.began = true;
    *ret_files = files;
    files = (init_files_t){0};
    return NULL;
}

void init_files_done(init_files_t *files) {
    mem_free(files->dir);
    mem_free(files->vault_new);
    *files = (init_files_t){0};
}

static err_t *write_one(const init_files_t *files, const char *name, const buf_t *content,
                        mode_t mode) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(files->dir, name, &path));
    return file_write(path, buf_bytes(content), mode);
}

static err_t *write_cert(const init_files_t *files, const char *name, const cert_t *cert,
                         const cert_t *issuer) {
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, PEM_MAX);
    TRY(cert_pem(cert, &pem));
    if (issuer) TRY(cert_pem(issuer, &pem));
    return write_one(files, name, &pem, 0644);
}

static err_t *write_public_key(const init_files_t *files, const char *name, const pkey_t *key) {
    CLEANUP(buf_done) buf_t der, text, pem;
    buf_init(&der, PEM_MAX);
    buf_init(&text, PEM_MAX);
    buf_init(&pem, PEM_MAX);
    TRY(pkey_public_der(key, &der));
    TRY(text_base64(buf_bytes(&der), &text));
    TRY(buf_add_str(&pem, "-----BEGIN PUBLIC KEY-----\n"));
    for (size_t at = 0; at < text.n; at += PEM_LINE) {
        TRY(buf_add(&pem, bytes_slice(buf_bytes(&text), at, PEM_LINE)));
        TRY(buf_add_byte(&pem, '\n'));
    }
    TRY(buf_add_str(&pem, "-----END PUBLIC KEY-----\n"));
    return write_one(files, name, &pem, 0644);
}

static err_t *write_private_key(const init_files_t *files, const char *name, const pkey_t *key) {
    CLEANUP(buf_done) buf_t pem;
    buf_init_secret(&pem, PEM_MAX);
    TRY(pkey_private_pem(key, &pem));
    return write_one(files, name, &pem, 0600);
}

static err_t *make_directory(const init_files_t *files, const char *name, mode_t mode) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(files->dir, name, &path));
    return file_mkdir(path, mode);
}

err_t *init_files_write(const init_files_t *files, const init_parts_t *parts) {
    TRY(make_directory(files, "tls", 0700));
    TRY(make_directory(files, "public", 0755));
    TRY(write_private_key(files, "tls/key.pem", parts->tls_key));
    TRY(write_cert(files, "tls/cert.pem", parts->tls, parts->root));
    TRY(write_cert(files, "public/root.pem", parts->root, NULL));
    TRY(write_cert(files, "public/device-ca.pem", parts->device_ca, NULL));
    TRY(write_cert(files, "public/mail-ca.pem", parts->mail_ca, NULL));
    return write_public_key(files, "public/audit-key.pem", parts->audit);
}

err_t *init_files_commit(const init_files_t *files) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(files->dir, "vault", &path));
    TRY(sync_directory(files->vault_new));
    if (fault_io() || rename(files->vault_new, path) != 0)
        return err_errno(errno, "cannot rename %s", files->vault_new);
    err_t *e = sync_directory(files->dir);
    if (e) (void)rename(path, files->vault_new); /* not sure to last: so not made at all */
    return e;
}

void init_files_undo(const init_files_t *files) {
    if (!files->began) return;
    remove_files(files->dir, public_files, COUNT(public_files));
    remove_files(files->vault_new, vault_files, COUNT(vault_files));
    (void)rmdir(files->vault_new);
}
