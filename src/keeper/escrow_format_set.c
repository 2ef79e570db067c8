/*
 * Officers, their set and their signatures as bytes: see escrow_format.h. Pure; any process.
 */
#include "crypto/digest.h"
#include "crypto/shamir.h"
#include "keeper/escrow_codec.h"

enum { SET_MAX = 16 * 1024, FINGERPRINT_MAX = 128 }; /* bytes */

/* ---- an officer's public file ---- */

err_t *escrow_officer_file_message(const escrow_officer_file_t *file, buf_t *out) {
    TRY(escrow_put_head(out, "OP"));
    TRY(record_put_text(out, LIMIT_ESCROW_LABEL, false, "label", file->label));
    TRY(record_put_raw(out, file->hpke, ESCROW_KEY));
    TRY(record_put_raw(out, file->sign, ESCROW_KEY));
    return wire_put_i64(out, file->created);
}

err_t *escrow_officer_file_put(const escrow_officer_file_t *file, buf_t *out) {
    TRY(escrow_officer_file_message(file, out));
    return record_put_raw(out, file->signature, ESCROW_SIGNATURE);
}

err_t *escrow_officer_file_parse(bytes_t record, escrow_officer_file_t *ret_file) {
    wire_reader_t r = wire_reader(record);
    escrow_officer_file_t file = {0};
    TRY(escrow_get_head(&r, "OP"));
    TRY(record_get_text(&r, LIMIT_ESCROW_LABEL, false, "label", file.label));
    TRY(record_get_raw(&r, ESCROW_KEY, file.hpke));
    TRY(record_get_raw(&r, ESCROW_KEY, file.sign));
    TRY(wire_get_i64(&r, &file.created));
    TRY(record_get_raw(&r, ESCROW_SIGNATURE, file.signature));
    TRY(wire_done(&r));
    *ret_file = file;
    return NULL;
}

err_t *escrow_officer_fingerprint(const uint8_t hpke[ESCROW_KEY], const uint8_t sign[ESCROW_KEY],
                                  uint8_t ret_fingerprint[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, FINGERPRINT_MAX);
    TRY(escrow_put_head(&text, "OF"));
    TRY(record_put_raw(&text, hpke, ESCROW_KEY));
    TRY(record_put_raw(&text, sign, ESCROW_KEY));
    return digest_sha256(buf_bytes(&text), ret_fingerprint);
}

/* ---- the set ---- */

/* One who is two officers would be two-person control by himself. */
static err_t *check_different(const escrow_officer_t *a, const escrow_officer_t *b) {
    if (strcmp(a->id, b->id) == 0) return err_new(ERR_INVALID, "officer %s comes twice", a->id);
    if (strcmp(a->person, b->person) == 0)
        return err_new(ERR_INVALID, "the person %s is two officers", a->person);
    if (memcmp(a->hpke, b->hpke, ESCROW_KEY) == 0 || memcmp(a->sign, b->sign, ESCROW_KEY) == 0)
        return err_new(ERR_INVALID, "officers %s and %s have the same key", a->id, b->id);
    return NULL;
}

static err_t *check_set(const escrow_set_t *set) {
    static const uint8_t none[ESCROW_HASH] = {0};
    bool first = memcmp(set->previous, none, sizeof none) == 0;
    if (set->epoch == 0 || set->epoch > INT64_MAX || first != (set->epoch == 1))
        return err_new(ERR_INVALID, "an officers' set with a wrong epoch or predecessor");
    if (set->n > LIMIT_ESCROW_OFFICERS) return err_new(ERR_LIMIT, "too many officers");
    if (set->threshold < 2 || set->threshold > set->n || set->threshold > SHAMIR_THRESHOLD_MAX)
        return err_new(ERR_INVALID,
                       "the threshold must be from 2 to the number of officers (%zu), "
                       "and at most %d",
                       set->n, SHAMIR_THRESHOLD_MAX);
    for (size_t i = 0; i < set->n; i++) {
        if (set->officers[i].index <= (i ? set->officers[i - 1].index : 0))
            return err_new(ERR_INVALID, "officers' indices are not ascending from 1");
        for (size_t k = 0; k < i; k++) TRY(check_different(&set->officers[k], &set->officers[i]));
    }
    return NULL;
}

err_t *escrow_set_put(const escrow_set_t *set, buf_t *out) {
    TRY(check_set(set));
    TRY(escrow_put_head(out, "ST"));
    TRY(wire_put_u64(out, set->epoch));
    TRY(record_put_raw(out, set->previous, ESCROW_HASH));
    TRY(wire_put_u8(out, set->threshold));
    TRY(wire_put_u8(out, (uint8_t)set->n));
    for (size_t i = 0; i < set->n; i++) {
        const escrow_officer_t *officer = &set->officers[i];
        TRY(record_put_text(out, LIMIT_ESCROW_OFFICER, false, "officer", officer->id));
        TRY(record_put_text(out, LIMIT_ESCROW_OWNER, false, "person", officer->person));
        TRY(wire_put_u8(out, officer->index));
        TRY(record_put_raw(out, officer->hpke, ESCROW_KEY));
        TRY(record_put_raw(out, officer->sign, ESCROW_KEY));
    }
    return NULL;
}

err_t *escrow_set_parse(bytes_t record, escrow_set_t *ret_set) {
    wire_reader_t r = wire_reader(record);
    escrow_set_t set = {0};
    uint8_t n = 0;
    TRY(escrow_get_head(&r, "ST"));
    TRY(wire_get_u64(&r, &set.epoch));
    TRY(record_get_raw(&r, ESCROW_HASH, set.previous));
    TRY(wire_get_u8(&r, &set.threshold));
    TRY(wire_get_u8(&r, &n));
    if (n > LIMIT_ESCROW_OFFICERS) return err_new(ERR_LIMIT, "too many officers");
    set.n = n;
    for (size_t i = 0; i < set.n; i++) {
        escrow_officer_t *officer = &set.officers[i];
        TRY(record_get_text(&r, LIMIT_ESCROW_OFFICER, false, "officer", officer->id));
        TRY(record_get_text(&r, LIMIT_ESCROW_OWNER, false, "person", officer->person));
        TRY(wire_get_u8(&r, &officer->index));
        TRY(record_get_raw(&r, ESCROW_KEY, officer->hpke));
        TRY(record_get_raw(&r, ESCROW_KEY, officer->sign));
    }
    TRY(wire_done(&r));
    TRY(check_set(&set));
    *ret_set = set;
    return NULL;
}

err_t *escrow_set_hash(const escrow_set_t *set, uint8_t ret_hash[ESCROW_HASH]) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, SET_MAX);
    TRY(escrow_set_put(set, &record));
    return digest_sha256(buf_bytes(&record), ret_hash);
}

const escrow_officer_t *escrow_set_officer(const escrow_set_t *set, const char *id) {
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->officers[i].id, id) == 0) return &set->officers[i];
    return NULL;
}

const escrow_officer_t *escrow_set_index(const escrow_set_t *set, uint8_t index) {
    for (size_t i = 0; i < set->n; i++)
        if (set->officers[i].index == index) return &set->officers[i];
    return NULL;
}

/* ---- signatures ---- */

err_t *escrow_signature_put(const escrow_signature_t *signature, buf_t *out) {
    TRY(escrow_put_head(out, "SG"));
    TRY(record_put_text(out, LIMIT_ESCROW_OFFICER, false, "officer", signature->officer));
    return record_put_raw(out, signature->signature, ESCROW_SIGNATURE);
}

err_t *escrow_signature_parse(bytes_t record, escrow_signature_t *ret_signature) {
    wire_reader_t r = wire_reader(record);
    escrow_signature_t signature = {0};
    TRY(escrow_get_head(&r, "SG"));
    TRY(record_get_text(&r, LIMIT_ESCROW_OFFICER, false, "officer", signature.officer));
    TRY(record_get_raw(&r, ESCROW_SIGNATURE, signature.signature));
    TRY(wire_done(&r));
    *ret_signature = signature;
    return NULL;
}

err_t *escrow_delivery_put(const escrow_delivery_t *delivery, buf_t *out) {
    TRY(record_put_head(out, "DL", ESCROW_DELIVERY_VERSION));
    TRY(record_put_text(out, LIMIT_ESCROW_OWNER, false, "person", delivery->person));
    TRY(record_put_text(out, LIMIT_ESCROW_MAILBOXES, false, "mailboxes", delivery->mailboxes));
    TRY(record_put_raw(out, delivery->certificate, ESCROW_HASH));
    TRY(wire_put_u64(out, delivery->epoch));
    return wire_put_i64(out, delivery->expires);
}

err_t *escrow_delivery_parse(bytes_t record, escrow_delivery_t *ret_delivery) {
    wire_reader_t r = wire_reader(record);
    escrow_delivery_t delivery = {0};
    TRY(record_get_head(&r, "DL", ESCROW_DELIVERY_VERSION));
    TRY(record_get_text(&r, LIMIT_ESCROW_OWNER, false, "person", delivery.person));
    TRY(record_get_text(&r, LIMIT_ESCROW_MAILBOXES, false, "mailboxes", delivery.mailboxes));
    TRY(record_get_raw(&r, ESCROW_HASH, delivery.certificate));
    TRY(wire_get_u64(&r, &delivery.epoch));
    TRY(wire_get_i64(&r, &delivery.expires));
    TRY(wire_done(&r));
    *ret_delivery = delivery;
    return NULL;
}

bool escrow_delivery_names(const escrow_delivery_t *delivery, bytes_t mailbox) {
    const char *at = delivery->mailboxes;
    while (*at) {
        size_t n = strcspn(at, " ");
        if (n && text_eq_fold(bytes_make((const uint8_t *)at, n), mailbox)) return true;
        at += n + strspn(at + n, " ");
    }
    return false;
}
