/*
 * The expiry watch in the courier: looks at all sources, runs the rules (pki/expiry_run.h), and
 * runs the programs of [action]. Its rounds are jobs, so that one courier of several does each.
 */
#ifndef COFFER_PROGRAM_WATCHER_H
#define COFFER_PROGRAM_WATCHER_H

#include "audit/audit.h"
#include "directory/ldap_people.h"
#include "ipc/runner.h"
#include "ipc/sandbox.h"
#include "keeper/client.h"
#include "program/common/expiry_conf.h"
#include "program/common/notify_conf.h"
#include "program/common/worker.h"

typedef struct watcher watcher_t;

/* All borrowed until watcher_free. */
typedef struct {
    const settings_t *settings;
    const notify_conf_t *notify;
    bytes_t push_pem; /* the push certificate, or none */
} watcher_options_t;

/* First of all, before secrets are read: the helper that runs programs is forked here. */
err_t *watcher_new(const watcher_options_t *options, watcher_t **ret_watcher) WARN_UNUSED;
/* Directories that [watch] file: targets need read access to; borrowed. At most `max`. */
size_t watcher_paths(const watcher_t *watcher, sandbox_path_t *paths, size_t max);
err_t *watcher_start(watcher_t *watcher, db_t *db, keeper_t *keeper, const audit_t *audit,
                     const log_t *log, const clk_t *clk) WARN_UNUSED;
/* Before watcher_start: where ldap: targets are looked up, until watcher_free; NULL: nowhere. */
void watcher_use_directory(watcher_t *watcher, ldappeople_t *people);
/* Every few seconds, from the main thread: asks for a round when one is due. */
err_t *watcher_tick(watcher_t *watcher) WARN_UNUSED;
void watcher_wake(watcher_t *watcher); /* from any thread; takes NULL */
void watcher_free(watcher_t *watcher); /* takes NULL */

DEFINE_CLEANUP(watcher_t, watcher_free)

#endif
