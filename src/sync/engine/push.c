/*
 * Writing a version: its content is sealed piece by piece and goes to the service while it is
 * read; the signature package waits in the outbox, since it counts only once the data is there. In
 * the client; one thread.
 */
#include "base/mem.h"
#include "crypto/aead.h"
#include "sync/engine/resume.h"

struct push {
    sync_engine_t *engine;
    push_what_t what;
    sync_data_id_t id;
    sync_writer_t *writer;
    uint8_t upload[SYNC_NODE]; /* provisional number */
    uint64_t package_size;
    uint32_t parts, part;
    uint64_t part_size;
    bool filled;  /* in the part itself, not added in copies */
    bool watched; /* it can be gone on with: `resume` is in the state */
    resume_t resume;
    uint32_t held; /* parts from the first on that need not be sent */
};

bool push_is_watched(const push_t *push) { return push->watched; }

const uint8_t *push_version(const push_t *push) { return push->what.version; }

void push_free(push_t *push) {
    if (!push) return;
    sync_writer_free(push->writer);
    mem_free(push);
}

/* The last bytes of each piece of the part: tags, and of the header the key's commitment. */
static err_t *note_tags(const push_t *push, bytes_t part) {
    uint8_t tags[(SYNC_PART_CHUNKS + 1) * AEAD_TAG_SIZE];
    size_t n = 0, piece = push->part == 0 ? (size_t)SYNC_HEADER : (size_t)SYNC_SEALED_CHUNK;
    for (; part.n && n < sizeof tags; n += AEAD_TAG_SIZE) {
        bytes_t one = bytes_slice(part, 0, piece);
        if (one.n < AEAD_TAG_SIZE) return err_new(ERR_INTERNAL, "a chunk without a tag");
        memcpy(tags + n, one.p + one.n - AEAD_TAG_SIZE, AEAD_TAG_SIZE);
        part = bytes_from(part, one.n);
        piece = SYNC_SEALED_CHUNK;
    }
    return resume_part(push->engine, &push->resume, push->part, bytes_make(tags, n));
}

/* Parts leave when they are full; that of a small package when its root is known. */
static err_t *send_full(push_t *push) {
    sync_engine_t *engine = push->engine;
    const sync_remote_t *remote = engine->c.remote;
    uint64_t offset = 0;
    if (push->parts == 1 || engine->part.n < push->part_size) return NULL;
    if (push->watched) TRY(note_tags(push, buf_bytes(&engine->part)));
    if (push->part >= push->held)
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

static err_t *new_push(sync_engine_t *engine, const push_what_t *what, push_t **ret_push) {
    CLEANUP(push_free) push_t *push = mem_zalloc(sizeof *push);
    uint64_t offset = 0;
    if (!push) return err_nomem();
    push->engine = engine;
    push->what = *what;
    TRY(sync_package_size(sync_padded(what->size), &push->package_size));
    push->parts = sync_parts(push->package_size);
    if (!sync_part(push->package_size, 0, &offset, &push->part_size))
        return err_new(ERR_LIMIT, "a file that is too long");
    buf_clear(&engine->part);
    *ret_push = STEAL(push);
    return NULL;
}

static err_t *begin_new(push_t *push) {
    CLEANUP(secret_free) secret_t *folder_key = NULL;
    sync_engine_t *engine = push->engine;
    const push_what_t *what = &push->what;
    sync_chain_head_t head;
    TRY(sync_chain_head(engine->chain, &head));
    push->id = (sync_data_id_t){.suite = SYNC_SUITE_1, .epoch = head.epoch};
    memcpy(push->id.region, engine->c.region, SYNC_HASH);
    memcpy(push->id.node, what->node, SYNC_NODE);
    memcpy(push->id.version, what->version, SYNC_NODE);
    memcpy(push->id.folder, what->folder, SYNC_NODE);
    TRY(rnd_fill(engine->c.rnd, push->upload, sizeof push->upload));
    TRY(keys_folder(engine, head.epoch, what->folder, &folder_key));
    return sync_writer_new(&push->id, folder_key, engine->c.rnd, what->size,
                           &(sync_sink_t){push, take_piece}, &push->writer);
}

err_t *push_begin(sync_engine_t *engine, const push_what_t *what, push_t **ret_push) {
    CLEANUP(push_free) push_t *push = NULL;
    TRY(new_push(engine, what, &push));
    TRY(begin_new(push));
    *ret_push = STEAL(push);
    return NULL;
}

/* ---- going on ---- */

static err_t *begin_again(push_t *push, const resume_t *resume) {
    CLEANUP(secret_free) secret_t *folder_key = NULL;
    sync_engine_t *engine = push->engine;
    const sync_remote_t *remote = engine->c.remote;
    sync_header_t header;
    push->resume = *resume;
    push->watched = true;
    push->id = resume->id;
    memcpy(push->upload, resume->upload, SYNC_NODE);
    memcpy(push->what.version, resume->id.version, SYNC_NODE);
    TRY(engine_judge(engine, remote->upload_held(remote->ctx, push->upload, &push->held)));
    TRY(sync_header_parse(BYTES_ARRAY(resume->header), &header));
    TRY(keys_folder(engine, header.id.epoch, header.id.folder, &folder_key));
    return sync_writer_again(&header, folder_key, push->what.size, &(sync_sink_t){push, take_piece},
                             &push->writer);
}

static err_t *begin_watched(push_t *push, const sync_stat_t *stat) {
    CLEANUP(buf_done) buf_t header;
    sync_engine_t *engine = push->engine;
    buf_init(&header, SYNC_HEADER);
    TRY(resume_forget(engine, stat->inode));
    TRY(begin_new(push));
    push->resume = (resume_t){.inode = stat->inode, .id = push->id, .stat = *stat};
    TRY(sync_header_put(sync_writer_header(push->writer), &header));
    bytes_put(push->resume.header, buf_bytes(&header));
    memcpy(push->resume.upload, push->upload, SYNC_NODE);
    TRY(resume_begin(engine, &push->resume));
    push->watched = true;
    return NULL;
}

err_t *push_begin_file(sync_engine_t *engine, const push_what_t *what, const sync_stat_t *stat,
                       push_t **ret_push) {
    CLEANUP(push_free) push_t *push = NULL;
    resume_t resume;
    bool found = false;
    TRY(new_push(engine, what, &push));
    if (push->parts == 1) {
        TRY(begin_new(push));
    } else {
        TRY(resume_find(engine, stat, &found, &resume));
        if (found && memcmp(resume.id.node, what->node, SYNC_NODE) == 0)
            TRY(begin_again(push, &resume));
        else TRY(begin_watched(push, stat));
    }
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
