/*
 * Reads an S/MIME message as it comes in: takes off envelopes and opaque signatures layer by layer,
 * checks signatures, lists the parts, and holds everything back until mail_reader_finish has made
 * its verdict (docs/threat-model.md). RFC 8551, 5652, 2045. Belongs to one thread.
 *
 * Only what encloses the whole message is opened: an encrypted part among others stays closed, and
 * nothing decrypted is ever put beside what wasn't (EFAIL).
 */
#ifndef COFFER_MAIL_READER_H
#define COFFER_MAIL_READER_H

#include "base/rnd.h"
#include "mail/spool.h"
#include "mail/verdict.h"

typedef struct {
    /* A key for a recipientInfo: see cms_open.h. NULL: envelopes stay closed, ERR_NOT_FOUND. */
    err_t *(*find_key)(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                       const pkey_t **ret_key, bool *ret_found);
    /* Whether the certificate was revoked at that time. NULL: not asked. */
    err_t *(*revoked)(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked);
    /* The same with more to tell; takes the place of `revoked`. `others`: certificates that came
     * along, the issuer's perhaps among them. */
    err_t *(*revocation)(void *arg, const cert_t *cert, const cert_list_t *others, int64_t at,
                         mail_revocation_t *ret_revocation);
    /* A leaf of the innermost message and its decoded bytes. NOT to be believed, shown or kept
     * before finish has succeeded. May be NULL. */
    err_t *(*part_begin)(void *arg, const mail_part_t *part);
    err_t *(*part_data)(void *arg, const mail_part_t *part, bytes_t data);
    err_t *(*part_end)(void *arg, const mail_part_t *part);
    void *arg;
    /* The content key, for keys that lie elsewhere: see cms_open.h. NULL: none do. */
    err_t *(*unwrap)(void *arg, const cert_t *cert, const cms_wrapped_t *wrapped, uint8_t *ret_key,
                     size_t n);
} mail_reader_handler_t;

/* What is kept for mail_reader_output. */
typedef enum {
    MAIL_KEEP_NOTHING,
    MAIL_KEEP_DECRYPTED, /* the message inside the innermost envelope, signatures and all */
    MAIL_KEEP_CONTENT,   /* without envelopes and signatures */
} mail_keep_t;

/* How far parts are looked into. */
typedef enum {
    MAIL_LOOK_DIGEST, /* all that the verdict tells */
    MAIL_LOOK_DECODE, /* no digests */
    MAIL_LOOK_SKIM,   /* no sizes and nothing of how bytes are encoded either, and handlers are
                         given no parts: for those who want the message, not what is in it */
} mail_look_t;

typedef struct {
    const rnd_t *rnd;
    int64_t now;              /* seconds since 1970 UTC */
    const cert_list_t *roots; /* trusted for signing mail; may be NULL */
    const cert_list_t *intermediates;
    mail_keep_t keep;
    mail_look_t look;
    uint64_t max;               /* bytes of kept content */
    const spool_files_t *files; /* for what is kept; NULL: temporary ones */
    bool at_arrival; /* signers are judged as of `now`, whatever time they say they signed at: for
                        mail that has just come */
} mail_reader_options_t;

typedef struct mail_reader mail_reader_t;

/* Handler and options are borrowed. */
err_t *mail_reader_new(const mail_reader_handler_t *handler, const mail_reader_options_t *options,
                       mail_reader_t **ret_reader) WARN_UNUSED;
void mail_reader_free(mail_reader_t *reader); /* takes NULL */
err_t *mail_reader_feed(mail_reader_t *reader, bytes_t data) WARN_UNUSED;
/*
 * The message is at its end. ERR_NOT_FOUND: encrypted, to no key of ours. ERR_VERIFY: can't be
 * decrypted. A signature that doesn't hold is no error: the verdict (borrowed) says it.
 */
err_t *mail_reader_finish(mail_reader_t *reader, const mail_verdict_t **ret_verdict) WARN_UNUSED;
/*
 * After finish: what was kept, as a message: the outer header without Content-* fields, then the
 * inner part with its own.
 */
err_t *mail_reader_output(mail_reader_t *reader, err_t *(*each)(void *arg, bytes_t data),
                          void *arg) WARN_UNUSED;

DEFINE_CLEANUP(mail_reader_t, mail_reader_free)

#endif
