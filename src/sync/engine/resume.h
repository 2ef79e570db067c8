/*
 * Uploads of large files that were broken off. Before a part leaves, the local state has what names
 * the upload and the tags of the part's chunks; the next try reads the file again under the same
 * key, sends what the service has not, and lets no chunk out that has another tag than before: then
 * the file has changed, and a new version begins. Inside of the engine. One thread.
 */
#ifndef COFFER_SYNC_ENGINE_RESUME_H
#define COFFER_SYNC_ENGINE_RESUME_H

#include "sync/engine/engine_internal.h"

typedef struct {
    uint64_t inode;            /* of the file: its rows' key */
    uint8_t upload[SYNC_NODE]; /* provisional number */
    uint8_t header[SYNC_HEADER];
    sync_data_id_t id;
    sync_stat_t stat; /* size, time and stamp when it began */
} resume_t;

/* An upload of this very file, in the present epoch. */
err_t *resume_find(sync_engine_t *engine, const sync_stat_t *stat, bool *ret_found,
                   resume_t *ret_resume) WARN_UNUSED;
err_t *resume_begin(sync_engine_t *engine, const resume_t *resume) WARN_UNUSED;
/* Before a part is sent: notes its tags; ERR_BUSY if it had others once. */
err_t *resume_part(sync_engine_t *engine, const resume_t *resume, uint32_t part,
                   bytes_t tags) WARN_UNUSED;
/* It is whole: adds to `changes` that nothing of it is remembered. */
err_t *resume_done(sync_engine_t *engine, uint64_t inode, uint64_t size,
                   buf_t *changes) WARN_UNUSED;
/* It won't be gone on with, and the service is told so. */
err_t *resume_forget(sync_engine_t *engine, uint64_t inode) WARN_UNUSED;
/* After a commit of the folder: nobody goes on with the others. Not after an edit. */
err_t *resume_forget_all(sync_engine_t *engine) WARN_UNUSED;

#endif
