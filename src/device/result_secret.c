/*
 * See result_secret.h. coffer-web: transactions on whichever thread, the keeper from a worker.
 */
#include "device/result_secret.h"

#include <stdio.h>

#include "audit/note.h"
#include "base/limits.h"
#include "store/tokens.h"

enum { CODE_MAX = 64, MESSAGE_MAX = 64 * 1024, CAP_ARENA = 64 * 1024, DAY_S = 86400 };

#define KEY_BYPASS "ActivationLockBypassCode"

/* ---- what is in it ---- */

static bytes_t data_in(const plist_t *result, const char *dict, const char *key) {
    const plist_t *part = plist_get(result, dict);
    bytes_t data = BYTES_NONE;
    if (part && plist_type(part) == PLIST_DICT)
        err_free(plist_get_data(part, key, MESSAGE_MAX, false, &data));
    return data;
}

static bytes_t code_in(const plist_t *result) {
    bytes_t code = BYTES_NONE;
    err_free(plist_get_string(result, KEY_BYPASS, CODE_MAX, false, &code));
    return code;
}

result_secret_t result_secret_find(const char *request_type, const plist_t *result) {
    result_secret_t found = {0};
    if (strcmp(request_type, KEY_BYPASS) == 0) {
        found.secret = code_in(result);
        found.kind = SECRET_BYPASS_DEVICE;
    } else if (strcmp(request_type, "SecurityInfo") == 0) {
        found.secret = data_in(result, "SecurityInfo", "FDE_PersonalRecoveryKeyCMS");
        found.kind = SECRET_FILEVAULT;
    } else if (strcmp(request_type, "RotateFileVaultKey") == 0) {
        found.secret = data_in(result, "RotateResult", "EncryptedNewRecoveryKey");
        found.kind = SECRET_FILEVAULT;
    }
    if (found.secret.n == 0) return (result_secret_t){0};
    found.encrypted = strcmp(found.kind, SECRET_FILEVAULT) == 0;
    return found;
}

err_t *result_secret_strip(const result_secret_t *secret, plist_t *result, buf_t *out) {
    if (!secret->encrypted) TRY(plist_set_string(result, KEY_BYPASS, "(in escrow)"));
    return plist_write(result, out);
}

/* ---- taking it ---- */

err_t *result_taking_look(db_conn_t *conn, arena_t *arena, const char *device_id,
                          const char *request_type, const plist_t *result, result_taking_t *taking,
                          bool *ret_waits) {
    taking->what = result_secret_find(request_type, result);
    *ret_waits = false;
    if (!taking->what.kind) return NULL;
    TRY(device_secret_find(conn, arena, device_id, taking->what.kind, 0, &taking->before));
    if (taking->what.encrypted) {
        TRY(device_secret_find(conn, arena, device_id, SECRET_RECEIVER, 0, &taking->to));
        if (!taking->to.in_escrow) { /* encrypted to somebody else's key */
            taking->what.kind = NULL;
            return NULL;
        }
    }
    *ret_waits = taking->waits = true;
    return NULL;
}

/* Whether the keeper said no for good, or may say yes when the device sends it again. */
static bool is_refusal(const err_t *e) {
    err_code_t code = err_code(e);
    return code == ERR_INVALID || code == ERR_VERIFY || code == ERR_DENIED || code == ERR_LIMIT ||
           code == ERR_NOT_FOUND;
}

typedef struct {
    devices_t *devices;
    const char *device_id, *kind, *why;
} cap_job_t;

/* Once a day: the device sends it again and again until it is taken. */
static err_t *cap_write(db_conn_t *conn, void *arg) {
    const cap_job_t *job = arg;
    const devices_t *devices = job->devices;
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t text;
    const char *last = NULL, *body = NULL;
    bool found = false;
    char day[24];
    buf_init(&text, LIMIT_NOTICE_TEXT);
    TRY(arena_new(CAP_ARENA, &arena));
    (void)snprintf(day, sizeof day, "%lld", (long long)(clk_unix(devices->o.clk) / DAY_S));
    TRY(db_meta_get(conn, arena, "escrow.take_cap_day", &last, &found));
    if (found && strcmp(last, day) == 0) return NULL;
    TRY(db_meta_set(conn, "escrow.take_cap_day", day));
    TRY(audit_note(devices->o.audit, conn, "system", "escrow.take-cap", job->device_id, "secret",
                   job->kind, "why", job->why, NULL));
    if (!devices->o.notify) return NULL;
    TRY(buf_printf(&text,
                   "The key process takes no more secrets of kind %s for now: %s.\n\nDevices send "
                   "theirs again until it does. If so many devices are new, raise takes_per_day "
                   "in [keeper]; else look at coffer audit keeper-log.\n",
                   job->kind, job->why));
    TRY(buf_cstr(&text, &body));
    return notify_admins(devices->o.notify, conn, arena,
                         &(notice_t){.event = "escrow.take-cap",
                                     .key = day,
                                     .subject = "Secrets of devices are not taken any more today",
                                     .text = body});
}

static void tell_cap(devices_t *devices, const char *device_id, const char *kind, const err_t *e) {
    char why[256];
    if (err_code(e) != ERR_BUSY || !strstr(err_text(e, why, sizeof why), "ALARM")) return;
    err_ignore(db_write(devices->o.db, cap_write, &(cap_job_t){devices, device_id, kind, why}));
}

err_t *result_taking_ask(devices_t *devices, arena_t *arena, const char *device_id,
                         result_taking_t *taking) {
    char why[256];
    taking->waits = false;
    err_t *e = device_secret_take(devices, device_id, taking->what.kind, &taking->before,
                                  taking->what.encrypted ? &taking->to : NULL, taking->what.secret,
                                  &taking->fresh);
    if (e) tell_cap(devices, device_id, taking->what.kind, e);
    if (e && !is_refusal(e)) return e;
    taking->settled = true;
    if (!e) return NULL;
    (void)err_text(e, why, sizeof why);
    err_free(e);
    return device_str(arena, bytes_str(why), &taking->refusal);
}

err_t *result_taking_keep(devices_t *devices, db_conn_t *conn, const char *enrolment_key,
                          const result_taking_t *taking) {
    char actor[DEVICE_ACTOR], id[ESCROW_ID_TEXT];
    const char *kind = taking->what.kind;
    (void)device_actor(enrolment_key, actor);
    if (taking->refusal)
        return audit_note(devices->o.audit, conn, actor, "escrow.refuse", actor, "secret", kind,
                          "why", taking->refusal, NULL);
    TRY(device_secret_keep(devices, conn, &taking->fresh, enrolment_key, actor));
    if (taking->fresh.same) return NULL;
    escrow_id_text(taking->fresh.archived.object.id, id);
    return audit_note(devices->o.audit, conn, actor, "escrow.put", id, "secret", kind, NULL);
}
