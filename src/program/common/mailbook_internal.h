/*
 * For mailbook*.c only.
 */
#ifndef COFFER_PROGRAM_COMMON_MAILBOOK_INTERNAL_H
#define COFFER_PROGRAM_COMMON_MAILBOOK_INTERNAL_H

#include <pthread.h>

#include "crypto/cert_cache.h"
#include "crypto/crl.h"
#include "program/common/mailbook.h"
#include "program/common/memo.h"

/* What admins trust, parsed; immutable, counted. */
typedef struct {
    cert_t *cert;
    bool ca;
    char domain[256]; /* of a CA; "": all */
} trusted_t;
typedef struct {
    unsigned refs;    /* under the book's lock */
    char version[96]; /* of the table */
    trusted_t *at;
    size_t n;
} trust_t;

typedef struct {
    char *name;
    crl_t *crl;
    uint8_t issuer[CERT_SHA256_SIZE]; /* whose signature on it holds; zeros: nobody's so far */
    bool bad;                         /* by that issuer's key it doesn't hold */
} list_t;
typedef struct {
    list_t *at;
    size_t n;
    int64_t dir_ms; /* when the directory changed last; and when it was read */
    int64_t read_ms;
} lists_t;

struct mailbook {
    const settings_t *settings;
    const clk_t *clk;
    cert_list_t roots;    /* our own and the configured anchors */
    cert_list_t mail_cas; /* ours */
    cert_cache_t *certs;  /* of people, parsed */
    memo_t *kept;         /* locks found lately */
    memo_t *no_groups;    /* addresses that were no group */
    char *lists_dir;      /* or NULL */
    mailbook_sources_t sources;
    mail_book_t book;
    pthread_mutex_t lock; /* guards what follows */
    trust_t *trust;
    lists_t lists;
};

/* ---- mailbook_trust.c ---- */

/* The newest state; release it. */
err_t *mailbook_trust_get(mailbook_t *book, trust_t **ret_trust) WARN_UNUSED;
void mailbook_trust_release(mailbook_t *book, trust_t *trust); /* takes NULL */
/* CAs trusted for this address besides the book's own roots, appended. */
err_t *mailbook_trust_roots(const trust_t *trust, bytes_t address, cert_list_t *list) WARN_UNUSED;
/* Certificates of people that are trusted by themselves. */
bool mailbook_trust_pins(const trust_t *trust, const cert_t *cert);

/* ---- mailbook_crl.c ---- */

/* What the lists of foreign CAs say; unknown if none does. */
err_t *mailbook_crl_ask(mailbook_t *book, const cert_t *cert, const cert_list_t *chain, int64_t at,
                        mail_revocation_t *ret_revocation) WARN_UNUSED;
void mailbook_crl_done(lists_t *lists);

/* ---- mailbook_recall.c ---- */

err_t *mailbook_recall_init(mailbook_t *book) WARN_UNUSED;
/* mail_book_t's. */
bool mailbook_recall(void *arg, bytes_t address, int64_t at, mail_moment_t *ret_moment,
                     mail_recipient_t *recipient);
void mailbook_remember(void *arg, bytes_t address, int64_t at, const mail_moment_t *moment,
                       const mail_recipient_t *recipient);
/* Whether it was none when last asked, and nothing has been written since; else a stamp for
 * no_groups, if *ret_known. */
bool mailbook_is_no_group(const mailbook_t *book, bytes_t address, memo_stamp_t *ret_stamp,
                          bool *ret_known);

/* ---- mailbook.c ---- */

/* mail_book_t's revoked. */
err_t *mailbook_revocation(void *arg, const cert_t *cert, const cert_list_t *chain, int64_t at,
                           mail_revocation_t *ret_revocation) WARN_UNUSED;

#endif
