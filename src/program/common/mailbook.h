/*
 * The instance's mail book: what the store, the configuration and the directory know of people's
 * encryption certificates, as mail/recipients.h asks for it, and what is learned from mail that
 * comes in. For coffer-web and coffer-mailgate. Safe from many threads.
 */
#ifndef COFFER_PROGRAM_COMMON_MAILBOOK_H
#define COFFER_PROGRAM_COMMON_MAILBOOK_H

#include "audit/audit.h"
#include "base/clk.h"
#include "base/limits.h"
#include "directory/remote.h"
#include "mail/harvest.h"
#include "mail/reader.h"
#include "mail/recipients.h"
#include "program/common/settings.h"
#include "store/db.h"

typedef struct mailbook mailbook_t;

/* Reads the files that [mail] names: before the sandbox. settings and clk are borrowed. */
err_t *mailbook_new(const settings_t *settings, const clk_t *clk,
                    mailbook_t **ret_book) WARN_UNUSED;
void mailbook_free(mailbook_t *book); /* takes NULL */
/* The directory of revocation lists, for the sandbox; or NULL. Borrowed. */
const char *mailbook_lists(const mailbook_t *book);

typedef struct {
    db_t *db; /* borrowed, as all of these */
    const audit_t *audit;
    directory_remote_t *remote;   /* the organisation's directory through coffer-courier, or NULL */
    const cert_t *root, *mail_ca; /* ours */
} mailbook_sources_t;
/* Before the first question. */
err_t *mailbook_open(mailbook_t *book, const mailbook_sources_t *sources) WARN_UNUSED;

/* For mail_recipients_find; trust that admins give or take counts at once. Borrowed. */
const mail_book_t *mailbook_book(const mailbook_t *book);
/* What [mail] allows. */
mail_algorithms_t mailbook_algorithms(const mailbook_t *book);

/*
 * Roots and further certificates for judging a signature on mail from this address
 * (mail_reader_options_t): with what admins trust for it. `address` none: what is trusted for all.
 * Appended to the lists.
 */
err_t *mailbook_trust(mailbook_t *book, bytes_t address, cert_list_t *ret_roots,
                      cert_list_t *ret_intermediates) WARN_UNUSED;
/* As mail_reader_handler_t's revoked: known to be revoked at that time. arg is the mailbook_t. */
err_t *mailbook_revoked(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked) WARN_UNUSED;

/* What was learned. */
typedef struct {
    char address[LIMIT_EMAIL + 1]; /* whose; empty: nothing, since nobody proved who they are */
    size_t certificates;           /* that were not known before */
    bool trusted;                  /* its chain is */
    bool capabilities;
} mailbook_learned_t;
/*
 * Learns from a verdict (mail/harvest.h): keeps certificates, the capabilities of the newest
 * message, when they were last seen. A new trusted certificate is audited. Any verdict over any
 * message may be given; what isn't signed well teaches nothing.
 */
err_t *mailbook_harvest(mailbook_t *book, const mail_verdict_t *verdict, const char *actor,
                        mailbook_learned_t *ret_learned) WARN_UNUSED;

/* ---- what admins trust ---- */

/*
 * A CA certificate: trusted for mail of `domain`, or of everybody if that is empty. Another:
 * trusted for its own addresses. Inside a db_write; audited. ERR_INVALID for what can't be trusted
 * that way.
 */
err_t *mailbook_trust_add(mailbook_t *book, db_conn_t *conn, const cert_t *cert, const char *domain,
                          const char *why, const char *actor) WARN_UNUSED;
err_t *mailbook_trust_remove(mailbook_t *book, db_conn_t *conn, bytes_t fingerprint,
                             const char *actor, bool *ret_found) WARN_UNUSED;

DEFINE_CLEANUP(mailbook_t, mailbook_free)

#endif
