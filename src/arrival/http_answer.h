/*
 * An answer of an HTTP/1.1 server (RFC 9112) read as it comes, for connections that are held for
 * hours: its status, and its body in pieces, freed of chunks. Bytes come in; no sockets. The server
 * is not trusted: lines and their number have limits. Pure; one thread at a time.
 */
#ifndef COFFER_ARRIVAL_HTTP_ANSWER_H
#define COFFER_ARRIVAL_HTTP_ANSWER_H

#include "base/buf.h"

typedef enum {
    HTTP_ANSWER_STATUS,
    HTTP_ANSWER_FIELDS,
    HTTP_ANSWER_LENGTH, /* a body of `left` bytes */
    HTTP_ANSWER_SIZE,   /* a chunk's size */
    HTTP_ANSWER_CHUNK,  /* `left` bytes of it */
    HTTP_ANSWER_BREAK,  /* the line end behind it */
    HTTP_ANSWER_TRAILER,
    HTTP_ANSWER_OPEN, /* a body that ends with the connection */
    HTTP_ANSWER_DONE,
} http_answer_state_t;

typedef struct {
    http_answer_state_t state;
    unsigned status;
    bool chunked, sized, closes;
    bool basic, bearer; /* how one may sign in, says a 401 */
    bool got_cookie;    /* `cookie` is new */
    uint64_t left;
    unsigned lines;
    int64_t retry_s; /* Retry-After in seconds; 0: it does not say */
    buf_t line;
    const char *cookie_name; /* of the one cookie that is kept; borrowed, or NULL: none */
    char *cookie;            /* its value, or NULL; mem_free */
} http_answer_t;

void http_answer_init(http_answer_t *a);
void http_answer_done(http_answer_t *a);
/* The next answer of the same connection; the cookie stays. */
void http_answer_again(http_answer_t *a);

/*
 * Takes from the beginning of `data`; *ret_body: some of the body, borrowed from there, or none.
 * Call it until data is empty or the state is HTTP_ANSWER_DONE. ERR_INVALID: that is no HTTP.
 * ERR_LIMIT.
 */
err_t *http_answer_input(http_answer_t *a, bytes_t *data, bytes_t *ret_body) WARN_UNUSED;
/* The head has been read. */
bool http_answer_has_status(const http_answer_t *a);

#endif
