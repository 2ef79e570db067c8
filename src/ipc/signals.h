/*
 * The signals that end a program, as a descriptor for its event loop.
 */
#ifndef COFFER_IPC_SIGNALS_H
#define COFFER_IPC_SIGNALS_H

#include "base/err.h"

/*
 * Blocks SIGTERM, SIGINT and SIGHUP in this thread and those it makes, and ignores SIGPIPE: to be
 * called before threads start. The descriptor is readable once one of them came; it doesn't block.
 */
err_t *signals_watch(int *ret_fd) WARN_UNUSED;

#endif
