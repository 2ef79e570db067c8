/*
 * XML answers of S3 stores: see s3_xml.h. expat's events keep a stack of depth alone and the text
 * of the innermost element.
 */
#include "format/s3_xml.h"

#include <expat.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum { NAME_MAX = 64 };

typedef struct reader reader_t;

struct reader {
    XML_Parser xml;
    err_t *error; /* the first; everything after it is ignored */
    unsigned depth;
    char root[NAME_MAX];
    buf_t text; /* of the innermost element */
    /* An element at depth 2 or 3 ended (the root is at 1). */
    err_t *(*leaf)(reader_t *r, const char *name, bytes_t text);
    err_t *(*begin)(reader_t *r, const char *name); /* an element at depth 2; or NULL */
    void *out;
    arena_t *arena;
};

static const char *local_name(const char *name) {
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void fail(reader_t *r, err_t *e) {
    if (!e) return;
    if (r->error) {
        err_free(e);
        return;
    }
    r->error = e;
    (void)XML_StopParser(r->xml, XML_FALSE);
}

static void XMLCALL on_start(void *data, const XML_Char *name, const XML_Char **attributes) {
    reader_t *r = data;
    (void)attributes;
    if (r->error) return;
    if (++r->depth > LIMIT_S3_DEPTH) {
        fail(r, err_new(ERR_LIMIT, "elements more than %d deep", LIMIT_S3_DEPTH));
        return;
    }
    buf_clear(&r->text);
    const char *local = local_name(name);
    if (r->depth == 1 && strlen(local) < NAME_MAX) memcpy(r->root, local, strlen(local) + 1);
    if (r->depth == 2 && r->begin) fail(r, r->begin(r, local));
}

static void XMLCALL on_end(void *data, const XML_Char *name) {
    reader_t *r = data;
    if (r->error) return;
    if (r->depth == 2 || r->depth == 3)
        fail(r, r->leaf(r, local_name(name), text_trim(buf_bytes(&r->text))));
    buf_clear(&r->text);
    r->depth--;
}

static void XMLCALL on_text(void *data, const XML_Char *text, int length) {
    reader_t *r = data;
    if (!r->error) fail(r, buf_add(&r->text, bytes_make(text, (size_t)length)));
}

static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_subset) {
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_subset;
    fail(data, err_new(ERR_INVALID, "a document type in an answer of S3"));
}

static err_t *run(reader_t *r, bytes_t xml) {
    if (xml.n > LIMIT_S3_ANSWER) return err_new(ERR_LIMIT, "an answer of %zu bytes", xml.n);
    r->xml = XML_ParserCreate("UTF-8");
    if (!r->xml) return err_nomem();
    XML_SetUserData(r->xml, r);
    XML_SetElementHandler(r->xml, on_start, on_end);
    XML_SetCharacterDataHandler(r->xml, on_text);
    XML_SetStartDoctypeDeclHandler(r->xml, on_doctype);
    enum XML_Status status =
        XML_Parse(r->xml, xml.n ? (const char *)xml.p : "", (int)xml.n, XML_TRUE);
    if (status != XML_STATUS_OK && !r->error)
        r->error = err_new(ERR_INVALID, "not XML: %s", XML_ErrorString(XML_GetErrorCode(r->xml)));
    XML_ParserFree(r->xml);
    r->xml = NULL;
    return STEAL(r->error);
}

/* ---- listings ---- */

static err_t *listing_begin(reader_t *r, const char *name) {
    s3_listing_t *listing = r->out;
    if (strcmp(name, "Contents") != 0) return NULL;
    if (listing->n == LIMIT_BLOB_PAGE)
        return err_new(ERR_LIMIT, "more than %d objects in a page", LIMIT_BLOB_PAGE);
    listing->objects[listing->n++] = (s3_object_t){.key = ""};
    return NULL;
}

/* "2009-10-12T17:50:30.000Z": the fraction is left out. */
static err_t *read_time(bytes_t text, int64_t *ret_time) {
    char plain[TEXT_TIME_SIZE];
    size_t dot = bytes_find(text, '.');
    if (dot == text.n) return text_parse_time(text, ret_time);
    if (dot + 2 > sizeof plain) return err_new(ERR_INVALID, "not a time");
    memcpy(plain, text.p, dot);
    plain[dot] = 'Z';
    return text_parse_time(bytes_make(plain, dot + 1), ret_time);
}

static err_t *listing_leaf(reader_t *r, const char *name, bytes_t text) {
    s3_listing_t *listing = r->out;
    if (r->depth == 2) {
        if (strcmp(name, "IsTruncated") == 0) listing->truncated = bytes_eq_str(text, "true");
        return NULL;
    }
    if (listing->n == 0) return NULL;
    s3_object_t *object = &listing->objects[listing->n - 1];
    if (strcmp(name, "Size") == 0) return text_u64(text, INT64_MAX, &object->size);
    if (strcmp(name, "LastModified") == 0) return read_time(text, &object->modified);
    if (strcmp(name, "Key") != 0) return NULL;
    if (bytes_has_nul(text)) return err_new(ERR_INVALID, "a key with a NUL");
    bytes_t copy = BYTES_NONE;
    TRY(arena_copy(r->arena, text, &copy));
    object->key = (const char *)copy.p;
    return NULL;
}

err_t *s3_listing_parse(bytes_t xml, arena_t *arena, s3_listing_t *ret_listing) {
    s3_listing_t listing = {.n = 0};
    TRY(arena_alloc(arena, LIMIT_BLOB_PAGE * sizeof listing.objects[0], &listing.objects));
    reader_t r = {.leaf = listing_leaf, .begin = listing_begin, .out = &listing, .arena = arena};
    buf_init(&r.text, LIMIT_S3_TEXT);
    err_t *e = run(&r, xml);
    buf_done(&r.text);
    if (e) return err_wrap(e, "a listing of S3");
    if (strcmp(r.root, "ListBucketResult") != 0)
        return err_new(ERR_INVALID, "the answer is no listing of S3");
    *ret_listing = listing;
    return NULL;
}

/* ---- errors ---- */

static void copy_ascii(bytes_t text, char *out, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < text.n && n + 1 < size; i++)
        out[n++] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? (char)text.p[i] : '?';
    out[n] = '\0';
}

static err_t *error_leaf(reader_t *r, const char *name, bytes_t text) {
    s3_error_t *error = r->out;
    if (r->depth != 2 || strcmp(r->root, "Error") != 0) return NULL;
    if (strcmp(name, "Code") == 0) copy_ascii(text, error->code, sizeof error->code);
    if (strcmp(name, "Message") == 0) copy_ascii(text, error->message, sizeof error->message);
    return NULL;
}

void s3_error_parse(bytes_t xml, s3_error_t *ret_error) {
    *ret_error = (s3_error_t){.code = ""};
    reader_t r = {.leaf = error_leaf, .out = ret_error};
    buf_init(&r.text, LIMIT_S3_TEXT);
    err_ignore(run(&r, xml));
    buf_done(&r.text);
}
