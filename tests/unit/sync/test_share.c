/*
 * Members of shares: their record, the digits that people compare, who can read now.
 */
#include "sync_fixture.h"

#include "base/fault.h"
#include "sync/share.h"

/* A share of the fixture's laptop, and a second person with a region of her own. */
typedef struct {
    fixture_t home; /* person-1: laptop, phone, recovery; the member whose share it is */
    sync_device_key_t desk, pad;
    sync_chain_t *hers; /* desk, then pad */
    sync_chain_t *share;
    secret_t *her_key, *key;
    buf_t scrap;
    sync_member_t members[2];
    size_t me, she; /* in members */
} case_t;

static void append(case_t *c, const sync_device_key_t *author, sync_chain_t *chain,
                   const sync_device_key_t *device, uint8_t roles) {
    sync_chain_writer_t writer = fixture_writer(author);
    assert_ok(sync_chain_add(&writer, chain, &device->card, &c->scrap));
    assert_ok(sync_chain_approve(&writer, chain, device->id, roles, &c->scrap));
}

static void member(case_t *c, const sync_chain_t *home, const char *person, uint8_t roles,
                   sync_member_t *out) {
    (void)c;
    sync_chain_head_t head;
    *out = (sync_member_t){.roles = roles, .compared = true};
    assert_ok(sync_chain_head(home, &head));
    memcpy(out->home, head.region, SYNC_HASH);
    memcpy(out->person, person, strlen(person));
}

static int setup(void **state) {
    case_t *c = mem_zalloc(sizeof *c);
    const rnd_t *rnd = fixture_rnd();
    fixture_init(&c->home);
    buf_init(&c->scrap, (size_t)1 << 20);
    assert_ok(sync_device_key_make(rnd, "desk", "person-2", FIXTURE_NOW, &c->desk));
    assert_ok(sync_device_key_make(rnd, "pad", "person-2", FIXTURE_NOW, &c->pad));
    assert_ok(sync_chain_new(&c->hers));
    assert_ok(sync_chain_new(&c->share));
    sync_chain_writer_t desk = fixture_writer(&c->desk), laptop = fixture_writer(&c->home.laptop);
    assert_ok(sync_chain_begin(&desk, c->hers, &c->scrap, &c->her_key));
    assert_ok(sync_chain_begin(&laptop, c->share, &c->scrap, &c->key));
    sync_member_t me, she;
    member(c, c->home.chain, "person-1", SYNC_ALL, &me);
    member(c, c->hers, "person-2", SYNC_READ | SYNC_WRITE, &she);
    c->me = memcmp(me.home, she.home, SYNC_HASH) < 0 ? 0 : 1;
    c->she = 1 - c->me;
    c->members[c->me] = me;
    c->members[c->she] = she;
    *state = c;
    return 0;
}

static int teardown(void **state) {
    case_t *c = *state;
    fixture_done(&c->home);
    sync_device_key_done(&c->desk);
    sync_device_key_done(&c->pad);
    sync_chain_free(c->hers);
    sync_chain_free(c->share);
    secret_free(c->her_key);
    secret_free(c->key);
    buf_done(&c->scrap);
    mem_free(c);
    return 0;
}

/* The row of a device, or NULL. */
static const sync_share_row_t *row_of(case_t *c, bool with_hers, sync_share_row_t **ret_rows,
                                      const sync_device_key_t *device) {
    sync_share_home_t homes[2] = {0};
    size_t n = 0;
    homes[c->me].home = c->home.chain;
    homes[c->she].home = with_hers ? c->hers : NULL;
    mem_free(*ret_rows);
    *ret_rows = NULL;
    assert_ok(sync_share_judge(c->share, c->members, 2, homes, ret_rows, &n));
    for (size_t i = 0; i < n; i++)
        if (memcmp((*ret_rows)[i].device, device->id, SYNC_HASH) == 0) return &(*ret_rows)[i];
    return NULL;
}

static void test_share__new_devices_follow_and_ended_ones_go(void **state) {
    case_t *c = *state;
    sync_share_row_t *rows = NULL;
    const sync_device_key_t *laptop = &c->home.laptop;
    assert_int_equal(row_of(c, true, &rows, laptop)->state, SYNC_SHARE_FINE);
    assert_int_equal(row_of(c, true, &rows, &c->home.phone)->state, SYNC_SHARE_ADD);
    assert_int_equal(row_of(c, true, &rows, &c->desk)->state, SYNC_SHARE_ADD);
    assert_null(row_of(c, true, &rows, &c->home.recovery)); /* is nobody's device */
    assert_null(row_of(c, true, &rows, &c->pad));
    append(c, laptop, c->share, &c->desk, SYNC_READ | SYNC_WRITE);
    assert_int_equal(row_of(c, true, &rows, &c->desk)->state, SYNC_SHARE_FINE);
    append(c, &c->desk, c->hers, &c->pad, SYNC_READ);
    const sync_share_row_t *pad = row_of(c, true, &rows, &c->pad);
    assert_int_equal(pad->state, SYNC_SHARE_ADD);
    assert_int_equal(pad->wanted, SYNC_READ | SYNC_WRITE);
    assert_string_equal(pad->member->person, "person-2");
    append(c, laptop, c->share, &c->pad, SYNC_READ | SYNC_WRITE);
    /* Her desk is lost: she ends it in her own region, and the share is to follow. */
    secret_t *next = NULL;
    sync_chain_writer_t desk = fixture_writer(&c->desk);
    assert_ok(sync_chain_revoke(&desk, c->hers, c->pad.id, c->her_key, &c->scrap, &next));
    const sync_share_row_t *gone = row_of(c, true, &rows, &c->pad);
    assert_int_equal(gone->state, SYNC_SHARE_REVOKE);
    assert_null(gone->member);
    assert_int_equal(gone->roles, SYNC_READ | SYNC_WRITE);
    secret_free(next);
    mem_free(rows);
}

static void test_share__what_the_service_slips_in_is_named(void **state) {
    case_t *c = *state;
    sync_share_row_t *rows = NULL;
    /* A device that calls itself hers, but that her own chain doesn't have. */
    append(c, &c->home.laptop, c->share, &c->pad, SYNC_READ);
    assert_int_equal(row_of(c, true, &rows, &c->pad)->state, SYNC_SHARE_REVOKE);
    /* Her chain is withheld: it can't be told, and it isn't called fine. */
    assert_int_equal(row_of(c, false, &rows, &c->pad)->state, SYNC_SHARE_UNKNOWN);
    /* Another chain in the place of hers. */
    sync_share_home_t homes[2] = {{c->home.chain}, {c->home.chain}};
    size_t n = 0;
    mem_free(rows);
    rows = NULL;
    assert_err(ERR_VERIFY, sync_share_judge(c->share, c->members, 2, homes, &rows, &n));
}

static void test_share__rights_and_ended_devices_are_told(void **state) {
    case_t *c = *state;
    sync_share_row_t *rows = NULL;
    secret_t *next = NULL;
    append(c, &c->home.laptop, c->share, &c->desk, SYNC_READ | SYNC_WRITE);
    append(c, &c->home.laptop, c->share, &c->home.recovery, SYNC_RECOVER);
    c->members[c->she].roles = SYNC_READ;
    assert_int_equal(row_of(c, true, &rows, &c->desk)->state, SYNC_SHARE_ROLES);
    assert_int_equal(row_of(c, true, &rows, &c->home.recovery)->state, SYNC_SHARE_RECOVERY);
    sync_chain_writer_t laptop = fixture_writer(&c->home.laptop);
    assert_ok(sync_chain_revoke(&laptop, c->share, c->desk.id, c->key, &c->scrap, &next));
    assert_int_equal(row_of(c, true, &rows, &c->desk)->state, SYNC_SHARE_ENDED);
    assert_ok(sync_chain_add(&laptop, c->share, &c->home.phone.card, &c->scrap));
    assert_int_equal(row_of(c, true, &rows, &c->home.phone)->state, SYNC_SHARE_APPROVE);
    secret_free(next);
    mem_free(rows);
}

static void test_share__members_follow_one_another(void **state) {
    case_t *c = *state;
    sync_members_seen_t mine = {0}, seen = {0};
    buf_t packed, record, other;
    buf_init(&packed, LIMIT_SYNC_MEMBERS_BYTES);
    buf_init(&record, LIMIT_SYNC_MEMBERS_BYTES);
    buf_init(&other, LIMIT_SYNC_MEMBERS_BYTES);
    assert_ok(sync_members_pack(c->members, 2, &packed));
    sync_members_t first = {.members = buf_bytes(&packed), .count = 2}, second, parsed;
    assert_ok(sync_members_sign(&first, &mine, c->share, &c->home.laptop));
    assert_ok(sync_members_follow(&first, c->share, &mine));
    second = (sync_members_t){.members = BYTES_NONE, .count = 0};
    assert_ok(sync_members_sign(&second, &mine, c->share, &c->home.laptop));
    assert_err(ERR_NOT_FOUND, sync_members_follow(&second, c->share, &seen));
    assert_ok(sync_members_admit(&first, c->share, &seen));
    assert_err(ERR_EXISTS, sync_members_follow(&first, c->share, &seen));
    assert_ok(sync_members_follow(&second, c->share, &seen));
    assert_err(ERR_VERIFY, sync_members_follow(&first, c->share, &seen)); /* rolled back */
    /* Another second one: a fork. */
    sync_members_t fork = {.members = buf_bytes(&packed), .count = 2};
    assert_ok(sync_members_sign(&fork, &mine, c->share, &c->home.laptop));
    assert_err(ERR_VERIFY, sync_members_follow(&fork, c->share, &seen));
    /* As bytes, and no byte can be changed. */
    sync_member_t *list = NULL;
    size_t n = 0;
    assert_ok(sync_members_put(&first, &record));
    assert_ok(sync_members_parse(buf_bytes(&record), &parsed));
    assert_ok(sync_members_unpack(&parsed, &list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[c->she].person, "person-2");
    for (size_t i = 0; i < record.n; i++) {
        seen = (sync_members_seen_t){0};
        record.p[i] ^= 1;
        err_t *e = sync_members_parse(buf_bytes(&record), &parsed);
        if (!e) e = sync_members_follow(&parsed, c->share, &seen);
        if (!e) fail_msg("byte %zu", i);
        err_free(e);
        record.p[i] ^= 1;
    }
    mem_free(list);
    buf_done(&packed);
    buf_done(&record);
    buf_done(&other);
}

static void test_share__only_who_manages_names_members(void **state) {
    case_t *c = *state;
    sync_members_seen_t none = {0};
    sync_members_t m = {.members = BYTES_NONE};
    append(c, &c->home.laptop, c->share, &c->desk, SYNC_READ | SYNC_WRITE);
    assert_ok(sync_members_sign(&m, &none, c->share, &c->desk));
    assert_err(ERR_DENIED, sync_members_follow(&m, c->share, &none));
    assert_err(ERR_DENIED, sync_members_admit(&m, c->share, &none));
    m = (sync_members_t){.members = BYTES_NONE};
    assert_ok(sync_members_sign(&m, &none, c->hers, &c->desk)); /* of another region */
    assert_err(ERR_VERIFY, sync_members_follow(&m, c->share, &none));
}

static void test_share__members_that_cannot_be_are_refused(void **state) {
    case_t *c = *state;
    buf_t out;
    buf_init(&out, LIMIT_SYNC_MEMBERS_BYTES);
    sync_member_t twice[2] = {c->members[0], c->members[0]};
    assert_err(ERR_INVALID, sync_members_pack(twice, 2, &out));
    sync_member_t bad = c->members[0];
    bad.roles = SYNC_RECOVER;
    assert_err(ERR_INVALID, sync_members_pack(&bad, 1, &out));
    bad.roles = SYNC_WRITE;
    assert_err(ERR_INVALID, sync_members_pack(&bad, 1, &out));
    bad = c->members[0];
    bad.person[0] = '\0';
    assert_err(ERR_INVALID, sync_members_pack(&bad, 1, &out));
    assert_err(ERR_LIMIT, sync_members_pack(&bad, LIMIT_SYNC_MEMBERS + 1, &out));
    buf_done(&out);
}

static void test_share__both_people_see_the_same_digits(void **state) {
    case_t *c = *state;
    char mine[SYNC_SAFETY_TEXT], hers[SYNC_SAFETY_TEXT], changed[SYNC_SAFETY_TEXT];
    assert_ok(sync_safety_text(c->members[0].home, c->members[1].home, mine));
    assert_ok(sync_safety_text(c->members[1].home, c->members[0].home, hers));
    assert_string_equal(mine, hers);
    assert_int_equal(strlen(mine), 47);
    assert_int_equal(strspn(mine, "0123456789 "), 47);
    uint8_t other[SYNC_HASH];
    memcpy(other, c->members[1].home, SYNC_HASH);
    other[31] ^= 1;
    assert_ok(sync_safety_text(c->members[0].home, other, changed));
    assert_string_not_equal(mine, changed);
}

static void test_share__survives_without_memory(void **state) {
    case_t *c = *state;
    sync_share_home_t homes[2] = {0};
    homes[c->me].home = c->home.chain;
    homes[c->she].home = c->hers;
    for (unsigned long nth = 1;; nth++) {
        sync_share_row_t *rows = NULL;
        size_t n = 0;
        fault_arm_memory(nth);
        err_t *e = sync_share_judge(c->share, c->members, 2, homes, &rows, &n);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        mem_free(rows);
        assert_int_equal(e != NULL, fired);
        if (e) assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
        if (!fired) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_share__new_devices_follow_and_ended_ones_go, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_share__what_the_service_slips_in_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_share__rights_and_ended_devices_are_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_share__members_follow_one_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_share__only_who_manages_names_members, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_share__members_that_cannot_be_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_share__both_people_see_the_same_digits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_share__survives_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
