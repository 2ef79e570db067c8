/*
 * The real program: started as cofferd starts it, asked over a real channel, killed in the middle
 * of its work.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit.h"
#include "base/file.h"
#include "base/limits.h"
#include "crypto/csr.h"
#include "ipc/channel.h"
#include "ipc/client.h"
#include "ipc/spawn.h"
#include "keeper/client.h"

enum { THREADS = 4, ROUNDS = 5, KEPT = 4096 };

static const char *program;

typedef struct {
    char dir[64];
    pid_t pid;
    int control;
    rpc_client_t *rpc;
    keeper_t *keeper;
    pkey_t *key;
    cert_t *self;
    buf_t csr;
} running_t;

static void start(running_t *r) {
    char *argv[] = {(char *)(uintptr_t)program, (char *)"--dir", r->dir, NULL};
    assert_ok(spawn_start(argv, &r->pid, &r->control));
    uint8_t message[64];
    size_t n = 0;
    assert_ok(channel_recv(r->control, message, sizeof message, &n));
    assert_true(bytes_eq_str(bytes_make(message, n), "ready"));
}

/* A channel on which the keeper sees `role`. */
static int wire(running_t *r, role_t role) {
    int ends[2];
    assert_ok(channel_pair(ends));
    const char *name = role_name(role);
    uint8_t message[32];
    message[0] = (uint8_t)strlen(name);
    memcpy(message + 1, name, message[0]);
    assert_ok(channel_send_fd(r->control, bytes_make(message, 1U + message[0]), ends[1]));
    fd_close(ends[1]);
    return ends[0];
}

static int reap(running_t *r) {
    int status = 0;
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    fd_close(r->control);
    return status;
}

static int setup(void **state) {
    static running_t r;
    assert_ok(crypto_init());
    (void)snprintf(r.dir, sizeof r.dir, "/tmp/coffer-keeperd-XXXXXX");
    assert_non_null(mkdtemp(r.dir));
    char *argv[] = {(char *)(uintptr_t)program, (char *)"--dir",     r.dir,
                    (char *)"--init",           (char *)"--org",     (char *)"Example",
                    (char *)"--host",           (char *)"localhost", NULL};
    assert_ok(spawn_start(argv, &r.pid, &r.control));
    assert_int_equal(reap(&r), 0);
    assert_ok(pkey_generate(PKEY_RSA, 2048, &r.key));
    name_entry_t cn = {"CN", "phone"};
    csr_spec_t spec = {.subject = &cn, .subject_n = 1};
    buf_init(&r.csr, LIMIT_CSR_BYTES);
    assert_ok(csr_build(&spec, r.key, &r.csr));
    static const uint8_t serial[] = {1};
    int64_t now = clk_unix(clk_real());
    cert_spec_t self = {.subject = &cn,
                        .subject_n = 1,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = now - 60,
                        .not_after = now + 3600,
                        .key = r.key,
                        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT};
    assert_ok(cert_issue(&self, NULL, r.key, &r.self));
    start(&r);
    assert_ok(rpc_client_new(wire(&r, ROLE_WEB), &r.rpc));
    assert_ok(keeper_new(r.rpc, &r.keeper));
    *state = &r;
    return 0;
}

static int teardown(void **state) {
    running_t *r = *state;
    keeper_free(r->keeper);
    rpc_client_free(r->rpc);
    (void)kill(r->pid, SIGTERM);
    (void)reap(r);
    pkey_free(r->key);
    cert_free(r->self);
    buf_done(&r->csr);
    char command[128];
    (void)snprintf(command, sizeof command, "%s", r->dir);
    char *argv[] = {(char *)"/bin/rm", (char *)"-r", command, NULL};
    assert_ok(spawn_start(argv, &r->pid, &r->control));
    assert_int_equal(reap(r), 0);
    return 0;
}

static err_t *issue_by(const running_t *r, keeper_t *keeper, buf_t *certificate) {
    static const uint8_t nonce[16] = {1};
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    keeper_request_t request = {"device-identity", buf_bytes(&r->csr), "", "enrolment"};
    keeper_scep_reply_t reply = {.transaction_id = BYTES_LIT("transaction"),
                                 .sender_nonce = BYTES_ARRAY(nonce),
                                 .signer = cert_der(r->self)};
    return keeper_scep_issue(keeper, &request, &reply, certificate, &certrep);
}

static err_t *issue(running_t *r, buf_t *certificate) {
    return issue_by(r, r->keeper, certificate);
}

static void test_keeper_process__answers_in_its_sandbox(void **state) {
    running_t *r = *state;
    keeper_status_t status = {0};
    assert_ok(keeper_status(r->keeper, &status));
    CLEANUP(buf_done) buf_t certificate, sealed, secret;
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    buf_init(&sealed, 4096);
    buf_init_secret(&secret, 4096);
    assert_ok(issue(r, &certificate));
    assert_ok(keeper_seal_secret(r->keeper, "pin", "D1", 1, BYTES_LIT("1234"), &sealed));
    assert_ok(keeper_fill_secret(r->keeper, "pin", "D1", 1, "c1", buf_bytes(&sealed), &secret));
    assert_true(bytes_eq_str(buf_bytes(&secret), "1234"));
    assert_ok(keeper_status(r->keeper, &status));
    assert_int_equal(status.certificates, 1);
}

static void test_keeper_process__role_is_the_channels(void **state) {
    running_t *r = *state;
    CLEANUP(rpc_client_free) rpc_client_t *rpc = NULL;
    CLEANUP(keeper_free) keeper_t *courier = NULL;
    assert_ok(rpc_client_new(wire(r, ROLE_COURIER), &rpc));
    assert_ok(keeper_new(rpc, &courier));
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, LIMIT_FRAME_BYTES);
    assert_err(ERR_DENIED, issue_by(r, courier, &out));
    assert_err(ERR_DENIED, rpc_call(rpc, 77, BYTES_LIT("x"), 5000, &out));
    assert_ok(keeper_public(courier, KEEPER_PUBLIC_ROOT, &out));
}

static void test_keeper_process__a_malformed_frame_ends_only_its_channel(void **state) {
    running_t *r = *state;
    CLEANUP(fd_close) int fd = wire(r, ROLE_WEB);
    assert_ok(channel_send(fd, BYTES_LIT("this is no frame")));
    uint8_t room[64];
    size_t n = 0;
    assert_err(ERR_UNAVAILABLE, channel_recv(fd, room, sizeof room, &n));
    keeper_status_t status = {0};
    assert_ok(keeper_status(r->keeper, &status));
}

typedef struct {
    running_t *r;
    atomic_size_t count;
    uint8_t fingerprints[KEPT][CERT_SHA256_SIZE];
} answered_t;

static void *issue_until_killed(void *arg) {
    answered_t *answered = arg;
    for (;;) {
        CLEANUP(buf_done) buf_t certificate;
        buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
        CLEANUP(cert_free) cert_t *cert = NULL;
        err_t *e = issue(answered->r, &certificate);
        if (!e) e = cert_parse_der(buf_bytes(&certificate), &cert);
        if (e) {
            err_free(e);
            return NULL;
        }
        size_t at = atomic_fetch_add(&answered->count, 1);
        if (at < KEPT) memcpy(answered->fingerprints[at], cert_sha256(cert), CERT_SHA256_SIZE);
    }
}

/* Ours: a certificate that was answered is in the record, or the keeper lied. */
static void assert_recorded(running_t *r, const answered_t *answered) {
    size_t n = atomic_load(&answered->count);
    assert_true(n > 0);
    for (size_t i = 0; i < n && i < KEPT; i++) {
        CLEANUP(buf_done) buf_t sealed;
        buf_init(&sealed, 4096);
        bytes_t fingerprint = bytes_make(answered->fingerprints[i], CERT_SHA256_SIZE);
        assert_ok(
            keeper_seal_profile(r->keeper, fingerprint, BYTES_LIT("x"), CMS_AES128_CBC, &sealed));
    }
}

static void test_keeper_process__kill_loses_nothing_that_was_answered(void **state) {
    running_t *r = *state;
    static answered_t answered;
    for (int round = 0; round < ROUNDS; round++) {
        answered.r = r;
        atomic_store(&answered.count, 0);
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, issue_until_killed, &answered), 0);
        while (atomic_load(&answered.count) < 20 + 13 * (size_t)round) (void)usleep(500);
        assert_int_equal(kill(r->pid, SIGKILL), 0);
        for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(WTERMSIG(reap(r)), SIGKILL);
        start(r);
        rpc_client_replace(r->rpc, wire(r, ROLE_WEB));
        assert_recorded(r, &answered);
    }
}

static void test_keeper_process__ends_in_order_and_its_log_holds(void **state) {
    running_t *r = *state;
    assert_int_equal(kill(r->pid, SIGTERM), 0);
    int status = reap(r);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    char *argv[] = {(char *)(uintptr_t)program, (char *)"--dir", r->dir, (char *)"--verify-log",
                    NULL};
    assert_ok(spawn_start(argv, &r->pid, &r->control));
    assert_int_equal(reap(r), 0);
    start(r);
    rpc_client_replace(r->rpc, wire(r, ROLE_WEB));
    keeper_status_t after = {0};
    assert_ok(keeper_status(r->keeper, &after));
    assert_true(after.certificates > 100);
}

int main(int argc, char **argv) {
    if (argc < 2) return 77; /* needs the program's path */
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeper_process__answers_in_its_sandbox),
        cmocka_unit_test(test_keeper_process__role_is_the_channels),
        cmocka_unit_test(test_keeper_process__a_malformed_frame_ends_only_its_channel),
        cmocka_unit_test(test_keeper_process__kill_loses_nothing_that_was_answered),
        cmocka_unit_test(test_keeper_process__ends_in_order_and_its_log_holds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
