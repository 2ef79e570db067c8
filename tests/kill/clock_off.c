/*
 * A clock that is wrong, for programs under test: loaded before them (LD_PRELOAD), the time of day
 * is off by the seconds that COFFER_TEST_CLOCK_S says, or by what the file COFFER_TEST_CLOCK_FILE
 * says at that moment: two numbers of 8 bytes in the machine's order, the seconds of the time of
 * day and those of the clock that never jumps. The file is mapped before the program does anything.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    _Atomic int64_t wall_s, mono_s;
} offsets_t;

static const offsets_t *offsets;

__attribute__((constructor)) static void map_offsets(void) {
    const char *path = getenv("COFFER_TEST_CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *p = mmap(NULL, sizeof *offsets, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (p != MAP_FAILED) offsets = p;
}

static time_t wall_off_by(void) {
    const char *text = offsets ? NULL : getenv("COFFER_TEST_CLOCK_S");
    if (offsets) return (time_t)offsets->wall_s;
    return text ? (time_t)strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long status = syscall(SYS_clock_gettime, clock, now);
    if (status != 0) return (int)status;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += wall_off_by();
    if (clock == CLOCK_MONOTONIC && offsets) now->tv_sec += (time_t)offsets->mono_s;
    return 0;
}

time_t time(time_t *ret_now) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now) *ret_now = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise = {0};
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
