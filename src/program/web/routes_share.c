/*
 * /share/: the page that opens links in a browser. Static, and under a policy that lets nothing run
 * but its own script and nothing be asked but this server (W3C Content Security Policy level 3;
 * Trusted Types keep markup from being made of text). Worker threads.
 */
#include "program/web/share.h"

#define SHARE_CSP                                                                                  \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri "       \
    "'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "     \
    "trusted-types 'none'"

static err_t *send_file(const char *type, const char *text, http_reply_t *reply) {
    TRY(http_reply_bytes(reply, 200, type, bytes_str(text)));
    /* The secret stands in the page's address: it must not wander to anybody. */
    TRY(http_reply_set_header(reply, "Referrer-Policy", "no-referrer"));
    TRY(http_reply_set_header(reply, "Cross-Origin-Opener-Policy", "same-origin"));
    TRY(http_reply_set_header(reply, "Cross-Origin-Resource-Policy", "same-origin"));
    return http_reply_set_header(reply, "Content-Security-Policy", SHARE_CSP);
}

err_t *route_share_page(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    TRY(http_reply_set_header(reply, "X-Robots-Tag", "noindex, nofollow"));
    return send_file("text/html; charset=utf-8", SHARE_HTML, reply);
}

err_t *route_share_script(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    return send_file("text/javascript; charset=utf-8", SHARE_JS, reply);
}

err_t *route_share_style(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    return send_file("text/css; charset=utf-8", SHARE_CSS, reply);
}
