/*
 * bench_sync [MIB]: how fast one core (CPU time) seals, scans (as the service does, without keys)
 * and opens a data package of MIB MiB (default 256), and signs and checks signature packages.
 * Memory stays at a few MiB whatever the size: the pieces are not kept, so what is opened is the
 * same chunk again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "sync/chain_write.h"
#include "sync/package.h"

enum { ROUNDS = 2000 };

typedef struct {
    sync_scan_t *scan; /* NULL: pieces go nowhere */
    buf_t header, chunk;
} sink_t;

static void must(err_t *e) {
    char text[1024];
    if (!e) return;
    (void)fprintf(stderr, "bench_sync: %s\n", err_trace(e, text, sizeof text));
    exit(1);
}

/* Of this thread: what others do on the machine doesn't count. */
static int64_t cpu_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Keeps the header and the first chunk; the rest is scanned or dropped. */
static err_t *take(void *ctx, bytes_t piece) {
    sink_t *sink = ctx;
    if (sink->header.n == 0) TRY(buf_add(&sink->header, piece));
    else if (sink->chunk.n == 0) TRY(buf_add(&sink->chunk, piece));
    return sink->scan ? sync_scan_add(sink->scan, piece) : NULL;
}

static void report(const char *what, uint64_t mib, int64_t from_ms) {
    int64_t ms = cpu_ms() - from_ms;
    (void)printf("%-28s %8.0f MiB/s\n", what, (double)mib * 1000 / (double)(ms ? ms : 1));
}

static void seal(const sync_data_id_t *id, const secret_t *folder_key, const uint8_t *content,
                 uint64_t mib, sink_t *sink, secret_t **ret_key) {
    sync_writer_t *writer = NULL;
    uint8_t root[SYNC_HASH];
    uint64_t size = 0;
    sync_sink_t to = {.ctx = sink, .write = take};
    must(sync_writer_new(id, folder_key, rnd_real(), mib * SYNC_CHUNK, &to, &writer));
    for (uint64_t i = 0; i < mib; i++)
        must(sync_writer_add(writer, bytes_make(content, SYNC_CHUNK)));
    must(sync_writer_end(writer, root, &size));
    if (ret_key) must(secret_copy(secret_bytes(sync_writer_file_key(writer)), ret_key));
    sync_writer_free(writer);
}

static void open_chunks(const sink_t *sink, const secret_t *key, uint64_t mib) {
    sync_reader_t *reader = NULL;
    uint64_t size = 0;
    buf_t out;
    buf_init(&out, SYNC_CHUNK);
    must(sync_package_size(sync_padded(mib * SYNC_CHUNK), &size));
    must(sync_reader_new(buf_bytes(&sink->header), key, size, mib * SYNC_CHUNK, &reader));
    for (uint64_t i = 0; i < mib; i++) {
        buf_clear(&out);
        must(sync_reader_chunk(reader, 0, buf_bytes(&sink->chunk), &out));
    }
    sync_reader_free(reader);
    buf_done(&out);
}

static void packages(void) {
    sync_device_key_t device = {0};
    sync_chain_t *chain = NULL;
    secret_t *key = NULL;
    sync_chain_head_t head;
    buf_t entry;
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    must(sync_device_key_make(rnd_real(), "bench", "person-1", 0, &device));
    must(sync_chain_new(&chain));
    sync_chain_writer_t writer = {.rnd = rnd_real(), .author = &device};
    must(sync_chain_begin(&writer, chain, &entry, &key));
    must(sync_chain_head(chain, &head));
    sync_package_t package = {.suite = SYNC_SUITE_1, .epoch = 1};
    memcpy(package.region, head.region, SYNC_HASH);
    int64_t from = cpu_ms();
    for (unsigned i = 0; i < ROUNDS; i++) must(sync_package_sign(&package, chain, &device));
    int64_t middle = cpu_ms();
    for (unsigned i = 0; i < ROUNDS; i++) must(sync_package_check(&package, chain));
    int64_t to = cpu_ms();
    (void)printf("%-28s %8.0f /s\n", "sign a package",
                 ROUNDS * 1000.0 / (double)(middle - from + 1));
    (void)printf("%-28s %8.0f /s\n", "check a package",
                 ROUNDS * 1000.0 / (double)(to - middle + 1));
    sync_device_key_done(&device);
    sync_chain_free(chain);
    secret_free(key);
    buf_done(&entry);
}

int main(int argc, char **argv) {
    uint64_t mib = 256, size = 0;
    struct rusage usage;
    secret_t *folder_key = NULL, *key = NULL;
    sync_data_id_t id = {.suite = SYNC_SUITE_1, .epoch = 1};
    sink_t plain = {0}, scanned = {0};
    must(crypto_init());
    if (argc > 1) must(text_u64(bytes_str(argv[1]), 1 << 20, &mib));
    uint8_t *content = mem_zalloc(SYNC_CHUNK);
    if (!content) return 1;
    buf_init(&plain.header, SYNC_HEADER);
    buf_init(&plain.chunk, SYNC_SEALED_CHUNK);
    buf_init(&scanned.header, SYNC_HEADER);
    buf_init(&scanned.chunk, SYNC_SEALED_CHUNK);
    must(secret_random(rnd_real(), SYNC_KEY, &folder_key));
    int64_t from = cpu_ms();
    seal(&id, folder_key, content, mib, &plain, &key);
    report("seal (client)", mib, from);
    must(sync_package_size(sync_padded(mib * SYNC_CHUNK), &size));
    must(sync_scan_new(size, &scanned.scan));
    from = cpu_ms();
    seal(&id, folder_key, content, mib, &scanned, NULL);
    report("seal and scan (both sides)", mib, from);
    from = cpu_ms();
    open_chunks(&plain, key, mib);
    report("open (client, no root)", mib, from);
    packages();
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%-28s %8.1f MiB\n", "peak memory", (double)usage.ru_maxrss / 1024);
    sync_scan_free(scanned.scan);
    buf_done(&plain.header);
    buf_done(&plain.chunk);
    buf_done(&scanned.header);
    buf_done(&scanned.chunk);
    secret_free(folder_key);
    secret_free(key);
    mem_free(content);
    return 0;
}
