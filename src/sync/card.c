/*
 * Cards of devices: see card.h. Pure; any process, any thread.
 */
#include "sync/card.h"

#include "crypto/digest.h"

enum { CARD_MAX = 1024, ID_MAX = 256 };

static const char domain_login[] = "coffer/v1/sync/card-login";
static const char domain_content[] = "coffer/v1/sync/card";

/* The three keys and, in suites to come, a post-quantum one. */
static err_t *put_keys(const sync_card_t *card, buf_t *out) {
    TRY(record_put_raw(out, card->login, SYNC_KEY));
    TRY(record_put_raw(out, card->content, SYNC_KEY));
    TRY(record_put_raw(out, card->seal, SYNC_KEY));
    return wire_put_bytes(out, BYTES_NONE);
}

/* What the signatures are over. */
static err_t *put_message(const sync_card_t *card, buf_t *out) {
    TRY(sync_put_head(out, "YJ", card->suite));
    TRY(put_keys(card, out));
    TRY(record_put_text(out, LIMIT_SYNC_NAME, false, "a device's name", card->name));
    TRY(record_put_text(out, LIMIT_SYNC_PERSON, false, "a person's id", card->person));
    return wire_put_i64(out, card->created);
}

err_t *sync_card_put(const sync_card_t *card, buf_t *out) {
    TRY(put_message(card, out));
    TRY(record_put_raw(out, card->login_signature, SYNC_SIGNATURE));
    return record_put_raw(out, card->content_signature, SYNC_SIGNATURE);
}

err_t *sync_card_parse(bytes_t record, sync_card_t *ret_card) {
    sync_card_t card = {0};
    bytes_t quantum;
    wire_reader_t r = wire_reader(record);
    TRY(sync_get_head(&r, "YJ", &card.suite));
    TRY(record_get_raw(&r, SYNC_KEY, card.login));
    TRY(record_get_raw(&r, SYNC_KEY, card.content));
    TRY(record_get_raw(&r, SYNC_KEY, card.seal));
    TRY(wire_get_bytes(&r, 0, &quantum));
    TRY(record_get_text(&r, LIMIT_SYNC_NAME, false, "a device's name", card.name));
    TRY(record_get_text(&r, LIMIT_SYNC_PERSON, false, "a person's id", card.person));
    TRY(wire_get_i64(&r, &card.created));
    TRY(record_get_raw(&r, SYNC_SIGNATURE, card.login_signature));
    TRY(record_get_raw(&r, SYNC_SIGNATURE, card.content_signature));
    TRY(wire_done(&r));
    *ret_card = card;
    return NULL;
}

static err_t *verify_one(const uint8_t raw[SYNC_KEY], const char *domain, bytes_t message,
                         const uint8_t signature[SYNC_SIGNATURE]) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    TRY(pkey_from_raw_public(PKEY_ED25519, bytes_make(raw, SYNC_KEY), &key));
    return pkey_verify(key, domain, message, bytes_make(signature, SYNC_SIGNATURE));
}

err_t *sync_card_verify(const sync_card_t *card) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, CARD_MAX);
    TRY(put_message(card, &message));
    err_t *e = verify_one(card->login, domain_login, buf_bytes(&message), card->login_signature);
    if (!e)
        e = verify_one(card->content, domain_content, buf_bytes(&message), card->content_signature);
    if (e && err_code(e) == ERR_INVALID) e = err_recode(e, ERR_VERIFY);
    return e ? err_wrap(e, "a device's card") : NULL;
}

static err_t *sign_one(const pkey_t *key, const char *domain, bytes_t message,
                       uint8_t ret_signature[SYNC_SIGNATURE]) {
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, SYNC_SIGNATURE);
    TRY(pkey_sign(key, domain, message, &signature));
    memcpy(ret_signature, signature.p, SYNC_SIGNATURE);
    return NULL;
}

err_t *sync_card_sign(sync_card_t *card, const pkey_t *login, const pkey_t *content) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, CARD_MAX);
    TRY(put_message(card, &message));
    TRY(sign_one(login, domain_login, buf_bytes(&message), card->login_signature));
    return sign_one(content, domain_content, buf_bytes(&message), card->content_signature);
}

err_t *sync_card_id(const sync_card_t *card, uint8_t ret_id[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t keys;
    buf_init(&keys, ID_MAX);
    TRY(buf_add(&keys, BYTES_LIT("coffer/v1/sync/device\0")));
    TRY(wire_put_u16(&keys, card->suite));
    TRY(put_keys(card, &keys));
    return digest_sha256(buf_bytes(&keys), ret_id);
}
