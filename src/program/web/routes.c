/*
 * Every route of coffer-web in one table: the order is the order of matching.
 */
#include "base/limits.h"
#include "program/web/api.h"
#include "program/web/api_app_push.h"
#include "program/web/api_arrival.h"
#include "program/web/api_escrow.h"
#include "program/web/api_graph.h"
#include "program/web/api_leases.h"
#include "program/web/api_mail_app.h"
#include "program/web/api_mail_policy.h"
#include "program/web/api_recoverable.h"
#include "program/web/api_sync.h"
#include "program/web/share.h"
#include "program/web/web.h"

#define HTTPS_AND_MTLS (WEB_ON_HTTPS | WEB_ON_MTLS)
#define HTTPS_OR_PLAIN (WEB_ON_HTTPS | WEB_ON_PLAIN)

/* method, path, body limit, listeners, authentication, handler, need, JSON errors */
const http_route_t WEB_ROUTES[] = {
    /* health and certificates */
    {"GET", "/healthz", 0, 0, HTTP_AUTH_NONE, route_healthz, 0, false},
    {"GET", "/metrics", 0, WEB_ON_HTTPS, HTTP_AUTH_TOKEN, route_metrics, WEB_NEED_READ, false},
    {"GET", "/ca/root.der", 0, HTTPS_OR_PLAIN, HTTP_AUTH_NONE, route_ca_root, 0, false},
    {"GET", "/ca/mail-ca.der", 0, HTTPS_OR_PLAIN, HTTP_AUTH_NONE, route_ca_mail, 0, false},
    {"GET", "/ca/:file", 0, HTTPS_OR_PLAIN, HTTP_AUTH_NONE, route_ca_device, 0, false},

    /* revocation */
    {"GET", "/ca/crl/:list", 0, HTTPS_OR_PLAIN, HTTP_AUTH_NONE, route_crl, 0, false},
    {"GET", "/ca/crl/:issuer/:list", 0, HTTPS_OR_PLAIN, HTTP_AUTH_NONE, route_crl_profile, 0,
     false},
    {"POST", "/ocsp", LIMIT_OCSP_BODY, HTTPS_OR_PLAIN, HTTP_AUTH_NONE, route_ocsp_post, 0, false},
    {"GET", "/ocsp/*request", 0, HTTPS_OR_PLAIN, HTTP_AUTH_NONE, route_ocsp_get, 0, false},

    /* SCEP */
    {"GET", "/scep", 0, HTTPS_OR_PLAIN, HTTP_AUTH_OWN, route_scep_get, 0, false},
    {"POST", "/scep", LIMIT_HTTP_BODY_SCEP, HTTPS_OR_PLAIN, HTTP_AUTH_OWN, route_scep_post, 0,
     false},
    {"GET", "/scep/*rest", 0, HTTPS_OR_PLAIN, HTTP_AUTH_OWN, route_scep_get, 0, false},
    {"POST", "/scep/*rest", LIMIT_HTTP_BODY_SCEP, HTTPS_OR_PLAIN, HTTP_AUTH_OWN, route_scep_post, 0,
     false},

    /* devices */
    {"PUT", "/mdm/checkin", LIMIT_HTTP_BODY_MDM, HTTPS_AND_MTLS, HTTP_AUTH_DEVICE, route_mdm, 0,
     false},
    {"PUT", "/mdm/command", LIMIT_HTTP_BODY_MDM, HTTPS_AND_MTLS, HTTP_AUTH_DEVICE, route_mdm, 0,
     false},
    {"POST", "/enrol/ota", LIMIT_HTTP_BODY_OTA, WEB_ON_HTTPS, HTTP_AUTH_DEVICE, route_ota, 0,
     false},

    /* the portal */
    {"GET", "/", 0, WEB_ON_HTTPS, HTTP_AUTH_NONE, route_home, 0, false},
    {"GET", "/enrol", 0, WEB_ON_HTTPS, HTTP_AUTH_NONE, route_portal, 0, false},
    {"POST", "/enrol", LIMIT_HTTP_BODY_FORM, WEB_ON_HTTPS, HTTP_AUTH_OWN, route_portal_login, 0,
     false},
    {"POST", "/enrol/logout", LIMIT_HTTP_BODY_FORM, WEB_ON_HTTPS, HTTP_AUTH_NONE,
     route_portal_logout, 0, false},
    {"GET", "/enrol/style.css", 0, WEB_ON_HTTPS, HTTP_AUTH_NONE, route_portal_style, 0, false},
    {"GET", "/enrol/profile", 0, WEB_ON_HTTPS, HTTP_AUTH_OWN, route_portal_profile, 0, false},

    {"POST", "/api/v1/login", LIMIT_HTTP_BODY_FORM, WEB_ON_HTTPS, HTTP_AUTH_OWN, api_login, 0,
     true},
    WEB_API_ROUTES,
    WEB_ESCROW_ROUTES,
    WEB_RECOVERABLE_ROUTES,
    WEB_MAIL_POLICY_ROUTES,
    WEB_LEASE_ROUTES,
    WEB_MAIL_APP_ROUTES,
    WEB_ARRIVAL_ROUTES,
    WEB_GRAPH_ROUTES,
    WEB_APP_PUSH_ROUTES,
    WEB_SYNC_ROUTES,
    WEB_SHARE_ROUTES,
};

const size_t WEB_ROUTES_N = sizeof WEB_ROUTES / sizeof WEB_ROUTES[0];
