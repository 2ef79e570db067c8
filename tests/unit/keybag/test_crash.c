/* A power cut at every step of creating, unlocking, failing and changing the passcode: kill -9 in a
 * child, then what the disk has. */
#include "keybag_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/fault.h"

/* A file anchor whose owner is killed before or after the nth durable step. */
typedef struct {
    anchor_t anchor;
    anchor_t *inner;
    int *left;
} deadly_t;

static void step(const deadly_t *d) {
    if (--*d->left == 0) (void)kill(getpid(), SIGKILL);
}

static err_t *ready(anchor_t *a) {
    deadly_t *d = (deadly_t *)a;
    return d->inner->ops->ready(d->inner);
}
static err_t *uid(anchor_t *a, secret_t **ret) {
    deadly_t *d = (deadly_t *)a;
    return d->inner->ops->uid(d->inner, ret);
}
static err_t *count(anchor_t *a, uint64_t *ret) {
    deadly_t *d = (deadly_t *)a;
    return d->inner->ops->count(d->inner, ret);
}
static err_t *raise_count(anchor_t *a, uint64_t *ret) {
    deadly_t *d = (deadly_t *)a;
    step(d);
    err_t *e = d->inner->ops->raise(d->inner, ret);
    step(d);
    return e;
}
static err_t *put(anchor_t *a, unsigned slot, bytes_t auth, bytes_t secret) {
    deadly_t *d = (deadly_t *)a;
    step(d);
    err_t *e = d->inner->ops->put(d->inner, slot, auth, secret);
    step(d);
    return e;
}
static err_t *get(anchor_t *a, unsigned slot, bytes_t auth, secret_t **ret) {
    deadly_t *d = (deadly_t *)a;
    return d->inner->ops->get(d->inner, slot, auth, ret);
}
static err_t *drop(anchor_t *a, unsigned slot) {
    deadly_t *d = (deadly_t *)a;
    step(d);
    err_t *e = d->inner->ops->drop(d->inner, slot);
    step(d);
    return e;
}
static err_t *destroy(anchor_t *a) {
    deadly_t *d = (deadly_t *)a;
    return d->inner->ops->destroy(d->inner);
}
static void free_it(anchor_t *a) { anchor_free(((deadly_t *)a)->inner); }

static const anchor_ops_t deadly_ops = {KEYBAG_DISK, ready, uid,  count,   raise_count,
                                        put,         get,   drop, destroy, free_it};

typedef err_t *(*deed_t)(keybag_t *bag);

static err_t *unlock_right(keybag_t *bag) { return keybag_unlock(bag, RIGHT); }
static err_t *unlock_wrong(keybag_t *bag) { return keybag_unlock(bag, WRONG); }
static err_t *change(keybag_t *bag) { return keybag_change(bag, RIGHT, OTHER); }

/* In a child: opens, and dies at its nth step. False: it came to its end. */
static bool dies(const world_t *w, deed_t deed, int n) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        deadly_t d = {.anchor = {&deadly_ops}, .left = &n};
        keybag_t *bag = NULL;
        err_t *e = anchor_file_open(w->device, &d.inner);
        if (!e) e = keybag_open(&w->env, w->bag, &d.anchor, &bag);
        if (!e) err_ignore(deed(bag));
        _exit(e ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static unsigned tries_left(const world_t *w) {
    keybag_state_t s;
    keybag_t *bag = world_open(w);
    assert_ok(keybag_state(bag, &s));
    keybag_free(bag);
    return s.tries_left;
}

static bool opens(const world_t *w, bytes_t passcode) {
    keybag_t *bag = world_open(w);
    err_t *e = keybag_unlock(bag, passcode);
    bool good = !e;
    if (e) assert_int_equal(err_code(e), ERR_AUTH);
    err_free(e);
    keybag_free(bag);
    return good;
}

static void test_crash__unlock_killed_at_each_step_counts_and_opens_later(void **state) {
    (void)state;
    int n = 1;
    for (bool more = true; more; n++) {
        world_t w;
        world_init(&w);
        keybag_free(world_create(&w));
        more = dies(&w, unlock_right, n);
        assert_true(tries_left(&w) >= 9);
        assert_true(opens(&w, RIGHT));
        world_done(&w);
    }
    assert_true(n > 4);
}

/* Who cuts the power before the verdict gains no try. */
static void test_crash__wrong_passcode_killed_before_its_verdict_was_counted(void **state) {
    (void)state;
    world_t w;
    int steps_before_count = 1; /* the one before raising */
    world_init(&w);
    keybag_free(world_create(&w));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(dies(&w, unlock_wrong, steps_before_count + 1));
        assert_int_equal(tries_left(&w), 9 - i);
    }
    assert_true(opens(&w, RIGHT));
    world_done(&w);
}

static void test_crash__change_killed_at_each_step_leaves_one_passcode(void **state) {
    (void)state;
    bool old_seen = false, new_seen = false;
    int n = 1;
    for (bool more = true; more; n++) {
        world_t w;
        world_init(&w);
        keybag_free(world_create(&w));
        more = dies(&w, change, n);
        bool old = opens(&w, RIGHT), fresh = opens(&w, OTHER);
        assert_true(old != fresh);
        old_seen |= old;
        new_seen |= fresh;
        assert_true(more || fresh);
        world_done(&w);
    }
    assert_true(old_seen && new_seen && n > 8);
}

/* Each write, sync and rename failing in turn. */
static void test_crash__change_with_each_failed_write_leaves_one_passcode(void **state) {
    (void)state;
    unsigned long n = 1;
    for (bool fired = true; fired; n++) {
        world_t w;
        world_init(&w);
        keybag_t *bag = world_create(&w);
        fault_arm_io(n);
        err_t *e = keybag_change(bag, RIGHT, OTHER);
        fired = fault_io_fired();
        fault_arm_io(0);
        assert_true(fired || !e);
        err_free(e);
        keybag_free(bag);
        assert_true(opens(&w, RIGHT) != opens(&w, OTHER));
        world_done(&w);
    }
    assert_true(n > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash__unlock_killed_at_each_step_counts_and_opens_later),
        cmocka_unit_test(test_crash__wrong_passcode_killed_before_its_verdict_was_counted),
        cmocka_unit_test(test_crash__change_killed_at_each_step_leaves_one_passcode),
        cmocka_unit_test(test_crash__change_with_each_failed_write_leaves_one_passcode),
    };
    return cmocka_run_group_tests_name("keybag crash", tests, NULL, NULL);
}
