/* The anchor in a TPM 2, against swtpm over a socket of its own. */
#include "keybag_fixture.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

static char tpm_dir[64];
static char tcti[64];
static unsigned port; /* and the next, for control */
static pid_t swtpm;

static bool binds(unsigned at, unsigned *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)at),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, size) != 0) return false;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return false;
    *ret_port = ntohs(address.sin_port);
    return true;
}

static bool answers(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)(port + 1)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static void run_swtpm(void) {
    char server[64], control[64], keep[96];
    (void)snprintf(server, sizeof server, "type=tcp,bindaddr=127.0.0.1,port=%u", port);
    (void)snprintf(control, sizeof control, "type=tcp,bindaddr=127.0.0.1,port=%u", port + 1);
    (void)snprintf(keep, sizeof keep, "dir=%s", tpm_dir);
    swtpm = fork();
    if (swtpm == 0) {
        (void)execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", keep, "--server", server,
                     "--ctrl", control, "--flags", "not-need-init,startup-clear", (char *)NULL);
        _exit(127);
    }
    for (unsigned i = 0; i < 1000 && !answers(); i++) {
        int status = 0;
        if (waitpid(swtpm, &status, WNOHANG) == swtpm) {
            swtpm = 0; /* none here: the tests skip */
            return;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
}

static int start(void **state) {
    (void)state;
    unsigned other = 0;
    (void)snprintf(tpm_dir, sizeof tpm_dir, "/tmp/coffer-swtpm-XXXXXX");
    assert_non_null(mkdtemp(tpm_dir));
    do assert_true(binds(0, &port));
    while (!binds(port + 1, &other));
    (void)snprintf(tcti, sizeof tcti, "swtpm:host=127.0.0.1,port=%u", port);
    run_swtpm();
    return 0;
}

static void halt(void) {
    if (swtpm <= 0) return;
    (void)kill(swtpm, SIGTERM);
    (void)waitpid(swtpm, NULL, 0);
}

static int stop(void **state) {
    (void)state;
    char command[160];
    halt();
    (void)snprintf(command, sizeof command, "rm -rf %s", tpm_dir);
    return system(command) == 0 ? 0 : 1;
}

/* As an administrator does; a machine that is switched off hard counts as a guess. */
static void end_lockout(void) {
    TSS2_TCTI_CONTEXT *way = NULL;
    ESYS_CONTEXT *esys = NULL;
    assert_int_equal(Tss2_TctiLdr_Initialize(tcti, &way), TSS2_RC_SUCCESS);
    assert_int_equal(Esys_Initialize(&esys, way, NULL), TSS2_RC_SUCCESS);
    assert_int_equal(Esys_DictionaryAttackLockReset(esys, ESYS_TR_RH_LOCKOUT, ESYS_TR_PASSWORD,
                                                    ESYS_TR_NONE, ESYS_TR_NONE),
                     TSS2_RC_SUCCESS);
    Esys_Finalize(&esys);
    Tss2_TctiLdr_Finalize(&way);
}

/* The machine starts anew; the TPM keeps what it has. */
static void again(void) {
    if (swtpm <= 0) skip();
    halt();
    run_swtpm();
    end_lockout();
}

static keybag_t *open_bag(const world_t *w) {
    keybag_kind_t kind = KEYBAG_DISK;
    uint32_t place = 0;
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    assert_ok(keybag_peek(w->bag, &kind, &place));
    assert_int_equal(kind, KEYBAG_TPM);
    assert_ok(anchor_tpm_open(tcti, place, &anchor));
    assert_ok(keybag_open(&w->env, w->bag, anchor, &bag));
    return bag;
}

static keybag_t *create_bag(const world_t *w) {
    uint32_t place = 0;
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    assert_ok(anchor_tpm_create(tcti, rnd_real(), &place, &anchor));
    assert_ok(keybag_create(&w->env, w->bag, anchor, place, RIGHT, &PASSWORD_COST_TEST, &bag));
    return bag;
}

static void test_tpm__keybag_opens_after_a_restart_and_counts(void **state) {
    (void)state;
    world_t w;
    keybag_state_t s;
    CLEANUP(buf_done) buf_t sealed, out;
    if (swtpm <= 0) skip();
    buf_init(&sealed, 256);
    buf_init_secret(&out, 256);
    world_init(&w);
    keybag_t *bag = create_bag(&w);
    assert_ok(keybag_seal(bag, KEYBAG_A, "x", BYTES_LIT("secret"), &sealed));
    keybag_free(bag);
    again();
    bag = open_bag(&w);
    assert_err(ERR_AUTH, keybag_unlock(bag, WRONG)); /* by the TPM's word */
    assert_ok(keybag_state(bag, &s));
    assert_int_equal(s.tries_left, 9);
    assert_ok(keybag_unlock(bag, RIGHT));
    assert_ok(keybag_unseal(bag, KEYBAG_A, "x", buf_bytes(&sealed), &out));
    keybag_free(bag);
    world_done(&w);
}

/* The whole disk put back as it was: the TPM went on. */
static void test_tpm__disk_put_back_gains_no_tries_and_no_old_passcode(void **state) {
    (void)state;
    world_t w;
    keybag_state_t s;
    char old[128];
    if (swtpm <= 0) skip();
    world_init(&w);
    (void)snprintf(old, sizeof old, "%s/old-bag", w.dir);
    again();
    keybag_t *bag = create_bag(&w);
    copy_file(w.bag, old);
    for (unsigned i = 0; i < 2; i++) assert_err(ERR_AUTH, keybag_unlock(bag, WRONG));
    keybag_free(bag);
    copy_file(old, w.bag);
    again();
    bag = open_bag(&w);
    assert_ok(keybag_state(bag, &s));
    assert_int_equal(s.tries_left, 8);
    assert_ok(keybag_change(bag, RIGHT, OTHER));
    assert_err(ERR_AUTH, keybag_unlock(bag, RIGHT));
    assert_ok(keybag_unlock(bag, OTHER));
    keybag_free(bag);
    copy_file(old, w.bag);
    again();
    bag = open_bag(&w);
    clk_fake_advance(&w.clk, 3600 * 1000); /* all since then count as wrong ones */
    assert_err(ERR_NOT_FOUND, keybag_unlock(bag, RIGHT));
    keybag_free(bag);
    world_done(&w);
}

/* What the TPM does not judge is not counted either. */
static void test_tpm__lockout_of_the_tpm_costs_no_tries(void **state) {
    (void)state;
    world_t w;
    keybag_state_t before, after;
    err_t *e = NULL;
    if (swtpm <= 0) skip();
    world_init(&w);
    again();
    keybag_t *bag = create_bag(&w);
    for (unsigned i = 0; i < 4 && !e; i++) {
        e = keybag_unlock(bag, WRONG);
        assert_non_null(e);
        if (err_code(e) == ERR_AUTH) {
            err_free(e);
            e = NULL;
        }
    }
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_BUSY);
    err_free(e);
    assert_ok(keybag_state(bag, &before));
    for (unsigned i = 0; i < 12; i++) assert_err(ERR_BUSY, keybag_unlock(bag, RIGHT));
    assert_ok(keybag_state(bag, &after));
    assert_int_equal(before.tries_left, after.tries_left);
    keybag_free(bag);
    end_lockout();
    bag = open_bag(&w);
    assert_ok(keybag_unlock(bag, RIGHT));
    keybag_free(bag);
    world_done(&w);
}

static void test_tpm__another_tpm_and_a_destroyed_bag_open_nothing(void **state) {
    (void)state;
    world_t w;
    char old[128];
    keybag_kind_t kind = KEYBAG_DISK;
    uint32_t place = 0;
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    if (swtpm <= 0) skip();
    world_init(&w);
    (void)snprintf(old, sizeof old, "%s/old-bag", w.dir);
    again();
    bag = create_bag(&w);
    copy_file(w.bag, old);
    assert_ok(keybag_destroy(bag));
    keybag_free(bag);
    copy_file(old, w.bag);
    again();
    assert_ok(keybag_peek(w.bag, &kind, &place));
    assert_ok(anchor_tpm_open(tcti, place, &anchor));
    assert_err(ERR_NOT_FOUND, keybag_open(&w.env, w.bag, anchor, &bag));
    assert_err(ERR_UNAVAILABLE, anchor_tpm_open("swtpm:path=/nowhere", place, &anchor));
    assert_err(ERR_INVALID, anchor_tpm_open(tcti, 0x01C00002, &anchor));
    world_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tpm__keybag_opens_after_a_restart_and_counts),
        cmocka_unit_test(test_tpm__disk_put_back_gains_no_tries_and_no_old_passcode),
        cmocka_unit_test(test_tpm__lockout_of_the_tpm_costs_no_tries),
        cmocka_unit_test(test_tpm__another_tpm_and_a_destroyed_bag_open_nothing),
    };
    /* tpm2-tss says on standard error whatever a TPM refuses; here that is what is wanted. */
    (void)setenv("TSS2_LOG", "all+none", 1);
    return cmocka_run_group_tests_name("keybag tpm", tests, start, stop);
}
