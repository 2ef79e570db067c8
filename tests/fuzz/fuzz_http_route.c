/*
 * Request targets and the route table on foreign bytes: a path that is let through has no NUL and
 * no dot segments, and its parameters lie inside it.
 */
#include <stdlib.h>

#include "http/request.h"
#include "http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static err_t *nothing(void *ctx, struct http_request *request, struct http_reply *reply) {
    (void)ctx;
    (void)request;
    (void)reply;
    return NULL;
}

static const http_route_t routes[] = {
    {.method = "GET", .pattern = "/", .handler = nothing},
    {.method = "GET", .pattern = "/a/:x", .handler = nothing},
    {.method = "POST", .pattern = "/a/:x/b/:y", .handler = nothing},
    {.method = "GET", .pattern = "/s/*rest", .handler = nothing, .listeners = 2},
};
enum { ROUTES = sizeof routes / sizeof routes[0] };

static void check(bytes_t path) {
    if (path.n == 0 || path.p[0] != '/' || bytes_has_nul(path)) abort();
    if (memmem(path.p, path.n, "/../", 4) || memmem(path.p, path.n, "/./", 3)) abort();
    static const char *const methods[] = {"GET", "HEAD", "POST"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        http_match_t m = http_router_match(routes, ROUTES, bytes_str(methods[i]), path, 1);
        for (size_t k = 0; k < m.params_n; k++) {
            bytes_t value = m.params[k].value;
            if (value.n && (value.p < path.p || value.p + value.n > path.p + path.n)) abort();
        }
        if (m.kind == HTTP_MATCH_FOUND && !m.route) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    buf_t path;
    buf_t allow;
    bytes_t query = BYTES_NONE;
    buf_init(&path, 1 << 16);
    buf_init(&allow, 100);
    err_t *e = http_target_parse(bytes_make(data, size), &path, &query);
    if (!e) {
        check(buf_bytes(&path));
        err_ignore(http_router_allow(routes, ROUTES, buf_bytes(&path), 1, &allow));
        if (query.n > size) abort();
    }
    err_free(e);
    buf_done(&path);
    buf_done(&allow);
    return 0;
}
