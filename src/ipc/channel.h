/*
 * A channel: one end of an AF_UNIX SOCK_SEQPACKET pair. Messages keep their borders; a message is
 * sent or received whole or not at all. Safe to use from many threads at once (the kernel keeps
 * messages apart). Used by every process.
 */
#ifndef COFFER_IPC_CHANNEL_H
#define COFFER_IPC_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

/*
 * A connected pair, close-on-exec, whose buffers hold a message of LIMIT_FRAME_BYTES. The caller
 * owns both ends. ERR_LIMIT, naming net.core.wmem_max, if the kernel's limit is too small.
 */
err_t *channel_pair(int ret_ends[2]) WARN_UNUSED;

/*
 * Sends head and body as one message; either may be empty, not both. Waits while the buffer is
 * full. ERR_LIMIT beyond LIMIT_FRAME_BYTES; ERR_UNAVAILABLE when the peer is gone.
 */
err_t *channel_send2(int fd, bytes_t head, bytes_t body) WARN_UNUSED;
err_t *channel_send(int fd, bytes_t message) WARN_UNUSED;
/* Does not wait: *ret_sent false when the buffer is full. */
err_t *channel_try_send2(int fd, bytes_t head, bytes_t body, bool *ret_sent) WARN_UNUSED;
/* Waits at most timeout_ms: ERR_TIMEOUT then. */
err_t *channel_send2_within(int fd, bytes_t head, bytes_t body, int timeout_ms) WARN_UNUSED;

/*
 * Receives one message into room[size] and waits for it. ERR_UNAVAILABLE at the end of the
 * channel, ERR_INVALID if the message was longer than size or brought unexpected descriptors
 * (which are closed).
 */
err_t *channel_recv(int fd, uint8_t *room, size_t size, size_t *ret_n) WARN_UNUSED;
/* Does not wait: *ret_got false when there is none. */
err_t *channel_try_recv(int fd, uint8_t *room, size_t size, size_t *ret_n,
                        bool *ret_got) WARN_UNUSED;

/* Sends a message with one descriptor (SCM_RIGHTS); the caller keeps passed_fd and may close it.
 * Does not wait: ERR_BUSY when the buffer is full. */
err_t *channel_send_fd(int fd, bytes_t message, int passed_fd) WARN_UNUSED;
/* Waits for a message with at most one descriptor: *ret_fd is the caller's, close-on-exec, or -1.
 * More than one is ERR_INVALID, and all are closed. */
err_t *channel_recv_fd(int fd, uint8_t *room, size_t size, size_t *ret_n, int *ret_fd) WARN_UNUSED;

#endif
