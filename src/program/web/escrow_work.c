/*
 * Escrow's background work, on one thread: has the key process deal what officers have no shares
 * of yet (a first set, a new set), forget leases of devices that are gone, queues mail keys for
 * devices that lack one, wraps with a new storage key what former ones wrap, and drills every
 * month. What fails is logged and tried again.
 */

#include <time.h>

#include "escrow/drill.h"
#include "escrow/leases.h"
#include "escrow/objects.h"
#include "escrow/officers.h"
#include "escrow/rewrap.h"
#include "program/web/web.h"

enum {
    LOOK_EVERY_S = 5,       /* how long an object may wait to be dealt */
    DRILL_LOOK_EVERY = 120, /* looks between two questions whether a drill is due: ten minutes */
    REST_NS = 10000000,     /* between batches of wraps: devices and people come first */
    DRILL_ARENA = 256 * 1024 * 1024,
};

/* A refused object stops nothing: the cursor went past it. */
static void deal(web_t *web, const _Atomic bool *stop) {
    objects_cursor_t cursor = {0};
    size_t total = 0;
    for (bool more = true; more && !*stop;) {
        size_t count = 0;
        more = false;
        log_error(&web->log, LOG_WARNING, objects_deal_some(web->escrow, &cursor, &count, &more),
                  "dealing to officers");
        total += count;
    }
    if (total) log_line(&web->log, LOG_INFO, "dealt %zu escrow objects to officers", total);
}

static void deliver_mail_keys(web_t *web) {
    size_t count = 0;
    log_error(&web->log, LOG_WARNING, devices_mail_deliver(web->devices, "", &count),
              "mail keys for devices");
    if (count) log_line(&web->log, LOG_INFO, "queued mail keys for %zu devices", count);
}

static void end_leases(web_t *web, const _Atomic bool *stop) {
    size_t total = 0;
    for (bool more = true; more && !*stop;) {
        size_t count = 0;
        more = false;
        log_error(&web->log, LOG_WARNING, leases_end_some(web->escrow, &count, &more),
                  "ending leases");
        total += count;
    }
    if (total) log_line(&web->log, LOG_INFO, "ended the leases of %zu devices", total);
}

static void rewrap(web_t *web, const _Atomic bool *stop) {
    size_t total = 0;
    for (bool more = true; more && !*stop;) {
        size_t count = 0;
        more = false;
        log_error(&web->log, LOG_WARNING, rewrap_some(web->escrow, &count, &more),
                  "wrapping with the new storage key");
        total += count;
        if (more) (void)nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
    }
    if (total) log_line(&web->log, LOG_INFO, "wrapped %zu escrow objects anew", total);
}

static err_t *drill(web_t *web) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    drill_line_t *lines = NULL;
    size_t count = 0;
    int64_t failed = 0;
    bool due = false;
    TRY(drill_is_due(web->escrow, &due));
    if (!due) return NULL;
    TRY(arena_new(DRILL_ARENA, &arena));
    TRY(drill_run(web->escrow, "system", arena, DRILL_SAMPLE, &lines, &count, &failed));
    for (size_t i = 0; i < count; i++)
        log_line(&web->log, lines[i].failed ? LOG_ERROR : LOG_INFO,
                 "escrow drill kind=%s sampled=%lld failed=%lld", lines[i].kind,
                 (long long)lines[i].sampled, (long long)lines[i].failed);
    return NULL;
}

static void run(background_t *work) {
    web_t *web = background_web(work);
    const _Atomic bool *stop = background_stopping(work);
    log_error(&web->log, LOG_ERROR, rewrap_adopt(web->escrow), "storage key");
    log_error(&web->log, LOG_ERROR, officers_adopt(web->escrow), "officers' set");
    for (unsigned round = 0; !*stop; round++) {
        end_leases(web, stop);
        deliver_mail_keys(web);
        deal(web, stop);
        rewrap(web, stop);
        if (round % DRILL_LOOK_EVERY == 0)
            log_error(&web->log, LOG_ERROR, drill(web), "escrow drill");
        if (background_wait(work, LOOK_EVERY_S)) break;
    }
}

err_t *escrow_work_start(web_t *web, background_t **ret_work) {
    return background_start(web, "escrow", run, ret_work);
}
