/*
 * Making a link of what lies at a path of a region (docs/formats/sync-shares.md): the list of files
 * with their keys. A file in a pack is sealed once more by itself, for the pack's key would open
 * its neighbours. One thread; blocking.
 */
#ifndef COFFER_PROGRAM_COFFER_LINK_MAKE_H
#define COFFER_PROGRAM_COFFER_LINK_MAKE_H

#include "program/coffer/sync_view.h"
#include "sync/link_terms.h"

typedef struct {
    sync_view_t *view; /* borrowed */
    size_t prefix;     /* bytes cut off the front of each path */
    sync_link_file_t *files;
    size_t n, room;
    uint8_t pack_id[SYNC_HASH]; /* of what is in `pack` */
    buf_t pack;
} link_make_t;

void link_make_init(link_make_t *make, sync_view_t *view);
void link_make_done(link_make_t *make);

/* Collects all files at `path` ("": everything), sorted, under names from the last part of it on.
 */
err_t *link_make_collect(link_make_t *make, bytes_t path) WARN_UNUSED;

typedef struct {
    int64_t expires; /* seconds since 1970 UTC */
    uint32_t count;
    bytes_t password; /* none: no password */
} link_wish_t;

/* Leaves the link with the service; appends its URL. */
err_t *link_make_put(link_make_t *make, const link_wish_t *wish, bytes_t label,
                     buf_t *ret_url) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(link_make_t, link_make_done)

#endif
