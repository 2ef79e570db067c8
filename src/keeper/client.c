/*
 * The asking half of the keeper's intents: see client.h. The bodies written here are read by
 * intent_*.c. Runs in every program but the keeper, on any thread.
 */
#include "keeper/client.h"

#include "base/limits.h"
#include "base/mem.h"
#include "ipc/frame.h"
#include "ipc/wire.h"

enum { KEEPER_TIMEOUT_MS = 30 * 1000 };

struct keeper {
    rpc_client_t *rpc;
};

err_t *keeper_new(rpc_client_t *rpc, keeper_t **ret_keeper) {
    keeper_t *keeper = mem_zalloc(sizeof *keeper);
    if (!keeper) return err_nomem();
    keeper->rpc = rpc;
    *ret_keeper = keeper;
    return NULL;
}

void keeper_free(keeper_t *keeper) { mem_free(keeper); }

/* A secret may be in any body, so every one is wiped. */
static void body_init(buf_t *body) { buf_init_secret(body, FRAME_BODY_MAX); }

static err_t *ask_once(keeper_t *keeper, keeper_intent_t intent, const buf_t *body, buf_t *reply) {
    return rpc_call(keeper->rpc, (uint16_t)intent, buf_bytes(body), KEEPER_TIMEOUT_MS, reply);
}

/* An idempotent request is asked once more when the keeper died over it. */
static err_t *ask(keeper_t *keeper, keeper_intent_t intent, const buf_t *body, buf_t *reply) {
    err_t *e = ask_once(keeper, intent, body, reply);
    if (!e || err_code(e) != ERR_UNAVAILABLE) return e;
    err_free(e);
    buf_clear(reply);
    return ask_once(keeper, intent, body, reply);
}

err_t *keeper_call(keeper_t *keeper, keeper_intent_t intent, const buf_t *body, buf_t *reply) {
    return ask(keeper, intent, body, reply);
}

err_t *keeper_call_once(keeper_t *keeper, keeper_intent_t intent, const buf_t *body, buf_t *reply) {
    return ask_once(keeper, intent, body, reply);
}

/* The whole answer is one run of bytes. */
static err_t *read_bytes(const buf_t *reply, buf_t *ret_bytes) {
    wire_reader_t r = wire_reader(buf_bytes(reply));
    bytes_t value;
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &value));
    TRY(wire_done(&r));
    return buf_add(ret_bytes, value);
}

static err_t *ask_bytes(keeper_t *keeper, keeper_intent_t intent, const buf_t *body,
                        buf_t *ret_bytes) {
    CLEANUP(buf_done) buf_t reply;
    body_init(&reply);
    TRY(ask(keeper, intent, body, &reply));
    return read_bytes(&reply, ret_bytes);
}

static err_t *ask_bytes_once(keeper_t *keeper, keeper_intent_t intent, const buf_t *body,
                             buf_t *ret_bytes) {
    CLEANUP(buf_done) buf_t reply;
    body_init(&reply);
    TRY(ask_once(keeper, intent, body, &reply));
    return read_bytes(&reply, ret_bytes);
}

err_t *keeper_status(keeper_t *keeper, keeper_status_t *ret_status) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(ask(keeper, KEEPER_STATUS, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    keeper_status_t status;
    TRY(wire_get_u64(&r, &status.certificates));
    TRY(wire_get_u64(&r, &status.log_entries));
    TRY(wire_get_bool(&r, &status.seccomp));
    TRY(wire_get_bool(&r, &status.landlock));
    TRY(wire_done(&r));
    *ret_status = status;
    return NULL;
}

err_t *keeper_public(keeper_t *keeper, keeper_public_t which, buf_t *ret_der) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(wire_put_u8(&body, (uint8_t)which));
    return ask_bytes(keeper, KEEPER_PUBLIC, &body, ret_der);
}

err_t *keeper_scep_open(keeper_t *keeper, bytes_t envelope, buf_t *ret_csr,
                        cms_cipher_t *ret_cipher) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_bytes(&body, envelope));
    TRY(ask(keeper, KEEPER_SCEP_OPEN, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    uint8_t cipher;
    bytes_t csr;
    TRY(wire_get_u8(&r, &cipher));
    TRY(wire_get_bytes(&r, LIMIT_CSR_BYTES, &csr));
    TRY(wire_done(&r));
    TRY(buf_add(ret_csr, csr));
    *ret_cipher = (cms_cipher_t)cipher;
    return NULL;
}

err_t *keeper_scep_open_id(keeper_t *keeper, bytes_t envelope, keeper_id_kind_t kind, buf_t *ret_id,
                           cms_cipher_t *ret_cipher) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_u8(&body, (uint8_t)kind));
    TRY(wire_put_bytes(&body, envelope));
    TRY(ask(keeper, KEEPER_SCEP_OPEN_ID, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    uint8_t cipher;
    bytes_t id;
    TRY(wire_get_u8(&r, &cipher));
    TRY(wire_get_bytes(&r, LIMIT_CERT_ID_BYTES, &id));
    TRY(wire_done(&r));
    TRY(buf_add(ret_id, id));
    *ret_cipher = (cms_cipher_t)cipher;
    return NULL;
}

static err_t *put_request(buf_t *body, const keeper_request_t *request) {
    TRY(wire_put_str(body, request->profile));
    TRY(wire_put_bytes(body, request->csr));
    TRY(wire_put_str(body, request->names));
    return wire_put_str(body, request->owner);
}

err_t *keeper_put_reply(buf_t *body, const keeper_scep_reply_t *reply) {
    TRY(wire_put_bytes(body, reply->transaction_id));
    TRY(wire_put_bytes(body, reply->sender_nonce));
    TRY(wire_put_bytes(body, reply->signer));
    TRY(wire_put_u8(body, (uint8_t)reply->cipher));
    TRY(wire_put_bool(body, reply->sha1));
    return wire_put_u8(body, reply->generation);
}

err_t *keeper_scep_issue(keeper_t *keeper, const keeper_request_t *request,
                         const keeper_scep_reply_t *reply, buf_t *ret_certificate,
                         buf_t *ret_certrep) {
    CLEANUP(buf_done) buf_t body, answer;
    body_init(&body);
    body_init(&answer);
    TRY(put_request(&body, request));
    TRY(keeper_put_reply(&body, reply));
    TRY(ask_once(keeper, KEEPER_SCEP_ISSUE, &body, &answer));
    wire_reader_t r = wire_reader(buf_bytes(&answer));
    bytes_t certificate, certrep;
    TRY(wire_get_bytes(&r, LIMIT_CERTIFICATE_BYTES, &certificate));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &certrep));
    TRY(wire_done(&r));
    size_t before = ret_certificate->n;
    TRY(buf_add(ret_certificate, certificate));
    err_t *e = buf_add(ret_certrep, certrep);
    if (e) ret_certificate->n = before;
    return e;
}

err_t *keeper_scep_repeat(keeper_t *keeper, bytes_t fingerprint, const keeper_scep_reply_t *reply,
                          buf_t *ret_certrep) {
    if (fingerprint.n != CERT_SHA256_SIZE) return err_new(ERR_USAGE, "not a SHA-256 fingerprint");
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(buf_add(&body, fingerprint));
    TRY(keeper_put_reply(&body, reply));
    return ask_bytes(keeper, KEEPER_SCEP_REPEAT, &body, ret_certrep);
}

static err_t *refuse(keeper_t *keeper, keeper_scep_status_t status, scep_fail_info_t info,
                     const char *text, const keeper_scep_reply_t *reply, buf_t *ret_certrep) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(wire_put_u8(&body, (uint8_t)status));
    TRY(wire_put_u8(&body, (uint8_t)info));
    TRY(wire_put_str(&body, text));
    TRY(keeper_put_reply(&body, reply));
    return ask_bytes(keeper, KEEPER_SCEP_REFUSE, &body, ret_certrep);
}

err_t *keeper_scep_refuse(keeper_t *keeper, scep_fail_info_t info, const char *text,
                          const keeper_scep_reply_t *reply, buf_t *ret_certrep) {
    return refuse(keeper, SCEP_STATUS_FAILURE, info, text, reply, ret_certrep);
}

err_t *keeper_scep_pending(keeper_t *keeper, const keeper_scep_reply_t *reply, buf_t *ret_certrep) {
    return refuse(keeper, SCEP_STATUS_PENDING, SCEP_FAIL_BAD_ALG, "", reply, ret_certrep);
}

err_t *keeper_sign_profile(keeper_t *keeper, bytes_t profile, buf_t *ret_der) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(wire_put_bytes(&body, profile));
    return ask_bytes(keeper, KEEPER_SIGN_PROFILE, &body, ret_der);
}

err_t *keeper_seal_profile(keeper_t *keeper, bytes_t fingerprint, bytes_t payloads,
                           cms_cipher_t cipher, buf_t *ret_der) {
    if (fingerprint.n != CERT_SHA256_SIZE) return err_new(ERR_USAGE, "not a SHA-256 fingerprint");
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(buf_add(&body, fingerprint));
    TRY(wire_put_u8(&body, (uint8_t)cipher));
    TRY(wire_put_bytes(&body, payloads));
    return ask_bytes(keeper, KEEPER_SEAL_PROFILE, &body, ret_der);
}

err_t *keeper_seal_secret(keeper_t *keeper, const char *kind, const char *device, int64_t version,
                          bytes_t secret, buf_t *ret_sealed) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(wire_put_str(&body, kind));
    TRY(wire_put_str(&body, device));
    TRY(wire_put_i64(&body, version));
    TRY(wire_put_bytes(&body, secret));
    return ask_bytes(keeper, KEEPER_SEAL_SECRET, &body, ret_sealed);
}

err_t *keeper_fill_secret(keeper_t *keeper, const char *kind, const char *device, int64_t version,
                          const char *command_uuid, bytes_t sealed, buf_t *ret_secret) {
    if (!ret_secret->secret) return err_new(ERR_USAGE, "a secret needs a secret buffer");
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(wire_put_str(&body, kind));
    TRY(wire_put_str(&body, device));
    TRY(wire_put_i64(&body, version));
    TRY(wire_put_str(&body, command_uuid));
    TRY(wire_put_bytes(&body, sealed));
    return ask_bytes_once(keeper, KEEPER_FILL_SECRET, &body, ret_secret);
}

err_t *keeper_sign_audit_head(keeper_t *keeper, const char *node, int64_t seq,
                              const uint8_t hash[32], int64_t unix_ms, buf_t *ret_signature) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(wire_put_str(&body, node));
    TRY(wire_put_i64(&body, seq));
    TRY(buf_add(&body, bytes_make(hash, 32)));
    TRY(wire_put_i64(&body, unix_ms));
    return ask_bytes(keeper, KEEPER_SIGN_AUDIT_HEAD, &body, ret_signature);
}

err_t *keeper_log(keeper_t *keeper, uint64_t after, buf_t *ret_lines, uint64_t *ret_last) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_u64(&body, after));
    TRY(ask(keeper, KEEPER_LOG, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    uint64_t last;
    bytes_t lines;
    TRY(wire_get_u64(&r, &last));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &lines));
    TRY(wire_done(&r));
    TRY(buf_add(ret_lines, lines));
    *ret_last = last;
    return NULL;
}
