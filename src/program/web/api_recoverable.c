/*
 * /api/v1/devices/:device/secrets, bypass-code, filevault and /api/v1/escrow/:object/prove. Nothing
 * here gives a secret away: that takes a recovery request and officers.
 */
#include "program/web/api_recoverable.h"

#include "audit/note.h"
#include "device/recoverable.h"
#include "escrow/objects.h"
#include "keeper/client_device_secret.h"
#include "program/web/api_escrow.h"

/* ---- what a device has in escrow ---- */

err_t *api_device_secrets(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *device = NULL;
    recoverable_t *rows = NULL;
    size_t count = 0;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_param(request, "device", &device));
    TRY(devices_recoverable(web->devices, request->arena, device, &rows, &count));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "secrets", &list));
    for (size_t i = 0; i < count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(api_object_json(&rows[i].object, "", item));
        TRY(jso_set_str(item, "secret", rows[i].secret));
        if (rows[i].try_order) TRY(jso_set_int(item, "try", rows[i].try_order));
        else TRY(jso_set_null(item, "try"));
    }
    return api_send(reply, 200, out);
}

err_t *api_device_bypass(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *device = NULL, *object = NULL;
    uint8_t hash[32];
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(api_param(request, "device", &device));
    TRY(devices_bypass_make(web->devices, request->arena, device, web_caller(request)->actor,
                            &object, hash));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "object", object));
    TRY(api_set_hex(out, "hash", BYTES_ARRAY(hash)));
    return api_send(reply, 201, out);
}

err_t *api_device_filevault(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *device = NULL;
    TRY(api_param(request, "device", &device));
    TRY(devices_filevault_escrow(web->devices, device, web_caller(request)->actor));
    return http_reply_empty(reply, 202);
}

/* ---- proof to the holder of a disk's key ---- */

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *id, *actor;
    db_escrow_t row;
} prove_job_t;

static err_t *prove_read(db_conn_t *conn, void *arg) {
    prove_job_t *job = arg;
    bool found = false;
    TRY(db_escrow_get(conn, job->arena, job->id, 0, &job->row, &found));
    return found ? NULL : err_new(ERR_NOT_FOUND, "there is no escrow object %s", job->id);
}

static err_t *prove_write(db_conn_t *conn, void *arg) {
    const prove_job_t *job = arg;
    TRY(db_escrow_set_verified(conn, job->row.seq, clk_unix_ms(clk_real())));
    return audit_note(&job->web->audit, conn, job->actor, "escrow.prove", job->id, NULL);
}

err_t *api_escrow_prove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    prove_job_t job = {.web = web, .arena = request->arena, .actor = web_caller(request)->actor};
    keeper_kept_t kept = {0};
    uint8_t proof[KEEPER_PROOF];
    bytes_t nonce;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(api_param(request, "object", &job.id));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "nonce", NULL));
    TRY(api_record(request, body, "nonce", KEEPER_PROOF, &nonce));
    if (nonce.n != KEEPER_PROOF) return err_new(ERR_INVALID, "a nonce has %d bytes", KEEPER_PROOF);
    TRY(db_read(web->db, prove_read, &job));
    TRY(objects_record(&job.row, &kept.object));
    kept.blob = job.row.blob;
    kept.wrap = job.row.wrap;
    TRY(keeper_secret_prove(web->keeper, &kept, nonce.p, proof));
    TRY(db_write(web->db, prove_write, &job));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "id", job.row.id));
    TRY(jso_set_int(out, "version", job.row.version));
    TRY(jso_set_base64(out, "proof", BYTES_ARRAY(proof)));
    return api_send(reply, 200, out);
}
