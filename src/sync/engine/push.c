/*
 * Writing a version: its content is sealed piece by piece and goes to the service while it is
 * read; the signature package waits in the outbox, since it counts only once the data is there. In
 * the client; one thread.
 */
#include "base/mem.h"
#include "sync/engine/engine_internal.h"

struct push {
    sync_engine_t *engine;
    push_what_t what;
    sync_data_id_t id;
    sync_writer_t *writer;
    uint8_t upload[SYNC_NODE]; /* provisional number */
    uint64_t package_size;
    uint32_t parts, part;
    uint64_t part_size;
    bool filled; /* in the part itself, not added in copies */
};

void push_free(push_t *push) {
    if (!push) return;
    sync_writer_free(push->writer);
    mem_free(push);
}

/* Parts leave when they are full; that of a small package when its root is known. */
static err_t *send_full(push_t *push) {
    sync_engine_t *engine = push->engine;
    const sync_remote_t *remote = engine->c.remote;
    uint64_t offset = 0;
    if (push->parts == 1 || engine->part.n < push->part_size) return NULL;
    TRY(engine_judge(engine, remote->upload_put(remote->ctx, push->upload, push->package_size,
                                                push->part, &engine->part)));
    buf_clear(&engine->part);
    push->part++;
    (void)sync_part(push->package_size, push->part, &offset, &push->part_size);
    return NULL;
}

static err_t *take_piece(void *ctx, bytes_t piece) {
    push_t *push = ctx;
    TRY(buf_add(&push->engine->part, piece));
    return send_full(push);
}

err_t *push_begin(sync_engine_t *engine, const push_what_t *what, push_t **ret_push) {
    CLEANUP(push_free) push_t *push = mem_zalloc(sizeof *push);
    CLEANUP(secret_free) secret_t *folder_key = NULL;
    sync_chain_head_t head;
    uint64_t offset = 0;
    if (!push) return err_nomem();
    push->engine = engine;
    push->what = *what;
    TRY(sync_chain_head(engine->chain, &head));
    push->id = (sync_data_id_t){.suite = SYNC_SUITE_1, .epoch = head.epoch};
    memcpy(push->id.region, engine->c.region, SYNC_HASH);
    memcpy(push->id.node, what->node, SYNC_NODE);
    memcpy(push->id.version, what->version, SYNC_NODE);
    memcpy(push->id.folder, what->folder, SYNC_NODE);
    TRY(rnd_fill(engine->c.rnd, push->upload, sizeof push->upload));
    TRY(sync_package_size(sync_padded(what->size), &push->package_size));
    push->parts = sync_parts(push->package_size);
    if (!sync_part(push->package_size, 0, &offset, &push->part_size))
        return err_new(ERR_LIMIT, "a file that is too long");
    buf_clear(&engine->part);
    TRY(keys_folder(engine, head.epoch, what->folder, &folder_key));
    TRY(sync_writer_new(&push->id, folder_key, engine->c.rnd, what->size,
                        &(sync_sink_t){push, take_piece}, &push->writer));
    *ret_push = STEAL(push);
    return NULL;
}

err_t *push_add(push_t *push, bytes_t content) { return sync_writer_add(push->writer, content); }

err_t *push_room(push_t *push, uint8_t **ret_p, size_t *ret_n) {
    buf_t *part = &push->engine->part;
    const sync_remote_t *remote = push->engine->c.remote;
    if (remote->upload_room)
        TRY(engine_judge(push->engine,
                         remote->upload_room(remote->ctx, part->n + SYNC_SEALED_CHUNK)));
    /* At once as long as it will be: it must not grow step by step. */
    TRY(buf_reserve(part, (size_t)push->part_size - part->n));
    return sync_writer_room(push->writer, part, ret_p, ret_n);
}

err_t *push_filled(push_t *push) {
    push->filled = true;
    TRY(sync_writer_fill(push->writer, &push->engine->part));
    return send_full(push);
}

/* Chunks that are padding alone. */
static err_t *fill_rest(push_t *push) {
    uint8_t *p = NULL;
    size_t n = 0;
    while (push->filled && sync_writer_wants(push->writer)) {
        TRY(push_room(push, &p, &n));
        if (n) return NULL; /* content is missing: the end says so */
        TRY(push_filled(push));
    }
    return NULL;
}

static err_t *send_rest(push_t *push, const uint8_t root[SYNC_HASH]) {
    sync_engine_t *engine = push->engine;
    const sync_remote_t *remote = engine->c.remote;
    if (push->parts > 1)
        return engine_judge(
            engine, remote->upload_end(remote->ctx, push->upload, push->package_size, root));
    TRY(engine_judge(engine, remote->data_put(remote->ctx, root, &engine->part)));
    buf_clear(&engine->part);
    return NULL;
}

static err_t *seal_meta(const push_t *push, buf_t *out) {
    const push_what_t *what = &push->what;
    sync_meta_t meta = {.kind = what->kind,
                        .size = what->size,
                        .mtime = what->mtime,
                        .mtime_ns = what->mtime_ns,
                        .mode = what->mode,
                        .name = what->name};
    return sync_meta_seal(&meta, sync_writer_header(push->writer),
                          sync_writer_file_key(push->writer), push->engine->c.rnd, out);
}

static err_t *sign(const push_t *push, const uint8_t root[SYNC_HASH], buf_t *out,
                   uint8_t ret_id[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t meta;
    sync_package_t package = {.suite = SYNC_SUITE_1,
                              .epoch = push->id.epoch,
                              .size = push->package_size,
                              .parents_n = push->what.replaces ? 1 : 0};
    buf_init(&meta, LIMIT_SYNC_META);
    TRY(seal_meta(push, &meta));
    memcpy(package.region, push->id.region, SYNC_HASH);
    memcpy(package.node, push->id.node, SYNC_NODE);
    memcpy(package.version, push->id.version, SYNC_NODE);
    memcpy(package.root, root, SYNC_HASH);
    if (push->what.replaces) memcpy(package.parents[0], push->what.replaces, SYNC_NODE);
    package.meta = buf_bytes(&meta);
    TRY(sync_package_sign(&package, push->engine->chain, push->engine->c.device));
    TRY(sync_package_put(&package, out));
    sync_package_t parsed;
    TRY(sync_package_parse(buf_bytes(out), &parsed));
    return sync_package_id(&parsed, ret_id);
}

err_t *push_end(push_t *push, uint8_t ret_package[SYNC_HASH]) {
    sync_engine_t *engine = push->engine;
    CLEANUP(buf_done) buf_t record;
    uint8_t root[SYNC_HASH], id[SYNC_HASH];
    uint64_t size = 0;
    buf_init(&record, SYNC_PACKAGE_MAX);
    TRY(fill_rest(push));
    TRY(sync_writer_end(push->writer, root, &size));
    TRY(send_rest(push, root));
    if (push->parts > 1) buf_done(&engine->part);
    TRY(sign(push, root, &record, id));
    TRY(wire_put_bytes(&engine->out.runs, buf_bytes(&record)));
    if (++engine->out.waiting == SYNC_REMOTE_PACKAGES) TRY(push_flush(engine));
    memcpy(ret_package, id, SYNC_HASH);
    return NULL;
}

err_t *push_flush(sync_engine_t *engine) {
    const sync_remote_t *remote = engine->c.remote;
    outbox_t *out = &engine->out;
    if (out->waiting == 0) return NULL;
    TRY(engine_judge(engine, remote->packages_put(remote->ctx, buf_bytes(&out->runs))));
    buf_clear(&out->runs);
    out->waiting = 0;
    TRY(db_local_apply(engine->c.state, buf_bytes(&out->notes)));
    buf_clear(&out->notes);
    return NULL;
}
