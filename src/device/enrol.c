/*
 * Over-the-air enrolment (Apple "Over-the-Air Profile Delivery Concepts"): the offer of phase 1,
 * and the judgement which phase a signed message belongs to. Runs in coffer-web, any worker thread.
 */
#include "audit/note.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "device/enrol_internal.h"
#include "device/payload.h"

enum { CHALLENGE_RANDOM = 32 }; /* bytes */

/* ---- phase 1 ---- */

typedef struct {
    devices_t *devices;
    const db_person_t *person;
    const char *peer;
    char id[TEXT_UUID_SIZE];
    uint8_t hash[DEVICE_HASH];
} offer_t;

static err_t *offer_write(db_conn_t *conn, void *arg) {
    offer_t *offer = arg;
    int64_t now = devices_now(offer->devices);
    CLEANUP(mem_free) char *actor = mem_printf("person:%s", offer->person->email);
    if (!actor) return err_nomem();
    const db_enrolment_t row = {.id = offer->id,
                                .person_id = offer->person->id,
                                .challenge_hash = BYTES_ARRAY(offer->hash),
                                .state = "offered",
                                .udid = "",
                                .serial_number = "",
                                .product = "",
                                .os_version = "",
                                .created_ms = now,
                                .expires_ms = now + LIMIT_ENROL_TTL_S * 1000};
    TRY(db_enrolments_add(conn, &row));
    return audit_note(offer->devices->o.audit, conn, actor, "enrol.offer", offer->id, "peer",
                      offer->peer, NULL);
}

/* A bare payload, not a Configuration. */
static err_t *build_offer(const devices_t *devices, bytes_t challenge, plist_t *dict) {
    static const char *const attributes[] = {"UDID",   "VERSION", "PRODUCT",
                                             "SERIAL", "IMEI",    "MEID"};
    plist_t *content = NULL, *names = NULL;
    CLEANUP(mem_free) char *url = mem_printf("%s/enrol/ota", devices->o.url);
    if (!url) return err_nomem();
    TRY(payload_common(devices, dict, "Profile Service", "coffer.enrol", "Enrol this device",
                       NULL));
    TRY(plist_set_string(dict, "PayloadDescription",
                         "Lets this device enrol for management by its organisation."));
    TRY(plist_set_dict(dict, "PayloadContent", &content));
    TRY(plist_set_string(content, "URL", url));
    TRY(plist_set_array(content, "DeviceAttributes", &names));
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        TRY(plist_array_add_string(names, attributes[i]));
    return plist_set_bytes_string(content, "Challenge", challenge);
}

static err_t *make_challenge(const devices_t *devices, buf_t *text) {
    uint8_t random[CHALLENGE_RANDOM];
    TRY(rnd_fill(devices->o.rnd, random, sizeof random));
    err_t *e = text_base64url(BYTES_ARRAY(random), text);
    mem_wipe(random, sizeof random);
    return e;
}

err_t *devices_enrol_offer(devices_t *devices, const db_person_t *person, const char *peer,
                           device_answer_t *ret_answer) {
    if (devices->o.factory_cas->n == 0)
        return err_new(ERR_DENIED, "enrolment is off: no factory CA is configured");
    if (devices->o.topic[0] == '\0') /* a device that can't be pushed to never hears of a command */
        return err_new(ERR_DENIED, "enrolment is off: coffer.conf has no [push] certificate");
    if (person->disabled) return err_new(ERR_DENIED, "%s is disabled", person->email);
    CLEANUP(device_answer_done) device_answer_t answer;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(buf_done) buf_t challenge;
    plist_t *dict = NULL;
    offer_t offer = {.devices = devices, .person = person, .peer = peer};
    device_answer_init(&answer);
    buf_init_secret(&challenge, LIMIT_SCEP_CHALLENGE);
    TRY(make_challenge(devices, &challenge));
    TRY(digest_sha256(buf_bytes(&challenge), offer.hash));
    TRY(rnd_uuid(devices->o.rnd, offer.id));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(build_offer(devices, buf_bytes(&challenge), dict));
    TRY(payload_sign(devices, dict, &answer));
    TRY(db_write(devices->o.db, offer_write, &offer));
    device_answer_move(&answer, ret_answer);
    return NULL;
}

/* ---- phases 2 and 3: what came ---- */

static err_t *attribute(const plist_t *dict, const char *key, bool required, arena_t *arena,
                        const char **ret_text) {
    bytes_t text = BYTES_NONE;
    TRY(plist_get_string(dict, key, LIMIT_DEVICE_ATTRIBUTE, required, &text));
    if (!text_printable(text) || (required && text.n == 0))
        return err_new(ERR_INVALID, "attribute %s is empty or not printable", key);
    return device_str(arena, text, ret_text);
}

/* The challenge comes back as it was given, as a string or as data. */
static err_t *challenge_of(const plist_t *dict, arena_t *arena, bytes_t *ret_challenge) {
    const plist_t *node = plist_get(dict, "CHALLENGE");
    bytes_t value = BYTES_NONE;
    if (node && plist_type(node) == PLIST_DATA) {
        TRY(plist_get_data(dict, "CHALLENGE", LIMIT_SCEP_CHALLENGE, true, &value));
    } else {
        TRY(plist_get_string(dict, "CHALLENGE", LIMIT_SCEP_CHALLENGE, false, &value));
    }
    return arena_copy(arena, value, ret_challenge);
}

err_t *enrol_attributes_parse(bytes_t plist, arena_t *arena, enrol_attributes_t *ret_attributes) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    enrol_attributes_t a = {0};
    TRY_WRAP(plist_parse_dict(plist, &doc, &dict), "device attributes");
    TRY(attribute(dict, "UDID", true, arena, &a.udid));
    if (strlen(a.udid) > LIMIT_DEVICE_ID)
        return err_new(ERR_LIMIT, "a UDID has at most %d bytes", LIMIT_DEVICE_ID);
    TRY(attribute(dict, "SERIAL", false, arena, &a.serial));
    TRY(attribute(dict, "PRODUCT", false, arena, &a.product));
    TRY(attribute(dict, "VERSION", false, arena, &a.version));
    TRY(challenge_of(dict, arena, &a.challenge));
    *ret_attributes = a;
    return NULL;
}

err_t *enrol_check_expiry(const devices_t *devices, const db_enrolment_t *enrolment) {
    if (devices_now(devices) <= enrolment->expires_ms) return NULL;
    return err_new(ERR_DENIED, "this enrolment has expired; begin again at %s/enrol",
                   devices->o.url);
}

err_t *enrol_check_person(db_conn_t *conn, arena_t *arena, const db_enrolment_t *enrolment,
                          const char **ret_email) {
    db_person_t person;
    bool found = false;
    TRY(db_people_by_id(conn, arena, enrolment->person_id, &person, &found));
    if (!found || person.disabled)
        return err_new(ERR_DENIED, "the account that this enrolment belongs to is disabled");
    if (ret_email) *ret_email = person.email;
    return NULL;
}

err_t *enrol_identity_challenge(devices_t *devices, db_conn_t *conn, arena_t *arena,
                                const db_enrolment_t *enrolment, const char *udid,
                                buf_t *ret_challenge) {
    name_entry_t subject[PAYLOAD_SUBJECT];
    payload_grant_t grant = {.profile = devices->o.identity_profile, .names = "", .udid = udid};
    payload_identity_subject(devices, enrolment->id, subject);
    TRY(payload_subject_text(devices, arena, subject, PAYLOAD_SUBJECT, &grant.subject));
    return payload_challenge(devices, conn, enrolment, &grant, ret_challenge);
}

/* ---- who signed ---- */

/*
 * By the factory CA's key alone: its certificates are RSA-1024 with SHA-1 and expired long ago.
 * The CA itself is no device, though it signed itself.
 */
static bool is_factory(const devices_t *devices, const cert_t *signer) {
    const cert_list_t *cas = devices->o.factory_cas;
    if (cert_is_ca(signer)) return false;
    for (size_t i = 0; i < cas->n; i++) {
        err_t *e = cert_verify_signed_by_key(signer, cert_key(cas->certs[i]));
        if (!e) return true;
        err_free(e);
    }
    return false;
}

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const cert_t *signer;
    db_certificate_t row;
} identity_t;

static err_t *identity_read(db_conn_t *conn, void *arg) {
    identity_t *identity = arg;
    return pki_identity_check(identity->devices->o.pki, conn, identity->arena, identity->signer,
                              &identity->row);
}

static err_t *dispatch(devices_t *devices, const cms_signed_t *message, const char *peer,
                       device_answer_t *answer) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    enrol_attributes_t attributes;
    TRY(arena_new(DEVICE_ARENA, &arena));
    const cert_t *signer = cms_signed_cert(message);
    bool factory = is_factory(devices, signer);
    identity_t identity = {.devices = devices, .arena = arena, .signer = signer};
    if (!factory)
        TRY_WRAP(db_read(devices->o.db, identity_read, &identity),
                 "signed by neither a factory CA's device nor an identity of ours");
    TRY(enrol_attributes_parse(cms_signed_content(message), arena, &attributes));
    return factory ? enrol_phase2(devices, arena, &attributes, peer, answer)
                   : enrol_phase3(devices, arena, &attributes, signer, &identity.row, peer, answer);
}

err_t *devices_enrol_ota(devices_t *devices, bytes_t body, const char *peer,
                         device_answer_t *ret_answer) {
    if (devices->o.factory_cas->n == 0)
        return err_new(ERR_DENIED, "enrolment is off: no factory CA is configured");
    if (body.n > LIMIT_HTTP_BODY_OTA)
        return err_new(ERR_LIMIT, "an enrolment message has at most %d bytes", LIMIT_HTTP_BODY_OTA);
    CLEANUP(device_answer_done) device_answer_t answer;
    CLEANUP(cms_signed_free) cms_signed_t *message = NULL;
    const cms_verify_options_t options = {.allow_sha1 = true, .allow_weak_key = true};
    device_answer_init(&answer);
    TRY_WRAP(cms_verify(body, NULL, &options, &message), "enrolment message from %s", peer);
    TRY_WRAP(dispatch(devices, message, peer, &answer), "enrolment message from %s", peer);
    device_answer_move(&answer, ret_answer);
    return NULL;
}
