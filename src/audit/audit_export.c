/*
 * The audit log as JSON lines: see audit_export.h and docs/formats/audit.md. Runs on the caller's
 * thread within its read transaction, so that entries and heads belong together.
 */
#include "audit/audit_export.h"

#include "audit/audit_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/digest.h"

typedef struct {
    db_conn_t *conn;
    audit_sink_fn sink;
    void *arg;
    buf_t line;
    uint64_t entries;
    uint64_t heads;
} export_t;

static void export_done(export_t *x) { buf_done(&x->line); }
DEFINE_CLEANUP_VALUE(export_t, export_done)

/* The one way a text is written: only what must be escaped is. */
static err_t *add_text(buf_t *out, bytes_t text) {
    TRY(buf_add_byte(out, '"'));
    size_t plain = 0; /* where the run not yet written begins */
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        TRY(buf_add(out, bytes_slice(text, plain, i - plain)));
        plain = i + 1;
        if (c >= 0x20) TRY(buf_printf(out, "\\%c", c));
        else TRY(buf_printf(out, "\\u%04x", c));
    }
    TRY(buf_add(out, bytes_from(text, plain)));
    return buf_add_byte(out, '"');
}

static err_t *add_named_text(buf_t *out, const char *name, bytes_t text) {
    TRY(buf_add_str(out, name));
    return add_text(out, text);
}

static err_t *add_named_number(buf_t *out, const char *name, int64_t number) {
    return buf_printf(out, "%s%lld", name, (long long)number);
}

static err_t *add_named_hex(buf_t *out, const char *name, bytes_t data) {
    TRY(buf_printf(out, "%s\"", name));
    TRY(text_hex(data, out));
    return buf_add_byte(out, '"');
}

static err_t *add_named_base64(buf_t *out, const char *name, bytes_t data) {
    TRY(buf_printf(out, "%s\"", name));
    TRY(text_base64(data, out));
    return buf_add_byte(out, '"');
}

static err_t *end_line(export_t *x) {
    TRY(buf_add_str(&x->line, "}\n"));
    TRY(x->sink(x->arg, buf_bytes(&x->line)));
    buf_clear(&x->line);
    return NULL;
}

static err_t *write_head(const audit_head_row_t *row, void *arg) {
    export_t *x = arg;
    TRY(add_named_text(&x->line, AUDIT_LINE_HEAD, row->node));
    TRY(add_named_number(&x->line, AUDIT_SEQ, row->seq));
    TRY(add_named_hex(&x->line, AUDIT_HASH, row->hash));
    TRY(add_named_number(&x->line, AUDIT_UNIX_MS, row->unix_ms));
    TRY(add_named_hex(&x->line, AUDIT_KEY_ID, row->key_id));
    TRY(add_named_base64(&x->line, AUDIT_SIGNATURE, row->signature));
    x->heads++;
    return end_line(x);
}

static err_t *write_entry(const audit_row_t *row, void *arg) {
    export_t *x = arg;
    TRY(add_named_text(&x->line, AUDIT_LINE_ENTRY, row->node));
    TRY(add_named_number(&x->line, AUDIT_SEQ, row->seq));
    TRY(add_named_number(&x->line, AUDIT_UNIX_MS, row->unix_ms));
    TRY(add_named_text(&x->line, AUDIT_ACTOR, row->actor));
    TRY(add_named_text(&x->line, AUDIT_ACTION, row->action));
    TRY(add_named_text(&x->line, AUDIT_OBJECT, row->object));
    TRY(add_named_text(&x->line, AUDIT_DETAIL, row->detail));
    TRY(add_named_hex(&x->line, AUDIT_PREV_HASH, row->prev_hash));
    TRY(add_named_hex(&x->line, AUDIT_HASH, row->hash));
    TRY(end_line(x));
    x->entries++;
    return audit_heads_at(x->conn, row->node, row->seq, write_head, x);
}

static err_t *write_key(export_t *x, bytes_t public_key) {
    uint8_t id[AUDIT_HASH_SIZE];
    TRY(digest_sha256(public_key, id));
    TRY(add_named_hex(&x->line, AUDIT_LINE_KEY, BYTES_ARRAY(id)));
    TRY(add_named_base64(&x->line, AUDIT_PUBLIC_KEY, public_key));
    return end_line(x);
}

err_t *audit_export(db_conn_t *conn, const bytes_t *public_keys, size_t key_count,
                    audit_sink_fn sink, void *arg) {
    if (key_count > LIMIT_AUDIT_KEYS)
        return err_new(ERR_LIMIT, "%zu audit keys, at most %d", key_count, LIMIT_AUDIT_KEYS);
    CLEANUP(export_done) export_t x = {.conn = conn, .sink = sink, .arg = arg};
    buf_init(&x.line, LIMIT_AUDIT_LINE);
    TRY(add_named_number(&x.line, AUDIT_LINE_HEADER, clk_unix_ms(db_clk(conn))));
    TRY(end_line(&x));
    for (size_t i = 0; i < key_count; i++) TRY(write_key(&x, public_keys[i]));
    TRY(audit_rows_each(conn, write_entry, &x));
    TRY(add_named_number(&x.line, AUDIT_LINE_END, (int64_t)x.entries));
    TRY(add_named_number(&x.line, AUDIT_HEADS, (int64_t)x.heads));
    return end_line(&x);
}
