/*
 * A message in an envelope put into a new one, to other keys: everything but the envelope stays
 * byte for byte: the header around it, the signatures and protected header fields inside. What is
 * decrypted is held in a spool and leaves only encrypted again. Belongs to one thread.
 */
#ifndef COFFER_MAIL_RESEAL_H
#define COFFER_MAIL_RESEAL_H

#include "base/rnd.h"
#include "crypto/cms.h"
#include "crypto/cms_open.h"

typedef struct {
    /* Any of the person's keys, see cms_open.h. */
    err_t *(*find_key)(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                       const pkey_t **ret_key, bool *ret_found);
    void *arg;
    const cert_list_t *recipients; /* of the new envelope, the person's new key first */
    bool any_cipher;               /* false: GCM stays GCM, CBC stays CBC */
    cms_encrypt_options_t encryption;
    const rnd_t *rnd;
    uint64_t max; /* bytes of a message */
} reseal_options_t;

typedef enum {
    RESEAL_PLAIN,   /* no envelope around the whole message */
    RESEAL_CURRENT, /* the new key opens it already */
    RESEAL_OPENED,  /* reseal_write will give it anew */
} reseal_kind_t;

typedef struct reseal reseal_t;

enum { RESEAL_DIGEST = 32 };

/* Options are borrowed. */
err_t *reseal_new(const reseal_options_t *options, reseal_t **ret_reseal) WARN_UNUSED;
void reseal_free(reseal_t *reseal); /* wipes; takes NULL */
/* The message, in any pieces. ERR_NOT_FOUND: to none of the keys. ERR_VERIFY: can't be opened.
 * ERR_INVALID, ERR_LIMIT: malformed. */
err_t *reseal_feed(reseal_t *reseal, bytes_t data) WARN_UNUSED;
/* True once nothing more of the message is needed to know that it stays as it is. */
bool reseal_is_done(const reseal_t *reseal);
err_t *reseal_finish(reseal_t *reseal, reseal_kind_t *ret_kind) WARN_UNUSED;
/* SHA-256 of what was inside the envelope, of RESEAL_OPENED. */
void reseal_digest(const reseal_t *reseal, uint8_t out[RESEAL_DIGEST]);
/* The message in its new envelope, with the line ends of the old one's header. */
err_t *reseal_write(reseal_t *reseal, err_t *(*each)(void *arg, bytes_t data),
                    void *arg) WARN_UNUSED;

DEFINE_CLEANUP(reseal_t, reseal_free)

#endif
