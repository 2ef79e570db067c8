/*
 * /api/v1/backups: the keeper's part of a backup, for the command line on the same host, which
 * copies everything else. Nothing here writes to the store while a backup begins: the command line
 * holds its write lock then.
 */
#include "audit/note.h"
#include "base/limits.h"
#include "base/text.h"
#include "ipc/frame.h"
#include "keeper/client_backup.h"
#include "program/web/api.h"

#define OCTETS "application/octet-stream"

static err_t *get_id(http_request_t *request, uint8_t ret_id[ESCROW_ID]) {
    const char *text = NULL;
    TRY(api_param(request, "id", &text));
    return escrow_id_parse(bytes_str(text), ret_id);
}

static err_t *get_body_id(const json_t *body, const char *name, uint8_t ret_id[ESCROW_ID]) {
    bytes_t text;
    TRY(jso_get_string(body, name, ESCROW_ID_TEXT, true, &text));
    TRY_WRAP(escrow_id_parse(text, ret_id), "%s", name);
    return NULL;
}

err_t *api_backups_begin(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t keys;
    uint8_t id[ESCROW_ID], generation[ESCROW_ID];
    buf_init_secret(&keys, 2 * ESCROW_KEY);
    TRY(api_body(request, &body));
    TRY(jso_only(body, "id", "generation", NULL));
    TRY(get_body_id(body, "id", id));
    TRY(get_body_id(body, "generation", generation));
    TRY(keeper_backup_begin(web->keeper, id, generation, &keys));
    return http_reply_bytes(reply, 201, OCTETS, buf_bytes(&keys));
}

err_t *api_backups_copy(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *out = NULL;
    uint8_t id[ESCROW_ID];
    uint32_t left = 0;
    TRY(get_id(request, id));
    TRY(keeper_backup_copy(web->keeper, id, &left));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "left", left));
    return api_send(reply, 200, out);
}

err_t *api_backups_read(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(buf_done) buf_t chunks;
    const char *text = NULL;
    uint8_t id[ESCROW_ID];
    uint64_t first = 0;
    buf_init(&chunks, FRAME_BODY_MAX);
    TRY(get_id(request, id));
    TRY(api_param(request, "first", &text));
    TRY(text_u64(bytes_str(text), LIMIT_BACKUP_CHUNKS, &first));
    TRY(keeper_backup_read(web->keeper, id, (uint32_t)first, &chunks));
    return http_reply_bytes(reply, 200, OCTETS, buf_bytes(&chunks));
}

/* ---- the end ---- */

static err_t *get_hash(const json_t *body, const char *name, uint8_t ret_hash[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t hash;
    buf_init(&hash, 2 * ESCROW_HASH); /* decoding reserves more than it gives */
    TRY(jso_get_base64(body, name, true, &hash));
    if (hash.n != ESCROW_HASH) return err_new(ERR_INVALID, "%s is no SHA-256", name);
    memcpy(ret_hash, hash.p, ESCROW_HASH);
    return NULL;
}

static err_t *get_head(const json_t *body, backup_head_t *head) {
    bytes_t label;
    int64_t chunks = 0, size = 0;
    TRY(jso_only(body, "label", "file_chunks", "table_hash", "index_size", "index_hash", NULL));
    TRY(jso_get_string(body, "label", LIMIT_BACKUP_LABEL, true, &label));
    TRY(jso_get_int(body, "file_chunks", 0, LIMIT_BACKUP_CHUNKS, true, &chunks));
    TRY(jso_get_int(body, "index_size", 0, LIMIT_BACKUP_INDEX, true, &size));
    TRY(get_hash(body, "table_hash", head->table_hash));
    TRY(get_hash(body, "index_hash", head->index_hash));
    bytes_put(head->label, label);
    head->file_chunks = (uint32_t)chunks;
    head->index_size = (uint64_t)size;
    return NULL;
}

typedef struct {
    const web_t *web;
    const char *actor, *id, *label;
} note_job_t;

static err_t *note(db_conn_t *conn, void *arg) {
    const note_job_t *job = arg;
    return audit_note(&job->web->audit, conn, job->actor, "backup.made", job->id, "label",
                      job->label, NULL);
}

err_t *api_backups_finish(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t record;
    backup_head_t head = {0};
    char id[ESCROW_ID_TEXT];
    buf_init(&record, LIMIT_BACKUP_HEAD);
    TRY(get_id(request, head.id));
    TRY(api_body(request, &body));
    TRY(get_head(body, &head));
    TRY(keeper_backup_finish(web->keeper, &head, &record));
    escrow_id_text(head.id, id);
    note_job_t job = {web, web_caller(request)->actor, id, head.label};
    TRY(db_write(web->db, note, &job));
    return http_reply_bytes(reply, 200, OCTETS, buf_bytes(&record));
}
