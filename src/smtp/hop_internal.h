/*
 * Private to smtp: what hop.c and hop_mail.c share.
 */
#ifndef COFFER_SMTP_HOP_INTERNAL_H
#define COFFER_SMTP_HOP_INTERNAL_H

#include "smtp/hop.h"

enum { SMTP_HOP_CHUNK = 64 * 1024 };

struct smtp_hop {
    const smtp_link_t *link;
    const smtp_hop_config_t *config;
    bool usable;
    bool pipelining, eightbit, smtputf8, dsn, starttls, has_size;
    unsigned forwards; /* bits 1 << smtp_forward_t */
    uint64_t size;     /* the largest message, 0: unknown */
    smtp_reply_t reply;
    buf_t in;  /* received, not yet taken */
    buf_t out; /* commands or content in the making */
};

/* Sends what is in hop->out. */
err_t *smtp_hop_flush(smtp_hop_t *hop) WARN_UNUSED;
/* Waits for one reply, which is then in hop->reply. */
err_t *smtp_hop_reply(smtp_hop_t *hop, int timeout_ms) WARN_UNUSED;

#endif
