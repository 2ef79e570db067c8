/*
 * Reading versions: the signature package is checked against its id and the chain, each chunk by
 * its key, the whole by its Merkle root (rules R9, R16, R17). What comes out is not to be used
 * before the end was reached. In the client; one thread.
 */
#include "sync/engine/engine_internal.h"
#include "sync/pack.h"

enum { PART_MAX = SYNC_HEADER + SYNC_PART_CHUNKS * SYNC_SEALED_CHUNK };

/* Something that was signed is not there: withheld, unless the tree has changed meanwhile. */
static err_t *missing(sync_engine_t *engine, err_t *cause) {
    CLEANUP(err_free) err_t *why = cause;
    engine->from_service = engine->from_service || engine->looking_back;
    if (engine->looking_back) return STEAL(why);
    sync_news_t known = sync_engine_known(engine), news = known;
    const sync_remote_t *remote = engine->c.remote;
    TRY(engine_judge(engine, remote->news(remote->ctx, &known, 0, &news)));
    if (news.root <= known.root) return engine_alarm(engine, SYNC_ALARM_WITHHELD, STEAL(why));
    engine->report->again = true;
    return err_new(ERR_BUSY, "the files at the service have changed meanwhile");
}

static bool forged(const err_t *e) {
    return err_code(e) == ERR_VERIFY || err_code(e) == ERR_INVALID || err_code(e) == ERR_LIMIT ||
           err_code(e) == ERR_DENIED || err_code(e) == ERR_NOT_FOUND;
}

static err_t *check_package(sync_engine_t *engine, bytes_t run, const uint8_t id[SYNC_HASH],
                            sync_package_t *ret_package) {
    sync_package_t package;
    uint8_t found[SYNC_HASH];
    TRY(sync_package_parse(run, &package));
    TRY(sync_package_id(&package, found));
    if (memcmp(found, id, SYNC_HASH) != 0) return err_new(ERR_VERIFY, "another package");
    TRY(sync_package_check(&package, engine->chain));
    *ret_package = package;
    return NULL;
}

err_t *pull_check(sync_engine_t *engine, bytes_t run, const uint8_t id[SYNC_HASH],
                  sync_package_t *ret_package) {
    if (run.n == 0) return missing(engine, err_new(ERR_NOT_FOUND, "a package is not there"));
    err_t *e = check_package(engine, run, id, ret_package);
    return e && forged(e) ? engine_alarm(engine, SYNC_ALARM_PACKAGE, e) : e;
}

err_t *pull_packages(sync_engine_t *engine, bytes_t ids, buf_t *runs) {
    const sync_remote_t *remote = engine->c.remote;
    buf_clear(runs);
    err_t *e = remote->packages_get(remote->ctx, ids, runs);
    if (e && err_code(e) == ERR_NOT_FOUND) return missing(engine, e);
    return engine_judge(engine, e);
}

err_t *pull_package(sync_engine_t *engine, const uint8_t id[SYNC_HASH],
                    sync_package_t *ret_package) {
    bytes_t run = BYTES_NONE;
    TRY(pull_packages(engine, bytes_make(id, SYNC_HASH), &engine->record));
    bytes_t rest = buf_bytes(&engine->record);
    err_t *e = rest.n ? keys_runs_next(&rest, SYNC_PACKAGE_MAX, &run) : NULL;
    if (e) return engine_alarm(engine, SYNC_ALARM_PACKAGE, e);
    return pull_check(engine, run, id, ret_package);
}

/* ---- content ---- */

typedef struct {
    sync_engine_t *engine;
    const sync_package_t *package;
    sync_meta_kind_t kind;
    const sync_sink_t *sink;
    sync_reader_t *reader;
    merkle_t merkle;
    uint32_t next; /* chunk */
    uint64_t size; /* of content */
    bool sink_failed;
    const pull_have_t *have; /* or NULL */
    bool went_on;            /* something of it was there */
} pull_t;

static void pull_done(pull_t *pull) { sync_reader_free(pull->reader); }
DEFINE_CLEANUP_VALUE(pull_t, pull_done)

static err_t *get_part(const pull_t *pull, uint32_t part) {
    sync_engine_t *engine = pull->engine;
    const sync_remote_t *remote = engine->c.remote;
    uint64_t offset = 0, size = 0;
    if (!sync_part(pull->package->size, part, &offset, &size))
        return err_new(ERR_VERIFY, "a package of a size that can't be");
    buf_clear(&engine->part);
    err_t *e = remote->data_get(remote->ctx, pull->package->root, pull->package->size, part,
                                &engine->part);
    if (e && err_code(e) == ERR_NOT_FOUND) return missing(engine, e);
    TRY(engine_judge(engine, e));
    return engine->part.n == size ? NULL : err_new(ERR_VERIFY, "a part of another length");
}

/* Keys, metadata, the reader: all that the header gives. */
static err_t *open_header(pull_t *pull, bytes_t bytes) {
    CLEANUP(secret_free) secret_t *folder_key = NULL;
    CLEANUP(secret_free) secret_t *file_key = NULL;
    CLEANUP(buf_done) buf_t storage;
    sync_header_t header;
    sync_meta_t meta;
    buf_init_secret(&storage, LIMIT_SYNC_META);
    TRY(sync_header_parse(bytes, &header));
    TRY(sync_package_match(pull->package, &header));
    TRY(keys_folder(pull->engine, header.id.epoch, header.id.folder, &folder_key));
    TRY(sync_file_key_open(&header, folder_key, &file_key));
    TRY(sync_meta_open(pull->package->meta, &header, file_key, &storage, &meta));
    if (meta.kind != pull->kind) return err_new(ERR_VERIFY, "a version of another kind");
    pull->size = meta.size;
    TRY(sync_reader_new(bytes, file_key, pull->package->size, meta.size, &pull->reader));
    return merkle_add_data(&pull->merkle, bytes);
}

/* From here on in the part's buffer; each chunk is opened where it lies. */
static err_t *open_part(pull_t *pull, size_t at) {
    buf_t *part = &pull->engine->part;
    while (at < part->n && pull->next < sync_reader_chunks(pull->reader)) {
        size_t n = sync_reader_chunk_size(pull->reader, pull->next);
        bytes_t plain = BYTES_NONE;
        if (n > part->n - at) return err_new(ERR_VERIFY, "a chunk is cut off");
        TRY(merkle_add_data(&pull->merkle, bytes_make(part->p + at, n)));
        TRY(sync_reader_place(pull->reader, pull->next++, part->p + at, n, &plain));
        err_t *e = plain.n ? pull->sink->write(pull->sink->ctx, plain) : NULL;
        pull->sink_failed = e != NULL;
        if (e) return e;
        at += n;
    }
    return at < part->n ? err_new(ERR_VERIFY, "more data than was signed") : NULL;
}

/*
 * A part whose content is here already: sealed again it gives the leaves that it had, so the root
 * at the end proves it as if it had come.
 */
static err_t *add_here(pull_t *pull) {
    buf_t *chunk = &pull->engine->part;
    const pull_have_t *have = pull->have;
    pull->went_on = true;
    buf_clear(chunk);
    TRY(buf_reserve(chunk, SYNC_SEALED_CHUNK));
    for (unsigned i = 0; i < SYNC_PART_CHUNKS; i++) {
        TRY(have->read(have->ctx, (uint64_t)pull->next * SYNC_CHUNK, chunk->p, SYNC_CHUNK));
        TRY(sync_reader_reseal(pull->reader, pull->next++, chunk->p));
        TRY(merkle_add_data(&pull->merkle, bytes_make(chunk->p, SYNC_SEALED_CHUNK)));
    }
    return have->skip(have->ctx, (uint64_t)SYNC_PART_CHUNKS * SYNC_CHUNK);
}

/* Of the parts between the first, which has the header, and the last. */
static bool is_here(const pull_t *pull, uint32_t part, uint32_t parts) {
    uint64_t end = (uint64_t)(part + 1) * SYNC_PART_CHUNKS * SYNC_CHUNK;
    return pull->have && part > 0 && part + 1 < parts && end <= pull->have->size;
}

static err_t *read_content(pull_t *pull) {
    uint8_t root[SYNC_HASH];
    uint32_t parts = sync_parts(pull->package->size);
    if (parts == 0) return err_new(ERR_VERIFY, "a package of a size that can't be");
    for (uint32_t part = 0; part < parts; part++) {
        if (is_here(pull, part, parts)) {
            TRY(add_here(pull));
            continue;
        }
        TRY(get_part(pull, part));
        if (part == 0)
            TRY(open_header(pull, bytes_slice(buf_bytes(&pull->engine->part), 0, SYNC_HEADER)));
        TRY(open_part(pull, part == 0 ? SYNC_HEADER : 0));
    }
    TRY(merkle_root(&pull->merkle, root));
    if (memcmp(root, pull->package->root, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the data is not what was signed");
    return NULL;
}

static err_t *content_from(sync_engine_t *engine, const sync_package_t *package,
                           sync_meta_kind_t kind, const sync_sink_t *sink, const pull_have_t *have,
                           uint64_t *ret_size) {
    CLEANUP(pull_done)
    pull_t pull = {.engine = engine, .package = package, .kind = kind, .sink = sink, .have = have};
    merkle_init(&pull.merkle);
    engine->from_service = false;
    err_t *e = read_content(&pull);
    bool ours = pull.went_on && e && forged(e) && !engine->alarm[0] && !engine->from_service;
    if (ours) return err_recode(err_wrap(e, "what was here of it"), ERR_BUSY);
    if (e && forged(e) && !engine->alarm[0] && !engine->from_service && !pull.sink_failed)
        return engine_alarm(engine, SYNC_ALARM_DATA, e);
    if (e) return e;
    *ret_size = pull.size;
    return NULL;
}

err_t *pull_content(sync_engine_t *engine, const sync_package_t *package, sync_meta_kind_t kind,
                    const sync_sink_t *sink, uint64_t *ret_size) {
    return content_from(engine, package, kind, sink, NULL, ret_size);
}

static err_t *to_buffer(void *ctx, bytes_t piece) { return buf_add(ctx, piece); }

err_t *pull_plain(sync_engine_t *engine, const sync_package_t *package, sync_meta_kind_t kind,
                  buf_t *out) {
    uint64_t size = 0;
    buf_clear(out);
    return pull_content(engine, package, kind, &(sync_sink_t){out, to_buffer}, &size);
}

static err_t *load_pack(sync_engine_t *engine, const uint8_t id[SYNC_HASH]) {
    sync_package_t package;
    if (engine->packed.n && memcmp(engine->pack, id, SYNC_HASH) == 0) return NULL;
    buf_clear(&engine->packed);
    TRY(pull_package(engine, id, &package));
    err_t *e = pull_plain(engine, &package, SYNC_META_PACK, &engine->packed);
    if (e) buf_clear(&engine->packed);
    else memcpy(engine->pack, id, SYNC_HASH);
    return e;
}

static err_t *from_pack(const sync_engine_t *engine, const sync_node_t *node,
                        const sync_fact_t *fact, bytes_t *ret_content) {
    sync_pack_t pack;
    sync_packed_t file;
    uint64_t offset = 0;
    bytes_t plain = buf_bytes(&engine->packed);
    TRY(sync_pack_open(plain, &pack));
    TRY(sync_pack_file(&pack, fact->index, &file, &offset));
    if (memcmp(file.node, node->id, SYNC_NODE) != 0 ||
        memcmp(file.version, fact->version, SYNC_NODE) != 0 || file.size != fact->size ||
        offset > plain.n || file.size > plain.n - offset)
        return err_new(ERR_VERIFY, "another file lies in that place of the pack");
    *ret_content = bytes_slice(plain, (size_t)offset, file.size);
    return NULL;
}

err_t *pull_file(sync_engine_t *engine, const sync_node_t *node, const sync_fact_t *fact,
                 const sync_sink_t *sink) {
    return pull_file_on(engine, node, fact, sink, NULL);
}

err_t *pull_file_on(sync_engine_t *engine, const sync_node_t *node, const sync_fact_t *fact,
                    const sync_sink_t *sink, const pull_have_t *have) {
    sync_package_t package;
    uint64_t size = 0;
    if (fact->packed) {
        bytes_t content = BYTES_NONE;
        TRY(load_pack(engine, fact->package));
        err_t *e = from_pack(engine, node, fact, &content);
        if (e) {
            buf_clear(&engine->packed);
            return engine_alarm(engine, SYNC_ALARM_TREE, e);
        }
        return content.n ? sink->write(sink->ctx, content) : NULL;
    }
    TRY(pull_package(engine, fact->package, &package));
    if (memcmp(package.node, node->id, SYNC_NODE) != 0 ||
        memcmp(package.version, fact->version, SYNC_NODE) != 0)
        return engine_alarm(engine, SYNC_ALARM_TREE, NULL);
    TRY(content_from(engine, &package, SYNC_META_FILE, sink, have, &size));
    return size == fact->size ? NULL : engine_alarm(engine, SYNC_ALARM_TREE, NULL);
}
