/*
 * The Merkle root of a data package as it comes in, without keys: see data.h. In the service and
 * in clients; one thread a scan.
 */
#include "base/mem.h"
#include "crypto/digest.h"
#include "sync/data_internal.h"

struct sync_scan {
    merkle_t merkle;
    digest_t *leaf;
    uint64_t size, taken;
    size_t leaf_n; /* bytes of the leaf that is open */
    uint8_t header[SYNC_HEADER];
};

void sync_scan_free(sync_scan_t *scan) {
    if (!scan) return;
    digest_free(scan->leaf);
    mem_free(scan);
}

err_t *sync_scan_new(uint64_t package_size, sync_scan_t **ret_scan) {
    uint64_t padded = 0;
    uint32_t chunks = 0;
    TRY(sync_package_content(package_size, &padded, &chunks));
    CLEANUP(sync_scan_free) sync_scan_t *scan = mem_zalloc(sizeof *scan);
    if (!scan) return err_nomem();
    TRY(digest_new(&scan->leaf));
    merkle_init(&scan->merkle);
    scan->size = package_size;
    *ret_scan = STEAL(scan);
    return NULL;
}

static err_t *end_leaf(sync_scan_t *scan) {
    uint8_t hash[SYNC_HASH];
    TRY(digest_final(scan->leaf, hash));
    scan->leaf_n = 0;
    return merkle_add(&scan->merkle, hash);
}

err_t *sync_scan_add(sync_scan_t *scan, bytes_t data) {
    if (data.n > scan->size - scan->taken) return err_new(ERR_VERIFY, "the package is too long");
    while (data.n) {
        size_t whole = scan->merkle.n == 0 ? (size_t)SYNC_HEADER : (size_t)SYNC_SEALED_CHUNK;
        size_t room = whole - scan->leaf_n;
        size_t take = data.n < room ? data.n : room;
        if (scan->leaf_n == 0) TRY(digest_update(scan->leaf, BYTES_LIT("\0")));
        if (scan->merkle.n == 0) memcpy(scan->header + scan->leaf_n, data.p, take);
        TRY(digest_update(scan->leaf, bytes_slice(data, 0, take)));
        scan->leaf_n += take;
        scan->taken += take;
        data = bytes_from(data, take);
        if (scan->leaf_n == whole || scan->taken == scan->size) TRY(end_leaf(scan));
    }
    return NULL;
}

err_t *sync_scan_end(sync_scan_t *scan, uint8_t ret_root[SYNC_HASH]) {
    if (scan->taken != scan->size) return err_new(ERR_VERIFY, "the package is too short");
    return merkle_root(&scan->merkle, ret_root);
}

err_t *sync_scan_header(const sync_scan_t *scan, sync_header_t *ret_header) {
    if (scan->merkle.n == 0) return err_new(ERR_INVALID, "the header is not there yet");
    return sync_header_parse(BYTES_ARRAY(scan->header), ret_header);
}
