/*
 * What a message's header says that matters to the gateway: whom it is from and openly to, whether
 * people or programs wrote it (RFC 3834, RFC 2919), whether it is signed or encrypted already. Pure
 * but for reading the file.
 */
#include "base/limits.h"
#include "base/text.h"
#include "mail/gate_internal.h"
#include "mail/layer_internal.h"

enum { PEEK_BODY = 4096 };

static err_t *add(void *arg, bytes_t data) { return buf_add(arg, data); }

/* Behind the first empty line, or all of it: then there is no body. */
static size_t header_end(bytes_t text) {
    size_t at = 0;
    while (at < text.n) {
        size_t n = bytes_find(bytes_from(text, at), '\n');
        if (at + n >= text.n) return text.n;
        bytes_t line = bytes_make(text.p + at, n);
        at += n + 1;
        if (line.n == 0 || (line.n == 1 && line.p[0] == '\r')) return at;
    }
    return text.n;
}

/* ---- kinds ---- */

static bool pgp_inline(const gate_message_t *m, int fd) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, PEEK_BODY);
    uint64_t to = m->size - m->body < PEEK_BODY ? m->size : m->body + PEEK_BODY;
    err_t *e = gate_file_read(fd, m->body, to, add, &body);
    err_free(e);
    bytes_t text = text_trim(buf_bytes(&body));
    return !e && bytes_starts(text, BYTES_LIT("-----BEGIN PGP MESSAGE-----"));
}

static err_t *field_type(arena_t *arena, const mime_fields_t *fields, const char *name,
                         mime_type_t *ret_type) {
    const mime_field_t *field = mime_field_find(fields, name, NULL);
    *ret_type = (mime_type_t){0};
    return field ? mime_type_read(arena, field->value, ret_type) : NULL;
}

static gate_body_t pkcs7_kind(const mime_type_t *type) {
    bytes_t smime = mime_parameter(type, "smime-type");
    bool signs = text_eq_fold(smime, BYTES_LIT("signed-data")) ||
                 text_eq_fold(smime, BYTES_LIT("certs-only"));
    return signs ? GATE_BODY_SIGNED : GATE_BODY_ENCRYPTED;
}

static err_t *find_kind(arena_t *arena, int fd, gate_message_t *m) {
    mime_type_t type;
    mime_part_t part = {.fields = m->fields};
    TRY(field_type(arena, &m->fields, "Content-Type", &type));
    part.type = type;
    bytes_t value = type.value, protocol = mime_parameter(&type, "protocol");
    m->kind = GATE_BODY_PLAIN;
    if (bytes_eq_str(value, "multipart/signed")) {
        m->kind = GATE_BODY_SIGNED;
        m->smime = !text_eq_fold(protocol, BYTES_LIT("application/pgp-signature"));
    } else if (bytes_eq_str(value, "multipart/encrypted")) {
        m->kind = GATE_BODY_ENCRYPTED;
    } else if (bytes_eq_str(value, "multipart/report")) {
        m->kind = GATE_BODY_REPORT;
    } else if (bytes_eq_str(value, "text/calendar")) {
        m->kind = GATE_BODY_CALENDAR;
    } else if (wrapper_is_cms(&part)) {
        m->kind = pkcs7_kind(&type);
        m->smime = true;
    } else if (pgp_inline(m, fd)) {
        m->kind = GATE_BODY_ENCRYPTED;
    }
    return NULL;
}

/* ---- who wrote it ---- */

static bool has(const mime_fields_t *fields, const char *name) {
    return mime_field_find(fields, name, NULL) != NULL;
}

static bool value_is(const mime_fields_t *fields, const char *name, const char *word) {
    const mime_field_t *field = mime_field_find(fields, name, NULL);
    if (!field) return false;
    bytes_t value = text_trim(field->value);
    size_t n = bytes_find(value, ';'); /* Auto-Submitted: auto-replied; owner-email=... */
    return text_eq_fold(text_trim(bytes_make(value.p, n)), bytes_str(word));
}

static void find_origin(gate_message_t *m) {
    const mime_fields_t *f = &m->fields;
    m->list = has(f, "List-Id") || has(f, "List-Post") || has(f, "List-Unsubscribe") ||
              value_is(f, "Precedence", "list");
    m->automatic = (has(f, "Auto-Submitted") && !value_is(f, "Auto-Submitted", "no")) ||
                   value_is(f, "Precedence", "bulk") || value_is(f, "Precedence", "junk") ||
                   has(f, "X-Auto-Response-Suppress") || has(f, "X-Autoreply");
}

/* Our own trace: "mx.example.org out". */
static void count_passes(gate_message_t *m, const char *authserv_id) {
    for (size_t i = 0; i < m->fields.n; i++) {
        const mime_field_t *f = &m->fields.at[i];
        if (text_eq_fold(f->name, BYTES_LIT("received"))) m->hops++;
        if (!text_eq_fold(f->name, BYTES_LIT(GATE_TRACE))) continue;
        bytes_t value = text_trim(f->value);
        size_t n = bytes_find(value, ' ');
        if (text_eq_fold(bytes_make(value.p, n), bytes_str(authserv_id))) m->passes++;
    }
}

/* ---- addresses ---- */

static err_t *add_addresses(arena_t *arena, const mime_field_t *field, mime_addresses_t *all) {
    mime_addresses_t list = {0};
    TRY(mime_addresses_read(arena, field->value, &list));
    if (list.bad) all->bad = true;
    if (!list.n) return NULL;
    if (all->n + list.n > LIMIT_MAIL_ADDRESSES)
        return err_new(ERR_LIMIT, "more than %d addresses", LIMIT_MAIL_ADDRESSES);
    mime_address_t *at = NULL;
    TRY(arena_alloc(arena, (all->n + list.n) * sizeof *at, &at));
    if (all->n) memcpy(at, all->at, all->n * sizeof *at);
    memcpy(at + all->n, list.at, list.n * sizeof *at);
    all->at = at;
    all->n += list.n;
    return NULL;
}

static err_t *find_addresses(arena_t *arena, gate_message_t *m) {
    static const char *const open[] = {"To", "Cc", "Resent-To", "Resent-Cc"};
    size_t froms = 0;
    for (size_t i = 0; i < m->fields.n; i++) {
        const mime_field_t *f = &m->fields.at[i];
        if (text_eq_fold(f->name, BYTES_LIT("from"))) {
            if (++froms > 1) m->from.bad = true;
            else TRY(add_addresses(arena, f, &m->from));
        }
        for (size_t k = 0; k < sizeof open / sizeof *open; k++)
            if (text_eq_fold(f->name, bytes_str(open[k]))) TRY(add_addresses(arena, f, &m->open));
    }
    return NULL;
}

bytes_t gate_message_from(const gate_message_t *m) {
    return m->from.n == 1 && !m->from.bad ? m->from.at[0].address : BYTES_NONE;
}

/* ---- the whole ---- */

static err_t *load(arena_t *arena, const char *authserv_id, int fd, gate_message_t *m) {
    uint64_t to = m->size < LIMIT_MIME_HEADER ? m->size : LIMIT_MIME_HEADER;
    TRY(gate_file_read(fd, 0, to, add, &m->raw));
    m->body = header_end(buf_bytes(&m->raw));
    if (m->body == to && to < m->size)
        return err_new(ERR_LIMIT, "header of more than %d bytes", LIMIT_MIME_HEADER);
    m->raw.n = (size_t)m->body;
    bytes_t block = buf_bytes(&m->raw);
    TRY(mime_fields_read(arena, block, &m->fields));
    TRY(find_addresses(arena, m));
    TRY(find_kind(arena, fd, m));
    find_origin(m);
    count_passes(m, authserv_id);
    return NULL;
}

err_t *gate_message_load(arena_t *arena, const char *authserv_id, int fd, uint64_t size,
                         gate_message_t *ret_message) {
    gate_message_t *m = ret_message;
    *m = (gate_message_t){.size = size};
    buf_init(&m->raw, LIMIT_MIME_HEADER);
    err_t *e = load(arena, authserv_id, fd, m);
    if (e) gate_message_done(m);
    return e;
}

void gate_message_done(gate_message_t *m) { buf_done(&m->raw); }

/* ---- Authentication-Results ---- */

/* White space and controls: some readers skip what others don't. */
static bool is_blank(uint8_t c) { return c <= ' ' || c == 0x7f; }

static void skip_cfws(bytes_t *rest) {
    unsigned depth = 0;
    while (rest->n) {
        uint8_t c = rest->p[0];
        if (c == '(') depth++;
        else if (c == ')' && depth) depth--;
        else if (c == '\\' && depth && rest->n > 1) *rest = bytes_from(*rest, 1);
        else if (!depth && !is_blank(c)) return;
        *rest = bytes_from(*rest, 1);
    }
}

static bool is_token(uint8_t c) { return !is_blank(c) && !strchr("()<>@,;:\\\"/[]?=", c); }

/* Controls left out, or an end of the name: read both ways. */
static bool claims(bytes_t value, const char *authserv_id, bool skip) {
    char id[256] = {0};
    size_t n = 0;
    bool quoted = value.n && value.p[0] == '"';
    if (quoted) value = bytes_from(value, 1);
    for (; value.n && n < sizeof id; value = bytes_from(value, 1)) {
        uint8_t c = value.p[0];
        bool control = (c < ' ' && c != '\t') || c == 0x7f;
        if (quoted && c == '"') break;
        if (control && skip) continue;
        if (!quoted && !is_token(c)) break;
        if (quoted && c == '\\' && value.n > 1) {
            value = bytes_from(value, 1);
            c = value.p[0];
        }
        if (c != '\r' && c != '\n') id[n++] = (char)c;
    }
    while (n && (id[n - 1] == '.' || is_blank((uint8_t)id[n - 1]))) n--;
    size_t blanks = 0;
    while (blanks < n && is_blank((uint8_t)id[blanks])) blanks++;
    return text_eq_fold(bytes_make(id + blanks, n - blanks), bytes_str(authserv_id));
}

/* authserv-id is a Value (RFC 8601 section 2.2): a token or a quoted string. */
bool gate_results_claim(bytes_t value, const char *authserv_id) {
    skip_cfws(&value);
    return claims(value, authserv_id, false) || claims(value, authserv_id, true);
}
