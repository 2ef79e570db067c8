/* Responses of IMAP servers, honest and not. */
#include "../unit.h"

#include <string.h>

#include "box/db.h"
#include "box/imap_parse.h"

static imap_response_t parse(const char *text) {
    imap_response_t r;
    assert_ok(imap_parse(bytes_str(text), &r));
    return r;
}

static void test_imap_parse__reads_what_servers_say(void **state) {
    (void)state;
    imap_response_t r = parse("c7 OK [READ-WRITE] Select completed.");
    assert_int_equal(r.kind, IMAP_TAGGED);
    assert_true(bytes_eq_str(r.tag, "c7"));
    assert_true(bytes_eq_str(r.text, "Select completed."));
    r = parse("* OK [UIDVALIDITY 1420070400] UIDs valid");
    assert_int_equal(r.uidvalidity, 1420070400);
    r = parse("* OK [HIGHESTMODSEQ 18446744073709] Highest");
    assert_true(r.highestmodseq == 18446744073709ULL);
    r = parse("* 23 EXISTS");
    assert_int_equal(r.kind, IMAP_EXISTS);
    assert_int_equal(r.exists, 23);
    assert_int_equal(parse("* BYE shutting down").outcome, IMAP_BYE);
    assert_int_equal(parse("+ idling").kind, IMAP_GO_ON);
    assert_int_equal(parse("* 4 EXPUNGE").kind, IMAP_OTHER);
    assert_int_equal(parse("c1 NO [AUTHENTICATIONFAILED] no").outcome, IMAP_NO);
}

static void test_imap_parse__takes_a_message_out_of_a_fetch(void **state) {
    (void)state;
    imap_response_t r = parse(
        "* 1 FETCH (UID 17 MODSEQ (12) FLAGS (\\Seen $Label \\Flagged) BODY[] {7}\r\na)\r\n\"b"
        "\r RFC822.SIZE 7 ENVELOPE (\"x\" NIL ((NIL NIL \"a\" \"b\"))))");
    assert_int_equal(r.kind, IMAP_FETCH);
    assert_int_equal(r.uid, 17);
    assert_int_equal(r.size, 7);
    assert_true(r.has_message && r.has_flags);
    assert_int_equal(r.flags, BOX_SEEN | BOX_FLAGGED);
    assert_int_equal(r.message.n, 7);
    assert_memory_equal(r.message.p, "a)\r\n\"b\r", 7);
    r = parse("* 2 FETCH (BODY[HEADER] {2}\r\nxx UID 5 BODY[] NIL)");
    assert_int_equal(r.uid, 5);
    assert_true(r.has_message && r.message.n == 0);
    r = parse("* 3 FETCH (UID 6 BODY[]<0> \"short\")");
    assert_true(bytes_eq_str(r.message, "short"));
    assert_int_equal(parse("* 3 FETCH (UID 6 RFC822.SIZE 99999999999)").size, UINT32_MAX);
}

static void test_imap_parse__reads_lists(void **state) {
    (void)state;
    imap_response_t r = parse("* LIST (\\HasNoChildren) \"/\" \"a \\\"b\\\\\"");
    assert_true(r.kind == IMAP_LIST && r.selectable);
    assert_string_equal(r.name, "a \"b\\");
    r = parse("* LIST (\\Noselect \\HasChildren) NIL {3}\r\nxyz");
    assert_false(r.selectable);
    assert_string_equal(r.name, "xyz");
    r = parse("* SEARCH 2 84 882 (MODSEQ 917162500)");
    uint32_t n = 0, first = 0, last = 0;
    bool found = true;
    uint32_t sum = 0;
    for (;; sum += n) {
        assert_ok(imap_next_number(&r.list, &n, &found));
        if (!found) break;
    }
    assert_int_equal(sum, 968);
    r = parse("* VANISHED (EARLIER) 41,43:116,220:210");
    assert_ok(imap_next_range(&r.list, &first, &last, &found));
    assert_true(found && first == 41 && last == 41);
    assert_ok(imap_next_range(&r.list, &first, &last, &found));
    assert_true(found && first == 43 && last == 116);
    assert_ok(imap_next_range(&r.list, &first, &last, &found));
    assert_true(found && first == 210 && last == 220);
    assert_ok(imap_next_range(&r.list, &first, &last, &found));
    assert_false(found);
}

static void test_imap_parse__refuses_lies(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "c1",
        "c1 MAYBE",
        "* 1 FETCH",
        "* 1 FETCH (",
        "* 1 FETCH (UID)",
        "* 1 FETCH (UID 4294967296)",
        "* 1 FETCH (UID -1)",
        "* 1 FETCH (FLAGS \\Seen)",
        "* 1 FETCH (BODY[] {9}\r\nshort)",
        "* 1 FETCH (BODY[] {99999999999999999999999}\r\nshort)",
        "* 1 FETCH (BODY[] \"open)",
        "* 1 FETCH (BODY[ UID 3)",
        "* 99999999999 EXISTS",
        "* OK [UIDVALIDITY x] y",
        "* OK [UIDVALIDITY 1 y",
        "* LIST (\\x",
        "* LIST () \"/\"",
        "* LIST () \"/\" \"a\001b\"",
    };
    imap_response_t r;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        err_t *e = imap_parse(bytes_str(bad[i]), &r);
        if (!e) fail_msg("taken: %s", bad[i]);
        err_free(e);
    }
    char deep[4096] = "* 1 FETCH (X ";
    memset(deep + strlen(deep), '(', 2000);
    assert_err(ERR_INVALID, imap_parse(bytes_str(deep), &r));
}

static void test_imap_parse__knows_literals(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bool literal;
        size_t n;
    } cases[] = {{"* 1 FETCH (BODY[] {12}", true, 12},
                 {"x {0}", true, 0},
                 {"x {5+}", true, 5},
                 {"x {}", false, 0},
                 {"x {1a}", false, 0},
                 {"x}", false, 0},
                 {"", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool literal = !cases[i].literal;
        size_t n = 0;
        assert_ok(imap_parse_literal(bytes_str(cases[i].line), &literal, &n));
        assert_int_equal(literal, cases[i].literal);
        assert_int_equal(n, cases[i].n);
    }
    bool literal = false;
    size_t n = 0;
    assert_err(ERR_LIMIT, imap_parse_literal(BYTES_LIT("x {4294967295}"), &literal, &n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_imap_parse__reads_what_servers_say),
        cmocka_unit_test(test_imap_parse__takes_a_message_out_of_a_fetch),
        cmocka_unit_test(test_imap_parse__reads_lists),
        cmocka_unit_test(test_imap_parse__refuses_lies),
        cmocka_unit_test(test_imap_parse__knows_literals),
    };
    return cmocka_run_group_tests_name("box imap_parse", tests, NULL, NULL);
}
