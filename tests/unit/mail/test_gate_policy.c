/*
 * mail/gate_policy: levels override what they say and leave the rest; texts go there and back.
 */
#include "../unit.h"

#include "mail/gate_policy.h"

static gate_rule_t rule_of(const char *text) {
    gate_rule_t rule;
    assert_ok(gate_rule_read(bytes_str(text), &rule));
    return rule;
}

static void test_gate_policy__levels_override_what_they_say(void **state) {
    (void)state;
    gate_rule_t rule = gate_rule_default();
    assert_int_equal(rule.encrypt, GATE_NEVER);
    assert_false(gate_is(&rule, GATE_SIGN));
    assert_true(gate_is(&rule, GATE_VERIFY));
    gate_rule_t organisation = rule_of("encrypt=all-or-plain sign=yes");
    gate_rule_t domain = rule_of("encrypt=require");
    gate_rule_t person = rule_of("sign=no decrypt=yes");
    gate_rule_apply(&rule, &organisation);
    assert_true(gate_is(&rule, GATE_SIGN));
    gate_rule_apply(&rule, &domain);
    assert_true(gate_is(&rule, GATE_SIGN));
    gate_rule_apply(&rule, &person);
    assert_int_equal(rule.encrypt, GATE_REQUIRE);
    assert_false(gate_is(&rule, GATE_SIGN));
    assert_true(gate_is(&rule, GATE_DECRYPT));
    assert_true(gate_is(&rule, GATE_HARVEST));
}

static void test_gate_policy__goes_to_text_and_back(void **state) {
    (void)state;
    const char *text = "encrypt=split sign=yes hide_subject=no decrypt_unprotected=yes";
    gate_rule_t rule = rule_of(text);
    CLEANUP(buf_done) buf_t out;
    const char *written;
    buf_init(&out, 1000);
    assert_ok(gate_rule_write(&rule, &out));
    assert_ok(buf_cstr(&out, &written));
    assert_string_equal(written, text);
    assert_ok(gate_rule_set(&rule, BYTES_LIT("sign"), BYTES_LIT("inherit")));
    assert_ok(gate_rule_set(&rule, BYTES_LIT("encrypt"), BYTES_NONE));
    buf_clear(&out);
    assert_ok(gate_rule_write(&rule, &out));
    assert_ok(buf_cstr(&out, &written));
    assert_string_equal(written, "hide_subject=no decrypt_unprotected=yes");
}

static void test_gate_policy__refuses_what_it_does_not_know(void **state) {
    (void)state;
    gate_rule_t rule;
    assert_err(ERR_INVALID, gate_rule_read(BYTES_LIT("encrypt=sometimes"), &rule));
    assert_err(ERR_INVALID, gate_rule_read(BYTES_LIT("sign=perhaps"), &rule));
    assert_err(ERR_INVALID, gate_rule_read(BYTES_LIT("sings=yes"), &rule));
    assert_err(ERR_INVALID, gate_rule_read(BYTES_LIT("sign"), &rule));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_policy__levels_override_what_they_say),
        cmocka_unit_test(test_gate_policy__goes_to_text_and_back),
        cmocka_unit_test(test_gate_policy__refuses_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
