/*
 * A person's mail keys to a device of his: PKCS#12 files (RFC 7292) are made here, put into the
 * payloads' holes and encrypted (CMS, RFC 5652) to a certificate that this keeper issued, so that
 * whoever asked gets ciphertext. The keeper's own record says whom the certificate was issued to
 * (the holder: an enrolment or a device), and a holder only ever gets one person's keys. The name
 * of a holder is the caller's word; what officers agreed to is one certificate, and what is
 * remembered of it is that certificate's key. Worker threads.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/p12.h"
#include "keeper/escrow_payloads.h"
#include "keeper/intent_escrow.h"
#include "keeper/mail_ca.h"

enum {
    PASSWORD = 20,   /* random bytes of a file's password; hex in the payload */
    ITERATIONS = 16, /* such a password needs no stretching */
    FILLED_MAX = 1024 * 1024,
    CONSENT_MAX_S = 30 * 86400,
};

/* One key of the delivery. */
typedef struct {
    char id[ESCROW_ID_TEXT];
    char password[2 * PASSWORD + 1];
    buf_t file; /* base64 of the PKCS#12 */
} file_t;

typedef struct {
    const keeper_core_t *core;
    char *person, *holder;
    cert_t *device;
    p12_cipher_t p12;
    bytes_t payloads;
    int64_t expires;
    char *mailboxes;
    escrow_signature_t signatures[LIMIT_ESCROW_OFFICERS];
    size_t signatures_n;
    bool approved_needed;     /* one of the keys asks for it */
    uint8_t key[ESCROW_HASH]; /* SHA-256 of the device's public key */
    bool seen;                /* this person's keys were encrypted to it before */
    bool known;               /* an officer agreed to it before */
    bool consented;           /* an officer agrees to it now */
    file_t files[LIMIT_ESCROW_PAYLOADS];
    size_t files_n;
} delivery_t;

static void delivery_free(delivery_t *d) {
    if (!d) return;
    mem_free(d->person);
    mem_free(d->holder);
    mem_free(d->mailboxes);
    cert_free(d->device);
    for (size_t i = 0; i < LIMIT_ESCROW_PAYLOADS; i++) buf_done(&d->files[i].file);
    mem_wipe(d->files, sizeof d->files);
    mem_free(d);
}
DEFINE_CLEANUP(delivery_t, delivery_free)

/* ---- to whom ---- */

static vault_delivery_t row_of(const delivery_t *d) {
    vault_delivery_t row = {.person = d->person, .holder = d->holder, .consented = d->consented};
    memcpy(row.key, d->key, sizeof row.key);
    return row;
}

static err_t *find_device(delivery_t *d, bytes_t fingerprint) {
    TRY(intent_find_issued(d->core, fingerprint, &d->device));
    int64_t now = clk_unix(d->core->clk);
    if (cert_not_after(d->device) < now || cert_not_before(d->device) > now)
        return err_new(ERR_DENIED, "the device's certificate is not valid now");
    TRY(vault_issued_owner(d->core->vault, fingerprint, &d->holder));
    if (!d->holder || d->holder[0] == '\0')
        return err_new(ERR_DENIED, "the certificate was issued to nobody");
    TRY(pkey_spki_sha256(cert_key(d->device), d->key));
    vault_delivery_t row = row_of(d);
    return vault_delivery_known(d->core->vault, &row, &d->seen, &d->known);
}

/* ---- what ---- */

static err_t *make_password(const keeper_core_t *core, char out[2 * PASSWORD + 1]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t raw[PASSWORD];
    TRY(rnd_fill(core->rnd, raw, sizeof raw));
    for (size_t i = 0; i < PASSWORD; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[2 * PASSWORD] = '\0';
    mem_wipe(raw, sizeof raw);
    return NULL;
}

static err_t *make_file(delivery_t *d, const secret_t *secret, bytes_t certificate, file_t *file) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(buf_done) buf_t p12;
    buf_init_secret(&p12, P12_BYTES_MAX);
    TRY_WRAP(cert_parse_der(certificate, &cert), "certificate of object %s", file->id);
    TRY(pkey_parse_private_der(secret_bytes(secret), &key));
    if (!pkey_same_public(cert_key(cert), key))
        return err_new(ERR_VERIFY, "the certificate is not that of object %s", file->id);
    TRY(make_password(d->core, file->password));
    const char *mailbox = cert_san_get(cert, SAN_EMAIL, 0);
    p12_spec_t spec = {.key = key,
                       .cert = cert,
                       .name = mailbox ? mailbox : file->id,
                       .cipher = d->p12,
                       .iterations = ITERATIONS};
    TRY(p12_write(&spec, bytes_str(file->password), &p12));
    return text_base64(buf_bytes(&p12), &file->file);
}

static err_t *take_key(delivery_t *d, wire_reader_t *r) {
    escrow_object_t object;
    vault_escrow_t record;
    bytes_t blob, wrap, certificate;
    CLEANUP(secret_free) secret_t *secret = NULL;
    file_t *file = &d->files[d->files_n++];
    buf_init_secret(&file->file, FILLED_MAX);
    TRY(escrow_object_get(r, &object));
    TRY(wire_get_bytes(r, LIMIT_ESCROW_SECRET + ESCROW_BLOB_OVERHEAD, &blob));
    TRY(wire_get_bytes(r, ESCROW_WRAP_SIZE, &wrap));
    TRY(wire_get_bytes(r, LIMIT_CERTIFICATE_BYTES, &certificate));
    escrow_id_text(object.id, file->id);
    if (strcmp(object.kind, ESCROW_KIND_SMIME) != 0)
        return err_new(ERR_DENIED, "object %s is no mail key", file->id);
    if (strcmp(object.owner, d->person) != 0)
        return err_new(ERR_DENIED, "object %s is another person's", file->id);
    TRY_WRAP(escrow_open_stored(d->core, &object, blob, wrap, &record, &secret), "object %s",
             file->id);
    d->approved_needed |= record.wrap == KEEPER_WRAP_APPROVED;
    return make_file(d, secret, certificate, file);
}

static err_t *take_keys(delivery_t *d, wire_reader_t *r) {
    uint16_t n = 0;
    TRY(wire_get_u16(r, &n));
    if (n == 0 || n > LIMIT_ESCROW_PAYLOADS)
        return err_new(ERR_LIMIT, "a delivery has 1 to %d keys", LIMIT_ESCROW_PAYLOADS);
    for (size_t i = 0; i < n; i++) TRY(take_key(d, r));
    return wire_done(r);
}

/* ---- may it ---- */

typedef struct {
    const escrow_delivery_t *consent;
    size_t known;
} mailboxes_t;

static err_t *check_mailbox(void *arg, bytes_t der) {
    mailboxes_t *m = arg;
    CLEANUP(cert_free) cert_t *cert = NULL;
    const char *mailbox = NULL;
    TRY(cert_parse_der(der, &cert));
    for (size_t i = 0; (mailbox = cert_san_get(cert, SAN_EMAIL, i)) != NULL; i++) {
        if (!escrow_delivery_names(m->consent, bytes_str(mailbox)))
            return err_new(ERR_DENIED, "ALARM: %s is this person's too, and no officer was told",
                           mailbox);
        m->known++;
    }
    return NULL;
}

/*
 * Who it is, an officer knows by mailboxes; the id that objects have as owner says nothing to him.
 * Every mailbox that we certified for this id must be among those that he signed.
 */
static err_t *check_mailboxes(const delivery_t *d, const escrow_delivery_t *consent) {
    mailboxes_t m = {.consent = consent};
    TRY(vault_issued_each(d->core->vault, KEY_MAIL_CA, d->person, check_mailbox, &m));
    if (m.known == 0)
        return err_new(ERR_DENIED, "no mailbox was certified for this person, so that an officer "
                                   "could tell who it is: make a key first (coffer key new)");
    return NULL;
}

static err_t *check_consent(delivery_t *d) {
    if (!d->approved_needed || d->known) return NULL;
    escrow_set_t set;
    escrow_delivery_t consent = {.expires = d->expires};
    int64_t now = clk_unix(d->core->clk);
    TRY(escrow_set_load(d->core, &set));
    if (!set.epoch) return err_new(ERR_DENIED, "there are no officers who could agree");
    if (d->signatures_n == 0)
        return err_new(ERR_AUTH, "an officer must agree to this person's new device first");
    if (d->expires <= now || d->expires - now > CONSENT_MAX_S)
        return err_new(ERR_DENIED, "the officers' consent has expired, or lasts too long");
    memcpy(consent.person, d->person, strlen(d->person) + 1);
    memcpy(consent.mailboxes, d->mailboxes, strlen(d->mailboxes) + 1);
    memcpy(consent.certificate, cert_sha256(d->device), ESCROW_HASH);
    consent.epoch = set.epoch;
    for (size_t i = 0; i < d->signatures_n; i++) {
        const escrow_officer_t *officer = escrow_set_officer(&set, d->signatures[i].officer);
        if (officer && strcmp(officer->person, d->person) == 0)
            return err_new(ERR_DENIED, "officer %s may not agree to his own device", officer->id);
    }
    TRY(escrow_delivery_verify(&set, &consent, d->signatures, d->signatures_n,
                               ESCROW_DELIVERY_CONSENTS));
    TRY(check_mailboxes(d, &consent));
    d->consented = true;
    return NULL;
}

/* ---- the payloads ---- */

static err_t *fill(const delivery_t *d, buf_t *out) {
    escrow_payload_t keys[LIMIT_ESCROW_PAYLOADS] = {0};
    for (size_t i = 0; i < d->files_n; i++) {
        memcpy(keys[i].id, d->files[i].id, sizeof keys[i].id);
        keys[i].file = buf_bytes(&d->files[i].file);
        keys[i].password = bytes_str(d->files[i].password);
    }
    return escrow_payloads_fill(d->payloads, keys, d->files_n, out);
}

/* ---- the intent ---- */

static err_t *read_head(delivery_t *d, wire_reader_t *r, cms_cipher_t *ret_cipher,
                        bytes_t *ret_fingerprint) {
    bool old = false;
    TRY(intent_get_name(r, LIMIT_ESCROW_OWNER, "person", &d->person));
    TRY(wire_get_raw(r, CERT_SHA256_SIZE, ret_fingerprint));
    TRY(intent_get_cipher(r, ret_cipher));
    TRY(wire_get_bool(r, &old));
    TRY(wire_get_bytes(r, LIMIT_PROFILE_BYTES, &d->payloads));
    TRY(wire_get_i64(r, &d->expires));
    TRY(wire_get_str(r, LIMIT_ESCROW_MAILBOXES, &d->mailboxes));
    TRY(escrow_get_signatures(r, d->signatures, &d->signatures_n));
    d->p12 = old ? P12_DES3 : P12_AES256;
    return NULL;
}

err_t *intent_escrow_deliver(const keeper_core_t *core, const intent_call_t *call,
                             intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    cms_encrypt_options_t options = {0};
    bytes_t fingerprint;
    CLEANUP(buf_done) buf_t filled, envelope;
    buf_init_secret(&filled, FILLED_MAX);
    buf_init(&envelope, LIMIT_FRAME_BYTES);
    CLEANUP(delivery_free) delivery_t *d = mem_zalloc(sizeof *d);
    if (!d) return err_nomem();
    d->core = core;
    TRY(read_head(d, &r, &options.cipher, &fingerprint));
    intent_about(answer, "person=%s", d->person);
    TRY(find_device(d, fingerprint));
    intent_about(answer, "person=%s holder=%s%s serial=%s", d->person, d->holder,
                 d->seen ? "" : " (new)", cert_serial_hex(d->device));
    TRY(take_keys(d, &r));
    TRY(check_consent(d));
    intent_about(answer, "person=%s holder=%s%s serial=%s keys=%zu consents=%zu", d->person,
                 d->holder, d->seen ? "" : " (new)", cert_serial_hex(d->device), d->files_n,
                 d->signatures_n);
    TRY(fill(d, &filled));
    TRY(cms_encrypt_to(buf_bytes(&filled), d->device, &options, &envelope));
    TRY(wire_put_bytes(&answer->body, buf_bytes(&envelope)));
    vault_delivery_t row = row_of(d);
    return vault_delivery_put(answer->op, &row);
}
