/*
 * Whether a message that looks encrypted is: where encryption is required, a look is nothing. The
 * CMS must be EnvelopedData or AuthEnvelopedData from its first byte to its last (RFC 5652, RFC
 * 5083), PGP/MIME its two parts and nothing beside them (RFC 3156 section 4), and armour must hold
 * an encrypted message, not one that is signed or packed (RFC 9580 sections 4.3, 6.2). What can't
 * be proven counts as plain. Any thread.
 */
#include "base/text.h"
#include "crypto/cms_split.h"
#include "format/transfer.h"
#include "mail/gate_internal.h"

enum { PIECE = 32 * 1024, DECODED = 64 * 1024, LINE = 1000, HEAD_LINES = 12, HEAD_LINE = 200 };

/* ---- CMS ---- */

typedef struct {
    transfer_decoder_t decoder;
    buf_t decoded;
    cms_split_handler_t handler;
    cms_split_t *split;
    uint64_t content;
} cms_t;

static void cms_done(cms_t *c) {
    buf_done(&c->decoded);
    cms_split_free(c->split);
}
DEFINE_CLEANUP_VALUE(cms_t, cms_done)

static err_t *on_head(void *arg, cms_type_t type, bytes_t head) {
    (void)arg;
    (void)type;
    (void)head;
    return NULL;
}

static err_t *on_content(void *arg, bytes_t octets) {
    ((cms_t *)arg)->content += octets.n;
    return NULL;
}

static err_t *feed_cms(void *arg, bytes_t data) {
    cms_t *c = arg;
    while (data.n) {
        bytes_t piece = bytes_slice(data, 0, PIECE);
        buf_clear(&c->decoded);
        TRY(transfer_decode(&c->decoder, piece, &c->decoded));
        if (c->decoded.n) TRY(cms_split_feed(c->split, buf_bytes(&c->decoded)));
        data = bytes_from(data, piece.n);
    }
    return NULL;
}

static err_t *read_cms(const gate_job_t *job, mime_encoding_t encoding, bool *ret_closed) {
    cms_t c CLEANUP(cms_done) = {.content = 0};
    buf_init(&c.decoded, DECODED);
    c.handler = (cms_split_handler_t){on_head, on_content, &c};
    transfer_decoder_init(&c.decoder, encoding);
    TRY(cms_split_new(&c.handler, &c.split));
    TRY(gate_file_read(job->env->fd, job->msg.body, job->msg.size, feed_cms, &c));
    buf_clear(&c.decoded);
    TRY(transfer_decode_end(&c.decoder, &c.decoded));
    if (c.decoded.n) TRY(cms_split_feed(c.split, buf_bytes(&c.decoded)));
    TRY(cms_split_finish(c.split));
    *ret_closed = !c.decoder.dirty && c.content && cms_split_type(c.split) != CMS_SIGNED_DATA;
    return NULL;
}

/* ---- PGP, line by line ---- */

typedef enum { PRE, HEAD_ONE, BODY_ONE, HEAD_TWO, ARMOUR, AFTER } place_t;
typedef enum { BEFORE, HEADERS, FIRST, DATA, BEHIND } armour_t;

typedef struct {
    transfer_decoder_t decoder;
    buf_t decoded, line;
    bytes_t boundary; /* none: armour in the text */
    place_t place;
    armour_t armour;
    bool typed; /* the part's type was there */
    unsigned lines;
    bool bad;
} pgp_t;

static void pgp_done(pgp_t *p) {
    buf_done(&p->decoded);
    buf_done(&p->line);
}
DEFINE_CLEANUP_VALUE(pgp_t, pgp_done)

static int sextet(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Armour has lines of at most 76 characters; some write more. */
static bool is_base64(bytes_t line) {
    size_t n = line.n;
    while (n && line.n - n < 2 && line.p[n - 1] == '=') n--;
    for (size_t i = 0; i < n; i++)
        if (sextet(line.p[i]) < 0) return false;
    return n > 0 && line.n <= 100;
}

/* The first packet: a session key for somebody or by a password, or encrypted data. */
static bool begins_encrypted(bytes_t line) {
    if (line.n < 2 || !is_base64(line)) return false;
    int high = sextet(line.p[0]), low = sextet(line.p[1]);
    if (high < 0 || low < 0) return false;
    unsigned byte = (unsigned)high << 2 | (unsigned)low >> 4;
    unsigned tag = byte & 0x40 ? byte & 0x3f : byte >> 2 & 0xf;
    return byte & 0x80 && (tag == 1 || tag == 3 || tag == 9 || tag == 18 || tag == 20);
}

static bool armour_line(pgp_t *p, bytes_t line) {
    switch (p->armour) {
    case BEFORE:
        if (!line.n) return true;
        p->armour = HEADERS;
        p->lines = 0;
        return bytes_eq_str(line, "-----BEGIN PGP MESSAGE-----");
    case HEADERS:
        if (!line.n) p->armour = FIRST;
        return !line.n || (++p->lines <= 4 && line.n <= 100 && bytes_find(line, ':') < line.n);
    case FIRST: p->armour = DATA; return begins_encrypted(line);
    case DATA:
        if (bytes_eq_str(line, "-----END PGP MESSAGE-----")) {
            p->armour = BEHIND;
            return true;
        }
        return is_base64(line) ||
               (line.n == 5 && line.p[0] == '=' && is_base64(bytes_from(line, 1)));
    case BEHIND: return !line.n;
    }
    return false;
}

static bool starts_fold(bytes_t line, const char *text) {
    return text_eq_fold(bytes_slice(line, 0, strlen(text)), bytes_str(text));
}

/* A part's header: of what it is, nothing else. */
static bool head_line(pgp_t *p, bytes_t line, const char *type, place_t next) {
    if (!line.n) {
        bool good = p->typed;
        p->place = next;
        p->typed = false;
        p->lines = 0;
        return good;
    }
    if (++p->lines > HEAD_LINES || line.n > HEAD_LINE) return false;
    if (line.p[0] == ' ' || line.p[0] == '\t') return true;
    if (!starts_fold(line, "content-type:")) return starts_fold(line, "content-");
    bytes_t value = text_trim(bytes_from(line, 13));
    if (p->typed || !starts_fold(value, type)) return false;
    p->typed = true;
    return value.n == strlen(type) || !!memchr("; \t", value.p[strlen(type)], 3);
}

/* 1: "--boundary", 2: "--boundary--", 0: neither. */
static int delimiter(const pgp_t *p, bytes_t line) {
    if (line.n < p->boundary.n + 2 || line.p[0] != '-' || line.p[1] != '-') return 0;
    if (!bytes_eq(bytes_slice(line, 2, p->boundary.n), p->boundary)) return 0;
    bytes_t rest = bytes_from(line, p->boundary.n + 2);
    return !rest.n ? 1 : bytes_eq_str(rest, "--") ? 2 : 0;
}

static bool mime_line(pgp_t *p, bytes_t line) {
    int end = delimiter(p, line);
    switch (p->place) {
    case PRE:
        if (end == 1) p->place = HEAD_ONE;
        return end == 1 || !line.n ||
               (line.n < 90 && starts_fold(line, "This is an OpenPGP/MIME encrypted message"));
    case HEAD_ONE: return head_line(p, line, "application/pgp-encrypted", BODY_ONE);
    case BODY_ONE:
        if (end == 1) p->place = HEAD_TWO;
        return end == 1 || !line.n || text_eq_fold(line, BYTES_LIT("Version: 1"));
    case HEAD_TWO: return head_line(p, line, "application/octet-stream", ARMOUR);
    case ARMOUR:
        if (end == 2 && p->armour == BEHIND) {
            p->place = AFTER;
            return true;
        }
        return armour_line(p, line);
    case AFTER: return !line.n;
    }
    return false;
}

static void take_line(pgp_t *p) {
    bytes_t line = buf_bytes(&p->line);
    while (line.n &&
           (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--;
    if (!(p->boundary.n ? mime_line(p, line) : armour_line(p, line))) p->bad = true;
    buf_clear(&p->line);
}

static err_t *pgp_lines(pgp_t *p, bytes_t data) {
    while (data.n && !p->bad) {
        size_t n = bytes_find(data, '\n');
        if (p->line.n + n > LINE) {
            p->bad = true;
            return NULL;
        }
        TRY(buf_add(&p->line, bytes_make(data.p, n)));
        if (n == data.n) return NULL;
        take_line(p);
        data = bytes_from(data, n + 1);
    }
    return NULL;
}

static err_t *feed_pgp(void *arg, bytes_t data) {
    pgp_t *p = arg;
    while (data.n && !p->bad) {
        bytes_t piece = bytes_slice(data, 0, PIECE);
        buf_clear(&p->decoded);
        TRY(transfer_decode(&p->decoder, piece, &p->decoded));
        TRY(pgp_lines(p, buf_bytes(&p->decoded)));
        data = bytes_from(data, piece.n);
    }
    return NULL;
}

static err_t *read_pgp(const gate_job_t *job, mime_encoding_t encoding, bytes_t boundary,
                       bool *ret_closed) {
    pgp_t p CLEANUP(pgp_done) = {.boundary = boundary};
    buf_init(&p.decoded, DECODED);
    buf_init(&p.line, LINE + 1);
    transfer_decoder_init(&p.decoder, encoding);
    TRY(gate_file_read(job->env->fd, job->msg.body, job->msg.size, feed_pgp, &p));
    buf_clear(&p.decoded);
    TRY(transfer_decode_end(&p.decoder, &p.decoded));
    TRY(pgp_lines(&p, buf_bytes(&p.decoded)));
    if (p.line.n) take_line(&p);
    *ret_closed =
        !p.bad && !p.decoder.dirty && p.armour == BEHIND && (boundary.n ? p.place == AFTER : true);
    return NULL;
}

/* ---- */

static err_t *look_inside(const gate_job_t *job, bool *ret_closed) {
    const gate_message_t *m = &job->msg;
    size_t types = 0, encodings = 0;
    mime_type_t type = {0};
    const mime_field_t *field = mime_field_find(&m->fields, "Content-Type", &types);
    const mime_field_t *coding =
        mime_field_find(&m->fields, "Content-Transfer-Encoding", &encodings);
    mime_encoding_t encoding = coding ? mime_encoding_read(coding->value) : MIME_ENCODING_IDENTITY;
    if (types > 1 || encodings > 1 || encoding == MIME_ENCODING_UNKNOWN) return NULL;
    if (m->smime) return read_cms(job, encoding, ret_closed);
    if (field) TRY(mime_type_read(job->arena, field->value, &type));
    if (!bytes_eq_str(type.value, "multipart/encrypted")) {
        if (field && !bytes_eq_str(type.value, "text/plain")) return NULL;
        return read_pgp(job, encoding, BYTES_NONE, ret_closed);
    }
    bytes_t boundary = mime_parameter(&type, "boundary");
    if (!text_eq_fold(mime_parameter(&type, "protocol"), BYTES_LIT("application/pgp-encrypted")) ||
        !boundary.n || boundary.n > 70 || encoding != MIME_ENCODING_IDENTITY)
        return NULL;
    return read_pgp(job, encoding, boundary, ret_closed);
}

err_t *gate_message_is_closed(const gate_job_t *job, bool *ret_closed) {
    bool closed = false;
    if (job->msg.kind != GATE_BODY_ENCRYPTED) return NULL;
    err_t *e = look_inside(job, &closed);
    if (e && err_code(e) != ERR_INVALID && err_code(e) != ERR_LIMIT) return e;
    if (!e) *ret_closed = closed;
    err_free(e);
    return NULL;
}
