/* Secret sharing. The vectors were computed with log tables in Python, not with this code. */
#include "hex.h"

#include "base/fault.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "crypto/shamir.h"

enum { N = 32, EACH = 32 };

/* Bytes i * 7 + 1, on and on: the vectors' coefficients. */

static unsigned counting_at;

static err_t *count_up(const rnd_t *rnd, void *p, size_t n) {
    (void)rnd;
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)(counting_at++ * 7 + 1);
    return NULL;
}

static const rnd_t counting = {count_up};

static bytes_t the_secret(void) {
    static uint8_t bytes[N];
    for (size_t i = 0; i < N; i++) bytes[i] = (uint8_t)(0x20 + i);
    return BYTES_ARRAY(bytes);
}

static void share_list(const uint8_t *xs, const uint8_t *ys, size_t count, shamir_share_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = (shamir_share_t){xs[i], ys + i * N};
}

static void test_shamir__matches_vectors(void **state) {
    (void)state;
    static const uint8_t xs[] = {1, 2, 3, 200, 255};
    static const char *const expected[] = {
        "c0c1c2c3c405060708494a4b4c4d0e0f101112d3d4d5d61718191a1b5c5d5e5f",
        "fdcadb8cb1bd9ccbfe726354093e3f084d7a6bd1ecbb9a96a3f4e5d254632215",
        "1d2a3b6c519dbcebde120334695e1f286d5a4b310c5b7ab683d4c5f234034275",
        "9a9d9cfe9655eb89e91e1f181512d3d4c1c6c78ee6843af999fbfafd6562b9be",
        "c408b9373eee7ef0f157e62a61ad4488db17a6434ac45484850bba7615d90bc7",
    };
    uint8_t out[5 * N];
    counting_at = 0;
    assert_ok(shamir_split(&counting, the_secret(), 3, xs, 5, out));
    for (size_t i = 0; i < 5; i++) assert_hex(bytes_make(out + i * N, N), expected[i]);
}

static void test_shamir__any_threshold_of_shares_combine(void **state) {
    (void)state;
    for (unsigned m = 1; m <= SHAMIR_THRESHOLD_MAX; m++) {
        uint8_t xs[SHAMIR_SHARES_MAX], out[SHAMIR_SHARES_MAX * N], back[N];
        shamir_share_t shares[SHAMIR_SHARES_MAX];
        for (size_t i = 0; i < SHAMIR_SHARES_MAX; i++) xs[i] = (uint8_t)(255 - i * 7);
        assert_ok(shamir_split(rnd_real(), the_secret(), m, xs, SHAMIR_SHARES_MAX, out));
        share_list(xs, out, SHAMIR_SHARES_MAX, shares);
        for (size_t from = 0; from + m <= SHAMIR_SHARES_MAX; from++) {
            assert_ok(shamir_combine(shares + from, m, N, back));
            assert_memory_equal(back, the_secret().p, N);
        }
        if (m == 1) continue;
        assert_ok(shamir_combine(shares, m - 1, N, back));
        assert_memory_not_equal(back, the_secret().p, N);
    }
}

static void test_shamir__odd_lengths_are_whole(void **state) {
    (void)state;
    static const uint8_t xs[] = {9, 5, 77};
    for (size_t n = 1; n <= 40; n++) {
        uint8_t secret[40], out[3 * 40], back[41];
        memset(secret, (int)n, sizeof secret);
        memset(back, 0xee, sizeof back);
        assert_ok(shamir_split(rnd_real(), bytes_make(secret, n), 2, xs, 3, out));
        shamir_share_t shares[] = {{77, out + 2 * n}, {9, out}};
        assert_ok(shamir_combine(shares, 2, n, back));
        assert_memory_equal(back, secret, n);
        assert_int_equal(back[n], 0xee);
    }
}

static void test_shamir__refuses_what_cannot_be(void **state) {
    (void)state;
    uint8_t xs[SHAMIR_SHARES_MAX + 1], out[N * 40];
    for (size_t i = 0; i < sizeof xs; i++) xs[i] = (uint8_t)(i + 1);
    assert_err(ERR_LIMIT, shamir_split(rnd_real(), the_secret(), 0, xs, 3, out));
    assert_err(ERR_LIMIT, shamir_split(rnd_real(), the_secret(), 4, xs, 3, out));
    assert_err(ERR_LIMIT, shamir_split(rnd_real(), the_secret(), 17, xs, 32, out));
    assert_err(ERR_LIMIT, shamir_split(rnd_real(), the_secret(), 2, xs, 33, out));
    assert_err(ERR_LIMIT, shamir_split(rnd_real(), BYTES_NONE, 2, xs, 3, out));
    xs[1] = 1;
    assert_err(ERR_INVALID, shamir_split(rnd_real(), the_secret(), 2, xs, 3, out));
    xs[1] = 0;
    assert_err(ERR_INVALID, shamir_split(rnd_real(), the_secret(), 2, xs, 3, out));
    shamir_share_t twice[] = {{3, out}, {3, out}};
    assert_err(ERR_INVALID, shamir_combine(twice, 2, N, out + N));
    assert_err(ERR_LIMIT, shamir_combine(twice, 0, N, out + N));
}

static void test_shamir__resharing_keeps_the_secret_and_ends_old_shares(void **state) {
    (void)state;
    static const uint8_t old_xs[] = {1, 2, 3}, new_xs[] = {4, 5, 6, 7, 8}, dealers[] = {3, 1};
    uint8_t old[3 * N], dealt[2][5 * N], fresh[5 * N], back[N];
    assert_ok(shamir_split(rnd_real(), the_secret(), 2, old_xs, 3, old));
    assert_ok(shamir_reshare(rnd_real(), 3, bytes_make(old + 2 * N, N), dealers, 2, 3, new_xs, 5,
                             dealt[0]));
    assert_ok(
        shamir_reshare(rnd_real(), 1, bytes_make(old, N), dealers, 2, 3, new_xs, 5, dealt[1]));
    for (size_t i = 0; i < sizeof fresh; i++) fresh[i] = dealt[0][i] ^ dealt[1][i];
    shamir_share_t shares[5];
    share_list(new_xs, fresh, 5, shares);
    for (size_t from = 0; from < 3; from++) {
        assert_ok(shamir_combine(shares + from, 3, N, back));
        assert_memory_equal(back, the_secret().p, N);
    }
    /* Two of the new ones are not enough, and an old one is of no help to them. */
    assert_ok(shamir_combine(shares, 2, N, back));
    assert_memory_not_equal(back, the_secret().p, N);
    shamir_share_t mixed[] = {shares[0], shares[1], {2, old + N}};
    assert_ok(shamir_combine(mixed, 3, N, back));
    assert_memory_not_equal(back, the_secret().p, N);
    assert_err(ERR_INVALID, shamir_reshare(rnd_real(), 2, bytes_make(old, N), dealers, 2, 3, new_xs,
                                           5, dealt[0]));
}

static err_t *accept_secret(void *arg, bytes_t secret, bool *ret_right) {
    ++*(unsigned *)arg;
    *ret_right = bytes_eq_ct(secret, the_secret());
    return NULL;
}

static void test_shamir__recover_names_the_wrong_ones(void **state) {
    (void)state;
    uint8_t xs[] = {1, 2, 3, 4, 5}, out[5 * N], back[N];
    uint32_t wrong = 99;
    unsigned tries = 0;
    shamir_share_t shares[5];
    assert_ok(shamir_split(rnd_real(), the_secret(), 3, xs, 5, out));
    share_list(xs, out, 5, shares);
    assert_ok(shamir_recover(shares, 5, N, 3, accept_secret, &tries, back, &wrong));
    assert_int_equal(wrong, 0);
    assert_int_equal(tries, 1);
    out[0] ^= 1;
    out[3 * N + 31] ^= 0x80;
    assert_ok(shamir_recover(shares, 5, N, 3, accept_secret, &tries, back, &wrong));
    assert_int_equal(wrong, 1 << 0 | 1 << 3);
    assert_memory_equal(back, the_secret().p, N);
    wrong = 99;
    assert_err(ERR_VERIFY, shamir_recover(shares, 3, N, 3, accept_secret, &tries, back, &wrong));
    assert_err(ERR_LIMIT, shamir_recover(shares, 2, N, 3, accept_secret, &tries, back, &wrong));
    assert_int_equal(wrong, 99);
}

static err_t *accept_nothing(void *arg, bytes_t secret, bool *ret_right) {
    (void)secret;
    ++*(unsigned *)arg;
    *ret_right = false;
    return NULL;
}

static void test_shamir__recover_does_not_search_for_ever(void **state) {
    (void)state;
    uint8_t xs[SHAMIR_SHARES_MAX], out[SHAMIR_SHARES_MAX * N], back[N];
    uint32_t wrong = 0;
    unsigned tries = 0;
    shamir_share_t shares[SHAMIR_SHARES_MAX];
    for (size_t i = 0; i < SHAMIR_SHARES_MAX; i++) xs[i] = (uint8_t)(i + 1);
    assert_ok(shamir_split(rnd_real(), the_secret(), 16, xs, SHAMIR_SHARES_MAX, out));
    share_list(xs, out, SHAMIR_SHARES_MAX, shares);
    assert_err(ERR_LIMIT, shamir_recover(shares, SHAMIR_SHARES_MAX, N, 16, accept_nothing, &tries,
                                         back, &wrong));
    assert_int_equal(tries, SHAMIR_TRIES_MAX);
}

static void test_shamir__check_binds_context_number_and_share(void **state) {
    (void)state;
    uint8_t a[SHAMIR_CHECK_SIZE], b[SHAMIR_CHECK_SIZE];
    uint8_t share[N] = {1, 2, 3};
    assert_ok(shamir_check(BYTES_LIT("object"), 7, BYTES_ARRAY(share), a));
    assert_hex(BYTES_ARRAY(a), "2627ea54bb5585758c319e8b661957ec");
    assert_ok(shamir_check(BYTES_LIT("object"), 8, BYTES_ARRAY(share), b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_ok(shamir_check(BYTES_LIT("objecu"), 7, BYTES_ARRAY(share), b));
    assert_memory_not_equal(a, b, sizeof a);
    share[31] = 1;
    assert_ok(shamir_check(BYTES_LIT("object"), 7, BYTES_ARRAY(share), b));
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_shamir__survives_failing_allocations(void **state) {
    (void)state;
    static const uint8_t xs[] = {1, 2, 3};
    uint8_t out[3 * N], back[N], untouched[N];
    uint32_t wrong = 0;
    unsigned tries = 0;
    shamir_share_t shares[3];
    assert_ok(shamir_split(rnd_real(), the_secret(), 2, xs, 3, out));
    share_list(xs, out, 3, shares);
    memset(untouched, 0xaa, sizeof untouched);
    for (unsigned long n = 1;; n++) {
        memset(back, 0xaa, sizeof back);
        fault_arm_memory(n);
        err_t *e = shamir_recover(shares, 3, N, 2, accept_secret, &tries, back, &wrong);
        fault_arm_memory(0);
        if (!e) break;
        assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
        assert_memory_equal(back, untouched, N);
    }
    fault_arm_memory(1);
    assert_err(ERR_NOMEM, shamir_split(rnd_real(), the_secret(), 2, xs, 3, out));
    fault_arm_memory(0);
}

int main(void) {
    if (crypto_init()) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shamir__matches_vectors),
        cmocka_unit_test(test_shamir__any_threshold_of_shares_combine),
        cmocka_unit_test(test_shamir__odd_lengths_are_whole),
        cmocka_unit_test(test_shamir__refuses_what_cannot_be),
        cmocka_unit_test(test_shamir__resharing_keeps_the_secret_and_ends_old_shares),
        cmocka_unit_test(test_shamir__recover_names_the_wrong_ones),
        cmocka_unit_test(test_shamir__recover_does_not_search_for_ever),
        cmocka_unit_test(test_shamir__check_binds_context_number_and_share),
        cmocka_unit_test(test_shamir__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
