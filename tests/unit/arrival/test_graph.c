/* What Microsoft Graph's change notifications say: src/arrival/graph.h. */
#include <stdio.h>

#include "../unit.h"
#include "arrival/graph.h"
#include "arrival/opaque.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"

enum { ARENA = 1 << 20, TEXT = 512 * 1024 };

#define SUBSCRIPTION "7F105C7D-2dc5-4530-97cd-4e7ae6534c07"
#define ONE(change, id, state)                                                                     \
    "{\"subscriptionId\":\"" SUBSCRIPTION "\",\"subscriptionExpirationDateTime\":"                 \
    "\"2026-11-29T11:00:00.0000000Z\",\"changeType\":\"" change "\",\"clientState\":\"" state      \
    "\","                                                                                          \
    "\"tenantId\":\"84bd8158-6d4d-4958-8b9f-9d6445542f95\",\"resource\":\"Users/u/Messages/" id    \
    "\",\"resourceData\":{\"@odata.type\":\"#Microsoft.Graph.Message\",\"id\":\"" id "\"}}"
#define LIFECYCLE(event)                                                                           \
    "{\"subscriptionId\":\"" SUBSCRIPTION "\",\"subscriptionExpirationDateTime\":"                 \
    "\"2026-11-29T11:00:00Z\",\"lifecycleEvent\":\"" event "\",\"clientState\":\"s\","             \
    "\"organizationId\":\"84bd8158-6d4d-4958-8b9f-9d6445542f95\",\"resource\":\"Users/u/m\"}"
#define ALL(items) "{\"value\":[" items "]}"

typedef struct {
    arena_t *arena;
    graph_notice_t *notices;
    size_t count;
} parsed_t;

static err_t *parse(parsed_t *p, bytes_t text) {
    *p = (parsed_t){.arena = NULL};
    assert_ok(arena_new(ARENA, &p->arena));
    return arrival_graph_parse(p->arena, text, &p->notices, &p->count);
}

static void parsed(parsed_t *p, const char *text, size_t count) {
    assert_ok(parse(p, bytes_str(text)));
    assert_int_equal(p->count, count);
}

static void refused(err_code_t code, bytes_t text) {
    parsed_t p;
    assert_err(code, parse(&p, text));
    arena_free(p.arena);
}

static void test_graph__says_that_a_message_came(void **state) {
    (void)state;
    parsed_t p;
    uint8_t hash[DIGEST_SHA256_SIZE];
    parsed(&p, ALL(ONE("created", "AAMk=", "secret")), 1);
    const graph_notice_t *n = &p.notices[0];
    assert_int_equal(n->kind, GRAPH_MAIL);
    assert_string_equal(n->subscription, "7f105c7d-2dc5-4530-97cd-4e7ae6534c07");
    assert_int_equal(n->expires, 1795950000); /* 2026-11-29T11:00:00Z */
    assert_true(n->opaque > ARRIVAL_UIDVALIDITY_MAX);
    assert_ok(digest_sha256(BYTES_LIT("secret"), hash));
    assert_true(arrival_graph_is_from(n, BYTES_ARRAY(hash)));
    assert_false(arrival_graph_is_from(n, bytes_make(hash, 31)));
    assert_false(arrival_graph_is_from(n, BYTES_NONE));
    for (size_t i = 0; i < sizeof hash; i++) {
        hash[i] ^= 1;
        assert_false(arrival_graph_is_from(n, BYTES_ARRAY(hash)));
        hash[i] ^= 1;
    }
    arena_free(p.arena);
}

static void test_graph__lifecycle(void **state) {
    (void)state;
    parsed_t p;
    parsed(&p,
           ALL(LIFECYCLE("reauthorizationRequired") "," LIFECYCLE(
               "subscriptionRemoved") "," LIFECYCLE("missed") "," LIFECYCLE("somethingNew")),
           3);
    assert_int_equal(p.notices[0].kind, GRAPH_REAUTHORIZE);
    assert_int_equal(p.notices[0].expires, 1795950000);
    assert_int_equal(p.notices[1].kind, GRAPH_REMOVED);
    assert_int_equal(p.notices[2].kind, GRAPH_MISSED);
    arena_free(p.arena);
}

static void test_graph__several_of_one_mailbox_are_one(void **state) {
    (void)state;
    parsed_t p, last;
    parsed(&p,
           ALL(ONE("created", "a", "s") "," ONE("updated", "x", "s") "," ONE(
               "created", "b", "s") "," ONE("created", "c", "guess")),
           2);
    parsed(&last, ALL(ONE("created", "b", "s")), 1);
    assert_int_equal(p.notices[0].opaque, last.notices[0].opaque);
    assert_int_not_equal(p.notices[0].opaque, p.notices[1].opaque);
    arena_free(p.arena);
    arena_free(last.arena);
}

/* One that makes no sense does not take the others with it. */
static void test_graph__nonsense_is_left_out(void **state) {
    (void)state;
    static const char *const odd[] = {
        "7",
        "[]",
        "{}",
        "{\"changeType\":\"created\"}",
        ONE("deleted", "a", "s"),
        ONE("created", "", "s"),
        "{\"changeType\":\"created\",\"subscriptionId\":\"x\",\"clientState\":\"s\"}",
        "{\"changeType\":\"created\",\"subscriptionId\":\"x\",\"resourceData\":{\"id\":\"a\"}}",
        "{\"changeType\":\"created\",\"subscriptionId\":\"\",\"clientState\":\"s\","
        "\"resourceData\":{\"id\":\"a\"}}",
        "{\"changeType\":\"created\",\"subscriptionId\":\"x\\n\",\"clientState\":\"s\","
        "\"resourceData\":{\"id\":\"a\"}}",
        "{\"changeType\":7,\"subscriptionId\":\"x\",\"clientState\":\"s\"}",
        "{\"lifecycleEvent\":\"missed\",\"subscriptionId\":\"x\",\"clientState\":null}",
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        CLEANUP(mem_free)
        char *text = mem_printf("{\"value\":[%s,%s]}", odd[i], ONE("created", "good", "s"));
        parsed_t p;
        assert_non_null(text);
        parsed(&p, text, 1);
        arena_free(p.arena);
    }
}

static void test_graph__expiries_that_are_none(void **state) {
    (void)state;
    static const char *const texts[] = {"", "NA", "2026-11-29", "2026-13-29T11:00:00Z",
                                        "1950-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CLEANUP(mem_free)
        char *text =
            mem_printf("{\"value\":[{\"subscriptionId\":\"x\",\"clientState\":\"s\","
                       "\"lifecycleEvent\":\"missed\",\"subscriptionExpirationDateTime\":\"%s\"}]}",
                       texts[i]);
        parsed_t p;
        assert_non_null(text);
        parsed(&p, text, 1);
        assert_int_equal(p.notices[0].expires, 0);
        arena_free(p.arena);
    }
}

static void test_graph__refuses_what_is_no_collection(void **state) {
    (void)state;
    parsed_t p;
    parsed(&p, "{\"value\":[]}", 0);
    arena_free(p.arena);
    refused(ERR_INVALID, BYTES_NONE);
    refused(ERR_INVALID, BYTES_LIT("[]"));
    refused(ERR_INVALID, BYTES_LIT("{}"));
    refused(ERR_INVALID, BYTES_LIT("{\"value\":{}}"));
    refused(ERR_INVALID, BYTES_LIT("{\"value\":[],\"value\":[]}"));
}

static void test_graph__has_limits(void **state) {
    (void)state;
    CLEANUP(mem_free) char *text = mem_zalloc(TEXT);
    size_t n = 0;
    assert_non_null(text);
    memset(text, ' ', LIMIT_ARRIVAL_HOOK + 1);
    refused(ERR_LIMIT, bytes_make(text, LIMIT_ARRIVAL_HOOK + 1));
    n = (size_t)snprintf(text, TEXT, "{\"value\":[{}");
    for (int i = 0; i < LIMIT_ARRIVAL_NOTICES; i++) n += (size_t)snprintf(text + n, 4, ",{}");
    n += (size_t)snprintf(text + n, 3, "]}");
    refused(ERR_LIMIT, bytes_make(text, n));
}

static void test_graph__arrivals_go_to_few_places(void **state) {
    (void)state;
    parsed_t p;
    arrival_t a, b;
    int64_t first = 0, second = 0, later = 0;
    parsed(&p, ALL(ONE("created", "a", "s")), 1);
    assert_ok(arrival_opaque_arrival(p.arena, p.notices[0].opaque, &a));
    assert_ok(arrival_opaque_arrival(p.arena, p.notices[0].opaque + LIMIT_ARRIVAL_PLACES, &b));
    assert_string_equal(a.folder, b.folder);
    assert_int_equal(a.uidvalidity, p.notices[0].opaque);
    assert_int_equal(a.uid, 1);
    assert_ok(arrival_opaque_missed(60 * 1000, 60 * 1000, &first));
    assert_ok(arrival_opaque_missed(119 * 1000, 60 * 1000, &second));
    assert_ok(arrival_opaque_missed(120 * 1000, 60 * 1000, &later));
    assert_int_equal(first, second);
    assert_int_not_equal(first, later);
    arena_free(p.arena);
}

static void test_graph__no_memory_is_said(void **state) {
    (void)state;
    for (unsigned long nth = 1;; nth++) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        graph_notice_t *notices = NULL;
        size_t count = 0;
        assert_ok(arena_new(ARENA, &arena));
        fault_arm_memory(nth);
        err_t *e =
            arrival_graph_parse(arena, BYTES_LIT(ALL(ONE("created", "a", "s"))), &notices, &count);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            assert_int_equal(count, 1);
            break;
        }
        assert_err(ERR_NOMEM, e);
        assert_null(notices);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph__says_that_a_message_came),
        cmocka_unit_test(test_graph__lifecycle),
        cmocka_unit_test(test_graph__several_of_one_mailbox_are_one),
        cmocka_unit_test(test_graph__nonsense_is_left_out),
        cmocka_unit_test(test_graph__expiries_that_are_none),
        cmocka_unit_test(test_graph__refuses_what_is_no_collection),
        cmocka_unit_test(test_graph__has_limits),
        cmocka_unit_test(test_graph__arrivals_go_to_few_places),
        cmocka_unit_test(test_graph__no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
