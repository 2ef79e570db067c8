/*
 * How an IMAP server is written: imaps://HOST[:PORT]; imap:// only for one on this machine, without
 * TLS. Pure.
 */
#ifndef COFFER_ARRIVAL_IMAP_SERVER_H
#define COFFER_ARRIVAL_IMAP_SERVER_H

#include "base/bytes.h"
#include "base/err.h"

enum { IMAP_HOST_SIZE = 256, IMAP_PORT_SIZE = 8 };

typedef struct {
    bool tls;
    char host[IMAP_HOST_SIZE];
    char port[IMAP_PORT_SIZE];
} imap_server_t;

/* ERR_INVALID says how it is written. */
err_t *imap_server_parse(bytes_t text, imap_server_t *ret_server) WARN_UNUSED;

#endif
