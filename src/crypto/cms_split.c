/*
 * The splitter: see cms_split.h. A push tokenizer with a stack of open elements. The elements
 * around the content (ContentInfo, its [0], SignedData or EnvelopedData, and the SEQUENCE that
 * holds the content) are written with indefinite length, since theirs changes; all others byte by
 * byte as they came. Runs in mailgate, coffer and mailbox; any thread.
 */
#include "crypto/cms_split.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/der_internal.h"

enum { WRAPPERS = 4, CONSTRUCTED = 0x20, INDEFINITE = 0x80 };

typedef struct {
    uint8_t tag;
    bool indefinite;
    bool wrapper; /* its length is written anew */
    bool content; /* part of the content: nothing of it goes to the rest */
    uint64_t end; /* offset behind it, if definite; its parent's if not */
    unsigned members;
} open_t;

struct cms_split {
    const cms_split_handler_t *handler;
    open_t open[LIMIT_CMS_DEPTH];
    size_t depth;
    uint64_t offset;                    /* of the next byte */
    uint8_t head[2 + sizeof(uint64_t)]; /* of the element that is read: tag, length */
    size_t head_n;
    uint64_t primitive; /* bytes left of a primitive element */
    bool primitive_content;
    bool typed, headed, has_content, done;
    cms_type_t type;
    size_t elements, segments;
    buf_t rest;
    buf_t oid; /* contentType's octets */
};

err_t *cms_split_new(const cms_split_handler_t *handler, cms_split_t **ret_split) {
    cms_split_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    s->handler = handler;
    buf_init(&s->rest, LIMIT_CMS_REST);
    buf_init(&s->oid, 32);
    *ret_split = s;
    return NULL;
}

void cms_split_free(cms_split_t *s) {
    if (!s) return;
    buf_done(&s->rest);
    buf_done(&s->oid);
    mem_free(s);
}

bytes_t cms_split_rest(const cms_split_t *s) { return buf_bytes(&s->rest); }
bool cms_split_has_content(const cms_split_t *s) { return s->has_content; }
cms_type_t cms_split_type(const cms_split_t *s) { return s->type; }

static err_t *find_type(cms_split_t *s) {
    static const struct {
        cms_type_t type;
        bytes_t oid;
    } known[] = {
        {CMS_SIGNED_DATA, {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", 9}},
        {CMS_ENVELOPED_DATA, {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", 9}},
        {CMS_AUTHENVELOPED_DATA,
         {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17", 11}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!bytes_eq(buf_bytes(&s->oid), known[i].oid)) continue;
        s->type = known[i].type;
        s->typed = true;
        return NULL;
    }
    return err_new(ERR_INVALID, "CMS content type is not one that is read here");
}

/* The head event: what was kept so far, its open wrappers closed. */
static err_t *give_head(cms_split_t *s) {
    static const uint8_t ends[2 * WRAPPERS] = {0};
    size_t open = 0, before = s->rest.n;
    if (s->headed) return NULL;
    s->headed = true;
    if (!s->typed) return err_new(ERR_INVALID, "CMS message without a type");
    for (size_t i = 0; i < s->depth; i++) open += s->open[i].wrapper;
    TRY(buf_add(&s->rest, bytes_make(ends, 2 * open)));
    err_t *e = s->handler->head(s->handler->arg, s->type, buf_bytes(&s->rest));
    s->rest.n = before;
    return e;
}

/* Whether the element that begins is the content, by where it stands. depth: of its parents. */
static bool is_content(const cms_split_t *s, uint8_t tag) {
    if (s->depth != WRAPPERS) return false;
    /* encapContentInfo { type, [0] EXPLICIT }; encryptedContentInfo { type, algorithm, [0] } */
    const open_t *holder = &s->open[WRAPPERS - 1];
    if (!holder->wrapper) return false;
    if (s->type == CMS_SIGNED_DATA) return tag == 0xa0 && holder->members == 2;
    return (tag == 0x80 || tag == 0xa0) && holder->members == 3;
}

/* Whether it is one of the elements around the content. */
static bool is_wrapper(const cms_split_t *s, uint8_t tag) {
    switch (s->depth) {
    case 0: return true;
    case 1: return tag == 0xa0;
    case 2: return true;
    case 3: /* the first SEQUENCE: of SignedData the third member, else behind the recipients */
        return tag == DER_SEQUENCE && !s->headed && !s->has_content;
    default: return false;
    }
}

static err_t *check_place(const cms_split_t *s, uint8_t tag) {
    static const uint8_t outer[] = {DER_SEQUENCE, 0, DER_SEQUENCE};
    if ((s->depth == 0 || s->depth == 2) && tag != outer[s->depth])
        return err_new(ERR_INVALID, "CMS: element %02x where a SEQUENCE belongs", tag);
    if (s->depth == 0 && s->done) return err_new(ERR_INVALID, "bytes behind the CMS message");
    if (s->depth == 1) {
        unsigned member = s->open[0].members;
        if ((member == 1) != (tag == DER_OID) || (member == 2) != (tag == 0xa0) || member > 2)
            return err_new(ERR_INVALID, "CMS: not a ContentInfo (RFC 5652 section 3)");
    }
    /* Inside the content: octet strings; in SignedData's [0] exactly one. */
    const open_t *parent = s->depth ? &s->open[s->depth - 1] : NULL;
    if (parent && parent->content) {
        bool second = s->type == CMS_SIGNED_DATA && s->depth == WRAPPERS + 1 && parent->members > 1;
        if ((tag & ~CONSTRUCTED) != DER_OCTET_STRING || second)
            return err_new(ERR_INVALID, "CMS: content is no OCTET STRING");
    }
    return NULL;
}

static err_t *close_element(cms_split_t *s) {
    const open_t *o = &s->open[s->depth - 1];
    if (o->wrapper && s->depth == WRAPPERS) TRY(give_head(s)); /* there was no content in it */
    s->depth--;
    if (o->wrapper || (o->indefinite && !o->content)) TRY(buf_add(&s->rest, bytes_make("\0\0", 2)));
    if (s->depth == 0) s->done = true;
    return NULL;
}

/* Elements of definite length that end here. */
static err_t *close_ended(cms_split_t *s) {
    while (s->depth && !s->primitive && !s->open[s->depth - 1].indefinite &&
           s->open[s->depth - 1].end == s->offset)
        TRY(close_element(s));
    return NULL;
}

static uint64_t bound(const cms_split_t *s) {
    return s->depth ? s->open[s->depth - 1].end : UINT64_MAX;
}

static err_t *open_element(cms_split_t *s, uint8_t tag, bool indefinite, uint64_t length,
                           bytes_t head, bool content) {
    if (s->depth == LIMIT_CMS_DEPTH)
        return err_new(ERR_LIMIT, "CMS elements more than %d deep", LIMIT_CMS_DEPTH);
    bool wrapper = !content && is_wrapper(s, tag);
    if (wrapper) {
        TRY(buf_add_byte(&s->rest, tag));
        TRY(buf_add_byte(&s->rest, INDEFINITE));
    } else if (!content) {
        TRY(buf_add(&s->rest, head));
    }
    s->open[s->depth++] =
        (open_t){tag, indefinite, wrapper, content, indefinite ? bound(s) : s->offset + length, 0};
    return close_ended(s);
}

static err_t *begin_element(cms_split_t *s, bytes_t head, uint8_t tag, bool indefinite,
                            uint64_t length) {
    open_t *parent = s->depth ? &s->open[s->depth - 1] : NULL;
    if (parent) parent->members++;
    TRY(check_place(s, tag));
    if (!indefinite && length > bound(s) - s->offset)
        return err_new(ERR_INVALID, "BER length past its parent");
    bool content = (parent && parent->content) || is_content(s, tag);
    if (content && !s->has_content) {
        TRY(give_head(s));
        s->has_content = true;
    }
    if (content && ++s->segments > LIMIT_CMS_SEGMENTS)
        return err_new(ERR_LIMIT, "content in more than %d pieces", LIMIT_CMS_SEGMENTS);
    if (!content && ++s->elements > LIMIT_CMS_ELEMENTS)
        return err_new(ERR_LIMIT, "more than %d BER elements", LIMIT_CMS_ELEMENTS);
    if (tag & CONSTRUCTED) return open_element(s, tag, indefinite, length, head, content);
    if (indefinite) return err_new(ERR_INVALID, "BER primitive of indefinite length");
    if (!content) TRY(buf_add(&s->rest, head));
    s->primitive = length;
    s->primitive_content = content;
    return close_ended(s);
}

/* Byte by byte: tag and length. */
static err_t *head_byte(cms_split_t *s, uint8_t byte) {
    if (s->head_n == 0 && (byte & 0x1f) == 0x1f)
        return err_new(ERR_INVALID, "BER tag of several bytes");
    s->head[s->head_n++] = byte;
    s->offset++;
    if (s->head_n < 2) return NULL;
    uint8_t first = s->head[1];
    size_t more = first > 0x80 ? first & 0x7fu : 0;
    if (more > sizeof(uint64_t) - 1) return err_new(ERR_INVALID, "BER length of %zu bytes", more);
    if (s->head_n < 2 + more) return NULL;
    bytes_t head = bytes_make(s->head, s->head_n);
    uint64_t length = more ? 0 : first & 0x7fu;
    for (size_t i = 0; i < more; i++) length = length << 8 | s->head[2 + i];
    s->head_n = 0;
    if (head.p[0] == 0) {
        if (first || !s->depth || !s->open[s->depth - 1].indefinite)
            return err_new(ERR_INVALID, "BER end-of-contents where none belongs");
        TRY(close_element(s));
        return close_ended(s);
    }
    return begin_element(s, head, head.p[0], first == INDEFINITE, length);
}

static err_t *give_primitive(cms_split_t *s, bytes_t part) {
    s->offset += part.n;
    s->primitive -= part.n;
    if (s->primitive_content) {
        TRY(s->handler->content(s->handler->arg, part));
    } else {
        if (s->depth == 1) TRY(buf_add(&s->oid, part));
        TRY(buf_add(&s->rest, part));
        if (s->depth == 1 && !s->primitive) TRY(find_type(s));
    }
    return close_ended(s);
}

err_t *cms_split_feed(cms_split_t *s, bytes_t data) {
    while (data.n) {
        if (s->primitive) {
            bytes_t part =
                bytes_slice(data, 0, s->primitive < data.n ? (size_t)s->primitive : data.n);
            data = bytes_from(data, part.n);
            TRY(give_primitive(s, part));
        } else if (s->done) {
            return err_new(ERR_INVALID, "bytes behind the CMS message");
        } else {
            TRY(head_byte(s, data.p[0]));
            data = bytes_from(data, 1);
        }
    }
    return NULL;
}

err_t *cms_split_finish(cms_split_t *s) {
    if (!s->done || s->head_n || s->primitive)
        return err_new(ERR_INVALID, "CMS message is cut off");
    return give_head(s);
}
