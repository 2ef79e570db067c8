/*
 * Broken uploads: see resume.h. In the client; one thread.
 */
#include "sync/engine/resume.h"

#include "crypto/aead.h"

enum { KEY = 8, PART_KEY = KEY + 4, ROW_MAX = 1024, CHANGES = 64 * 1024 };

static unsigned table(const sync_engine_t *engine) {
    return engine->editing ? STATE_PUT_RESUMES : STATE_RESUMES;
}

static void key_of(uint64_t inode, uint32_t part, uint8_t key[PART_KEY]) {
    for (int i = KEY - 1; i >= 0; i--, inode >>= 8) key[i] = (uint8_t)inode;
    for (int i = PART_KEY - 1; i >= KEY; i--, part >>= 8) key[i] = (uint8_t)part;
}

static err_t *put_row(const resume_t *resume, buf_t *out) {
    TRY(record_put_raw(out, resume->upload, SYNC_NODE));
    TRY(record_put_raw(out, resume->header, SYNC_HEADER));
    TRY(wire_put_u64(out, resume->stat.size));
    TRY(wire_put_i64(out, resume->stat.mtime));
    TRY(wire_put_u32(out, resume->stat.mtime_ns));
    return wire_put_u64(out, resume->stat.stamp);
}

static err_t *get_row(bytes_t row, uint64_t inode, resume_t *ret_resume) {
    wire_reader_t r = wire_reader(row);
    resume_t resume = {.inode = inode};
    sync_header_t header;
    TRY(record_get_raw(&r, SYNC_NODE, resume.upload));
    TRY(record_get_raw(&r, SYNC_HEADER, resume.header));
    TRY(wire_get_u64(&r, &resume.stat.size));
    TRY(wire_get_i64(&r, &resume.stat.mtime));
    TRY(wire_get_u32(&r, &resume.stat.mtime_ns));
    TRY(wire_get_u64(&r, &resume.stat.stamp));
    TRY(wire_done(&r));
    TRY(sync_header_parse(BYTES_ARRAY(resume.header), &header));
    resume.id = header.id;
    *ret_resume = resume;
    return NULL;
}

static err_t *read_row(sync_engine_t *engine, uint64_t inode, bool *ret_found,
                       resume_t *ret_resume) {
    CLEANUP(buf_done) buf_t row;
    uint8_t key[PART_KEY];
    buf_init(&row, ROW_MAX);
    key_of(inode, 0, key);
    TRY(db_local_get(engine->c.state, table(engine), bytes_make(key, KEY), ret_found, &row));
    return *ret_found ? get_row(buf_bytes(&row), inode, ret_resume) : NULL;
}

err_t *resume_find(sync_engine_t *engine, const sync_stat_t *stat, bool *ret_found,
                   resume_t *ret_resume) {
    sync_chain_head_t head;
    resume_t resume;
    bool found = false;
    *ret_found = false;
    TRY(read_row(engine, stat->inode, &found, &resume));
    if (!found) return NULL;
    TRY(sync_chain_head(engine->chain, &head));
    *ret_found = resume.id.epoch == head.epoch && resume.stat.size == stat->size &&
                 resume.stat.mtime == stat->mtime && resume.stat.mtime_ns == stat->mtime_ns &&
                 resume.stat.stamp == stat->stamp;
    if (*ret_found) *ret_resume = resume;
    return NULL;
}

err_t *resume_begin(sync_engine_t *engine, const resume_t *resume) {
    CLEANUP(buf_done) buf_t changes;
    CLEANUP(buf_done) buf_t row;
    uint8_t key[PART_KEY];
    buf_init(&changes, CHANGES);
    buf_init(&row, ROW_MAX);
    key_of(resume->inode, 0, key);
    TRY(put_row(resume, &row));
    TRY(db_local_put(&changes, table(engine), bytes_make(key, KEY), buf_bytes(&row)));
    return db_local_apply(engine->c.state, buf_bytes(&changes));
}

err_t *resume_part(sync_engine_t *engine, const resume_t *resume, uint32_t part, bytes_t tags) {
    CLEANUP(buf_done) buf_t changes;
    CLEANUP(buf_done) buf_t before;
    uint8_t key[PART_KEY];
    bool found = false;
    buf_init(&changes, CHANGES);
    buf_init(&before, ROW_MAX);
    key_of(resume->inode, part, key);
    TRY(db_local_get(engine->c.state, table(engine), BYTES_ARRAY(key), &found, &before));
    if (!found) {
        /* Two programs may send one file: of two contents the first alone gets in. */
        TRY(db_local_add(&changes, table(engine), BYTES_ARRAY(key), tags));
        TRY(db_local_apply(engine->c.state, buf_bytes(&changes)));
        TRY(db_local_get(engine->c.state, table(engine), BYTES_ARRAY(key), &found, &before));
    }
    if (found && bytes_eq(buf_bytes(&before), tags)) return NULL;
    return err_new(ERR_BUSY, "it has changed since a part of it was sent");
}

/* ---- the end ---- */

static err_t *drop(sync_engine_t *engine, const resume_t *resume) {
    const sync_remote_t *remote = engine->c.remote;
    if (!remote->upload_drop) return NULL;
    return engine_judge(engine, remote->upload_drop(remote->ctx, resume->upload));
}

static err_t *drop_rows(const sync_engine_t *engine, uint64_t inode, uint64_t size,
                        buf_t *changes) {
    uint8_t key[PART_KEY];
    uint64_t package = 0;
    TRY(sync_package_size(sync_padded(size), &package));
    key_of(inode, 0, key);
    TRY(db_local_drop(changes, table(engine), bytes_make(key, KEY)));
    for (uint32_t part = 0; part < sync_parts(package); part++) {
        key_of(inode, part, key);
        TRY(db_local_drop(changes, table(engine), BYTES_ARRAY(key)));
    }
    return NULL;
}

err_t *resume_done(sync_engine_t *engine, uint64_t inode, uint64_t size, buf_t *changes) {
    return drop_rows(engine, inode, size, changes);
}

err_t *resume_forget(sync_engine_t *engine, uint64_t inode) {
    CLEANUP(buf_done) buf_t changes;
    resume_t resume;
    bool found = false;
    buf_init(&changes, CHANGES_MAX);
    TRY(read_row(engine, inode, &found, &resume));
    if (!found) return NULL;
    TRY(drop(engine, &resume));
    TRY(drop_rows(engine, inode, resume.stat.size, &changes));
    return db_local_apply(engine->c.state, buf_bytes(&changes));
}

typedef struct {
    sync_engine_t *engine;
    buf_t inodes;
} left_t;

static err_t *note_left(void *arg, bytes_t key, bytes_t value) {
    left_t *left = arg;
    (void)value;
    return key.n == KEY ? buf_add(&left->inodes, key) : NULL;
}

err_t *resume_forget_all(sync_engine_t *engine) {
    left_t left = {.engine = engine};
    buf_init(&left.inodes, CHANGES_MAX);
    err_t *e = db_local_each(engine->c.state, table(engine), note_left, &left);
    for (size_t at = 0; !e && at < left.inodes.n; at += KEY) {
        uint64_t inode = 0;
        for (size_t i = 0; i < KEY; i++) inode = inode << 8 | left.inodes.p[at + i];
        e = resume_forget(engine, inode);
    }
    buf_done(&left.inodes);
    return e;
}
