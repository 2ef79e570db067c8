/*
 * The keys of [sync] and [sync_policy NAME]: apart from sync_conf.c, so that a program which only
 * checks coffer.conf links no service.
 */
#include "program/common/sync_conf.h"

const char *const SYNC_CONF_KEYS[] = {
    "enabled",           "keep_versions", "upload_grace", "may_sync", "may_share",
    "may_share_outside", "quota",         "folders",      "recovery", NULL};
const char *const SYNC_CONF_POLICY_KEYS[] = {"may_sync", "may_share", "may_share_outside",
                                             "quota",    "folders",   NULL};
