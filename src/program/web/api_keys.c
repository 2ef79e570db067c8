/*
 * /api/v1/people/:email/keys: keys that a person's mail is encrypted to, made by the keeper or
 * brought along in a PKCS#12 file.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/p12.h"
#include "pki/mail_key.h"
#include "program/web/api.h"

#define PROFILE_DEFAULT "mail-encrypt"

/* The spec lies in the request's arena. */
static err_t *begin(web_t *web, http_request_t *request, mail_key_spec_t *spec) {
    const settings_t *s = &web->settings;
    const char *email = NULL;
    db_person_t person;
    bool found = false;
    TRY(api_param(request, "email", &email));
    TRY(db_people_find(web->db, request->arena, email, &person, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no person %s", email);
    if (person.disabled) return err_new(ERR_DENIED, "%s is disabled", email);
    *spec = (mail_key_spec_t){
        .person_id = person.id,
        .email = person.email,
        .name = "",
        .profile = s->mail_key_profile[0] ? s->mail_key_profile : PROFILE_DEFAULT,
        .approved = s->mail_key_approved,
        .actor = web_caller(request)->actor,
    };
    return NULL;
}

/* The key is there whether or not devices can be told now: the escrow thread tells them, too. */
static err_t *send_key(web_t *web, const mail_key_spec_t *spec, const char *id,
                       http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    size_t devices = 0;
    log_error(&web->log, LOG_WARNING, devices_mail_deliver(web->devices, spec->person_id, &devices),
              "mail keys for devices");
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "object", id));
    TRY(jso_set_int(out, "devices", (int64_t)devices));
    return api_send(reply, 201, out);
}

err_t *api_keys_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    mail_key_spec_t spec;
    char id[ESCROW_ID_TEXT];
    TRY(begin(web, request, &spec));
    TRY(mail_key_make(web->pki, &spec, id));
    return send_key(web, &spec, id, reply);
}

err_t *api_keys_import(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t file;
    mail_key_spec_t spec;
    bytes_t password;
    char id[ESCROW_ID_TEXT];
    buf_init_secret(&file, P12_BYTES_MAX);
    TRY(begin(web, request, &spec));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "p12", "password", NULL));
    TRY(jso_get_base64(body, "p12", true, &file));
    TRY(jso_get_string(body, "password", P12_PASSWORD_MAX, true, &password));
    TRY(mail_key_import(web->pki, &spec, buf_bytes(&file), password, id));
    return send_key(web, &spec, id, reply);
}
