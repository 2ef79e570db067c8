/*
 * XML documents that come one after the other in pieces (Extensible Markup Language 1.0), as a
 * stream of SOAP answers does: each element is handed on when it begins and when it ends. No
 * document types, no entities of their own, no fetching. Bounded in depth, in the text of an
 * element and in the size of a document. Between two documents it holds no memory but the struct.
 * Pure; one thread at a time.
 */
#ifndef COFFER_FORMAT_XML_STREAM_H
#define COFFER_FORMAT_XML_STREAM_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct xml_document xml_document_t;

/* All borrowed. Names are without their prefix; `depth` of the root is 1. An error ends it all. */
typedef struct {
    void *ctx;
    /* `attributes`: name, value, name, value, NULL; or NULL: nobody asks. */
    err_t *(*begin)(void *ctx, unsigned depth, const char *name, const char **attributes);
    /* `text`: what stands in the innermost element, trimmed. */
    err_t *(*end)(void *ctx, unsigned depth, const char *name, bytes_t text);
    err_t *(*done)(void *ctx); /* a document ended; or NULL */
} xml_handler_t;

typedef struct {
    const xml_handler_t *handler;
    xml_document_t *document; /* the one that has begun, or NULL */
} xml_stream_t;

/* `handler`: borrowed. */
void xml_stream_init(xml_stream_t *s, const xml_handler_t *handler);
void xml_stream_done(xml_stream_t *s);
/* ERR_INVALID: that is no XML, or has what is not allowed. ERR_LIMIT: too deep, too large. */
err_t *xml_stream_input(xml_stream_t *s, bytes_t data) WARN_UNUSED;
/* Whether it stands between two documents. */
bool xml_stream_between(const xml_stream_t *s);

#endif
