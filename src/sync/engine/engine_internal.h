/*
 * What the files of the engine share. One thread.
 */
#ifndef COFFER_SYNC_ENGINE_ENGINE_INTERNAL_H
#define COFFER_SYNC_ENGINE_ENGINE_INTERNAL_H

#include "sync/chain_write.h"
#include "sync/engine/engine.h"
#include "sync/engine/plan.h"
#include "sync/package.h"
#include "sync/root.h"

/* Tables of the local state. */
enum {
    STATE_META = 1,       /* seen, tree, alarm */
    STATE_CHAIN = 2,      /* position -> entry */
    STATE_DELIVERIES = 3, /* epoch -> record */
    STATE_NODES = 4,      /* node -> sides */
    STATE_PAGES = 5,      /* folder -> pages of its list */
    STATE_UPLOADS = 6,    /* file -> what is uploaded of it but not committed */
    STATE_PUTS = 7,       /* the same of files that come from elsewhere: edit.h */
    STATE_RESUMES = 8,    /* file -> an upload on its way; file, part -> its tags: resume.h */
    STATE_PUT_RESUMES = 9,
};

enum {
    CHANGES_MAX = 1024 * 1024 * 1024, /* bytes of one batch of the state */
    PLAIN_MAX = 16 * 1024 * 1024,     /* bytes of a pack's or folder's plain text */
    DOWN_PLAIN = 9 * 1024 * 1024,
};

/* A page of a folder's list. */
typedef struct {
    uint8_t first[LIMIT_SYNC_FILE_NAME];
    size_t first_n;
    uint8_t node[SYNC_NODE], version[SYNC_NODE], package[SYNC_HASH];
    uint8_t plain[SYNC_HASH]; /* SHA-256 of its list */
} page_t;

typedef struct {
    uint32_t folder;
    bool changed;
    page_t *pages; /* owned */
    size_t n;
} pages_t;

/* Signature packages that wait to be sent, and all ids of this commit. */
typedef struct {
    buf_t runs;
    unsigned waiting;
    buf_t notes;          /* changes of the state that hold once these are there */
    buf_t added, dropped; /* ids */
} outbox_t;

typedef struct {
    uint64_t inode;
    uint32_t node;
} fill_index_t;

struct sync_engine {
    sync_engine_config_t c;
    sync_chain_t *chain;
    bool chain_ahead; /* of the state, which could not be written */
    sync_root_seen_t seen;
    uint8_t folder[SYNC_HASH]; /* package of the root folder in `seen` */
    uint8_t read[SYNC_HASH];   /* package of the root folder that the tree was read from */
    bool unread;               /* nothing was read yet */
    bool uploads_kept;         /* the state has uploads that were not committed */
    bool editing;              /* the tree is changed without the folder: edit.h */
    bool looking_back;         /* at old versions: what is not there any more is no attack */
    bool from_service;         /* the last failure was one of a call to the service */
    char **allowed;            /* names at the top that the rules leave, until NULL; NULL: all */
    secret_t *key;             /* of epoch `key_epoch`; NULL: none delivered yet */
    uint64_t key_epoch;
    uint64_t old_epoch; /* of the key below: one former epoch at a time */
    secret_t *old_key;
    char alarm[32];
    uint64_t turn; /* of the state when the tree was loaded: see persist.c */
    bool pardoned; /* a person has allowed another history than the one that was seen */

    /* of the fills since the last step: files by their inodes */
    fill_index_t *by_inode; /* sorted; owned */
    size_t by_inode_n;

    /* of one step */
    sync_report_t *report;
    sync_progress_t progress;
    sync_tree_t *tree;
    pages_t *pages;
    size_t pages_n, pages_room;
    uint32_t fetch;
    outbox_t out;
    buf_t part, record;      /* scratch: a part, signature packages */
    uint8_t pack[SYNC_HASH]; /* whose plain text is in `packed` */
    buf_t packed;
    buf_t list; /* scratch: a folder's list */
    buf_t path, path2;
};

/* ---- engine.c ---- */
/* Notes the word, for the report and for good; the error to return (takes `cause`, or NULL). */
err_t *engine_alarm(sync_engine_t *engine, const char *word, err_t *cause) WARN_UNUSED;
/* What a refusal of the service means. Takes and returns the error, NULL too. */
err_t *engine_judge(sync_engine_t *engine, err_t *e) WARN_UNUSED;
/* A file that has to wait for the next time. Takes `why` (may be NULL). */
void engine_left(sync_engine_t *engine, const char *path, err_t *why);
void engine_progress(sync_engine_t *engine, const char *path, uint64_t bytes, uint64_t files);

/* Lets go of all that one step needed. */
void engine_rest(sync_engine_t *engine);
/* ERR_VERIFY after an attack that nobody has pardoned yet. */
err_t *engine_may_go_on(const sync_engine_t *engine) WARN_UNUSED;
/* Chain, keys, root and tree of the service; the tree is loaded afterwards. */
err_t *engine_fetch_all(sync_engine_t *engine) WARN_UNUSED;
/* Whether this device may write now. */
bool engine_writes(const sync_engine_t *engine);
/* Looks whether uploads wait in the state. */
err_t *engine_find_uploads(sync_engine_t *engine) WARN_UNUSED;
/* Whether this path is synced here: chosen on this device, and left to it by the rules. */
bool engine_syncs(const sync_engine_t *engine, const char *path);
/* ERR_DENIED for a path that the organisation's rules keep from this device. */
err_t *engine_may_have(const sync_engine_t *engine, const char *path) WARN_UNUSED;
/* Where uploads that are not committed are remembered. */
unsigned engine_uploads(const sync_engine_t *engine);

/* ---- keys.c ---- */
err_t *keys_load(sync_engine_t *engine) WARN_UNUSED;
/* The chain up to `entries` at least, then the key of its epoch. */
err_t *keys_follow(sync_engine_t *engine, uint64_t entries) WARN_UNUSED;
/* Takes the key of an epoch that this device began, if one was kept aside for it. */
err_t *keys_aside(sync_engine_t *engine) WARN_UNUSED;
/* The key of a folder in an epoch. */
err_t *keys_folder(sync_engine_t *engine, uint64_t epoch, const uint8_t folder[SYNC_NODE],
                   secret_t **ret_key) WARN_UNUSED;
err_t *keys_runs_next(bytes_t *runs, size_t max, bytes_t *ret_run) WARN_UNUSED;

/* ---- roots.c ---- */
err_t *roots_load(sync_engine_t *engine) WARN_UNUSED;
err_t *roots_follow(sync_engine_t *engine, uint64_t newest) WARN_UNUSED;
err_t *roots_keep(sync_engine_t *engine, const sync_root_t *root,
                  const sync_root_seen_t *seen) WARN_UNUSED;
err_t *roots_encode(const sync_root_seen_t *seen, const uint8_t folder[SYNC_HASH],
                    buf_t *out) WARN_UNUSED;

/* ---- persist.c ---- */
err_t *persist_load(sync_engine_t *engine) WARN_UNUSED;
/* Gathers all nodes and pages that changed. */
err_t *persist_gather(sync_engine_t *engine, buf_t *changes) WARN_UNUSED;
err_t *persist_save(sync_engine_t *engine) WARN_UNUSED;
/* Adds that the state has changed; ERR_BUSY if another program has changed it since it was loaded.
 */
err_t *persist_turn(sync_engine_t *engine, buf_t *changes) WARN_UNUSED;
/* What was gathered has been kept. */
void persist_kept(sync_engine_t *engine);
pages_t *persist_pages(sync_engine_t *engine, uint32_t folder);
err_t *persist_pages_new(sync_engine_t *engine, uint32_t folder, pages_t **ret_pages) WARN_UNUSED;
void persist_pages_done(sync_engine_t *engine);

/* ---- pull.c ---- */
/* The signature package, checked against id and chain; borrows from engine->record. */
err_t *pull_package(sync_engine_t *engine, const uint8_t id[SYNC_HASH],
                    sync_package_t *ret_package) WARN_UNUSED;
err_t *pull_check(sync_engine_t *engine, bytes_t run, const uint8_t id[SYNC_HASH],
                  sync_package_t *ret_package) WARN_UNUSED;
/* Packages by their ids as runs; out is cleared. */
err_t *pull_packages(sync_engine_t *engine, bytes_t ids, buf_t *runs) WARN_UNUSED;
/* The whole content; out is cleared. */
err_t *pull_plain(sync_engine_t *engine, const sync_package_t *package, sync_meta_kind_t kind,
                  buf_t *out) WARN_UNUSED;
/* Takes the content piece by piece; only what end() allows is whole and true. */
err_t *pull_content(sync_engine_t *engine, const sync_package_t *package, sync_meta_kind_t kind,
                    const sync_sink_t *sink, uint64_t *ret_size) WARN_UNUSED;
/* What is here of a content already, from its beginning on; whether it is true is found out. */
typedef struct {
    void *ctx;
    uint64_t size; /* bytes */
    err_t *(*read)(void *ctx, uint64_t offset, uint8_t *p, size_t n);
    err_t *(*skip)(void *ctx, uint64_t n); /* the sink need not take these */
} pull_have_t;
/* As pull_file, but large files go on from there. ERR_BUSY: what was here is not what it should be;
 * nothing was proved. */
err_t *pull_file_on(sync_engine_t *engine, const sync_node_t *node, const sync_fact_t *fact,
                    const sync_sink_t *sink, const pull_have_t *have) WARN_UNUSED;
/* A file's content as the fact has it, from its package or its pack. */
err_t *pull_file(sync_engine_t *engine, const sync_node_t *node, const sync_fact_t *fact,
                 const sync_sink_t *sink) WARN_UNUSED;

/* ---- fetch.c ---- */
/* Reads the lists that changed since the tree was read. */
err_t *fetch_tree(sync_engine_t *engine) WARN_UNUSED;

/* ---- push.c ---- */
typedef struct {
    uint8_t node[SYNC_NODE], version[SYNC_NODE], folder[SYNC_NODE];
    sync_meta_kind_t kind;
    uint64_t size;
    int64_t mtime;
    uint32_t mtime_ns, mode;
    bytes_t name;
    const uint8_t *replaces; /* version before, or NULL */
} push_what_t;
typedef struct push push_t;
err_t *push_begin(sync_engine_t *engine, const push_what_t *what, push_t **ret_push) WARN_UNUSED;
/* The same of a file, which goes on with what a former try has sent of it; `what` has the node of
 * that try. ERR_BUSY: the file has changed since. */
err_t *push_begin_file(sync_engine_t *engine, const push_what_t *what, const sync_stat_t *stat,
                       push_t **ret_push) WARN_UNUSED;
/* The version that is written. */
const uint8_t *push_version(const push_t *push);
/* Whether the state has what it takes to go on with it. */
bool push_is_watched(const push_t *push);
err_t *push_add(push_t *push, bytes_t content) WARN_UNUSED;
/* Without a copy, instead of push_add: room for the next *ret_n bytes of content; then all of them
 * are there. */
err_t *push_room(push_t *push, uint8_t **ret_p, size_t *ret_n) WARN_UNUSED;
err_t *push_filled(push_t *push) WARN_UNUSED;
/* The data is on its way, and the signature package waits in the outbox. */
err_t *push_end(push_t *push, uint8_t ret_package[SYNC_HASH]) WARN_UNUSED;
void push_free(push_t *push);
/* Sends all waiting signature packages. */
err_t *push_flush(sync_engine_t *engine) WARN_UNUSED;
DEFINE_CLEANUP(push_t, push_free)

/* ---- upload.c ---- */
/* All files whose content is the folder's. */
err_t *upload_files(sync_engine_t *engine) WARN_UNUSED;
/* The node that a file was uploaded as before. */
err_t *upload_known(sync_engine_t *engine, const sync_stat_t *stat, bool *ret_found,
                    uint8_t ret_node[SYNC_NODE]) WARN_UNUSED;

/* ---- commit.c ---- */
/* Writes the lists that changed and the root; *ret_done false if somebody was faster. */
err_t *commit_tree(sync_engine_t *engine, bool *ret_done) WARN_UNUSED;

/* ---- scan.c ---- */
err_t *scan_folder(sync_engine_t *engine) WARN_UNUSED;

/* ---- apply.c ---- */
err_t *apply_goal(sync_engine_t *engine) WARN_UNUSED;
/* Clears away what an earlier step has left half done and nobody needs any more. */
err_t *apply_sweep(sync_engine_t *engine) WARN_UNUSED;
/* Notes where both sides have the goal already. */
void apply_agreed(sync_engine_t *engine);

#endif
