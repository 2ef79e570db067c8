/*
 * What officers sign, approve and deal anew: see escrow_seal.h. Ed25519 (RFC 8032) under a domain
 * each, HPKE (RFC 9180) to the recipient. Officers' and recipients' machines, coffer-web, the
 * keeper.
 */
#include "base/mem.h"
#include "crypto/hpke.h"
#include "crypto/shamir.h"
#include "keeper/escrow_codec.h"
#include "keeper/escrow_recipient.h"
#include "keeper/escrow_seal.h"

enum { MESSAGE_MAX = 4 * 1024, INFO_MAX = 256 }; /* bytes */

static err_t *sign(const pkey_t *key, const char *domain, bytes_t message,
                   uint8_t ret_signature[ESCROW_SIGNATURE]) {
    if (pkey_kind(key) != PKEY_ED25519) return err_new(ERR_USAGE, "officers sign with Ed25519");
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, ESCROW_SIGNATURE);
    TRY(pkey_sign(key, domain, message, &signature));
    memcpy(ret_signature, signature.p, ESCROW_SIGNATURE);
    return NULL;
}

static err_t *verify(const uint8_t *public_key, const char *domain, bytes_t message,
                     const uint8_t *signature) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    TRY(pkey_from_raw_public(PKEY_ED25519, bytes_make(public_key, ESCROW_KEY), &key));
    return pkey_verify(key, domain, message, bytes_make(signature, ESCROW_SIGNATURE));
}

/* ---- an officer's file ---- */

err_t *escrow_officer_file_sign(const pkey_t *sign_key, escrow_officer_file_t *file) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, MESSAGE_MAX);
    TRY(pkey_raw_public(sign_key, file->sign));
    TRY(escrow_officer_file_message(file, &message));
    return sign(sign_key, ESCROW_DOMAIN_OFFICER, buf_bytes(&message), file->signature);
}

err_t *escrow_officer_file_verify(const escrow_officer_file_t *file) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, MESSAGE_MAX);
    TRY(escrow_officer_file_message(file, &message));
    TRY_WRAP(verify(file->sign, ESCROW_DOMAIN_OFFICER, buf_bytes(&message), file->signature),
             "officer's file of %s", file->label);
    return NULL;
}

/* ---- signatures of several ---- */

/* Every signature must hold and be another officer's; `needed` of them. */
static err_t *verify_many(const escrow_set_t *set, const char *domain, bytes_t message,
                          const escrow_signature_t *signatures, size_t n, unsigned needed) {
    if (n > LIMIT_ESCROW_OFFICERS) return err_new(ERR_LIMIT, "too many signatures");
    for (size_t i = 0; i < n; i++) {
        const char *id = signatures[i].officer;
        const escrow_officer_t *officer = escrow_set_officer(set, id);
        if (!officer)
            return err_new(ERR_VERIFY, "%s is no officer of epoch %llu", id,
                           (unsigned long long)set->epoch);
        for (size_t k = 0; k < i; k++)
            if (strcmp(signatures[k].officer, id) == 0)
                return err_new(ERR_DENIED, "officer %s signed twice and counts once", id);
        TRY_WRAP(verify(officer->sign, domain, message, signatures[i].signature),
                 "signature of officer %s", id);
    }
    if (n < needed) return err_new(ERR_DENIED, "%zu officers signed, %u must", n, needed);
    return NULL;
}

static err_t *make_signature(const pkey_t *key, const char *officer, const char *domain,
                             bytes_t message, escrow_signature_t *ret_signature) {
    if (strlen(officer) > LIMIT_ESCROW_OFFICER) return err_new(ERR_LIMIT, "officer's id too long");
    escrow_signature_t signature = {0};
    memcpy(signature.officer, officer, strlen(officer) + 1);
    TRY(sign(key, domain, message, signature.signature));
    *ret_signature = signature;
    return NULL;
}

err_t *escrow_set_sign(const pkey_t *sign_key, const char *officer,
                       const uint8_t next_hash[ESCROW_HASH], escrow_signature_t *ret_signature) {
    return make_signature(sign_key, officer, ESCROW_DOMAIN_SET, bytes_make(next_hash, ESCROW_HASH),
                          ret_signature);
}

err_t *escrow_set_verify_next(const escrow_set_t *current, const escrow_set_t *next,
                              const escrow_signature_t *signatures, size_t n) {
    uint8_t current_hash[ESCROW_HASH], next_hash[ESCROW_HASH];
    TRY(escrow_set_hash(current, current_hash));
    TRY(escrow_set_hash(next, next_hash));
    if (next->epoch != current->epoch + 1 || memcmp(next->previous, current_hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the officers' set does not follow that of epoch %llu",
                       (unsigned long long)current->epoch);
    return verify_many(current, ESCROW_DOMAIN_SET, BYTES_ARRAY(next_hash), signatures, n,
                       current->threshold);
}

err_t *escrow_delivery_sign(const pkey_t *sign_key, const char *officer,
                            const escrow_delivery_t *delivery, escrow_signature_t *ret_signature) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, MESSAGE_MAX);
    TRY(escrow_delivery_put(delivery, &message));
    return make_signature(sign_key, officer, ESCROW_DOMAIN_DELIVERY, buf_bytes(&message),
                          ret_signature);
}

err_t *escrow_delivery_verify(const escrow_set_t *set, const escrow_delivery_t *delivery,
                              const escrow_signature_t *signatures, size_t n, unsigned needed) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, MESSAGE_MAX);
    TRY(escrow_delivery_put(delivery, &message));
    return verify_many(set, ESCROW_DOMAIN_DELIVERY, buf_bytes(&message), signatures, n, needed);
}

err_t *escrow_finish_sign(const pkey_t *sign_key, const char *officer, const escrow_set_t *set,
                          escrow_signature_t *ret_signature) {
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_set_hash(set, hash));
    return make_signature(sign_key, officer, ESCROW_DOMAIN_FINISH, BYTES_ARRAY(hash),
                          ret_signature);
}

err_t *escrow_finish_verify(const escrow_set_t *set, const escrow_signature_t *signature) {
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_set_hash(set, hash));
    return verify_many(set, ESCROW_DOMAIN_FINISH, BYTES_ARRAY(hash), signature, 1, 1);
}

/* ---- approvals ---- */

static err_t *approval_info(const uint8_t *request_hash, const char *officer, uint8_t index,
                            buf_t *info) {
    TRY(wire_put_str(info, ESCROW_DOMAIN_APPROVAL));
    TRY(record_put_raw(info, request_hash, ESCROW_HASH));
    TRY(wire_put_str(info, officer));
    return wire_put_u8(info, index);
}

static err_t *approval_seal(const escrow_request_t *request, bytes_t y,
                            escrow_approval_t *approval) {
    CLEANUP(pkey_free) pkey_t *recipient = NULL;
    CLEANUP(buf_done) buf_t info, sealed;
    buf_init(&info, INFO_MAX);
    buf_init(&sealed, ESCROW_APPROVAL_SEALED);
    TRY(pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(request->recipient_key), &recipient));
    TRY(approval_info(approval->request_hash, approval->officer, approval->index, &info));
    TRY(hpke_seal(HPKE_AES256_GCM, recipient, buf_bytes(&info), BYTES_NONE, y, &sealed));
    memcpy(approval->sealed, sealed.p, ESCROW_APPROVAL_SEALED);
    return NULL;
}

err_t *escrow_approve(const escrow_request_t *request, const escrow_officer_t *officer,
                      const pkey_t *sign_key, bytes_t y, int64_t now,
                      escrow_approval_t *ret_approval) {
    if (y.n != ESCROW_KEY) return err_new(ERR_USAGE, "a share has 32 bytes");
    if (now >= request->expires) return err_new(ERR_DENIED, "the request has expired");
    escrow_approval_t approval = {.index = officer->index, .approved = now};
    uint8_t object_hash[ESCROW_HASH];
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, MESSAGE_MAX);
    memcpy(approval.officer, officer->id, sizeof approval.officer);
    TRY(escrow_request_hash(request, approval.request_hash));
    TRY(escrow_object_hash(&request->object, object_hash));
    TRY(escrow_share_check(object_hash, approval.index, y, approval.check));
    TRY(approval_seal(request, y, &approval));
    TRY(escrow_approval_message(&approval, &message));
    TRY(sign(sign_key, ESCROW_DOMAIN_APPROVAL, buf_bytes(&message), approval.signature));
    *ret_approval = approval;
    return NULL;
}

/* The set must be the one that the request's hash fixes. */
static err_t *check_set(const escrow_request_t *request, const escrow_set_t *set) {
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_set_hash(set, hash));
    if (memcmp(hash, request->set_hash, ESCROW_HASH) != 0 || set->epoch != request->epoch ||
        set->threshold != request->threshold)
        return err_new(ERR_VERIFY, "the request is for another set of officers");
    return NULL;
}

err_t *escrow_approval_verify(const escrow_request_t *request, const escrow_set_t *set,
                              const escrow_approval_t *approval) {
    uint8_t hash[ESCROW_HASH];
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, MESSAGE_MAX);
    TRY(check_set(request, set));
    const escrow_officer_t *officer = escrow_set_officer(set, approval->officer);
    if (!officer || officer->index != approval->index)
        return err_new(ERR_VERIFY, "%s is no officer of epoch %llu", approval->officer,
                       (unsigned long long)set->epoch);
    if (strcmp(officer->person, request->requester) == 0)
        return err_new(ERR_DENIED, "officer %s made the request and may not approve it",
                       officer->id);
    if (escrow_recipient_names(request->recipient, officer->person))
        return err_new(ERR_DENIED, "officer %s is to get it and may not approve it", officer->id);
    TRY(escrow_request_hash(request, hash));
    if (memcmp(hash, approval->request_hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "officer %s approved another request", officer->id);
    if (approval->approved >= request->expires)
        return err_new(ERR_DENIED, "officer %s approved after the request expired", officer->id);
    TRY(escrow_approval_message(approval, &message));
    TRY_WRAP(
        verify(officer->sign, ESCROW_DOMAIN_APPROVAL, buf_bytes(&message), approval->signature),
        "approval of officer %s", officer->id);
    return NULL;
}

err_t *escrow_approval_open(const escrow_request_t *request, const escrow_approval_t *approval,
                            const pkey_t *recipient_key, secret_t **ret_y) {
    CLEANUP(secret_free) secret_t *y = NULL;
    CLEANUP(buf_done) buf_t info;
    uint8_t object_hash[ESCROW_HASH], check[ESCROW_CHECK];
    buf_init(&info, INFO_MAX);
    TRY(approval_info(approval->request_hash, approval->officer, approval->index, &info));
    TRY_WRAP(hpke_open_secret(HPKE_AES256_GCM, recipient_key, buf_bytes(&info), BYTES_NONE,
                              BYTES_ARRAY(approval->sealed), &y),
             "the share of officer %s", approval->officer);
    TRY(escrow_object_hash(&request->object, object_hash));
    TRY(escrow_share_check(object_hash, approval->index, secret_bytes(y), check));
    if (secret_size(y) != ESCROW_KEY ||
        !bytes_eq_ct(BYTES_ARRAY(check), BYTES_ARRAY(approval->check)))
        return err_new(ERR_VERIFY, "the share of officer %s is not what its check value says",
                       approval->officer);
    *ret_y = STEAL(y);
    return NULL;
}

/* ---- recovering ---- */

typedef struct {
    const escrow_request_t *request;
    bytes_t blob;
    secret_t *secret; /* once it opened */
    bool changed;     /* the key is right, the blob is not */
} attempt_t;

static err_t *accept_dek(void *arg, bytes_t dek_bytes, bool *ret_right) {
    attempt_t *a = arg;
    CLEANUP(secret_free) secret_t *dek = NULL;
    TRY(secret_copy(dek_bytes, &dek));
    err_t *e = escrow_blob_open(&a->request->object, dek, a->blob, &a->secret);
    *ret_right = e == NULL;
    a->changed = e && err_code(e) != ERR_DENIED;
    if (a->changed) return e;
    err_free(e);
    return NULL;
}

static err_t *name_wrong(const escrow_approval_t *approvals, size_t n, uint32_t wrong) {
    for (size_t i = 0; i < n; i++)
        if (wrong >> i & 1)
            return err_new(ERR_VERIFY, "the share of officer %s is wrong", approvals[i].officer);
    return NULL;
}

static err_t *combine(attempt_t *a, const escrow_approval_t *approvals, secret_t *const *ys,
                      size_t n) {
    shamir_share_t shares[LIMIT_ESCROW_OFFICERS];
    CLEANUP(secret_free) secret_t *dek = NULL;
    uint32_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        shares[i] = (shamir_share_t){approvals[i].index, secret_bytes(ys[i]).p};
    TRY(secret_new(ESCROW_KEY, &dek));
    err_t *e = shamir_recover(shares, n, ESCROW_KEY, a->request->threshold, accept_dek, a,
                              secret_data(dek), &wrong);
    if (e && err_code(e) == ERR_VERIFY && !a->changed)
        return err_wrap(e, "the shares are what their check values say and do not give the "
                           "blob's key");
    if (e) return e;
    return a->request->threshold == n ? NULL : name_wrong(approvals, n, wrong);
}

err_t *escrow_recover(const escrow_request_t *request, const escrow_set_t *set,
                      const escrow_approval_t *approvals, size_t n, const pkey_t *recipient_key,
                      bytes_t blob, secret_t **ret_secret) {
    secret_t *ys[LIMIT_ESCROW_OFFICERS] = {0};
    attempt_t a = {.request = request, .blob = blob};
    if (n < request->threshold || n > LIMIT_ESCROW_OFFICERS)
        return err_new(ERR_DENIED, "%zu officers approved, %u must", n, request->threshold);
    err_t *e = NULL;
    for (size_t i = 0; i < n && !e; i++) {
        for (size_t k = 0; k < i && !e; k++)
            if (strcmp(approvals[k].officer, approvals[i].officer) == 0)
                e = err_new(ERR_DENIED, "officer %s counts once", approvals[i].officer);
        if (!e) e = escrow_approval_verify(request, set, &approvals[i]);
        if (!e) e = escrow_approval_open(request, &approvals[i], recipient_key, &ys[i]);
    }
    if (!e) e = combine(&a, approvals, ys, n);
    for (size_t i = 0; i < n; i++) secret_free(ys[i]);
    if (e) secret_free(a.secret);
    else *ret_secret = a.secret;
    return e;
}

/* ---- re-dealing ---- */

static err_t *redeal_parts(const escrow_redeal_t *redeal, const uint8_t *object_hash,
                           escrow_sealer_t *const *sealers, const rnd_t *rnd, bytes_t ys,
                           buf_t *parts) {
    for (size_t k = 0; k < redeal->officers_n; k++) {
        escrow_share_t share = {
            .epoch = redeal->to_epoch,
            .index = redeal->indices[k],
            .threshold = redeal->threshold,
            .from_epoch = redeal->from_epoch,
            .dealer = redeal->dealer,
            .dealers_n = redeal->dealers_n,
        };
        memcpy(share.dealers, redeal->dealers, sizeof share.dealers);
        TRY(escrow_share_seal(sealers[k], object_hash, rnd,
                              bytes_slice(ys, k * ESCROW_KEY, ESCROW_KEY), &share));
        TRY(record_put_raw(parts, share.check, ESCROW_CHECK));
        TRY(record_put_raw(parts, share.sealed, ESCROW_SHARE_SEALED));
    }
    return NULL;
}

err_t *escrow_redeal_add(const escrow_redeal_t *redeal, const escrow_object_t *object,
                         const escrow_set_t *to, escrow_sealer_t *const *sealers, const rnd_t *rnd,
                         bytes_t y, buf_t *items) {
    if (to->n != redeal->officers_n || to->threshold != redeal->threshold || y.n != ESCROW_KEY)
        return err_new(ERR_USAGE, "a re-dealing to another set");
    escrow_redeal_item_t item = {.version = object->version};
    CLEANUP(secret_free) secret_t *ys = NULL;
    CLEANUP(buf_done) buf_t parts;
    buf_init(&parts, LIMIT_ESCROW_RECORD);
    memcpy(item.id, object->id, ESCROW_ID);
    TRY(escrow_object_hash(object, item.object_hash));
    TRY(secret_new(to->n * ESCROW_KEY, &ys));
    TRY(shamir_reshare(rnd, redeal->dealer, y, redeal->dealers, redeal->dealers_n, to->threshold,
                       redeal->indices, to->n, secret_data(ys)));
    TRY(redeal_parts(redeal, item.object_hash, sealers, rnd, secret_bytes(ys), &parts));
    item.parts = buf_bytes(&parts);
    return escrow_redeal_item_put(&item, items);
}

err_t *escrow_redeal_sign(const escrow_redeal_t *redeal, const pkey_t *sign_key, buf_t *out) {
    CLEANUP(buf_done) buf_t record;
    uint8_t signature[ESCROW_SIGNATURE];
    buf_init(&record, LIMIT_ESCROW_REDEAL);
    TRY(escrow_redeal_put(redeal, &record));
    TRY(sign(sign_key, ESCROW_DOMAIN_REDEAL, buf_bytes(&record), signature));
    TRY(record_put_raw(&record, signature, sizeof signature));
    return buf_add(out, buf_bytes(&record));
}

/* The dealers are officers of the old set, as many as its threshold. */
static err_t *check_dealers(const escrow_redeal_t *redeal, const escrow_set_t *from) {
    for (size_t i = 0; i < redeal->dealers_n; i++)
        if (!escrow_set_index(from, redeal->dealers[i]))
            return err_new(ERR_VERIFY, "dealer %u is no officer of epoch %llu", redeal->dealers[i],
                           (unsigned long long)from->epoch);
    if (redeal->dealers_n != from->threshold)
        return err_new(ERR_VERIFY, "%u officers must deal together, not %u", from->threshold,
                       redeal->dealers_n);
    return NULL;
}

static err_t *check_receivers(const escrow_redeal_t *redeal, const escrow_set_t *to) {
    bool same = redeal->officers_n == to->n && redeal->threshold == to->threshold;
    for (size_t k = 0; same && k < to->n; k++) same = to->officers[k].index == redeal->indices[k];
    return same ? NULL : err_new(ERR_VERIFY, "it was dealt to others than the new officers");
}

err_t *escrow_redeal_verify(const escrow_redeal_t *redeal, const escrow_set_t *from,
                            const escrow_set_t *to) {
    uint8_t from_hash[ESCROW_HASH], to_hash[ESCROW_HASH];
    TRY(escrow_set_hash(from, from_hash));
    TRY(escrow_set_hash(to, to_hash));
    if (from->epoch != redeal->from_epoch || to->epoch != redeal->to_epoch ||
        memcmp(from_hash, redeal->from_set, ESCROW_HASH) != 0 ||
        memcmp(to_hash, redeal->to_set, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the re-dealing is between other sets of officers");
    const escrow_officer_t *officer = escrow_set_officer(from, redeal->officer);
    if (!officer || officer->index != redeal->dealer)
        return err_new(ERR_VERIFY, "%s is no officer of epoch %llu", redeal->officer,
                       (unsigned long long)from->epoch);
    TRY(check_dealers(redeal, from));
    TRY(check_receivers(redeal, to));
    TRY_WRAP(verify(officer->sign, ESCROW_DOMAIN_REDEAL, redeal->message, redeal->signature),
             "re-dealing of officer %s", officer->id);
    return NULL;
}
