/*
 * What the blocking client and the multi client share: settings copied from the configuration,
 * and one transfer on one easy handle.
 */
#ifndef COFFER_HTTP_CLIENT_INTERNAL_H
#define COFFER_HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "http/client.h"

typedef struct {
    buf_t ca_pem;
    buf_t cert_pem;
    buf_t key_pem;
    char *ca_file;
    char *unix_socket;
    char *proxy;
    struct curl_slist *resolve;
    http_version_t version;
    int64_t connect_ms;
    int64_t total_ms;
    size_t response_max;
    int64_t send_max, receive_max; /* bytes a second, or 0 */
    const atomic_bool *stop;       /* borrowed; or NULL */
    bool (*go_on)(void *arg);
    void *go_on_arg;
    bool wait_for_stream; /* rather than opening a second connection */
} client_settings_t;

err_t *client_settings_init(client_settings_t *settings,
                            const http_client_config_t *config) WARN_UNUSED;
void client_settings_done(client_settings_t *settings);

typedef struct {
    CURL *easy; /* borrowed by transfer_begin's caller */
    struct curl_slist *headers;
    bool over; /* the response exceeded its limit */
    bool no_memory;
    char message[CURL_ERROR_SIZE];
    http_response_t *response;
} transfer_t;

/* Prepares `easy` (reset first) for a request; body must live until the transfer's end. */
err_t *transfer_begin(transfer_t *transfer, CURL *easy, const client_settings_t *settings,
                      const char *method, const char *url, const char *const *headers, bytes_t body,
                      http_response_t *response) WARN_UNUSED;
/* Fills in the response's end from curl's result. */
void transfer_end(transfer_t *transfer, CURLcode code);
void transfer_done(transfer_t *transfer);

#endif
