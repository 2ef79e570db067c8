/*
 * The keys of [sync_storage] and [sync_store NAME]: apart from blob_conf.c, so that a program which
 * only checks coffer.conf links no stores.
 */
#include "program/common/blob_conf.h"

const char *const BLOB_CONF_KEYS[] = {"quorum",         "grace",      "orphan_grace",
                                      "scrub_interval", "scrub_rate", NULL};
const char *const BLOB_CONF_STORE_KEYS[] = {"kind",   "path",   "endpoint", "bucket",
                                            "prefix", "region", "style",    "credentials_file",
                                            "ca",     "proxy",  "timeout",  NULL};
