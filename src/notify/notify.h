/*
 * notify_t: where notices go. Putting one writes jobs in the caller's transaction; coffer-courier
 * sends them, at least once, with back-off. Immutable, safe from many threads.
 */
#ifndef COFFER_NOTIFY_NOTIFY_H
#define COFFER_NOTIFY_NOTIFY_H

#include "base/arena.h"
#include "format/json.h"
#include "store/db.h"

/* All borrowed. */
typedef struct {
    const char *instance;      /* its URL, told to webhooks */
    bool mail;                 /* a mail server is set up */
    const char *const *admins; /* who gets what concerns admins; none: all with the role admin */
    size_t admins_n;
    const char *const *webhooks; /* their names */
    size_t webhooks_n;
} notify_t;

/* What is told. All borrowed during the call. */
typedef struct {
    const char *event; /* "certificate.expiring", for programs */
    /* What makes it this notice and no other: the same key to the same recipient is one notice,
     * coalesced while it waits, and repeated under the same Message-ID and Idempotency-Key. */
    const char *key;
    const char *subject; /* cut past LIMIT_NOTICE_SUBJECT */
    const char *text;    /* for people; at most LIMIT_NOTICE_TEXT bytes */
    const json_t *data;  /* for programs: an object, or NULL */
} notice_t;

/* By mail to one address. Without a mail server, or for an address that is none: nothing. */
err_t *notify_mail(const notify_t *notify, db_conn_t *conn, const char *to,
                   const notice_t *notice) WARN_UNUSED;
/* By every webhook. */
err_t *notify_webhooks(const notify_t *notify, db_conn_t *conn, const notice_t *notice) WARN_UNUSED;
/* By mail to every admin. */
err_t *notify_admins_mail(const notify_t *notify, db_conn_t *conn, arena_t *arena,
                          const notice_t *notice) WARN_UNUSED;
/* Both: what admins must hear of, such as an alarm. */
err_t *notify_admins(const notify_t *notify, db_conn_t *conn, arena_t *arena,
                     const notice_t *notice) WARN_UNUSED;

/* Kinds of jobs, for the courier. */
#define NOTIFY_JOB_MAIL    "mail"
#define NOTIFY_JOB_WEBHOOK "webhook"

#endif
