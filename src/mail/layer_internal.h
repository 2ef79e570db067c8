/*
 * For the files of src/mail only: a reader and its layers. A layer is an entity with at most one
 * wrapper around all of it: an envelope, an opaque or a clear signature; what is inside is the next
 * layer. The last layer is the message people see.
 */
#ifndef COFFER_MAIL_LAYER_INTERNAL_H
#define COFFER_MAIL_LAYER_INTERNAL_H

#include "crypto/cms_split.h"
#include "crypto/digest.h"
#include "format/mime.h"
#include "format/transfer.h"
#include "mail/content_hash.h"
#include "mail/reader.h"
#include "mail/spool.h"

typedef enum { LAYER_PLAIN, LAYER_ENVELOPE, LAYER_OPAQUE, LAYER_CLEAR } layer_kind_t;

/* A multipart/signed being read. */
typedef struct {
    char path[128];
    bool root;
    content_hash_t hash;
    buf_t signature; /* the CMS, decoded */
    transfer_decoder_t decoder;
} clear_t;

/* Hangs on a mime_part_t. */
typedef struct node {
    struct node *outer; /* of the layer's open parts, the one around it */
    size_t index;       /* in the verdict's parts */
    clear_t *clear;
    transfer_decoder_t decoder;
    bool leaf;        /* decoded */
    digest_t *digest; /* of it, unless nobody asks */
    bool detached;    /* the signature part of a multipart/signed */
} node_t;

typedef struct layer {
    mail_reader_t *r;
    struct layer *inner;
    unsigned depth;
    char prefix[MIME_PATH_SIZE - 8]; /* of its parts' paths */
    char root[MIME_PATH_SIZE];       /* its root part's path */
    layer_kind_t kind;
    bool encrypted;
    bool begun;    /* the header of the root was read */
    node_t *nodes; /* of open parts, the innermost first */
    mime_handler_t handler;
    mime_reader_t *mime;
    /* ENVELOPE, OPAQUE */
    transfer_decoder_t decoder;
    buf_t decoded;
    buf_t peek; /* first bytes, until the type is known */
    bool typed;
    cms_open_handler_t open_handler;
    cms_open_t *open;
    cms_split_handler_t split_handler;
    cms_split_t *split;
    content_hash_t hash;
} layer_t;

struct mail_reader {
    const mail_reader_handler_t *handler;
    const mail_reader_options_t *options;
    mail_verdict_t verdict;
    layer_t *first;
    layer_t *kept; /* whose bytes go to the spool */
    spool_t *spool;
    buf_t header;  /* the outer one, without Content-* */
    buf_t decoded; /* of leaves */
    /* Of a message with protected fields: the layer they stand in, how long its root's header
     * block is, those fields, and its Content-* ones. */
    const layer_t *payload;
    uint64_t payload_bytes;
    buf_t payload_header, payload_type;
    bool no_mime; /* what was decrypted is no message */
    bool finished;
};

err_t *layer_new(mail_reader_t *r, layer_t *outer, const char *path,
                 layer_t **ret_layer) WARN_UNUSED;
void layer_free(layer_t *layer); /* and those inside */
err_t *layer_feed(layer_t *layer, bytes_t data) WARN_UNUSED;
err_t *layer_finish(layer_t *layer) WARN_UNUSED;
DEFINE_CLEANUP(layer_t, layer_free)
/* The one error for whatever doesn't decrypt to a message. */
err_t *mail_undecryptable(void) WARN_UNUSED;

/* Room for one more, zeroed; ERR_LIMIT. */
err_t *verdict_add_part(mail_verdict_t *v, size_t *ret_index) WARN_UNUSED;
err_t *verdict_add_signature(mail_verdict_t *v, const char *path, bool root, bool clear,
                             size_t *ret_index) WARN_UNUSED;

/* ---- wrapper.c: what encloses a layer ---- */

/* Which wrapper a layer's root part is, by its type and name. */
layer_kind_t wrapper_kind(const mime_part_t *part);
/* Whether the part is CMS at all (by type or file name), as root or among others. */
bool wrapper_is_cms(const mime_part_t *part);
/* Bytes of the root's body; its end. */
err_t *wrapper_feed(layer_t *layer, bytes_t data) WARN_UNUSED;
err_t *wrapper_finish(layer_t *layer) WARN_UNUSED;

/* ---- clear.c: multipart/signed ---- */

err_t *clear_new(const mime_part_t *part, const char *path, bool root,
                 clear_t **ret_clear) WARN_UNUSED;
void clear_free(clear_t *clear);
err_t *clear_signature_data(clear_t *clear, bytes_t data) WARN_UNUSED;
/* Judges it into the verdict; *ret_index the signature's. */
err_t *clear_finish(mail_reader_t *r, clear_t *clear) WARN_UNUSED;
/* A SignedData without content, into a signature of the verdict. Malformed: a problem, no error. */
err_t *signature_check_rest(mail_reader_t *r, mail_signature_t *s, bytes_t rest,
                            const content_hash_t *hash) WARN_UNUSED;

#endif
