/*
 * Devices' secrets in the store: rows from before escrow open as ever, and what comes now is an
 * escrow object that the keeper opens for its device alone.
 */
#include "device_fixture.h"

#include <stdio.h>

#include "base/mem.h"

static int setup(void **state) {
    fx_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    fx_make(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fx_done(*state);
    mem_free(*state);
    return 0;
}

typedef struct {
    const char *udid;
    db_device_t device;
    arena_t *arena;
    bytes_t sealed;
} old_row_t;

static err_t *find(db_conn_t *conn, void *arg) {
    old_row_t *row = arg;
    bool found = false;
    TRY(db_devices_by_key(conn, row->arena, row->udid, &row->device, &found));
    assert_true(found);
    return NULL;
}

static err_t *put_old(db_conn_t *conn, void *arg) {
    const old_row_t *row = arg;
    return db_sealed_put(conn, &(db_sealed_t){.device_id = row->device.id,
                                              .kind = "unlock-token",
                                              .version = 1,
                                              .sealed = row->sealed,
                                              .created_ms = 1});
}

/* As it was stored before there was escrow. */
static void store_old(fx_t *f, const fx_device_t *d, const char *token) {
    CLEANUP(buf_done) buf_t sealed;
    old_row_t row = {.udid = d->udid, .arena = f->arena};
    buf_init(&sealed, LIMIT_KEEPER_SECRET);
    assert_ok(db_read(f->db, find, &row));
    assert_ok(keeper_seal_secret(f->keeper.keeper, "unlock-token", row.device.id, 1,
                                 bytes_str(token), &sealed));
    row.sealed = buf_bytes(&sealed);
    assert_ok(db_write(f->db, put_old, &row));
}

static bool body_has(const fx_t *f, const char *text) {
    return memmem(f->body.p, f->body.n, text, strlen(text)) != NULL;
}

static void test_secret__rows_from_before_escrow_open(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    int64_t before = fx_number(f, "SELECT COUNT(*) FROM escrow_object");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM sealed_secret"), before);
    store_old(f, d, "old token");
    assert_string_equal(fx_queue(f, d, "ClearPasscode", "", false), "ok");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "ClearPasscode");
    assert_true(body_has(f, "b2xkIHRva2Vu")); /* "old token" */
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    /* Its successor goes into escrow. */
    assert_string_equal(fx_token(f, d, "new token"), "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM escrow_object"), before + 1);
    assert_string_equal(fx_queue(f, d, "ClearPasscode", "", false), "ok");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "ClearPasscode");
    assert_true(body_has(f, "bmV3IHRva2Vu"));
}

static void test_secret__the_newest_token_is_delivered(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_string_equal(fx_token(f, d, "old token"), "empty");
    assert_string_equal(fx_queue(f, d, "ClearPasscode", "", false), "ok");
    assert_string_equal(fx_token(f, d, "new token"), "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM escrow_object WHERE state = 'former'"), 1);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "ClearPasscode");
    assert_true(body_has(f, "bmV3IHRva2Vu"));
}

static void test_secret__each_pin_is_an_object_of_its_own(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "MacBookPro18,1");
    assert_string_equal(fx_queue(f, d, "DeviceLock", "{\"PIN\":\"111111\"}", false), "ok");
    assert_string_equal(fx_queue(f, d, "EraseDevice", "{\"PIN\":\"222222\"}", false), "ok");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM escrow_object WHERE kind = 'pin' AND "
                                  "state = 'current'"),
                     2);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "DeviceLock");
    assert_true(body_has(f, "111111"));
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "EraseDevice");
    assert_true(body_has(f, "222222"));
}

#define CODE(text) "<key>ActivationLockBypassCode</key><string>" text "</string>"

static void test_secret__a_code_goes_into_escrow_and_not_into_the_result(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    for (int i = 0; i < 2; i++) { /* the second time it is the same */
        assert_string_equal(fx_queue(f, d, "ActivationLockBypassCode", "", false), "ok");
        assert_string_equal(fx_queue(f, d, "ProfileList", "", false), "ok");
        assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "ActivationLockBypassCode");
        assert_string_equal(fx_result(f, d, "Acknowledged", NULL, CODE("3UM43-PUYVY")),
                            "ProfileList");
        assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    }
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM escrow_object WHERE kind = 'bypass-code'"),
                     1);
    assert_int_equal(
        fx_number(f, "SELECT COUNT(*) FROM command_result WHERE instr(body, '3UM43-PUYVY')"), 0);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM escrow_object WHERE verified_ms > 0"), 1);
    /* An odd one is refused, noted, and holds nothing up. */
    assert_string_equal(fx_queue(f, d, "ActivationLockBypassCode", "", false), "ok");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "ActivationLockBypassCode");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, CODE("&lt;script&gt;")), "empty");
    assert_int_equal(
        fx_number(f, "SELECT COUNT(*) FROM audit_entry WHERE action = 'escrow.refuse'"), 1);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM escrow_object WHERE kind = 'bypass-code'"),
                     1);
}

static void test_secret__supervised_devices_are_asked_for_their_code(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_string_equal(fx_queue(f, d, "DeviceInformation", "", false), "ok");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "DeviceInformation");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL,
                                  "<key>QueryResponses</key><dict><key>IsSupervised</key><true/>"
                                  "</dict>"),
                        "ActivationLockBypassCode");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, CODE("3UM43-PUYVY")), "empty");
    assert_string_equal(fx_queue(f, d, "DeviceInformation", "", false), "ok");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "DeviceInformation");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL,
                                  "<key>QueryResponses</key><dict><key>IsSupervised</key><true/>"
                                  "</dict>"),
                        "empty");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_secret__rows_from_before_escrow_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret__the_newest_token_is_delivered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_secret__each_pin_is_an_object_of_its_own, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_secret__a_code_goes_into_escrow_and_not_into_the_result, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret__supervised_devices_are_asked_for_their_code,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
