/*
 * What the commands about a region's files share: opening it, and saying what there is. Main
 * thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_SAY_H
#define COFFER_PROGRAM_COFFER_SYNC_SAY_H

#include "program/coffer/sync_bar.h"
#include "program/coffer/sync_home.h"

/* By the command's options, without a folder. The bar (or NULL) shows what the engine does. */
err_t *sync_open_fetched(cli_t *cli, sync_bar_t *bar, sync_open_t *open) WARN_UNUSED;
/* What to do about an alarm, in words; the engine says what happened. Takes the error. */
err_t *sync_advise(err_t *e, const sync_report_t *report) WARN_UNUSED;
/* That the organisation's rules keep something in the folder from being synced; on stderr. */
void sync_say_outside(cli_t *cli, const sync_report_t *report);
const char *sync_kind_name(sync_entry_kind_t kind);
/* A name that is no UTF-8 is "?", and its bytes are in hex under MEMBER_hex. */
err_t *sync_set_path(json_t *json, const char *member, const char *path) WARN_UNUSED;
/* "a/b" of "/a//b/"; a new string. */
err_t *sync_plain_path(const char *path, char **ret_path) WARN_UNUSED;

#endif
