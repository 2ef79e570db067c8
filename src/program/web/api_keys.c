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

typedef struct {
    arena_t *arena;
    const char *email;
    db_person_t person;
    bool found;
} person_job_t;

static err_t *find_person(db_conn_t *conn, void *arg) {
    person_job_t *job = arg;
    return db_people_by_email(conn, job->arena, job->email, &job->person, &job->found);
}

static err_t *begin(web_t *web, http_request_t *request, person_job_t *job, mail_key_spec_t *spec) {
    const settings_t *s = &web->settings;
    job->arena = request->arena;
    TRY(api_param(request, "email", &job->email));
    TRY(db_read(web->db, find_person, job));
    if (!job->found) return err_new(ERR_NOT_FOUND, "there is no person %s", job->email);
    if (job->person.disabled) return err_new(ERR_DENIED, "%s is disabled", job->email);
    *spec = (mail_key_spec_t){
        .person_id = job->person.id,
        .email = job->person.email,
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
    person_job_t job = {0};
    mail_key_spec_t spec;
    char id[ESCROW_ID_TEXT];
    TRY(begin(web, request, &job, &spec));
    TRY(mail_key_make(web->pki, &spec, id));
    return send_key(web, &spec, id, reply);
}

err_t *api_keys_import(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t file;
    person_job_t job = {0};
    mail_key_spec_t spec;
    bytes_t password;
    char id[ESCROW_ID_TEXT];
    buf_init_secret(&file, P12_BYTES_MAX);
    TRY(begin(web, request, &job, &spec));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "p12", "password", NULL));
    TRY(jso_get_base64(body, "p12", true, &file));
    TRY(jso_get_string(body, "password", P12_PASSWORD_MAX, true, &password));
    TRY(mail_key_import(web->pki, &spec, buf_bytes(&file), password, id));
    return send_key(web, &spec, id, reply);
}
