/*
 * The master key in a file: see master.h. The key is written as hex and read as hex or as raw
 * bytes. Main thread, at init and start.
 */
#include "keeper/master.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { FILE_MAX = 256 }; /* bytes; hex, line end and some white space */

static err_t *check_owner(int fd, const char *path) {
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(errno, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode)) return err_new(ERR_DENIED, "%s is not a plain file", path);
    if ((st.st_mode & 077) != 0)
        return err_new(ERR_DENIED, "%s can be read by others: chmod 600 %s", path, path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_new(ERR_DENIED, "%s belongs to another user", path);
    return NULL;
}

static err_t *from_text(bytes_t text, const char *path, secret_t **ret_key) {
    if (text.n == MASTER_KEY_SIZE) return secret_copy(text, ret_key);
    CLEANUP(buf_done) buf_t key;
    buf_init_secret(&key, MASTER_KEY_SIZE);
    err_t *e = text_unhex(text_trim(text), &key);
    if (!e && key.n == MASTER_KEY_SIZE) return secret_copy(buf_bytes(&key), ret_key);
    err_free(e);
    return err_new(ERR_INVALID, "%s does not hold a key of %d bytes, raw or in hex", path,
                   MASTER_KEY_SIZE);
}

static err_t *file_load(const char *vault_dir, secret_t **ret_key) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(vault_dir, "master.key", &path));
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    TRY(check_owner(fd, path));
    CLEANUP(buf_done) buf_t text;
    buf_init_secret(&text, FILE_MAX);
    TRY_WRAP(file_read_fd(fd, &text), "cannot read %s", path);
    return from_text(buf_bytes(&text), path, ret_key);
}

static err_t *file_create(const char *vault_dir, const rnd_t *rnd, secret_t **ret_key) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(vault_dir, "master.key", &path));
    if (file_exists(path)) return err_new(ERR_EXISTS, "%s exists already", path);
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(secret_random(rnd, MASTER_KEY_SIZE, &key));
    CLEANUP(buf_done) buf_t text;
    buf_init_secret(&text, FILE_MAX);
    TRY(text_hex(secret_bytes(key), &text));
    TRY(buf_add_byte(&text, '\n'));
    TRY(file_write(path, buf_bytes(&text), 0600));
    *ret_key = STEAL(key);
    return NULL;
}

static const master_provider_t providers[] = {
    {MASTER_FILE, "file", file_create, file_load},
};

const master_provider_t *master_provider(const char *name) {
    for (size_t i = 0; i < sizeof providers / sizeof providers[0]; i++)
        if (bytes_eq_str(bytes_str(name), providers[i].name)) return &providers[i];
    return NULL;
}
