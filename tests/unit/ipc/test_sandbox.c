/*
 * ipc/sandbox.h: a child enters a profile and tries what it must not be able to do. Each try has
 * a child of its own, which tells by its end: DID (it worked), REFUSED, or killed by SIGSYS.
 */
#include "../unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "ipc/channel.h"
#include "ipc/client.h"
#include "ipc/frame.h"
#include "ipc/sandbox.h"
#include "ipc/sandbox_internal.h"
#include "ipc/server.h"

enum { DID = 0, REFUSED = 10, NO_SANDBOX = 20, WRONG = 30, KILLED = 1000 };

typedef int (*try_t)(const char *dir);

static char temp_dir[] = "/tmp/coffer-sandbox-XXXXXX";
static bool have_landlock;

/* Runs `attempt` in a child inside the profile; the child may use temp_dir/in only. */
static int attempt_in(sandbox_profile_t profile, try_t attempt) {
    char inside[64];
    (void)snprintf(inside, sizeof inside, "%s/in", temp_dir);
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_path_t paths[] = {{inside, SANDBOX_READ | SANDBOX_WRITE},
                                  {"/nowhere/at/all", SANDBOX_READ | SANDBOX_OPTIONAL}};
        sandbox_report_t report;
        err_t *e = sandbox_enter(profile, paths, 2, false, &report);
        if (e) {
            char text[512];
            (void)fprintf(stderr, "%s\n", err_trace(e, text, sizeof text));
            _exit(NO_SANDBOX);
        }
        _exit(attempt(temp_dir));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) return KILLED + WTERMSIG(status);
    return WEXITSTATUS(status);
}

static int judge(bool worked) {
    if (worked) return DID;
    return errno == EPERM || errno == EACCES || errno == EAFNOSUPPORT ? REFUSED : WRONG;
}

static int open_in(const char *dir, const char *name, int flags) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int result = judge(fd >= 0);
    fd_close(fd);
    return result;
}

static int read_outside(const char *dir) { return open_in(dir, "out/file", O_RDONLY); }
static int write_outside(const char *dir) { return open_in(dir, "out/new", O_WRONLY | O_CREAT); }
static int climb_outside(const char *dir) { return open_in(dir, "in/../out/file", O_RDONLY); }
static int follow_outside(const char *dir) { return open_in(dir, "in/link", O_RDONLY); }
static int write_inside(const char *dir) { return open_in(dir, "in/new", O_RDWR | O_CREAT); }

static int use_socket(const char *dir) {
    (void)dir;
    return judge(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}
static int use_packet_socket(const char *dir) {
    (void)dir;
    return judge(socket(AF_PACKET, SOCK_RAW, 0) >= 0);
}
static int use_listen(const char *dir) {
    (void)dir;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return WRONG;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(fd, (const struct sockaddr *)&any, sizeof any) != 0) return judge(false);
    return judge(listen(fd, 1) == 0);
}
static int use_exec(const char *dir) {
    (void)dir;
    char name[] = "/bin/true";
    char *argv[] = {name, NULL};
    (void)execv(name, argv);
    return judge(false);
}
static int use_fork(const char *dir) {
    (void)dir;
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    return judge(pid > 0);
}
static int use_ptrace(const char *dir) {
    (void)dir;
    return judge(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
}
static int use_mount(const char *dir) {
    (void)dir;
    return judge(unshare(0) == 0);
}
static int signal_parent(const char *dir) {
    (void)dir;
    return judge(kill(getppid(), 0) == 0);
}
static int make_code(const char *dir) {
    (void)dir;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return WRONG;
    return judge(mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0);
}
static int look_hardened(const char *dir) {
    (void)dir;
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0) return WRONG;
    return DID;
}

static void *run_thread(void *arg) { return arg; }

static void echo(void *ctx, const rpc_request_t *request, rpc_reply_t *reply) {
    (void)ctx;
    rpc_reply_finish(reply, NULL, request->body);
}

/* What the keeper does all day: threads, channels, files with sync and locks. */
static int ordinary_work(const char *dir) {
    int ends[2] = {3, 4}; /* made before the sandbox, as cofferd does */
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_thread, NULL) != 0) return 40;
    (void)pthread_join(thread, NULL);
    rpc_server_config_t config = {.handle = echo, .workers = 2};
    rpc_server_t *server = NULL;
    rpc_client_t *client = NULL;
    err_t *e = rpc_server_new(&config, &server);
    if (!e) e = rpc_server_add(server, ends[0], ROLE_WEB);
    if (!e) e = rpc_client_new(ends[1], &client);
    CLEANUP(buf_done) buf_t reply;
    buf_init(&reply, 100);
    if (!e) e = rpc_call(client, 1, BYTES_LIT("hello"), 5000, &reply);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/in/work", dir);
    if (!e) e = file_write(path, BYTES_LIT("data"), 0600);
    if (!e && unlink(path) != 0) e = err_errno(errno, "unlink");
    rpc_client_free(client);
    rpc_server_free(server);
    if (!e) return DID;
    char text[512];
    (void)fprintf(stderr, "%s\n", err_trace(e, text, sizeof text));
    return 41;
}

static void test_sandbox__files_outside_are_out_of_reach(void **state) {
    (void)state;
    if (!have_landlock) skip();
    const sandbox_profile_t profiles[] = {SANDBOX_KEEPER, SANDBOX_WEB, SANDBOX_COURIER};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(attempt_in(profiles[i], read_outside), REFUSED);
        assert_int_equal(attempt_in(profiles[i], write_outside), REFUSED);
        assert_int_equal(attempt_in(profiles[i], climb_outside), REFUSED);
        assert_int_equal(attempt_in(profiles[i], follow_outside), REFUSED);
        assert_int_equal(attempt_in(profiles[i], write_inside), DID);
    }
}

static void test_sandbox__keeper_has_no_network_and_no_programs(void **state) {
    (void)state;
    assert_int_equal(attempt_in(SANDBOX_KEEPER, use_socket), KILLED + SIGSYS);
    assert_int_equal(attempt_in(SANDBOX_KEEPER, use_exec), KILLED + SIGSYS);
    assert_int_equal(attempt_in(SANDBOX_KEEPER, signal_parent), KILLED + SIGSYS);
    assert_int_equal(attempt_in(SANDBOX_KEEPER, use_mount), KILLED + SIGSYS);
    if (SANDBOX_RELAXED) return;
    assert_int_equal(attempt_in(SANDBOX_KEEPER, use_ptrace), KILLED + SIGSYS);
    assert_int_equal(attempt_in(SANDBOX_KEEPER, use_fork), REFUSED);
    assert_int_equal(attempt_in(SANDBOX_KEEPER, make_code), REFUSED);
}

static void test_sandbox__keeper_can_do_its_work(void **state) {
    (void)state;
    int ends[2];
    assert_ok(channel_pair(ends));
    int a = fcntl(ends[0], F_DUPFD_CLOEXEC, 20), b = fcntl(ends[1], F_DUPFD_CLOEXEC, 20);
    fd_close(ends[0]);
    fd_close(ends[1]);
    int saved_3 = fcntl(3, F_DUPFD_CLOEXEC, 20), saved_4 = fcntl(4, F_DUPFD_CLOEXEC, 20);
    assert_int_equal(dup2(a, 3), 3);
    assert_int_equal(dup2(b, 4), 4);
    assert_int_equal(attempt_in(SANDBOX_KEEPER, ordinary_work), DID);
    assert_int_equal(attempt_in(SANDBOX_KEEPER, look_hardened), DID);
    if (saved_3 >= 0) (void)dup2(saved_3, 3);
    else fd_close(3);
    if (saved_4 >= 0) (void)dup2(saved_4, 4);
    else fd_close(4);
    fd_close(a);
    fd_close(b);
}

static void test_sandbox__web_and_courier_have_network_but_no_programs(void **state) {
    (void)state;
    const sandbox_profile_t profiles[] = {SANDBOX_WEB, SANDBOX_COURIER};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(attempt_in(profiles[i], use_socket), DID);
        assert_int_equal(attempt_in(profiles[i], use_packet_socket), REFUSED);
        assert_int_equal(attempt_in(profiles[i], use_exec), KILLED + SIGSYS);
        assert_int_equal(attempt_in(profiles[i], use_mount), KILLED + SIGSYS);
        if (!SANDBOX_RELAXED) assert_int_equal(attempt_in(profiles[i], use_fork), REFUSED);
    }
    assert_int_equal(attempt_in(SANDBOX_WEB, use_listen), DID);
    assert_int_equal(attempt_in(SANDBOX_COURIER, use_listen), REFUSED);
}

static void test_sandbox__without_landlock_it_is_refused_if_required(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_report_t report = {.landlock_abi = -1};
        err_t *e = sandbox_enter(SANDBOX_WEB, NULL, 0, true, &report);
        bool right =
            have_landlock ? !e && report.landlock_abi > 0 : e && err_code(e) == ERR_UNAVAILABLE;
        _exit(right ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int setup(void **state) {
    (void)state;
    char path[64];
    assert_non_null(mkdtemp(temp_dir));
    (void)snprintf(path, sizeof path, "%s/in", temp_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/out", temp_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/out/file", temp_dir);
    assert_ok(file_write(path, BYTES_LIT("secret"), 0600));
    (void)snprintf(path, sizeof path, "%s/in/link", temp_dir);
    assert_int_equal(symlink("../out/file", path), 0);
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_report_t report = {.landlock_abi = 0};
        err_ignore(sandbox_enter(SANDBOX_WEB, NULL, 0, false, &report));
        _exit(report.landlock_abi > 0 ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    have_landlock = WEXITSTATUS(status) == 1;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    const char *names[] = {"in/link", "in/new", "out/file", "out/new", "in", "out", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/%s", temp_dir, names[i]);
        (void)remove(path);
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox__files_outside_are_out_of_reach),
        cmocka_unit_test(test_sandbox__keeper_has_no_network_and_no_programs),
        cmocka_unit_test(test_sandbox__keeper_can_do_its_work),
        cmocka_unit_test(test_sandbox__web_and_courier_have_network_but_no_programs),
        cmocka_unit_test(test_sandbox__without_landlock_it_is_refused_if_required),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
