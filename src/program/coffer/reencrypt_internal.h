/*
 * For reencrypt*.c only.
 */
#ifndef COFFER_PROGRAM_COFFER_REENCRYPT_INTERNAL_H
#define COFFER_PROGRAM_COFFER_REENCRYPT_INTERNAL_H

#include <sys/stat.h>

#include "program/coffer/reencrypt.h"

/* A new copy is written to a name of this kind with the old one's inode number, in its folder. */
#define REENCRYPT_TEMP ".coffer-reencrypt."

/* Bytes of an open file. */
typedef struct {
    int fd;
    uint64_t from, to;
} range_t;

/* Gives the range in pieces; stops early (no error) when `enough` says so. */
err_t *range_read(range_t range, err_t *(*each)(void *arg, bytes_t data),
                  bool (*enough)(const void *arg), void *arg) WARN_UNUSED;

/*
 * Opens the message of a range. An error that is the message's own is handed out as *ret_why (the
 * caller's), with kind RESEAL_PLAIN; *ret_reseal NULL unless RESEAL_OPENED.
 */
err_t *message_open(const reencrypt_t *job, range_t range, reseal_t **ret_reseal,
                    reseal_kind_t *ret_kind, err_t **ret_why) WARN_UNUSED;
/* Does the new key open what stands there now, and is it the same? ERR_VERIFY. */
err_t *message_prove(const reencrypt_t *job, range_t range,
                     const uint8_t digest[RESEAL_DIGEST]) WARN_UNUSED;

/* A new file beside `path` with its owner, mode and times. */
typedef struct {
    char *path; /* of the temporary file */
    char *dir;
    int fd;
    uint64_t size;
} copy_t;
err_t *copy_begin(const char *path, const struct stat *old, copy_t *copy) WARN_UNUSED;
err_t *copy_write(void *arg, bytes_t data) WARN_UNUSED; /* arg: the copy_t */
err_t *copy_sync(copy_t *copy, const struct stat *old) WARN_UNUSED;
/* Takes the place of `path` if that is still the old file; ERR_BUSY if it changed meanwhile. */
err_t *copy_replace(copy_t *copy, const char *path, const struct stat *old) WARN_UNUSED;
void copy_done(copy_t *copy); /* removes what is left of it */

err_t *reencrypt_message(const reencrypt_t *job, const char *path) WARN_UNUSED;
err_t *reencrypt_mbox(const reencrypt_t *job, const char *path) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(copy_t, copy_done)

#endif
