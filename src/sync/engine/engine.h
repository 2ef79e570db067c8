/*
 * sync_engine_t: one device and one region. A step brings the folder and the service together:
 * verify what is new of the chain and the roots, read the lists that changed, look at the folder,
 * plan, upload and commit, then change the folder. It may be cut off anywhere; the next one goes
 * on. What the two sides last agreed on, and the newest root and chain that were seen, are kept in
 * the local state for good.
 *
 * What a hostile service does is noticed and NAMED: the step ends with ERR_VERIFY, the report has
 * the word, nothing is changed on disk any more, and all further steps refuse until a person has
 * looked and said so (sync_engine_pardon).
 *
 * One thread at a time. All in the configuration is borrowed and outlives the engine.
 */
#ifndef COFFER_SYNC_ENGINE_ENGINE_H
#define COFFER_SYNC_ENGINE_ENGINE_H

#include "base/clk.h"
#include "store/local_state.h"
#include "sync/data.h"
#include "sync/device_key.h"
#include "sync/engine/disk.h"
#include "sync/engine/remote.h"

typedef struct sync_engine sync_engine_t;

/* What goes on, for a progress bar. */
typedef struct {
    uint64_t bytes_done, bytes_all; /* of the contents of files, both directions */
    uint64_t files_done, files_all;
    const char *path; /* at present, or NULL */
} sync_progress_t;

typedef struct {
    const sync_disk_t *disk; /* NULL: no folder, the tree is only looked at */
    const sync_remote_t *remote;
    db_local_t *state;
    const clk_t *clk;
    const rnd_t *rnd;
    const sync_device_key_t *device;
    uint8_t region[SYNC_HASH];
    unsigned brake_percent; /* of the files that may go in one step without asking; 0: 25 */
    unsigned brake_least;   /* fewer than these never brake; 0: 20 */
    bool release_brake;     /* a person has looked: let it happen this time */
    bool fold_names;        /* names that differ by case or composition alone can't both be here */
    bytes_t ignore;         /* rules, one a line: see scan.h */
    bool aside; /* another program syncs this device's folder now: the tree is not written here */
    const char *const *folders; /* NULL-ended paths that are synced here; NULL: all */
    void (*progress)(void *ctx, const sync_progress_t *progress); /* or NULL */
    void *progress_ctx;
} sync_engine_config_t;

typedef struct {
    uint64_t uploaded, downloaded; /* files */
    uint64_t bytes_up, bytes_down; /* of content */
    uint64_t moved, removed_here, removed_there, conflicts;
    uint64_t commits;
    uint64_t left; /* files that changed while they were read, or can't be read; a next time */
    uint64_t
        recovered; /* changes of the last moment that a crash had left aside: "recovered ..." */
    /* Names at the folder's top that the organisation's rules keep from being synced here. */
    uint64_t outside;
    bool again;           /* something changed meanwhile: step again soon */
    char alarm[32];       /* the word of an attack or brake, else "" */
    char first_left[256]; /* one of those that are left, and why */
    char first_outside[128];
} sync_report_t;

/* Words of an alarm. */
#define SYNC_ALARM_ROLLBACK "rolled-back"     /* an older root than one seen */
#define SYNC_ALARM_FORK     "forked"          /* another line of roots */
#define SYNC_ALARM_CHAIN    "chain-invalid"   /* an entry of the chain that doesn't hold */
#define SYNC_ALARM_CHAINS   "chain-forked"    /* another chain than the one seen */
#define SYNC_ALARM_SHORT    "chain-short"     /* less of the chain than was seen, or is named */
#define SYNC_ALARM_ROOT     "root-invalid"    /* a root that is not signed, or not by a writer */
#define SYNC_ALARM_CHANGE   "change-invalid"  /* a change that is not the root's */
#define SYNC_ALARM_PACKAGE  "package-invalid" /* another package, or not signed by a writer */
#define SYNC_ALARM_DATA     "data-invalid"    /* data that is not what was signed */
#define SYNC_ALARM_TREE     "tree-invalid"    /* lists that are no tree */
#define SYNC_ALARM_KEY      "key-invalid"     /* a delivered key that the chain has not */
#define SYNC_ALARM_WITHHELD "withheld"        /* what was signed is said not to be there */
/* Not attacks: nothing is changed until a person says so. */
#define SYNC_ALARM_BRAKE    "brake"    /* too many files would go */
#define SYNC_ALARM_VANISHED "vanished" /* the folder is not there, or is another one */
#define SYNC_ALARM_REVOKED  "revoked"
#define SYNC_ALARM_DISABLED "disabled"
#define SYNC_ALARM_WIPE     "wipe"

/* Reads the state; no network. */
err_t *sync_engine_new(const sync_engine_config_t *config, sync_engine_t **ret_engine) WARN_UNUSED;
void sync_engine_free(sync_engine_t *engine); /* takes NULL; writes nothing */

/* One pass. *ret_report is filled on failure too. */
err_t *sync_engine_step(sync_engine_t *engine, sync_report_t *ret_report) WARN_UNUSED;
/* Only what the service has: chain, keys, root, tree. */
err_t *sync_engine_fetch(sync_engine_t *engine, sync_report_t *ret_report) WARN_UNUSED;
/*
 * The content of a hollow file (disk.h), by its inode; *ret_size its bytes. What came is true only
 * when this succeeds. ERR_NOT_FOUND: no file that both sides agreed on. Between steps.
 */
err_t *sync_engine_fill(sync_engine_t *engine, uint64_t inode, const sync_sink_t *sink,
                        uint64_t *ret_size) WARN_UNUSED;
/* The newest chain and root that are known here, for news(). */
sync_news_t sync_engine_known(const sync_engine_t *engine);
/* The names at the top that the organisation's rules left to this device when it asked last,
 * NULL-ended; NULL: all. Borrowed until it asks again. */
const char *const *sync_engine_allowed(const sync_engine_t *engine);
/*
 * Forgets an alarm. After "rolled-back" or "forked" the next step takes the history that the
 * service has now (an old backup was restored, say). What was agreed on is forgotten, so both sides
 * are kept, as if they met for the first time.
 */
err_t *sync_engine_pardon(sync_engine_t *engine) WARN_UNUSED;

/* Whether a name is one that a conflict copy gets: "report (conflict, NAME, 2026-11-22).txt". */
bool sync_conflict_name(bytes_t name);

DEFINE_CLEANUP(sync_engine_t, sync_engine_free)

#endif
