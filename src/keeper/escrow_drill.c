/*
 * Officers' drills as records: see escrow_drill.h. Pure.
 */
#include "keeper/escrow_drill.h"

#include "keeper/escrow_codec.h"

enum { MESSAGE_MAX = 512 };

static err_t *put_message(const escrow_drill_t *drill, buf_t *out) {
    TRY(escrow_put_head(out, "PD"));
    TRY(record_put_text(out, LIMIT_ESCROW_OFFICER, false, "officer", drill->officer));
    TRY(wire_put_u8(out, drill->index));
    TRY(record_put_raw(out, drill->set_hash, ESCROW_HASH));
    TRY(wire_put_u32(out, drill->sampled));
    TRY(wire_put_u32(out, drill->failed));
    TRY(record_put_raw(out, drill->digest, ESCROW_HASH));
    return wire_put_i64(out, drill->proved);
}

static err_t *check(const escrow_drill_t *drill) {
    if (drill->index == 0) return err_new(ERR_INVALID, "a drill without an index");
    if (drill->failed > drill->sampled)
        return err_new(ERR_INVALID, "a drill with more failures than objects");
    return NULL;
}

err_t *escrow_drill_put(const escrow_drill_t *drill, buf_t *out) {
    TRY(check(drill));
    TRY(put_message(drill, out));
    return record_put_raw(out, drill->signature, ESCROW_SIGNATURE);
}

err_t *escrow_drill_parse(bytes_t record, escrow_drill_t *ret_drill) {
    wire_reader_t r = wire_reader(record);
    escrow_drill_t drill = {0};
    TRY(escrow_get_head(&r, "PD"));
    TRY(record_get_text(&r, LIMIT_ESCROW_OFFICER, false, "officer", drill.officer));
    TRY(wire_get_u8(&r, &drill.index));
    TRY(record_get_raw(&r, ESCROW_HASH, drill.set_hash));
    TRY(wire_get_u32(&r, &drill.sampled));
    TRY(wire_get_u32(&r, &drill.failed));
    TRY(record_get_raw(&r, ESCROW_HASH, drill.digest));
    TRY(wire_get_i64(&r, &drill.proved));
    TRY(record_get_raw(&r, ESCROW_SIGNATURE, drill.signature));
    TRY(wire_done(&r));
    TRY(check(&drill));
    *ret_drill = drill;
    return NULL;
}

err_t *escrow_drill_note(const uint8_t object_hash[ESCROW_HASH], bool opened, buf_t *out) {
    TRY(record_put_raw(out, object_hash, ESCROW_HASH));
    return wire_put_u8(out, opened);
}

err_t *escrow_drill_sign(escrow_drill_t *drill, const pkey_t *sign_key) {
    CLEANUP(buf_done) buf_t message, signature;
    buf_init(&message, MESSAGE_MAX);
    buf_init(&signature, ESCROW_SIGNATURE);
    TRY(check(drill));
    TRY(put_message(drill, &message));
    TRY(pkey_sign(sign_key, ESCROW_DOMAIN_DRILL, buf_bytes(&message), &signature));
    if (signature.n != ESCROW_SIGNATURE) return err_new(ERR_USAGE, "drills are signed by Ed25519");
    memcpy(drill->signature, signature.p, ESCROW_SIGNATURE);
    return NULL;
}

err_t *escrow_drill_verify(const escrow_drill_t *drill, const escrow_set_t *set) {
    uint8_t hash[ESCROW_HASH];
    CLEANUP(buf_done) buf_t message;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    buf_init(&message, MESSAGE_MAX);
    TRY(escrow_set_hash(set, hash));
    const escrow_officer_t *officer = escrow_set_officer(set, drill->officer);
    if (!officer || officer->index != drill->index ||
        memcmp(hash, drill->set_hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "%s drilled as an officer of another set", drill->officer);
    TRY(put_message(drill, &message));
    TRY(pkey_from_raw_public(PKEY_ED25519, BYTES_ARRAY(officer->sign), &key));
    TRY_WRAP(
        pkey_verify(key, ESCROW_DOMAIN_DRILL, buf_bytes(&message), BYTES_ARRAY(drill->signature)),
        "drill of officer %s", officer->id);
    return NULL;
}
