/*
 * Who can read a message? For each address a lock: the certificate to encrypt to and what its owner
 * can read, or the reason why there is none. A message is encrypted only if all of its recipients
 * can read it: never to a few and sent to all (docs/guides/mail.md). RFC 8550 (certificates), RFC
 * 8551 section 2.7 (choice of algorithms).
 *
 * Certificates, groups and revocation come from a mail_book_t: callbacks, no socket and no SQL here
 * (program/common/mail_book.h has the ones over the store). Pure but for those; a mail_recipients_t
 * belongs to one thread.
 */
#ifndef COFFER_MAIL_RECIPIENTS_H
#define COFFER_MAIL_RECIPIENTS_H

#include "base/arena.h"
#include "crypto/cert.h"
#include "crypto/cms.h"
#include "crypto/cms_capable.h"
#include "format/json.h"

/* Why there is no lock; each with a stable name, mail_lock_name. */
typedef enum {
    MAIL_LOCK_READY,          /* there is one */
    MAIL_LOCK_NO_CERTIFICATE, /* no source knows any for this address */
    MAIL_LOCK_EXPIRED,        /* or not valid yet */
    MAIL_LOCK_REVOKED,
    MAIL_LOCK_USAGE,       /* not for encrypting mail */
    MAIL_LOCK_WEAK,        /* key or signature below what is accepted */
    MAIL_LOCK_UNTRUSTED,   /* no chain to our own CA or a trust anchor */
    MAIL_LOCK_UNAVAILABLE, /* a source that might know more can't be asked now: ask later */
    MAIL_LOCK_ADDRESS,     /* no address at all */
} mail_lock_t;
enum { MAIL_LOCKS = 9 };
const char *mail_lock_name(mail_lock_t lock); /* "ready", "no-certificate", ... */

/* Where a certificate came from, in the order in which they are asked. */
typedef enum { MAIL_SOURCE_OWN, MAIL_SOURCE_HARVESTED, MAIL_SOURCE_DIRECTORY } mail_source_t;
enum { MAIL_SOURCES = 3 };
const char *mail_source_name(mail_source_t source); /* "own", "harvested", "directory" */

/* What is known about revocation. Unknown is said, not guessed. */
typedef enum {
    MAIL_REVOCATION_UNKNOWN, /* no list of its issuer is at hand */
    MAIL_REVOCATION_GOOD,
    MAIL_REVOCATION_REVOKED,
} mail_revocation_t;
const char *mail_revocation_name(mail_revocation_t revocation);

/* ---- where answers come from ---- */

/* A certificate that a source has for an address, unjudged. */
typedef struct {
    cert_t *cert;          /* a reference of the list's */
    cert_list_t chain;     /* further certificates that came with it; the list's */
    cms_capable_t capable; /* learned from its owner's mail; all false if not */
    bool pinned;           /* an admin approved this very certificate: needs no chain */
    cert_list_t roots;     /* trusted besides, for this address alone; the list's */
} mail_candidate_t;

typedef struct {
    mail_candidate_t *at;
    size_t n;
} mail_candidates_t;
/* Shares cert, chain and roots; one that is there already is left out. ERR_LIMIT past
 * LIMIT_MAIL_CANDIDATES. */
err_t *mail_candidates_add(mail_candidates_t *list, const mail_candidate_t *candidate) WARN_UNUSED;
void mail_candidates_done(mail_candidates_t *list);

typedef struct mail_recipient mail_recipient_t;

/* When a question was asked: what is known since then may be asked for again. */
typedef struct {
    uint64_t version; /* of all that answers are made of */
    int64_t beside;
    bool known; /* false: nothing is to be remembered */
} mail_moment_t;

typedef struct {
    /*
     * Adds the certificates that one source has for an address (lower case). None is no error.
     * ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_BUSY: it can't be asked now; other errors end the look-up.
     * NULL: no such source. Callbacks may be called from any thread that calls
     * mail_recipients_find.
     */
    err_t *(*find[MAIL_SOURCES])(void *arg, bytes_t address, mail_candidates_t *list);
    /*
     * The members of a group, or the address behind an alias: adds to *ret_members (texts in the
     * arena) and sets *ret_found; an address that is neither is not found. May be NULL.
     */
    err_t *(*expand)(void *arg, arena_t *arena, bytes_t address, bool *ret_found,
                     bytes_t **ret_members, size_t *ret_n);
    /* Was it revoked at that time? `chain` has what its issuer may be among. NULL: unknown, always.
     */
    err_t *(*revoked)(void *arg, const cert_t *cert, const cert_list_t *chain, int64_t at,
                      mail_revocation_t *ret_revocation);
    /*
     * Locks found before, for an address (lower case): true if *recipient has been filled in (all
     * behind `sender`) and nothing has changed since; else *ret_moment is for remember, which takes
     * what was found then. Both may be NULL.
     */
    bool (*recall)(void *arg, bytes_t address, int64_t at, mail_moment_t *ret_moment,
                   mail_recipient_t *recipient);
    void (*remember)(void *arg, bytes_t address, int64_t at, const mail_moment_t *moment,
                     const mail_recipient_t *recipient);
    void *arg;
    const cert_list_t *roots;         /* our own root and the trust anchors; borrowed */
    const cert_list_t *intermediates; /* may be NULL */
    bool demand_revocation;           /* unknown revocation counts as MAIL_LOCK_UNAVAILABLE */
} mail_book_t;

/* ---- the answer ---- */

struct mail_recipient {
    bytes_t address; /* as it was written, or as the group has it */
    bytes_t asked;   /* the address that was asked for: the group's; else the same */
    bool sender;     /* for the sender's own copy */
    mail_lock_t lock;
    char reason[256]; /* for people, always there: why not, or where from */
    /* What follows is of the lock, or of the best certificate that wouldn't do; cert NULL: none. */
    cert_t *cert; /* owned by the list */
    mail_source_t source;
    mail_revocation_t revocation; /* at the time asked for */
    bool pinned;
    cms_capable_t capable;
};

typedef struct {
    arena_t *arena;
    mail_recipient_t *at; /* each mailbox once, in the order they came; the sender last */
    size_t n;
    /* The message's own state: at least one recipient, and every one, the sender too if asked for,
     * has a lock. */
    bool all;
    bool later; /* not all, but a source was away: another time may do */
} mail_recipients_t;

/*
 * Looks everybody up at the time `at` (seconds since 1970 UTC; now for sending, the message's own
 * for looking back). `sender` none: not asked for. Addresses are bare (local@domain). Groups are
 * expanded, in each other too; each mailbox is looked up once. ERR_LIMIT past LIMIT_MAIL_RECIPIENTS
 * mailboxes or LIMIT_MAIL_GROUP_DEPTH groups in groups.
 */
err_t *mail_recipients_find(const mail_book_t *book, const bytes_t *addresses, size_t n,
                            bytes_t sender, int64_t at, mail_recipients_t *ret_list) WARN_UNUSED;
void mail_recipients_done(mail_recipients_t *list);

/* The certificates of all locks, for mail_write_options_t.recipients; ERR_USAGE unless list->all.
 */
err_t *mail_recipients_certs(const mail_recipients_t *list, cert_list_t *ret_certs) WARN_UNUSED;

/* What policy allows beyond what every reader takes. */
typedef struct {
    bool gcm;  /* AuthEnvelopedData for peers who say that they read it */
    bool oaep; /* RSAES-OAEP, the same */
} mail_algorithms_t;
/*
 * The strongest that all of them read: AES-256-CBC and RSA PKCS#1 v1.5 unless every one of them has
 * said more; AES-128-CBC if one of them has said that it is all they have.
 */
cms_encrypt_options_t mail_recipients_algorithms(const mail_recipients_t *list,
                                                 mail_algorithms_t allowed);

/*
 * {"encrypted": bool, "later": bool, "cipher", "key_transport", "recipients": [{"address", "asked",
 * "sender", "lock", "reason", "certificate": {...} or null, ...}]}; the caller's.
 */
err_t *mail_recipients_json(const mail_recipients_t *list, mail_algorithms_t allowed,
                            json_t **ret_json) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(mail_candidates_t, mail_candidates_done)
DEFINE_CLEANUP_VALUE(mail_recipients_t, mail_recipients_done)

#endif
