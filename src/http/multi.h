/*
 * http_multi_t: many requests at once over few kept connections, for APNs: with HTTP/2 they are
 * streams of one connection (RFC 9113 section 5). One thread owns it and calls http_multi_step;
 * completion callbacks run inside. Only http_multi_wake may be called from other threads.
 */
#ifndef COFFER_HTTP_MULTI_H
#define COFFER_HTTP_MULTI_H

#include "http/client.h"

typedef struct http_multi http_multi_t;

/*
 * The transfer ended: once per request, inside http_multi_step or http_multi_free. `response` is
 * lent for the call; its end says whether repeating is safe. New requests may be added in it.
 */
typedef void (*http_multi_done_t)(void *ctx, const http_response_t *response);

/* `connections`: kept to one host, 1 for APNs; `streams`: requests in flight, the rest is refused
 * with ERR_BUSY. The client configuration is copied. */
err_t *http_multi_new(const http_client_config_t *config, unsigned connections, unsigned streams,
                      http_multi_t **ret_multi) WARN_UNUSED;
/* Calls what is in flight back with HTTP_END_CANCELLED; takes NULL. */
void http_multi_free(http_multi_t *multi);

/* Begins a request; body and headers are copied. ERR_BUSY when `streams` are in flight. */
err_t *http_multi_add(http_multi_t *multi, const char *method, const char *url,
                      const char *const *headers, bytes_t body, http_multi_done_t done,
                      void *ctx) WARN_UNUSED;
/* Moves bytes, waits up to wait_ms for something to happen, calls back what ended. */
err_t *http_multi_step(http_multi_t *multi, int wait_ms) WARN_UNUSED;
/* Ends the wait of a step, from any thread; the next step does not wait. */
void http_multi_wake(http_multi_t *multi);
/* In flight; `room` is how many more may be added. */
unsigned http_multi_active(const http_multi_t *multi);
unsigned http_multi_room(const http_multi_t *multi);

DEFINE_CLEANUP(http_multi_t, http_multi_free)

#endif
