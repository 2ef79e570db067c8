/*
 * The directory as coffer-web sees it: questions to coffer-courier, which speaks LDAP, over the
 * wire between them. Few may wait at once, so that a directory that is slow holds up nobody else.
 * Safe from many threads.
 */
#ifndef COFFER_DIRECTORY_REMOTE_H
#define COFFER_DIRECTORY_REMOTE_H

#include "crypto/cert.h"
#include "directory/source.h"
#include "ipc/client.h"

/* What coffer-courier is told and asked. */
enum {
    COURIER_WAKE = 1,         /* an event: there is work */
    COURIER_LOG_IN = 2,       /* str name, bytes password -> bool good [, entry] */
    COURIER_PEOPLE = 3,       /* u64 list (0: a new one), u32 first
                                 -> u64 list, u32 total, u32 first, u32 n, n entries */
    COURIER_FIND = 4,         /* str name -> JSON */
    COURIER_TEST = 5,         /* -> JSON */
    COURIER_CERTIFICATES = 6, /* str mail -> u32 n, n DER */
};
enum { COURIER_PIECE = 256 * 1024 }; /* bytes of people in one answer */

typedef struct directory_remote directory_remote_t;

/* rpc is borrowed. timeout_s: of one answer of the directory. */
err_t *directory_remote_new(rpc_client_t *rpc, int64_t timeout_s,
                            directory_remote_t **ret_remote) WARN_UNUSED;
void directory_remote_free(directory_remote_t *remote); /* takes NULL */
/* Borrowed from the remote. */
const directory_source_t *directory_remote_source(directory_remote_t *remote);

/* What `coffer directory test` and `show` say, as JSON appended to out. ERR_NOT_FOUND: nobody. */
err_t *directory_remote_test(directory_remote_t *remote, buf_t *out) WARN_UNUSED;
err_t *directory_remote_find(directory_remote_t *remote, bytes_t name, buf_t *out) WARN_UNUSED;

/*
 * The certificates that the directory has for a mail address, appended to list: as others put
 * them there, so check each before use (chain, purpose, address). Expired ones are among them.
 */
err_t *directory_find_certificates(directory_remote_t *remote, bytes_t mail,
                                   cert_list_t *list) WARN_UNUSED;

DEFINE_CLEANUP(directory_remote_t, directory_remote_free)

#endif
