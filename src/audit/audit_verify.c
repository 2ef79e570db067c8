/*
 * Verification of an export, without a database: see audit_export.h and docs/formats/audit.md.
 * Reads line by line; what it keeps is the state of one chain, the keys and which pins were met.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "audit/audit_export.h"
#include "audit/audit_internal.h"
#include "audit/audit_line.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/pkey.h"

enum { CHUNK = 64 * 1024 };

typedef enum { EXPECT_HEADER, EXPECT_BODY, EXPECT_NOTHING } verify_phase_t;

typedef struct {
    const audit_verify_options_t *options;
    audit_report_t *report;
    verify_phase_t phase;
    buf_t partial; /* of a line that is not complete yet */
    buf_t text;    /* decoded texts of the current line */
    struct {
        uint8_t id[AUDIT_HASH_SIZE];
        pkey_t *key;
    } keys[LIMIT_AUDIT_KEYS];
    size_t key_count;
    bool pin_met[LIMIT_AUDIT_PINS];
    /* the current chain */
    char node[LIMIT_AUDIT_NODE + 1];
    size_t node_size; /* 0 before the first */
    int64_t seq;
    int64_t signed_seq;
    int64_t unsigned_ms; /* time of the first entry behind the last head */
    int64_t exported_ms;
    uint8_t hash[AUDIT_HASH_SIZE];
} verify_t;

static void verify_free(verify_t *v) {
    if (!v) return;
    for (size_t i = 0; i < v->key_count; i++) pkey_free(v->keys[i].key);
    buf_done(&v->partial);
    buf_done(&v->text);
    mem_free(v);
}
DEFINE_CLEANUP(verify_t, verify_free)

static err_t *add_key(verify_t *v, bytes_t public_key) {
    if (v->key_count == LIMIT_AUDIT_KEYS)
        return err_new(ERR_VERIFY, "more than %d keys", LIMIT_AUDIT_KEYS);
    TRY(digest_sha256(public_key, v->keys[v->key_count].id));
    TRY(pkey_parse_public_der(public_key, &v->keys[v->key_count].key));
    v->key_count++;
    return NULL;
}

static bytes_t chain_node(const verify_t *v) { return bytes_make(v->node, v->node_size); }

/* Closes the account of the chain so far. */
static err_t *end_chain(verify_t *v) {
    if (!v->node_size) return NULL;
    int64_t count = v->seq - v->signed_seq;
    v->report->unsigned_entries += (uint64_t)count;
    if (!v->options->demand_heads || count == 0) return NULL;
    if (v->signed_seq == 0)
        return err_new(ERR_VERIFY, "no signed head vouches for the %lld entries of %s",
                       (long long)count, v->node);
    if (v->exported_ms - v->unsigned_ms > (int64_t)AUDIT_UNSIGNED_MAX_S * 1000)
        return err_new(ERR_VERIFY,
                       "no signed head vouches for the %lld entries of %s behind entry %lld, "
                       "though the first is older than %d seconds",
                       (long long)count, v->node, (long long)v->signed_seq, AUDIT_UNSIGNED_MAX_S);
    return NULL;
}

/* Chains follow each other in the order of their names' bytes, so that none comes twice. */
static err_t *begin_chain(verify_t *v, bytes_t node) {
    size_t both = node.n < v->node_size ? node.n : v->node_size;
    int order = both ? memcmp(node.p, v->node, both) : 0;
    if (order < 0 || (order == 0 && node.n < v->node_size))
        return err_new(ERR_VERIFY, "chain %.*s stands out of order or comes twice", (int)node.n,
                       (const char *)node.p);
    TRY(end_chain(v));
    bytes_put(v->node, node);
    v->node_size = node.n;
    v->seq = 0;
    v->signed_seq = 0;
    memset(v->hash, 0, sizeof v->hash);
    v->report->nodes++;
    return NULL;
}

static err_t *check_pins(verify_t *v) {
    for (size_t i = 0; i < v->options->pin_count; i++) {
        const audit_pin_t *pin = &v->options->pins[i];
        if (pin->seq != v->seq || !bytes_eq(pin->node, chain_node(v))) continue;
        if (!bytes_eq(pin->hash, BYTES_ARRAY(v->hash)))
            return err_new(ERR_VERIFY, "this entry is not the one known from before: the log was "
                                       "rewritten");
        if (!v->pin_met[i]) v->report->pins_found++;
        v->pin_met[i] = true;
    }
    return NULL;
}

/* The next text of the line; it moves nothing that was handed out before: v->text has room. */
static err_t *take_text(verify_t *v, bytes_t *line, const char *name, bytes_t *ret_text) {
    TRY(audit_line_literal(line, name));
    size_t start = v->text.n;
    TRY(audit_line_text(line, &v->text));
    *ret_text = bytes_from(buf_bytes(&v->text), start);
    return NULL;
}

static err_t *take_number(bytes_t *line, const char *name, int64_t *ret_number) {
    TRY(audit_line_literal(line, name));
    return audit_line_number(line, ret_number);
}

static err_t *take_hash(bytes_t *line, const char *name, uint8_t out[AUDIT_HASH_SIZE]) {
    TRY(audit_line_literal(line, name));
    return audit_line_hex(line, out, AUDIT_HASH_SIZE);
}

static err_t *end_line(bytes_t *line) {
    TRY(audit_line_literal(line, "}"));
    return line->n ? err_new(ERR_INVALID, "something follows the line's end") : NULL;
}

static err_t *verify_entry(verify_t *v, bytes_t line) {
    uint8_t prev_hash[AUDIT_HASH_SIZE];
    uint8_t hash[AUDIT_HASH_SIZE];
    uint8_t computed[AUDIT_HASH_SIZE];
    audit_row_t row = {.prev_hash = BYTES_ARRAY(prev_hash)};
    TRY(take_text(v, &line, AUDIT_LINE_ENTRY, &row.node));
    TRY(take_number(&line, AUDIT_SEQ, &row.seq));
    TRY(take_number(&line, AUDIT_UNIX_MS, &row.unix_ms));
    TRY(take_text(v, &line, AUDIT_ACTOR, &row.actor));
    TRY(take_text(v, &line, AUDIT_ACTION, &row.action));
    TRY(take_text(v, &line, AUDIT_OBJECT, &row.object));
    TRY(take_text(v, &line, AUDIT_DETAIL, &row.detail));
    TRY(take_hash(&line, AUDIT_PREV_HASH, prev_hash));
    TRY(take_hash(&line, AUDIT_HASH, hash));
    TRY(end_line(&line));
    TRY(audit_row_check(&row));
    if (!v->node_size || !bytes_eq(row.node, chain_node(v))) TRY(begin_chain(v, row.node));
    if (row.seq != v->seq + 1)
        return err_new(ERR_VERIFY,
                       "entry %lld of %s follows entry %lld: entries are missing or "
                       "out of order",
                       (long long)row.seq, v->node, (long long)v->seq);
    if (memcmp(prev_hash, v->hash, sizeof v->hash) != 0)
        return err_new(ERR_VERIFY, "entry %lld of %s does not continue the entry before it",
                       (long long)row.seq, v->node);
    TRY(audit_entry_hash(&row, computed));
    if (memcmp(hash, computed, sizeof computed) != 0)
        return err_new(ERR_VERIFY, "entry %lld of %s was changed: its hash is another",
                       (long long)row.seq, v->node);
    if (v->signed_seq == v->seq) v->unsigned_ms = row.unix_ms;
    v->seq = row.seq;
    memcpy(v->hash, hash, sizeof v->hash);
    v->report->entries++;
    return check_pins(v);
}

static err_t *verify_signature(const verify_t *v, const audit_head_t *head, bytes_t signature) {
    for (size_t i = 0; i < v->key_count; i++) {
        if (memcmp(v->keys[i].id, head->key_id, sizeof head->key_id) != 0) continue;
        CLEANUP(buf_done) buf_t message;
        buf_init(&message, 1024);
        TRY(audit_head_message(head, &message));
        return pkey_verify(v->keys[i].key, AUDIT_HEAD_DOMAIN, buf_bytes(&message), signature);
    }
    return err_new(ERR_VERIFY, "the head's key is not among the %s keys",
                   v->report->keys_trusted ? "trusted" : "export's");
}

static err_t *verify_head(verify_t *v, bytes_t line) {
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, AUDIT_SIGNATURE_MAX);
    audit_head_t head = {0};
    bytes_t node = BYTES_NONE;
    TRY(take_text(v, &line, AUDIT_LINE_HEAD, &node));
    TRY(take_number(&line, AUDIT_SEQ, &head.seq));
    TRY(take_hash(&line, AUDIT_HASH, head.hash));
    TRY(take_number(&line, AUDIT_UNIX_MS, &head.unix_ms));
    TRY(take_hash(&line, AUDIT_KEY_ID, head.key_id));
    TRY(audit_line_literal(&line, AUDIT_SIGNATURE));
    TRY(audit_line_base64(&line, &signature));
    TRY(end_line(&line));
    if (!v->node_size || !bytes_eq(node, chain_node(v)) || head.seq != v->seq)
        return err_new(ERR_VERIFY, "a head does not stand behind its entry");
    if (memcmp(head.hash, v->hash, sizeof head.hash) != 0)
        return err_new(ERR_VERIFY, "the head's hash is not that of entry %lld of %s",
                       (long long)v->seq, v->node);
    memcpy(head.node, v->node, v->node_size);
    TRY_WRAP(verify_signature(v, &head, buf_bytes(&signature)), "head of entry %lld of %s",
             (long long)v->seq, v->node);
    v->signed_seq = v->seq;
    v->report->heads++;
    return NULL;
}

static err_t *read_key(verify_t *v, bytes_t line) {
    uint8_t id[AUDIT_HASH_SIZE];
    uint8_t computed[AUDIT_HASH_SIZE];
    CLEANUP(buf_done) buf_t public_key;
    buf_init(&public_key, AUDIT_PUBLIC_KEY_MAX);
    TRY(take_hash(&line, AUDIT_LINE_KEY, id));
    TRY(audit_line_literal(&line, AUDIT_PUBLIC_KEY));
    TRY(audit_line_base64(&line, &public_key));
    TRY(end_line(&line));
    TRY(digest_sha256(buf_bytes(&public_key), computed));
    if (memcmp(id, computed, sizeof id) != 0)
        return err_new(ERR_VERIFY, "the key is not the one its name says");
    return v->report->keys_trusted ? NULL : add_key(v, buf_bytes(&public_key));
}

static err_t *read_end(verify_t *v, bytes_t line) {
    int64_t entries = 0;
    int64_t heads = 0;
    TRY(take_number(&line, AUDIT_LINE_END, &entries));
    TRY(take_number(&line, AUDIT_HEADS, &heads));
    TRY(end_line(&line));
    if (entries < 0 || heads < 0 || (uint64_t)entries != v->report->entries ||
        (uint64_t)heads != v->report->heads)
        return err_new(ERR_VERIFY, "the export says %lld entries and %lld heads, but has others",
                       (long long)entries, (long long)heads);
    v->phase = EXPECT_NOTHING;
    return NULL;
}

static err_t *read_header(verify_t *v, bytes_t line) {
    TRY(take_number(&line, AUDIT_LINE_HEADER, &v->exported_ms));
    TRY(end_line(&line));
    v->phase = EXPECT_BODY;
    return NULL;
}

static err_t *verify_line(verify_t *v, bytes_t line) {
    v->report->lines++;
    buf_clear(&v->text);
    switch (v->phase) {
    case EXPECT_HEADER: return read_header(v, line);
    case EXPECT_NOTHING: return err_new(ERR_VERIFY, "something follows the export's end");
    case EXPECT_BODY: break;
    }
    if (bytes_starts(line, BYTES_LIT(AUDIT_LINE_ENTRY))) return verify_entry(v, line);
    if (bytes_starts(line, BYTES_LIT(AUDIT_LINE_HEAD))) return verify_head(v, line);
    if (bytes_starts(line, BYTES_LIT(AUDIT_LINE_KEY))) return read_key(v, line);
    if (bytes_starts(line, BYTES_LIT(AUDIT_LINE_END))) return read_end(v, line);
    return err_new(ERR_INVALID, "not a line of an audit export");
}

/* Takes a piece of the export, which may end anywhere. */
static err_t *feed(verify_t *v, bytes_t piece) {
    while (piece.n) {
        size_t n = bytes_find(piece, '\n');
        bool whole = n < piece.n;
        bytes_t line = bytes_slice(piece, 0, n);
        if (!whole || v->partial.n) {
            err_t *e = buf_add(&v->partial, line);
            if (e) {
                v->report->lines++; /* the line that is too long */
                return e;
            }
            line = buf_bytes(&v->partial);
        }
        if (whole) {
            TRY(verify_line(v, line));
            buf_clear(&v->partial);
        }
        piece = bytes_from(piece, whole ? n + 1 : n);
    }
    return NULL;
}

static err_t *finish(verify_t *v) {
    v->report->lines += v->partial.n ? 1 : 0;
    if (v->partial.n) return err_new(ERR_VERIFY, "the export ends in the middle of a line");
    if (v->phase != EXPECT_NOTHING) {
        v->report->lines++; /* the one that is missing */
        return err_new(ERR_VERIFY, "the export ends early");
    }
    return end_chain(v);
}

static err_t *check_pins_met(const verify_t *v) {
    for (size_t i = 0; i < v->options->pin_count; i++) {
        const audit_pin_t *pin = &v->options->pins[i];
        if (v->pin_met[i]) continue;
        return err_new(ERR_VERIFY,
                       "entry %lld of %.*s, known from before, is missing: the log was "
                       "cut",
                       (long long)pin->seq, (int)pin->node.n, (const char *)pin->node.p);
    }
    return NULL;
}

static err_t *verify_new(const audit_verify_options_t *options, audit_report_t *report,
                         verify_t **ret_v) {
    static const audit_verify_options_t none = {0};
    *report = (audit_report_t){0};
    if (!options) options = &none;
    if (options->pin_count > LIMIT_AUDIT_PINS)
        return err_new(ERR_LIMIT, "%zu pins, at most %d", options->pin_count, LIMIT_AUDIT_PINS);
    CLEANUP(verify_free) verify_t *v = mem_zalloc(sizeof *v);
    if (!v) return err_nomem();
    v->options = options;
    v->report = report;
    buf_init(&v->partial, LIMIT_AUDIT_LINE);
    buf_init(&v->text, LIMIT_AUDIT_LINE);
    TRY(buf_reserve(&v->text, LIMIT_AUDIT_LINE)); /* so that it never moves, see take_text */
    report->keys_trusted = options->key_count != 0;
    for (size_t i = 0; i < options->key_count; i++)
        TRY_WRAP(add_key(v, options->public_keys[i]), "trusted key");
    *ret_v = STEAL(v);
    return NULL;
}

/* Tells apart what is wrong with the export from what went wrong while looking at it. */
static err_t *conclude(audit_report_t *report, err_t *e, bool of_line) {
    if (!e) return NULL;
    (void)err_text(e, report->bad_reason, sizeof report->bad_reason);
    if (err_code(e) == ERR_IO || err_code(e) == ERR_NOMEM || err_code(e) == ERR_INTERNAL) return e;
    e = err_recode(e, ERR_VERIFY);
    if (!of_line) return e;
    report->bad_line = report->lines;
    return err_wrap(e, "line %llu", (unsigned long long)report->bad_line);
}

static err_t *feed_fd(verify_t *v, int fd) {
    CLEANUP(mem_free) uint8_t *chunk = mem_alloc(CHUNK);
    if (!chunk) return err_nomem();
    for (;;) {
        ssize_t got = fault_io() ? (errno = EIO, -1) : read(fd, chunk, CHUNK);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_recode(err_errno(errno, "cannot read the export"), ERR_IO);
        if (got == 0) return NULL;
        TRY(feed(v, bytes_make(chunk, (size_t)got)));
    }
}

static err_t *verify_end(verify_t *v, audit_report_t *report, err_t *e) {
    if (!e) e = finish(v);
    TRY(conclude(report, e, true));
    return conclude(report, check_pins_met(v), false);
}

err_t *audit_verify_fd(int fd, const audit_verify_options_t *options, audit_report_t *report) {
    CLEANUP(verify_free) verify_t *v = NULL;
    TRY(verify_new(options, report, &v));
    return verify_end(v, report, feed_fd(v, fd));
}

err_t *audit_verify_bytes(bytes_t export_text, const audit_verify_options_t *options,
                          audit_report_t *report) {
    CLEANUP(verify_free) verify_t *v = NULL;
    TRY(verify_new(options, report, &v));
    return verify_end(v, report, feed(v, export_text));
}
