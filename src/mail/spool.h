/*
 * spool_t: bytes held back until it is known whether they may leave. Small ones stay in memory,
 * large ones go to an unlinked file, sealed under a key that dies with the spool: the disk never
 * holds plaintext. One writer, then any number of reads. Belongs to one thread.
 */
#ifndef COFFER_MAIL_SPOOL_H
#define COFFER_MAIL_SPOOL_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/rnd.h"

typedef struct spool spool_t;

/* Where files are made and who counts them, for programs that have a place of their own for them.
 */
typedef struct {
    /* A new empty file that has no name; the caller closes it. */
    err_t *(*new_file)(void *arg, int *ret_fd);
    /* Room for so many bytes more, and given back. ERR_FULL: there is none. Both may be NULL. */
    err_t *(*take_room)(void *arg, uint64_t bytes);
    void (*give_room)(void *arg, uint64_t bytes);
    void *arg;
} spool_files_t;

/* Of a set of files that may be NULL: nobody counts. */
err_t *spool_files_take(const spool_files_t *files, uint64_t bytes) WARN_UNUSED;
void spool_files_give(const spool_files_t *files, uint64_t bytes);

/* At most `max` bytes. The file, if it comes to one, is one of `files` (borrowed), or lies in
 * TMPDIR or /var/tmp without them. */
err_t *spool_new(const rnd_t *rnd, uint64_t max, const spool_files_t *files,
                 spool_t **ret_spool) WARN_UNUSED;
void spool_free(spool_t *spool); /* wipes; takes NULL */
/* ERR_LIMIT past the maximum, ERR_FULL when the disk is. */
err_t *spool_add(spool_t *spool, bytes_t data) WARN_UNUSED;
uint64_t spool_size(const spool_t *spool);
/* Gives everything from the beginning, in order. */
err_t *spool_read(spool_t *spool, err_t *(*each)(void *arg, bytes_t data), void *arg) WARN_UNUSED;
/* Forgets what is in it. */
err_t *spool_reset(spool_t *spool) WARN_UNUSED;

DEFINE_CLEANUP(spool_t, spool_free)

#endif
