/*
 * The stream of a device: see lease.h and docs/formats/stream.md. In coffer-mailbox.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "box/lease.h"

enum { HOST_MAX = 256, REQUEST_MAX = 8 * 1024, STEP = 16 * 1024, TIMEOUT_MS = 20 * 1000 };

/* "https://host[:port][/]" in parts. */
static err_t *split_url(const char *url, char host[HOST_MAX], char port[8]) {
    bytes_t rest = bytes_str(url);
    if (!bytes_starts(rest, BYTES_LIT("https://")))
        return err_new(ERR_USAGE, "the server's URL begins with https://");
    rest = bytes_from(rest, 8);
    rest.n = bytes_find(rest, '/');
    size_t colon = bytes_find(rest, ':');
    bytes_t number = bytes_from(rest, colon + 1);
    if (!colon || colon >= HOST_MAX || number.n > 5)
        return err_new(ERR_USAGE, "not a server's URL: %s", url);
    (void)snprintf(host, HOST_MAX, "%.*s", (int)colon, (const char *)rest.p);
    (void)snprintf(port, 8, "%.*s", number.n ? (int)number.n : 3,
                   number.n ? (const char *)number.p : "443");
    return NULL;
}

static err_t *send_request(const box_server_t *server, const char *host, const char *last,
                           box_wire_t *wire) {
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, REQUEST_MAX);
    TRY(buf_printf(&out,
                   "GET /push/v1/stream?release=1 HTTP/1.1\r\nHost: %s\r\n"
                   "Accept: text/event-stream\r\n",
                   host));
    if (last[0]) TRY(buf_printf(&out, "Last-Event-ID: %s\r\n", last));
    TRY(buf_add_str(&out, "Authorization: Bearer "));
    TRY(buf_add(&out, server->token));
    TRY(buf_add_str(&out, "\r\n\r\n"));
    return box_wire_write(wire, buf_bytes(&out));
}

err_t *box_stream_open(const box_server_t *server, tls_context_t *tls, const clk_t *clk,
                       const char *last, box_stream_t **ret_stream) {
    char host[HOST_MAX], port[8];
    box_stream_t *made = mem_zalloc(sizeof *made);
    if (!made) return err_nomem();
    CLEANUP(box_stream_free) box_stream_t *stream = made;
    box_events_init(&stream->events);
    TRY(split_url(server->url, host, port));
    const box_wait_t wait = {clk, TIMEOUT_MS, server->go_on, server->arg};
    TRY(box_wire_connect(host, port, BOX_TLS, tls, &wait, &stream->wire));
    TRY(send_request(server, host, last, stream->wire));
    *ret_stream = STEAL(stream);
    return NULL;
}

void box_stream_free(box_stream_t *stream) {
    if (!stream) return;
    box_wire_free(stream->wire);
    box_events_done(&stream->events);
    mem_free(stream);
}

int box_stream_fd(const box_stream_t *stream) { return box_wire_fd(stream->wire); }

err_t *box_stream_take(box_stream_t *stream, box_on_event_t on, void *arg) {
    uint8_t step[STEP];
    for (size_t n = 1; n;) {
        bool end = false;
        box_wire_budget(stream->wire, STEP);
        TRY(box_wire_read_now(stream->wire, step, sizeof step, &n, &end));
        TRY(box_events_feed(&stream->events, bytes_make(step, n), on, arg));
        if (end || stream->events.ended)
            return err_new(ERR_UNAVAILABLE, "the stream is at its end");
    }
    return NULL;
}
