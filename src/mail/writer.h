/*
 * Makes signed and encrypted messages (RFC 8551) out of plain ones, as streams: memory doesn't grow
 * with the message. Content is made 7-bit with CRLF line ends before it is signed, so that no relay
 * has a reason to touch it (RFC 8551 section 3.1.2); what is already signed inside is left as it
 * is. Belongs to one thread.
 */
#ifndef COFFER_MAIL_WRITER_H
#define COFFER_MAIL_WRITER_H

#include "base/rnd.h"
#include "crypto/cms.h"
#include "mail/spool.h"

/*
 * Header protection (RFC 9788): the message's fields are signed and encrypted with its content, and
 * what stays readable outside follows a header confidentiality policy.
 */
typedef enum {
    MAIL_HEADERS_BARE,     /* not protected */
    MAIL_HEADERS_OPEN,     /* hcp_no_confidentiality: protected, all readable outside */
    MAIL_HEADERS_BASELINE, /* hcp_baseline: outside Subject is "[...]", Comments, Keywords absent */
} mail_headers_t;

typedef struct {
    const rnd_t *rnd;
    int64_t now;                /* seconds since 1970 UTC */
    uint64_t max;               /* bytes of a message */
    const spool_files_t *files; /* for the spool; NULL: temporary ones */
    /*
     * Gives the whole message once more, after it was fed; NULL: it is kept in a spool meanwhile,
     * sealed on disk if it is large, which costs as much as all the rest.
     */
    err_t *(*again)(void *arg, err_t *(*each)(void *arg, bytes_t data), void *each_arg);
    void *again_arg;
    /* Signed only: fields stay readable whatever the policy (hp="clear"). A message that is signed
     * or encrypted already has its payload out of reach: its fields stay as they are, see
     * mail_writer_protected. */
    mail_headers_t headers;
    /* With fields hidden outside: shows them again at the top of the text, for mail programs that
     * don't know RFC 9788 (section 5.2.2); those that do hide that again. */
    bool legacy_display;
    /* Signing; NULL: not signed. */
    const cms_signer_t *signer;
    cms_digest_t digest;
    /*
     * Signing where the key is, instead of `signer`: appends detached SignedData over content of
     * this SHA-256. Clear signatures only.
     */
    err_t *(*sign)(void *arg, bytes_t sha256, buf_t *out);
    void *sign_arg;
    bool opaque; /* application/pkcs7-mime instead of multipart/signed */
    /* Encrypting, around the signature; NULL: not encrypted. */
    const cert_list_t *recipients;
    cms_encrypt_options_t encryption;
} mail_write_options_t;

typedef struct mail_writer mail_writer_t;

/* Options are borrowed. */
err_t *mail_writer_new(const mail_write_options_t *options, mail_writer_t **ret_writer) WARN_UNUSED;
void mail_writer_free(mail_writer_t *writer); /* takes NULL */
/* Takes the plain message in pieces; without `again` it is held in a spool. */
err_t *mail_writer_feed(mail_writer_t *writer, bytes_t data) WARN_UNUSED;
/* Gives the finished message, header first. An error may come after part of it was given. */
err_t *mail_writer_finish(mail_writer_t *writer, err_t *(*each)(void *arg, bytes_t data),
                          void *arg) WARN_UNUSED;

/* After finish: whether the header was protected. */
bool mail_writer_protected(const mail_writer_t *writer);

DEFINE_CLEANUP(mail_writer_t, mail_writer_free)

#endif
