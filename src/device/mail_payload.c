/*
 * See mail_payload.h. Any worker thread of coffer-web.
 */
#include "device/mail_payload.h"

#include <stdio.h>

#include "device/payload.h"

enum { SUFFIX_MAX = 64, HOLE_MAX = 64 };

bool mail_payload_wanted(const devices_t *devices) {
    return devices->o.mail_key_profile && devices->o.mail_key_profile[0];
}

err_t *mail_payload_first_key(devices_t *devices, arena_t *arena, const char *person_id,
                              const char *mailbox, const char *actor) {
    const devices_options_t *o = &devices->o;
    mail_keys_t keys = {0};
    char id[ESCROW_ID_TEXT];
    if (!mail_payload_wanted(devices)) return NULL;
    TRY(mail_keys_load(o->pki, arena, person_id, &keys));
    if (keys.n) return NULL;
    mail_key_spec_t spec = {.person_id = person_id,
                            .email = mailbox,
                            .name = "",
                            .profile = o->mail_key_profile,
                            .approved = o->mail_key_approved,
                            .actor = actor};
    TRY_WRAP(mail_key_make(o->pki, &spec, id), "mail encryption key of %s", mailbox);
    return NULL;
}

/* A hole stands as a string, for the writer would encode data: see unquote. */
static err_t *set_hole(plist_t *dict, const char *key, const char *what, const char *id) {
    char hole[HOLE_MAX];
    (void)snprintf(hole, sizeof hole, "{{%s:%s}}", what, id);
    return plist_set_string(dict, key, hole);
}

static err_t *add_key(const devices_t *devices, const keeper_delivered_t *key, bool current,
                      const char *person_id, plist_t *array, char uuid[TEXT_UUID_SIZE]) {
    char id[ESCROW_ID_TEXT], suffix[SUFFIX_MAX];
    plist_t *dict = NULL;
    escrow_id_text(key->object.id, id);
    (void)snprintf(suffix, sizeof suffix, "coffer.mail.key.%s", id);
    TRY(payload_stable_uuid(devices, suffix, person_id, uuid));
    TRY(plist_array_add_dict(array, &dict));
    TRY(payload_common(devices, dict, "com.apple.security.pkcs12", suffix,
                       current ? "Mail encryption" : "Mail encryption (former)", NULL));
    TRY(plist_set_string(dict, "PayloadUUID", uuid));
    TRY(set_hole(dict, "PayloadContent", "p12", id));
    return set_hole(dict, "Password", "password", id);
}

err_t *mail_payload_add(const devices_t *devices, const mail_keys_t *keys, const char *person_id,
                        plist_t *array, char ret_current[TEXT_UUID_SIZE]) {
    for (size_t i = 0; i < keys->n; i++) {
        char uuid[TEXT_UUID_SIZE];
        TRY(add_key(devices, &keys->list[i], i == 0, person_id, array, uuid));
        if (i == 0) memcpy(ret_current, uuid, sizeof uuid);
    }
    return NULL;
}

#define STRING_BEGIN "<string>{{p12:"
#define STRING_END   "</string>"
#define DATA_BEGIN   "<data>{{p12:"
#define DATA_END     "</data>"

static size_t find_text(bytes_t text, const char *what) {
    const uint8_t *at = text.n ? memmem(text.p, text.n, what, strlen(what)) : NULL;
    return at ? (size_t)(at - text.p) : text.n;
}

/* The holes of files become data. */
static err_t *unquote(bytes_t xml, buf_t *out) {
    for (;;) {
        size_t begin = find_text(xml, STRING_BEGIN);
        TRY(buf_add(out, bytes_slice(xml, 0, begin)));
        if (begin == xml.n) return NULL;
        xml = bytes_from(xml, begin + strlen(STRING_BEGIN));
        size_t end = find_text(xml, STRING_END);
        TRY(buf_add_str(out, DATA_BEGIN));
        TRY(buf_add(out, bytes_slice(xml, 0, end)));
        TRY(buf_add_str(out, DATA_END));
        xml = bytes_from(xml, end + strlen(STRING_END));
    }
}

err_t *mail_payload_seal(const devices_t *devices, const mail_keys_t *keys, const char *person_id,
                         const mail_consent_t *consent, bytes_t fingerprint, const plist_t *array,
                         buf_t *ret_sealed) {
    CLEANUP(buf_done) buf_t xml, payloads;
    const devices_options_t *o = &devices->o;
    buf_init_secret(&xml, LIMIT_PROFILE_BYTES);
    buf_init_secret(&payloads, LIMIT_PROFILE_BYTES);
    TRY(plist_write(array, &xml));
    TRY(unquote(buf_bytes(&xml), &payloads));
    keeper_delivery_t delivery = {.person = person_id,
                                  .fingerprint = fingerprint,
                                  .cipher = o->profile_cipher,
                                  .old_p12 = o->mail_key_old_p12,
                                  .payloads = buf_bytes(&payloads),
                                  .expires = consent->expires,
                                  .mailboxes = consent->mailboxes,
                                  .signatures = consent->signatures,
                                  .signatures_n = consent->signatures_n,
                                  .keys = keys->list,
                                  .keys_n = keys->n};
    return keeper_escrow_deliver(o->keeper, &delivery, ret_sealed);
}
