/*
 * HTTP as a device speaks it: one server, TLS always checked against the roots the device trusts.
 */
#ifndef COFFER_SIM_NET_H
#define COFFER_SIM_NET_H

#include "http/client.h"

/*
 * Sends and expects a status of 200..399; others become errors: 401, 403 ERR_DENIED, 404
 * ERR_NOT_FOUND, 409, 429 ERR_BUSY, 503 ERR_UNAVAILABLE, the rest ERR_INVALID; the message quotes
 * the answer's first line. `what` says for people what was tried.
 */
err_t *net_do(http_client_t *client, const char *what, const char *method, const char *url,
              const char *const *headers, bytes_t body, http_response_t *response) WARN_UNUSED;
/* Whether the Content-Type is this one. */
bool net_has_type(const http_response_t *response, const char *type);
/* ERR_VERIFY unless the answer is of this media type (parameters don't matter). */
err_t *net_need_type(const http_response_t *response, const char *type) WARN_UNUSED;

#endif
