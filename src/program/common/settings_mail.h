/*
 * [mail] of coffer.conf: whom to trust about other people's certificates, and what mail is
 * encrypted with.
 */
#ifndef COFFER_PROGRAM_SETTINGS_MAIL_H
#define COFFER_PROGRAM_SETTINGS_MAIL_H

#include "format/conf.h"

/* Borrowed from the configuration. */
typedef struct {
    bytes_t trust_anchors;        /* list of PEM files: CAs trusted for anybody's mail */
    const char *revocation_lists; /* directory of lists of foreign CAs, or "" */
    bool demand_revocation;       /* unknown is not good enough */
    bool gcm, oaep;               /* for peers who say that they read it */
} settings_mail_t;

extern const char *const SETTINGS_MAIL_KEYS[];

err_t *settings_load_mail(conf_t *conf, settings_mail_t *ret_mail) WARN_UNUSED;

#endif
