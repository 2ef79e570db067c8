/*
 * Messages while they are on their way through: files without a name in the spool directory, which
 * vanish when they are closed. Nothing needs to survive: until the next hop has a message, its
 * sender keeps it. Thread-safe.
 */
#ifndef COFFER_PROGRAM_MAILGATE_SPOOL_H
#define COFFER_PROGRAM_MAILGATE_SPOOL_H

#include "base/bytes.h"
#include "base/err.h"
#include "program/mailgate/counters.h"

typedef struct {
    const char *dir;
    uint64_t max; /* bytes of all files together */
    counters_t *counters;
} gatespool_t;

/* The caller closes it. */
err_t *gatespool_open(const gatespool_t *spool, int *ret_fd) WARN_UNUSED;
/* Counts bytes of files that others write. ERR_FULL: the spool is. */
err_t *gatespool_take(const gatespool_t *spool, uint64_t bytes) WARN_UNUSED;
void gatespool_give(const gatespool_t *spool, uint64_t bytes);
/* At the end of the file. ERR_FULL: the disk or the spool is; what was written counts. */
err_t *gatespool_add(const gatespool_t *spool, int fd, bytes_t data, uint64_t *size) WARN_UNUSED;
/* Closes it and gives its room back; *fd is -1 and *size 0 then. */
void gatespool_close(const gatespool_t *spool, int *fd, uint64_t *size);

#endif
