/*
 * Speed of escrow inside the keeper, without sockets: leases put and renewed durably, releases
 * while a million expired leases are swept, mail keys delivered, objects dealt and re-dealt.
 * usage: bench_escrow [LEASES [OBJECTS]]
 */
#include "../unit/keeper/keeper_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/hpke.h"
#include "keeper/client_escrow.h"
#include "keeper/client_lease.h"
#include "keeper/escrow_seal.h"
#include "keeper/vault_lease.h"

enum { THREADS = 64, OFFICERS = 5, THRESHOLD = 3, BUF = 256 * 1024, BATCH = 100 };

static keeper_fixture_t fixture;
static size_t leases = 100000, objects = 5000;

static double now_s(void) {
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Of both halves, asking and answering. */
static double cpu_s(void) {
    struct timespec at;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void percentiles(const char *what, double *ms, size_t n) {
    qsort(ms, n, sizeof *ms, compare);
    (void)printf("%-34s p50 %.2f ms, p99 %.2f ms, max %.2f ms (%zu)\n", what, ms[n / 2],
                 ms[n * 99 / 100], ms[n - 1], n);
}

/* ---- leases ---- */

typedef struct {
    size_t from, to;
    uint64_t epoch;
    int64_t life_s;
} job_t;

static bytes_t sealed_once; /* opens for nobody: putting does not look inside */

static void *put_main(void *arg) {
    const job_t *job = arg;
    char device[32];
    for (size_t i = job->from; i < job->to; i++) {
        (void)snprintf(device, sizeof device, "device-%zu", i * 2654435761U % 100000000);
        keeper_lease_t lease = {
            device, "mail", job->epoch, clk_unix(&fixture.clk.clk) + job->life_s, {1}};
        assert_ok(keeper_lease_put(fixture.keeper, &lease, sealed_once));
    }
    return NULL;
}

static void put_all(const char *what, size_t n, uint64_t epoch, int64_t life_s) {
    pthread_t threads[THREADS];
    job_t jobs[THREADS];
    double begin = now_s(), cpu = cpu_s();
    for (size_t i = 0; i < THREADS; i++) {
        jobs[i] = (job_t){n * i / THREADS, n * (i + 1) / THREADS, epoch, life_s};
        assert_int_equal(pthread_create(&threads[i], NULL, put_main, &jobs[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) (void)pthread_join(threads[i], NULL);
    double took = now_s() - begin;
    (void)printf("%-34s %.0f/s, %.0f us of CPU each (%zu, %d threads, durable)\n", what,
                 (double)n / took, (cpu_s() - cpu) * 1e6 / (double)n, n, THREADS);
}

static void put_real(const char *device, const pkey_t *push) {
    CLEANUP(buf_done) buf_t der, info, sealed;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    keeper_lease_t lease = {device, "mail", 1, clk_unix(&fixture.clk.clk) + 7 * 86400, {0}};
    buf_init(&der, BUF);
    buf_init(&info, BUF);
    buf_init(&sealed, BUF);
    assert_ok(pkey_raw_public(push, lease.push_key));
    assert_ok(keeper_public(fixture.keeper, KEEPER_PUBLIC_LEASE_KEY, &der));
    assert_ok(pkey_parse_public_der(buf_bytes(&der), &key));
    assert_ok(keeper_lease_info(&lease, &info));
    assert_ok(hpke_seal(HPKE_AES256_GCM, key, buf_bytes(&info), BYTES_NONE,
                        BYTES_LIT("0123456789abcdef"), &sealed));
    assert_ok(keeper_lease_put(fixture.keeper, &lease, buf_bytes(&sealed)));
}

static void bench_leases(void) {
    enum { RELEASES = 20000 };
    static const uint8_t dummy[80] = {1};
    static double ms[RELEASES];
    CLEANUP(pkey_free) pkey_t *push = NULL;
    size_t n = 0;
    char device[32];
    sealed_once = BYTES_ARRAY(dummy);
    put_all("leases put", leases, 1, 3600);
    put_all("leases renewed", leases, 2, 3600);
    assert_ok(pkey_generate(PKEY_X25519, 0, &push));
    for (size_t i = 0; i < RELEASES / LIMIT_LEASE_RELEASES + 1; i++) {
        (void)snprintf(device, sizeof device, "real-%zu", i);
        put_real(device, push);
    }
    clk_fake_advance(&fixture.clk, 3601 * 1000);
    double begin = now_s();
    assert_ok(vault_lease_sweep(fixture.vault));
    while (vault_lease_sweeping(fixture.vault) && n < RELEASES) {
        CLEANUP(buf_done) buf_t sealed;
        keeper_lease_t lease;
        buf_init(&sealed, BUF);
        (void)snprintf(device, sizeof device, "real-%zu", n / LIMIT_LEASE_RELEASES);
        double start = now_s();
        assert_ok(keeper_lease_release(fixture.keeper, device, "mail", "event-1", &lease, &sealed));
        ms[n++] = (now_s() - start) * 1000;
    }
    while (vault_lease_sweeping(fixture.vault)) {
        struct timespec pause = {0, 1000 * 1000};
        (void)nanosleep(&pause, NULL);
    }
    (void)printf("%-34s %.1f s for %zu\n", "expired leases swept", now_s() - begin, leases);
    if (n) percentiles("releases meanwhile", ms, n);
}

/* ---- objects ---- */

static pkey_t *hpke_keys[2][OFFICERS], *sign_keys[2][OFFICERS];
static escrow_set_t sets[2];
static uint8_t hashes[2][ESCROW_HASH];

static void make_set(size_t which) {
    escrow_set_t *set = &sets[which];
    *set = (escrow_set_t){.epoch = which + 1, .threshold = THRESHOLD, .n = OFFICERS};
    if (which) memcpy(set->previous, hashes[0], ESCROW_HASH);
    for (size_t i = 0; i < OFFICERS; i++) {
        escrow_officer_t *o = &set->officers[i];
        assert_ok(pkey_generate(PKEY_X25519, 0, &hpke_keys[which][i]));
        assert_ok(pkey_generate(PKEY_ED25519, 0, &sign_keys[which][i]));
        (void)snprintf(o->id, sizeof o->id, "officer-%zu-%zu", which, i);
        (void)snprintf(o->person, sizeof o->person, "person-%zu", i);
        o->index = (uint8_t)(i + 1);
        assert_ok(pkey_raw_public(hpke_keys[which][i], o->hpke));
        assert_ok(pkey_raw_public(sign_keys[which][i], o->sign));
    }
    assert_ok(escrow_set_hash(set, hashes[which]));
}

static escrow_object_t object_of(const char *kind, size_t i) {
    escrow_object_t object = {.owner = "person-9", .version = 1};
    (void)snprintf(object.kind, sizeof object.kind, "%s", kind);
    uint64_t mixed = i * 0x9e3779b97f4a7c15U;
    memcpy(object.id, &mixed, sizeof mixed);
    memcpy(object.id + 8, &i, sizeof i);
    return object;
}

static buf_t wraps, shares_of_one;
static keeper_stored_t *stored;

static void *archive_main(void *arg) {
    const job_t *job = arg;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    for (size_t i = job->from; i < job->to; i++) {
        keeper_archived_t a;
        escrow_object_t object = object_of(ESCROW_KIND_FILE, i);
        keeper_archived_init(&a);
        assert_ok(keeper_escrow_archive(fixture.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                        BYTES_LIT("a secret of some length"), &a));
        stored[i].object = a.object;
        assert_ok(digest_sha256(buf_bytes(&a.blob), stored[i].blob_hash));
        (void)pthread_mutex_lock(&lock);
        memcpy(wraps.p + i * ESCROW_WRAP_SIZE, a.wrap.p, ESCROW_WRAP_SIZE);
        (void)pthread_mutex_unlock(&lock);
        stored[i].wrap = bytes_make(wraps.p + i * ESCROW_WRAP_SIZE, ESCROW_WRAP_SIZE);
        keeper_archived_done(&a);
    }
    return NULL;
}

/* ---- release for delivery ---- */

enum { RELEASES = 4000, RELEASE_THREADS = 2 }; /* below a day's cap */

static keeper_archived_t codes[RELEASES];
static double release_ms[RELEASES];

static void *release_main(void *arg) {
    const job_t *job = arg;
    for (size_t i = job->from; i < job->to; i++) {
        buf_t secret;
        buf_init_secret(&secret, 256);
        double begin = now_s();
        assert_ok(keeper_escrow_fill(fixture.keeper, &codes[i].object, buf_bytes(&codes[i].blob),
                                     buf_bytes(&codes[i].wrap), "command", &secret));
        release_ms[i] = (now_s() - begin) * 1e3;
        buf_done(&secret);
    }
    return NULL;
}

/* Devices' codes among all other objects: looked up, opened, recorded, handed out. */
static void bench_releases(void) {
    pthread_t threads[RELEASE_THREADS];
    job_t jobs[RELEASE_THREADS];
    char what[64];
    for (size_t i = 0; i < RELEASES; i++) {
        escrow_object_t object = object_of(ESCROW_KIND_BYPASS, objects + 1 + i);
        object.owner[0] = '\0';
        (void)snprintf(object.device, sizeof object.device, "device-%zu", i);
        keeper_archived_init(&codes[i]);
        assert_ok(keeper_escrow_archive(fixture.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                        BYTES_LIT("ABCDE-FGHIJ"), &codes[i]));
    }
    for (size_t i = 0; i < RELEASE_THREADS; i++) {
        jobs[i] =
            (job_t){RELEASES * i / RELEASE_THREADS, RELEASES * (i + 1) / RELEASE_THREADS, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, release_main, &jobs[i]), 0);
    }
    for (size_t i = 0; i < RELEASE_THREADS; i++) (void)pthread_join(threads[i], NULL);
    (void)snprintf(what, sizeof what, "releases of %zu", objects);
    percentiles(what, release_ms, RELEASES);
    for (size_t i = 0; i < RELEASES; i++) keeper_archived_done(&codes[i]);
}

static err_t *take_shares(void *arg, size_t index, uint64_t epoch, bytes_t shares, const err_t *e) {
    (void)arg;
    (void)epoch;
    assert_null(e);
    return index == 0 ? buf_add(&shares_of_one, shares) : NULL;
}

/* What one officer's machine does for one batch of objects. */
static void bench_redeal(const escrow_share_t *share) {
    escrow_sealer_t *sealers[OFFICERS];
    escrow_opener_t *opener = NULL;
    escrow_redeal_t d = {.from_epoch = 1,
                         .to_epoch = 2,
                         .dealer = 1,
                         .dealers_n = THRESHOLD,
                         .dealers = {1, 2, 3},
                         .threshold = THRESHOLD,
                         .officers_n = OFFICERS,
                         .indices = {1, 2, 3, 4, 5}};
    uint8_t hash[ESCROW_HASH];
    buf_t items, record;
    double begin = now_s(), cpu = cpu_s();
    size_t done = 0;
    memcpy(d.from_set, hashes[0], ESCROW_HASH);
    memcpy(d.to_set, hashes[1], ESCROW_HASH);
    memcpy(d.officer, sets[0].officers[0].id, sizeof d.officer);
    assert_ok(escrow_object_hash(&stored[0].object, hash));
    for (size_t batch = 0; batch < objects / BATCH; batch++) {
        buf_init(&items, LIMIT_ESCROW_REDEAL);
        buf_init(&record, LIMIT_ESCROW_REDEAL);
        assert_ok(escrow_opener_new(hashes[0], d.officer, hpke_keys[0][0], &opener));
        for (size_t k = 0; k < OFFICERS; k++) {
            assert_ok(escrow_sealer_new(hashes[1], &sets[1].officers[k], &sealers[k]));
            memcpy(d.encs[k], escrow_sealer_enc(sealers[k]), ESCROW_ENC);
        }
        for (d.count = 0; d.count < BATCH; d.count++, done++) {
            secret_t *y = NULL;
            assert_ok(escrow_share_open(opener, hash, share, &y));
            assert_ok(escrow_redeal_add(&d, &stored[0].object, &sets[1], sealers, rnd_real(),
                                        secret_bytes(y), &items));
            secret_free(y);
        }
        d.items = buf_bytes(&items);
        assert_ok(escrow_redeal_sign(&d, sign_keys[0][0], &record));
        for (size_t k = 0; k < OFFICERS; k++) escrow_sealer_free(sealers[k]);
        escrow_opener_free(opener);
        buf_done(&items);
        buf_done(&record);
    }
    (void)printf("%-34s %.0f/s, %.0f us of CPU each (one officer, %d of %d)\n", "objects re-dealt",
                 (double)done / (now_s() - begin), (cpu_s() - cpu) * 1e6 / (double)done, THRESHOLD,
                 OFFICERS);
}

static void bench_objects(void) {
    pthread_t threads[THREADS];
    job_t jobs[THREADS];
    buf_t record;
    bytes_t first;
    escrow_share_t share;
    make_set(0);
    make_set(1);
    stored = mem_array(objects, sizeof *stored);
    buf_init(&wraps, objects * ESCROW_WRAP_SIZE);
    assert_ok(buf_reserve(&wraps, objects * ESCROW_WRAP_SIZE));
    buf_init(&shares_of_one, BUF);
    double begin = now_s();
    for (size_t i = 0; i < THREADS; i++) {
        jobs[i] = (job_t){objects * i / THREADS, objects * (i + 1) / THREADS, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, archive_main, &jobs[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) (void)pthread_join(threads[i], NULL);
    (void)printf("%-34s %.0f/s (durable)\n", "objects archived, no officers",
                 (double)objects / (now_s() - begin));
    bench_releases();
    buf_init(&record, BUF);
    assert_ok(escrow_set_put(&sets[0], &record));
    assert_ok(keeper_officers_activate(fixture.keeper, buf_bytes(&record), NULL, 0));
    buf_done(&record);
    begin = now_s();
    assert_ok(keeper_escrow_deal(fixture.keeper, stored, objects, take_shares, NULL));
    (void)printf("%-34s %.0f/s (one thread, %d of %d)\n", "objects dealt by the keeper",
                 (double)objects / (now_s() - begin), THRESHOLD, OFFICERS);
    wire_reader_t r = wire_reader(buf_bytes(&shares_of_one));
    assert_ok(wire_get_bytes(&r, BUF, &first));
    assert_ok(escrow_share_parse(first, &share));
    bench_redeal(&share);
    buf_done(&shares_of_one);
    buf_done(&wraps);
    mem_free(stored);
}

int main(int argc, char **argv) {
    if (argc > 1) leases = strtoul(argv[1], NULL, 10);
    if (argc > 2) objects = strtoul(argv[2], NULL, 10);
    assert_ok(crypto_init());
    keeper_fixture_make(&fixture);
    bench_leases();
    bench_objects();
    keeper_fixture_done(&fixture);
    return 0;
}
