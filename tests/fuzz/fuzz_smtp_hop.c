/*
 * A next hop that says anything, in pieces of the first byte's size. What holds: no 250 for a
 * recipient before the whole message was sent, and a dialogue of bounded length.
 */
#include <stdlib.h>

#include "smtp/hop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    bytes_t in;
    size_t piece, read, sent;
    bool ended; /* the whole message went */
} peer_t;

static err_t *peer_send(void *ctx, bytes_t data) {
    peer_t *peer = ctx;
    peer->sent += data.n;
    if (data.n >= 5 && memcmp(data.p + data.n - 5, "\r\n.\r\n", 5) == 0) peer->ended = true;
    return NULL;
}

static err_t *peer_recv(void *ctx, uint8_t *p, size_t max, int timeout_ms, size_t *ret_n) {
    peer_t *peer = ctx;
    (void)timeout_ms;
    bytes_t piece = bytes_slice(peer->in, 0, peer->piece < max ? peer->piece : max);
    if (piece.n == 0) return err_new(ERR_UNAVAILABLE, "the end");
    bytes_put(p, piece);
    peer->in = bytes_from(peer->in, piece.n);
    *ret_n = piece.n;
    return NULL;
}

static err_t *peer_secure(void *ctx) {
    (void)ctx;
    return NULL;
}

static err_t *read_message(void *arg, uint8_t *p, size_t max, size_t *ret_n) {
    peer_t *peer = arg;
    bytes_t piece = bytes_slice(BYTES_LIT("Subject: x\r\n\r\n.dot\r\n"), peer->read, max);
    bytes_put(p, piece);
    peer->read += piece.n;
    *ret_n = piece.n;
    return NULL;
}

static void deliver(smtp_hop_t *hop, peer_t *peer) {
    static const smtp_rcpt_t rcpts[] = {{.address = {(const uint8_t *)"b@example.org", 13}},
                                        {.address = {(const uint8_t *)"c@example.org", 13}}};
    smtp_status_t statuses[2];
    bool begun = false;
    const smtp_mail_t mail = {.from = BYTES_LIT("a@example.org"),
                              .rcpts = rcpts,
                              .rcpts_n = 2,
                              .size = 20,
                              .read = read_message,
                              .arg = peer};
    peer->read = 0;
    peer->ended = false;
    err_t *e = smtp_hop_deliver(hop, &mail, statuses, &begun);
    for (int i = 0; i < 2; i++) {
        if (smtp_is_done(&statuses[i]) && !peer->ended) abort();
        if (!e && statuses[i].code == 0) abort();
    }
    if (!e && !smtp_hop_usable(hop)) abort();
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    peer_t peer = {.in = bytes_make(data + 2, size - 2), .piece = (size_t)data[0] + 1};
    const smtp_link_t link = {&peer, peer_send, peer_recv, peer_secure};
    const smtp_hop_config_t config = {
        .hostname = "gate.example.org", .lmtp = (data[1] & 1) != 0, .starttls = (data[1] & 2) != 0};
    CLEANUP(smtp_hop_free) smtp_hop_t *hop = NULL;
    err_t *e = smtp_hop_open(&link, &config, &hop);
    err_free(e);
    for (int i = 0; !e && i < 3 && smtp_hop_usable(hop); i++) deliver(hop, &peer);
    if (peer.sent > 10000 + size * 16) abort();
    return 0;
}
