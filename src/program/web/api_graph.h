/*
 * /push/v1/graph/NAME: change notifications of Microsoft Graph, and Graph's validation of that URL.
 * NAME is that of a hook (coffer mailbox hook add), whose secret is the clientState.
 */
#ifndef COFFER_PROGRAM_WEB_API_GRAPH_H
#define COFFER_PROGRAM_WEB_API_GRAPH_H

#include "program/web/web.h"

err_t *push_graph(void *ctx, http_request_t *request, http_reply_t *reply);

/* The part of WEB_ROUTES. */
#define WEB_GRAPH_ROUTES                                                                           \
    {                                                                                              \
        "POST", "/push/v1/graph/:name", LIMIT_ARRIVAL_HOOK, WEB_ON_HTTPS, HTTP_AUTH_OWN,           \
            push_graph, 0, true                                                                    \
    }

#endif
