/*
 * See xml_stream.h. A parser of expat for each document; it ends with the root, and what stands
 * behind that is the next one's. Any thread.
 */
#include "format/xml_stream.h"

#include <expat.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

struct xml_document {
    XML_Parser xml;
    const xml_handler_t *handler;
    err_t *error; /* the first; everything after it is ignored */
    unsigned depth;
    bool ended;
    size_t fed;  /* bytes */
    size_t used; /* up to the root's end, once it ended */
    buf_t text;  /* of the innermost element */
};

static const char *local_name(const char *name) {
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void fail(xml_document_t *d, err_t *e) {
    if (!e) return;
    if (d->error) {
        err_free(e);
        return;
    }
    d->error = e;
    (void)XML_StopParser(d->xml, XML_FALSE);
}

static void XMLCALL on_begin(void *data, const XML_Char *name, const XML_Char **attributes) {
    xml_document_t *d = data;
    if (d->error || d->ended) return;
    if (++d->depth > LIMIT_XML_DEPTH) {
        fail(d, err_new(ERR_LIMIT, "XML: elements more than %d deep", LIMIT_XML_DEPTH));
        return;
    }
    buf_clear(&d->text);
    if (d->handler->begin)
        fail(d, d->handler->begin(d->handler->ctx, d->depth, local_name(name), attributes));
}

static void XMLCALL on_end(void *data, const XML_Char *name) {
    xml_document_t *d = data;
    if (d->error || d->ended) return;
    bytes_t text = text_trim(buf_bytes(&d->text));
    fail(d, d->handler->end(d->handler->ctx, d->depth, local_name(name), text));
    buf_clear(&d->text);
    if (--d->depth > 0 || d->error) return;
    d->ended = true;
    /* Of an empty root, expat counts this event from the tag's end, with no length. */
    d->used = (size_t)XML_GetCurrentByteIndex(d->xml) + (size_t)XML_GetCurrentByteCount(d->xml);
    (void)XML_StopParser(d->xml, XML_FALSE);
}

static void XMLCALL on_text(void *data, const XML_Char *text, int length) {
    xml_document_t *d = data;
    if (!d->error && !d->ended) fail(d, buf_add(&d->text, bytes_make(text, (size_t)length)));
}

static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_subset) {
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    fail(data, err_new(ERR_INVALID, "XML: a document type"));
}

static void document_free(xml_document_t *d) {
    if (!d) return;
    if (d->xml) XML_ParserFree(d->xml);
    err_free(d->error);
    buf_done(&d->text);
    mem_free(d);
}
DEFINE_CLEANUP(xml_document_t, document_free)

static err_t *document_new(const xml_handler_t *handler, xml_document_t **ret_document) {
    CLEANUP(document_free) xml_document_t *d = mem_zalloc(sizeof *d);
    if (!d) return err_nomem();
    buf_init(&d->text, LIMIT_XML_TEXT);
    d->handler = handler;
    d->xml = XML_ParserCreate("UTF-8");
    if (!d->xml) return err_nomem();
#ifdef HAVE_EXPAT_DEFERRAL /* what has come is looked at now: the next byte may be an hour away */
    (void)XML_SetReparseDeferralEnabled(d->xml, XML_FALSE);
#endif
    XML_SetUserData(d->xml, d);
    XML_SetElementHandler(d->xml, on_begin, on_end);
    XML_SetCharacterDataHandler(d->xml, on_text);
    XML_SetStartDoctypeDeclHandler(d->xml, on_doctype);
    *ret_document = STEAL(d);
    return NULL;
}

void xml_stream_init(xml_stream_t *s, const xml_handler_t *handler) {
    *s = (xml_stream_t){.handler = handler};
}

void xml_stream_done(xml_stream_t *s) {
    document_free(s->document);
    s->document = NULL;
}

bool xml_stream_between(const xml_stream_t *s) { return s->document == NULL; }

/* Up to the end of the document, if that is in there. */
static err_t *feed(xml_document_t *d, bytes_t data, size_t *ret_used) {
    const size_t before = d->fed;
    d->fed += data.n;
    enum XML_Status status = XML_Parse(d->xml, (const char *)data.p, (int)data.n, XML_FALSE);
    if (d->error) return STEAL(d->error);
    if (!d->ended && status != XML_STATUS_OK)
        return err_new(ERR_INVALID, "not XML: %s", XML_ErrorString(XML_GetErrorCode(d->xml)));
    if (d->ended && (d->used < before || d->used - before > data.n))
        return err_new(ERR_INTERNAL, "the end of an XML document lies outside of it");
    *ret_used = d->ended ? d->used - before : data.n;
    return NULL;
}

enum { MARK = 0xef }; /* the first byte of UTF-8's byte order mark */

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

err_t *xml_stream_input(xml_stream_t *s, bytes_t data) {
    while (data.n) {
        size_t used = 0;
        if (!s->document && is_space(data.p[0])) {
            data = bytes_from(data, 1);
            continue;
        }
        if (!s->document && data.p[0] != '<' && data.p[0] != MARK)
            return err_new(ERR_INVALID, "not XML: text between documents");
        if (!s->document) TRY(document_new(s->handler, &s->document));
        size_t room = LIMIT_XML_DOCUMENT - s->document->fed;
        if (room == 0)
            return err_new(ERR_LIMIT, "an XML document of more than %d bytes", LIMIT_XML_DOCUMENT);
        TRY(feed(s->document, bytes_slice(data, 0, room), &used));
        data = bytes_from(data, used);
        if (!s->document->ended) continue;
        xml_stream_done(s);
        if (s->handler->done) TRY(s->handler->done(s->handler->ctx));
    }
    return NULL;
}
