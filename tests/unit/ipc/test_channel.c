/*
 * ipc/channel.h: whole messages, limits, descriptors.
 */
#include "../unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "ipc/channel.h"

static void test_channel__carries_the_largest_frame(void **state) {
    (void)state;
    int ends[2];
    size_t n = 0;
    CLEANUP(mem_free) uint8_t *out = mem_alloc(LIMIT_FRAME_BYTES);
    CLEANUP(mem_free) uint8_t *in = mem_zalloc(LIMIT_FRAME_BYTES);
    memset(out, 0x5A, LIMIT_FRAME_BYTES);
    assert_ok(channel_pair(ends));
    assert_ok(
        channel_send2(ends[0], bytes_make(out, 16), bytes_make(out + 16, LIMIT_FRAME_BYTES - 16)));
    assert_ok(channel_recv(ends[1], in, LIMIT_FRAME_BYTES, &n));
    assert_int_equal(n, LIMIT_FRAME_BYTES);
    assert_memory_equal(in, out, LIMIT_FRAME_BYTES);
    assert_err(ERR_LIMIT,
               channel_send2(ends[0], bytes_make(out, LIMIT_FRAME_BYTES), bytes_make(out, 1)));
    fd_close(ends[0]);
    fd_close(ends[1]);
}

static void test_channel__truncated_ended_and_empty(void **state) {
    (void)state;
    int ends[2];
    uint8_t room[4];
    size_t n = 99;
    bool got = true;
    assert_ok(channel_pair(ends));
    assert_ok(channel_try_recv(ends[1], room, sizeof room, &n, &got));
    assert_false(got);
    assert_int_equal(n, 99);
    assert_ok(channel_send(ends[0], BYTES_LIT("12345")));
    assert_ok(channel_send(ends[0], BYTES_LIT("1234")));
    assert_err(ERR_INVALID, channel_recv(ends[1], room, sizeof room, &n));
    assert_ok(channel_recv(ends[1], room, sizeof room, &n));
    assert_int_equal(n, 4);
    assert_err(ERR_INTERNAL, channel_send(ends[0], BYTES_NONE));
    fd_close(ends[0]);
    assert_err(ERR_UNAVAILABLE, channel_recv(ends[1], room, sizeof room, &n));
    assert_err(ERR_UNAVAILABLE, channel_send(ends[1], BYTES_LIT("x"))); /* and no SIGPIPE */
    fd_close(ends[1]);
}

static void test_channel__a_full_buffer_is_said_not_waited_for(void **state) {
    (void)state;
    int ends[2];
    bool sent = true;
    size_t n = 0, count = 0;
    CLEANUP(mem_free) uint8_t *block = mem_zalloc(LIMIT_FRAME_BYTES);
    bytes_t big = bytes_make(block, LIMIT_FRAME_BYTES);
    assert_ok(channel_pair(ends));
    while (sent && count < 1000) {
        assert_ok(channel_try_send2(ends[0], big, BYTES_NONE, &sent));
        count += sent;
    }
    assert_false(sent);
    assert_err(ERR_TIMEOUT, channel_send2_within(ends[0], big, BYTES_NONE, 20));
    for (size_t i = 0; i < count; i++)
        assert_ok(channel_recv(ends[1], block, LIMIT_FRAME_BYTES, &n));
    assert_ok(channel_send2_within(ends[0], big, BYTES_NONE, 1000));
    fd_close(ends[0]);
    fd_close(ends[1]);
}

static void test_channel__passes_one_descriptor(void **state) {
    (void)state;
    int ends[2], pipe_ends[2], got = -1;
    uint8_t room[8];
    size_t n = 0;
    assert_ok(channel_pair(ends));
    assert_int_equal(pipe(pipe_ends), 0);
    assert_ok(channel_send_fd(ends[0], BYTES_LIT("fd"), pipe_ends[1]));
    assert_ok(channel_recv_fd(ends[1], room, sizeof room, &n, &got));
    assert_int_equal(n, 2);
    assert_true(got >= 0);
    assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(got, "x", 1), 1);
    assert_int_equal(read(pipe_ends[0], room, 1), 1);
    fd_close(got);
    assert_ok(channel_send(ends[0], BYTES_LIT("plain")));
    assert_ok(channel_recv_fd(ends[1], room, sizeof room, &n, &got));
    assert_int_equal(got, -1);
    /* Where none is expected, one is refused and closed: the pipe ends once we close ours. */
    assert_ok(channel_send_fd(ends[0], BYTES_LIT("fd"), pipe_ends[1]));
    assert_err(ERR_INVALID, channel_recv(ends[1], room, sizeof room, &n));
    fd_close(pipe_ends[1]);
    assert_int_equal(read(pipe_ends[0], room, 1), 0);
    fd_close(pipe_ends[0]);
    fd_close(ends[0]);
    fd_close(ends[1]);
}

static void test_channel__refuses_several_descriptors_and_closes_them(void **state) {
    (void)state;
    int ends[2], pipe_ends[2], got = -1;
    uint8_t room[8];
    size_t n = 0;
    assert_ok(channel_pair(ends));
    assert_int_equal(pipe(pipe_ends), 0);
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(6 * sizeof(int))];
    } control = {.room = {0}};
    for (size_t count = 2; count <= 6; count++) { /* beyond 4 the kernel cuts the list */
        struct iovec part = {.iov_base = room, .iov_len = 1};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.room,
                                 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (size_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &pipe_ends[1], sizeof(int));
        assert_int_equal(sendmsg(ends[0], &message, 0), 1);
        assert_err(ERR_INVALID, channel_recv_fd(ends[1], room, sizeof room, &n, &got));
    }
    fd_close(pipe_ends[1]);
    assert_int_equal(read(pipe_ends[0], room, 1), 0);
    fd_close(pipe_ends[0]);
    fd_close(ends[0]);
    fd_close(ends[1]);
}

static void test_channel__failing_calls_are_reported(void **state) {
    (void)state;
    int ends[2];
    uint8_t room[8];
    size_t n = 0;
    assert_ok(channel_pair(ends));
    fault_arm_io(1);
    assert_err(ERR_UNAVAILABLE, channel_send(ends[0], BYTES_LIT("x")));
    fault_arm_io(1);
    assert_err(ERR_UNAVAILABLE, channel_recv(ends[1], room, sizeof room, &n));
    fault_arm_io(0);
    fd_close(ends[0]);
    fd_close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel__carries_the_largest_frame),
        cmocka_unit_test(test_channel__truncated_ended_and_empty),
        cmocka_unit_test(test_channel__a_full_buffer_is_said_not_waited_for),
        cmocka_unit_test(test_channel__passes_one_descriptor),
        cmocka_unit_test(test_channel__refuses_several_descriptors_and_closes_them),
        cmocka_unit_test(test_channel__failing_calls_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
