/*
 * How mail servers are written that are watched: imaps://HOST[:PORT], and for Exchange's web
 * services https://HOST[:PORT][/PATH]; imap:// and http:// only for one on this machine, without
 * TLS. Neither names nor passwords stand in them. Pure.
 */
#ifndef COFFER_ARRIVAL_MAIL_SERVER_H
#define COFFER_ARRIVAL_MAIL_SERVER_H

#include "base/bytes.h"
#include "base/err.h"

enum { MAIL_SERVER_HOST_SIZE = 256, MAIL_SERVER_PORT_SIZE = 8, MAIL_SERVER_PATH_SIZE = 200 };

typedef struct {
    bool tls;
    bool usual_port;
    char host[MAIL_SERVER_HOST_SIZE];
    char port[MAIL_SERVER_PORT_SIZE];
    char path[MAIL_SERVER_PATH_SIZE]; /* of Exchange: /EWS/Exchange.asmx unless told; else "" */
} mail_server_t;

/* ERR_INVALID says how it is written; ERR_DENIED: not without TLS. */
err_t *mail_server_imap(bytes_t text, mail_server_t *ret_server) WARN_UNUSED;
err_t *mail_server_ews(bytes_t text, mail_server_t *ret_server) WARN_UNUSED;

#endif
