/*
 * Phase 3 of over-the-air enrolment: the device comes back with the identity that SCEP gave it and
 * gets its management profile, encrypted to that identity. The phase-2 identity serves for this
 * alone: the profile holds a SCEP payload of its own for the identity that management uses. The
 * person's mail keys follow by a command, see mail_delivery.h. Any worker thread of coffer-web.
 */
#include <stdio.h>

#include "audit/note.h"
#include "base/mem.h"
#include "device/enrol_internal.h"
#include "device/mail_payload.h"
#include "device/payload.h"

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const enrol_attributes_t *attributes;
    const db_certificate_t *row;
    const char *peer;
    db_enrolment_t enrolment;
    const char *mailbox;     /* of the person who enrols */
    buf_t challenge;         /* for SCEP */
    buf_t signing_challenge; /* for the other one, if there is a signing profile */
} deliver_t;

#define SUFFIX_IDENTITY "coffer.mdm.scep"
#define SUFFIX_SIGNING  "coffer.mail.signing"

static bool wants_signing(const deliver_t *x) {
    const char *profile = x->devices->o.signing_profile;
    return profile && profile[0];
}

/* The second certificate: the person's, for mail that is signed on this device. */
static err_t *signing_challenge(db_conn_t *conn, deliver_t *x) {
    name_entry_t subject;
    CLEANUP(mem_free) char *names = mem_printf("email:%s", x->mailbox);
    if (!names) return err_nomem();
    payload_grant_t grant = {
        .profile = x->devices->o.signing_profile, .names = names, .udid = x->attributes->udid};
    payload_mail_subject(x->mailbox, &subject);
    TRY(payload_subject_text(x->devices, x->arena, &subject, 1, &grant.subject));
    return payload_challenge(x->devices, conn, &x->enrolment, &grant, &x->signing_challenge);
}

static err_t *check(const deliver_t *x) {
    const db_enrolment_t *e = &x->enrolment;
    if (strcmp(x->row->profile, x->devices->o.identity_profile) != 0)
        return err_new(ERR_DENIED, "a certificate of profile %s does not enrol a device",
                       x->row->profile);
    if (strcmp(e->udid, x->attributes->udid) != 0)
        return err_new(ERR_DENIED, "the identity belongs to another device");
    if (strcmp(e->state, "certified") != 0 && strcmp(e->state, "delivered") != 0)
        return err_new(ERR_DENIED, "the enrolment is not at this step");
    return enrol_check_expiry(x->devices, e);
}

static err_t *deliver(db_conn_t *conn, void *arg) {
    deliver_t *x = arg;
    bool found = false;
    char actor[DEVICE_ACTOR];
    if (!x->row->enrolment_id[0])
        return err_new(ERR_DENIED, "the identity was not made by an enrolment");
    TRY(db_enrolments_by_id(conn, x->arena, x->row->enrolment_id, &x->enrolment, &found));
    if (!found) return err_new(ERR_DENIED, "the enrolment is gone");
    TRY(check(x));
    TRY(enrol_check_person(conn, x->arena, &x->enrolment, &x->mailbox));
    TRY(enrol_identity_challenge(x->devices, conn, x->arena, &x->enrolment, x->attributes->udid,
                                 &x->challenge));
    if (wants_signing(x)) TRY(signing_challenge(conn, x));
    TRY(db_enrolments_set_state(conn, x->enrolment.id, "delivered"));
    return audit_note(x->devices->o.audit, conn, device_actor(x->attributes->udid, actor),
                      "enrol.deliver", x->enrolment.id, "identity", x->row->serial, "peer", x->peer,
                      NULL);
}

static err_t *add_identity(const deliver_t *x, plist_t *array, char ret_uuid[TEXT_UUID_SIZE]) {
    plist_t *dict = NULL;
    name_entry_t subject[PAYLOAD_SUBJECT];
    payload_identity_subject(x->devices, x->enrolment.id, subject);
    TRY(payload_stable_uuid(x->devices, SUFFIX_IDENTITY, x->enrolment.id, ret_uuid));
    TRY(plist_array_add_dict(array, &dict));
    return payload_scep(x->devices, dict,
                        &(payload_scep_t){.suffix = SUFFIX_IDENTITY,
                                          .display_name = "Device identity",
                                          .subject = subject,
                                          .subject_n = PAYLOAD_SUBJECT,
                                          .usage = PAYLOAD_SCEP_BOTH,
                                          .challenge = buf_bytes(&x->challenge),
                                          .uuid = ret_uuid});
}

static err_t *add_signing(const deliver_t *x, plist_t *array) {
    plist_t *dict = NULL;
    name_entry_t subject;
    char uuid[TEXT_UUID_SIZE];
    payload_mail_subject(x->mailbox, &subject);
    TRY(payload_stable_uuid(x->devices, SUFFIX_SIGNING, x->enrolment.id, uuid));
    TRY(plist_array_add_dict(array, &dict));
    return payload_scep(x->devices, dict,
                        &(payload_scep_t){.suffix = SUFFIX_SIGNING,
                                          .display_name = "Mail signature",
                                          .subject = &subject,
                                          .subject_n = 1,
                                          .mailbox = x->mailbox,
                                          .usage = PAYLOAD_SCEP_SIGN,
                                          .challenge = buf_bytes(&x->signing_challenge),
                                          .uuid = uuid});
}

/* The current one, and the next one, so that it is known before it certifies anything. */
static err_t *add_device_cas(const devices_t *devices, plist_t *array) {
    const keeper_cas_t *cas = pki_device_cas(devices->o.pki);
    for (size_t i = 0; i < cas->n; i++) {
        char suffix[KEEPER_CA_NAME + sizeof "coffer.mdm."];
        plist_t *dict = NULL;
        if (cas->list[i].state == KEEPER_CA_FORMER) continue;
        (void)snprintf(suffix, sizeof suffix, "coffer.mdm.%s", cas->list[i].name);
        TRY(plist_array_add_dict(array, &dict));
        TRY(payload_certificate(devices, dict, "com.apple.security.pkcs1", suffix,
                                cas->list[i].cert));
    }
    return NULL;
}

/* What will be encrypted: the array as a property list of its own. */
static err_t *build_payloads(const deliver_t *x, plist_doc_t *doc, plist_t **ret_array) {
    plist_t *array = NULL, *dict = NULL;
    char identity[TEXT_UUID_SIZE];
    const devices_t *devices = x->devices;
    TRY(plist_new_array(doc, &array));
    TRY(plist_array_add_dict(array, &dict));
    TRY(payload_certificate(devices, dict, "com.apple.security.root", "coffer.mdm.root",
                            pki_root(devices->o.pki)));
    TRY(add_device_cas(devices, array));
    TRY(add_identity(x, array, identity));
    if (wants_signing(x)) TRY(add_signing(x, array));
    TRY(plist_array_add_dict(array, &dict));
    TRY(payload_mdm(devices, dict, identity));
    *ret_array = array;
    return NULL;
}

/* ---- sealing ---- */

static err_t *seal(const deliver_t *x, bytes_t fingerprint, buf_t *sealed) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(buf_done) buf_t payloads;
    const devices_options_t *o = &x->devices->o;
    plist_t *array = NULL;
    buf_init_secret(&payloads, LIMIT_PROFILE_BYTES);
    TRY(plist_doc_new(&doc));
    TRY(build_payloads(x, doc, &array));
    TRY(plist_write(array, &payloads));
    return keeper_seal_profile(o->keeper, fingerprint, buf_bytes(&payloads), o->profile_cipher,
                               sealed);
}

static err_t *build_profile(const deliver_t *x, bytes_t sealed, plist_t *profile) {
    TRY(payload_common(x->devices, profile, "Configuration", "coffer.management",
                       "Device management", NULL));
    TRY(plist_set_string(profile, "PayloadDescription",
                         "Installs the organisation's certificates and lets it manage this "
                         "device."));
    TRY(plist_set_bool(profile, "PayloadRemovalDisallowed", false));
    TRY(plist_set_data(profile, "EncryptedPayloadContent", sealed));
    return plist_set_bool(profile, "IsEncrypted", true);
}

static err_t *run(deliver_t *x, const cert_t *identity, device_answer_t *answer) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(buf_done) buf_t sealed;
    plist_t *profile = NULL;
    buf_init(&sealed, LIMIT_PROFILE_BYTES);
    char actor[DEVICE_ACTOR];
    TRY(db_write(x->devices->o.db, deliver, x));
    TRY(mail_payload_first_key(x->devices, x->arena, x->enrolment.person_id, x->mailbox,
                               device_actor(x->attributes->udid, actor)));
    TRY(seal(x, bytes_make(cert_sha256(identity), DEVICE_HASH), &sealed));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &profile));
    TRY(build_profile(x, buf_bytes(&sealed), profile));
    return payload_sign(x->devices, profile, answer);
}

err_t *enrol_phase3(devices_t *devices, arena_t *arena, const enrol_attributes_t *attributes,
                    const cert_t *identity, const db_certificate_t *row, const char *peer,
                    device_answer_t *answer) {
    deliver_t x = {
        .devices = devices, .arena = arena, .attributes = attributes, .row = row, .peer = peer};
    buf_init_secret(&x.challenge, LIMIT_SCEP_CHALLENGE);
    buf_init_secret(&x.signing_challenge, LIMIT_SCEP_CHALLENGE);
    err_t *e = run(&x, identity, answer);
    buf_done(&x.challenge);
    buf_done(&x.signing_challenge);
    return e;
}
