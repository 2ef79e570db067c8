/*
 * Confinement: see sandbox.h. Landlock by its system calls (the kernel's
 * Documentation/userspace-api/landlock.rst), as the C library has no wrappers; the structure and
 * the newer rights are spelled out here so that old headers don't weaken a new kernel's sandbox.
 */
#include "ipc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "ipc/sandbox_internal.h"

/* struct landlock_ruleset_attr as of ABI 6; older kernels are given its beginning. */
typedef struct {
    uint64_t fs;
    uint64_t net;    /* from ABI 4 */
    uint64_t scoped; /* from ABI 6 */
} ruleset_t;

enum {
    FS_REFER = 1 << 13,     /* ABI 2: rename and link between directories */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    FS_ABI1 = (1 << 13) - 1,
    NET_BIND_TCP = 1,    /* ABI 4 */
    NET_CONNECT_TCP = 2, /* ABI 4 */
    SCOPE_ABSTRACT = 1,  /* ABI 6: abstract AF_UNIX names of others */
    SCOPE_SIGNAL = 2,    /* ABI 6: signals to others */

    FS_OF_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    FS_OF_WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | FS_REFER |
                  FS_TRUNCATE,
    FS_OF_EXEC = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE,
    /* What makes sense for a path that is no directory; the kernel refuses the rest. */
    FS_OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                  LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

/* 0: none. */
static int landlock_abi(void) {
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static uint64_t fs_handled(int abi) {
    uint64_t handled = FS_ABI1;
    if (abi >= 2) handled |= FS_REFER;
    if (abi >= 3) handled |= FS_TRUNCATE;
    if (abi >= 5) handled |= FS_IOCTL_DEV;
    return handled;
}

static ruleset_t ruleset_of(sandbox_profile_t profile, int abi) {
    ruleset_t set = {.fs = fs_handled(abi)};
    /* No port is ever allowed afterwards, so what is handled here is denied entirely. */
    switch (profile) {
    case SANDBOX_KEEPER:
        if (abi >= 4) set.net = NET_BIND_TCP | NET_CONNECT_TCP;
        if (abi >= 6) set.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
        break;
    case SANDBOX_COURIER:
    case SANDBOX_MAILGATE:
        if (abi >= 4) set.net = NET_BIND_TCP;
        if (abi >= 6) set.scoped = SCOPE_SIGNAL;
        break;
    case SANDBOX_WEB:
        if (abi >= 6) set.scoped = SCOPE_SIGNAL;
        break;
    }
    return set;
}

static size_t ruleset_size(int abi) {
    return abi >= 6 ? 3 * sizeof(uint64_t) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static err_t *allow_path(int ruleset, const sandbox_path_t *path, uint64_t handled) {
    CLEANUP(fd_close) int fd = open(path->path, O_PATH | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && (path->access & SANDBOX_OPTIONAL)) return NULL;
    if (fd < 0) return err_errno(errno, "cannot open %s", path->path);
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(errno, "cannot look at %s", path->path);
    uint64_t access = 0;
    if (path->access & SANDBOX_READ) access |= FS_OF_READ;
    if (path->access & SANDBOX_WRITE) access |= FS_OF_WRITE;
    if (path->access & SANDBOX_EXEC) access |= FS_OF_EXEC;
    if (!S_ISDIR(st.st_mode)) access &= FS_OF_FILES;
    struct landlock_path_beneath_attr rule = {.allowed_access = access & handled, .parent_fd = fd};
    if (rule.allowed_access == 0) return err_new(ERR_INTERNAL, "no access to %s", path->path);
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) != 0)
        return err_errno(errno, "cannot allow %s", path->path);
    return NULL;
}

static err_t *restrict_files(sandbox_profile_t profile, const sandbox_path_t *paths, size_t count,
                             int abi) {
    ruleset_t set = ruleset_of(profile, abi);
    CLEANUP(fd_close)
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &set, ruleset_size(abi), 0U);
    if (ruleset < 0) return err_errno(errno, "cannot make a Landlock ruleset");
    for (size_t i = 0; i < count; i++) TRY(allow_path(ruleset, &paths[i], set.fs));
    /* The leak checker lists this process's threads at exit, and ends it with an error otherwise.
     */
    const sandbox_path_t own = {"/proc/self", SANDBOX_READ};
    if (SANDBOX_RELAXED) TRY(allow_path(ruleset, &own, set.fs));
    if (syscall(SYS_landlock_restrict_self, ruleset, 0U) != 0)
        return err_errno(errno, "cannot enter Landlock");
    return NULL;
}

/* Landlock binds the calling thread and those it will start, so there must be no others yet. */
static err_t *check_single_thread(void) {
    struct stat st;
    if (SANDBOX_RELAXED || stat("/proc/self/task", &st) != 0) return NULL;
    if (st.st_nlink > 3) /* ".", "..", and one directory a thread */
        return err_new(ERR_INTERNAL, "the sandbox must be entered before threads are started");
    return NULL;
}

err_t *sandbox_close_memory(void) {
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) return err_errno(errno, "cannot forbid core dumps");
    if (!SANDBOX_RELAXED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_errno(errno, "cannot make the process undumpable");
    return NULL;
}

static err_t *drop_privileges(void) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno(errno, "cannot give up new privileges");
    return sandbox_close_memory();
}

err_t *sandbox_enter(sandbox_profile_t profile, const sandbox_path_t *paths, size_t count,
                     bool require, sandbox_report_t *ret_report) {
    sandbox_report_t report = {.landlock_abi = landlock_abi(), .relaxed = SANDBOX_RELAXED};
    if (!report.landlock_abi && require)
        return err_new(ERR_UNAVAILABLE, "this kernel has no Landlock: boot with lsm=landlock,... "
                                        "or set require_sandbox = false to go without");
    TRY_WRAP(check_single_thread(), "sandbox");
    TRY_WRAP(drop_privileges(), "sandbox");
    if (report.landlock_abi)
        TRY_WRAP(restrict_files(profile, paths, count, report.landlock_abi), "sandbox");
    TRY_WRAP(sandbox_restrict_calls(profile), "sandbox");
    *ret_report = report;
    return NULL;
}
