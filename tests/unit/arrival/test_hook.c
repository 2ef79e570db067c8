/* What mail servers say: src/arrival/hook.h. */
#include <stdio.h>

#include "../unit.h"
#include "arrival/hook.h"
#include "base/limits.h"
#include "base/mem.h"

enum { ARENA = 1 << 16 };

typedef struct {
    arena_t *arena;
    arrival_hook_t hook;
    bool new_mail;
} parsed_t;

static err_t *parse(parsed_t *p, const char *text) {
    *p = (parsed_t){.arena = NULL};
    assert_ok(arena_new(ARENA, &p->arena));
    return arrival_hook_parse(p->arena, bytes_str(text), &p->hook, &p->new_mail);
}

static void refused(err_code_t code, const char *text) {
    parsed_t p;
    assert_err(code, parse(&p, text));
    arena_free(p.arena);
}

#define NEW_MAIL                                                                                   \
    "{\"user\":\"Alice@Example.org\",\"event\":\"messageNew\",\"folder\":\"INBOX\","               \
    "\"imap-uidvalidity\":1700000000,\"imap-uid\":42,\"from\":\"Bob <bob@example.org>\","          \
    "\"subject\":\"Results\",\"snippet\":\"Dear Alice\",\"unseen\":3}"

static void test_hook__says_where_mail_came(void **state) {
    (void)state;
    parsed_t p;
    assert_ok(parse(&p, NEW_MAIL));
    assert_true(p.new_mail);
    assert_string_equal(p.hook.login, "alice@example.org");
    assert_string_equal(p.hook.arrival.folder, "INBOX");
    assert_int_equal(p.hook.arrival.uidvalidity, 1700000000);
    assert_int_equal(p.hook.arrival.uid, 42);
    assert_int_equal(p.hook.arrival.modseq, 0);
    arena_free(p.arena);
}

static void test_hook__other_events_are_none(void **state) {
    (void)state;
    parsed_t p;
    assert_ok(parse(&p, "{\"user\":\"a\",\"event\":\"messageExpunge\",\"folder\":\"INBOX\"}"));
    assert_false(p.new_mail);
    arena_free(p.arena);
}

#define BODY(user, folder, validity, uid)                                                          \
    "{\"user\":" user ",\"event\":\"messageNew\",\"folder\":" folder                               \
    ",\"imap-uidvalidity\":" validity ",\"imap-uid\":" uid "}"

static void test_hook__refuses_what_can_not_be(void **state) {
    (void)state;
    parsed_t p;
    assert_ok(parse(&p, BODY("\"a\"", "\"b\"", "1", "4294967295")));
    arena_free(p.arena);
    refused(ERR_INVALID, "");
    refused(ERR_INVALID, "[]");
    refused(ERR_INVALID, "{}");
    refused(ERR_INVALID, BODY("\"\"", "\"b\"", "1", "2"));
    refused(ERR_INVALID, BODY("7", "\"b\"", "1", "2"));
    refused(ERR_INVALID, BODY("\"a\\n\"", "\"b\"", "1", "2"));
    refused(ERR_INVALID, BODY("\"a\"", "\"b\\u0007\"", "1", "2"));
    refused(ERR_INVALID, BODY("\"a\"", "\"b\"", "0", "2"));
    refused(ERR_INVALID, BODY("\"a\"", "\"b\"", "1", "0"));
    refused(ERR_INVALID, BODY("\"a\"", "\"b\"", "1", "-1"));
    refused(ERR_INVALID, BODY("\"a\"", "\"b\"", "1", "4294967296"));
    refused(ERR_INVALID, BODY("\"a\"", "\"b\"", "1", "2.5"));
    refused(ERR_INVALID, "{\"user\":\"a\",\"user\":\"b\",\"event\":\"messageNew\"}");
}

static void test_hook__names_have_limits(void **state) {
    (void)state;
    char folder[LIMIT_ARRIVAL_FOLDER + 2], text[2000];
    memset(folder, 'f', sizeof folder - 1);
    folder[sizeof folder - 1] = '\0';
    (void)snprintf(text, sizeof text,
                   "{\"user\":\"a\",\"event\":\"messageNew\",\"folder\":\"%s\","
                   "\"imap-uidvalidity\":1,\"imap-uid\":2}",
                   folder);
    refused(ERR_LIMIT, text);
    char *large = mem_zalloc(LIMIT_ARRIVAL_HOOK + 2);
    assert_non_null(large);
    memset(large, ' ', LIMIT_ARRIVAL_HOOK + 1);
    refused(ERR_LIMIT, large);
    mem_free(large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hook__says_where_mail_came),
        cmocka_unit_test(test_hook__other_events_are_none),
        cmocka_unit_test(test_hook__refuses_what_can_not_be),
        cmocka_unit_test(test_hook__names_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
