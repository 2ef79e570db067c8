/*
 * Everything in a dump that can be verified without a key: chain, roots, deliveries, signatures,
 * Merkle roots. Single-threaded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "program/unseal/unseal.h"

static err_t *take_delivery(unseal_t *u, bytes_t record) {
    sync_delivery_t d;
    err_t *e = sync_delivery_parse(record, &d);
    if (!e) e = sync_delivery_check(u->chain, &d);
    if (e) unseal_problem(u, err_wrap(e, "a delivered key"));
    return NULL;
}

static err_t *check_package(unseal_t *u, const char *name) {
    CLEANUP(buf_done) buf_t record, id;
    sync_package_t package;
    sync_header_t header;
    buf_init(&record, SYNC_PACKAGE_MAX);
    buf_init(&id, SYNC_HASH);
    TRY(text_unhex(bytes_str(name), &id));
    if (id.n != SYNC_HASH) return err_new(ERR_INVALID, "a name that is no package's");
    TRY(unseal_package(u, id.p, &record, &package));
    TRY(unseal_scan(u, &package, &header));
    u->files++;
    u->bytes += package.size;
    return NULL;
}

static void dir_close(DIR *dir) {
    if (dir) (void)closedir(dir);
}
DEFINE_CLEANUP(DIR, dir_close)

static err_t *open_folder(int at, const char *name, DIR **ret_dir) {
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int number = errno;
        fd_close(fd);
        return err_errno(number, "cannot read %s", name);
    }
    *ret_dir = dir;
    return NULL;
}

static err_t *check_folder(unseal_t *u, DIR *packages, const char *name) {
    CLEANUP(dir_close) DIR *dir = NULL;
    TRY(open_folder(dirfd(packages), name, &dir));
    for (const struct dirent *d; (d = readdir(dir));) {
        if (d->d_name[0] == '.') continue;
        unseal_problem(u, check_package(u, d->d_name));
    }
    return NULL;
}

err_t *unseal_check(unseal_t *u) {
    CLEANUP(dir_close) DIR *packages = NULL;
    TRY(unseal_runs(u, "deliveries", LIMIT_SYNC_DELIVERY, take_delivery));
    TRY(open_folder(u->fd, "packages", &packages));
    for (const struct dirent *d; (d = readdir(packages));)
        if (d->d_name[0] != '.') TRY(check_folder(u, packages, d->d_name));
    return NULL;
}
