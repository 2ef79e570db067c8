/*
 * The line of signed roots: each follows the one before, from the first that this device saw on
 * (rule R15). In the client; one thread.
 */
#include "sync/engine/engine_internal.h"

enum { ROOT_RUN_MAX = LIMIT_SYNC_CHANGES * 2 * SYNC_HASH + 64 };

err_t *roots_encode(const sync_root_seen_t *seen, const uint8_t folder[SYNC_HASH], buf_t *out) {
    TRY(wire_put_u64(out, seen->counter));
    TRY(record_put_raw(out, seen->hash, SYNC_HASH));
    TRY(wire_put_u64(out, seen->position));
    return record_put_raw(out, folder, SYNC_HASH);
}

err_t *roots_load(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    buf_init(&value, 1024);
    TRY(db_local_get(engine->c.state, STATE_META, BYTES_LIT("seen"), &found, &value));
    if (!found) return NULL;
    wire_reader_t r = wire_reader(buf_bytes(&value));
    TRY(wire_get_u64(&r, &engine->seen.counter));
    TRY(record_get_raw(&r, SYNC_HASH, engine->seen.hash));
    TRY(wire_get_u64(&r, &engine->seen.position));
    TRY(record_get_raw(&r, SYNC_HASH, engine->folder));
    return wire_done(&r);
}

err_t *roots_keep(sync_engine_t *engine, const sync_root_t *root, const sync_root_seen_t *seen) {
    CLEANUP(buf_done) buf_t value;
    CLEANUP(buf_done) buf_t changes;
    buf_init(&value, 1024);
    buf_init(&changes, CHANGES_MAX);
    TRY(roots_encode(seen, root->folder, &value));
    TRY(db_local_put(&changes, STATE_META, BYTES_LIT("seen"), buf_bytes(&value)));
    TRY(db_local_apply(engine->c.state, buf_bytes(&changes)));
    engine->seen = *seen;
    memcpy(engine->folder, root->folder, SYNC_HASH);
    return NULL;
}

/* What is wrong with a root that does not follow, by where it stands. */
static const char *word_of(const sync_engine_t *engine, const sync_root_t *root, const err_t *e) {
    err_t *place = sync_chain_check_place(engine->chain, root->position, root->head);
    bool other = place && err_code(place) == ERR_VERIFY;
    bool beyond = place && err_code(place) == ERR_NOT_FOUND;
    err_free(place);
    if (other) return SYNC_ALARM_CHAINS;
    if (beyond) return SYNC_ALARM_SHORT;
    err_t *signed_by = sync_root_check(root, engine->chain);
    bool bad = signed_by != NULL;
    err_free(signed_by);
    if (bad) return SYNC_ALARM_ROOT;
    /* The next one, by somebody who knows less of the chain: of before he was removed, say. */
    bool next = root->counter == engine->seen.counter + 1 &&
                memcmp(root->previous, engine->seen.hash, SYNC_HASH) == 0;
    if (next && root->position < engine->seen.position) return SYNC_ALARM_ROOT;
    if (root->counter < engine->seen.counter) return SYNC_ALARM_ROLLBACK;
    return err_code(e) == ERR_NOT_FOUND ? SYNC_ALARM_WITHHELD : SYNC_ALARM_FORK;
}

/* A root and its change, the next ones of an answer. `first`: the newest, to begin with. */
static err_t *take(sync_engine_t *engine, bytes_t *runs, bool first) {
    bytes_t root_run, change_run;
    sync_root_t root;
    sync_change_t change;
    sync_root_seen_t seen = engine->seen;
    err_t *e = keys_runs_next(runs, SYNC_ROOT_MAX, &root_run);
    if (!e) e = keys_runs_next(runs, ROOT_RUN_MAX, &change_run);
    if (!e) e = sync_root_parse(root_run, &root);
    if (e) return engine_alarm(engine, SYNC_ALARM_ROOT, e);
    if (root.position >= sync_chain_count(engine->chain))
        TRY(keys_follow(engine, root.position + 1));
    if (first) {
        e = sync_root_check(&root, engine->chain);
        if (!e) e = sync_root_hash(&root, seen.hash);
        seen.counter = root.counter;
        seen.position = root.position;
        if (!e && root.counter == 0) e = err_new(ERR_VERIFY, "a root without a number");
    } else {
        e = sync_root_follow(&root, engine->chain, &seen);
    }
    if (e && err_code(e) == ERR_EXISTS) {
        err_free(e);
        return NULL;
    }
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e) return engine_alarm(engine, word_of(engine, &root, e), e);
    e = sync_change_open(&root, change_run, &change);
    if (e) return engine_alarm(engine, SYNC_ALARM_CHANGE, e);
    return roots_keep(engine, &root, &seen);
}

/* The line of roots begins with it for this device. */
static err_t *take_newest(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t runs;
    bool found = false;
    buf_init(&runs, SYNC_REMOTE_ANSWER);
    const sync_remote_t *remote = engine->c.remote;
    TRY(engine_judge(engine, remote->root(remote->ctx, &found, &runs)));
    if (!found) return engine_alarm(engine, SYNC_ALARM_WITHHELD, NULL);
    bytes_t rest = buf_bytes(&runs);
    return take(engine, &rest, true);
}

/* All between what was seen and the newest, in order. */
static err_t *take_line(sync_engine_t *engine, uint64_t newest) {
    const sync_remote_t *remote = engine->c.remote;
    while (engine->seen.counter < newest) {
        CLEANUP(buf_done) buf_t runs;
        uint64_t before = engine->seen.counter;
        buf_init(&runs, SYNC_REMOTE_ANSWER);
        err_t *e = remote->roots(remote->ctx, before, &runs);
        if (e && err_code(e) == ERR_NOT_FOUND) return engine_alarm(engine, SYNC_ALARM_WITHHELD, e);
        TRY(engine_judge(engine, e));
        for (bytes_t rest = buf_bytes(&runs); rest.n;) TRY(take(engine, &rest, false));
        if (engine->seen.counter == before) return engine_alarm(engine, SYNC_ALARM_WITHHELD, NULL);
    }
    return NULL;
}

/*
 * The history that the service has instead of the one that was seen, since a person has allowed it.
 * What both sides agreed on was another one's: with it, whatever is missing now would count as
 * deleted.
 */
static err_t *begin_again(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, 1024);
    TRY(persist_load(engine));
    TRY(persist_turn(engine, &changes));
    TRY(db_local_drop(&changes, STATE_META, BYTES_LIT("seen")));
    TRY(db_local_drop(&changes, STATE_META, BYTES_LIT("tree")));
    TRY(db_local_clear(&changes, STATE_NODES));
    TRY(db_local_clear(&changes, STATE_PAGES));
    TRY(db_local_clear(&changes, STATE_UPLOADS));
    TRY(db_local_clear(&changes, STATE_PUTS));
    TRY(db_local_apply(engine->c.state, buf_bytes(&changes)));
    engine->seen = (sync_root_seen_t){0};
    memset(engine->folder, 0, SYNC_HASH);
    memset(engine->read, 0, SYNC_HASH);
    engine->pardoned = false;
    return NULL;
}

err_t *roots_follow(sync_engine_t *engine, uint64_t newest) {
    if (engine->pardoned) TRY(begin_again(engine));
    uint64_t seen = engine->seen.counter;
    if (newest < seen) return engine_alarm(engine, SYNC_ALARM_ROLLBACK, NULL);
    if (newest == seen) return NULL;
    if (seen) return take_line(engine, newest);
    TRY(take_newest(engine));
    return engine->seen.counter < newest ? engine_alarm(engine, SYNC_ALARM_WITHHELD, NULL) : NULL;
}
