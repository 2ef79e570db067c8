/*
 * A device enrols over the air: see device_enrol.h. Apple "Over-the-Air Profile Delivery
 * Concepts"; main thread.
 */
#include "program/sim/device_enrol.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/sim/net.h"

#define TYPE_PROFILE "application/x-apple-aspen-config"

enum { HEADER_MAX = 8 * 1024 };

/* ---- portal ---- */

static err_t *login_body(const enrolment_t *e, buf_t *out) {
    TRY(buf_add_str(out, "email="));
    TRY(text_percent(bytes_str(e->user), out));
    TRY(buf_add_str(out, "&password="));
    return text_percent(e->password, out);
}

/* "Cookie: name=value" from the first Set-Cookie. */
static err_t *take_cookie(const http_response_t *response, char **ret_header) {
    bytes_t cookie = BYTES_NONE;
    if (!http_response_header(response, "set-cookie", &cookie))
        return err_new(ERR_VERIFY, "the portal accepts the log-in but sets no cookie");
    bytes_t pair = text_trim(bytes_slice(cookie, 0, bytes_find(cookie, ';')));
    *ret_header = mem_printf("Cookie: %.*s", (int)pair.n, (const char *)pair.p);
    return *ret_header ? NULL : err_nomem();
}

static err_t *log_in(enrolment_t *e, char **ret_header) {
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(mem_free) char *url = mem_printf("%s/enrol", e->url);
    CLEANUP(buf_done) buf_t body;
    http_response_init(&response);
    buf_init_secret(&body, LIMIT_HTTP_BODY_FORM);
    if (!url) return err_nomem();
    TRY(login_body(e, &body));
    err_t *error = net_do(e->client, "log-in", "POST", url, headers, buf_bytes(&body), &response);
    if (error && err_code(error) == ERR_DENIED)
        return err_wrap(error, "the portal does not take this name and password");
    if (error) return error;
    return take_cookie(&response, ret_header);
}

static err_t *basic_header(const enrolment_t *e, char **ret_header) {
    CLEANUP(buf_done) buf_t pair;
    CLEANUP(buf_done) buf_t header;
    buf_init_secret(&pair, HEADER_MAX);
    buf_init_secret(&header, HEADER_MAX);
    TRY(buf_printf(&pair, "%s:", e->user));
    TRY(buf_add(&pair, e->password));
    TRY(buf_add_str(&header, "Authorization: Basic "));
    TRY(text_base64(buf_bytes(&pair), &header));
    return buf_steal_str(&header, ret_header);
}

/* ---- phase 1 ---- */

static err_t *remember_offer(enrolment_t *e, const profile_offer_t *offer) {
    plist_t *ota = NULL;
    TRY(plist_set_string(e->device->state, "URL", e->url));
    TRY(plist_set_dict(e->device->state, "OTA", &ota));
    TRY(plist_set_string(ota, "URL", offer->url));
    TRY(plist_set_copy(ota, "DeviceAttributes", offer->attributes));
    if (!offer->challenge.p) return device_save(e->device);
    if (offer->challenge_is_data) TRY(plist_set_data(ota, "Challenge", offer->challenge));
    else TRY(plist_set_bytes_string(ota, "Challenge", offer->challenge));
    return device_save(e->device);
}

static err_t *take_offer(enrolment_t *e, const http_response_t *response) {
    CLEANUP(verified_profile_done) verified_profile_t profile = {0};
    profile_offer_t offer;
    TRY(net_need_type(response, TYPE_PROFILE));
    TRY_WRAP(
        verify_profile(buf_bytes(&response->body), &e->device->roots, clk_unix(e->clk), &profile),
        "phase 1");
    TRY(verify_offer(profile.dict, &offer));
    sim_step(e->out, "profile.offer",
             "Profile service: signed by %s, chain to the trusted root ok; asks for %zu attributes "
             "at %s",
             cert_subject(cms_signed_cert(profile.message)), plist_count(offer.attributes),
             offer.url);
    return remember_offer(e, &offer);
}

err_t *enrol_offer(enrolment_t *e) {
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(mem_free) char *header = NULL;
    CLEANUP(mem_free) char *url = mem_printf("%s/enrol/profile", e->url);
    http_response_init(&response);
    if (!url) return err_nomem();
    if (e->basic) TRY(basic_header(e, &header));
    else TRY(log_in(e, &header));
    const char *const headers[] = {header, NULL};
    if (!e->basic)
        sim_step(e->out, "portal.login", "Portal: logged in as %s at %s (TLS certificate ok)",
                 e->user, e->url);
    TRY(net_do(e->client, "enrolment profile", "GET", url, headers, BYTES_NONE, &response));
    if (e->basic)
        sim_step(e->out, "portal.login",
                 "Portal: logged in as %s by HTTP Basic (TLS certificate ok)", e->user);
    return take_offer(e, &response);
}

/* ---- phases 2 and 3 ---- */

/* What the device tells of itself under the names the offer asks for. */
static const struct {
    const char *attribute;
    const char *state;
} attributes[] = {{"UDID", "UDID"},       {"SERIAL", "Serial"}, {"PRODUCT", "Product"},
                  {"VERSION", "Version"}, {"IMEI", "IMEI"},     {"DEVICE_NAME", "Name"}};

static err_t *attribute_plist(const enrolment_t *e, buf_t *out) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    const plist_t *ota = plist_get(e->device->state, "OTA");
    const plist_t *asked = plist_get(ota, "DeviceAttributes");
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    for (size_t i = 0; i < plist_count(asked); i++) {
        bytes_t name = BYTES_NONE;
        TRY(plist_string(plist_at(asked, i), LIMIT_DEVICE_ATTRIBUTE, &name));
        for (size_t k = 0; k < sizeof attributes / sizeof attributes[0]; k++)
            if (bytes_eq_str(name, attributes[k].attribute))
                TRY(plist_set_string(dict, attributes[k].attribute,
                                     device_text(e->device, attributes[k].state)));
    }
    const plist_t *challenge = plist_get(ota, "Challenge");
    if (challenge) TRY(plist_set_copy(dict, "CHALLENGE", challenge));
    return plist_write(dict, out);
}

static err_t *post_attributes(enrolment_t *e, const credential_t *who, bool sha1,
                              verified_profile_t *ret_profile) {
    static const char *const headers[] = {"Content-Type: application/pkcs7-signature", NULL};
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    CLEANUP(buf_done) buf_t plist;
    CLEANUP(buf_done) buf_t body;
    bytes_t url = BYTES_NONE;
    http_response_init(&response);
    buf_init(&plist, LIMIT_HTTP_BODY_OTA);
    buf_init(&body, LIMIT_HTTP_BODY_OTA);
    TRY(attribute_plist(e, &plist));
    TRY(cms_signer_new(who->cert, who->key, NULL, &signer));
    cms_sign_options_t options = {.indefinite = true,
                                  .digest = sha1 ? CMS_DIGEST_SHA1 : CMS_DIGEST_SHA256};
    TRY(cms_sign(signer, buf_bytes(&plist), &options, &body));
    TRY(plist_get_string(plist_get(e->device->state, "OTA"), "URL", LIMIT_HTTP_QUERY, true, &url));
    TRY(net_do(e->client, "device attributes", "POST", (const char *)url.p, headers,
               buf_bytes(&body), &response));
    TRY(net_need_type(&response, TYPE_PROFILE));
    return verify_profile(buf_bytes(&response.body), &e->device->roots, clk_unix(e->clk),
                          ret_profile);
}

err_t *enrol_certify(enrolment_t *e) {
    CLEANUP(verified_profile_done) verified_profile_t profile = {0};
    CLEANUP(credential_done) credential_t identity = {0};
    scep_terms_t terms;
    TRY_WRAP(post_attributes(e, &e->device->factory, e->old_factory, &profile), "phase 2");
    TRY(verify_scep_profile(profile.dict, &terms));
    sim_step(e->out, "phase2",
             "Phase 2: attributes sent, signed by the factory certificate; the reply is signed by "
             "%s (ok) and offers an identity by SCEP, RSA-%u",
             cert_subject(cms_signed_cert(profile.message)), terms.bits);
    TRY_WRAP(enrol_scep(e, &terms, "identity", &identity), "phase 2");
    TRY(credential_save(&identity, e->device->dir, "ota"));
    credential_done(&e->device->ota);
    e->device->ota = identity;
    identity = (credential_t){0};
    return device_advance(e->device, STAGE_CERTIFIED);
}

static err_t *remember_profile(enrolment_t *e, const plist_t *profile) {
    plist_t *list = NULL, *entry = NULL;
    static const char *const keys[] = {"PayloadIdentifier", "PayloadUUID", "PayloadDisplayName",
                                       "PayloadVersion", "PayloadOrganization"};
    TRY(plist_set_array(e->device->state, "Profiles", &list));
    TRY(plist_array_add_dict(list, &entry));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const plist_t *value = plist_get(profile, keys[i]);
        if (value) TRY(plist_set_copy(entry, keys[i], value));
    }
    return plist_set_bool(entry, "Enrolment", true);
}

static err_t *remember_mdm(enrolment_t *e, const enrolment_terms_t *terms) {
    plist_t *mdm = NULL, *list = NULL;
    const mdm_terms_t *m = &terms->mdm;
    TRY(plist_set_dict(e->device->state, "MDM", &mdm));
    TRY(plist_set_string(mdm, "ServerURL", m->server_url));
    TRY(plist_set_string(mdm, "CheckInURL", m->checkin_url));
    TRY(plist_set_string(mdm, "Topic", m->topic));
    TRY(plist_set_int(mdm, "AccessRights", m->access_rights));
    TRY(plist_set_bool(mdm, "SignMessage", m->sign_message));
    TRY(plist_set_bool(mdm, "CheckOutWhenRemoved", m->check_out_when_removed));
    TRY(plist_set_array(e->device->state, "Authorities", &list));
    for (size_t i = 0; i < terms->authorities.n; i++)
        TRY(plist_array_add_data(list, cert_der(terms->authorities.certs[i])));
    return NULL;
}

/* Further certificates; kept beside the device's state and used for nothing here. */
static err_t *get_more(enrolment_t *e, const enrolment_terms_t *terms) {
    for (size_t i = 0; i < terms->more_n; i++) {
        CLEANUP(credential_done) credential_t more = {0};
        CLEANUP(mem_free) char *name = mem_printf("more%zu", i + 1);
        if (!name) return err_nomem();
        TRY_WRAP(enrol_scep(e, &terms->more[i], "further certificate", &more), "phase 3");
        TRY(credential_save(&more, e->device->dir, name));
    }
    return NULL;
}

err_t *enrol_configure(enrolment_t *e) {
    sim_device_t *d = e->device;
    CLEANUP(verified_profile_done) verified_profile_t profile = {0};
    CLEANUP(plist_free) plist_doc_t *payloads = NULL;
    CLEANUP(enrolment_terms_done) enrolment_terms_t terms = {0};
    CLEANUP(credential_done) credential_t identity = {0};
    cms_cipher_t cipher = CMS_AES256_CBC;
    TRY_WRAP(post_attributes(e, &d->ota, false, &profile), "phase 3");
    TRY_WRAP(verify_decrypt_payloads(profile.dict, d->ota.cert, d->ota.key, &payloads, &cipher),
             "phase 3");
    TRY_WRAP(verify_enrolment(plist_root(payloads), &d->roots, clk_unix(e->clk), &terms),
             "phase 3");
    sim_step(
        e->out, "phase3",
        "Phase 3: attributes sent again, signed by the new identity; the reply is signed by %s "
        "(ok), %s, opened with our key: %zu payloads",
        cert_subject(cms_signed_cert(profile.message)), cms_cipher_name(cipher),
        plist_count(plist_root(payloads)));
    sim_note(e->out, "phase3.mdm",
             "MDM payload: %s, topic %s, rights %lld, %s; %zu CA certificates chain to the root",
             terms.mdm.server_url, terms.mdm.topic, (long long)terms.mdm.access_rights,
             terms.mdm.sign_message ? "messages signed" : "client certificate",
             terms.authorities.n);
    TRY_WRAP(enrol_scep(e, &terms.scep, "MDM identity", &identity), "phase 3");
    TRY(credential_save(&identity, d->dir, "mdm"));
    credential_done(&d->mdm);
    d->mdm = identity;
    identity = (credential_t){0};
    TRY(get_more(e, &terms));
    TRY(remember_profile(e, profile.dict));
    TRY(remember_mdm(e, &terms));
    return device_advance(d, STAGE_CONFIGURED);
}
