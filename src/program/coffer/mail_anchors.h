/*
 * Whom `coffer mail` believes: roots, further certificates and revocation lists from files, and,
 * if an instance is named, its root and what it knows of revoked certificates.
 */
#ifndef COFFER_PROGRAM_COFFER_MAIL_ANCHORS_H
#define COFFER_PROGRAM_COFFER_MAIL_ANCHORS_H

#include "crypto/crl.h"
#include "mail/reader.h"
#include "program/coffer/cli.h"

enum { MAIL_CRLS_MAX = 64 };

typedef struct {
    cli_t *cli;
    bool instance; /* asked by --dir or --server */
    cert_list_t roots, intermediates;
    crl_t *crls[MAIL_CRLS_MAX];
    size_t n;
} mail_anchors_t;

/* --root, --chain, --crl; with `ask` --dir and --server too. */
err_t *mail_anchors_read(cli_t *cli, const args_t *args, bool ask,
                         mail_anchors_t *trust) WARN_UNUSED;
void mail_anchors_done(mail_anchors_t *trust);
/* As mail_reader_handler_t's revocation. */
err_t *mail_anchors_revocation(mail_anchors_t *trust, const cert_t *cert, const cert_list_t *others,
                               int64_t at, mail_revocation_t *ret_revocation) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(mail_anchors_t, mail_anchors_done)

#endif
