/*
 * Changing a region without its folder: files are put, folders made, things removed and brought
 * back in one commit, by compare-and-swap and again where somebody was faster. Nothing on this
 * machine is touched; a folder that is synced here gets it like any other device's work.
 *
 * What was uploaded and not committed, since the connection broke, is remembered in the local state
 * and not sent again.
 */
#ifndef COFFER_SYNC_ENGINE_EDIT_H
#define COFFER_SYNC_ENGINE_EDIT_H

#include "sync/engine/engine.h"

typedef enum {
    SYNC_EDIT_PUT,    /* a file: new, or a new version of the one that is there */
    SYNC_EDIT_LINK,   /* a symbolic link: new, or to another target */
    SYNC_EDIT_FOLDER, /* ERR_EXISTS, unless with `parents` a folder is there */
    SYNC_EDIT_REMOVE, /* with `deep` a folder with all that is in it */
} sync_edit_kind_t;

typedef struct {
    sync_edit_kind_t kind;
    const char *path; /* in the region */
    bool parents;     /* folders that are missing above it are made */
    bool inside;      /* of a folder with `parents`: what is above it is there */
    bool deep;
    sync_stat_t stat;   /* of what is put, as the source has it; of a folder the mode, or 0 */
    const char *target; /* of a link */
} sync_edit_t;

/*
 * All of them, or none. `source` opens what is put by its path in the region: of a sync_disk_t it
 * needs settle, open, file_stat, read, close; NULL if nothing is put. ERR_DENIED: this device only
 * reads. ERR_BUSY: a file changed while it was read, or others were faster each time.
 */
err_t *sync_engine_edit(sync_engine_t *engine, const sync_disk_t *source, const sync_edit_t *edits,
                        size_t n, sync_report_t *ret_report) WARN_UNUSED;

typedef struct {
    uint64_t files;    /* and links that were brought back */
    uint64_t folders;  /* the same */
    uint64_t replaced; /* files that have their place now; versions of the past too */
} sync_restored_t;

/*
 * Makes what is at `path` (or was) what it was in `version`, as a new version: nothing is sent but
 * lists, and no version is lost. Of a folder all that lay in it then comes back, and what came
 * later stays. What lies outside of that folder now is left there: report.left. ERR_NOT_FOUND: that
 * version had no such path, or is not kept.
 */
err_t *sync_engine_restore(sync_engine_t *engine, const char *path, uint64_t version,
                           sync_report_t *ret_report, sync_restored_t *ret_restored) WARN_UNUSED;

#endif
