/*
 * See device_fixture.h.
 */
#include "device_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../crypto/factory.h"
#include "base/mem.h"
#include "crypto/csr.h"
#include "escrow/objects.h"
#include "pki/scep.h"
#include "store/migrate.h"

#define SCEP_ARC "2.16.840.1.113733.1.9."

static void on_job(void *ctx) { ((fx_t *)ctx)->jobs++; }

static err_t *add_person(db_conn_t *conn, void *arg) { return db_people_add(conn, arg); }

static void make_factory(fx_t *f) {
    cert_t *ca = NULL;
    assert_ok(cert_parse_pem(bytes_str(factory_ca_pem), &ca));
    assert_ok(cert_list_add(&f->factory_cas, ca));
    cert_free(ca);
    assert_ok(cert_parse_pem(bytes_str(factory_device_pem), &f->factory_cert));
    assert_ok(pkey_parse_private_pem(bytes_str(factory_device_key_pem), &f->factory_key));
    assert_ok(cms_signer_new(f->factory_cert, f->factory_key, NULL, &f->factory));
}

static void make_services(fx_t *f) {
    const clk_t *clk = &f->keeper.clk.clk;
    pki_options_t pki = {
        .db = f->db, .keeper = f->keeper.keeper, .audit = &f->audit, .clk = clk, .rnd = rnd_real()};
    assert_ok(pki_new(&pki, &f->pki));
    devices_options_t o = {.db = f->db,
                           .keeper = f->keeper.keeper,
                           .pki = f->pki,
                           .audit = &f->audit,
                           .keep = objects_keep,
                           .clk = clk,
                           .rnd = rnd_real(),
                           .organisation = "Example, \"Practice\" + Söhne",
                           .url = "https://coffer.example.org:8443",
                           .mtls_url = "",
                           .scep_url = "https://coffer.example.org:8443/scep",
                           .identity_profile = "device-identity",
                           .topic = "com.apple.mgmt.External.1",
                           .access_rights = 8191,
                           .sign_message = true,
                           .check_out_when_removed = true,
                           .factory_cas = &f->factory_cas,
                           .job_added = on_job,
                           .job_ctx = f};
    assert_ok(devices_new(&o, &f->devices));
}

void fx_make(fx_t *f) {
    *f = (fx_t){.dir = "/tmp/coffer-device-XXXXXX"};
    keeper_fixture_make(&f->keeper);
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/store.db", f->dir);
    assert_ok(db_open(f->path, NULL, &f->keeper.clk.clk, &f->db));
    unsigned applied = 0;
    assert_ok(migrate_run(f->db, &applied));
    f->audit = (audit_t){"test/web", &f->keeper.clk.clk};
    f->person = (db_person_t){.id = "person-1",
                              .email = "user@example.org",
                              .name = "User",
                              .role = "member",
                              .password_hash = "x"};
    assert_ok(db_write(f->db, add_person, &f->person));
    assert_ok(arena_new(64 * 1024 * 1024, &f->arena));
    buf_init(&f->body, LIMIT_HTTP_RESPONSE);
    make_factory(f);
    make_services(f);
}

void fx_done(fx_t *f) {
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < f->devices_n; i++) {
        fx_device_t *d = &f->device[i];
        cms_signer_free(d->signer);
        cert_free(d->cert);
        pkey_free(d->key);
        buf_done(&d->scep);
        buf_done(&d->last);
    }
    devices_free(f->devices);
    pki_free(f->pki);
    db_close(f->db);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", f->path, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->dir);
    cms_signer_free(f->factory);
    cert_free(f->factory_cert);
    pkey_free(f->factory_key);
    cert_list_done(&f->factory_cas);
    arena_free(f->arena);
    buf_done(&f->body);
    keeper_fixture_done(&f->keeper);
}

void fx_advance(fx_t *f, int64_t ms) { clk_fake_advance(&f->keeper.clk, ms); }

const char *fx_settle(fx_t *f, err_t *e) {
    (void)snprintf(f->outcome, sizeof f->outcome, "%s", e ? err_code_name(err_code(e)) : "ok");
    if (e && getenv("COFFER_TEST_VERBOSE")) {
        char text[1024];
        (void)fprintf(stderr, "%s\n", err_trace(e, text, sizeof text));
    }
    err_free(e);
    return f->outcome;
}

fx_device_t *fx_device(fx_t *f, const char *name, const char *udid, const char *product) {
    assert_true(f->devices_n < FX_DEVICES);
    fx_device_t *d = &f->device[f->devices_n++];
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    (void)snprintf(d->udid, sizeof d->udid, "%s", udid);
    (void)snprintf(d->product, sizeof d->product, "%s", product);
    buf_init(&d->scep, LIMIT_PROFILE_BYTES);
    buf_init(&d->last, LIMIT_HTTP_BODY_MDM);
    assert_ok(pkey_generate(PKEY_RSA, 2048, &d->key));
    return d;
}

fx_device_t *fx_find(fx_t *f, const char *name) {
    for (size_t i = 0; i < f->devices_n; i++)
        if (strcmp(f->device[i].name, name) == 0) return &f->device[i];
    return NULL;
}

/* ---- over-the-air enrolment ---- */

/* What the profile signer signed, checked. */
static cms_signed_t *open_signed(fx_t *f, bytes_t der) {
    cms_signed_t *s = NULL;
    assert_ok(cms_verify(der, NULL, NULL, &s));
    assert_true(cert_same(cms_signed_cert(s), pki_profile_signer(f->pki)));
    return s;
}

char *fx_offer(fx_t *f) {
    device_answer_t answer;
    device_answer_init(&answer);
    assert_ok(devices_enrol_offer(f->devices, &f->person, "192.0.2.1", &answer));
    cms_signed_t *s = open_signed(f, buf_bytes(&answer.body));
    plist_doc_t *doc = NULL;
    plist_t *dict = NULL, *content = NULL;
    bytes_t text;
    assert_ok(plist_parse_dict(cms_signed_content(s), &doc, &dict));
    assert_ok(plist_get_string(dict, "PayloadType", 100, true, &text));
    assert_true(bytes_eq_str(text, "Profile Service"));
    assert_ok(plist_get_string(dict, "PayloadIdentifier", 100, true, &text));
    assert_true(bytes_eq_str(text, "org.example.coffer.coffer.enrol"));
    assert_ok(plist_get_dict(dict, "PayloadContent", true, &content));
    assert_ok(plist_get_string(content, "URL", 100, true, &text));
    assert_true(bytes_eq_str(text, "https://coffer.example.org:8443/enrol/ota"));
    assert_ok(plist_get_string(content, "Challenge", 100, true, &text));
    char *challenge = mem_strndup((const char *)text.p, text.n);
    plist_free(doc);
    cms_signed_free(s);
    device_answer_done(&answer);
    return challenge;
}

static void attributes(const fx_device_t *d, const char *challenge, buf_t *out) {
    plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    assert_ok(plist_doc_new(&doc));
    assert_ok(plist_new_dict(doc, &dict));
    assert_ok(plist_set_string(dict, "UDID", d->udid));
    assert_ok(plist_set_string(dict, "SERIAL", d->name));
    assert_ok(plist_set_string(dict, "PRODUCT", d->product));
    assert_ok(plist_set_string(dict, "VERSION", "21A329"));
    if (challenge && d->challenge_key) {
        assert_ok(plist_set_data(dict, "CHALLENGE", bytes_str(challenge)));
    } else if (challenge) {
        assert_ok(plist_set_string(dict, "CHALLENGE", challenge));
    }
    assert_ok(plist_write(dict, out));
    plist_free(doc);
}

/* Keeps the first SCEP payload of an array. */
static void keep_scep(fx_device_t *d, plist_t *array) {
    for (size_t i = 0; i < plist_count(array); i++) {
        bytes_t type;
        assert_ok(plist_get_string(plist_at(array, i), "PayloadType", 100, true, &type));
        if (!bytes_eq_str(type, "com.apple.security.scep")) continue;
        buf_clear(&d->scep);
        assert_ok(plist_write(plist_get(plist_at(array, i), "PayloadContent"), &d->scep));
        return;
    }
    fail_msg("no SCEP payload");
}

static const char *ota(fx_t *f, const fx_device_t *d, const char *challenge,
                       const cms_signer_t *signer, bool factory, device_answer_t *answer) {
    CLEANUP(buf_done) buf_t xml, message;
    buf_init(&xml, 65536);
    buf_init(&message, 65536);
    attributes(d, challenge, &xml);
    cms_sign_options_t o = {.digest = factory ? CMS_DIGEST_SHA1 : CMS_DIGEST_SHA256,
                            .indefinite = true};
    assert_ok(cms_sign(signer, buf_bytes(&xml), &o, &message));
    return fx_settle(f, devices_enrol_ota(f->devices, buf_bytes(&message), "192.0.2.1", answer));
}

const char *fx_phase2(fx_t *f, fx_device_t *d, const char *challenge, const cms_signer_t *signer) {
    CLEANUP(device_answer_done) device_answer_t answer;
    plist_doc_t *doc = NULL;
    plist_t *dict = NULL, *array = NULL;
    device_answer_init(&answer);
    if (strcmp(ota(f, d, challenge, signer ? signer : f->factory, true, &answer), "ok") != 0)
        return f->outcome;
    cms_signed_t *s = open_signed(f, buf_bytes(&answer.body));
    assert_ok(plist_parse_dict(cms_signed_content(s), &doc, &dict));
    assert_ok(plist_get_array(dict, "PayloadContent", true, &array));
    assert_int_equal(plist_count(array), 1);
    keep_scep(d, array);
    plist_free(doc);
    cms_signed_free(s);
    return f->outcome;
}

const char *fx_phase3(fx_t *f, fx_device_t *d) {
    CLEANUP(device_answer_done) device_answer_t answer;
    CLEANUP(buf_done) buf_t plain;
    plist_doc_t *doc = NULL, *inner = NULL;
    plist_t *dict = NULL;
    bytes_t sealed;
    bool encrypted = false;
    device_answer_init(&answer);
    buf_init(&plain, LIMIT_PROFILE_BYTES);
    if (strcmp(ota(f, d, NULL, d->signer, false, &answer), "ok") != 0) return f->outcome;
    cms_signed_t *s = open_signed(f, buf_bytes(&answer.body));
    assert_ok(plist_parse_dict(cms_signed_content(s), &doc, &dict));
    assert_null(plist_get(dict, "PayloadContent"));
    assert_ok(plist_get_bool(dict, "IsEncrypted", true, &encrypted));
    assert_true(encrypted);
    assert_ok(plist_get_data(dict, "EncryptedPayloadContent", LIMIT_PROFILE_BYTES, true, &sealed));
    assert_ok(cms_decrypt(sealed, d->cert, d->key, NULL, &plain, NULL));
    assert_ok(plist_parse(buf_bytes(&plain), &inner));
    assert_int_equal(plist_count(plist_root(inner)), 4);
    keep_scep(d, plist_root(inner));
    buf_clear(&f->body);
    assert_ok(buf_add(&f->body, buf_bytes(&plain)));
    plist_free(inner);
    plist_free(doc);
    cms_signed_free(s);
    return f->outcome;
}

/* ---- SCEP, the device's side ---- */

static const char *pair_value(const plist_t *subject, size_t index, char out[128]) {
    bytes_t text;
    const plist_t *pair = plist_at(plist_at(subject, index), 0);
    assert_ok(plist_string(plist_at(pair, 1), 127, &text));
    (void)snprintf(out, 128, "%.*s", (int)text.n, (const char *)text.p);
    return out;
}

static void build_csr(const fx_device_t *d, buf_t *out) {
    plist_doc_t *doc = NULL;
    plist_t *content = NULL, *subject = NULL;
    bytes_t challenge;
    char organisation[128], name[128];
    assert_ok(plist_parse_dict(buf_bytes(&d->scep), &doc, &content));
    assert_ok(plist_get_array(content, "Subject", true, &subject));
    assert_ok(plist_get_string(content, "Challenge", 128, true, &challenge));
    name_entry_t entries[] = {{"O", pair_value(subject, 0, organisation)},
                              {"CN", pair_value(subject, 1, name)}};
    csr_spec_t spec = {.subject = entries, .subject_n = 2, .challenge = challenge};
    assert_ok(csr_build(&spec, d->key, out));
    plist_free(doc);
}

static cert_t *self_signed(const fx_t *f, const fx_device_t *d) {
    name_entry_t subject = {"CN", "first request"};
    uint8_t serial[CERT_SERIAL_SIZE];
    cert_t *cert = NULL;
    int64_t now = clk_unix(&f->keeper.clk.clk);
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_spec_t spec = {.subject = &subject,
                        .subject_n = 1,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = now - 60,
                        .not_after = now + 86400,
                        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT,
                        .key = d->key};
    assert_ok(cert_issue(&spec, NULL, d->key, &cert));
    return cert;
}

static void request_certificate(fx_t *f, const fx_device_t *d, const cert_t *self, buf_t *out) {
    static const uint8_t nonce[16] = {7};
    CLEANUP(buf_done) buf_t csr, envelope;
    char transaction[32];
    cms_signer_t *signer = NULL;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&envelope, LIMIT_CMS_BYTES);
    build_csr(d, &csr);
    assert_ok(cms_encrypt_to(buf_bytes(&csr), pki_device_ca(f->pki), NULL, &envelope));
    (void)snprintf(transaction, sizeof transaction, "T%u", ++f->transactions);
    cms_attribute_t a[] = {{SCEP_ARC "2", CMS_PRINTABLE_STRING, BYTES_LIT("19")},
                           {SCEP_ARC "7", CMS_PRINTABLE_STRING, bytes_str(transaction)},
                           {SCEP_ARC "5", CMS_OCTET_STRING, BYTES_ARRAY(nonce)}};
    cms_sign_options_t o = {.attributes = a, .attributes_n = 3};
    assert_ok(cms_signer_new(self, d->key, NULL, &signer));
    assert_ok(cms_sign(signer, buf_bytes(&envelope), &o, out));
    cms_signer_free(signer);
}

const char *fx_scep(fx_t *f, fx_device_t *d) {
    CLEANUP(buf_done) buf_t message, plain;
    CLEANUP(scep_answer_done) scep_answer_t answer;
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    cms_signed_t *s = NULL;
    cert_t *self = self_signed(f, d);
    const cms_verify_options_t verify = {.allow_no_content = true};
    buf_init(&message, LIMIT_CMS_BYTES);
    buf_init(&plain, LIMIT_CMS_BYTES);
    scep_answer_init(&answer);
    request_certificate(f, d, self, &message);
    assert_ok(
        scep_handle(f->pki, BYTES_LIT("PKIOperation"), buf_bytes(&message), "192.0.2.1", &answer));
    assert_ok(cms_verify(buf_bytes(&answer.body), NULL, &verify, &s));
    bool refused = cms_signed_content(s).n == 0;
    (void)snprintf(f->outcome, sizeof f->outcome, refused ? "refused" : "ok");
    if (!refused) {
        assert_ok(cms_decrypt(cms_signed_content(s), self, d->key, NULL, &plain, NULL));
        assert_ok(cms_parse_certs(buf_bytes(&plain), &certs));
        cms_signer_free(d->signer);
        cert_free(d->cert);
        d->signer = NULL;
        d->cert = cert_share(certs.certs[0]);
        assert_ok(cms_signer_new(d->cert, d->key, NULL, &d->signer));
    }
    cms_signed_free(s);
    cert_free(self);
    return f->outcome;
}

void fx_enrol(fx_t *f, fx_device_t *d) {
    char *challenge = fx_offer(f);
    assert_string_equal(fx_phase2(f, d, challenge, NULL), "ok");
    assert_string_equal(fx_scep(f, d), "ok");
    assert_string_equal(fx_phase3(f, d), "ok");
    assert_string_equal(fx_scep(f, d), "ok");
    mem_free(challenge);
}

/* ---- management ---- */

/* RequestType and UUID of the command that came. */
static void take_command(fx_t *f, fx_device_t *d) {
    plist_doc_t *doc = NULL;
    plist_t *root = NULL, *command = NULL;
    bytes_t type = BYTES_NONE, uuid = BYTES_NONE;
    assert_ok(plist_parse_dict(buf_bytes(&f->body), &doc, &root));
    assert_ok(plist_get_dict(root, "Command", false, &command));
    if (command) {
        assert_ok(plist_get_string(command, "RequestType", 60, true, &type));
        assert_ok(plist_get_string(root, "CommandUUID", 60, true, &uuid));
        (void)snprintf(d->command, sizeof d->command, "%.*s", (int)uuid.n, (const char *)uuid.p);
        (void)snprintf(f->outcome, sizeof f->outcome, "%.*s", (int)type.n, (const char *)type.p);
    } else {
        (void)snprintf(f->outcome, sizeof f->outcome, "plist");
    }
    plist_free(doc);
}

const char *fx_send(fx_t *f, fx_device_t *d, const fx_device_t *as, bool checkin, bytes_t xml) {
    CLEANUP(device_answer_done) device_answer_t answer;
    CLEANUP(buf_done) buf_t der, signature;
    const cms_sign_options_t o = {.detached = true};
    device_answer_init(&answer);
    buf_init(&der, 65536);
    buf_init(&signature, 65536);
    assert_ok(cms_sign(as ? as->signer : d->signer, xml, &o, &der));
    assert_ok(text_base64(buf_bytes(&der), &signature));
    device_request_t request = {
        .body = xml, .signature = buf_bytes(&signature), .peer = "192.0.2.1"};
    if (xml.p != d->last.p) {
        buf_clear(&d->last);
        assert_ok(buf_add(&d->last, xml));
    }
    d->last_is_checkin = checkin;
    err_t *e = checkin ? devices_checkin(f->devices, &request, &answer)
                       : devices_session(f->devices, &request, &answer);
    if (e) return fx_settle(f, e);
    buf_clear(&f->body);
    assert_ok(buf_add(&f->body, buf_bytes(&answer.body)));
    if (answer.status != 200) {
        (void)snprintf(f->outcome, sizeof f->outcome, "%d", answer.status);
    } else if (f->body.n == 0) {
        (void)snprintf(f->outcome, sizeof f->outcome, "empty");
    } else {
        take_command(f, d);
    }
    return f->outcome;
}

static void begin(const fx_device_t *d, const char *key, const char *value, plist_doc_t **ret_doc,
                  plist_t **ret_dict) {
    assert_ok(plist_doc_new(ret_doc));
    assert_ok(plist_new_dict(*ret_doc, ret_dict));
    assert_ok(plist_set_string(*ret_dict, key, value));
    assert_ok(plist_set_string(*ret_dict, "UDID", d->udid));
}

static const char *finish(fx_t *f, fx_device_t *d, const fx_device_t *as, bool checkin,
                          plist_doc_t *doc, const plist_t *dict) {
    CLEANUP(buf_done) buf_t xml;
    buf_init(&xml, LIMIT_HTTP_BODY_MDM);
    assert_ok(plist_write(dict, &xml));
    plist_free(doc);
    return fx_send(f, d, as, checkin, buf_bytes(&xml));
}

const char *fx_authenticate(fx_t *f, fx_device_t *d, const fx_device_t *as) {
    plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    begin(d, "MessageType", "Authenticate", &doc, &dict);
    assert_ok(plist_set_string(dict, "Topic", "com.apple.mgmt.External.1"));
    assert_ok(plist_set_string(dict, "SerialNumber", d->name));
    assert_ok(plist_set_string(dict, "ProductName", d->product));
    return finish(f, d, as, true, doc, dict);
}

const char *fx_token(fx_t *f, fx_device_t *d, const char *unlock_token) {
    plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    begin(d, "MessageType", "TokenUpdate", &doc, &dict);
    assert_ok(plist_set_string(dict, "Topic", "com.apple.mgmt.External.1"));
    assert_ok(plist_set_data(dict, "Token", BYTES_LIT("0123456789abcdef0123456789abcdef")));
    assert_ok(plist_set_string(dict, "PushMagic", "magic"));
    if (unlock_token) assert_ok(plist_set_data(dict, "UnlockToken", bytes_str(unlock_token)));
    return finish(f, d, NULL, true, doc, dict);
}

const char *fx_simple(fx_t *f, fx_device_t *d, const char *message_type) {
    plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    begin(d, "MessageType", message_type, &doc, &dict);
    return finish(f, d, NULL, true, doc, dict);
}

const char *fx_result(fx_t *f, fx_device_t *d, const char *status, const char *uuid,
                      const char *more_xml) {
    plist_doc_t *doc = NULL, *more = NULL;
    plist_t *dict = NULL, *extra = NULL;
    begin(d, "Status", status, &doc, &dict);
    if (strcmp(status, "Idle") != 0)
        assert_ok(plist_set_string(dict, "CommandUUID", uuid ? uuid : d->command));
    if (more_xml) {
        CLEANUP(buf_done) buf_t xml;
        buf_init(&xml, 65536);
        assert_ok(buf_printf(&xml, "<plist version=\"1.0\"><dict>%s</dict></plist>", more_xml));
        assert_ok(plist_parse_dict(buf_bytes(&xml), &more, &extra));
        for (size_t i = 0; i < plist_count(extra); i++)
            assert_ok(plist_set_copy(dict, (const char *)plist_key(plist_at(extra, i)).p,
                                     plist_at(extra, i)));
        plist_free(more);
    }
    return finish(f, d, NULL, false, doc, dict);
}

const char *fx_repeat(fx_t *f, fx_device_t *d) {
    return fx_send(f, d, NULL, d->last_is_checkin, buf_bytes(&d->last));
}

fx_device_t *fx_ready(fx_t *f, const char *name, const char *product) {
    char udid[64];
    (void)snprintf(udid, sizeof udid, "UDID-%s", name);
    fx_device_t *d = fx_device(f, name, udid, product);
    fx_enrol(f, d);
    assert_string_equal(fx_authenticate(f, d, NULL), "empty");
    assert_string_equal(fx_token(f, d, NULL), "empty");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "DeviceInformation");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "SecurityInfo");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL, NULL), "empty");
    return d;
}

const char *fx_queue(fx_t *f, const fx_device_t *d, const char *type, const char *parameters,
                     bool dry_run) {
    const char *uuid = NULL;
    device_command_t command = {.device = d->udid,
                                .request_type = type,
                                .parameters = parameters,
                                .actor = "person:admin@example.org",
                                .dry_run = dry_run};
    return fx_settle(f, devices_queue(f->devices, f->arena, &command, &uuid));
}

/* ---- looking into the store ---- */

typedef struct {
    const char *sql;
    int64_t number;
} number_t;

static err_t *number_read(db_conn_t *conn, void *arg) {
    number_t *n = arg;
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, n->sql, &stmt, &found));
    n->number = found ? db_col_i64(stmt, 0) : -1;
    return NULL;
}

int64_t fx_number(fx_t *f, const char *sql) {
    number_t n = {.sql = sql};
    assert_ok(db_read(f->db, number_read, &n));
    return n.number;
}
