/*
 * coffer-sim load checkin and load mdm: many devices check in, or obey. Bodies and signatures
 * that can be known are made before the clock runs; an answer that names a command is signed when
 * the command has come, and the time for that is told apart. Main thread.
 */
#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "format/plist.h"
#include "program/sim/load.h"
#include "program/sim/load_modes.h"

enum { TOKEN_BYTES = 32, MESSAGES = 2 };

#define TYPE_CHECKIN "Content-Type: application/x-apple-aspen-mdm-checkin"
#define TYPE_COMMAND "Content-Type: application/x-apple-aspen-mdm; charset=UTF-8"

/* A body with its Mdm-Signature. */
typedef struct {
    buf_t body;
    char *signature;
} message_t;

typedef struct {
    const load_arguments_t *a;
    load_devices_t devices;
    char *url;
    message_t *messages; /* checkin: two a device; mdm: one (Idle) */
    size_t messages_n;
    message_t *live; /* mdm: the answer a device is about to give */
    uint64_t obeyed;
    int64_t signing_us;
} mdm_load_t;

static void message_done(message_t *message) {
    buf_done(&message->body);
    mem_free(message->signature);
    *message = (message_t){0};
}

static void mdm_load_done(mdm_load_t *m) {
    for (size_t i = 0; m->messages && i < m->messages_n; i++) message_done(&m->messages[i]);
    for (size_t i = 0; m->live && i < m->a->devices; i++) message_done(&m->live[i]);
    mem_free(m->messages);
    mem_free(m->live);
    mem_free(m->url);
    load_devices_done(&m->devices);
}
DEFINE_CLEANUP_VALUE(mdm_load_t, mdm_load_done)

static err_t *begin(mdm_load_t *m, const char *path, size_t messages) {
    TRY(load_devices_open(m->a->state, m->a->keys, &m->devices));
    TRY(load_devices_certified(&m->devices, m->a->devices));
    m->url = mem_printf("%s%s", m->a->url, path);
    m->messages_n = messages;
    m->messages = mem_array(messages, sizeof *m->messages);
    m->live = mem_array(m->a->devices, sizeof *m->live);
    return m->url && m->messages && m->live ? NULL : err_nomem();
}

static err_t *finish(mdm_load_t *m, size_t device, const plist_t *dict, message_t *message) {
    message_done(message);
    buf_init(&message->body, LIMIT_HTTP_BODY_MDM);
    TRY(plist_write(dict, &message->body));
    return load_devices_sign(&m->devices, device, buf_bytes(&message->body), &message->signature);
}

static load_request_t request_of(const mdm_load_t *m, const message_t *message, const char *type) {
    return (load_request_t){.method = "PUT",
                            .url = m->url,
                            .headers = {type, message->signature},
                            .body = buf_bytes(&message->body)};
}

/* ---- check-in ---- */

static err_t *begin_checkin(const mdm_load_t *m, size_t device, const char *type,
                            plist_doc_t **ret_doc, plist_t **ret_dict) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    char udid[LOAD_UDID];
    load_devices_udid(device, udid);
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "MessageType", type));
    TRY(plist_set_string(dict, "Topic", m->a->topic));
    TRY(plist_set_string(dict, "UDID", udid));
    *ret_doc = STEAL(doc);
    *ret_dict = dict;
    return NULL;
}

static err_t *make_checkin(mdm_load_t *m, size_t device) {
    CLEANUP(plist_free) plist_doc_t *first = NULL;
    CLEANUP(plist_free) plist_doc_t *second = NULL;
    plist_t *dict = NULL;
    uint8_t token[TOKEN_BYTES];
    char text[32];
    TRY(begin_checkin(m, device, "Authenticate", &first, &dict));
    (void)snprintf(text, sizeof text, "LOAD%08zu", device + 1);
    TRY(plist_set_string(dict, "SerialNumber", text));
    TRY(plist_set_string(dict, "DeviceName", text));
    TRY(plist_set_string(dict, "ProductName", "iPhone15,2"));
    TRY(plist_set_string(dict, "OSVersion", "17.6.1"));
    TRY(plist_set_string(dict, "BuildVersion", "21G93"));
    TRY(finish(m, device, dict, &m->messages[MESSAGES * device]));
    TRY(begin_checkin(m, device, "TokenUpdate", &second, &dict));
    TRY(rnd_fill(rnd_real(), token, sizeof token));
    TRY(plist_set_data(dict, "Token", BYTES_ARRAY(token)));
    TRY(plist_set_string(dict, "PushMagic", text));
    TRY(plist_set_data(dict, "UnlockToken", BYTES_ARRAY(token)));
    return finish(m, device, dict, &m->messages[MESSAGES * device + 1]);
}

static err_t *next_checkin(void *ctx, size_t index, unsigned step, const http_response_t *reply,
                           load_request_t *ret_request, bool *ret_more) {
    mdm_load_t *m = ctx;
    (void)reply;
    *ret_more = step < MESSAGES;
    if (*ret_more)
        *ret_request = request_of(m, &m->messages[MESSAGES * index + step], TYPE_CHECKIN);
    return NULL;
}

err_t *load_mode_checkin(const load_arguments_t *a) {
    CLEANUP(mdm_load_done) mdm_load_t m = {.a = a};
    load_figures_t figures;
    TRY(sim_need(a->topic, "topic"));
    TRY(begin(&m, "/mdm/checkin", a->devices * MESSAGES));
    for (size_t i = 0; i < a->devices; i++) TRY(make_checkin(&m, i));
    load_plan_t plan = {.name = "checkin",
                        .http = &a->http,
                        .dialogues = a->devices,
                        .concurrency = a->concurrency,
                        .ctx = &m,
                        .next = next_checkin};
    TRY(load_run(&plan, &figures));
    return load_report(&a->out, "checkin", &figures);
}

/* ---- sessions ---- */

static err_t *make_idle(mdm_load_t *m, size_t device) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    char udid[LOAD_UDID];
    load_devices_udid(device, udid);
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "UDID", udid));
    TRY(plist_set_string(dict, "Status", "Idle"));
    return finish(m, device, dict, &m->messages[device]);
}

static err_t *acknowledge(mdm_load_t *m, size_t device, bytes_t order) {
    CLEANUP(plist_free) plist_doc_t *in = NULL;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *command = NULL, *dict = NULL;
    bytes_t uuid = BYTES_NONE;
    char udid[LOAD_UDID];
    load_devices_udid(device, udid);
    TRY(plist_parse_dict(order, &in, &command));
    TRY(plist_get_string(command, "CommandUUID", LIMIT_DEVICE_ID, true, &uuid));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "UDID", udid));
    TRY(plist_set_string(dict, "Status", "Acknowledged"));
    TRY(plist_set_bytes_string(dict, "CommandUUID", uuid));
    return finish(m, device, dict, &m->live[device]);
}

static int64_t cpu_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static err_t *next_session(void *ctx, size_t index, unsigned step, const http_response_t *reply,
                           load_request_t *ret_request, bool *ret_more) {
    mdm_load_t *m = ctx;
    size_t device = index % m->a->devices;
    *ret_more = step == 0 || reply->body.n > 0;
    if (!*ret_more) return NULL;
    if (step == 0) {
        *ret_request = request_of(m, &m->messages[device], TYPE_COMMAND);
        return NULL;
    }
    int64_t begun = cpu_us();
    TRY(acknowledge(m, device, buf_bytes(&reply->body)));
    m->signing_us += cpu_us() - begun;
    m->obeyed++;
    *ret_request = request_of(m, &m->live[device], TYPE_COMMAND);
    return NULL;
}

err_t *load_mode_mdm(const load_arguments_t *a) {
    CLEANUP(mdm_load_done) mdm_load_t m = {.a = a};
    load_figures_t figures;
    if (a->concurrency > a->devices)
        return err_new(ERR_USAGE, "--concurrency is at most --devices: one session a device");
    TRY(begin(&m, "/mdm/command", a->devices));
    for (size_t i = 0; i < a->devices; i++) TRY(make_idle(&m, i));
    load_plan_t plan = {.name = "mdm",
                        .http = &a->http,
                        .dialogues = a->devices * a->cycles,
                        .concurrency = a->concurrency,
                        .ctx = &m,
                        .next = next_session};
    TRY(load_run(&plan, &figures));
    sim_note(&a->out, "load.mdm", "%llu commands obeyed; signing the answers took %.2f s of CPU",
             (unsigned long long)m.obeyed, (double)m.signing_us / 1e6);
    return load_report(&a->out, "mdm", &figures);
}
