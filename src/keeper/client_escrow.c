/*
 * The asking half of escrow: see client_escrow.h. Any program but the keeper, any thread.
 */
#include "keeper/client_escrow.h"

#include "ipc/frame.h"

enum { CHUNK = 48 }; /* objects in one request: the answers of so many fit in a frame */

static void body_init(buf_t *body) { buf_init_secret(body, FRAME_BODY_MAX); }

/* ---- officers ---- */

err_t *keeper_officers_activate(keeper_t *keeper, bytes_t set, const bytes_t *signatures,
                                size_t signatures_n) {
    if (signatures_n > LIMIT_ESCROW_OFFICERS) return err_new(ERR_LIMIT, "too many signatures");
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_bytes(&body, set));
    TRY(wire_put_u16(&body, (uint16_t)signatures_n));
    for (size_t i = 0; i < signatures_n; i++) TRY(wire_put_bytes(&body, signatures[i]));
    return keeper_call(keeper, KEEPER_OFFICERS_ACTIVATE, &body, &reply);
}

err_t *keeper_officers_set(keeper_t *keeper, buf_t *ret_set) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t set;
    body_init(&body);
    body_init(&reply);
    TRY(keeper_call(keeper, KEEPER_OFFICERS_SET, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &set));
    TRY(wire_done(&r));
    return buf_add(ret_set, set);
}

/* ---- archiving ---- */

void keeper_archived_init(keeper_archived_t *archived) {
    *archived = (keeper_archived_t){0};
    buf_init(&archived->blob, FRAME_BODY_MAX);
    buf_init(&archived->wrap, FRAME_BODY_MAX);
    buf_init(&archived->shares, FRAME_BODY_MAX);
    buf_init(&archived->certificate, LIMIT_CERTIFICATE_BYTES);
}

void keeper_archived_done(keeper_archived_t *archived) {
    buf_done(&archived->blob);
    buf_done(&archived->wrap);
    buf_done(&archived->shares);
    buf_done(&archived->certificate);
}

err_t *keeper_archived_get(wire_reader_t *r, keeper_archived_t *ret_archived) {
    keeper_archived_t *ret = ret_archived;
    bytes_t blob, wrap, shares, certificate;
    TRY(escrow_object_get(r, &ret->object));
    TRY(wire_get_bytes(r, FRAME_BODY_MAX, &blob));
    TRY(wire_get_bytes(r, FRAME_BODY_MAX, &wrap));
    TRY(wire_get_u64(r, &ret->epoch));
    TRY(wire_get_bytes(r, FRAME_BODY_MAX, &shares));
    TRY(wire_get_bytes(r, LIMIT_CERTIFICATE_BYTES, &certificate));
    TRY(wire_done(r));
    TRY(buf_add(&ret->blob, blob));
    TRY(buf_add(&ret->wrap, wrap));
    TRY(buf_add(&ret->shares, shares));
    return buf_add(&ret->certificate, certificate);
}

/* Not repeated: a second one would find the first's version recorded. */
static err_t *archive(keeper_t *keeper, keeper_intent_t intent, const buf_t *body,
                      keeper_archived_t *ret_archived) {
    CLEANUP(buf_done) buf_t reply;
    body_init(&reply);
    TRY(keeper_call_once(keeper, intent, body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    return keeper_archived_get(&r, ret_archived);
}

static err_t *put_object(const escrow_object_t *object, keeper_wrap_t wrap, buf_t *body) {
    TRY(escrow_object_put(object, body));
    return wire_put_u8(body, (uint8_t)wrap);
}

err_t *keeper_escrow_archive(keeper_t *keeper, const escrow_object_t *object, keeper_wrap_t wrap,
                             bytes_t secret, keeper_archived_t *ret_archived) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(put_object(object, wrap, &body));
    TRY(wire_put_bytes(&body, secret));
    return archive(keeper, KEEPER_ESCROW_ARCHIVE, &body, ret_archived);
}

err_t *keeper_escrow_make_smime(keeper_t *keeper, const escrow_object_t *object, keeper_wrap_t wrap,
                                const keeper_smime_t *smime, keeper_archived_t *ret_archived) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(put_object(object, wrap, &body));
    TRY(wire_put_str(&body, smime->profile));
    TRY(wire_put_str(&body, smime->email));
    TRY(wire_put_str(&body, smime->name));
    return archive(keeper, KEEPER_ESCROW_SMIME, &body, ret_archived);
}

err_t *keeper_escrow_import(keeper_t *keeper, const escrow_object_t *object, keeper_wrap_t wrap,
                            bytes_t p12, bytes_t password, keeper_archived_t *ret_archived) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(put_object(object, wrap, &body));
    TRY(wire_put_bytes(&body, p12));
    TRY(wire_put_bytes(&body, password));
    return archive(keeper, KEEPER_ESCROW_IMPORT, &body, ret_archived);
}

/* ---- batches ---- */

static err_t *ask_batch(keeper_t *keeper, keeper_intent_t intent, const keeper_stored_t *list,
                        size_t n, buf_t *reply) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(wire_put_u16(&body, (uint16_t)n));
    for (size_t i = 0; i < n; i++) {
        TRY(escrow_object_put(&list[i].object, &body));
        TRY(buf_add(&body, BYTES_ARRAY(list[i].blob_hash)));
        TRY(wire_put_bytes(&body, list[i].wrap));
    }
    return keeper_call(keeper, intent, &body, reply);
}

/* One entry: what was made, or why it was refused. */
static err_t *read_entry(wire_reader_t *r, bytes_t *ret_made, err_t **ret_refused) {
    bool made = false;
    uint8_t code = 0;
    bytes_t text;
    TRY(wire_get_bool(r, &made));
    if (made) return wire_get_bytes(r, FRAME_BODY_MAX, ret_made);
    TRY(wire_get_u8(r, &code));
    TRY(wire_get_bytes(r, LIMIT_FRAME_ERROR, &text));
    *ret_refused = err_new((err_code_t)code, "%.*s", (int)text.n, (const char *)text.p);
    return NULL;
}

static err_t *check_count(wire_reader_t *r, size_t n) {
    uint16_t count = 0;
    TRY(wire_get_u16(r, &count));
    return count == n ? NULL : err_new(ERR_INTERNAL, "the keeper answered %u of %zu", count, n);
}

static err_t *deal_chunk(keeper_t *keeper, const keeper_stored_t *list, size_t n, size_t first,
                         keeper_take_shares_t take, void *arg) {
    CLEANUP(buf_done) buf_t reply;
    body_init(&reply);
    uint64_t epoch = 0;
    TRY(ask_batch(keeper, KEEPER_ESCROW_DEAL, list, n, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_u64(&r, &epoch));
    TRY(check_count(&r, n));
    for (size_t i = 0; i < n; i++) {
        bytes_t shares = BYTES_NONE;
        err_t *refused = NULL;
        TRY(read_entry(&r, &shares, &refused));
        err_t *e = take(arg, first + i, epoch, shares, refused);
        err_free(refused);
        if (e) return e;
    }
    return wire_done(&r);
}

err_t *keeper_escrow_deal(keeper_t *keeper, const keeper_stored_t *list, size_t n,
                          keeper_take_shares_t take, void *arg) {
    for (size_t at = 0; at < n; at += CHUNK)
        TRY(deal_chunk(keeper, list + at, n - at < CHUNK ? n - at : CHUNK, at, take, arg));
    return NULL;
}

static err_t *rewrap_chunk(keeper_t *keeper, const keeper_stored_t *list, size_t n, size_t first,
                           keeper_take_wrap_t take, void *arg) {
    CLEANUP(buf_done) buf_t reply;
    body_init(&reply);
    TRY(ask_batch(keeper, KEEPER_ESCROW_REWRAP, list, n, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(check_count(&r, n));
    for (size_t i = 0; i < n; i++) {
        bytes_t wrap = BYTES_NONE;
        err_t *refused = NULL;
        TRY(read_entry(&r, &wrap, &refused));
        err_t *e = take(arg, first + i, wrap, refused);
        err_free(refused);
        if (e) return e;
    }
    return wire_done(&r);
}

err_t *keeper_escrow_rewrap(keeper_t *keeper, const keeper_stored_t *list, size_t n,
                            keeper_take_wrap_t take, void *arg) {
    for (size_t at = 0; at < n; at += CHUNK)
        TRY(rewrap_chunk(keeper, list + at, n - at < CHUNK ? n - at : CHUNK, at, take, arg));
    return NULL;
}

/* ---- storage keys ---- */

static err_t *read_number(const buf_t *reply, uint32_t *ret_number) {
    wire_reader_t r = wire_reader(buf_bytes(reply));
    uint32_t number = 0;
    TRY(wire_get_u32(&r, &number));
    TRY(wire_done(&r));
    *ret_number = number;
    return NULL;
}

err_t *keeper_storage_key(keeper_t *keeper, uint32_t *ret_number) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(keeper_call(keeper, KEEPER_STORAGE_KEY, &body, &reply));
    return read_number(&reply, ret_number);
}

err_t *keeper_storage_key_new(keeper_t *keeper, uint32_t *ret_number) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(keeper_call_once(keeper, KEEPER_STORAGE_KEY_NEW, &body, &reply));
    return read_number(&reply, ret_number);
}

/* ---- use ---- */

static err_t *put_stored(const escrow_object_t *object, bytes_t blob, bytes_t wrap, buf_t *body) {
    TRY(escrow_object_put(object, body));
    TRY(wire_put_bytes(body, blob));
    return wire_put_bytes(body, wrap);
}

err_t *keeper_escrow_drill(keeper_t *keeper, const escrow_object_t *object, bytes_t blob,
                           bytes_t wrap) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(put_stored(object, blob, wrap, &body));
    return keeper_call(keeper, KEEPER_ESCROW_DRILL, &body, &reply);
}

err_t *keeper_escrow_fill(keeper_t *keeper, const escrow_object_t *object, bytes_t blob,
                          bytes_t wrap, const char *command_uuid, buf_t *ret_secret) {
    if (!ret_secret->secret) return err_new(ERR_USAGE, "a secret needs a secret buffer");
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t secret;
    body_init(&body);
    body_init(&reply);
    TRY(put_stored(object, blob, wrap, &body));
    TRY(wire_put_str(&body, command_uuid));
    TRY(keeper_call_once(keeper, KEEPER_ESCROW_FILL, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &secret));
    TRY(wire_done(&r));
    return buf_add(ret_secret, secret);
}

/* ---- delivery ---- */

static err_t *put_delivered(const keeper_delivered_t *key, buf_t *body) {
    TRY(put_stored(&key->object, key->blob, key->wrap, body));
    return wire_put_bytes(body, key->certificate);
}

err_t *keeper_escrow_deliver(keeper_t *keeper, const keeper_delivery_t *d, buf_t *ret_envelope) {
    if (d->fingerprint.n != CERT_SHA256_SIZE) return err_new(ERR_USAGE, "not a fingerprint");
    if (d->keys_n > LIMIT_ESCROW_PAYLOADS || d->signatures_n > LIMIT_ESCROW_OFFICERS)
        return err_new(ERR_LIMIT, "too many keys or signatures");
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t envelope;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, d->person));
    TRY(buf_add(&body, d->fingerprint));
    TRY(wire_put_u8(&body, (uint8_t)d->cipher));
    TRY(wire_put_bool(&body, d->old_p12));
    TRY(wire_put_bytes(&body, d->payloads));
    TRY(wire_put_i64(&body, d->expires));
    TRY(wire_put_str(&body, d->mailboxes ? d->mailboxes : ""));
    TRY(wire_put_u16(&body, (uint16_t)d->signatures_n));
    for (size_t i = 0; i < d->signatures_n; i++) TRY(wire_put_bytes(&body, d->signatures[i]));
    TRY(wire_put_u16(&body, (uint16_t)d->keys_n));
    for (size_t i = 0; i < d->keys_n; i++) TRY(put_delivered(&d->keys[i], &body));
    TRY(keeper_call_once(keeper, KEEPER_ESCROW_DELIVER, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &envelope));
    TRY(wire_done(&r));
    return buf_add(ret_envelope, envelope);
}
