/*
 * Payloads of Coffer's own profiles: see payload.h. Any worker thread of coffer-web.
 */
#include "device/payload.h"

#include "base/mem.h"
#include "crypto/csr.h"
#include "crypto/digest.h"

enum { COMMON_NAME_MAX = 64 /* characters */ };

#define TYPE_EMAIL "emailAddress"
#define OID_EMAIL  "1.2.840.113549.1.9.1"

enum { SCEP_KEY_BITS = 2048, SCEP_RETRIES = 3, SCEP_RETRY_DELAY_S = 10 };

err_t *payload_common(const devices_t *devices, plist_t *dict, const char *type, const char *suffix,
                      const char *display_name, char ret_uuid[TEXT_UUID_SIZE]) {
    char uuid[TEXT_UUID_SIZE];
    CLEANUP(mem_free) char *identifier = mem_printf("%s.%s", devices->reverse_host, suffix);
    if (!identifier) return err_nomem();
    TRY(rnd_uuid(devices->o.rnd, uuid));
    TRY(plist_set_string(dict, "PayloadType", type));
    TRY(plist_set_int(dict, "PayloadVersion", 1));
    TRY(plist_set_string(dict, "PayloadIdentifier", identifier));
    TRY(plist_set_string(dict, "PayloadUUID", uuid));
    TRY(plist_set_string(dict, "PayloadDisplayName", display_name));
    TRY(plist_set_string(dict, "PayloadOrganization", devices->o.organisation));
    if (ret_uuid) memcpy(ret_uuid, uuid, sizeof uuid);
    return NULL;
}

static err_t *add_subject_entry(plist_t *subject, const char *type, const char *value) {
    plist_t *set = NULL, *pair = NULL;
    TRY(plist_array_add_array(subject, &set));
    TRY(plist_array_add_array(set, &pair));
    TRY(plist_array_add_string(pair, type));
    return plist_array_add_string(pair, value);
}

err_t *payload_stable_uuid(const devices_t *devices, const char *suffix, const char *enrolment_id,
                           char ret_uuid[TEXT_UUID_SIZE]) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    CLEANUP(mem_free)
    char *text = mem_printf("payload %s.%s of %s", devices->reverse_host, suffix, enrolment_id);
    if (!text) return err_nomem();
    TRY(digest_sha256(bytes_str(text), hash));
    (void)text_uuid(hash, ret_uuid);
    return NULL;
}

/* Apple has short names for a few types; the others are given by number. */
static err_t *add_subject(plist_t *content, const payload_scep_t *scep) {
    plist_t *subject = NULL;
    TRY(plist_set_array(content, "Subject", &subject));
    for (size_t i = 0; i < scep->subject_n; i++) {
        const char *type = scep->subject[i].type;
        bool email = strcmp(type, TYPE_EMAIL) == 0;
        TRY(add_subject_entry(subject, email ? OID_EMAIL : type, scep->subject[i].value));
    }
    if (!scep->mailbox) return NULL;
    plist_t *names = NULL;
    TRY(plist_set_dict(content, "SubjectAltName", &names));
    return plist_set_string(names, "rfc822Name", scep->mailbox);
}

err_t *payload_scep(const devices_t *devices, plist_t *dict, const payload_scep_t *scep) {
    plist_t *content = NULL;
    TRY(payload_common(devices, dict, "com.apple.security.scep", scep->suffix, scep->display_name,
                       NULL));
    if (scep->uuid) TRY(plist_set_string(dict, "PayloadUUID", scep->uuid));
    TRY(plist_set_dict(dict, "PayloadContent", &content));
    TRY(plist_set_string(content, "URL", devices->o.scep_url));
    /* Comes back as GetCACert's message: see scep.c. */
    TRY(plist_set_string(content, "Name", devices->ca_name));
    TRY(add_subject(content, scep));
    TRY(plist_set_bytes_string(content, "Challenge", scep->challenge));
    TRY(plist_set_int(content, "Keysize", SCEP_KEY_BITS)); /* the default is 1024 */
    TRY(plist_set_string(content, "Key Type", "RSA"));
    TRY(plist_set_int(content, "Key Usage", scep->usage));
    TRY(plist_set_int(content, "Retries", SCEP_RETRIES));
    TRY(plist_set_int(content, "RetryDelay", SCEP_RETRY_DELAY_S));
    TRY(plist_set_data(content, "CAFingerprint", BYTES_ARRAY(devices->ca_sha1)));
    return plist_set_bool(content, "KeyIsExtractable", false);
}

void payload_identity_subject(const devices_t *devices, const char *common_name,
                              name_entry_t ret_subject[PAYLOAD_SUBJECT]) {
    ret_subject[0] = (name_entry_t){"O", devices->o.organisation};
    ret_subject[1] = (name_entry_t){"CN", common_name};
}

void payload_mail_subject(const char *mailbox, name_entry_t *ret_subject) {
    bool fits = strlen(mailbox) <= COMMON_NAME_MAX;
    *ret_subject = (name_entry_t){fits ? "CN" : TYPE_EMAIL, mailbox};
}

/*
 * The challenge is bound to the subject as text, and its escaping is OpenSSL's own: so it is read
 * off a throw-away request with the same names.
 */
err_t *payload_subject_text(const devices_t *devices, arena_t *arena, const name_entry_t *subject,
                            size_t subject_n, const char **ret_text) {
    const csr_spec_t spec = {.subject = subject, .subject_n = subject_n};
    CLEANUP(csr_free) csr_t *csr = NULL;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CSR_BYTES);
    TRY_WRAP(csr_build(&spec, devices->speller_key, &der), "subject of the device's certificate");
    TRY(csr_parse_der(buf_bytes(&der), &csr));
    return device_str(arena, bytes_str(csr_subject(csr)), ret_text);
}

err_t *payload_challenge(devices_t *devices, db_conn_t *conn, const db_enrolment_t *enrolment,
                         const payload_grant_t *grant, buf_t *ret_challenge) {
    const pki_challenge_t spec = {.profile = grant->profile,
                                  .subject = grant->subject,
                                  .names = grant->names,
                                  .enrolment_id = enrolment->id,
                                  .device_udid = grant->udid,
                                  .created_by = "enrolment"};
    return pki_challenge_add(devices->o.pki, conn, &spec, ret_challenge);
}

err_t *payload_certificate(const devices_t *devices, plist_t *dict, const char *type,
                           const char *suffix, const cert_t *cert) {
    const char *name = cert_subject_get(cert, "CN");
    TRY(payload_common(devices, dict, type, suffix, name ? name : "Certificate", NULL));
    return plist_set_data(dict, "PayloadContent", cert_der(cert));
}

static err_t *set_url(plist_t *dict, const char *key, const char *base, const char *path) {
    CLEANUP(mem_free) char *url = mem_printf("%s%s", base, path);
    return url ? plist_set_string(dict, key, url) : err_nomem();
}

err_t *payload_mdm(const devices_t *devices, plist_t *dict, const char *identity_uuid) {
    const devices_options_t *o = &devices->o;
    const char *base = o->sign_message ? o->url : o->mtls_url;
    plist_t *capabilities = NULL;
    TRY(payload_common(devices, dict, "com.apple.mdm", "coffer.mdm", "Device management", NULL));
    TRY(plist_set_string(dict, "IdentityCertificateUUID", identity_uuid));
    TRY(plist_set_string(dict, "Topic", o->topic));
    TRY(set_url(dict, "ServerURL", base, "/mdm/command"));
    TRY(set_url(dict, "CheckInURL", base, "/mdm/checkin"));
    TRY(plist_set_bool(dict, "SignMessage", o->sign_message));
    TRY(plist_set_int(dict, "AccessRights", o->access_rights));
    TRY(plist_set_bool(dict, "CheckOutWhenRemoved", o->check_out_when_removed));
    TRY(plist_set_array(dict, "ServerCapabilities", &capabilities));
    return plist_array_add_string(capabilities, "com.apple.mdm.per-user-connections");
}

err_t *payload_sign(const devices_t *devices, const plist_t *profile, device_answer_t *answer) {
    CLEANUP(buf_done) buf_t xml;
    buf_init_secret(&xml, LIMIT_PROFILE_BYTES);
    TRY(plist_write(profile, &xml));
    device_answer_empty(answer, 200);
    answer->content_type = TYPE_CONFIG;
    return keeper_sign_profile(devices->o.keeper, buf_bytes(&xml), &answer->body);
}
