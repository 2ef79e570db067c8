/*
 * What the files of remote_*.c share.
 */
#ifndef COFFER_SYNC_CLIENT_REMOTE_INTERNAL_H
#define COFFER_SYNC_CLIENT_REMOTE_INTERNAL_H

#include <pthread.h>

#include "sync/client/rate.h"
#include "sync/client/remote.h"

enum { SENDERS = 4, URL_MAX = 512, TOKEN_MAX = 512 };

typedef enum { SENDER_IDLE, SENDER_BUSY, SENDER_DONE } sender_state_t;

/* A thread that has one request on its way. The lock is the http's. */
typedef struct {
    sync_http_t *http;
    pthread_t thread;
    bool started;
    sender_state_t state;
    http_client_t *client;
    char method[8];
    char url[URL_MAX];
    char authorization[TOKEN_MAX + 32];
    char range[64];        /* header, or "" */
    uint64_t expects;      /* bytes, of a range */
    buf_t body;            /* what goes out */
    http_response_t reply; /* what came */
    err_t *error;
} sender_t;

struct sync_http {
    sync_remote_t remote;
    const sync_device_key_t *device;
    db_local_t *state;
    const clk_t *clk;
    uint8_t region[SYNC_HASH];
    char *base;      /* "https://host:port/api/v1/sync" */
    char *at_region; /* base and "/r/REGION" */
    char *host;      /* "host:port", always with the port */
    char *ca_file, *resolve;
    http_client_t *client;
    char authorization[TOKEN_MAX + 32];
    int64_t expires; /* of the token */
    sync_refusal_t refusal;
    char **allowed; /* NULL-ended; or NULL */
    bool wipe_told; /* by the newest answer that was a refusal */
    uint8_t wipe[SYNC_HTTP_WIPE];
    uint64_t requests, sent; /* bytes of bodies */

    atomic_bool stop; /* requests on their way end */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closing;
    sync_rate_t up, down;
    size_t ahead; /* bytes in senders */
    sender_t senders[SENDERS];
    sender_t *fetching; /* the part after the last one that was asked for */
    uint8_t fetch_root[SYNC_HASH];
    uint32_t fetch_part;
};

/* ---- remote_call.c ---- */
err_t *call_new_client(const sync_http_t *http, http_client_t **ret_client) WARN_UNUSED;
err_t *call_login(sync_http_t *http, bool anew) WARN_UNUSED;
/* POST without a token, tried again; `path` is below /api/v1/sync. Judged already. */
err_t *call_bare(sync_http_t *http, const char *path, const json_t *body,
                 http_response_t *reply) WARN_UNUSED;
/* One request with its tries; url whole. `reply` is reset. 409 is success. */
err_t *call_do(sync_http_t *http, const char *method, const char *url, const char *type,
               const char *range, bytes_t body, http_response_t *reply) WARN_UNUSED;
/* The error that an answer stands for, or NULL; notes a refusal. */
err_t *call_judge(sync_http_t *http, const http_response_t *reply) WARN_UNUSED;

/* Waits until so many bytes may go out and come in, and what went before is paid for. */
void call_pace(sync_http_t *http, uint64_t up, uint64_t down);
/* Of an answer whose length was not known before: who comes next waits for it. */
void call_owe(sync_http_t *http, uint64_t down);

/* ---- remote_send.c ---- */
err_t *send_start(sync_http_t *http) WARN_UNUSED;
void send_stop(sync_http_t *http);
/* Begins, with what is in `body`, where another buffer, empty, is then; waits until there is room.
 * Failures of others that ended come out here. */
err_t *send_put(sync_http_t *http, const char *url, buf_t *body) WARN_UNUSED;
/* Waits until bytes more than those on their way are few enough, or nothing is on its way. */
err_t *send_room(sync_http_t *http, size_t bytes) WARN_UNUSED;
/* Waits for all; large buffers are given back. */
err_t *send_drain(sync_http_t *http) WARN_UNUSED;
/* Begins to fetch; the answer is taken by send_fetched. */
err_t *send_fetch(sync_http_t *http, const char *url, const char *range, uint64_t size,
                  sender_t **ret_sender) WARN_UNUSED;
err_t *send_fetched(sync_http_t *http, sender_t *sender, buf_t *ret_data) WARN_UNUSED;

#endif
