/*
 * Takes a CMS message apart while it streams by (RFC 5652, RFC 5083; BER as X.690 section 8.1): the
 * content octets on one side, everything else on the other. Memory is bounded by what isn't
 * content. What is left is again a ContentInfo, in BER, with its content absent ("detached"), that
 * any CMS reader takes. Pure; belongs to one thread.
 */
#ifndef COFFER_CRYPTO_CMS_SPLIT_H
#define COFFER_CRYPTO_CMS_SPLIT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cms_head.h"

typedef struct cms_split cms_split_t;

typedef struct {
    /*
     * All that stands before the content is there: `head` is SignedData's or EnvelopedData's
     * members so far, closed as if nothing followed; borrowed during the call. Called once, also if
     * there is no content at all (then at the end).
     */
    err_t *(*head)(void *arg, cms_type_t type, bytes_t head);
    err_t *(*content)(void *arg, bytes_t octets);
    void *arg;
} cms_split_handler_t;

err_t *cms_split_new(const cms_split_handler_t *handler, cms_split_t **ret_split) WARN_UNUSED;
void cms_split_free(cms_split_t *split); /* takes NULL */
/* ERR_INVALID for what is no BER or none of the three types; ERR_LIMIT past LIMIT_CMS_REST,
 * LIMIT_CMS_DEPTH, LIMIT_CMS_SEGMENTS. No further call after an error. */
err_t *cms_split_feed(cms_split_t *split, bytes_t data) WARN_UNUSED;
/* ERR_INVALID if the message isn't complete. Afterwards the rest can be had. */
err_t *cms_split_finish(cms_split_t *split) WARN_UNUSED;
bytes_t cms_split_rest(const cms_split_t *split); /* borrowed; complete after finish */
bool cms_split_has_content(const cms_split_t *split);
cms_type_t cms_split_type(const cms_split_t *split);

DEFINE_CLEANUP(cms_split_t, cms_split_free)

#endif
