/*
 * Route matching: see router.h. Pure.
 */
#include "http/router.h"

static bool segment_next(bytes_t *rest, bytes_t *ret_segment) {
    if (rest->n == 0 || rest->p[0] != '/') return false;
    bytes_t behind = bytes_make(rest->p + 1, rest->n - 1);
    size_t end = bytes_find(behind, '/');
    *ret_segment = bytes_make(behind.p, end);
    *rest = bytes_make(behind.p + end, behind.n - end);
    return true;
}

static bool param_add(http_match_t *match, bytes_t name, bytes_t value) {
    if (match->params_n == HTTP_PARAMS_MAX) return false;
    match->params[match->params_n++] = (http_param_t){name, value};
    return true;
}

/* Matches one pattern; match's parameters are only good when it says true. */
static bool pattern_fits(const char *pattern, bytes_t path, http_match_t *match) {
    bytes_t wanted = bytes_str(pattern);
    bytes_t given = path;
    bytes_t want;
    bytes_t have;
    match->params_n = 0;
    while (segment_next(&wanted, &want)) {
        if (want.n > 0 && want.p[0] == '*') {
            if (given.n == 0 || given.p[0] != '/') return false;
            return param_add(match, bytes_from(want, 1), bytes_make(given.p + 1, given.n - 1));
        }
        if (!segment_next(&given, &have)) return false;
        if (want.n > 0 && want.p[0] == ':') {
            if (have.n == 0 || !param_add(match, bytes_from(want, 1), have)) return false;
        } else if (!bytes_eq(want, have)) {
            return false;
        }
    }
    return given.n == 0;
}

static bool listens(const http_route_t *route, unsigned tag) {
    return route->listeners == 0 || (tag < 32 && (route->listeners & (1U << tag)) != 0);
}

static bool method_fits(const http_route_t *route, bytes_t method) {
    if (bytes_eq_str(method, route->method)) return true;
    return bytes_eq(method, BYTES_LIT("HEAD")) && bytes_eq_str(BYTES_LIT("GET"), route->method);
}

http_match_t http_router_match(const http_route_t *routes, size_t routes_n, bytes_t method,
                               bytes_t path, unsigned tag) {
    http_match_t match = {.kind = HTTP_MATCH_NONE};
    for (size_t i = 0; i < routes_n; i++) {
        if (!listens(&routes[i], tag)) continue;
        if (!pattern_fits(routes[i].pattern, path, &match)) continue;
        if (method_fits(&routes[i], method)) {
            match.kind = HTTP_MATCH_FOUND;
            match.route = &routes[i];
            return match;
        }
        match.kind = HTTP_MATCH_METHOD;
    }
    match.params_n = 0;
    return match;
}

/* Whether an earlier route of the same method fits as well. */
static bool listed_before(const http_route_t *routes, size_t i, bytes_t path, unsigned tag) {
    http_match_t match;
    for (size_t k = 0; k < i; k++) {
        if (listens(&routes[k], tag) &&
            bytes_eq_str(bytes_str(routes[k].method), routes[i].method) &&
            pattern_fits(routes[k].pattern, path, &match))
            return true;
    }
    return false;
}

err_t *http_router_allow(const http_route_t *routes, size_t routes_n, bytes_t path, unsigned tag,
                         buf_t *out) {
    http_match_t match;
    size_t before = out->n;
    for (size_t i = 0; i < routes_n; i++) {
        if (!listens(&routes[i], tag) || !pattern_fits(routes[i].pattern, path, &match)) continue;
        if (listed_before(routes, i, path, tag)) continue;
        if (out->n != before) TRY(buf_add_str(out, ", "));
        TRY(buf_add_str(out, routes[i].method));
        if (bytes_eq_str(BYTES_LIT("GET"), routes[i].method)) TRY(buf_add_str(out, ", HEAD"));
    }
    return NULL;
}

static err_t *pattern_check(const char *pattern) {
    bytes_t rest = bytes_str(pattern);
    bytes_t segment;
    size_t params = 0;
    if (rest.n == 0 || rest.p[0] != '/')
        return err_new(ERR_USAGE, "route \"%s\" does not begin with a slash", pattern);
    while (segment_next(&rest, &segment)) {
        if (segment.n == 0 || (segment.p[0] != ':' && segment.p[0] != '*')) continue;
        if (segment.n == 1)
            return err_new(ERR_USAGE, "route \"%s\" has a nameless parameter", pattern);
        if (segment.p[0] == '*' && rest.n != 0)
            return err_new(ERR_USAGE, "route \"%s\" goes on behind '*'", pattern);
        if (++params > HTTP_PARAMS_MAX)
            return err_new(ERR_USAGE, "route \"%s\" has too many parameters", pattern);
    }
    return NULL;
}

err_t *http_router_check(const http_route_t *routes, size_t routes_n) {
    for (size_t i = 0; i < routes_n; i++) {
        if (!routes[i].method || !routes[i].pattern || !routes[i].handler)
            return err_new(ERR_USAGE, "route %zu lacks method, pattern or handler", i);
        TRY(pattern_check(routes[i].pattern));
    }
    return NULL;
}
