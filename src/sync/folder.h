/*
 * A folder's list, record cofferYN: the plain text of a folder's data package, so names, times and
 * the tree lie sealed, and under one signed root (R10). Entries are ascending by the bytes of their
 * names, each name once. A long folder has pages: entries that stand for a list of their own with
 * the names from theirs up to the next one's, so that a change rewrites one page. Pure.
 */
#ifndef COFFER_SYNC_FOLDER_H
#define COFFER_SYNC_FOLDER_H

#include "sync/suite.h"

typedef enum {
    SYNC_ENTRY_FOLDER = 1,
    SYNC_ENTRY_FILE = 2,
    SYNC_ENTRY_LINK = 3, /* symbolic */
    SYNC_ENTRY_PAGE = 4,
} sync_entry_kind_t;

typedef struct {
    sync_entry_kind_t kind;
    bytes_t name;            /* as the file system gave it: 1..255 bytes, no '/', no NUL, not "."
                                or ".."; of a page: no name below it is in it */
    bytes_t fold;            /* what names are compared by where case does not count: name.h; empty
                                for a page and for a name that is no UTF-8 */
    uint8_t node[SYNC_NODE]; /* stays through renames and moves */
    uint32_t mode;           /* permission bits, 07777; 0 for a page */
    int64_t mtime;           /* seconds since 1970 UTC; 0 for a page */
    uint32_t mtime_ns;       /* below 10^9 */
    uint64_t size;           /* bytes of a file; else 0 */
    bytes_t target;          /* of a symbolic link; else empty */
    uint8_t version[SYNC_NODE]; /* zeros for a link */
    uint8_t package[SYNC_HASH]; /* of the signature package: the file's, folder's, or the pack's
                                   that the file lies in; zeros for a link */
    bool packed;                /* a file in a pack */
    uint32_t index;             /* in the pack; else 0 */
} sync_entry_t;

/* A borrowed name that any Linux file system takes and no path can escape by. */
bool sync_name_valid(bytes_t name);
/* As memcmp: shorter first. */
int sync_name_compare(bytes_t a, bytes_t b);

/* ---- writing ---- */

/* Begins the record in `out`; sync_folder_end tells it how many entries there are. */
typedef struct {
    buf_t *out; /* borrowed */
    size_t at;  /* where the record begins */
    uint32_t count;
    uint8_t last[LIMIT_SYNC_FILE_NAME];
    size_t last_n;
} sync_folder_writer_t;

err_t *sync_folder_begin(buf_t *out, sync_folder_writer_t *ret_writer) WARN_UNUSED;
/* ERR_INVALID for an entry out of order or out of range; ERR_LIMIT past LIMIT_SYNC_ENTRIES. */
err_t *sync_folder_add(sync_folder_writer_t *writer, const sync_entry_t *entry) WARN_UNUSED;
err_t *sync_folder_end(sync_folder_writer_t *writer) WARN_UNUSED;

/* ---- reading ---- */

typedef struct {
    wire_reader_t r;
    uint32_t left; /* entries */
    bytes_t last;
} sync_folder_reader_t;

/* `record` stays borrowed. */
err_t *sync_folder_open(bytes_t record, sync_folder_reader_t *ret_reader) WARN_UNUSED;
/* The next entry, or *ret_found false at the end, which is checked too. */
err_t *sync_folder_next(sync_folder_reader_t *reader, bool *ret_found,
                        sync_entry_t *ret_entry) WARN_UNUSED;

#endif
