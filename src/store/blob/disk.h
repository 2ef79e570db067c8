/*
 * Blobs in a directory: DIR/ab/NAME, where "ab" begins the name; files under way lie in DIR/tmp and
 * are locked while somebody writes them.
 */
#ifndef COFFER_STORE_BLOB_DISK_H
#define COFFER_STORE_BLOB_DISK_H

#include "store/blob/blob.h"

/*
 * Makes the directory if it is not there (0700; its parent must be), and removes what crashes left
 * in DIR/tmp. `name` is copied. With `must_exist` a directory without Coffer's mark is
 * ERR_NOT_FOUND: an empty mount point must not be taken for a store that lost everything.
 */
err_t *blob_disk_open(const char *name, const char *dir, bool must_exist,
                      blob_store_t **ret_store) WARN_UNUSED;
/* DIR/tmp, on the same file system as the objects: for files that are to be put. Borrowed. */
const char *blob_disk_tmp(const blob_store_t *store);

/* A new file in `dir`, 0600, locked (flock) until it is closed. *ret_path: mem_free it. */
err_t *blob_tmp_make(const char *dir, int *ret_fd, char **ret_path) WARN_UNUSED;
/* Removes the files in `dir` that no living process has locked. */
err_t *blob_tmp_sweep(const char *dir, size_t *ret_removed) WARN_UNUSED;

#endif
