/*
 * See client_revocation.h; read by intent_revocation.c. Runs in coffer-web, any thread.
 */
#include "keeper/client_revocation.h"

#include "base/limits.h"
#include "ipc/frame.h"
#include "ipc/wire.h"

enum {
    CHUNK = 256 * 1024, /* bytes of entries a frame */
    SIGNATURE_MAX = 2048,
};

static err_t *begin(keeper_t *keeper, const keeper_crl_t *crl, size_t entries_bytes,
                    uint64_t *ret_id, buf_t *head, buf_t *tail) {
    CLEANUP(buf_done) buf_t body, reply;
    buf_init(&body, FRAME_BODY_MAX);
    buf_init(&reply, FRAME_BODY_MAX);
    TRY(wire_put_str(&body, crl->issuer));
    TRY(wire_put_str(&body, crl->profile));
    TRY(wire_put_u64(&body, crl->number));
    TRY(wire_put_bool(&body, crl->delta));
    TRY(wire_put_u64(&body, crl->base_number));
    TRY(wire_put_i64(&body, crl->this_update));
    TRY(wire_put_i64(&body, crl->next_update));
    TRY(wire_put_u64(&body, entries_bytes));
    TRY(keeper_call(keeper, KEEPER_CRL_BEGIN, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    bytes_t first, last;
    TRY(wire_get_u64(&r, ret_id));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &first));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &last));
    TRY(wire_done(&r));
    TRY(buf_add(head, first));
    return buf_add(tail, last);
}

/* As many whole entries as fit into a frame. */
static size_t cut(bytes_t entries) {
    if (entries.n <= CHUNK) return entries.n;
    bytes_t rest = entries;
    crl_entry_t entry;
    while (entries.n - rest.n < CHUNK) {
        err_t *e = crl_entry_take(&rest, &entry);
        err_free(e);
        if (e) return entries.n > CHUNK ? CHUNK : entries.n; /* the keeper says what is wrong */
    }
    return entries.n - rest.n;
}

static err_t *add(keeper_t *keeper, const keeper_crl_t *crl, uint64_t id, bytes_t entries) {
    CLEANUP(buf_done) buf_t body, reply;
    buf_init(&body, FRAME_BODY_MAX);
    buf_init(&reply, FRAME_BODY_MAX);
    while (entries.n) {
        if (crl->stop && *crl->stop) return err_new(ERR_UNAVAILABLE, "stopped");
        size_t n = cut(entries);
        buf_clear(&body);
        buf_clear(&reply);
        TRY(wire_put_u64(&body, id));
        TRY(wire_put_bytes(&body, bytes_slice(entries, 0, n)));
        TRY(keeper_call(keeper, KEEPER_CRL_ADD, &body, &reply));
        entries = bytes_from(entries, n);
    }
    return NULL;
}

err_t *keeper_crl_sign(keeper_t *keeper, const keeper_crl_t *crl, bytes_t entries, buf_t *head,
                       buf_t *tail, buf_t *signature) {
    uint64_t id = 0;
    TRY(begin(keeper, crl, entries.n, &id, head, tail));
    TRY(add(keeper, crl, id, entries));
    CLEANUP(buf_done) buf_t body, reply;
    buf_init(&body, FRAME_BODY_MAX);
    buf_init(&reply, FRAME_BODY_MAX);
    TRY(wire_put_u64(&body, id));
    TRY(keeper_call(keeper, KEEPER_CRL_SIGN, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    bytes_t value;
    TRY(wire_get_bytes(&r, SIGNATURE_MAX, &value));
    TRY(wire_done(&r));
    return buf_add(signature, value);
}

static err_t *put_statuses(const keeper_ocsp_t *ask, buf_t *body) {
    TRY(wire_put_str(body, ask->issuer));
    TRY(wire_put_i64(body, ask->this_update));
    TRY(wire_put_i64(body, ask->next_update));
    TRY(wire_put_bool(body, ask->joint));
    TRY(wire_put_bytes(body, ask->nonce));
    TRY(wire_put_u16(body, (uint16_t)ask->n));
    for (size_t i = 0; i < ask->n; i++) {
        const ocsp_single_t *single = &ask->list[i];
        TRY(wire_put_bytes(body, single->serial));
        TRY(wire_put_u8(body, (uint8_t)single->hash));
        TRY(wire_put_u8(body, (uint8_t)single->status));
        TRY(wire_put_u8(body, (uint8_t)single->reason));
        TRY(wire_put_i64(body, single->revoked_at));
    }
    return NULL;
}

err_t *keeper_ocsp_sign(keeper_t *keeper, const keeper_ocsp_t *ask,
                        err_t *(*take)(void *arg, size_t index, bytes_t signature), void *arg,
                        cert_t **ret_responder) {
    if (ask->n == 0 || ask->n > LIMIT_KEEPER_OCSP_BATCH)
        return err_new(ERR_LIMIT, "%zu certificate statuses at once", ask->n);
    CLEANUP(buf_done) buf_t body, reply;
    CLEANUP(cert_free) cert_t *responder = NULL;
    buf_init(&body, FRAME_BODY_MAX);
    buf_init(&reply, FRAME_BODY_MAX);
    TRY(put_statuses(ask, &body));
    TRY(keeper_call(keeper, KEEPER_OCSP_SIGN, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    bytes_t der, signature;
    uint16_t count = 0;
    TRY(wire_get_bytes(&r, LIMIT_CERTIFICATE_BYTES, &der));
    TRY(cert_parse_der(der, &responder));
    TRY(wire_get_u16(&r, &count));
    if (count != (ask->joint ? 1 : ask->n))
        return err_new(ERR_INTERNAL, "the keeper signed %u statuses", count);
    for (size_t i = 0; i < count; i++) {
        TRY(wire_get_bytes(&r, SIGNATURE_MAX, &signature));
        TRY(take(arg, i, signature));
    }
    TRY(wire_done(&r));
    *ret_responder = STEAL(responder);
    return NULL;
}
