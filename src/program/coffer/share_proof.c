/*
 * Proofs for coffer sync who: see share_proof.h. Main thread; blocking.
 */
#include "program/coffer/share_proof.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "sync/client/log_view.h"

enum { PAUSE_MS = 300, WAIT_MS = 15 * 1000 };

/* A chain, and where its newest entry is. */
typedef struct {
    const sync_chain_t *chain;
    bool found;
    uint64_t index;
} place_t;

typedef struct {
    const share_work_t *work;
    log_view_t view;
    place_t share;
    place_t *homes; /* one for each member; no chain where it could not be had */
} proof_t;

static void proof_done(proof_t *proof) {
    log_view_done(&proof->view);
    mem_free(proof->homes);
}
DEFINE_CLEANUP_VALUE(proof_t, proof_done)

static err_t *find(proof_t *proof, place_t *place, bool *all) {
    if (place->found || !place->chain) return NULL;
    err_t *e = log_view_include(&proof->view, place->chain, &place->index);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        *all = false;
        return NULL;
    }
    place->found = !e;
    return e;
}

/* All against one checkpoint, so that what was found before is looked for again. */
static err_t *look(proof_t *proof, bool *ret_all) {
    bool all = true;
    proof->share.found = false;
    for (size_t i = 0; i < proof->work->n; i++) proof->homes[i].found = false;
    err_t *e = log_view_refresh(&proof->view);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        *ret_all = false;
        return NULL;
    }
    TRY(e);
    TRY(find(proof, &proof->share, &all));
    for (size_t i = 0; i < proof->work->n; i++) TRY(find(proof, &proof->homes[i], &all));
    *ret_all = all;
    return NULL;
}

static err_t *wait_for_all(cli_t *cli, proof_t *proof, bool *ret_all) {
    const struct timespec nap = {.tv_nsec = (long)PAUSE_MS * 1000 * 1000};
    int64_t until = clk_mono_ms(cli->clk) + WAIT_MS;
    for (;;) {
        TRY(look(proof, ret_all));
        if (*ret_all || clk_mono_ms(cli->clk) >= until) break;
        (void)nanosleep(&nap, NULL);
    }
    return proof->view.newest.size ? log_view_keep(&proof->view, NULL) : NULL;
}

/* ---- output ---- */

static err_t *set_hex(json_t *json, const char *name, bytes_t value) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(value, &hex));
    return jso_set_str(json, name, hex);
}

static err_t *set_index(json_t *json, const place_t *place) {
    return place->found ? jso_set_int(json, "index", (int64_t)place->index)
                        : jso_set_null(json, "index");
}

static err_t *member_json(const sync_member_t *member, const place_t *place, json_t *list) {
    json_t *item = NULL;
    sync_chain_head_t head;
    TRY(jso_add_object(list, &item));
    TRY(jso_set_str(item, "person", member->person));
    TRY(set_hex(item, "home", BYTES_ARRAY(member->home)));
    if (!place->chain) return jso_set_null(item, "head");
    TRY(sync_chain_head(place->chain, &head));
    TRY(jso_set_int(item, "position", (int64_t)head.position));
    TRY(set_hex(item, "head", BYTES_ARRAY(head.head)));
    return set_index(item, place);
}

static err_t *to_json(const proof_t *proof, json_t *out) {
    json_t *log = NULL, *members = NULL;
    TRY(jso_set_object(out, "log", &log));
    TRY(jso_set_str(log, "origin", proof->view.origin));
    TRY(jso_set_int(log, "size", (int64_t)proof->view.newest.size));
    TRY(set_hex(log, "root", BYTES_ARRAY(proof->view.newest.root)));
    TRY(set_index(log, &proof->share));
    TRY(jso_set_array(out, "members", &members));
    for (size_t i = 0; i < proof->work->n; i++)
        TRY(member_json(&proof->work->members[i], &proof->homes[i], members));
    return NULL;
}

err_t *share_proof(cli_t *cli, const share_work_t *work, json_t *out, bool *ret_all) {
    CLEANUP(proof_done) proof_t proof = {.work = work};
    proof.homes = mem_zalloc((work->n ? work->n : 1) * sizeof *proof.homes);
    if (!proof.homes) return err_nomem();
    proof.share.chain = sync_engine_chain(work->open->engine);
    for (size_t i = 0; i < work->n; i++) proof.homes[i].chain = work->homes[i].home;
    TRY(log_view_open(work->open->http, work->open->state, NULL, &proof.view));
    TRY(wait_for_all(cli, &proof, ret_all));
    return to_json(&proof, out);
}
