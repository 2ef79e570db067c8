/*
 * The device context and what its files share. Runs in coffer-web, on any worker thread.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "device/device_internal.h"
#include "format/json.h"
#include "store/jobs.h"

/* "https://coffer.example.org:8443" -> "org.example.coffer"; an address gives a fixed name. */
static err_t *reverse_host(const char *url, buf_t *out) {
    bytes_t rest = bytes_str(url);
    if (!bytes_starts(rest, BYTES_LIT("https://")))
        return err_new(ERR_USAGE, "the instance's url must begin with https://");
    rest = bytes_from(rest, 8);
    size_t end = 0;
    while (end < rest.n && rest.p[end] != ':' && rest.p[end] != '/') end++;
    bytes_t host = bytes_make(rest.p, end);
    bool letters = false;
    for (size_t i = 0; i < host.n; i++)
        letters |= (host.p[i] | 0x20) >= 'a' && (host.p[i] | 0x20) <= 'z';
    if (!letters) return buf_add_str(out, "local.coffer");
    while (host.n) {
        size_t dot = host.n;
        while (dot > 0 && host.p[dot - 1] != '.') dot--;
        TRY(buf_add(out, bytes_from(host, dot)));
        if (dot == 0) return NULL;
        TRY(buf_add_str(out, "."));
        host.n = dot - 1;
    }
    return NULL;
}

static err_t *check_options(const devices_options_t *o) {
    if (o->access_rights < 1 || o->access_rights > 8191)
        return err_new(ERR_USAGE, "access_rights must be 1 to 8191");
    if ((o->access_rights & 2 && !(o->access_rights & 1)) ||
        (o->access_rights & 128 && !(o->access_rights & 64)))
        return err_new(ERR_USAGE, "access_rights: 2 needs 1, and 128 needs 64");
    if (!o->sign_message && (!o->mtls_url || !o->mtls_url[0]))
        return err_new(ERR_USAGE, "without sign_message a listener for client certificates "
                                  "(mtls_url) is needed");
    return NULL;
}

err_t *devices_new(const devices_options_t *options, devices_t **ret_devices) {
    TRY(check_options(options));
    CLEANUP(devices_free) devices_t *devices = mem_zalloc(sizeof *devices);
    CLEANUP(buf_done) buf_t host = {.max = 512};
    if (!devices) return err_nomem();
    devices->o = *options;
    TRY(reverse_host(options->url, &host));
    TRY(buf_steal_str(&host, &devices->reverse_host));
    TRY(pkey_generate(PKEY_P256, 0, &devices->speller_key));
    const cert_t *ca = pki_device_ca(options->pki);
    devices->ca_name = pki_device_ca_by_subject(options->pki, cert_subject_der(ca))->name;
    TRY(digest_sha1_legacy(cert_der(pki_device_ca(options->pki)), devices->ca_sha1));
    *ret_devices = STEAL(devices);
    return NULL;
}

void devices_free(devices_t *devices) {
    if (!devices) return;
    mem_free(devices->reverse_host);
    pkey_free(devices->speller_key);
    mem_free(devices);
}

/* ---- answers ---- */

void device_answer_init(device_answer_t *answer) {
    *answer = (device_answer_t){.status = 200};
    buf_init(&answer->body, LIMIT_HTTP_RESPONSE);
}

void device_answer_done(device_answer_t *answer) { buf_done(&answer->body); }

void device_answer_move(device_answer_t *from, device_answer_t *ret_answer) {
    device_answer_done(ret_answer);
    *ret_answer = *from;
    device_answer_init(from);
}

void device_answer_empty(device_answer_t *answer, int status) {
    answer->status = status;
    answer->content_type = NULL;
    buf_clear(&answer->body);
}

err_t *device_answer_unrecognised(device_answer_t *answer) {
    CLEANUP(jso_free) json_t *object = NULL;
    TRY(jso_object(&object));
    TRY(jso_set_str(object, "code", "com.apple.unrecognized.device"));
    TRY(jso_set_str(object, "ErrorCode", "com.apple.unrecognized.device"));
    TRY(jso_set_str(object, "description", "this device is not enrolled here"));
    device_answer_empty(answer, 403);
    answer->content_type = TYPE_JSON;
    return jso_write(object, false, &answer->body);
}

err_t *device_answer_plist(device_answer_t *answer, const plist_t *node) {
    device_answer_empty(answer, 200);
    answer->content_type = TYPE_PLIST;
    return plist_write(node, &answer->body);
}

/* ---- rows ---- */

const char *device_actor(const char *id, char out[DEVICE_ACTOR]) {
    (void)snprintf(out, DEVICE_ACTOR, "device:%s", id);
    return out;
}

err_t *device_str(arena_t *arena, bytes_t text, const char **ret_text) {
    bytes_t copy;
    TRY(arena_copy(arena, text, &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *device_push_job(devices_t *devices, db_conn_t *conn, const char *device_id,
                       int64_t delay_ms) {
    int64_t now = devices_now(devices);
    TRY(db_jobs_put(conn, "push", device_id, "{}", now + delay_ms, now));
    if (!devices->o.job_added) return NULL;
    return db_after_commit(conn, devices->o.job_added, devices->o.job_ctx);
}

err_t *device_find(db_conn_t *conn, arena_t *arena, const char *text, db_device_t *ret_device) {
    bool found = false;
    TRY(db_devices_find(conn, arena, text, ret_device, &found));
    return found ? NULL : err_new(ERR_NOT_FOUND, "no device is called %.100s", text);
}

err_t *device_require_enrolled(const db_device_t *device) {
    if (strcmp(device->state, "enrolled") == 0) return NULL;
    return err_new(ERR_DENIED, "device %s is not enrolled (it is %s)", device->enrolment_key,
                   strcmp(device->state, "removed") == 0 ? "removed from management"
                                                         : "still enrolling");
}

bool device_is_mac(const db_device_t *device) {
    bytes_t product = bytes_str(device->product);
    return bytes_starts(product, BYTES_LIT("Mac")) || bytes_starts(product, BYTES_LIT("iMac")) ||
           bytes_starts(product, BYTES_LIT("VirtualMac"));
}
