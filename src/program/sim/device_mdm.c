/*
 * A device speaks MDM: see device_mdm.h. Main thread.
 */
#include "program/sim/device_mdm.h"

#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cms.h"
#include "program/sim/net.h"
#include "program/sim/verify.h"

enum {
    PUSH_TOKEN = 32,     /* bytes */
    UNLOCK_TOKEN = 2048, /* bytes; real ones are about that */
    SESSION_MAX = 2000,  /* commands in one session: a server that never ends is broken */
    SIGNATURE_MAX = 64 * 1024,
};

err_t *mdm_client(const sim_device_t *device, http_client_t **ret_client) {
    CLEANUP(buf_done) buf_t cert;
    CLEANUP(buf_done) buf_t key;
    bool sign = false;
    buf_init(&cert, LIMIT_CERTIFICATE_BYTES * (size_t)2);
    buf_init_secret(&key, LIMIT_KEY_BYTES);
    TRY(plist_get_bool(plist_get(device->state, "MDM"), "SignMessage", false, &sign));
    if ((!sign || device_flag(device, "MTLS")) && device->mdm.cert) {
        TRY(cert_pem(device->mdm.cert, &cert));
        TRY(pkey_private_pem(device->mdm.key, &key));
    }
    http_client_config_t config = {.ca_pem = device_data(device, "Roots"),
                                   .cert_pem = buf_bytes(&cert),
                                   .key_pem = buf_bytes(&key)};
    return http_client_new(&config, ret_client);
}

static err_t *mdm_text(const sim_device_t *device, const char *key, const char **ret_text) {
    bytes_t text = BYTES_NONE;
    TRY(plist_get_string(plist_get(device->state, "MDM"), key, LIMIT_HTTP_QUERY, true, &text));
    *ret_text = (const char *)text.p;
    return NULL;
}

/* "Mdm-Signature: base64 of a detached signature over exactly these bytes". */
static err_t *sign(const mdm_t *m, bytes_t body, char **ret_header) {
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    CLEANUP(buf_done) buf_t der;
    CLEANUP(buf_done) buf_t header;
    buf_init(&der, SIGNATURE_MAX);
    buf_init(&header, SIGNATURE_MAX * (size_t)2);
    TRY(cms_signer_new(m->device->mdm.cert, m->device->mdm.key, NULL, &signer));
    cms_sign_options_t options = {.detached = true, .signing_time = clk_unix(m->clk)};
    TRY(cms_sign(signer, body, &options, &der));
    TRY(buf_add_str(&header, "Mdm-Signature: "));
    TRY(text_base64(buf_bytes(&der), &header));
    return buf_steal_str(&header, ret_header);
}

static err_t *put(mdm_t *m, const char *what, bool checkin, bytes_t body,
                  http_response_t *response) {
    CLEANUP(mem_free) char *signature = NULL;
    const char *url = NULL;
    bool signs = false;
    TRY(plist_get_bool(plist_get(m->device->state, "MDM"), "SignMessage", false, &signs));
    TRY(mdm_text(m->device, checkin ? "CheckInURL" : "ServerURL", &url));
    if (signs) TRY(sign(m, body, &signature));
    const char *const headers[] = {checkin ? "Content-Type: application/x-apple-aspen-mdm-checkin"
                                           : "Content-Type: application/x-apple-aspen-mdm; "
                                             "charset=UTF-8",
                                   signature, NULL};
    return net_do(m->client, what, "PUT", url, headers, body, response);
}

/* ---- check-in ---- */

static err_t *checkin_begin(const mdm_t *m, const char *type, plist_doc_t **ret_doc,
                            plist_t **ret_dict) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    const char *topic = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(mdm_text(m->device, "Topic", &topic));
    TRY(plist_set_string(dict, "MessageType", type));
    TRY(plist_set_string(dict, "Topic", topic));
    TRY(plist_set_string(dict, "UDID", device_text(m->device, "UDID")));
    *ret_doc = STEAL(doc);
    *ret_dict = dict;
    return NULL;
}

static err_t *checkin_send(mdm_t *m, const char *type, const plist_t *dict) {
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(buf_done) buf_t body;
    http_response_init(&response);
    buf_init_secret(&body, LIMIT_HTTP_BODY_MDM);
    TRY(plist_write(dict, &body));
    return put(m, type, true, buf_bytes(&body), &response);
}

err_t *mdm_authenticate(mdm_t *m) {
    static const struct {
        const char *key;
        const char *state;
    } texts[] = {{"DeviceName", "Name"},
                 {"ProductName", "Product"},
                 {"OSVersion", "Version"},
                 {"SerialNumber", "Serial"},
                 {"IMEI", "IMEI"}};
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    TRY(checkin_begin(m, "Authenticate", &doc, &dict));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        TRY(plist_set_string(dict, texts[i].key, device_text(m->device, texts[i].state)));
    TRY(plist_set_string(dict, "BuildVersion", "21G93"));
    TRY(plist_set_string(dict, "Model", "MQ0E3LL"));
    TRY(plist_set_string(dict, "ModelName", "iPhone"));
    TRY(checkin_send(m, "Authenticate", dict));
    sim_step(m->out, "mdm.authenticate", "MDM: Authenticate accepted (signed by the MDM identity)");
    return device_advance(m->device, STAGE_AUTHENTICATED);
}

/* The tokens are remembered before they are told: the server may hold them ever after. */
static err_t *make_tokens(mdm_t *m) {
    uint8_t token[PUSH_TOKEN];
    uint8_t unlock[UNLOCK_TOKEN];
    char magic[TEXT_UUID_SIZE];
    if (device_data(m->device, "Token").n > 0) return NULL;
    TRY(rnd_fill(m->rnd, token, sizeof token));
    TRY(rnd_fill(m->rnd, unlock, sizeof unlock));
    TRY(rnd_uuid(m->rnd, magic));
    TRY(plist_set_data(m->device->state, "Token", BYTES_ARRAY(token)));
    TRY(plist_set_string(m->device->state, "PushMagic", magic));
    TRY(plist_set_data(m->device->state, "UnlockToken", BYTES_ARRAY(unlock)));
    return device_save(m->device);
}

err_t *mdm_token_update(mdm_t *m) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    TRY(make_tokens(m));
    TRY(checkin_begin(m, "TokenUpdate", &doc, &dict));
    TRY(plist_set_bool(dict, "AwaitingConfiguration", false));
    TRY(plist_set_bool(dict, "NotOnConsole", false));
    TRY(plist_set_string(dict, "PushMagic", device_text(m->device, "PushMagic")));
    TRY(plist_set_data(dict, "Token", device_data(m->device, "Token")));
    TRY(plist_set_data(dict, "UnlockToken", device_data(m->device, "UnlockToken")));
    TRY(checkin_send(m, "TokenUpdate", dict));
    sim_step(m->out, "mdm.enrolled",
             "MDM: TokenUpdate accepted (push token, magic, unlock token): enrolled");
    return device_advance(m->device, STAGE_ENROLLED);
}

err_t *mdm_check_out(mdm_t *m) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    TRY(checkin_begin(m, "CheckOut", &doc, &dict));
    TRY(checkin_send(m, "CheckOut", dict));
    sim_step(m->out, "mdm.checkout", "MDM: CheckOut accepted: no longer managed");
    return device_advance(m->device, STAGE_GONE);
}

/* ---- sessions ---- */

static err_t *result_begin(const mdm_t *m, plist_doc_t **ret_doc, plist_t **ret_dict) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "UDID", device_text(m->device, "UDID")));
    *ret_doc = STEAL(doc);
    *ret_dict = dict;
    return NULL;
}

static err_t *send_result(mdm_t *m, const plist_t *dict, bool cut, http_response_t *response) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, LIMIT_HTTP_BODY_MDM);
    TRY(plist_write(dict, &body));
    bytes_t bytes = buf_bytes(&body);
    if (cut) bytes = bytes_slice(bytes, 0, bytes.n / 2);
    return put(m, "command session", false, bytes, response);
}

static void wait_ms(uint64_t ms) {
    struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    if (ms) (void)nanosleep(&pause, NULL);
}

typedef struct {
    plist_doc_t *doc;
    bytes_t uuid;
    plist_t *command;
    bytes_t type;
} order_t;

static err_t *read_order(bytes_t body, order_t *order) {
    plist_t *dict = NULL;
    TRY(verify_recode(plist_parse_dict(body, &order->doc, &dict)));
    TRY(verify_recode(plist_get_string(dict, "CommandUUID", LIMIT_DEVICE_ID, true, &order->uuid)));
    TRY(verify_recode(plist_get_dict(dict, "Command", true, &order->command)));
    TRY(verify_recode(
        plist_get_string(order->command, "RequestType", LIMIT_DEVICE_ID, true, &order->type)));
    if (order->uuid.n == 0) return err_new(ERR_VERIFY, "CommandUUID is empty");
    return NULL;
}

/* After the answer was sent: what the device does to itself. */
static err_t *follow(mdm_t *m, answer_after_t after) {
    bool check_out = false;
    switch (after) {
    case AFTER_NOTHING: return NULL;
    case AFTER_ERASE:
        TRY(device_wipe(m->device));
        sim_step(m->out, "device.erased", "ERASED: everything but the hardware's identity is gone");
        return NULL;
    case AFTER_REMOVE:
        TRY(plist_get_bool(plist_get(m->device->state, "MDM"), "CheckOutWhenRemoved", false,
                           &check_out));
        if (check_out) return mdm_check_out(m);
        return device_advance(m->device, STAGE_GONE);
    }
    return NULL;
}

static err_t *obey(mdm_t *m, bytes_t body, http_response_t *response, answer_after_t *ret_after) {
    order_t order = {0};
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    answer_t answer = {0};
    err_t *e = read_order(body, &order);
    if (!e) e = result_begin(m, &doc, &dict);
    if (!e) e = plist_set_bytes_string(dict, "CommandUUID", order.uuid);
    if (!e)
        e = device_answer(m->device, order.command, &m->faults, clk_unix(m->clk), dict, &answer);
    if (!e && answer.after == AFTER_NOTHING) e = device_save(m->device);
    if (!e) {
        wait_ms(m->faults.latency_ms);
        sim_step(m->out, "mdm.command", "%.*s: %s (%s%s)", (int)order.type.n,
                 (const char *)order.type.p, answer.said, answer.status,
                 m->faults.malformed ? ", sent cut off" : "");
        e = send_result(m, dict, m->faults.malformed, response);
    }
    plist_free(order.doc);
    if (e) return err_wrap(e, "a command");
    *ret_after = answer.after;
    return NULL;
}

err_t *mdm_session(mdm_t *m, unsigned *ret_obeyed) {
    CLEANUP(http_response_done) http_response_t response;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *idle = NULL;
    http_response_init(&response);
    *ret_obeyed = 0;
    TRY(result_begin(m, &doc, &idle));
    TRY(plist_set_string(idle, "Status", "Idle"));
    TRY(send_result(m, idle, false, &response));
    for (unsigned n = 0; n < SESSION_MAX; n++) {
        answer_after_t after = AFTER_NOTHING;
        CLEANUP(buf_done) buf_t body;
        buf_init(&body, LIMIT_HTTP_RESPONSE);
        if (response.body.n == 0) return NULL;
        TRY(buf_add(&body, buf_bytes(&response.body))); /* the next answer takes its place */
        TRY(obey(m, buf_bytes(&body), &response, &after));
        ++*ret_obeyed;
        if (after != AFTER_NOTHING) return follow(m, after);
    }
    return err_new(ERR_VERIFY, "the server sends commands without end (%d in one session)",
                   SESSION_MAX);
}
