/*
 * Phase 2 of over-the-air enrolment: the device proves what it is by its factory certificate and
 * who asked for it by the offer's challenge. It is told how to get an identity by SCEP. Any
 * worker thread of coffer-web.
 */
#include "audit/note.h"
#include "crypto/digest.h"
#include "device/enrol_internal.h"
#include "device/payload.h"

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const enrol_attributes_t *attributes;
    const char *peer;
    uint8_t hash[DEVICE_HASH];
    db_enrolment_t enrolment;
    buf_t challenge; /* for SCEP */
} identify_t;

static err_t *why_not(const identify_t *x) {
    TRY(enrol_check_expiry(x->devices, &x->enrolment));
    return err_new(ERR_DENIED, strcmp(x->enrolment.udid, x->attributes->udid) == 0
                                   ? "this enrolment's challenge was used before"
                                   : "this enrolment's challenge was used by another device");
}

static err_t *identify(db_conn_t *conn, void *arg) {
    identify_t *x = arg;
    const enrol_attributes_t *a = x->attributes;
    const audit_t *audit = x->devices->o.audit;
    bool found = false, changed = false;
    char actor[DEVICE_ACTOR];
    const char *person = NULL;
    TRY(db_enrolments_by_challenge(conn, x->arena, BYTES_ARRAY(x->hash), &x->enrolment, &found));
    if (!found) return err_new(ERR_DENIED, "the challenge is not known here");
    TRY(enrol_check_expiry(x->devices, &x->enrolment));
    TRY(enrol_check_person(conn, x->arena, &x->enrolment, &person));
    TRY(db_enrolments_identify(conn, x->enrolment.id, a->udid, a->serial, a->product, a->version,
                               devices_now(x->devices), &changed));
    if (!changed) return why_not(x);
    TRY(enrol_identity_challenge(x->devices, conn, x->arena, &x->enrolment, a->udid,
                                 &x->challenge));
    return audit_note(audit, conn, device_actor(a->udid, actor), "enrol.identify", x->enrolment.id,
                      "serial", a->serial, "product", a->product, "person", person, "peer", x->peer,
                      NULL);
}

static err_t *build_profile(const identify_t *x, plist_t *profile) {
    plist_t *content = NULL, *scep = NULL;
    TRY(payload_common(x->devices, profile, "Configuration", "coffer.enrol.identity",
                       "Device identity", NULL));
    TRY(plist_set_array(profile, "PayloadContent", &content));
    TRY(plist_array_add_dict(content, &scep));
    name_entry_t subject[PAYLOAD_SUBJECT];
    payload_identity_subject(x->devices, x->enrolment.id, subject);
    return payload_scep(x->devices, scep,
                        &(payload_scep_t){.suffix = "coffer.enrol.identity.scep",
                                          .display_name = "Device identity",
                                          .subject = subject,
                                          .subject_n = PAYLOAD_SUBJECT,
                                          .usage = PAYLOAD_SCEP_BOTH,
                                          .challenge = buf_bytes(&x->challenge)});
}

static err_t *run(identify_t *x, device_answer_t *answer) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *profile = NULL;
    TRY(digest_sha256(x->attributes->challenge, x->hash));
    TRY(db_write(x->devices->o.db, identify, x));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &profile));
    TRY(build_profile(x, profile));
    return payload_sign(x->devices, profile, answer);
}

err_t *enrol_phase2(devices_t *devices, arena_t *arena, const enrol_attributes_t *attributes,
                    const char *peer, device_answer_t *answer) {
    if (attributes->challenge.n == 0) return err_new(ERR_DENIED, "the message has no CHALLENGE");
    identify_t x = {.devices = devices, .arena = arena, .attributes = attributes, .peer = peer};
    buf_init_secret(&x.challenge, LIMIT_SCEP_CHALLENGE);
    err_t *e = run(&x, answer);
    buf_done(&x.challenge);
    return e;
}
