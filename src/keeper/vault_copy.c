/*
 * A copy of the vault for a backup: see vault.h. It lies in the vault's directory, for as long as
 * it is being made, and holds what the vault itself holds: wrapped keys. Worker threads, one at a
 * time (keeper/backups.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "keeper/keyring.h"
#include "keeper/vault_internal.h"

enum { STEP_PAGES = 256, STEP_MS = 500 };

struct vault_copy {
    const clk_t *clk;
    sql_copy_t *sql; /* until it can be read */
    char *path;
    int fd;
    uint64_t size;
};

const secret_t *vault_master(const vault_t *vault) { return vault->master; }

err_t *vault_copy_begin(const vault_t *vault, vault_copy_t **ret_copy) {
    CLEANUP(vault_copy_free) vault_copy_t *copy = mem_zalloc(sizeof *copy);
    CLEANUP(mem_free) char *from = NULL;
    if (!copy) return err_nomem();
    copy->fd = -1;
    copy->clk = vault->clk;
    TRY(file_path(vault->dir, "vault.db", &from));
    TRY(file_path(vault->dir, "backup.tmp", &copy->path));
    (void)unlink(copy->path); /* of one that was interrupted */
    TRY(sql_copy_new(from, copy->path, &copy->sql));
    *ret_copy = STEAL(copy);
    return NULL;
}

/*
 * Leases live for hours and end when they are revoked: neither they nor the key that opens them are
 * in a backup. A restored keeper makes itself a new lease key.
 */
static const char left_out[] = "DELETE FROM lease; DELETE FROM key WHERE name = '" KEY_LEASE "';";

static err_t *open_copy(vault_copy_t *copy) {
    struct stat st;
    TRY(sql_copy_finish(copy->sql, left_out));
    sql_copy_free(STEAL(copy->sql));
    copy->fd = open(copy->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (copy->fd < 0) return err_errno(errno, "cannot open the copy of the vault");
    (void)unlink(copy->path);
    if (fstat(copy->fd, &st) != 0) return err_errno(errno, "cannot look at the copy of the vault");
    copy->size = (uint64_t)st.st_size;
    return NULL;
}

err_t *vault_copy_step(vault_copy_t *copy, unsigned *ret_left) {
    int64_t until = clk_mono_ms(copy->clk) + STEP_MS;
    int left = copy->sql ? 1 : 0;
    while (left > 0 && clk_mono_ms(copy->clk) < until)
        TRY(sql_copy_step(copy->sql, STEP_PAGES, &left));
    if (left == 0 && copy->sql) TRY(open_copy(copy));
    *ret_left = (unsigned)left;
    return NULL;
}

uint64_t vault_copy_size(const vault_copy_t *copy) { return copy->size; }

err_t *vault_copy_read(const vault_copy_t *copy, uint64_t offset, uint8_t *p, size_t n) {
    while (n) {
        ssize_t got = fault_io() ? (errno = EIO, -1) : pread(copy->fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(errno, "cannot read the copy of the vault");
        if (got == 0) return err_new(ERR_IO, "the copy of the vault ends early");
        p += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return NULL;
}

void vault_copy_free(vault_copy_t *copy) {
    if (!copy) return;
    if (copy->sql) (void)unlink(copy->path);
    sql_copy_free(copy->sql);
    fd_close(copy->fd);
    mem_free(copy->path);
    mem_free(copy);
}
