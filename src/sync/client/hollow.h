/*
 * Hollow files: of the right size, mode and time, without content, which comes when a program opens
 * them through the mapped drive. The mark is an extended attribute (user.coffer.hollow) of the file
 * itself, so no table can disagree with it. Linux. Any thread.
 */
#ifndef COFFER_SYNC_CLIENT_HOLLOW_H
#define COFFER_SYNC_CLIENT_HOLLOW_H

#include <stdbool.h>

#include "base/err.h"

/* Marks an open file; *ret_done false where the file system has no such attributes. */
err_t *sync_hollow_mark(int fd, bool *ret_done) WARN_UNUSED;
bool sync_hollow(int fd);
err_t *sync_hollow_clear(int fd) WARN_UNUSED;

#endif
