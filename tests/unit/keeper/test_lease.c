/*
 * Leases, asked by the real client and sealed as a device would.
 */
#include "keeper_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "crypto/hpke.h"
#include "keeper/client_lease.h"
#include "keeper/vault_lease.h"

enum { BUF = 64 * 1024 };

typedef struct {
    keeper_fixture_t f;
    pkey_t *push, *lease_key;
} lease_t;

static int setup(void **state) {
    lease_t *t = mem_zalloc(sizeof *t);
    CLEANUP(buf_done) buf_t der;
    assert_non_null(t);
    assert_ok(crypto_init());
    keeper_fixture_make(&t->f);
    buf_init(&der, BUF);
    assert_ok(pkey_generate(PKEY_X25519, 0, &t->push));
    assert_ok(keeper_public(t->f.keeper, KEEPER_PUBLIC_LEASE_KEY, &der));
    assert_ok(pkey_parse_public_der(buf_bytes(&der), &t->lease_key));
    *state = t;
    return 0;
}

static int teardown(void **state) {
    lease_t *t = *state;
    pkey_free(t->push);
    pkey_free(t->lease_key);
    keeper_fixture_done(&t->f);
    mem_free(t);
    return 0;
}

static keeper_lease_t lease_of(const lease_t *t, const char *device, uint64_t epoch,
                               int64_t life_s) {
    keeper_lease_t lease = {device, "mail", epoch, clk_unix(&t->f.clk.clk) + life_s, {0}};
    assert_ok(pkey_raw_public(t->push, lease.push_key));
    return lease;
}

static void seal(const lease_t *t, const keeper_lease_t *lease, const char *key, buf_t *out) {
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, BUF);
    buf_init(out, BUF);
    assert_ok(keeper_lease_info(lease, &info));
    assert_ok(hpke_seal(HPKE_AES256_GCM, t->lease_key, buf_bytes(&info), BYTES_NONE, bytes_str(key),
                        out));
}

static err_t *put(lease_t *t, const keeper_lease_t *lease, const char *key) {
    CLEANUP(buf_done) buf_t sealed;
    seal(t, lease, key, &sealed);
    return keeper_lease_put(t->f.keeper, lease, buf_bytes(&sealed));
}

static void assert_released(lease_t *t, const char *device, const char *key) {
    CLEANUP(buf_done) buf_t sealed, info, plain;
    keeper_lease_t lease;
    buf_init(&sealed, BUF);
    buf_init(&info, BUF);
    buf_init_secret(&plain, BUF);
    assert_ok(keeper_lease_release(t->f.keeper, device, "mail", "event-1", &lease, &sealed));
    assert_ok(keeper_lease_release_info(&lease, "event-1", &info));
    assert_ok(hpke_open(HPKE_AES256_GCM, t->push, buf_bytes(&info), BYTES_NONE, buf_bytes(&sealed),
                        &plain));
    assert_true(bytes_eq_str(buf_bytes(&plain), key));
}

static err_t *release(lease_t *t, const char *device) {
    CLEANUP(buf_done) buf_t sealed;
    keeper_lease_t lease;
    buf_init(&sealed, BUF);
    return keeper_lease_release(t->f.keeper, device, "mail", "event-1", &lease, &sealed);
}

static void assert_logged(lease_t *t, const char *text) {
    CLEANUP(buf_done) buf_t lines;
    const char *all = NULL;
    uint64_t last = 0;
    buf_init(&lines, 1024 * 1024);
    keeper_fixture_restart(&t->f);
    assert_ok(keeper_log(t->f.keeper, 0, &lines, &last));
    assert_ok(buf_cstr(&lines, &all));
    assert_non_null(strstr(all, text));
}

static void test_lease__is_released_to_the_push_key(void **state) {
    lease_t *t = *state;
    keeper_lease_t one = lease_of(t, "D1", 1, 3600), two = lease_of(t, "D2", 1, 3600);
    assert_ok(put(t, &one, "kek-1"));
    assert_ok(put(t, &two, "kek-2"));
    assert_released(t, "D1", "kek-1");
    keeper_fixture_restart(&t->f);
    assert_released(t, "D2", "kek-2");
    assert_err(ERR_NOT_FOUND, release(t, "D3"));
    assert_logged(t, "device=D1 account=mail epoch=1");
}

static void test_lease__renewal_has_a_higher_epoch(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 5, 3600);
    assert_ok(put(t, &lease, "first"));
    assert_err(ERR_DENIED, put(t, &lease, "again"));
    lease.epoch = 4;
    assert_err(ERR_DENIED, put(t, &lease, "older"));
    lease.epoch = 6;
    assert_ok(put(t, &lease, "second"));
    assert_released(t, "D1", "second");
}

/* Puts `lease` with what was sealed for another: nobody gets it. */
static void assert_opens_not(lease_t *t, const keeper_lease_t *lease, const buf_t *sealed) {
    assert_ok(keeper_lease_put(t->f.keeper, lease, buf_bytes(sealed)));
    assert_err(ERR_VERIFY, release(t, lease->device));
    assert_ok(keeper_lease_reset(t->f.keeper, lease->device, "test"));
}

static void test_lease__nobody_puts_his_own_push_key_in(void **state) {
    lease_t *t = *state;
    CLEANUP(buf_done) buf_t sealed;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600);
    seal(t, &lease, "kek", &sealed);
    keeper_lease_t forged = lease; /* another push key, or a later end, or device */
    forged.push_key[0] ^= 1;
    assert_opens_not(t, &forged, &sealed);
    forged = lease;
    forged.epoch = 2;
    forged.expires++;
    assert_opens_not(t, &forged, &sealed);
    forged = lease;
    forged.device = "D2";
    assert_opens_not(t, &forged, &sealed);
    assert_logged(t, "the key was not sealed for this lease");
}

static void test_lease__the_first_put_registers_the_push_key(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600), other = lease, calendar;
    assert_ok(put(t, &lease, "kek"));
    other.epoch = 2;
    other.push_key[0] ^= 1;
    assert_err(ERR_DENIED, put(t, &other, "renewed")); /* the same account */
    calendar = other;
    calendar.account = "calendar";
    assert_err(ERR_DENIED, put(t, &calendar, "another account"));
    assert_released(t, "D1", "kek");
    other.may_change = true; /* not while there are leases */
    assert_err(ERR_DENIED, put(t, &other, "renewed"));
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "", "new app"));
    other.may_change = false;
    assert_err(ERR_DENIED, put(t, &other, "renewed")); /* nor by a token alone when they ended */
    keeper_fixture_restart(&t->f);
    assert_err(ERR_DENIED, put(t, &other, "renewed"));
    other.may_change = true;
    assert_ok(put(t, &other, "renewed"));
    lease.epoch = 3;
    assert_err(ERR_DENIED, put(t, &lease, "the former key"));
}

/* Who has a device's token, but not its identity certificate. */
static void test_lease__a_stolen_token_cannot_lock_the_device_out(void **state) {
    lease_t *t = *state;
    keeper_lease_t mine = lease_of(t, "D1", 3, 3600), thief = mine;
    thief.push_key[0] ^= 1;
    assert_ok(put(t, &mine, "kek"));
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "mail", "the thief's wish"));
    thief.epoch = INT64_MAX;
    assert_err(ERR_DENIED, put(t, &thief, "mine"));
    thief.epoch = 4;
    assert_err(ERR_DENIED, put(t, &thief, "mine"));
    thief = mine; /* the right key, which is no secret, with epochs out of reach */
    thief.epoch = mine.epoch + LIMIT_LEASE_EPOCH_STEP + 1;
    assert_err(ERR_DENIED, put(t, &thief, "mine"));
    thief.epoch--;
    assert_ok(put(t, &thief, "mine"));
    mine.epoch = thief.epoch + 1;
    assert_ok(put(t, &mine, "kek"));
    assert_released(t, "D1", "kek");
    mine.account = "first";
    mine.epoch = (UINT64_C(1) << LIMIT_LEASE_EPOCH_FIRST_BITS) + 1;
    assert_err(ERR_DENIED, put(t, &mine, "kek"));
    mine.epoch--;
    assert_ok(put(t, &mine, "kek"));
}

/* The thief was first: his push key is registered. */
static void test_lease__a_reset_registers_anew_and_revives_nothing(void **state) {
    lease_t *t = *state;
    CLEANUP(buf_done) buf_t sealed;
    keeper_lease_t mine = lease_of(t, "D1", 3, 3600), thief = mine;
    thief.push_key[0] ^= 1;
    seal(t, &thief, "his", &sealed);
    assert_ok(keeper_lease_put(t->f.keeper, &thief, buf_bytes(&sealed)));
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "", "an admin's wish"));
    mine.epoch = 4;
    assert_err(ERR_DENIED, put(t, &mine, "kek"));
    assert_ok(keeper_lease_reset(t->f.keeper, "D1", "an admin's wish"));
    assert_err(ERR_DENIED, keeper_lease_put(t->f.keeper, &thief, buf_bytes(&sealed)));
    assert_err(ERR_NOT_FOUND, release(t, "D1"));
    assert_ok(put(t, &mine, "kek"));
    assert_released(t, "D1", "kek");
    assert_ok(keeper_lease_reset(t->f.keeper, "D9", "nothing there"));
    assert_logged(t, "device=D1 reason=an admin's wish");
}

static void test_lease__what_was_revoked_is_not_put_again(void **state) {
    lease_t *t = *state;
    CLEANUP(buf_done) buf_t sealed;
    keeper_lease_t lease = lease_of(t, "D1", 3, 3600);
    seal(t, &lease, "kek", &sealed);
    assert_ok(keeper_lease_put(t->f.keeper, &lease, buf_bytes(&sealed)));
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "", "lost"));
    assert_err(ERR_DENIED, keeper_lease_put(t->f.keeper, &lease, buf_bytes(&sealed)));
    assert_err(ERR_NOT_FOUND, release(t, "D1"));
    keeper_fixture_restart(&t->f);
    assert_err(ERR_DENIED, keeper_lease_put(t->f.keeper, &lease, buf_bytes(&sealed)));
    assert_logged(t, "the lease has epoch 3 already");
}

static void test_lease__a_release_is_for_one_event(void **state) {
    lease_t *t = *state;
    CLEANUP(buf_done) buf_t sealed, info, plain;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600);
    buf_init(&sealed, BUF);
    buf_init(&info, BUF);
    buf_init_secret(&plain, BUF);
    assert_ok(put(t, &lease, "kek"));
    assert_ok(keeper_lease_release(t->f.keeper, "D1", "mail", "uid-7", &lease, &sealed));
    assert_ok(keeper_lease_release_info(&lease, "uid-8", &info));
    assert_err(ERR_VERIFY, hpke_open(HPKE_AES256_GCM, t->push, buf_bytes(&info), BYTES_NONE,
                                     buf_bytes(&sealed), &plain));
    assert_logged(t, "device=D1 account=mail epoch=1 event=uid-7");
}

static void test_lease__a_device_has_so_many(void **state) {
    lease_t *t = *state;
    char account[32];
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600);
    lease.account = account;
    for (int i = 0; i <= LIMIT_LEASES_DEVICE; i++) {
        (void)snprintf(account, sizeof account, "mail-%d", i);
        err_t *e = put(t, &lease, "kek");
        if (i < LIMIT_LEASES_DEVICE) assert_ok(e);
        else assert_err(ERR_LIMIT, e);
    }
    (void)snprintf(account, sizeof account, "mail-0");
    lease.epoch = 2;
    assert_ok(put(t, &lease, "renewed"));
}

static void test_lease__list_tells_releases_and_no_keys(void **state) {
    lease_t *t = *state;
    keeper_lease_state_t list[LIMIT_LEASES_DEVICE];
    size_t n = 9;
    keeper_lease_t mail = lease_of(t, "D1", 4, 3600), calendar = lease_of(t, "D1", 1, 60);
    calendar.account = "calendar";
    assert_ok(keeper_lease_list(t->f.keeper, "D1", list, &n));
    assert_int_equal(n, 0);
    assert_ok(put(t, &mail, "kek"));
    assert_ok(put(t, &calendar, "kek"));
    assert_released(t, "D1", "kek");
    assert_released(t, "D1", "kek");
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "calendar", "test"));
    assert_ok(keeper_lease_list(t->f.keeper, "D1", list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].account, "calendar");
    assert_true(list[0].revoked);
    assert_string_equal(list[1].account, "mail");
    assert_false(list[1].revoked);
    assert_int_equal(list[1].epoch, 4);
    assert_int_equal(list[1].expires, mail.expires);
    assert_int_equal(list[1].releases, 2);
    assert_int_equal(list[1].last_ms, clk_unix_ms(&t->f.clk.clk));
    assert_memory_equal(list[1].push_key, mail.push_key, LEASE_PUSH_KEY);
    clk_fake_advance(&t->f.clk, 61 * 1000);
    mail.epoch = 5; /* renewing begins to count anew */
    assert_ok(put(t, &mail, "kek"));
    assert_ok(keeper_lease_list(t->f.keeper, "D1", list, &n));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].releases, 0);
}

static void test_lease__is_bounded(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 1, 0);
    assert_err(ERR_INVALID, put(t, &lease, "kek"));
    lease = lease_of(t, "D1", 1, LIMIT_LEASE_LIFE_S + 1);
    assert_err(ERR_INVALID, put(t, &lease, "kek"));
    lease = lease_of(t, "D1", 0, 10);
    assert_err(ERR_INVALID, put(t, &lease, "kek"));
    lease = lease_of(t, "", 1, 10);
    assert_err(ERR_INVALID, put(t, &lease, "kek"));
}

static void test_lease__releases_are_capped_an_hour(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3 * 3600);
    assert_ok(put(t, &lease, "kek"));
    for (int i = 0; i < LIMIT_LEASE_RELEASES; i++) assert_ok(release(t, "D1"));
    assert_err(ERR_BUSY, release(t, "D1"));
    keeper_fixture_restart(&t->f);
    assert_err(ERR_BUSY, release(t, "D1"));
    clk_fake_advance(&t->f.clk, 3600 * 1000);
    assert_released(t, "D1", "kek");
}

static void test_lease__is_revoked(void **state) {
    lease_t *t = *state;
    keeper_lease_t one = lease_of(t, "D1", 1, 3600), two = one, other = lease_of(t, "D2", 1, 3600);
    two.account = "calendar";
    assert_ok(put(t, &one, "kek"));
    assert_ok(put(t, &two, "kek"));
    assert_ok(put(t, &other, "kek"));
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "mail", "lost"));
    assert_err(ERR_NOT_FOUND, release(t, "D1"));
    one.epoch = 2;
    assert_ok(put(t, &one, "kek"));
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "", "wiped"));
    assert_err(ERR_NOT_FOUND, release(t, "D1"));
    assert_released(t, "D2", "kek");
    assert_logged(t, "device=D1 account=* reason=wiped");
}

/* Until the sweep in the background is over. */
static void wait_swept(const lease_t *t) {
    struct timespec pause = {0, 1000 * 1000};
    for (int i = 0; i < 10000 && vault_lease_sweeping(t->f.vault); i++)
        (void)nanosleep(&pause, NULL);
    assert_false(vault_lease_sweeping(t->f.vault));
}

static void test_lease__expired_ones_are_deleted_and_the_log_shows_it(void **state) {
    lease_t *t = *state;
    keeper_lease_t one = lease_of(t, "D1", 7, 100), two = lease_of(t, "D2", 1, 3600);
    assert_ok(put(t, &one, "kek"));
    assert_ok(put(t, &two, "kek"));
    assert_ok(vault_lease_sweep(t->f.vault)); /* nothing yet */
    clk_fake_advance(&t->f.clk, 101 * 1000);
    assert_err(ERR_NOT_FOUND, release(t, "D1")); /* whether swept or not */
    assert_ok(vault_lease_sweep(t->f.vault));
    wait_swept(t);
    /* its row is gone: an older epoch may begin anew */
    one = lease_of(t, "D1", 1, 100);
    assert_ok(put(t, &one, "new"));
    assert_released(t, "D1", "new");
    assert_released(t, "D2", "kek");
    assert_logged(t, "leases=1 sha256=");
    assert_logged(t, "first=D1/mail/7");
}

/* Looks, and waits until what came of it is on disk. */
static void look_and_sweep(lease_t *t) {
    static uint64_t epoch = 0;
    assert_ok(vault_lease_sweep(t->f.vault));
    keeper_lease_t other = lease_of(t, "D9", ++epoch, 60);
    assert_ok(put(t, &other, "behind it"));
    assert_ok(vault_lease_sweep(t->f.vault));
    wait_swept(t);
}

static void test_lease__no_clock_that_is_set_back_makes_it_longer(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600);
    assert_ok(put(t, &lease, "kek"));
    look_and_sweep(t);
    for (int i = 0; i < 4; i++) { /* an hour in all, in steps */
        clk_fake_advance(&t->f.clk, 890 * 1000);
        clk_fake_set(&t->f.clk, -900 * 1000);
        assert_released(t, "D1", "kek");
        look_and_sweep(t);
    }
    clk_fake_advance(&t->f.clk, 41 * 1000);
    look_and_sweep(t);
    assert_err(ERR_NOT_FOUND, release(t, "D1"));
    assert_err(ERR_DENIED, put(t, &lease, "again")); /* its epoch stays known */
    assert_logged(t, "clock=back seconds=900");
}

static void test_lease__a_keeper_that_was_off_sees_that_the_clock_went_back(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600);
    assert_ok(put(t, &lease, "kek"));
    keeper_fixture_stop(&t->f);
    clk_fake_set(&t->f.clk, -86400 * 1000);
    keeper_fixture_start(&t->f);
    look_and_sweep(t);
    assert_released(t, "D1", "kek");
    clk_fake_advance(&t->f.clk, 3601 * 1000);
    look_and_sweep(t);
    assert_err(ERR_NOT_FOUND, release(t, "D1"));
}

static void test_lease__a_clock_that_comes_right_again_costs_nothing(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600);
    assert_ok(put(t, &lease, "kek"));
    look_and_sweep(t);
    clk_fake_set(&t->f.clk, -86400 * 1000);
    look_and_sweep(t);
    clk_fake_set(&t->f.clk, 86400 * 1000 + 1000); /* more than was taken gives no more */
    look_and_sweep(t);
    clk_fake_advance(&t->f.clk, 3590 * 1000);
    look_and_sweep(t);
    assert_released(t, "D1", "kek");
    clk_fake_advance(&t->f.clk, 10 * 1000);
    look_and_sweep(t);
    assert_err(ERR_NOT_FOUND, release(t, "D1"));
}

/* A made-up short epoch does not push the memory of a revoked lease away. */
static void test_lease__a_revoked_one_stays_known_until_it_would_have_expired(void **state) {
    lease_t *t = *state;
    CLEANUP(buf_done) buf_t sealed, junk;
    keeper_lease_t lease = lease_of(t, "D1", 3, 7 * 86400 - 10);
    seal(t, &lease, "the real key", &sealed);
    assert_ok(keeper_lease_put(t->f.keeper, &lease, buf_bytes(&sealed)));
    assert_ok(keeper_lease_revoke(t->f.keeper, "D1", "", "lost"));
    keeper_lease_t shorter = lease_of(t, "D1", 4, 1);
    seal(t, &shorter, "junk", &junk);
    assert_ok(keeper_lease_put(t->f.keeper, &shorter, buf_bytes(&junk)));
    for (int day = 0; day < 7; day++) {
        clk_fake_advance(&t->f.clk, (day ? 86400 : 2) * 1000);
        assert_ok(vault_lease_sweep(t->f.vault));
        wait_swept(t);
        assert_err(ERR_DENIED, keeper_lease_put(t->f.keeper, &lease, buf_bytes(&sealed)));
        assert_err(ERR_NOT_FOUND, release(t, "D1"));
        if (day == 3) keeper_fixture_restart(&t->f);
    }
    clk_fake_advance(&t->f.clk, 86400 * 1000); /* past its own expiry: forgotten, and of no use */
    assert_ok(vault_lease_sweep(t->f.vault));
    wait_swept(t);
    assert_err(ERR_INVALID, keeper_lease_put(t->f.keeper, &lease, buf_bytes(&sealed)));
    keeper_lease_t anew = lease_of(t, "D1", 1, 100);
    assert_ok(put(t, &anew, "new"));
    assert_released(t, "D1", "new");
}

static bool contains(const buf_t *all, bytes_t part) {
    return memmem(all->p, all->n, part.p, part.n) != NULL;
}

/* A backup's copy of the vault: neither leases nor their key, not even as remains. */
static void test_lease__is_not_in_a_backup(void **state) {
    lease_t *t = *state;
    CLEANUP(vault_copy_free) vault_copy_t *copy = NULL;
    CLEANUP(buf_done) buf_t sealed, all, key;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3600);
    unsigned left = 1;
    seal(t, &lease, "kek", &sealed);
    buf_init(&all, 64 * 1024 * 1024);
    buf_init(&key, BUF);
    assert_ok(keeper_lease_put(t->f.keeper, &lease, buf_bytes(&sealed)));
    assert_ok(keeper_public(t->f.keeper, KEEPER_PUBLIC_LEASE_KEY, &key));
    assert_ok(vault_copy_begin(t->f.vault, &copy));
    while (left) assert_ok(vault_copy_step(copy, &left));
    for (uint64_t at = 0; at < vault_copy_size(copy); at += 512) {
        uint8_t part[512];
        assert_ok(vault_copy_read(copy, at, part, sizeof part));
        assert_ok(buf_add(&all, BYTES_ARRAY(part)));
    }
    assert_true(contains(&all, BYTES_LIT("lease-put"))); /* the log is there */
    assert_false(contains(&all, buf_bytes(&sealed)));
    assert_false(contains(&all, buf_bytes(&key)));
    assert_released(t, "D1", "kek"); /* the vault itself has them as before */
}

static void test_lease__renewing_does_not_lift_the_cap(void **state) {
    lease_t *t = *state;
    keeper_lease_t lease = lease_of(t, "D1", 1, 3 * 3600);
    assert_ok(put(t, &lease, "kek"));
    for (int i = 0; i < LIMIT_LEASE_RELEASES; i++) assert_ok(release(t, "D1"));
    lease.epoch = 2;
    assert_ok(put(t, &lease, "kek"));
    assert_err(ERR_BUSY, release(t, "D1"));
    clk_fake_advance(&t->f.clk, 3600 * 1000);
    assert_released(t, "D1", "kek");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_lease__is_released_to_the_push_key),
        TEST(test_lease__renewal_has_a_higher_epoch),
        TEST(test_lease__nobody_puts_his_own_push_key_in),
        TEST(test_lease__the_first_put_registers_the_push_key),
        TEST(test_lease__what_was_revoked_is_not_put_again),
        TEST(test_lease__a_release_is_for_one_event),
        TEST(test_lease__a_device_has_so_many),
        TEST(test_lease__list_tells_releases_and_no_keys),
        TEST(test_lease__is_bounded),
        TEST(test_lease__releases_are_capped_an_hour),
        TEST(test_lease__is_revoked),
        TEST(test_lease__a_stolen_token_cannot_lock_the_device_out),
        TEST(test_lease__a_reset_registers_anew_and_revives_nothing),
        TEST(test_lease__a_revoked_one_stays_known_until_it_would_have_expired),
        TEST(test_lease__no_clock_that_is_set_back_makes_it_longer),
        TEST(test_lease__a_keeper_that_was_off_sees_that_the_clock_went_back),
        TEST(test_lease__a_clock_that_comes_right_again_costs_nothing),
        TEST(test_lease__is_not_in_a_backup),
        TEST(test_lease__renewing_does_not_lift_the_cap),
        TEST(test_lease__expired_ones_are_deleted_and_the_log_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
