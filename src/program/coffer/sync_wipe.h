/*
 * Remote wipe on this device: when the service says so, the region's keys go, then the files, a
 * receipt is signed and sent, then the device's own keys go. Each step is noted in the home
 * (SYNC_HOME_WIPE) before the next, so that what a crash interrupts goes on at the next start.
 * Main thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_WIPE_H
#define COFFER_PROGRAM_COFFER_SYNC_WIPE_H

#include "program/coffer/sync_home.h"

/* Goes on with a wipe that has begun; *ret_wiped: it did, and the home is no device's any more. */
err_t *sync_wipe_resume(cli_t *cli, bool *ret_wiped) WARN_UNUSED;
/*
 * Takes `e`, what a command ended with: NULL, or whatever stopped it. Then the service is asked
 * anew whether it wants this device wiped; if so it is done, NULL at the end, and what is open is
 * closed; else returns `e`.
 */
err_t *sync_wipe_if_told(cli_t *cli, sync_open_t *open, err_t *e) WARN_UNUSED;

/*
 * The same for commands that need no folder: `e` is what they ended with, `report` the engine's. A
 * device that another program of it syncs now is left to that one. An error also after a wipe:
 * nothing is open any more.
 */
err_t *sync_wipe_or(cli_t *cli, sync_open_t *open, const sync_report_t *report,
                    err_t *e) WARN_UNUSED;

/* ---- sync_wipe_files.c ---- */

/* Files and links in the folder that the rules do not keep out of it. */
err_t *sync_wipe_count(const sync_disk_t *disk, bytes_t rules, uint64_t *ret_files) WARN_UNUSED;
/* Removes them, and folders that are empty then; lasts when it returns. */
err_t *sync_wipe_files(const sync_disk_t *disk, bytes_t rules) WARN_UNUSED;
/* Of these paths, each with its end, those that rules keep out: counts the files there are. */
err_t *sync_wipe_named(const sync_disk_t *disk, bytes_t rules, bytes_t paths, bool remove,
                       uint64_t *ret_files) WARN_UNUSED;
/* Removes what Coffer has there for itself; then the folder is known no more. */
err_t *sync_wipe_own(const sync_disk_t *disk) WARN_UNUSED;

#endif
