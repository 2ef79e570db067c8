/*
 * For the files of src/mail only: the inner entity of a message that is to be signed or encrypted:
 * its Content-* fields and body, 7-bit, with CRLF line ends. Made in a second pass, by
 * edits that the first pass found.
 */
#ifndef COFFER_MAIL_ENTITY_INTERNAL_H
#define COFFER_MAIL_ENTITY_INTERNAL_H

#include "base/arena.h"
#include "format/mime.h"
#include "mail/protect.h"
#include "mail/spool.h"

typedef enum { EDIT_REPLACE, EDIT_BASE64, EDIT_QUOTED } edit_kind_t;

typedef struct {
    uint64_t from, to; /* bytes of the message */
    edit_kind_t kind;
    bytes_t text; /* EDIT_REPLACE: what stands there instead */
} edit_t;

typedef struct {
    arena_t *arena;
    mime_handler_t handler;
    mime_reader_t *mime;
    edit_t *edits;
    size_t n, room;
    /* Header protection; set after init. */
    mail_headers_t policy;
    bool encrypted, legacy_display;
    bool protected;   /* it was done */
    protect_t header; /* fields of the message outside of the entity, and protected in it */
    buf_t html;       /* the beginning of a main HTML part, as it is encoded */
} entity_t;

err_t *entity_init(entity_t *entity) WARN_UNUSED; /* the struct must not move afterwards */
void entity_done(entity_t *entity);
/* First pass: every byte of the message, then its end. */
err_t *entity_look(entity_t *entity, bytes_t data) WARN_UNUSED;
err_t *entity_looked(entity_t *entity) WARN_UNUSED;
/* The same bytes again. */
typedef struct {
    err_t *(*read)(void *arg, err_t *(*each)(void *arg, bytes_t data), void *each_arg);
    void *arg;
    uint64_t size; /* of the first pass */
} entity_source_t;
/* Second pass: gives the entity. ERR_IO if it is longer or shorter than the first. */
err_t *entity_write(entity_t *entity, const entity_source_t *source,
                    err_t *(*each)(void *arg, bytes_t data), void *arg) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(entity_t, entity_done)

#endif
