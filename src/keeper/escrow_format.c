/*
 * Objects, blobs, wraps and shares as bytes: see escrow_format.h. Pure; any process, any thread.
 */
#include "keeper/escrow_format.h"

#include "base/text.h"
#include "crypto/digest.h"
#include "keeper/escrow_codec.h"

enum { OBJECT_MAX = 1024 }; /* bytes of an encoded object */

/* ---- what the records have in common ---- */

err_t *escrow_put_head(buf_t *out, const char letters[2]) {
    return record_put_head(out, letters, ESCROW_VERSION);
}

err_t *escrow_get_head(wire_reader_t *r, const char letters[2]) {
    return record_get_head(r, letters, ESCROW_VERSION);
}

err_t *escrow_check_indices(const uint8_t *indices, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (indices[i] <= (i ? indices[i - 1] : 0))
            return err_new(ERR_INVALID, "officers' indices are not ascending from 1");
    return NULL;
}

err_t *escrow_put_indices(buf_t *out, uint8_t n, const uint8_t *indices) {
    if (n > LIMIT_ESCROW_OFFICERS) return err_new(ERR_LIMIT, "too many officers");
    TRY(escrow_check_indices(indices, n));
    TRY(wire_put_u8(out, n));
    return record_put_raw(out, indices, n);
}

err_t *escrow_get_indices(wire_reader_t *r, uint8_t *ret_n,
                          uint8_t ret_indices[LIMIT_ESCROW_OFFICERS]) {
    uint8_t n = 0;
    TRY(wire_get_u8(r, &n));
    if (n > LIMIT_ESCROW_OFFICERS) return err_new(ERR_LIMIT, "too many officers");
    TRY(record_get_raw(r, n, ret_indices));
    TRY(escrow_check_indices(ret_indices, n));
    *ret_n = n;
    return NULL;
}

/* ---- ids ---- */

err_t *escrow_id_parse(bytes_t text, uint8_t ret_id[ESCROW_ID]) {
    CLEANUP(buf_done) buf_t id;
    buf_init(&id, ESCROW_ID);
    err_t *e = text.n == ESCROW_ID_TEXT - 1 ? text_unhex(text, &id) : NULL;
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (id.n != ESCROW_ID) return err_new(ERR_INVALID, "an id has 32 hex digits");
    memcpy(ret_id, id.p, ESCROW_ID);
    return NULL;
}

void escrow_id_text(const uint8_t id[ESCROW_ID], char ret_text[ESCROW_ID_TEXT]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < ESCROW_ID; i++) {
        ret_text[2 * i] = digits[id[i] >> 4];
        ret_text[2 * i + 1] = digits[id[i] & 15];
    }
    ret_text[2 * ESCROW_ID] = '\0';
}

/* ---- objects ---- */

static err_t *check_object(const escrow_object_t *object) {
    if (object->version == 0 || object->version > INT64_MAX)
        return err_new(ERR_INVALID, "an object's version counts from 1");
    for (const char *c = object->kind; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-'))
            return err_new(ERR_INVALID, "a kind has lower-case letters, digits and '-'");
    return NULL;
}

err_t *escrow_object_put(const escrow_object_t *object, buf_t *out) {
    TRY(check_object(object));
    TRY(record_put_raw(out, object->id, ESCROW_ID));
    TRY(record_put_text(out, LIMIT_ESCROW_KIND, false, "kind", object->kind));
    TRY(record_put_text(out, LIMIT_ESCROW_OWNER, true, "owner", object->owner));
    TRY(record_put_text(out, LIMIT_DEVICE_ID, true, "device", object->device));
    TRY(wire_put_bool(out, object->has_spki));
    if (object->has_spki) TRY(record_put_raw(out, object->spki, ESCROW_HASH));
    return wire_put_u64(out, object->version);
}

err_t *escrow_object_get(wire_reader_t *r, escrow_object_t *ret_object) {
    escrow_object_t object = {0};
    TRY(record_get_raw(r, ESCROW_ID, object.id));
    TRY(record_get_text(r, LIMIT_ESCROW_KIND, false, "kind", object.kind));
    TRY(record_get_text(r, LIMIT_ESCROW_OWNER, true, "owner", object.owner));
    TRY(record_get_text(r, LIMIT_DEVICE_ID, true, "device", object.device));
    TRY(wire_get_bool(r, &object.has_spki));
    if (object.has_spki) TRY(record_get_raw(r, ESCROW_HASH, object.spki));
    TRY(wire_get_u64(r, &object.version));
    TRY(check_object(&object));
    *ret_object = object;
    return NULL;
}

err_t *escrow_object_hash(const escrow_object_t *object, uint8_t ret_hash[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, OBJECT_MAX);
    TRY(escrow_put_head(&record, "OB"));
    TRY(escrow_object_put(object, &record));
    return digest_sha256(buf_bytes(&record), ret_hash);
}

/* ---- blob and wrap ---- */

static err_t *check_blob(const escrow_blob_t *blob) {
    if (blob->commit.n != ESCROW_HASH || blob->sealed.n <= ESCROW_NONCE_TAG)
        return err_new(ERR_INVALID, "a blob is too short");
    if (blob->sealed.n > LIMIT_ESCROW_SECRET + ESCROW_NONCE_TAG)
        return err_new(ERR_LIMIT, "a blob is too long");
    return NULL;
}

err_t *escrow_blob_put(const escrow_blob_t *blob, buf_t *out) {
    TRY(check_blob(blob));
    TRY(escrow_put_head(out, "BL"));
    TRY(buf_add(out, blob->commit));
    return buf_add(out, blob->sealed);
}

err_t *escrow_blob_parse(bytes_t record, escrow_blob_t *ret_blob) {
    wire_reader_t r = wire_reader(record);
    escrow_blob_t blob;
    TRY(escrow_get_head(&r, "BL"));
    TRY(wire_get_raw(&r, ESCROW_HASH, &blob.commit));
    blob.sealed = r.rest;
    TRY(check_blob(&blob));
    *ret_blob = blob;
    return NULL;
}

err_t *escrow_wrap_put(const escrow_wrap_t *wrap, buf_t *out) {
    if (wrap->storage_key == 0 || wrap->sealed.n != ESCROW_KEY + ESCROW_NONCE_TAG)
        return err_new(ERR_INVALID, "a wrap of the wrong length or key number");
    TRY(escrow_put_head(out, "WR"));
    TRY(wire_put_u32(out, wrap->storage_key));
    return buf_add(out, wrap->sealed);
}

err_t *escrow_wrap_parse(bytes_t record, escrow_wrap_t *ret_wrap) {
    wire_reader_t r = wire_reader(record);
    escrow_wrap_t wrap;
    TRY(escrow_get_head(&r, "WR"));
    TRY(wire_get_u32(&r, &wrap.storage_key));
    TRY(wire_get_raw(&r, ESCROW_KEY + ESCROW_NONCE_TAG, &wrap.sealed));
    TRY(wire_done(&r));
    if (wrap.storage_key == 0) return err_new(ERR_INVALID, "there is no storage key 0");
    *ret_wrap = wrap;
    return NULL;
}

/* ---- shares ---- */

/* Dealt by the keeper: no dealers. Dealt by officers: of an earlier epoch, the dealer one of them.
 */
static err_t *check_share(const escrow_share_t *share) {
    if (share->epoch == 0 || share->index == 0 || share->threshold == 0)
        return err_new(ERR_INVALID, "a share without epoch, index or threshold");
    if (share->dealer == 0) {
        if (share->from_epoch == 0 && share->dealers_n == 0) return NULL;
        return err_new(ERR_INVALID, "a share of the keeper with dealers");
    }
    if (share->from_epoch == 0 || share->from_epoch >= share->epoch || share->dealers_n == 0 ||
        !memchr(share->dealers, share->dealer, share->dealers_n))
        return err_new(ERR_INVALID, "a share's dealer is none of its dealers");
    return NULL;
}

err_t *escrow_share_put(const escrow_share_t *share, buf_t *out) {
    TRY(check_share(share));
    TRY(escrow_put_head(out, "SH"));
    TRY(wire_put_u64(out, share->epoch));
    TRY(record_put_text(out, LIMIT_ESCROW_OFFICER, false, "officer", share->officer));
    TRY(wire_put_u8(out, share->index));
    TRY(wire_put_u8(out, share->threshold));
    TRY(wire_put_u64(out, share->from_epoch));
    TRY(wire_put_u8(out, share->dealer));
    TRY(escrow_put_indices(out, share->dealers_n, share->dealers));
    TRY(record_put_raw(out, share->check, ESCROW_CHECK));
    TRY(record_put_raw(out, share->enc, ESCROW_ENC));
    return record_put_raw(out, share->sealed, ESCROW_SHARE_SEALED);
}

err_t *escrow_share_parse(bytes_t record, escrow_share_t *ret_share) {
    wire_reader_t r = wire_reader(record);
    escrow_share_t share = {0};
    TRY(escrow_get_head(&r, "SH"));
    TRY(wire_get_u64(&r, &share.epoch));
    TRY(record_get_text(&r, LIMIT_ESCROW_OFFICER, false, "officer", share.officer));
    TRY(wire_get_u8(&r, &share.index));
    TRY(wire_get_u8(&r, &share.threshold));
    TRY(wire_get_u64(&r, &share.from_epoch));
    TRY(wire_get_u8(&r, &share.dealer));
    TRY(escrow_get_indices(&r, &share.dealers_n, share.dealers));
    TRY(record_get_raw(&r, ESCROW_CHECK, share.check));
    TRY(record_get_raw(&r, ESCROW_ENC, share.enc));
    TRY(record_get_raw(&r, ESCROW_SHARE_SEALED, share.sealed));
    TRY(wire_done(&r));
    TRY(check_share(&share));
    *ret_share = share;
    return NULL;
}
