/*
 * The answer as JSON: see recipients.h.
 */
#include "format/mime_header.h"
#include "mail/recipients.h"

/* Text of a stranger's certificate or message: bytes that are no UTF-8 are replaced. */
static err_t *set_text(json_t *object, const char *key, bytes_t text) {
    CLEANUP(buf_done) buf_t clean;
    buf_init(&clean, text.n * 3 + 16);
    TRY(mime_charset_decode(BYTES_LIT("utf-8"), text, &clean));
    bytes_t good = buf_bytes(&clean);
    good.n = bytes_find(good, 0);
    return jso_set_string(object, key, good);
}

static err_t *set_capable(json_t *object, const cms_capable_t *c) {
    static const struct {
        const char *name;
        size_t at;
    } all[] = {{"AES-256-GCM", offsetof(cms_capable_t, aes256_gcm)},
               {"AES-256-CBC", offsetof(cms_capable_t, aes256_cbc)},
               {"AES-128-CBC", offsetof(cms_capable_t, aes128_cbc)},
               {"RSAES-OAEP", offsetof(cms_capable_t, oaep)},
               {"ECDH", offsetof(cms_capable_t, ecdh)}};
    json_t *array;
    if (!c->known) return jso_set_null(object, "capabilities");
    TRY(jso_set_array(object, "capabilities", &array));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*(const bool *)((const char *)c + all[i].at))
            TRY(jso_add_string(array, bytes_str(all[i].name)));
    return NULL;
}

static err_t *set_certificate(json_t *object, const mail_recipient_t *r) {
    CLEANUP(buf_done) buf_t pem;
    json_t *one;
    buf_init(&pem, 256 * 1024);
    if (!r->cert) return jso_set_null(object, "certificate");
    TRY(cert_pem(r->cert, &pem));
    TRY(jso_set_object(object, "certificate", &one));
    TRY(set_text(one, "subject", bytes_str(cert_subject(r->cert))));
    TRY(set_text(one, "issuer", bytes_str(cert_issuer(r->cert))));
    TRY(jso_set_str(one, "serial", cert_serial_hex(r->cert)));
    TRY(jso_set_str(one, "sha256", cert_sha256_hex(r->cert)));
    TRY(jso_set_time(one, "not_before", cert_not_before(r->cert)));
    TRY(jso_set_time(one, "not_after", cert_not_after(r->cert)));
    TRY(jso_set_str(one, "key", pkey_kind_name(pkey_kind(cert_key(r->cert)))));
    TRY(jso_set_int(one, "key_bits", pkey_bits(cert_key(r->cert))));
    return jso_set_string(one, "pem", buf_bytes(&pem));
}

static err_t *add_one(json_t *array, const mail_recipient_t *r) {
    json_t *one;
    TRY(jso_add_object(array, &one));
    TRY(set_text(one, "address", r->address));
    TRY(set_text(one, "asked", r->asked));
    TRY(jso_set_bool(one, "sender", r->sender));
    TRY(jso_set_bool(one, "can_read", r->lock == MAIL_LOCK_READY));
    TRY(jso_set_str(one, "lock", mail_lock_name(r->lock)));
    TRY(set_text(one, "reason", bytes_str(r->reason)));
    TRY(jso_set_str(one, "source", r->cert ? mail_source_name(r->source) : NULL));
    TRY(jso_set_str(one, "revocation", r->cert ? mail_revocation_name(r->revocation) : NULL));
    TRY(jso_set_bool(one, "approved", r->pinned));
    TRY(set_capable(one, &r->capable));
    return set_certificate(one, r);
}

/* For people: how the content key goes to those of this list. */
static const char *transport(const mail_recipients_t *list, const cms_encrypt_options_t *options) {
    bool rsa = false, ec = false;
    for (size_t i = 0; i < list->n; i++) {
        if (!list->at[i].cert) continue;
        if (pkey_kind(cert_key(list->at[i].cert)) == PKEY_RSA) rsa = true;
        else ec = true;
    }
    if (rsa && ec) return options->oaep ? "RSAES-OAEP, ECDH" : "RSA PKCS#1 v1.5, ECDH";
    if (ec) return "ECDH";
    return options->oaep ? "RSAES-OAEP" : "RSA PKCS#1 v1.5";
}

err_t *mail_recipients_json(const mail_recipients_t *list, mail_algorithms_t allowed,
                            json_t **ret_json) {
    json_t *object CLEANUP(jso_free) = NULL, *array;
    cms_encrypt_options_t options = mail_recipients_algorithms(list, allowed);
    TRY(jso_object(&object));
    TRY(jso_set_bool(object, "encrypted", list->all));
    TRY(jso_set_bool(object, "later", list->later));
    TRY(jso_set_str(object, "cipher", list->all ? cms_cipher_name(options.cipher) : NULL));
    TRY(jso_set_str(object, "key_transport", list->all ? transport(list, &options) : NULL));
    TRY(jso_set_array(object, "recipients", &array));
    for (size_t i = 0; i < list->n; i++) TRY(add_one(array, &list->at[i]));
    *ret_json = STEAL(object);
    return NULL;
}
