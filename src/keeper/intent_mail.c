/*
 * What the mail gateway has done for people: signatures with keys of theirs that are only here, and
 * content keys out of archived ones. What is signed is made here (RFC 5652 section 5.4): the
 * gateway gives a hash of content and nothing else of it. Worker threads.
 */
#include "keeper/intent_mail.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cms_seal.h"
#include "keeper/cert_profile_purpose.h"
#include "keeper/client_mail.h"
#include "keeper/intent_escrow.h"
#include "keeper/vault_mail.h"

enum { SIGNED_MAX = 64 * 1024, SHA256 = 32, RECIPIENT_MAX = 16 * 1024, NAME_MAX_CHARS = 64 };

/* ---- what the gateway may do ---- */

/* P-256, for signing alone, by the mail CA. Nobody gets such a certificate in another way. */
static void make_profile(cert_profile_t *profile) {
    cert_profile_begin(CERT_PROFILE_SIGN, KEEPER_MAIL_PROFILE, profile);
    cert_profile_set_rules(profile, CERT_LINT_RFC5280);
    profile->ca = CERT_PROFILE_MAIL_CA;
    profile->rsa_min = profile->rsa_max = 0;
    profile->p256 = true;
    profile->p384 = false;
}

static err_t *make_key(const keeper_core_t *core, const char *name, vault_mail_t *mail,
                       intent_answer_t *answer) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    cert_profile_t profile;
    const char *organisation = cert_subject_get(core->keys->root, "O");
    const char *cn = name[0] && strlen(name) <= NAME_MAX_CHARS ? name : mail->email;
    const san_entry_t mailbox = {SAN_EMAIL, mail->email};
    name_entry_t subject[2];
    size_t n = 0;
    if (organisation) subject[n++] = (name_entry_t){"O", organisation};
    if (strlen(cn) <= NAME_MAX_CHARS) subject[n++] = (name_entry_t){"CN", cn};
    make_profile(&profile);
    TRY(pkey_generate(PKEY_P256, 0, &key));
    TRY(intent_issue_cert(core, &profile, key, subject, n, &mailbox, 1, &cert));
    TRY(intent_record_cert(core->keys, answer, &profile, mail->person, cert));
    pkey_free(mail->key);
    cert_free(mail->cert);
    mail->key = STEAL(key);
    mail->cert = STEAL(cert);
    return NULL;
}

/* Soon over: renewed at the next word. */
static bool is_due(const keeper_core_t *core, const cert_t *cert) {
    return cert_not_after(cert) - clk_unix(core->clk) < LIMIT_KEEPER_MAIL_RENEW_S;
}

static err_t *apply(const keeper_core_t *core, const char *name, bool renew, vault_mail_t *mail,
                    intent_answer_t *answer) {
    bool made = mail->sign && (renew || !mail->key || is_due(core, mail->cert));
    if (made) TRY(make_key(core, name, mail, answer));
    if (!mail->sign) {
        pkey_free(mail->key);
        cert_free(mail->cert);
        mail->key = NULL;
        mail->cert = NULL;
    }
    TRY(vault_mail_put(core->vault, answer->op, mail));
    TRY(wire_put_bool(&answer->body, made));
    return wire_put_bytes(&answer->body, mail->cert ? cert_der(mail->cert) : BYTES_NONE);
}

err_t *intent_mail_allow(const keeper_core_t *core, const intent_call_t *call,
                         intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *email = NULL, *person = NULL, *name = NULL;
    CLEANUP(vault_mail_done) vault_mail_t mail = {0};
    bool sign = false, decrypt = false, renew = false, found = false;
    TRY(intent_get_name(&r, LIMIT_EMAIL, "mailbox", &email));
    TRY(intent_get_name(&r, LIMIT_KEEPER_OWNER, "person", &person));
    TRY(wire_get_str(&r, LIMIT_NAME, &name));
    TRY(wire_get_bool(&r, &sign));
    TRY(wire_get_bool(&r, &decrypt));
    TRY(wire_get_bool(&r, &renew));
    TRY(wire_done(&r));
    text_lower(email);
    intent_about(answer, "mailbox=%s person=%s sign=%d decrypt=%d", email, person, sign, decrypt);
    TRY(vault_mail_find(core->vault, email, &found, &mail));
    if (found && strcmp(mail.person, person) != 0) vault_mail_done(&mail); /* the address moved */
    memcpy(mail.email, email, strlen(email) + 1);
    memcpy(mail.person, person, strlen(person) + 1);
    mail.sign = sign;
    mail.decrypt = decrypt;
    TRY(apply(core, name, renew, &mail, answer));
    intent_about(answer, "mailbox=%s person=%s sign=%d decrypt=%d serial=%s", email, person, sign,
                 decrypt, mail.cert ? cert_serial_hex(mail.cert) : "-");
    return NULL;
}

/* ---- signing ---- */

static err_t *find_allowed(const keeper_core_t *core, const char *email, vault_mail_t *ret_mail) {
    bool found = false;
    TRY(vault_mail_find(core->vault, email, &found, ret_mail));
    if (!found) return err_new(ERR_DENIED, "the gateway may do nothing for %s", email);
    return NULL;
}

err_t *intent_mail_sign(const keeper_core_t *core, const intent_call_t *call,
                        intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *email = NULL;
    CLEANUP(vault_mail_done) vault_mail_t mail = {0};
    CLEANUP(cert_list_done) cert_list_t extra = {0};
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(buf_done) buf_t cms;
    bytes_t hash;
    buf_init(&cms, SIGNED_MAX);
    TRY(intent_get_name(&r, LIMIT_EMAIL, "mailbox", &email));
    TRY(wire_get_raw(&r, SHA256, &hash));
    TRY(wire_done(&r));
    text_lower(email);
    TRY(text_hex_new(hash, &hex));
    intent_about(answer, "mailbox=%s sha256=%s", email, hex);
    TRY(find_allowed(core, email, &mail));
    if (!mail.sign || !mail.key)
        return err_new(ERR_DENIED, "the gateway may not sign for %s", email);
    int64_t now = clk_unix(core->clk);
    if (cert_not_after(mail.cert) < now)
        return err_new(ERR_DENIED, "the signing certificate of %s has expired", email);
    const cms_attribute_t capabilities = {OID_SMIME_CAPABILITIES, CMS_SEQUENCE, cms_capabilities()};
    const cms_sign_options_t options = {
        .detached = true, .attributes = &capabilities, .attributes_n = 1, .signing_time = now};
    TRY(cert_list_add(&extra, core->keys->mail_ca));
    TRY(cms_signer_new(mail.cert, mail.key, &extra, &signer));
    TRY(cms_sign_hash(signer, hash, &options, &cms));
    return wire_put_bytes(&answer->body, buf_bytes(&cms));
}

/* ---- opening ---- */

typedef struct {
    escrow_object_t object;
    bytes_t blob, wrap;
    cms_wrapped_t wrapped;
    uint8_t n;
} request_t;

static err_t *get_wrapped(wire_reader_t *r, cms_wrapped_t *w) {
    uint8_t transport = 0;
    TRY(wire_get_u8(r, &transport));
    if (transport >= CMS_TRANSPORT_OTHER) return err_new(ERR_INVALID, "unknown key transport");
    w->transport = (cms_transport_t)transport;
    TRY(wire_get_bytes(r, RECIPIENT_MAX, &w->algorithm));
    TRY(wire_get_bytes(r, RECIPIENT_MAX, &w->encrypted));
    TRY(wire_get_bytes(r, RECIPIENT_MAX, &w->originator));
    TRY(wire_get_bool(r, &w->has_ukm));
    return wire_get_bytes(r, RECIPIENT_MAX, &w->ukm);
}

/* It must be the person's own, archived for automatic use, and recorded so in the vault. */
static err_t *open_key(const keeper_core_t *core, const vault_mail_t *mail, const request_t *q,
                       pkey_t **ret_key) {
    CLEANUP(secret_free) secret_t *secret = NULL;
    vault_escrow_t record;
    if (!mail->decrypt)
        return err_new(ERR_DENIED, "the gateway may not decrypt for %s", mail->email);
    if (strcmp(q->object.kind, ESCROW_KIND_SMIME) != 0 ||
        strcmp(q->object.owner, mail->person) != 0)
        return err_new(ERR_DENIED, "the key is not one of %s", mail->email);
    TRY(escrow_open_stored(core, &q->object, q->blob, q->wrap, &record, &secret));
    if (record.wrap != KEEPER_WRAP_AUTOMATIC)
        return err_new(ERR_DENIED, "the key is used with officers' consent alone");
    return pkey_parse_private_der(secret_bytes(secret), ret_key);
}

err_t *intent_mail_open(const keeper_core_t *core, const intent_call_t *call,
                        intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *email = NULL, *message = NULL;
    CLEANUP(vault_mail_done) vault_mail_t mail = {0};
    CLEANUP(pkey_free) pkey_t *key = NULL;
    char id[ESCROW_ID_TEXT];
    request_t q;
    uint8_t content_key[CMS_CONTENT_KEY_MAX];
    TRY(intent_get_name(&r, LIMIT_EMAIL, "mailbox", &email));
    TRY(escrow_object_get(&r, &q.object));
    TRY(wire_get_bytes(&r, LIMIT_ESCROW_SECRET + ESCROW_BLOB_OVERHEAD, &q.blob));
    TRY(wire_get_bytes(&r, ESCROW_WRAP_SIZE, &q.wrap));
    TRY(get_wrapped(&r, &q.wrapped));
    TRY(wire_get_u8(&r, &q.n));
    TRY(wire_get_str(&r, LIMIT_NAME, &message));
    TRY(wire_done(&r));
    text_lower(email);
    escrow_id_text(q.object.id, id);
    intent_about(answer, "mailbox=%s object=%s message=%s", email, id, message);
    TRY(find_allowed(core, email, &mail));
    TRY(open_key(core, &mail, &q, &key));
    TRY(cms_unwrap(&q.wrapped, key, core->rnd, content_key, q.n));
    err_t *e = buf_add(&answer->body, bytes_make(content_key, q.n));
    mem_wipe(content_key, sizeof content_key);
    return e ? e : vault_mail_count(answer->op, email);
}
