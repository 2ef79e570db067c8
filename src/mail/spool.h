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

/* At most `max` bytes. The file, if it comes to one, lies in TMPDIR or /var/tmp. */
err_t *spool_new(const rnd_t *rnd, uint64_t max, spool_t **ret_spool) WARN_UNUSED;
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
