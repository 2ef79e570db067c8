/*
 * /api/v1/profiles: configuration profiles and who gets them; /api/v1/scep/challenges.
 */
#include "base/limits.h"
#include "program/web/api.h"
#include "store/profiles.h"

typedef struct {
    arena_t *arena;
    const char *identifier;
    db_profile_t *rows;
    db_profile_t row;
    size_t count;
    bool found;
} profiles_job_t;

static err_t *read_profiles(db_conn_t *conn, void *arg) {
    profiles_job_t *job = arg;
    return db_profiles_list(conn, job->arena, &job->rows, &job->count);
}

err_t *api_profiles_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    profiles_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(web->db, read_profiles, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "profiles", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "identifier", job.rows[i].identifier));
        TRY(jso_set_str(item, "name", job.rows[i].name));
        TRY(api_set_ms(item, "created", job.rows[i].created_ms));
        TRY(api_set_ms(item, "updated", job.rows[i].updated_ms));
    }
    return api_send(reply, 200, out);
}

err_t *api_profiles_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *out = NULL;
    const char *identifier = NULL;
    TRY(devices_profile_put(web->devices, request->arena, request->body, web_caller(request)->actor,
                            &identifier));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "identifier", identifier));
    return api_send(reply, 201, out);
}

static err_t *read_profile(db_conn_t *conn, void *arg) {
    profiles_job_t *job = arg;
    TRY(db_profiles_get(conn, job->arena, job->identifier, &job->row, &job->found));
    if (!job->found) return err_new(ERR_NOT_FOUND, "there is no profile %s", job->identifier);
    return NULL;
}

err_t *api_profiles_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(LIMIT_PROFILE_BYTES + 64 * 1024, &arena));
    profiles_job_t job = {.arena = arena};
    TRY(api_param(request, "identifier", &job.identifier));
    TRY(db_read(web->db, read_profile, &job));
    return http_reply_bytes(reply, 200, "application/x-apple-aspen-config", job.row.content);
}

err_t *api_profiles_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *identifier = NULL;
    TRY(api_param(request, "identifier", &identifier));
    TRY(devices_profile_remove(web->devices, identifier, web_caller(request)->actor));
    return http_reply_empty(reply, 204);
}

static err_t *send_count(int64_t count, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "devices", count));
    return api_send(reply, 202, out);
}

err_t *api_profiles_assign(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    const char *identifier = NULL;
    bytes_t device;
    int64_t count = 0;
    TRY(api_param(request, "identifier", &identifier));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "device", NULL));
    TRY(jso_get_string(body, "device", LIMIT_DEVICE_ID, true, &device));
    TRY(devices_profile_assign(web->devices, identifier, (const char *)device.p,
                               web_caller(request)->actor, &count));
    return send_count(count, reply);
}

err_t *api_profiles_unassign(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *identifier = NULL, *device = NULL;
    int64_t count = 0;
    TRY(api_param(request, "identifier", &identifier));
    TRY(api_param(request, "device", &device));
    TRY(devices_profile_unassign(web->devices, identifier, device, web_caller(request)->actor,
                                 &count));
    return send_count(count, reply);
}

/* The keeper knows the rules; a name it can't know is told here and not to the client later. */
static err_t *check_certificate_profile(const web_t *web, bytes_t profile) {
    static const char *const builtin[] = {"device-identity", "scep-client", "tls-server",
                                          "mail-signing"};
    size_t cursor = 0;
    const char *section = NULL, *name = NULL;
    for (size_t i = 0; i < web->settings.root_profiles_n; i++)
        if (bytes_eq_str(profile, web->settings.root_profiles[i]))
            return err_new(ERR_INVALID,
                           "certificates of profile %s are the root's: not to be had by SCEP",
                           web->settings.root_profiles[i]);
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++)
        if (bytes_eq_str(profile, builtin[i])) return NULL;
    while (conf_next_named(web->settings.conf, "certificate-profile", &cursor, &section, &name))
        if (bytes_eq_str(profile, name)) return NULL;
    return err_new(ERR_INVALID, "there is no certificate profile %.*s", (int)profile.n,
                   (const char *)profile.p);
}

err_t *api_scep_challenge(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t challenge;
    bytes_t profile = BYTES_LIT("scep-client"), subject = BYTES_LIT(""), names = BYTES_LIT("");
    int64_t ttl = 0;
    buf_init_secret(&challenge, LIMIT_SCEP_CHALLENGE);
    TRY(api_body(request, &body));
    TRY(jso_only(body, "profile", "subject", "names", "lifetime_s", NULL));
    TRY(jso_get_string(body, "profile", LIMIT_NAME, false, &profile));
    TRY(check_certificate_profile(web, profile));
    TRY(jso_get_string(body, "subject", 512, false, &subject));
    TRY(jso_get_string(body, "names", 2048, false, &names));
    TRY(jso_get_int(body, "lifetime_s", 60, (int64_t)30 * 86400, false, &ttl));
    pki_challenge_t spec = {.profile = (const char *)profile.p,
                            .subject = (const char *)subject.p,
                            .names = (const char *)names.p,
                            .enrolment_id = "",
                            .device_udid = "",
                            .created_by = web_caller(request)->actor,
                            .ttl_s = ttl};
    TRY(pki_challenge_new(web->pki, &spec, &challenge));
    TRY(jso_object(&out));
    TRY(jso_set_string(out, "challenge", buf_bytes(&challenge)));
    return api_send(reply, 201, out);
}
