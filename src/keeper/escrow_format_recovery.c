/*
 * Requests, approvals and re-dealings as bytes: see escrow_format.h. Pure; any process.
 */
#include "crypto/digest.h"
#include "keeper/escrow_codec.h"

enum {
    REQUEST_MAX = 8 * 1024,                    /* bytes */
    PART = ESCROW_CHECK + ESCROW_SHARE_SEALED, /* bytes of an item for one officer */
    ITEM_HEAD = ESCROW_ID + (int)sizeof(uint64_t) + ESCROW_HASH, /* bytes before the parts */
};

/* ---- requests ---- */

static err_t *check_request(const escrow_request_t *request) {
    if (request->epoch == 0 || request->threshold < 2)
        return err_new(ERR_INVALID, "a request without epoch or threshold");
    if (request->created < 0 || request->expires <= request->created ||
        request->expires - request->created > LIMIT_ESCROW_REQUEST_S)
        return err_new(ERR_INVALID, "a request must expire within %d days",
                       LIMIT_ESCROW_REQUEST_S / 86400);
    return NULL;
}

err_t *escrow_request_put(const escrow_request_t *request, buf_t *out) {
    TRY(check_request(request));
    TRY(escrow_put_head(out, "RQ"));
    TRY(record_put_raw(out, request->id, ESCROW_ID));
    TRY(escrow_object_put(&request->object, out));
    TRY(record_put_raw(out, request->blob_hash, ESCROW_HASH));
    TRY(wire_put_u64(out, request->epoch));
    TRY(record_put_raw(out, request->set_hash, ESCROW_HASH));
    TRY(wire_put_u8(out, request->threshold));
    TRY(record_put_text(out, LIMIT_ESCROW_OWNER, false, "requester", request->requester));
    TRY(record_put_text(out, LIMIT_NAME, false, "recipient", request->recipient));
    TRY(record_put_text(out, LIMIT_ESCROW_REASON, false, "reason", request->reason));
    TRY(record_put_text(out, LIMIT_ESCROW_TICKET, true, "ticket", request->ticket));
    TRY(record_put_raw(out, request->recipient_key, ESCROW_KEY));
    TRY(wire_put_i64(out, request->created));
    return wire_put_i64(out, request->expires);
}

err_t *escrow_request_parse(bytes_t record, escrow_request_t *ret_request) {
    wire_reader_t r = wire_reader(record);
    escrow_request_t request = {0};
    TRY(escrow_get_head(&r, "RQ"));
    TRY(record_get_raw(&r, ESCROW_ID, request.id));
    TRY(escrow_object_get(&r, &request.object));
    TRY(record_get_raw(&r, ESCROW_HASH, request.blob_hash));
    TRY(wire_get_u64(&r, &request.epoch));
    TRY(record_get_raw(&r, ESCROW_HASH, request.set_hash));
    TRY(wire_get_u8(&r, &request.threshold));
    TRY(record_get_text(&r, LIMIT_ESCROW_OWNER, false, "requester", request.requester));
    TRY(record_get_text(&r, LIMIT_NAME, false, "recipient", request.recipient));
    TRY(record_get_text(&r, LIMIT_ESCROW_REASON, false, "reason", request.reason));
    TRY(record_get_text(&r, LIMIT_ESCROW_TICKET, true, "ticket", request.ticket));
    TRY(record_get_raw(&r, ESCROW_KEY, request.recipient_key));
    TRY(wire_get_i64(&r, &request.created));
    TRY(wire_get_i64(&r, &request.expires));
    TRY(wire_done(&r));
    TRY(check_request(&request));
    *ret_request = request;
    return NULL;
}

err_t *escrow_request_hash(const escrow_request_t *request, uint8_t ret_hash[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, REQUEST_MAX);
    TRY(escrow_request_put(request, &record));
    return digest_sha256(buf_bytes(&record), ret_hash);
}

/* ---- approvals ---- */

err_t *escrow_approval_message(const escrow_approval_t *approval, buf_t *out) {
    if (approval->index == 0) return err_new(ERR_INVALID, "an approval without an index");
    TRY(escrow_put_head(out, "AP"));
    TRY(record_put_raw(out, approval->request_hash, ESCROW_HASH));
    TRY(record_put_text(out, LIMIT_ESCROW_OFFICER, false, "officer", approval->officer));
    TRY(wire_put_u8(out, approval->index));
    TRY(record_put_raw(out, approval->check, ESCROW_CHECK));
    TRY(record_put_raw(out, approval->sealed, ESCROW_APPROVAL_SEALED));
    return wire_put_i64(out, approval->approved);
}

err_t *escrow_approval_put(const escrow_approval_t *approval, buf_t *out) {
    TRY(escrow_approval_message(approval, out));
    return record_put_raw(out, approval->signature, ESCROW_SIGNATURE);
}

err_t *escrow_approval_parse(bytes_t record, escrow_approval_t *ret_approval) {
    wire_reader_t r = wire_reader(record);
    escrow_approval_t approval = {0};
    TRY(escrow_get_head(&r, "AP"));
    TRY(record_get_raw(&r, ESCROW_HASH, approval.request_hash));
    TRY(record_get_text(&r, LIMIT_ESCROW_OFFICER, false, "officer", approval.officer));
    TRY(wire_get_u8(&r, &approval.index));
    TRY(record_get_raw(&r, ESCROW_CHECK, approval.check));
    TRY(record_get_raw(&r, ESCROW_APPROVAL_SEALED, approval.sealed));
    TRY(wire_get_i64(&r, &approval.approved));
    TRY(record_get_raw(&r, ESCROW_SIGNATURE, approval.signature));
    TRY(wire_done(&r));
    if (approval.index == 0) return err_new(ERR_INVALID, "an approval without an index");
    *ret_approval = approval;
    return NULL;
}

/* ---- re-dealing ---- */

static size_t item_size(const escrow_redeal_t *redeal) {
    return ITEM_HEAD + (size_t)redeal->officers_n * PART;
}

static err_t *check_redeal(const escrow_redeal_t *redeal) {
    if (redeal->from_epoch == 0 || redeal->to_epoch <= redeal->from_epoch ||
        redeal->to_epoch > INT64_MAX)
        return err_new(ERR_INVALID, "a re-dealing goes from an epoch to a later one");
    if (redeal->dealers_n == 0 || !memchr(redeal->dealers, redeal->dealer, redeal->dealers_n))
        return err_new(ERR_INVALID, "the dealer is none of the dealers");
    if (redeal->threshold < 2 || redeal->threshold > redeal->officers_n)
        return err_new(ERR_INVALID, "a re-dealing with a wrong threshold");
    if (redeal->count == 0 || redeal->count > LIMIT_ESCROW_REDEAL_BATCH)
        return err_new(ERR_LIMIT, "a re-dealing has 1 to %d objects", LIMIT_ESCROW_REDEAL_BATCH);
    if (redeal->items.n != redeal->count * item_size(redeal))
        return err_new(ERR_INVALID, "a re-dealing's length is not that of its objects");
    return NULL;
}

err_t *escrow_redeal_put(const escrow_redeal_t *redeal, buf_t *out) {
    TRY(check_redeal(redeal));
    TRY(escrow_put_head(out, "RD"));
    TRY(wire_put_u64(out, redeal->from_epoch));
    TRY(wire_put_u64(out, redeal->to_epoch));
    TRY(record_put_raw(out, redeal->from_set, ESCROW_HASH));
    TRY(record_put_raw(out, redeal->to_set, ESCROW_HASH));
    TRY(record_put_text(out, LIMIT_ESCROW_OFFICER, false, "officer", redeal->officer));
    TRY(wire_put_u8(out, redeal->dealer));
    TRY(escrow_put_indices(out, redeal->dealers_n, redeal->dealers));
    TRY(wire_put_u8(out, redeal->threshold));
    TRY(escrow_put_indices(out, redeal->officers_n, redeal->indices));
    for (size_t k = 0; k < redeal->officers_n; k++)
        TRY(record_put_raw(out, redeal->encs[k], ESCROW_ENC));
    TRY(wire_put_u32(out, (uint32_t)redeal->count));
    return buf_add(out, redeal->items);
}

static err_t *get_redeal_head(wire_reader_t *r, escrow_redeal_t *redeal) {
    TRY(escrow_get_head(r, "RD"));
    TRY(wire_get_u64(r, &redeal->from_epoch));
    TRY(wire_get_u64(r, &redeal->to_epoch));
    TRY(record_get_raw(r, ESCROW_HASH, redeal->from_set));
    TRY(record_get_raw(r, ESCROW_HASH, redeal->to_set));
    TRY(record_get_text(r, LIMIT_ESCROW_OFFICER, false, "officer", redeal->officer));
    TRY(wire_get_u8(r, &redeal->dealer));
    TRY(escrow_get_indices(r, &redeal->dealers_n, redeal->dealers));
    TRY(wire_get_u8(r, &redeal->threshold));
    TRY(escrow_get_indices(r, &redeal->officers_n, redeal->indices));
    for (size_t k = 0; k < redeal->officers_n; k++)
        TRY(record_get_raw(r, ESCROW_ENC, redeal->encs[k]));
    return NULL;
}

err_t *escrow_redeal_parse(bytes_t record, escrow_redeal_t *ret_redeal) {
    if (record.n > LIMIT_ESCROW_REDEAL) return err_new(ERR_LIMIT, "a re-dealing is too long");
    wire_reader_t r = wire_reader(record);
    escrow_redeal_t redeal = {0};
    uint32_t count = 0;
    TRY(get_redeal_head(&r, &redeal));
    TRY(wire_get_u32(&r, &count));
    if (count > LIMIT_ESCROW_REDEAL_BATCH) return err_new(ERR_LIMIT, "too many objects re-dealt");
    redeal.count = count;
    TRY(wire_get_raw(&r, redeal.count * item_size(&redeal), &redeal.items));
    redeal.message = bytes_make(record.p, record.n - r.rest.n);
    TRY(record_get_raw(&r, ESCROW_SIGNATURE, redeal.signature));
    TRY(wire_done(&r));
    TRY(check_redeal(&redeal));
    *ret_redeal = redeal;
    return NULL;
}

err_t *escrow_redeal_item_put(const escrow_redeal_item_t *item, buf_t *out) {
    TRY(record_put_raw(out, item->id, ESCROW_ID));
    TRY(wire_put_u64(out, item->version));
    TRY(record_put_raw(out, item->object_hash, ESCROW_HASH));
    return buf_add(out, item->parts);
}

err_t *escrow_redeal_item(const escrow_redeal_t *redeal, size_t index,
                          escrow_redeal_item_t *ret_item) {
    if (index >= redeal->count) return err_new(ERR_USAGE, "no such object in the re-dealing");
    size_t size = item_size(redeal);
    wire_reader_t r = wire_reader(bytes_slice(redeal->items, index * size, size));
    escrow_redeal_item_t item = {0};
    TRY(record_get_raw(&r, ESCROW_ID, item.id));
    TRY(wire_get_u64(&r, &item.version));
    TRY(record_get_raw(&r, ESCROW_HASH, item.object_hash));
    item.parts = r.rest;
    *ret_item = item;
    return NULL;
}

err_t *escrow_redeal_share(const escrow_redeal_t *redeal, const escrow_redeal_item_t *item,
                           const escrow_set_t *to_set, size_t k, escrow_share_t *ret_share) {
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_set_hash(to_set, hash));
    if (memcmp(hash, redeal->to_set, ESCROW_HASH) != 0 || to_set->epoch != redeal->to_epoch ||
        to_set->n != redeal->officers_n || k >= to_set->n ||
        to_set->officers[k].index != redeal->indices[k] || item->parts.n != to_set->n * PART)
        return err_new(ERR_VERIFY, "this was dealt to another set of officers");
    escrow_share_t share = {
        .epoch = redeal->to_epoch,
        .index = redeal->indices[k],
        .threshold = redeal->threshold,
        .from_epoch = redeal->from_epoch,
        .dealer = redeal->dealer,
        .dealers_n = redeal->dealers_n,
    };
    const uint8_t *part = item->parts.p + k * PART;
    memcpy(share.officer, to_set->officers[k].id, sizeof share.officer);
    memcpy(share.dealers, redeal->dealers, sizeof share.dealers);
    memcpy(share.enc, redeal->encs[k], ESCROW_ENC);
    memcpy(share.check, part, ESCROW_CHECK);
    memcpy(share.sealed, part + ESCROW_CHECK, ESCROW_SHARE_SEALED);
    *ret_share = share;
    return NULL;
}
