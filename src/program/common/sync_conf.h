/*
 * [sync] and [sync_policy NAME] of coffer.conf: whether files are synced here, and what people may
 * do. Read at start; for coffer-web.
 */
#ifndef COFFER_PROGRAM_SYNC_CONF_H
#define COFFER_PROGRAM_SYNC_CONF_H

#include "program/common/settings.h"
#include "sync/service/service.h"

extern const char *const SYNC_CONF_KEYS[], *const SYNC_CONF_POLICY_KEYS[];

enum { SYNC_CONF_NAME = 256 };

/* -1: not said. */
typedef struct {
    char name[SYNC_CONF_NAME]; /* "": everybody */
    int may_sync, may_share, may_share_outside;
    int64_t quota;
    char *folders; /* owned, one a line; NULL: not said, "": all */
} sync_rule_t;

typedef struct {
    bool enabled;
    int64_t keep_s;    /* dropped versions */
    int64_t grace_s;   /* uploads that nobody committed */
    bool has_recovery; /* regions may have the organisation's recovery key, this one */
    uint8_t recovery[SYNC_HASH];
    sync_rule_t *rules; /* owned; the first is everybody's */
    size_t rules_n;
} sync_conf_t;

err_t *sync_conf_load(const settings_t *settings, sync_conf_t *ret_conf) WARN_UNUSED;
void sync_conf_done(sync_conf_t *conf);
/*
 * What holds for a person on a device (NULL: any): everybody's rule, then his domain's, the mail
 * groups' that he is in, his address's, and his device's, each over those before.
 */
err_t *sync_conf_policy(void *ctx, db_conn_t *conn, arena_t *arena, const db_person_t *person,
                        const uint8_t *device, sync_policy_t *ret_policy) WARN_UNUSED;
/* "10G": bytes; K M G T are powers of 1024. 0: none. */
err_t *sync_conf_size(bytes_t text, int64_t *ret_bytes) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(sync_conf_t, sync_conf_done)

#endif
