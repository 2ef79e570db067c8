/*
 * Signed notes, checkpoints and names of tiles from strangers (C2SP): one key, whatever text. No
 * bytes crash, and what opens is a part of the note that ends in a newline.
 */
#include <stdlib.h>

#include "sync/tlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t raw[32] = {/* PeterNeumann's, of Go's sumdb/note */
                                    0x1a, 0x5c, 0xd9, 0x07, 0x14, 0x3c, 0x38, 0x4c,
                                    0x41, 0xe8, 0x30, 0xc5, 0xbc, 0xe1, 0x2a, 0xa8,
                                    0x81, 0x7e, 0xc5, 0x64, 0x9a, 0xaa, 0xbf, 0x2c,
                                    0x31, 0x38, 0x8b, 0x35, 0xb2, 0xd7, 0x44, 0xd6};
    bytes_t note = bytes_make(data, size), text, entry;
    tlog_checkpoint_t checkpoint;
    pkey_t *key = NULL;
    err_t *e = crypto_init();
    if (!e) e = pkey_from_raw_public(PKEY_ED25519, BYTES_ARRAY(raw), &key);
    err_free(e);
    if (!key) return 0;
    e = note_open(note, key, "PeterNeumann", &text);
    if (!e && (text.n == 0 || text.p[text.n - 1] != '\n')) abort();
    err_free(e);
    err_ignore(tlog_checkpoint_open(note, key, "PeterNeumann", &checkpoint));
    pkey_t *other = NULL;
    bytes_t name;
    err_ignore(note_verifier_parse(note, &name, &other));
    pkey_free(other);
    int level = 0;
    uint64_t index = 0;
    unsigned width = 0;
    char path[TLOG_PATH_MAX];
    if (tlog_tile_parse(note, &level, &index, &width)) { /* a tile has one name */
        e = tlog_tile_path(level, index, width, path);
        if (e || !bytes_eq_str(note, path + 5)) abort();
    }
    do {
        e = tlog_bundle_next(&note, &entry);
        err_free(e);
    } while (!e);
    pkey_free(key);
    return 0;
}
