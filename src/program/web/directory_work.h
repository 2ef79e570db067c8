/*
 * Keeps people as the organisation's directory has them: every [ldap] sync_interval, and when an
 * admin asks. One thread of its own; a sync that an admin asks for runs on the asker's.
 */
#ifndef COFFER_PROGRAM_DIRECTORY_WORK_H
#define COFFER_PROGRAM_DIRECTORY_WORK_H

#include "directory/import.h"
#include "format/json.h"
#include "program/web/web.h"

/* Starts the thread if there is a directory. */
err_t *directory_work_start(web_t *web, background_t **ret_work) WARN_UNUSED;

/* A sync now; ERR_BUSY while another one runs. How it went is kept for directory_work_last. */
err_t *directory_work_sync(web_t *web, const char *actor, bool force,
                           directory_sync_report_t *ret_report) WARN_UNUSED;
/* How the last one went, or NULL: {"time", "good", "problem", counts}. The caller's. */
err_t *directory_work_last(web_t *web, arena_t *arena, json_t **ret_json) WARN_UNUSED;

/* The members of a report, set in `out`. */
err_t *directory_work_report(const directory_sync_report_t *report, json_t *out) WARN_UNUSED;

#endif
