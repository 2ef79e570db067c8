/*
 * Store and keeper behind the gate: see backing.h.
 */
#include "program/mailgate/backing.h"

#include "base/file.h"
#include "base/mem.h"
#include "ipc/thread.h"
#include "program/common/head.h"

enum { HEAD_EVERY_MS = 10 * 1000 };

static err_t *new_file(void *arg, int *ret_fd) { return gatespool_open(arg, ret_fd); }
static err_t *take_room(void *arg, uint64_t bytes) { return gatespool_take(arg, bytes); }
static void give_room(void *arg, uint64_t bytes) { gatespool_give(arg, bytes); }

err_t *backing_prepare(backing_t *b, const settings_t *settings, const mailgate_conf_t *conf,
                       const gatespool_t *spool, log_t *log) {
    b->log = log;
    (void)pthread_mutex_init(&b->lock, NULL);
    TRY(cond_init(&b->stop));
    TRY(head_name_node("mailgate", b->node, sizeof b->node, &b->audit));
    TRY(file_path(settings->dir, "store", &b->store_dir));
    TRY(file_path(b->store_dir, "store.db", &b->store_path));
    return mail_gateway_new(&(mail_gateway_options_t){.settings = settings,
                                                      .hostname = conf->hostname,
                                                      .max_message = (uint64_t)conf->max_message,
                                                      .room = (uint64_t)conf->spool_max,
                                                      .clk = clk_real(),
                                                      .files = {new_file, take_room, give_room,
                                                                (void *)(uintptr_t)spool}},
                            &b->gateway);
}

static void *sign_heads(void *arg) {
    backing_t *b = arg;
    (void)pthread_mutex_lock(&b->lock);
    while (!b->stopping) {
        int64_t until = clk_mono_ms(clk_real()) + HEAD_EVERY_MS;
        while (!b->stopping && cond_wait_until(&b->stop, &b->lock, until)) {}
        if (b->stopping) break;
        (void)pthread_mutex_unlock(&b->lock);
        log_error(b->log, LOG_WARNING, head_sign(b->db, &b->audit, b->keeper),
                  "signing the audit head");
        (void)pthread_mutex_lock(&b->lock);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return NULL;
}

err_t *backing_start(backing_t *b, rpc_client_t *keeper) {
    TRY(db_open(b->store_path, &(db_options_t){.must_exist = true}, clk_real(), &b->db));
    TRY(keeper_new(keeper, &b->keeper));
    TRY(mail_gateway_open(b->gateway, b->db, &b->audit, b->keeper));
    TRY(thread_start("mailgate-heads", sign_heads, b, &b->heads));
    b->started = true;
    return NULL;
}

void backing_done(backing_t *b) {
    if (b->started) {
        (void)pthread_mutex_lock(&b->lock);
        b->stopping = true;
        (void)pthread_cond_signal(&b->stop);
        (void)pthread_mutex_unlock(&b->lock);
        (void)pthread_join(b->heads, NULL);
    }
    mail_gateway_free(b->gateway);
    keeper_free(b->keeper);
    db_close(b->db);
    mem_free(b->store_dir);
    mem_free(b->store_path);
    b->started = false;
}
