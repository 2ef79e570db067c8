/*
 * What an outsider does with a link (docs/formats/sync-shares.md): open it at the service, fetch
 * the data of its files, check and decrypt every byte, and put whole files into a directory. No
 * account, no state. One thread; blocking.
 */
#ifndef COFFER_PROGRAM_COFFER_LINK_FETCH_H
#define COFFER_PROGRAM_COFFER_LINK_FETCH_H

#include "base/rnd.h"
#include "sync/link_terms.h"

typedef struct link_fetch link_fetch_t;

/* `ca_file`: trust this root alone, NULL: the system's. `url` is borrowed and must outlive it. */
err_t *link_fetch_new(const sync_link_url_t *url, const char *ca_file,
                      link_fetch_t **ret_fetch) WARN_UNUSED;
void link_fetch_free(link_fetch_t *fetch); /* takes NULL */

/*
 * Asks for the list, which counts as an opening. `password` is none if the URL says so. ERR_DENIED:
 * wrong password or secret; ERR_NOT_FOUND: there is no such link (any more); ERR_VERIFY: what came
 * is not of this link.
 */
err_t *link_fetch_open(link_fetch_t *fetch, bytes_t password) WARN_UNUSED;
/* The files, in the order of their paths; borrowed. */
size_t link_fetch_files(const link_fetch_t *fetch, const sync_link_file_t **ret_files);

/*
 * Fetches a file to its path below the directory `dir`, making folders; it appears once it is
 * complete and proved. ERR_EXISTS: there is one, and not `replace`. ERR_VERIFY: not what was
 * shared.
 */
err_t *link_fetch_file(link_fetch_t *fetch, const sync_link_file_t *file, int dir, const rnd_t *rnd,
                       bool replace) WARN_UNUSED;

DEFINE_CLEANUP(link_fetch_t, link_fetch_free)

#endif
