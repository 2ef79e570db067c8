/*
 * The audit log: chain, savepoints, heads, export, and every way to tamper with an export.
 */
#include "../store/store_fixture.h"

#include <fcntl.h>

#include "audit/audit_export.h"
#include "audit/audit_line.h"
#include "audit/note.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/pkey.h"

typedef struct {
    fixture_t base;
    audit_t web;
    audit_t courier;
    pkey_t *key;
    buf_t public_key;
    buf_t text; /* the export */
} log_fixture_t;

static err_t *deeds_fn(db_conn_t *conn, void *arg) {
    log_fixture_t *f = arg;
    TRY(audit_append(&f->web, conn, BYTES_LIT("person:1"), BYTES_LIT("device.lock"),
                     BYTES_LIT("device:A"), "{\"why\":\"lost \\\"today\\\"\"}"));
    TRY(audit_append(&f->courier, conn, BYTES_LIT("system"), BYTES_LIT("push.sent"),
                     BYTES_LIT("device:A\n\x01"), NULL));
    return audit_append(&f->web, conn, BYTES_LIT("device:A"), BYTES_LIT("command.done"), BYTES_NONE,
                        "{}");
}

static err_t *sign_fn(db_conn_t *conn, void *arg) {
    log_fixture_t *f = arg;
    CLEANUP(buf_done) buf_t message;
    CLEANUP(buf_done) buf_t signature;
    buf_init(&message, 1024);
    buf_init(&signature, 1024);
    bool found = false;
    audit_head_t head;
    TRY(audit_head_pending(&f->web, conn, &found, &head));
    assert_true(found);
    TRY(pkey_spki_sha256(f->key, head.key_id));
    TRY(audit_head_message(&head, &message));
    audit_head_t parsed;
    TRY(audit_head_parse(buf_bytes(&message), &parsed));
    assert_memory_equal(&parsed, &head, sizeof head);
    TRY(pkey_sign(f->key, AUDIT_HEAD_DOMAIN, buf_bytes(&message), &signature));
    TRY(audit_head_store(conn, &head, buf_bytes(&signature)));
    TRY(audit_head_pending(&f->web, conn, &found, &head));
    assert_false(found);
    return NULL;
}

static err_t *to_buf(void *arg, bytes_t piece) { return buf_add(arg, piece); }

static err_t *export_fn(db_conn_t *conn, void *arg) {
    log_fixture_t *f = arg;
    bytes_t key = buf_bytes(&f->public_key);
    buf_clear(&f->text);
    return audit_export(conn, &key, 1, to_buf, &f->text);
}

/* Lines: 1 header, 2 key, 3-5 courier 1-3, 6-9 web 1-4, 10 head of web 4, 11-12 web 5-6, 13 end. */
static void log_open(log_fixture_t *f) {
    *f = (log_fixture_t){0};
    fixture_migrated(&f->base);
    assert_ok(crypto_init());
    f->web = (audit_t){"host1/web", &f->base.clk.clk};
    f->courier = (audit_t){"host1/courier", &f->base.clk.clk};
    assert_ok(pkey_generate(PKEY_ED25519, 0, &f->key));
    buf_init(&f->public_key, 1024);
    buf_init(&f->text, 1 << 20);
    assert_ok(pkey_public_der(f->key, &f->public_key));
    assert_ok(db_write(f->base.db, deeds_fn, f));
    clk_fake_advance(&f->base.clk, 1000);
    assert_ok(db_write(f->base.db, deeds_fn, f));
    assert_ok(db_write(f->base.db, sign_fn, f));
    assert_ok(db_write(f->base.db, deeds_fn, f));
    assert_ok(db_read(f->base.db, export_fn, f));
}

static void log_done(log_fixture_t *f) {
    pkey_free(f->key);
    buf_done(&f->public_key);
    buf_done(&f->text);
    fixture_done(&f->base);
}

/* The export must fail at this line for this reason. */
static void assert_bad(bytes_t text, const audit_verify_options_t *options, uint64_t line,
                       const char *reason) {
    audit_report_t report;
    assert_err(ERR_VERIFY, audit_verify_bytes(text, options, &report));
    if (!strstr(report.bad_reason, reason)) print_error("reason: %s\n", report.bad_reason);
    assert_non_null(strstr(report.bad_reason, reason));
    assert_int_equal(report.bad_line, line);
}

static void test_audit__an_honest_export_verifies(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    audit_report_t report;
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), NULL, &report));
    assert_int_equal(report.entries, 9);
    assert_int_equal(report.heads, 1);
    assert_int_equal(report.nodes, 2);
    assert_int_equal(report.unsigned_entries, 3 + 2); /* the courier's, and web 5 and 6 */
    assert_false(report.keys_trusted);
    bytes_t key = buf_bytes(&f.public_key);
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), &(audit_verify_options_t){&key, 1, NULL, 0},
                                 &report));
    assert_true(report.keys_trusted);
    assert_string_equal(report.bad_reason, "");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/export", f.base.dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, f.text.p, f.text.n), (ssize_t)f.text.n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_ok(audit_verify_fd(fd, NULL, &report));
    assert_int_equal(report.entries, 9);
    fault_arm_io(1);
    assert_err(ERR_IO, audit_verify_fd(fd, NULL, &report));
    fault_arm_io(0);
    (void)close(fd);
    (void)unlink(path);
    log_done(&f);
}

static void test_audit__base64_has_one_form(void **state) {
    (void)state;
    static const char *const other[] = {"\"YWI\"", "\"YW J=\"", "\"YWJ=\"",
                                        "\"YW\"",  "\"YWI=",    "YWI="};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100);
    bytes_t line = BYTES_LIT("\"YWI=\"}");
    assert_ok(audit_line_base64(&line, &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "ab") && bytes_eq_str(line, "}"));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        line = bytes_str(other[i]);
        assert_err(ERR_INVALID, audit_line_base64(&line, &out));
    }
}

/* Every single byte of every line counts. */
static void test_audit__any_changed_byte_is_found_in_its_line(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    uint64_t line = 1;
    for (size_t i = 0; i < f.text.n; i++) {
        uint8_t was = f.text.p[i];
        if (was != '\n' && line >= 2) {
            f.text.p[i] = was == '1' ? '2' : was == 'b' ? 'c' : (uint8_t)(was ^ 1);
            audit_report_t report;
            err_t *e = audit_verify_bytes(buf_bytes(&f.text), NULL, &report);
            assert_non_null(e);
            err_free(e);
            /* a changed key shows in its own line, as does all else but a broken line's end */
            assert_int_equal(report.bad_line, line);
            f.text.p[i] = was;
        }
        if (was == '\n') line++;
    }
    log_done(&f);
}

static size_t line_start(bytes_t text, unsigned line) {
    size_t at = 0;
    for (unsigned i = 1; i < line; i++) at += bytes_find(bytes_from(text, at), '\n') + 1;
    return at;
}

/* The export with lines [first, next) left out. */
static void without(const log_fixture_t *f, unsigned first, unsigned next, buf_t *out) {
    bytes_t text = buf_bytes(&f->text);
    buf_clear(out);
    assert_ok(buf_add(out, bytes_slice(text, 0, line_start(text, first))));
    assert_ok(buf_add(out, bytes_from(text, line_start(text, next))));
}

static void test_audit__deleted_and_reordered_entries_are_found(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    CLEANUP(buf_done) buf_t cut;
    buf_init(&cut, 1 << 20);
    bytes_t text = buf_bytes(&f.text);
    without(&f, 7, 8, &cut); /* web 2 */
    assert_bad(buf_bytes(&cut), NULL, 7, "missing or out of order");
    without(&f, 12, 13, &cut); /* web 6, the last */
    assert_bad(buf_bytes(&cut), NULL, 12, "the export says 9 entries");
    without(&f, 10, 11, &cut); /* the head */
    assert_bad(buf_bytes(&cut), NULL, 12, "1 heads");
    buf_clear(&cut);
    size_t a = line_start(text, 6);
    size_t b = line_start(text, 7);
    size_t c = line_start(text, 8);
    assert_ok(buf_add(&cut, bytes_slice(text, 0, a)));
    assert_ok(buf_add(&cut, bytes_slice(text, b, c - b)));
    assert_ok(buf_add(&cut, bytes_slice(text, a, b - a)));
    assert_ok(buf_add(&cut, bytes_from(text, c)));
    assert_bad(buf_bytes(&cut), NULL, 6, "missing or out of order");
    log_done(&f);
}

static void test_audit__a_truncated_export_is_found(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    bytes_t text = buf_bytes(&f.text);
    audit_report_t report;
    for (size_t n = 0; n < text.n; n++)
        assert_err(ERR_VERIFY, audit_verify_bytes(bytes_slice(text, 0, n), NULL, &report));
    assert_ok(buf_add_str(&f.text, "{}\n"));
    assert_bad(buf_bytes(&f.text), NULL, 14, "follows the export's end");
    log_done(&f);
}

static void test_audit__a_foreign_or_forged_head_is_found(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    CLEANUP(pkey_free) pkey_t *other = NULL;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 1024);
    assert_ok(pkey_generate(PKEY_ED25519, 0, &other));
    assert_ok(pkey_public_der(other, &der));
    bytes_t key = buf_bytes(&der);
    assert_bad(buf_bytes(&f.text), &(audit_verify_options_t){&key, 1, NULL, 0}, 10,
               "not among the trusted keys");
    /* Somebody who can write the database signs with a key that claims the real one's name. */
    assert_ok(fixture_script(f.base.db, "UPDATE audit_head SET signature = zeroblob(64)"));
    assert_ok(db_read(f.base.db, export_fn, &f));
    assert_bad(buf_bytes(&f.text), NULL, 10, "head of entry 4 of host1/web");
    assert_ok(fixture_script(f.base.db, "UPDATE audit_head SET hash = zeroblob(32)"));
    assert_ok(db_read(f.base.db, export_fn, &f));
    assert_bad(buf_bytes(&f.text), NULL, 10, "is not that of entry 4");
    log_done(&f);
}

/* Who can write the export can leave the heads out and write what he likes. */
static void test_audit__heads_can_be_demanded(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    bytes_t key = buf_bytes(&f.public_key);
    const audit_verify_options_t demand = {
        .public_keys = &key, .key_count = 1, .demand_heads = true};
    audit_report_t report;
    err_t *e = audit_verify_bytes(buf_bytes(&f.text), &demand, &report);
    assert_non_null(e); /* the courier's chain has none */
    assert_non_null(strstr(report.bad_reason, "vouches for the 3 entries of host1/courier"));
    err_free(e);
    assert_ok(fixture_script(f.base.db, "DELETE FROM audit_entry WHERE node = 'host1/courier'"));
    assert_ok(db_read(f.base.db, export_fn, &f));
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), &demand, &report));
    assert_int_equal(report.unsigned_entries, 2); /* a moment old */
    clk_fake_advance(&f.base.clk, (AUDIT_UNSIGNED_MAX_S + 1) * 1000);
    assert_ok(db_read(f.base.db, export_fn, &f));
    assert_err(ERR_VERIFY, audit_verify_bytes(buf_bytes(&f.text), &demand, &report));
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), NULL, &report));
    log_done(&f);
}

static void test_audit__pins_detect_a_rollback(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    uint8_t hash[AUDIT_HASH_SIZE] = {0};
    audit_pin_t pin = {BYTES_LIT("host1/web"), 6, BYTES_ARRAY(hash)};
    audit_verify_options_t options = {.pins = &pin, .pin_count = 1};
    assert_bad(buf_bytes(&f.text), &options, 12, "rewritten");
    buf_t raw;
    buf_init(&raw, 64);
    const char *text;
    assert_ok(buf_cstr(&f.text, &text));
    const char *hex = strstr(text + line_start(buf_bytes(&f.text), 12), "\"hash\":\"") + 8;
    assert_ok(text_unhex(bytes_make(hex, 64), &raw));
    memcpy(hash, raw.p, sizeof hash);
    buf_done(&raw);
    audit_report_t report;
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), &options, &report));
    assert_int_equal(report.pins_found, 1);
    /* The newest entries vanish from the database; what is left is a good chain. */
    assert_ok(fixture_script(f.base.db, "DELETE FROM audit_entry WHERE seq > 5"));
    assert_ok(db_read(f.base.db, export_fn, &f));
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), NULL, &report));
    assert_bad(buf_bytes(&f.text), &options, 0, "the log was cut");
    log_done(&f);
}

static err_t *deed_undone(db_conn_t *conn, void *arg) {
    TRY(deeds_fn(conn, arg));
    return err_new(ERR_DENIED, "undone");
}

static void test_audit__an_undone_deed_leaves_the_chain_whole(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    assert_err(ERR_DENIED, db_write(f.base.db, deed_undone, &f));
    assert_ok(db_write(f.base.db, deeds_fn, &f));
    assert_ok(db_read(f.base.db, export_fn, &f));
    audit_report_t report;
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), NULL, &report));
    assert_int_equal(report.entries, 12);
    log_done(&f);
}

static err_t *limits_fn(db_conn_t *conn, void *arg) {
    log_fixture_t *f = arg;
    static char big[LIMIT_AUDIT_DETAIL + 2];
    memset(big, 1, LIMIT_AUDIT_DETAIL + 1);
    bytes_t a = BYTES_LIT("a");
    assert_err(ERR_LIMIT, audit_append(&f->web, conn, a, a, a, big));
    assert_err(ERR_INVALID, audit_append(&f->web, conn, BYTES_NONE, a, a, NULL));
    assert_err(ERR_INVALID, audit_append(&f->web, conn, BYTES_LIT("\xff"), a, a, NULL));
    assert_err(ERR_INVALID, audit_append(&f->web, conn, BYTES_LIT("a\0b"), a, a, NULL));
    audit_t nameless = {"", &f->base.clk.clk};
    assert_err(ERR_INVALID, audit_append(&nameless, conn, a, a, a, NULL));
    big[LIMIT_AUDIT_DETAIL] = '\0'; /* the largest, all of it escaped sixfold */
    return audit_append(&f->web, conn, a, a, bytes_make(big, LIMIT_AUDIT_FIELD), big);
}

static void test_audit__limits_hold_and_the_largest_entry_verifies(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    assert_ok(db_write(f.base.db, limits_fn, &f));
    assert_ok(db_read(f.base.db, export_fn, &f));
    audit_report_t report;
    assert_ok(audit_verify_bytes(buf_bytes(&f.text), NULL, &report));
    assert_int_equal(report.entries, 10);
    CLEANUP(buf_done) buf_t endless;
    buf_init(&endless, 1 << 20);
    while (endless.n < LIMIT_AUDIT_LINE + 10) assert_ok(buf_add_str(&endless, "{\"type\":\"entry"));
    assert_bad(buf_bytes(&endless), NULL, 1, "limit");
    log_done(&f);
}

static err_t *note_fn(db_conn_t *conn, void *arg) {
    return audit_note(&((log_fixture_t *)arg)->web, conn, "person:1", "profile.add", "profile:wifi",
                      "name", "Wi-Fi \"guest\"", "skipped", NULL, NULL);
}

static err_t *note_check(const audit_row_t *row, void *arg) {
    (void)arg;
    assert_true(bytes_eq_str(row->action, "profile.add"));
    assert_true(bytes_eq_str(row->detail, "{\"name\":\"Wi-Fi \\\"guest\\\"\"}"));
    return NULL;
}

static err_t *recent_fn(db_conn_t *conn, void *arg) {
    (void)arg;
    return audit_rows_recent(conn, INT64_MAX, 1, note_check, NULL);
}

static void test_audit__a_note_becomes_an_entry(void **state) {
    (void)state;
    log_fixture_t f;
    log_open(&f);
    clk_fake_advance(&f.base.clk, 1000);
    assert_ok(db_write(f.base.db, note_fn, &f));
    assert_ok(db_read(f.base.db, recent_fn, &f));
    log_done(&f);
}

static void test_audit__a_broken_head_message_is_refused(void **state) {
    (void)state;
    audit_head_t head = {.node = "host1/web", .seq = 3, .unix_ms = 5};
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, 1024);
    assert_ok(audit_head_message(&head, &message));
    audit_head_t parsed;
    for (size_t n = 0; n < message.n; n++)
        assert_err(ERR_INVALID, audit_head_parse(bytes_make(message.p, n), &parsed));
    assert_ok(buf_add_byte(&message, 0));
    assert_err(ERR_INVALID, audit_head_parse(buf_bytes(&message), &parsed));
    head.seq = 0;
    buf_clear(&message);
    assert_ok(audit_head_message(&head, &message));
    assert_err(ERR_INVALID, audit_head_parse(buf_bytes(&message), &parsed));
}

/* The format is frozen: these hashes were computed apart from this code. */
static void test_audit__the_canonical_hash_is_frozen(void **state) {
    (void)state;
    static const uint8_t zeros[AUDIT_HASH_SIZE];
    audit_row_t row = {
        .node = BYTES_LIT("host1/web"),
        .seq = 1,
        .unix_ms = 1700000000000,
        .actor = BYTES_LIT("system"),
        .action = BYTES_LIT("start"),
        .object = BYTES_NONE,
        .detail = BYTES_LIT("{}"),
        .prev_hash = BYTES_ARRAY(zeros),
    };
    uint8_t hash[AUDIT_HASH_SIZE];
    assert_ok(audit_entry_hash(&row, hash));
    CLEANUP(mem_free) char *hex = NULL;
    assert_ok(text_hex_new(BYTES_ARRAY(hash), &hex));
    assert_string_equal(hex, "0dbe02c5377d9f257059dfe1f92cb5127bc6ec0ce9ab3c075a9c0c5360ba6c72");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit__an_honest_export_verifies),
        cmocka_unit_test(test_audit__base64_has_one_form),
        cmocka_unit_test(test_audit__any_changed_byte_is_found_in_its_line),
        cmocka_unit_test(test_audit__deleted_and_reordered_entries_are_found),
        cmocka_unit_test(test_audit__a_truncated_export_is_found),
        cmocka_unit_test(test_audit__a_foreign_or_forged_head_is_found),
        cmocka_unit_test(test_audit__heads_can_be_demanded),
        cmocka_unit_test(test_audit__pins_detect_a_rollback),
        cmocka_unit_test(test_audit__an_undone_deed_leaves_the_chain_whole),
        cmocka_unit_test(test_audit__limits_hold_and_the_largest_entry_verifies),
        cmocka_unit_test(test_audit__a_note_becomes_an_entry),
        cmocka_unit_test(test_audit__a_broken_head_message_is_refused),
        cmocka_unit_test(test_audit__the_canonical_hash_is_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
