/*
 * coffer-web's context: what its routes share. Filled in by main.c before the first request,
 * immutable afterwards but for what says otherwise.
 */
#ifndef COFFER_PROGRAM_WEB_H
#define COFFER_PROGRAM_WEB_H

#include <stdatomic.h>

#include "audit/audit.h"
#include "base/log.h"
#include "device/device.h"
#include "directory/directory.h"
#include "directory/remote.h"
#include "escrow/escrow.h"
#include "http/rate.h"
#include "http/server.h"
#include "http/session.h"
#include "ipc/client.h"
#include "keeper/client.h"
#include "pki/pki.h"
#include "pki/revoke.h"
#include "program/common/expiry_conf.h"
#include "program/common/mail_policy.h"
#include "program/common/mailbook.h"
#include "program/common/settings.h"
#include "program/web/background.h"
#include "program/web/streams.h"

/* Listener tags: which routes are served where. */
enum { WEB_TAG_HTTPS = 0, WEB_TAG_PLAIN = 1, WEB_TAG_MTLS = 2 };
#define WEB_ON_HTTPS (1u << WEB_TAG_HTTPS)
#define WEB_ON_PLAIN (1u << WEB_TAG_PLAIN)
#define WEB_ON_MTLS  (1u << WEB_TAG_MTLS)

/* http_route_t.need */
enum {
    WEB_NEED_NOTHING = 0,
    WEB_NEED_READ = 1,     /* admin or auditor */
    WEB_NEED_ADMIN = 2,    /* admin */
    WEB_NEED_OFFICER = 3,  /* officer or admin; the handler looks at whose key it is */
    WEB_NEED_RECOVERY = 4, /* officer, admin or auditor: what is asked to be recovered */
};

/* Synced files: web_sync.h. */
typedef struct web_sync web_sync_t;

struct web {
    settings_t settings;
    expiry_conf_t expiry;
    mail_policy_conf_t mail_policy;
    log_t log;
    char node[96]; /* audit chain: "host/web" */
    audit_t audit;
    db_t *db;
    rpc_client_t *keeper_rpc;
    rpc_client_t *courier_rpc;
    rpc_client_t *mailgate_rpc; /* NULL: the gateway is off */
    keeper_t *keeper;
    directory_remote_t *remote; /* the organisation's directory, or NULL */
    directory_t *directory;
    mailbook_t *mailbook;
    pki_t *pki;
    revoker_t *revoker;
    escrow_t *escrow;
    devices_t *devices;
    web_sync_t *sync; /* NULL: off */
    cert_list_t factory_cas;
    streams_t *streams;             /* of devices that listen */
    struct app_push_work *app_push; /* NULL: mail programs get no pushes */
    sessions_t *sessions;
    http_rate_t *lease_rate; /* of what a device asks about leases, by its id */
    http_rate_t *rate;       /* of what costs a private key or a password's hash, by address */
    http_server_t *server;
    _Atomic uint64_t replies[6]; /* by status class, for the metrics */
    _Atomic uint64_t scep_issued;
    _Atomic bool syncing;  /* with the directory */
    _Atomic bool draining; /* a signal came: health says so */
};

/* Who is asking, found by the `before` hook; request->user points to one in the arena. */
typedef struct {
    const char *actor;     /* "person:EMAIL" or "token:NAME", for the audit */
    const char *role;      /* admin, auditor, officer, member */
    const char *email;     /* of a person, also of a person's token, or "" */
    const char *person_id; /* the same */
    const char *csrf;      /* of a session, or "" */
    const char *hand; /* id of the person behind it: also of who made a nameless token; or "" */
    bool not_hers;    /* a token made without its person's password (store/tokens.h) */
} web_caller_t;

/* Never NULL behind a route that demands authentication. */
static inline const web_caller_t *web_caller(const http_request_t *request) {
    return request->user;
}

/* The prefix has browsers refuse it from anywhere but this host, over TLS (RFC 6265bis). */
#define WEB_COOKIE "__Host-coffer_session"

/* hooks.c */
err_t *web_before(void *ctx, http_request_t *request, http_reply_t *reply, bool *ret_answered);
void web_after(void *ctx, const http_request_t *request, const http_reply_t *reply, const err_t *e);

/*
 * Who asks, by token or session, for a handler that authenticates by itself (HTTP_AUTH_OWN); NULL:
 * nobody. A session's write needs its CSRF token.
 */
err_t *web_caller_find(web_t *web, http_request_t *request, web_caller_t **ret_caller) WARN_UNUSED;

/* routes.c */
extern const http_route_t WEB_ROUTES[];
extern const size_t WEB_ROUTES_N;

/* Each is one thread (background.h), stopped by background_stop.
 * housekeeping.c: signs audit heads, the last one when it is stopped; drops what expired. */
err_t *housekeeping_start(web_t *web, background_t **ret_work) WARN_UNUSED;
/* revocation_work.c: issues lists, signs OCSP statuses ahead. */
err_t *revocation_work_start(web_t *web, background_t **ret_work) WARN_UNUSED;
/* escrow_work.c: deals what officers have no shares of yet, drills every month. */
err_t *escrow_work_start(web_t *web, background_t **ret_work) WARN_UNUSED;

/* Handlers, one file a family: routes_*.c */
err_t *route_healthz(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_metrics(void *ctx, http_request_t *request, http_reply_t *reply);
/* Appends the gateway's counters, if it is on. */
err_t *mailgate_metrics(web_t *web, buf_t *out) WARN_UNUSED;
err_t *mailgate_metrics_init(web_t *web) WARN_UNUSED;
err_t *route_ca_root(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_ca_mail(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_ca_device(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *route_ocsp_get(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_ocsp_post(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_crl(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_crl_profile(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *route_scep_get(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_scep_post(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *route_home(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_portal(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_portal_login(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_portal_logout(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_portal_style(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_portal_profile(void *ctx, http_request_t *request, http_reply_t *reply);
err_t *route_ota(void *ctx, http_request_t *request, http_reply_t *reply);

err_t *route_mdm(void *ctx, http_request_t *request, http_reply_t *reply);
/* Of http_server_config_t: command sessions hold no worker while they wait for the disk. */
err_t *route_mdm_step(void *ctx, http_request_t *request, http_reply_t *reply,
                      http_next_t *ret_next);

#endif
