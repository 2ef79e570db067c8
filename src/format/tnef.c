/*
 * TNEF: see tnef.h. A signature and key, then attributes: level, identifier, length, data, checksum
 * (MS-OXTNEF section 2.1.3). Any thread.
 */
#include "format/tnef.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "format/mime_header.h"

enum {
    HEADER = 6, /* of the stream: signature, key */
    HEAD = 9,   /* of an attribute: level, identifier, length */
    LEVEL_MESSAGE = 1,
    LEVEL_ATTACHMENT = 2,
};

/* Identifiers (section 2.1.3.1): type above, number below. */
#define SIGNATURE     UINT32_C(0x223e9f78)
#define ATTACH_RENDER UINT32_C(0x00069002) /* an attachment begins */
#define ATTACH_TITLE  UINT32_C(0x00018010)
#define ATTACH_DATA   UINT32_C(0x0006800f)
#define ATTACH_PROPS  UINT32_C(0x00069005) /* MAPI properties of it */
#define PR_LONG_NAME  0x3707

typedef enum { IN_HEADER, IN_HEAD, IN_DATA, IN_CHECKSUM } state_t;

struct tnef_reader {
    const tnef_handler_t *handler;
    state_t state;
    uint8_t head[HEAD];
    size_t head_n;
    uint32_t id;
    uint32_t left; /* bytes of the attribute still to come */
    size_t attachments;
    bool open, failed; /* an attachment is */
    buf_t kept;        /* the attribute, if it names things */
    buf_t title, name; /* of the open attachment: short, and long */
};

err_t *tnef_reader_new(const tnef_handler_t *handler, tnef_reader_t **ret_reader) {
    tnef_reader_t *r = mem_zalloc(sizeof *r);
    if (!r) return err_nomem();
    r->handler = handler;
    buf_init_secret(&r->kept, LIMIT_TNEF_ATTRIBUTE);
    buf_init(&r->title, (size_t)LIMIT_TNEF_NAME * 4);
    buf_init(&r->name, (size_t)LIMIT_TNEF_NAME * 4);
    *ret_reader = r;
    return NULL;
}

void tnef_reader_free(tnef_reader_t *r) {
    if (!r) return;
    buf_done(&r->kept);
    buf_done(&r->title);
    buf_done(&r->name);
    mem_free(r);
}

static uint32_t u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static err_t *end_attachment(tnef_reader_t *r) {
    if (!r->open) return NULL;
    r->open = false;
    bytes_t name = r->name.n ? buf_bytes(&r->name) : buf_bytes(&r->title);
    return r->handler->end ? r->handler->end(r->handler->arg, name) : NULL;
}

static err_t *begin_attachment(tnef_reader_t *r) {
    TRY(end_attachment(r));
    if (r->attachments++ == LIMIT_TNEF_ATTACHMENTS)
        return err_new(ERR_LIMIT, "TNEF with more than %d attachments", LIMIT_TNEF_ATTACHMENTS);
    buf_clear(&r->title);
    buf_clear(&r->name);
    r->open = true;
    return r->handler->begin ? r->handler->begin(r->handler->arg) : NULL;
}

/* ---- MAPI properties (section 2.1.3.4): only the long name is looked for ---- */

static bool take(bytes_t *rest, size_t n, bytes_t *ret_part) {
    if (rest->n < n) return false;
    *ret_part = bytes_make(rest->p, n);
    *rest = bytes_from(*rest, n);
    return true;
}

static bool take_u32(bytes_t *rest, uint32_t *ret_value) {
    bytes_t four;
    if (!take(rest, 4, &four)) return false;
    *ret_value = u32(four.p);
    return true;
}

/* A length and so many bytes, padded to four. */
static bool take_counted(bytes_t *rest, bytes_t *ret_value) {
    uint32_t n;
    bytes_t padding;
    if (!take_u32(rest, &n) || !take(rest, n, ret_value)) return false;
    return take(rest, (4 - n % 4) % 4, &padding) || !rest->n;
}

/* Bytes of a value of fixed size with its padding; 0: it has a length of its own. */
static size_t fixed_size(unsigned type) {
    switch (type) {
    case 0x0002:            /* 16 bits */
    case 0x0003:            /* 32 bits */
    case 0x0004:            /* float */
    case 0x000a:            /* error */
    case 0x000b: return 4;  /* boolean */
    case 0x0005:            /* double */
    case 0x0006:            /* currency */
    case 0x0007:            /* time */
    case 0x0014:            /* 64 bits */
    case 0x0040: return 8;  /* file time */
    case 0x0048: return 16; /* GUID */
    default: return 0;
    }
}

/* A named property has a GUID, and a number or a name. */
static bool skip_name(bytes_t *rest) {
    bytes_t part;
    uint32_t kind, number;
    if (!take(rest, 16, &part) || !take_u32(rest, &kind)) return false;
    return kind == 0 ? take_u32(rest, &number) : take_counted(rest, &part);
}

static err_t *keep_name(tnef_reader_t *r, bool utf16, bytes_t value) {
    value.n = value.n < LIMIT_TNEF_NAME ? value.n : LIMIT_TNEF_NAME;
    buf_clear(&r->name);
    TRY(mime_charset_decode(utf16 ? BYTES_LIT("utf-16le") : BYTES_LIT("windows-1252"), value,
                            &r->name));
    r->name.n = bytes_find(buf_bytes(&r->name), 0);
    return NULL;
}

/* One property; *ret_more: the next can be read. */
static err_t *read_property(tnef_reader_t *r, bytes_t *rest, bool *ret_more) {
    uint32_t tag, count = 1;
    bytes_t value;
    if (!take_u32(rest, &tag)) return NULL;
    unsigned type = tag & 0xfff, number = tag >> 16;
    if (number >= 0x8000 && !skip_name(rest)) return NULL;
    size_t fixed = fixed_size(type);
    bool several = (tag & 0x1000) != 0;
    if ((several || !fixed) && !take_u32(rest, &count)) return NULL;
    if (count > rest->n) return NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (fixed ? !take(rest, fixed, &value) : !take_counted(rest, &value)) return NULL;
        if (number == PR_LONG_NAME && (type == 0x1e || type == 0x1f))
            TRY(keep_name(r, type == 0x1f, value));
    }
    *ret_more = true;
    return NULL;
}

/* Properties that can't be read are left: the attachment has its short name then. */
static err_t *read_properties(tnef_reader_t *r, bytes_t rest) {
    uint32_t count = 0;
    if (!take_u32(&rest, &count)) return NULL;
    for (uint32_t i = 0; i < count && i < LIMIT_TNEF_PROPERTIES; i++) {
        bool more = false;
        TRY(read_property(r, &rest, &more));
        if (!more) return NULL;
    }
    return NULL;
}

/* ---- Attributes ---- */

static bool is_kept(uint32_t id) { return id == ATTACH_TITLE || id == ATTACH_PROPS; }

static err_t *end_attribute(tnef_reader_t *r) {
    bytes_t kept = buf_bytes(&r->kept);
    r->state = IN_CHECKSUM;
    r->head_n = 0;
    if (!r->open) return NULL;
    if (r->id == ATTACH_PROPS) return read_properties(r, kept);
    if (r->id != ATTACH_TITLE) return NULL;
    kept.n = bytes_find(kept, 0);
    if (kept.n > LIMIT_TNEF_NAME) kept.n = LIMIT_TNEF_NAME;
    buf_clear(&r->title);
    return mime_charset_decode(BYTES_LIT("windows-1252"), kept, &r->title);
}

static err_t *begin_attribute(tnef_reader_t *r) {
    r->id = u32(r->head + 1);
    r->left = u32(r->head + 5);
    r->head_n = 0;
    r->state = IN_DATA;
    buf_clear(&r->kept);
    if (r->head[0] != LEVEL_MESSAGE && r->head[0] != LEVEL_ATTACHMENT)
        return err_new(ERR_INVALID, "MS-OXTNEF section 2.1.3: attribute level %u", r->head[0]);
    if (r->head[0] == LEVEL_MESSAGE) r->id = 0;
    if (r->id == ATTACH_RENDER) TRY(begin_attachment(r));
    return r->left ? NULL : end_attribute(r);
}

static err_t *feed_data(tnef_reader_t *r, bytes_t *data) {
    bytes_t part = bytes_slice(*data, 0, r->left);
    *data = bytes_from(*data, part.n);
    r->left -= (uint32_t)part.n;
    if (r->open && r->id == ATTACH_DATA && r->handler->data)
        TRY(r->handler->data(r->handler->arg, part));
    if (is_kept(r->id)) /* what is too long to keep is cut */
        TRY(buf_add(&r->kept, bytes_slice(part, 0, LIMIT_TNEF_ATTRIBUTE - r->kept.n)));
    return r->left ? NULL : end_attribute(r);
}

/* A head, header or checksum, `need` bytes, is complete. */
static err_t *take_head(tnef_reader_t *r) {
    switch (r->state) {
    case IN_HEADER:
        if (u32(r->head) != SIGNATURE) return err_new(ERR_INVALID, "not TNEF");
        break;
    case IN_HEAD: return begin_attribute(r);
    case IN_DATA:
    case IN_CHECKSUM: break; /* a sum of bytes protects from nothing */
    }
    r->state = IN_HEAD;
    r->head_n = 0;
    return NULL;
}

err_t *tnef_feed(tnef_reader_t *r, bytes_t data) {
    if (r->failed) return err_new(ERR_USAGE, "a reader that has failed is fed");
    r->failed = true;
    while (data.n) {
        if (r->state == IN_DATA) {
            TRY(feed_data(r, &data));
            continue;
        }
        size_t need = r->state == IN_HEADER ? HEADER : r->state == IN_HEAD ? HEAD : 2;
        r->head[r->head_n++] = data.p[0];
        data = bytes_from(data, 1);
        if (r->head_n == need) TRY(take_head(r));
    }
    r->failed = false;
    return NULL;
}

err_t *tnef_finish(tnef_reader_t *r) {
    bool whole = r->state == IN_HEAD && !r->head_n;
    TRY(end_attachment(r));
    return whole ? NULL : err_new(ERR_INVALID, "TNEF is cut off");
}
