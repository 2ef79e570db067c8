/*
 * The frozen records of backups, as bytes (docs/formats/backup.md), in the same manner as those of
 * escrow_format.h: a head that the keeper signs, the list of chunks, the sealed list of files, what
 * the officers' shares open, and the file that goes to an officer. Pure; for the keeper and the
 * command line. Structs own nothing: a bytes_t in one borrows from what it was parsed from.
 */
#ifndef COFFER_KEEPER_BACKUP_FORMAT_H
#define COFFER_KEEPER_BACKUP_FORMAT_H

#include "keeper/escrow_format.h"

#define ESCROW_KIND_BACKUP "backup" /* the escrow object that a backup's keys are */

enum {
    BACKUP_CHUNK = 64 * 1024,     /* bytes of a file in one chunk; the last one has fewer */
    BACKUP_ENTRY = 32 + 32 + 4,   /* bytes of a chunk in the list */
    BACKUP_SEGMENT = 1024 * 1024, /* bytes of the list of files under one tag */
    BACKUP_STREAM_PREFIX = 7,     /* bytes of a nonce that a stream chooses */
    BACKUP_CHUNK_FILE = BACKUP_CHUNK + ESCROW_HEAD + ESCROW_NONCE_TAG + 1, /* bytes at most */
};

/* "cofferBK" */
typedef struct {
    uint8_t id[ESCROW_ID];
    uint8_t generation[ESCROW_ID]; /* backups of one generation share chunks */
    int64_t created;               /* ms since 1970 UTC, by the keeper's clock */
    char label[LIMIT_BACKUP_LABEL + 1];
    bytes_t set;    /* cofferST, whom it is sealed to */
    bytes_t blob;   /* cofferBL over a cofferBS */
    bytes_t shares; /* cofferSH each with a length of four bytes before it */
    uint32_t vault_chunks, file_chunks;
    uint8_t table_hash[ESCROW_HASH]; /* SHA-256 of the list of chunks */
    uint64_t index_size;             /* bytes of the sealed list of files */
    uint8_t index_hash[ESCROW_HASH]; /* its SHA-256 */
    bytes_t audit_key;               /* SubjectPublicKeyInfo of who signs: the keeper */
    bytes_t message;                 /* what the signature is over; not for put */
    uint8_t signature[ESCROW_SIGNATURE];
} backup_head_t;

/* Everything before the signature, which the caller appends. */
err_t *backup_head_put(const backup_head_t *head, buf_t *out) WARN_UNUSED;
/* Does not verify: backup_head_verify in backup_seal.h does. */
err_t *backup_head_parse(bytes_t record, backup_head_t *ret_head) WARN_UNUSED;
/* The escrow object that the shares are of. */
void backup_object(const uint8_t id[ESCROW_ID], escrow_object_t *ret_object);

/* A backup's file: head, list of chunks, list of files. */
typedef struct {
    backup_head_t head;
    bytes_t table; /* (vault_chunks + file_chunks) times BACKUP_ENTRY */
    bytes_t index; /* "cofferBI": sealed */
} backup_manifest_t;

/* The lengths agree with the head; the hashes are backup_manifest_verify's. */
err_t *backup_manifest_parse(bytes_t file, backup_manifest_t *ret_manifest) WARN_UNUSED;

/* One chunk in the list: the vault's in order, then those of each file. */
typedef struct {
    uint8_t id[ESCROW_HASH];     /* keyed hash of the content, and the chunk's file name */
    uint8_t sha256[ESCROW_HASH]; /* of the chunk's file */
    uint32_t size;               /* bytes of the chunk's file */
} backup_entry_t;

err_t *backup_entry_put(const backup_entry_t *entry, buf_t *out) WARN_UNUSED;
/* The i-th, which must be there. */
backup_entry_t backup_entry_get(bytes_t table, size_t i);

/* A file in the list ("cofferBX", then a count, then these). */
typedef struct {
    bytes_t path; /* relative, '/' between, no "." or ".." */
    uint32_t mode;
    int64_t modified; /* seconds since 1970 UTC */
    uint64_t size;
    uint8_t sha256[ESCROW_HASH];
    bytes_t hashes; /* SHA-256 of each chunk's content */
} backup_file_t;

err_t *backup_index_begin(uint32_t count, buf_t *out) WARN_UNUSED;
err_t *backup_file_put(const backup_file_t *file, buf_t *out) WARN_UNUSED;
err_t *backup_index_open(bytes_t index, wire_reader_t *ret_reader, uint32_t *ret_count) WARN_UNUSED;
/* Refuses paths that would leave the directory, and chunks that don't fit the size. */
err_t *backup_file_get(wire_reader_t *r, backup_file_t *ret_file) WARN_UNUSED;
/* How many chunks a file of so many bytes has. */
uint64_t backup_chunks_of(uint64_t size);

/* "cofferBS": what the officers' shares open. */
typedef struct {
    bytes_t master;    /* the vault's master key, 32 bytes, as all keys here */
    bytes_t vault_key; /* of the vault's chunks */
    bytes_t files_key; /* of the files' chunks */
    bytes_t index_key; /* of the list of files, this backup's own */
    uint64_t vault_size;
    uint8_t vault_sha256[ESCROW_HASH];
} backup_secret_t;

err_t *backup_secret_put(const backup_secret_t *secret, buf_t *out) WARN_UNUSED;
err_t *backup_secret_parse(bytes_t record, backup_secret_t *ret_secret) WARN_UNUSED;

/* "cofferBR": what goes to an officer: the request, and what he needs to answer it. */
typedef struct {
    bytes_t request; /* cofferRQ */
    bytes_t set, shares;
    int64_t created; /* when the backup was made, ms since 1970 UTC */
    char label[LIMIT_BACKUP_LABEL + 1];
} backup_request_t;

err_t *backup_request_put(const backup_request_t *request, buf_t *out) WARN_UNUSED;
err_t *backup_request_parse(bytes_t record, backup_request_t *ret_request) WARN_UNUSED;
/* The share of one officer out of a run of them. ERR_NOT_FOUND. */
err_t *backup_share_find(bytes_t shares, const char *officer,
                         escrow_share_t *ret_share) WARN_UNUSED;

#endif
