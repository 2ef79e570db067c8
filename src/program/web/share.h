/*
 * The page that opens links in a browser: static files, embedded at build time.
 */
#ifndef COFFER_PROGRAM_WEB_SHARE_H
#define COFFER_PROGRAM_WEB_SHARE_H

#include "program/web/web.h"

/* NUL-ended texts of src/program/web/share/. */
extern const char SHARE_HTML[], SHARE_JS[], SHARE_CSS[];

/* The same page for every link, whether it exists or not. */
err_t *route_share_page(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_share_script(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_share_style(void *ctx, http_request_t *request, http_reply_t *reply);

/* For outsiders, api_sync_links.c. */
err_t *api_sync_link_open(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sync_link_data(void *ctx, http_request_t *request, http_reply_t *reply);
/* For devices. */
err_t *api_sync_link_put(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sync_link_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sync_link_remove(void *ctx, http_request_t *request, http_reply_t *reply);

/* Shares with people, api_sync_members.c. */
err_t *api_sync_members_add(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sync_members_list(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sync_homes(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sync_group(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *api_sync_home_chain(void *ctx, http_request_t *request, http_reply_t *reply);

/* The part of WEB_ROUTES that is about links; they authenticate by themselves. */
#define WEB_LINK_ROUTE(method, path, body, handler)                                                \
    { method, "/api/v1/sync" path, body, WEB_ON_HTTPS, HTTP_AUTH_OWN, handler, 0, true }
#define WEB_SHARE_ROUTES                                                                           \
    {"GET", "/share/share.js", 0, WEB_ON_HTTPS, HTTP_AUTH_NONE, route_share_script, 0, false},     \
        {"GET", "/share/share.css", 0, WEB_ON_HTTPS, HTTP_AUTH_NONE, route_share_style, 0, false}, \
        {"GET", "/share/:id", 0, WEB_ON_HTTPS, HTTP_AUTH_NONE, route_share_page, 0, false},        \
        WEB_LINK_ROUTE("POST", "/links/:id/open", LIMIT_HTTP_BODY_FORM, api_sync_link_open),       \
        WEB_LINK_ROUTE("GET", "/links/:id/data/:root", 0, api_sync_link_data),                     \
        WEB_LINK_ROUTE("PUT", "/r/:region/links/:id", LIMIT_SYNC_LINK_TERMS, api_sync_link_put),   \
        WEB_LINK_ROUTE("DELETE", "/r/:region/links/:id", 0, api_sync_link_remove),                 \
        WEB_LINK_ROUTE("GET", "/r/:region/links", 0, api_sync_link_list),                          \
        WEB_LINK_ROUTE("POST", "/r/:region/members", LIMIT_SYNC_MEMBERS_RECORD,                    \
                       api_sync_members_add),                                                      \
        WEB_LINK_ROUTE("GET", "/r/:region/members", 0, api_sync_members_list),                     \
        WEB_LINK_ROUTE("GET", "/r/:region/people/:email", 0, api_sync_homes),                      \
        WEB_LINK_ROUTE("GET", "/r/:region/groups/:group", 0, api_sync_group),                      \
        WEB_LINK_ROUTE("GET", "/r/:region/homes/:home/chain", 0, api_sync_home_chain)

#endif
