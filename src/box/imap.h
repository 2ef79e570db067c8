/*
 * A client of IMAP (RFC 9051, RFC 3501): folders, new messages, changes by CONDSTORE and QRESYNC
 * (RFC 7162), IDLE (RFC 2177). TLS with the certificate checked, a time limit on every wait, a
 * budget for every answer (wire.h). Memory is that of the largest message. A server is a stranger:
 * what it says of UIDs is believed only within what was asked. One thread.
 */
#ifndef COFFER_BOX_IMAP_H
#define COFFER_BOX_IMAP_H

#include "base/buf.h"
#include "box/wire.h"

typedef struct {
    const char *host, *port;
    box_tls_t tls;
    const char *user;
    bytes_t password;         /* or none */
    bytes_t token;            /* OAuth2 bearer (RFC 7628 or XOAUTH2), instead */
    bool (*go_on)(void *arg); /* as in box_wait_t, for as long as the session lasts */
    void *arg;
} imap_login_t;

typedef struct imap imap_t;

/* tls_context is borrowed. ERR_AUTH: the server does not want these credentials. */
err_t *imap_open(const imap_login_t *login, tls_context_t *tls_context, const clk_t *clk,
                 imap_t **ret_imap) WARN_UNUSED;
void imap_free(imap_t *imap); /* takes NULL */

/* Names of folders that can be selected, at most LIMIT_BOX_FOLDERS. */
err_t *imap_folders(imap_t *imap, err_t *(*each)(void *arg, const char *name),
                    void *arg) WARN_UNUSED;

typedef struct {
    uint32_t uidvalidity; /* never 0 */
    uint32_t exists;
    uint64_t modseq; /* 0: the server knows none */
} imap_selected_t;
/* ERR_UNAVAILABLE: this folder can't be had (refused, an odd name, no UIDVALIDITY); others may. */
err_t *imap_select(imap_t *imap, const char *folder, imap_selected_t *ret_selected) WARN_UNUSED;

/* UIDs from `from` on, sorted, each once; mem_free them. ERR_LIMIT past LIMIT_BOX_MESSAGES. */
err_t *imap_uids(imap_t *imap, uint32_t from, uint32_t **ret_uids, size_t *ret_n) WARN_UNUSED;

typedef struct {
    uint32_t uid;
    unsigned flags;  /* BOX_SEEN and so on */
    uint32_t size;   /* as the server says, with imap_sizes */
    bytes_t message; /* with imap_fetch; borrowed */
} imap_message_t;
typedef err_t *(*imap_each_t)(void *arg, const imap_message_t *message);
/* Sizes and flags of these UIDs; whole messages of these. Others are not handed out. */
err_t *imap_sizes(imap_t *imap, const uint32_t *uids, size_t n, imap_each_t each,
                  void *arg) WARN_UNUSED;
err_t *imap_fetch(imap_t *imap, const uint32_t *uids, size_t n, imap_each_t each,
                  void *arg) WARN_UNUSED;
/* Flags that changed since modseq, and (QRESYNC) what is gone; *ret_vanished false: the server does
 * not tell what is gone, compare UIDs. */
err_t *imap_changes(imap_t *imap, uint64_t modseq, imap_each_t flags,
                    err_t *(*gone)(void *arg, uint32_t first, uint32_t last), void *arg,
                    bool *ret_vanished) WARN_UNUSED;

/* Adds flags. */
err_t *imap_add_flags(imap_t *imap, uint32_t uid, unsigned flags) WARN_UNUSED;
err_t *imap_move(imap_t *imap, uint32_t uid, const char *folder) WARN_UNUSED;
err_t *imap_append(imap_t *imap, const char *folder, unsigned flags, bytes_t message) WARN_UNUSED;

/* ERR_UNAVAILABLE: the server can't. Then nothing but imap_idle_end until that. */
err_t *imap_idle_begin(imap_t *imap) WARN_UNUSED;
/* The server said something, when its descriptor is readable. */
int imap_fd(const imap_t *imap);
err_t *imap_idle_end(imap_t *imap) WARN_UNUSED;
bool imap_can_idle(const imap_t *imap);
/* Overwrites what was read of mail. Not from within a function that is given messages. */
void imap_forget(imap_t *imap);
/* While idling: something was said already, which the descriptor does not tell any more. */
bool imap_has_news(const imap_t *imap);

DEFINE_CLEANUP(imap_t, imap_free)

#endif
