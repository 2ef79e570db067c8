/*
 * Many requests over few connections: see multi.h. Runs on the thread that owns the object.
 */
#include "http/multi.h"

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/client_internal.h"

typedef struct call call_t;

struct call {
    call_t *before;
    call_t *after;
    transfer_t transfer;
    http_response_t response;
    buf_t body;
    http_multi_done_t done;
    void *ctx;
};

struct http_multi {
    client_settings_t settings;
    CURLM *handle;
    call_t *calls; /* in flight */
    unsigned active;
    unsigned streams;
    bool closing;
    CURL **spare; /* easy handles at rest; room for `streams` */
    unsigned spare_n;
};

static err_t *multi_setup(http_multi_t *m, unsigned connections, unsigned streams) {
    m->handle = fault_memory() ? NULL : curl_multi_init();
    m->spare = mem_array(streams, sizeof(CURL *));
    if (!m->handle || !m->spare) return err_nomem();
    m->streams = streams;
    bool ok =
        curl_multi_setopt(m->handle, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX) == CURLM_OK;
    ok = ok &&
         curl_multi_setopt(m->handle, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections) == CURLM_OK;
    ok = ok &&
         curl_multi_setopt(m->handle, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)streams) == CURLM_OK;
    return ok ? NULL : err_new(ERR_INTERNAL, "libcurl refuses the multi options");
}

err_t *http_multi_new(const http_client_config_t *config, unsigned connections, unsigned streams,
                      http_multi_t **ret_multi) {
    if (connections == 0 || streams == 0 || streams > LIMIT_HTTP_MULTI)
        return err_new(ERR_USAGE, "connections or streams out of range");
    TRY(http_client_init());
    CLEANUP(http_multi_free) http_multi_t *m = mem_zalloc(sizeof *m);
    if (!m) return err_nomem();
    TRY(client_settings_init(&m->settings, config));
    m->settings.wait_for_stream = true;
    TRY(multi_setup(m, connections, streams));
    *ret_multi = STEAL(m);
    return NULL;
}

static void call_free(call_t *call) {
    if (!call) return;
    transfer_done(&call->transfer);
    http_response_done(&call->response);
    buf_done(&call->body);
    mem_free(call);
}
DEFINE_CLEANUP(call_t, call_free)

static void unlink_call(http_multi_t *m, call_t *call) {
    if (call->before) call->before->after = call->after;
    else m->calls = call->after;
    if (call->after) call->after->before = call->before;
    m->active--;
}

/* Takes a call out of curl, tells its owner, and puts the handle to rest. */
static void finish(http_multi_t *m, call_t *call) {
    CURL *easy = call->transfer.easy;
    (void)curl_multi_remove_handle(m->handle, easy);
    unlink_call(m, call);
    curl_easy_reset(easy); /* it must not point into the call any more */
    if (m->spare_n < m->streams) m->spare[m->spare_n++] = easy;
    else curl_easy_cleanup(easy);
    call->done(call->ctx, &call->response);
    call_free(call);
}

void http_multi_free(http_multi_t *multi) {
    if (!multi) return;
    multi->closing = true;
    while (multi->calls) {
        multi->calls->response.end = HTTP_END_CANCELLED;
        finish(multi, multi->calls);
    }
    for (unsigned i = 0; i < multi->spare_n; i++) curl_easy_cleanup(multi->spare[i]);
    if (multi->handle) (void)curl_multi_cleanup(multi->handle);
    mem_free(multi->spare);
    client_settings_done(&multi->settings);
    mem_free(multi);
}

static CURL *easy_take(http_multi_t *m) {
    if (m->spare_n > 0) return m->spare[--m->spare_n];
    return fault_memory() ? NULL : curl_easy_init();
}

static err_t *call_start(http_multi_t *m, call_t *call, CURL *easy, const char *method,
                         const char *url, const char *const *headers) {
    TRY(transfer_begin(&call->transfer, easy, &m->settings, method, url, headers,
                       buf_bytes(&call->body), &call->response));
    if (curl_easy_setopt(easy, CURLOPT_PRIVATE, call) != CURLE_OK)
        return err_new(ERR_INTERNAL, "libcurl refuses a request");
    CURLMcode code = curl_multi_add_handle(m->handle, easy);
    if (code == CURLM_OUT_OF_MEMORY) return err_nomem();
    if (code != CURLM_OK) return err_new(ERR_INTERNAL, "%s", curl_multi_strerror(code));
    return NULL;
}

err_t *http_multi_add(http_multi_t *multi, const char *method, const char *url,
                      const char *const *headers, bytes_t body, http_multi_done_t done, void *ctx) {
    if (multi->closing || multi->active >= multi->streams)
        return err_new(ERR_BUSY, "%u requests are in flight", multi->active);
    CLEANUP(call_free) call_t *call = mem_zalloc(sizeof *call);
    if (!call) return err_nomem();
    http_response_init(&call->response);
    buf_init(&call->body, LIMIT_HTTP_RESPONSE);
    TRY(buf_add(&call->body, body));
    call->done = done;
    call->ctx = ctx;
    CURL *easy = easy_take(multi);
    if (!easy) return err_nomem();
    err_t *e = call_start(multi, call, easy, method, url, headers);
    if (e) {
        curl_easy_cleanup(easy);
        return e;
    }
    call->after = multi->calls;
    if (call->after) call->after->before = call;
    multi->calls = STEAL(call);
    multi->active++;
    return NULL;
}

/* Calls back what curl has ended; returns how many. */
static unsigned collect(http_multi_t *m) {
    unsigned ended = 0;
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(m->handle, &left))) {
        char *private = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        call_t *call = (call_t *)(void *)private;
        transfer_end(&call->transfer, code);
        finish(m, call);
        ended++;
    }
    return ended;
}

static err_t *perform(http_multi_t *m) {
    int running = 0;
    CURLMcode code = fault_io() ? CURLM_INTERNAL_ERROR : curl_multi_perform(m->handle, &running);
    if (code == CURLM_OUT_OF_MEMORY) return err_nomem();
    if (code != CURLM_OK) return err_new(ERR_INTERNAL, "%s", curl_multi_strerror(code));
    return NULL;
}

err_t *http_multi_step(http_multi_t *multi, int wait_ms) {
    TRY(perform(multi));
    if (collect(multi) > 0) return NULL;
    CURLMcode code = curl_multi_poll(multi->handle, NULL, 0, wait_ms, NULL);
    if (code != CURLM_OK) return err_new(ERR_IO, "%s", curl_multi_strerror(code));
    TRY(perform(multi));
    (void)collect(multi);
    return NULL;
}

void http_multi_wake(http_multi_t *multi) { (void)curl_multi_wakeup(multi->handle); }

unsigned http_multi_active(const http_multi_t *multi) { return multi->active; }

unsigned http_multi_room(const http_multi_t *multi) { return multi->streams - multi->active; }
