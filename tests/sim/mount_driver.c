/*
 * The mapped drive without a server: a service in memory, a device that syncs the folder PEER, and
 * another one that shows the region at DIRECTORY, with CACHE behind it. For
 * tests/functional/test_sync_mount.py. The peer steps whenever the drive asks for news, so all is
 * in the drive's own thread.
 *
 *   sync_mount_driver PEER CACHE DIRECTORY      serves until it is unmounted
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program/coffer/mount.h"
#include "sim_net.h"
#include "sync/chain_write.h"
#include "sync/client/disk.h"

typedef struct device {
    sim_net_t net; /* first: the remote's context leads to the rest */
    sync_device_key_t key;
    sync_remote_t remote;
    struct device *peer; /* of the drive */
    err_t *(*news)(void *ctx, const sync_news_t *known, unsigned wait_s, sync_news_t *ret_news);
    sync_folder_disk_t *disk;
    db_local_t *state;
    sync_engine_t *engine;
} device_t;

typedef struct {
    sim_rnd_t rnd;
    clk_fake_t clk;
    sim_disk_t *power; /* never fails; the net asks it */
    sim_service_t *service;
    uint8_t region[SYNC_HASH];
    device_t peer, drive;
} driver_t;

static void must(err_t *e) {
    char text[1024];
    if (!e) return;
    (void)fprintf(stderr, "sync_mount_driver: %s\n", err_text(e, text, sizeof text));
    exit(1);
}

static void make_region(driver_t *d) {
    sync_chain_t *chain = NULL;
    secret_t *key = NULL;
    buf_t entry;
    sync_chain_head_t head;
    sync_chain_writer_t writer = {.rnd = rnd_real(), .author = &d->peer.key};
    const uint8_t *devices[] = {d->peer.key.id, d->drive.key.id};
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    must(sync_chain_new(&chain));
    must(sync_chain_begin(&writer, chain, &entry, &key));
    must(sim_service_chain_post(d->service, buf_bytes(&entry)));
    buf_clear(&entry);
    must(sync_chain_add(&writer, chain, &d->drive.key.card, &entry));
    must(sim_service_chain_post(d->service, buf_bytes(&entry)));
    buf_clear(&entry);
    must(sync_chain_approve(&writer, chain, d->drive.key.id, SYNC_READ | SYNC_WRITE, &entry));
    must(sim_service_chain_post(d->service, buf_bytes(&entry)));
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&entry);
        must(sync_delivery_seal(chain, &d->peer.key, devices[i], key, &entry));
        must(sim_service_deliver(d->service, buf_bytes(&entry)));
    }
    must(sync_chain_head(chain, &head));
    memcpy(d->region, head.region, SYNC_HASH);
    buf_done(&entry);
    sync_chain_free(chain);
    secret_free(key);
}

/* `marker`: what tells the folder from others. */
static void start(driver_t *d, device_t *device, const char *folder, const char *marker) {
    char state[4400];
    uint8_t mark[SYNC_NODE] = {0};
    (void)snprintf(state, sizeof state, "%s.state", folder);
    memcpy(mark, marker, strlen(marker));
    sim_net_init(&device->net, &d->rnd, d->service, d->power);
    memcpy(device->net.device, device->key.id, SYNC_HASH);
    if (!device->remote.ctx) device->remote = sim_net_remote(&device->net);
    must(sync_folder_disk_new(folder, mark, clk_real(), &device->disk));
    must(db_local_open(state, clk_real(), &device->state));
    if (device == &d->drive) sync_folder_disk_hollow(device->disk);
    sync_engine_config_t config = {.disk = sync_folder_disk(device->disk),
                                   .remote = &device->remote,
                                   .state = device->state,
                                   .clk = clk_real(),
                                   .rnd = rnd_real(),
                                   .device = &device->key,
                                   .brake_percent = 100};
    memcpy(config.region, d->region, SYNC_HASH);
    must(sync_engine_new(&config, &device->engine));
}

static void stop(device_t *device) {
    sync_engine_free(device->engine);
    db_local_close(device->state);
    sync_folder_disk_free(device->disk);
    sim_net_done(&device->net);
    sync_device_key_done(&device->key);
}

/* The peer's turn comes first. */
static err_t *news(void *ctx, const sync_news_t *known, unsigned wait_s, sync_news_t *ret_news) {
    const device_t *drive = ctx;
    sync_report_t report;
    char text[1024];
    do {
        err_t *e = sync_engine_step(drive->peer->engine, &report);
        if (e) (void)fprintf(stderr, "peer: %s\n", err_text(e, text, sizeof text));
        report.again = report.again && !e;
        err_free(e);
    } while (report.again);
    return drive->news(ctx, known, wait_s, ret_news);
}

static void tell(void *ctx, const sync_report_t *report, const err_t *failure) {
    char text[1024];
    (void)ctx;
    (void)report;
    if (failure) (void)fprintf(stderr, "drive: %s\n", err_text(failure, text, sizeof text));
}

int main(int argc, char **argv) {
    driver_t d = {0};
    if (argc != 4) return 2;
    must(crypto_init());
    sim_rnd_init(&d.rnd, 1);
    clk_fake_init(&d.clk, 0);
    must(sim_disk_new(&d.rnd, &d.clk, &d.power));
    must(sim_service_new(&d.service));
    must(sync_device_key_make(rnd_real(), "peer", "person-1", 0, &d.peer.key));
    must(sync_device_key_make(rnd_real(), "drive", "person-1", 0, &d.drive.key));
    make_region(&d);
    start(&d, &d.peer, argv[1], "peer");
    d.drive.remote = sim_net_remote(&d.drive.net);
    d.drive.peer = &d.peer;
    d.drive.news = d.drive.remote.news;
    d.drive.remote.news = news;
    start(&d, &d.drive, argv[2], "drive");
    mount_config_t config = {.engine = d.drive.engine,
                             .disk = sync_folder_disk(d.drive.disk),
                             .cache = argv[2],
                             .directory = argv[3],
                             .poll_s = 1,
                             .report = tell};
    err_t *e = mount_run(&config);
    stop(&d.drive);
    stop(&d.peer);
    sim_service_free(d.service);
    sim_disk_free(d.power);
    must(e);
    return 0;
}
