/*
 * DIR/run/cofferd.pid: one cofferd an instance. The lock, not the file, is what counts; it ends
 * with the process. Process cofferd.
 */
#ifndef COFFER_PROGRAM_COFFERD_PIDFILE_H
#define COFFER_PROGRAM_COFFERD_PIDFILE_H

#include "base/err.h"

/* Makes DIR/run if absent, locks and writes the file. *ret_fd holds the lock and is the caller's.
 * ERR_BUSY: another cofferd runs on DIR. ERR_NOT_FOUND: there is no DIR. */
err_t *pidfile_lock(const char *dir, int *ret_fd) WARN_UNUSED;
/* Best effort, while the lock is still held. */
void pidfile_remove(const char *dir);

#endif
