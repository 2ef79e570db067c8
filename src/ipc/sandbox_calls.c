/*
 * The system calls of each sandbox profile (seccomp, see seccomp(2) and libseccomp).
 * The keeper has a list of what is allowed; web, courier and mailgate, which use many libraries, a
 * list of what is not. A call that only an intruder makes kills the process, which the kernel logs.
 */
#include "ipc/sandbox_internal.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

/* What the C library, threads, SQLite, OpenSSL, libsodium and ipc itself need. Names of calls
 * that an architecture lacks are negative numbers, and skipped. */
static const int keeper_allowed[] = {
    /* files; Landlock says which */
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(pread64),
    CALL(pwrite64),
    CALL(open),
    CALL(openat),
    CALL(close),
    CALL(close_range),
    CALL(stat),
    CALL(fstat),
    CALL(lstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(statfs),
    CALL(fstatfs),
    CALL(lseek),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(readlink),
    CALL(readlinkat),
    CALL(getcwd),
    CALL(getdents64),
    CALL(fsync),
    CALL(fdatasync),
    CALL(sync_file_range),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(fadvise64),
    CALL(flock),
    CALL(unlink),
    CALL(unlinkat),
    CALL(rename),
    CALL(renameat),
    CALL(renameat2),
    CALL(mkdir),
    CALL(mkdirat),
    CALL(rmdir),
    CALL(chmod),
    CALL(fchmod),
    CALL(fchmodat),
    CALL(umask),
    CALL(utimensat),
    CALL(dup),
    CALL(dup2),
    CALL(dup3),
    CALL(pipe2),
    CALL(fcntl),
    CALL(memfd_create),
    /* memory; new code is excluded below */
    CALL(brk),
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    CALL(mlock),
    CALL(mlock2),
    CALL(munlock),
    CALL(msync),
    CALL(mincore),
    /* threads and their waiting */
    CALL(futex),
    CALL(set_robust_list),
    CALL(get_robust_list),
    CALL(rseq),
    CALL(set_tid_address),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(sched_setaffinity),
    CALL(sched_getparam),
    CALL(sched_getscheduler),
    CALL(membarrier),
    CALL(gettid),
    CALL(getpid),
    CALL(getppid),
    CALL(getcpu),
    CALL(arch_prctl),
    CALL(exit),
    CALL(exit_group),
    CALL(restart_syscall),
    /* signals to itself */
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(rt_sigtimedwait),
    CALL(rt_sigsuspend),
    CALL(sigaltstack),
    CALL(signalfd4),
    /* time, randomness, who am I */
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(gettimeofday),
    CALL(time),
    CALL(getrandom),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(getrusage),
    CALL(times),
    CALL(sysinfo),
    CALL(uname),
    CALL(getrlimit),
    CALL(timerfd_create),
    CALL(timerfd_settime),
    CALL(timerfd_gettime),
    /* channels that were handed over */
    CALL(recvmsg),
    CALL(sendmsg),
    CALL(recvfrom),
    CALL(sendto),
    CALL(shutdown),
    CALL(getsockopt),
    CALL(setsockopt),
    CALL(getpeername),
    CALL(getsockname),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(epoll_pwait2),
    CALL(poll),
    CALL(ppoll),
    CALL(select),
    CALL(pselect6),
    CALL(eventfd2),
};

/* Nobody needs these after the start; who calls them has been taken over. */
static const int always_deadly[] = {
    CALL(execve),
    CALL(execveat),
    CALL(vfork),
    CALL(fork),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(process_madvise),
    CALL(pidfd_getfd),
    CALL(kcmp),
    CALL(mount),
    CALL(umount2),
    CALL(move_mount),
    CALL(open_tree),
    CALL(fsopen),
    CALL(fsmount),
    CALL(fspick),
    CALL(pivot_root),
    CALL(chroot),
    CALL(setns),
    CALL(unshare),
    CALL(kexec_load),
    CALL(kexec_file_load),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(bpf),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(add_key),
    CALL(request_key),
    CALL(keyctl),
    CALL(open_by_handle_at),
    CALL(name_to_handle_at),
    CALL(reboot),
    CALL(swapon),
    CALL(swapoff),
    CALL(acct),
    CALL(quotactl),
    CALL(ioperm),
    CALL(iopl),
    CALL(modify_ldt),
    CALL(mknod),
    CALL(mknodat),
    CALL(fanotify_init),
    CALL(settimeofday),
    CALL(clock_settime),
    CALL(setdomainname),
    CALL(sethostname),
    CALL(syslog),
    CALL(uselib),
    CALL(personality),
    CALL(vmsplice),
};

/* Libraries try these and go on without. */
static const int always_refused[] = {
    CALL(io_uring_setup), CALL(io_uring_enter), CALL(io_uring_register), CALL(setuid),
    CALL(setgid),         CALL(setresuid),      CALL(setresgid),         CALL(setgroups),
};

/* The keeper has no network at all. */
static const int keeper_deadly[] = {
    CALL(socket), CALL(connect), CALL(bind), CALL(listen), CALL(accept),  CALL(accept4),
    CALL(kill),   CALL(tkill),   CALL(link), CALL(linkat), CALL(symlink), CALL(symlinkat),
};

/* Its listeners are there already. */
static const int mailgate_refused[] = {CALL(listen), CALL(bind)};

static const int courier_refused[] = {CALL(listen), CALL(accept), CALL(accept4)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static err_t *add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int rc = calls[i] < 0 ? 0 : seccomp_rule_add(filter, action, calls[i], 0);
        if (rc != 0) return err_errno(-rc, "cannot add call %d to the filter", calls[i]);
    }
    return NULL;
}

/* A rule that looks at one argument. */
static err_t *add_if(scmp_filter_ctx filter, uint32_t action, int call, struct scmp_arg_cmp when) {
    int rc = seccomp_rule_add_array(filter, action, call, 1, &when);
    return rc ? err_errno(-rc, "cannot add a condition on call %d to the filter", call) : NULL;
}

/* Threads, but no processes. clone3 hides its flags in memory: without it the C library uses
 * clone. */
static err_t *add_thread_rules(scmp_filter_ctx filter, bool allow_list) {
    struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
    struct scmp_arg_cmp process = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    TRY(add_if(filter, allow_list ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), CALL(clone),
               allow_list ? thread : process));
    int clone3 = CALL(clone3);
    return add_all(filter, SCMP_ACT_ERRNO(ENOSYS), &clone3, 1);
}

/* Memory that is written is never executed, and nothing becomes code any more. */
static err_t *add_memory_rules(scmp_filter_ctx filter) {
    struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    TRY(add_if(filter, SCMP_ACT_ALLOW, CALL(mmap), data));
    return add_if(filter, SCMP_ACT_ALLOW, CALL(mprotect), data);
}

static err_t *add_keeper_rules(scmp_filter_ctx filter) {
    static const int needs_care[] = {CALL(ptrace)};
    TRY(add_all(filter, SCMP_ACT_KILL_PROCESS, keeper_deadly, COUNT(keeper_deadly)));
    if (SANDBOX_RELAXED) return NULL;
    TRY(add_all(filter, SCMP_ACT_KILL_PROCESS, needs_care, COUNT(needs_care)));
    TRY(add_all(filter, SCMP_ACT_ALLOW, keeper_allowed, COUNT(keeper_allowed)));
    TRY(add_thread_rules(filter, true));
    TRY(add_memory_rules(filter));
    /* abort() sends itself a signal; nobody else may get one. */
    TRY(add_if(filter, SCMP_ACT_ALLOW, CALL(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())));
    /* Asking for a limit is fine, raising one is not. */
    struct scmp_arg_cmp only_asks = SCMP_A2(SCMP_CMP_EQ, 0);
    TRY(add_if(filter, SCMP_ACT_ALLOW, CALL(prlimit64), only_asks));
    /* prctl to name threads and, by the allocator, memory. */
    TRY(add_if(filter, SCMP_ACT_ALLOW, CALL(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)));
    TRY(add_if(filter, SCMP_ACT_ALLOW, CALL(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA)));
    return NULL;
}

/* AF_UNIX, AF_INET, AF_INET6 and, for getaddrinfo, AF_NETLINK; no packet or other sockets. */
static err_t *add_network_rules(scmp_filter_ctx filter) {
    uint32_t refuse = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    TRY(add_if(filter, refuse, CALL(socket), SCMP_A0(SCMP_CMP_GT, AF_NETLINK)));
    for (scmp_datum_t family = 0; family <= AF_NETLINK; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
            continue;
        TRY(add_if(filter, refuse, CALL(socket), SCMP_A0(SCMP_CMP_EQ, family)));
    }
    return NULL;
}

static err_t *add_open_rules(scmp_filter_ctx filter, sandbox_profile_t profile) {
    static const int tracing[] = {CALL(ptrace)};
    TRY(add_network_rules(filter));
    if (profile == SANDBOX_MAILGATE)
        TRY(add_all(filter, SCMP_ACT_ERRNO(EPERM), mailgate_refused, COUNT(mailgate_refused)));
    if (profile == SANDBOX_COURIER)
        TRY(add_all(filter, SCMP_ACT_ERRNO(EPERM), courier_refused, COUNT(courier_refused)));
    if (SANDBOX_RELAXED) return NULL;
    TRY(add_all(filter, SCMP_ACT_KILL_PROCESS, tracing, COUNT(tracing)));
    return add_thread_rules(filter, false);
}

static err_t *fill(scmp_filter_ctx filter, sandbox_profile_t profile) {
    TRY(add_all(filter, SCMP_ACT_KILL_PROCESS, always_deadly, COUNT(always_deadly)));
    bool keeper = profile == SANDBOX_KEEPER;
    /* An allow list refuses the rest by itself, and may not repeat its default action. */
    if (!keeper || SANDBOX_RELAXED)
        TRY(add_all(filter, SCMP_ACT_ERRNO(EPERM), always_refused, COUNT(always_refused)));
    return keeper ? add_keeper_rules(filter) : add_open_rules(filter, profile);
}

err_t *sandbox_restrict_calls(sandbox_profile_t profile) {
    bool allow_list = profile == SANDBOX_KEEPER && !SANDBOX_RELAXED;
    scmp_filter_ctx filter = seccomp_init(allow_list ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
    if (!filter) return err_nomem();
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* The hot calls of a busy keeper should not walk the whole list. */
    if (rc == 0) rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    err_t *e = rc ? err_errno(-rc, "cannot set up the call filter") : fill(filter, profile);
    if (!e) {
        rc = seccomp_load(filter);
        if (rc != 0) e = err_errno(-rc, "cannot load the call filter");
    }
    seccomp_release(filter);
    return e;
}
