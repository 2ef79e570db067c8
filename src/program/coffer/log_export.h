/*
 * A copy of the log of chain heads in a directory, for somebody who has no device: files as C2SP
 * tlog-tiles names them, the checkpoint, the key, and the region's chain. Hashes are made here from
 * the entries, and the tree that comes out must be the one that was signed. One thread; blocking.
 */
#ifndef COFFER_PROGRAM_COFFER_LOG_EXPORT_H
#define COFFER_PROGRAM_COFFER_LOG_EXPORT_H

#include "program/coffer/cli.h"
#include "sync/client/log_view.h"

/*
 * Into `dir`, which is made; what is there is written over. The view is fresh. `chain`: runs of the
 * region's entries.
 */
err_t *log_export(log_view_t *view, const char *dir, bytes_t chain) WARN_UNUSED;

#endif
