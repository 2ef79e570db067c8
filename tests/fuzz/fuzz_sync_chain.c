/*
 * A region as a hostile service gives it: entries, deliveries, packages and roots, each behind its
 * length, in any order. What the chain takes it can answer for; nothing crashes.
 */
#include <stdlib.h>

#include "sync/chain.h"
#include "sync/epoch.h"
#include "sync/package.h"
#include "sync/root.h"
#include "sync/tlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append(sync_chain_t *chain, bytes_t record) {
    sync_chain_head_t head;
    size_t before = sync_chain_count(chain);
    err_t *e = sync_chain_append(chain, record);
    if (sync_chain_count(chain) != before + (e ? 0 : 1)) abort();
    err_free(e);
    e = sync_chain_head(chain, &head);
    if (!e && sync_chain_check_place(chain, head.position, head.head)) abort();
    err_free(e);
}

static void judge(const sync_chain_t *chain, sync_root_seen_t *seen, bytes_t record) {
    static sync_package_t package;
    sync_delivery_t delivery;
    sync_root_t root;
    err_t *e = sync_package_parse(record, &package);
    if (!e) e = sync_package_check(&package, chain);
    err_free(e);
    e = sync_delivery_parse(record, &delivery);
    if (!e) e = sync_delivery_check(chain, &delivery);
    err_free(e);
    e = sync_root_parse(record, &root);
    if (!e) e = sync_root_follow(&root, chain, seen);
    err_free(e);
}

/* The package's own sizes hold, and the scan of any bytes stays inside of them. */
static void scan(bytes_t data) {
    sync_scan_t *s = NULL;
    uint8_t root[SYNC_HASH];
    err_t *e = sync_scan_new(data.n, &s);
    if (!e) e = sync_scan_add(s, data);
    if (!e) e = sync_scan_end(s, root);
    err_free(e);
    sync_scan_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t rest = bytes_make(data, size), record;
    sync_chain_t *chain = NULL;
    sync_root_seen_t seen = {0};
    if (crypto_init() || sync_chain_new(&chain)) abort();
    wire_reader_t r = wire_reader(rest);
    for (;;) {
        err_t *e = wire_get_bytes(&r, size, &record);
        err_free(e);
        if (e) break;
        append(chain, record);
        judge(chain, &seen, record);
    }
    scan(rest);
    sync_chain_free(chain);
    return 0;
}
