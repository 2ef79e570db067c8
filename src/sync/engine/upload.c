/*
 * The contents that the folder has and the service has not: large files as packages of their own,
 * small ones in packs. What was uploaded but not committed yet, because the power went or another
 * device was faster, is remembered by the file's number, size, time and stamp and not sent
 * again. In the client; one thread.
 */
#include "base/mem.h"
#include "sync/engine/resume.h"
#include "sync/pack.h"

enum {
    SMALL_FILE = 128 * 1024,     /* bytes of what goes into packs */
    PACK_FULL = 2 * 1024 * 1024, /* bytes of a pack that takes no more */
    COMMIT_FILES = 32 * 1024,    /* uploads of one commit */
    UPLOAD_ROW = 4 * 8 + 2 * 4 + 1 + 2 * SYNC_NODE + SYNC_HASH, /* bytes */
    UPLOAD_ROW_MAX = 256,
};
/* Bytes of one commit: what is there is safe with it, and others see it. */
#define COMMIT_BYTES ((uint64_t)8 << 30)

typedef struct {
    uint32_t node;
    sync_stat_t stat;
    uint8_t version[SYNC_NODE];
    uint32_t size;
} small_t;

typedef struct {
    sync_engine_t *engine;
    small_t *small; /* of the pack that is being filled */
    uint32_t small_n;
    buf_t content;
    uint64_t bytes, files; /* of this commit */
} uploader_t;

static void uploader_done(uploader_t *up) {
    mem_free(up->small);
    buf_done(&up->content);
}
DEFINE_CLEANUP_VALUE(uploader_t, uploader_done)

static bool same_stat(const sync_stat_t *a, const sync_stat_t *b) {
    return a->kind == b->kind && a->size == b->size && a->mtime == b->mtime &&
           a->mtime_ns == b->mtime_ns && a->inode == b->inode && a->stamp == b->stamp;
}

/* ---- what was uploaded before ---- */

static void inode_key(uint64_t inode, uint8_t key[8]) {
    for (int i = 7; i >= 0; i--, inode >>= 8) key[i] = (uint8_t)inode;
}

static err_t *remember(sync_engine_t *engine, const sync_node_t *node, const sync_fact_t *fact) {
    CLEANUP(buf_done) buf_t row;
    uint8_t key[8];
    sync_chain_head_t head;
    buf_init(&row, UPLOAD_ROW_MAX);
    inode_key(node->found.inode, key);
    TRY(sync_chain_head(engine->chain, &head));
    TRY(record_put_raw(&row, node->id, SYNC_NODE));
    TRY(wire_put_u64(&row, head.epoch));
    TRY(wire_put_u64(&row, fact->size));
    TRY(wire_put_i64(&row, fact->mtime));
    TRY(wire_put_u32(&row, fact->mtime_ns));
    TRY(wire_put_u64(&row, node->found.stamp));
    TRY(wire_put_bool(&row, fact->packed));
    TRY(wire_put_u32(&row, fact->index));
    TRY(record_put_raw(&row, fact->version, SYNC_NODE));
    TRY(record_put_raw(&row, fact->package, SYNC_HASH));
    return db_local_put(&engine->out.notes, engine_uploads(engine), BYTES_ARRAY(key),
                        buf_bytes(&row));
}

typedef struct {
    uint8_t node[SYNC_NODE];
    uint64_t epoch, stamp;
    sync_fact_t fact;
} upload_t;

static err_t *parse_upload(bytes_t value, upload_t *ret_upload) {
    wire_reader_t r = wire_reader(value);
    sync_fact_t *fact = &ret_upload->fact;
    TRY(record_get_raw(&r, SYNC_NODE, ret_upload->node));
    TRY(wire_get_u64(&r, &ret_upload->epoch));
    TRY(wire_get_u64(&r, &fact->size));
    TRY(wire_get_i64(&r, &fact->mtime));
    TRY(wire_get_u32(&r, &fact->mtime_ns));
    TRY(wire_get_u64(&r, &ret_upload->stamp));
    TRY(wire_get_bool(&r, &fact->packed));
    TRY(wire_get_u32(&r, &fact->index));
    TRY(record_get_raw(&r, SYNC_NODE, fact->version));
    TRY(record_get_raw(&r, SYNC_HASH, fact->package));
    return wire_done(&r);
}

static err_t *find_upload(sync_engine_t *engine, const sync_stat_t *stat, bool *ret_found,
                          upload_t *ret_upload) {
    CLEANUP(buf_done) buf_t row;
    uint8_t key[8];
    bool found = false;
    sync_chain_head_t head;
    upload_t upload = {0};
    buf_init(&row, UPLOAD_ROW_MAX);
    inode_key(stat->inode, key);
    *ret_found = false;
    if (!engine->uploads_kept) return NULL;
    TRY(db_local_get(engine->c.state, engine_uploads(engine), BYTES_ARRAY(key), &found, &row));
    if (!found || row.n != UPLOAD_ROW) return NULL; /* of another length: an older program's */
    TRY(parse_upload(buf_bytes(&row), &upload));
    TRY(sync_chain_head(engine->chain, &head));
    *ret_found = upload.epoch == head.epoch && upload.fact.size == stat->size &&
                 upload.fact.mtime == stat->mtime && upload.fact.mtime_ns == stat->mtime_ns &&
                 upload.stamp == stat->stamp;
    *ret_upload = upload;
    return NULL;
}

err_t *upload_known(sync_engine_t *engine, const sync_stat_t *stat, bool *ret_found,
                    uint8_t ret_node[SYNC_NODE]) {
    upload_t upload;
    resume_t resume;
    bool found = false;
    TRY(find_upload(engine, stat, &found, &upload));
    if (found) memcpy(ret_node, upload.node, SYNC_NODE);
    *ret_found = found;
    if (found || stat->size < SYNC_CHUNK) return NULL;
    TRY(resume_find(engine, stat, &found, &resume));
    if (found) memcpy(ret_node, resume.id.node, SYNC_NODE);
    *ret_found = found;
    return NULL;
}

/* ---- one node's content is there ---- */

static err_t *with_content(sync_tree_t *tree, uint32_t node, sync_side_t side,
                           const sync_fact_t *content) {
    sync_fact_t fact = *sync_tree_node(tree, node)->side[side];
    const sync_fact_t *kept = NULL;
    fact.size = content->size;
    fact.mtime = content->mtime;
    fact.mtime_ns = content->mtime_ns;
    fact.packed = content->packed;
    fact.index = content->index;
    memcpy(fact.version, content->version, SYNC_NODE);
    memcpy(fact.package, content->package, SYNC_HASH);
    TRY(sync_tree_fact(tree, &fact, &kept));
    sync_tree_set(tree, node, side, kept);
    return NULL;
}

static err_t *uploaded(sync_engine_t *engine, uint32_t node, const sync_fact_t *content,
                       bool fresh) {
    TRY(with_content(engine->tree, node, SYNC_GOAL, content));
    TRY(with_content(engine->tree, node, SYNC_LOCAL, content));
    sync_node_t *it = sync_tree_node(engine->tree, node);
    it->upload = false;
    if (!fresh) return NULL;
    engine->report->uploaded++;
    engine->report->bytes_up += content->size;
    return remember(engine, it, content);
}

static void wait_for_next(sync_engine_t *engine, uint32_t node) {
    sync_tree_node(engine->tree, node)->later = true;
}

/* ---- reading files ---- */

typedef struct {
    const sync_disk_t *disk;
    sync_disk_file_t *file;
} reading_t;
static void reading_done(reading_t *reading) {
    reading->disk->close(reading->disk->ctx, reading->file);
}
DEFINE_CLEANUP_VALUE(reading_t, reading_done)

/* Opens the file that was found; ERR_BUSY if it is another by now. */
static err_t *open_found(sync_engine_t *engine, uint32_t node, reading_t *reading) {
    const sync_disk_t *disk = engine->c.disk;
    const sync_stat_t *found = &sync_tree_node(engine->tree, node)->found;
    sync_stat_t now;
    const char *path = NULL;
    TRY(sync_tree_path(engine->tree, SYNC_LOCAL, node, &engine->path));
    TRY(buf_cstr(&engine->path, &path));
    TRY(disk->settle(disk->ctx, found));
    TRY(disk->open(disk->ctx, path, &reading->file));
    TRY(disk->file_stat(disk->ctx, reading->file, &now));
    if (!same_stat(&now, found)) return err_new(ERR_BUSY, "it changed meanwhile");
    return NULL;
}

static err_t *still_found(sync_engine_t *engine, uint32_t node, const reading_t *reading) {
    sync_stat_t now;
    TRY(reading->disk->file_stat(reading->disk->ctx, reading->file, &now));
    if (!same_stat(&now, &sync_tree_node(engine->tree, node)->found))
        return err_new(ERR_BUSY, "it changed while it was read");
    return NULL;
}

static err_t *read_at(const reading_t *reading, uint64_t offset, uint8_t *p, size_t n) {
    size_t got = 0;
    while (n) {
        TRY(reading->disk->read(reading->disk->ctx, reading->file, offset, p, n, &got));
        if (got == 0) return err_new(ERR_BUSY, "it became shorter while it was read");
        offset += got;
        p += got;
        n -= got;
    }
    return NULL;
}

/*
 * A hollow file has nothing that is to be sent. What it stands for is what both sides agreed on, if
 * that is it still: its time was changed, say. Else it is what a crash left, or was replaced at the
 * service before anybody opened it: it goes.
 */
static err_t *hollow_file(sync_engine_t *engine, uint32_t node) {
    const sync_disk_t *disk = engine->c.disk;
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *base = it->side[SYNC_BASE];
    const char *path = NULL;
    if (base && base->size == it->found.size) return uploaded(engine, node, base, false);
    TRY(sync_tree_path(engine->tree, SYNC_LOCAL, node, &engine->path));
    TRY(buf_cstr(&engine->path, &path));
    err_t *e = disk->remove(disk->ctx, path, &it->found);
    if (e && err_code(e) != ERR_BUSY && err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    engine->report->again = true;
    wait_for_next(engine, node);
    return NULL;
}

/* A file that can't be read now waits; what breaks the connection or the disk ends the step. */
static err_t *file_failed(sync_engine_t *engine, uint32_t node, err_t *e) {
    const char *path = "";
    bool waits =
        err_code(e) == ERR_BUSY || err_code(e) == ERR_NOT_FOUND || err_code(e) == ERR_DENIED;
    if (engine->alarm[0] || engine->from_service) return e;
    if (err_code(e) == ERR_UNAVAILABLE && engine->c.disk->hollow) {
        err_free(e);
        return hollow_file(engine, node);
    }
    if (!waits) return e;
    if (sync_tree_path(engine->tree, SYNC_LOCAL, node, &engine->path) == NULL)
        err_ignore(buf_cstr(&engine->path, &path));
    if (err_code(e) != ERR_DENIED) engine->report->again = true;
    engine_left(engine, path, e);
    wait_for_next(engine, node);
    return NULL;
}

/* ---- large files ---- */

static void what_of(sync_engine_t *engine, uint32_t node, push_what_t *ret_what) {
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    const sync_fact_t *goal = it->side[SYNC_GOAL], *remote = it->side[SYNC_REMOTE];
    *ret_what = (push_what_t){.kind = SYNC_META_FILE,
                              .size = it->found.size,
                              .mtime = it->found.mtime,
                              .mtime_ns = it->found.mtime_ns,
                              .mode = goal->mode,
                              .name = goal->name,
                              .replaces = remote ? remote->version : NULL};
    memcpy(ret_what->node, it->id, SYNC_NODE);
    memcpy(ret_what->folder, sync_tree_node(engine->tree, goal->parent)->id, SYNC_NODE);
}

static void content_of(const push_what_t *what, sync_fact_t *ret_fact) {
    *ret_fact = (sync_fact_t){.size = what->size, .mtime = what->mtime, .mtime_ns = what->mtime_ns};
    memcpy(ret_fact->version, what->version, SYNC_NODE);
}

static err_t *send_whole(sync_engine_t *engine, uint32_t node) {
    CLEANUP(reading_done) reading_t reading = {.disk = engine->c.disk};
    CLEANUP(push_free) push_t *push = NULL;
    push_what_t what;
    sync_fact_t content;
    TRY(open_found(engine, node, &reading));
    what_of(engine, node, &what);
    TRY(rnd_fill(engine->c.rnd, what.version, SYNC_NODE));
    TRY(push_begin_file(engine, &what, &sync_tree_node(engine->tree, node)->found, &push));
    memcpy(what.version, push_version(push), SYNC_NODE);
    content_of(&what, &content);
    for (uint64_t at = 0; at < what.size;) {
        uint8_t *p = NULL;
        size_t n = 0;
        TRY(push_room(push, &p, &n));
        TRY(read_at(&reading, at, p, n));
        TRY(push_filled(push));
        at += n;
        engine_progress(engine, NULL, n, 0);
    }
    TRY(still_found(engine, node, &reading));
    TRY(push_end(push, content.package));
    TRY(uploaded(engine, node, &content, true));
    if (!push_is_watched(push)) return NULL;
    /* From here on it is remembered as uploaded, not as on its way. */
    uint64_t inode = sync_tree_node(engine->tree, node)->found.inode;
    TRY(resume_done(engine, inode, what.size, &engine->out.notes));
    return push_flush(engine);
}

/* A file that has changed is another version: what was sent of it is of no use. */
static err_t *send_large(sync_engine_t *engine, uint32_t node) {
    uint64_t inode = sync_tree_node(engine->tree, node)->found.inode;
    err_t *e = send_whole(engine, node);
    bool changed = e && err_code(e) == ERR_BUSY && !engine->from_service && !engine->alarm[0];
    if (changed) err_ignore(resume_forget(engine, inode));
    if (changed) engine->from_service = false;
    return e;
}

/* ---- small files ---- */

static err_t *pack_alone(uploader_t *up) {
    sync_engine_t *engine = up->engine;
    CLEANUP(push_free) push_t *push = NULL;
    push_what_t what;
    sync_fact_t content;
    what_of(engine, up->small[0].node, &what);
    memcpy(what.version, up->small[0].version, SYNC_NODE);
    content_of(&what, &content);
    TRY(push_begin(engine, &what, &push));
    TRY(push_add(push, buf_bytes(&up->content)));
    TRY(push_end(push, content.package));
    return uploaded(engine, up->small[0].node, &content, true);
}

static err_t *pack_list(const uploader_t *up, buf_t *out) {
    CLEANUP(mem_free) sync_packed_t *files = mem_array(up->small_n, sizeof *files);
    if (!files) return err_nomem();
    for (uint32_t i = 0; i < up->small_n; i++) {
        memcpy(files[i].node, sync_tree_node(up->engine->tree, up->small[i].node)->id, SYNC_NODE);
        memcpy(files[i].version, up->small[i].version, SYNC_NODE);
        files[i].size = up->small[i].size;
    }
    return sync_pack_put(files, up->small_n, out);
}

static err_t *pack_many(uploader_t *up) {
    sync_engine_t *engine = up->engine;
    CLEANUP(push_free) push_t *push = NULL;
    CLEANUP(buf_done) buf_t list;
    push_what_t what;
    uint8_t package[SYNC_HASH];
    buf_init(&list, SYNC_PACK_HEAD + (size_t)SYNC_PACKED_SIZE * LIMIT_SYNC_PACKED);
    TRY(pack_list(up, &list));
    what_of(engine, up->small[0].node, &what);
    what = (push_what_t){.kind = SYNC_META_PACK, .size = list.n + up->content.n};
    memcpy(what.folder,
           sync_tree_node(engine->tree,
                          sync_tree_node(engine->tree, up->small[0].node)->side[SYNC_GOAL]->parent)
               ->id,
           SYNC_NODE);
    TRY(rnd_fill(engine->c.rnd, what.node, SYNC_NODE));
    TRY(rnd_fill(engine->c.rnd, what.version, SYNC_NODE));
    what.mtime = clk_unix(engine->c.clk);
    TRY(push_begin(engine, &what, &push));
    TRY(push_add(push, buf_bytes(&list)));
    TRY(push_add(push, buf_bytes(&up->content)));
    TRY(push_end(push, package));
    for (uint32_t i = 0; i < up->small_n; i++) {
        const small_t *small = &up->small[i];
        sync_fact_t content = {.size = small->size,
                               .mtime = small->stat.mtime,
                               .mtime_ns = small->stat.mtime_ns,
                               .packed = true,
                               .index = i};
        memcpy(content.version, small->version, SYNC_NODE);
        memcpy(content.package, package, SYNC_HASH);
        TRY(uploaded(engine, small->node, &content, true));
    }
    return NULL;
}

static err_t *send_pack(uploader_t *up) {
    if (up->small_n == 0) return NULL;
    TRY(up->small_n == 1 ? pack_alone(up) : pack_many(up));
    engine_progress(up->engine, NULL, up->content.n, 0);
    up->small_n = 0;
    buf_clear(&up->content);
    return NULL;
}

/* Reads it to the end of the pack; on failure the pack is as it was. */
static err_t *read_small(uploader_t *up, uint32_t node) {
    sync_engine_t *engine = up->engine;
    CLEANUP(reading_done) reading_t reading = {.disk = engine->c.disk};
    TRY(open_found(engine, node, &reading));
    const sync_stat_t found = sync_tree_node(engine->tree, node)->found;
    small_t *small = &up->small[up->small_n];
    *small = (small_t){.node = node, .stat = found, .size = (uint32_t)found.size};
    TRY(rnd_fill(engine->c.rnd, small->version, SYNC_NODE));
    TRY(buf_reserve(&up->content, found.size));
    TRY(read_at(&reading, 0, up->content.p + up->content.n, found.size));
    TRY(still_found(engine, node, &reading));
    up->content.n += found.size;
    up->small_n++;
    return NULL;
}

/* ---- all ---- */

static err_t *send_one(uploader_t *up, uint32_t node) {
    sync_engine_t *engine = up->engine;
    const sync_node_t *it = sync_tree_node(engine->tree, node);
    upload_t known;
    bool found = false;
    TRY(find_upload(engine, &it->found, &found, &known));
    if (found && memcmp(known.node, it->id, SYNC_NODE) == 0)
        return uploaded(engine, node, &known.fact, false);
    up->files++;
    up->bytes += it->found.size;
    if (it->found.size > SMALL_FILE) return send_large(engine, node);
    if (up->content.n + it->found.size > PACK_FULL || up->small_n == LIMIT_SYNC_PACKED)
        TRY(send_pack(up));
    return read_small(up, node);
}

err_t *upload_files(sync_engine_t *engine) {
    CLEANUP(uploader_done) uploader_t up = {.engine = engine};
    uint32_t n = sync_tree_count(engine->tree);
    buf_init(&up.content, PACK_FULL + SMALL_FILE);
    for (uint32_t i = 1; i < n; i++) {
        const sync_node_t *it = sync_tree_node(engine->tree, i);
        if (!it->upload || it->later || it->away) continue;
        if (!up.small) up.small = mem_array(LIMIT_SYNC_PACKED, sizeof *up.small);
        if (!up.small) return err_nomem();
        if (!engine->editing && (up.files >= COMMIT_FILES || up.bytes >= COMMIT_BYTES)) {
            wait_for_next(engine, i);
            engine->report->again = true;
            continue;
        }
        engine->from_service = false;
        err_t *e = send_one(&up, i);
        if (e) TRY(file_failed(engine, i, e));
    }
    return send_pack(&up);
}
