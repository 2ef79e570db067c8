/*
 * The instance's mail book: what the store, the configuration and the directory know of people's
 * encryption certificates, as mail/recipients.h asks for it, and what is learned from mail that
 * comes in. For coffer-web and coffer-mailgate. Safe from many threads.
 */
#ifndef COFFER_PROGRAM_COMMON_MAILBOOK_H
#define COFFER_PROGRAM_COMMON_MAILBOOK_H

#include "base/clk.h"
#include "base/log.h"
#include "directory/remote.h"
#include "mail/harvest.h"
#include "mail/recipients.h"
#include "program/common/settings.h"
#include "store/db.h"

typedef struct mailbook mailbook_t;

typedef struct {
    db_t *db; /* borrowed, as all of these */
    const clk_t *clk;
    const settings_t *settings; /* [mail]: trust anchors, revocation lists */
    directory_remote_t *remote; /* the organisation's directory through coffer-courier, or NULL */
    const cert_list_t *own;     /* our root and our mail CAs */
} mailbook_options_t;

/* Reads the files that the configuration names: before the sandbox. */
err_t *mailbook_new(const mailbook_options_t *options, mailbook_t **ret_book) WARN_UNUSED;
void mailbook_free(mailbook_t *book); /* takes NULL */

/*
 * Answers mail_recipients_find with trust as it stands now (an admin may have changed it): the
 * anchors are read from the store.
 */
err_t *mailbook_recipients(mailbook_t *book, const bytes_t *addresses, size_t n, bytes_t sender,
                           int64_t at, mail_recipients_t *ret_list) WARN_UNUSED;

/* Roots and further certificates for judging signatures (mail_reader_options_t); the caller's. */
err_t *mailbook_trust(mailbook_t *book, cert_list_t *ret_roots,
                      cert_list_t *ret_intermediates) WARN_UNUSED;
/* As mail_reader_handler_t's revoked: known to be revoked at that time. arg is the mailbook_t. */
err_t *mailbook_revoked(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked) WARN_UNUSED;

/*
 * Learns from a verdict (mail/harvest.h): keeps certificates, capabilities of the newest message,
 * when they were last seen. Audited when a certificate is new. ret_learned: certificates that are
 * new. Any message of anybody may be given; what isn't signed well teaches nothing.
 */
err_t *mailbook_harvest(mailbook_t *book, const mail_verdict_t *verdict, const char *actor,
                        size_t *ret_learned) WARN_UNUSED;

DEFINE_CLEANUP(mailbook_t, mailbook_free)

#endif
