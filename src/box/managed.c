/*
 * Managed app configuration: see managed.h. In coffer-mailbox, its one thread.
 */
#include "box/managed.h"

#include <string.h>

#include "base/text.h"
#include "format/plist.h"

#define HTTPS "https://"

enum { HOURS = 48, HOURS_MAX = 168 };

void box_managed_init(box_managed_t *managed) {
    *managed = (box_managed_t){.hours = HOURS};
    buf_init_secret(&managed->token, MANAGED_TOKEN_MAX);
}

void box_managed_done(box_managed_t *managed) { buf_done(&managed->token); }

/* By our name, else by the other. NULL: neither is there. */
static const plist_t *either(const plist_t *dict, const char *ours, const char *alias,
                             const char **ret_name) {
    const plist_t *node = plist_get(dict, ours);
    *ret_name = node ? ours : alias;
    return node ? node : plist_get(dict, alias);
}

/* A switch is a boolean, or 0 and 1. */
static err_t *read_lease(const plist_t *dict, bool *ret_lease) {
    const char *name = NULL;
    const plist_t *node = either(dict, "CofferLease", "ENSEnableKeyEscrow", &name);
    int64_t number = 0;
    if (!node) return NULL;
    if (plist_type(node) == PLIST_BOOLEAN) return plist_bool(node, ret_lease);
    TRY_WRAP(plist_int(node, 0, 1, &number), "%s", name);
    *ret_lease = number == 1;
    return NULL;
}

static err_t *read_hours(const plist_t *dict, int64_t *ret_hours) {
    const char *name = NULL;
    const plist_t *node = either(dict, "CofferLeaseHours", "ENSKeyEscrowExpiry", &name);
    if (!node) return NULL;
    TRY_WRAP(plist_int(node, 1, HOURS_MAX, ret_hours), "%s", name);
    return NULL;
}

static err_t *read_text(const plist_t *dict, const char *ours, const char *alias, size_t max,
                        bytes_t *ret_text) {
    const char *name = NULL;
    const plist_t *node = either(dict, ours, alias, &name);
    if (!node) return NULL;
    TRY_WRAP(plist_string(node, max, ret_text), "%s", name);
    if (!text_printable(*ret_text)) return err_new(ERR_INVALID, "%s is not text", name);
    return NULL;
}

/* What stands behind https:// of a URL (RFC 3986 section 2): a host first, and nothing that none
 * has. */
static bool is_url(bytes_t rest) {
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] <= ' ' || rest.p[i] > '~' || memchr("\"<>\\^`{|}", rest.p[i], 9))
            return false;
    return rest.n && !memchr("/?#:@", rest.p[0], 5);
}

err_t *box_managed_parse(bytes_t xml, box_managed_t *managed) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    bool lease = false;
    int64_t hours = HOURS;
    bytes_t server = BYTES_NONE, token = BYTES_NONE;
    TRY_WRAP(plist_parse_dict(xml, &doc, &dict), "managed configuration");
    TRY(read_lease(dict, &lease));
    TRY(read_hours(dict, &hours));
    TRY(read_text(dict, "CofferServer", "ENSLinkAddress", MANAGED_SERVER_MAX, &server));
    TRY(read_text(dict, "CofferToken", "ENSAPIToken", MANAGED_TOKEN_MAX, &token));
    if (server.n && !bytes_starts(server, BYTES_LIT(HTTPS)))
        return err_new(ERR_INVALID, "the managed server does not begin with https://");
    if (server.n && !is_url(bytes_from(server, sizeof HTTPS - 1)))
        return err_new(ERR_INVALID, "the managed server is no URL");
    if (lease && (!server.n || !token.n))
        return err_new(ERR_INVALID, "leases are on, but the managed configuration has no %s",
                       server.n ? "token" : "server");
    TRY(buf_add(&managed->token, token));
    managed->lease = lease;
    managed->hours = hours;
    bytes_put(managed->server, server);
    managed->server[server.n] = '\0';
    return NULL;
}
