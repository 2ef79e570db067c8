/*
 * A directory of its own and sources of objects, for the tests of src/store/blob.
 */
#ifndef COFFER_TESTS_BLOB_FIXTURE_H
#define COFFER_TESTS_BLOB_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "store/blob/disk.h"
#include "store/blob/sealed.h"

static inline int tree_remove_one(const char *path, const struct stat *st, int kind,
                                  struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void tree_remove(const char *dir) {
    (void)nftw(dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tree_make(char dir[32]) {
    /* In memory where there is such a place: these tests sync thousands of files. */
    (void)snprintf(dir, 32, "/dev/shm/coffer-blob-XXXXXX");
    if (mkdtemp(dir)) return;
    (void)snprintf(dir, 32, "/tmp/coffer-blob-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

/* A file that holds `content`, as a source. */
static inline blob_source_t source_make(const char *dir, bytes_t content, char path[64]) {
    blob_source_t source = {.size = content.n};
    (void)snprintf(path, 64, "%s/source", dir);
    assert_ok(file_write(path, content, 0600));
    source.fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(source.fd >= 0);
    assert_ok(digest_sha256(content, source.sha256));
    return source;
}

/* Bytes that differ from each other and from those of another seed. */
static inline uint8_t *noise(size_t n, unsigned seed) {
    uint8_t *p = mem_alloc(n + 1);
    uint64_t x = 0x9e3779b97f4a7c15u * (seed + 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (uint8_t)x;
    }
    return p;
}

static inline void keys_make(blob_keys_t *keys, uint32_t numbers) {
    *keys = (blob_keys_t){.current = numbers};
    for (uint32_t i = 1; i <= numbers; i++) {
        uint8_t key[AEAD_KEY_SIZE];
        memset(key, (int)i, sizeof key);
        assert_ok(secret_copy(BYTES_ARRAY(key), &keys->keys[i]));
    }
}

#endif
