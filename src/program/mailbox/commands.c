/*
 * What the agent is asked over its socket, as JSON objects with a member "do"; the answer has
 * "error" {code, message} if it failed. See mailbox.h.
 */
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/mailbox/mailbox.h"

enum { ERROR_MAX = 2048, LIST_DEFAULT = 50 };

/* ---- rows ---- */

/* A stranger's text, which may be cut in the middle of a character. */
static err_t *set_text(json_t *out, const char *name, bytes_t text) {
    return text_utf8_valid(text) && !bytes_has_nul(text) ? jso_set_string(out, name, text)
                                                         : jso_set_str(out, name, "?");
}

static err_t *set_row(json_t *item, const box_row_t *row) {
    TRY(jso_set_int(item, "id", row->id));
    TRY(set_text(item, "folder", bytes_str(row->folder)));
    TRY(jso_set_int(item, "uid", row->uid));
    TRY(set_text(item, "from", row->sender));
    TRY(set_text(item, "to", row->recipients));
    TRY(set_text(item, "subject", row->subject));
    TRY(jso_set_bool(item, "seen", row->flags & BOX_SEEN));
    TRY(jso_set_bool(item, "answered", row->flags & BOX_ANSWERED));
    TRY(jso_set_bool(item, "encrypted", row->closed));
    TRY(jso_set_int(item, "size", row->size));
    return row->date ? jso_set_time(item, "date", row->date) : NULL;
}

static err_t *add_row(void *arg, const box_row_t *row) {
    json_t *item = NULL;
    TRY(jso_add_object(arg, &item));
    return set_row(item, row);
}

/* ---- states ---- */

static err_t *need_open(const agent_t *agent) {
    return agent->db && !agent->leased ? NULL
                                       : err_new(ERR_DENIED, "locked: coffer-mailbox unlock");
}

/* The connection is in use while mail is fetched. */
static err_t *need_idle(const agent_t *agent) {
    return agent->busy ? err_new(ERR_BUSY, "mail is being fetched: try again in a moment") : NULL;
}

static const char *state_name(const keybag_state_t *state) {
    if (state->destroyed) return "destroyed";
    if (state->locking) return "locking";
    if (state->unlocked) return "unlocked";
    return state->first ? "locked" : "locked since start";
}

static err_t *do_status(agent_t *agent, const json_t *ask, json_t *out) {
    CLEANUP(mem_free) char *dir = NULL;
    keybag_state_t state;
    box_usage_t waiting;
    (void)ask;
    TRY(keybag_state(agent->bag, &state));
    TRY(account_path(agent->account, "inbox", &dir));
    TRY(box_inbox_usage(dir, &waiting));
    TRY(jso_set_str(out, "state", state_name(&state)));
    TRY(jso_set_str(out, "address", agent->account->address));
    TRY(jso_set_str(out, "device_key", keybag_kind_name(state.kind)));
    TRY(jso_set_int(out, "tries_left", state.tries_left));
    if (state.wait_ms) TRY(jso_set_int(out, "wait_seconds", (state.wait_ms + 999) / 1000));
    TRY(jso_set_int(out, "waiting", (int64_t)waiting.count));
    TRY(jso_set_bool(out, "connected", agent->imap != NULL));
    TRY(jso_set_bool(out, "idle", agent->idling));
    TRY(jso_set_bool(out, "listening", agent->stream != NULL));
    if (agent->lease.expires) TRY(jso_set_time(out, "lease_until", agent->lease.expires));
    if (agent->lease.expires) {
        TRY(jso_set_int(out, "lease_used", (int64_t)agent->leases_used));
        TRY(jso_set_int(out, "lease_ms", agent->lease_ms));
    }
    if (agent->db) TRY(jso_set_int(out, "epoch", (int64_t)agent->key.epoch));
    if (agent->synced_at) TRY(jso_set_time(out, "synced", agent->synced_at));
    return agent->last_error[0] ? set_text(out, "problem", bytes_str(agent->last_error)) : NULL;
}

static err_t *get_secret(const json_t *ask, const char *name, bytes_t *ret_text) {
    return jso_get_string(ask, name, LIMIT_PASSWORD_MAX, true, ret_text);
}

static err_t *do_unlock(agent_t *agent, const json_t *ask, json_t *out) {
    bytes_t passcode;
    TRY(get_secret(ask, "passcode", &passcode));
    TRY(agent_unlock(agent, passcode));
    return do_status(agent, ask, out);
}

static err_t *do_lock(agent_t *agent, const json_t *ask, json_t *out) {
    bool now = false;
    TRY(jso_get_bool(ask, "now", false, &now));
    keybag_lock(agent->bag, now ? 0 : KEYBAG_LOCK_MS);
    keybag_state_t state;
    TRY(keybag_state(agent->bag, &state));
    if (!state.unlocked) agent_close(agent);
    return do_status(agent, ask, out);
}

static err_t *do_passcode(agent_t *agent, const json_t *ask, json_t *out) {
    bytes_t from, to;
    TRY(get_secret(ask, "old", &from));
    TRY(get_secret(ask, "new", &to));
    TRY(need_open(agent));
    TRY(agent_change(agent, from, to));
    return do_status(agent, ask, out);
}

static err_t *do_sync(agent_t *agent, const json_t *ask, json_t *out) {
    agent->want_sync = true;
    return do_status(agent, ask, out);
}

static err_t *do_stop(agent_t *agent, const json_t *ask, json_t *out) {
    (void)ask;
    (void)out;
    agent->stop = true;
    return NULL;
}

static err_t *do_wipe(agent_t *agent, const json_t *ask, json_t *out) {
    (void)ask, (void)out;
    return agent_wipe(agent);
}

/* ---- mail ---- */

static err_t *add_folder(void *arg, const box_folder_info_t *info) {
    json_t *item = NULL;
    TRY(jso_add_object(arg, &item));
    TRY(set_text(item, "name", bytes_str(info->name)));
    TRY(jso_set_int(item, "messages", info->messages));
    return jso_set_int(item, "unseen", info->unseen);
}

static err_t *do_folders(agent_t *agent, const json_t *ask, json_t *out) {
    json_t *list = NULL;
    (void)ask;
    TRY(need_open(agent));
    TRY(jso_set_array(out, "folders", &list));
    return box_db_folders(agent->db, add_folder, list);
}

static err_t *get_limit(const json_t *ask, unsigned *ret_limit) {
    int64_t limit = LIST_DEFAULT;
    TRY(jso_get_int(ask, "limit", 1, LIMIT_BOX_ROWS, false, &limit));
    *ret_limit = (unsigned)limit;
    return NULL;
}

static err_t *do_list(agent_t *agent, const json_t *ask, json_t *out) {
    bytes_t folder = BYTES_NONE;
    int64_t before = 0;
    unsigned limit = 0;
    json_t *list = NULL;
    TRY(need_open(agent));
    TRY(jso_get_string(ask, "folder", LIMIT_BOX_FOLDER, false, &folder));
    TRY(jso_get_int(ask, "before", 0, INT64_MAX, false, &before));
    TRY(get_limit(ask, &limit));
    TRY(jso_set_array(out, "messages", &list));
    return box_db_list(agent->db, (const char *)folder.p, before, limit, add_row, list);
}

static err_t *do_search(agent_t *agent, const json_t *ask, json_t *out) {
    bytes_t words;
    unsigned limit = 0;
    json_t *list = NULL;
    TRY(need_open(agent));
    TRY(jso_get_string(ask, "words", LIMIT_BOX_QUERY, true, &words));
    TRY(get_limit(ask, &limit));
    TRY(jso_set_array(out, "messages", &list));
    return box_db_search(agent->db, words, limit, add_row, list);
}

typedef struct {
    agent_t *agent;
    json_t *out;
    bytes_t message;
    uint32_t uid;
    char folder[LIMIT_BOX_FOLDER + 1];
} read_t;

static err_t *take_row(void *arg, const box_row_t *row) {
    read_t *r = arg;
    r->uid = row->uid;
    if (strlen(row->folder) > LIMIT_BOX_FOLDER) return err_new(ERR_LIMIT, "a folder's name");
    bytes_put(r->folder, bytes_make(row->folder, strlen(row->folder) + 1));
    return set_row(r->out, row);
}

/* The database may be closed by the time it is shown. */
static err_t *load(agent_t *agent, const json_t *ask, read_t *r, buf_t *message) {
    int64_t id = 0;
    TRY(need_open(agent));
    TRY(jso_get_int(ask, "id", 1, INT64_MAX, true, &id));
    return box_db_message(agent->db, id, take_row, r, message);
}

static err_t *do_read(agent_t *agent, const json_t *ask, json_t *out) {
    CLEANUP(buf_done) buf_t message;
    read_t r = {.agent = agent, .out = out};
    buf_init(&message, LIMIT_BOX_MESSAGE);
    TRY(load(agent, ask, &r, &message));
    err_t *e = show_message(agent, buf_bytes(&message), out);
    if (e && err_code(e) == ERR_LIMIT)
        return err_wrap(e, "too large or too tangled to be shown; --raw gives it as it came");
    return e;
}

/* As it came: closed if it was. */
static err_t *do_raw(agent_t *agent, const json_t *ask, json_t *out) {
    CLEANUP(buf_done) buf_t message;
    read_t r = {.agent = agent, .out = out};
    buf_init(&message, LIMIT_BOX_MESSAGE);
    TRY(load(agent, ask, &r, &message));
    return jso_set_base64(out, "message", buf_bytes(&message));
}

static err_t *do_spam(agent_t *agent, const json_t *ask, json_t *out) {
    read_t r = {.agent = agent, .out = out};
    imap_selected_t now;
    box_folder_t folder;
    TRY(need_idle(agent));
    TRY(load(agent, ask, &r, NULL));
    TRY(agent_connect(agent));
    TRY(imap_select(agent->imap, r.folder, &now));
    TRY(box_db_folder(agent->db, r.folder, 0, &folder));
    TRY_WRAP(imap_move(agent->imap, r.uid, agent->account->junk), "into %s", agent->account->junk);
    TRY(box_db_remove(agent->db, folder.id, r.uid));
    agent->want_sync = true;
    return NULL;
}

static err_t *do_send(agent_t *agent, const json_t *ask, json_t *out) {
    TRY(need_open(agent));
    if (agent->held == AGENT_HELD_MAX)
        return err_new(ERR_BUSY, "a message is being sent: try again in a moment");
    return send_message(agent, ask, out);
}

static err_t *do_reply(agent_t *agent, const json_t *ask, json_t *out) {
    TRY(need_open(agent));
    if (agent->held == AGENT_HELD_MAX)
        return err_new(ERR_BUSY, "a message is being sent: try again in a moment");
    return reply_message(agent, ask, out);
}

static err_t *do_draft(agent_t *agent, const json_t *ask, json_t *out) {
    TRY(need_open(agent));
    return reply_draft(agent, ask, out);
}

static err_t *do_recipients(agent_t *agent, const json_t *ask, json_t *out) {
    TRY(need_open(agent));
    return locks_answer(agent, ask, out);
}

/* ---- the table ---- */

typedef struct {
    const char *name;
    err_t *(*run)(agent_t *agent, const json_t *ask, json_t *out);
} deed_t;

static const deed_t deeds[] = {
    {"status", do_status},
    {"unlock", do_unlock},
    {"lock", do_lock},
    {"passcode", do_passcode},
    {"sync", do_sync},
    {"stop", do_stop},
    {"wipe", do_wipe},
    {"folders", do_folders},
    {"list", do_list},
    {"search", do_search},
    {"read", do_read},
    {"raw", do_raw},
    {"report-spam", do_spam},
    {"send", do_send},
    {"reply", do_reply},
    {"draft", do_draft},
    {"recipients", do_recipients},
};

static err_t *run(agent_t *agent, bytes_t request, json_t *out) {
    CLEANUP(jso_free) json_t *ask = NULL;
    bytes_t name;
    TRY(jso_parse_max(request, LIMIT_BOX_COMMAND, &ask));
    TRY(jso_get_string(ask, "do", 32, true, &name));
    agent_tick(agent);
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++)
        if (bytes_eq_str(name, deeds[i].name)) return deeds[i].run(agent, ask, out);
    return err_new(ERR_INVALID, "there is no such command");
}

static err_t *write_error(const err_t *e, buf_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *error = NULL;
    char text[ERROR_MAX];
    TRY(jso_object(&out));
    TRY(jso_set_object(out, "error", &error));
    TRY(jso_set_str(error, "code", err_code_name(err_code(e))));
    TRY(set_text(error, "message", bytes_str(err_text(e, text, sizeof text))));
    return jso_write(out, false, reply);
}

err_t *commands_wiped(const char *note, buf_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "state", "destroyed"));
    if (note) TRY(jso_set_str(out, "note", note));
    return jso_write(out, false, reply);
}

err_t *commands_answer(agent_t *agent, bytes_t request, buf_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    err_t *e = run(agent, request, out);
    if (!e) return jso_write(out, false, reply);
    err_t *written = write_error(e, reply);
    err_free(e);
    return written;
}
