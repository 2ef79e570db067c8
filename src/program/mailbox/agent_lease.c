/*
 * Leases in the agent: leaves the KEK at each unlock, and while locked listens to the server's
 * stream. For an event with a release the database is opened, mail written, and everything wiped
 * again. See mailbox.h, docs/formats/lease.md, docs/formats/stream.md.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "program/mailbox/mailbox.h"

enum {
    STREAM_FIRST_MS = 1000,
    STREAM_LAST_MS = 60 * 1000,
    SILENCE_MS = 90 * 1000, /* docs/formats/stream.md */
    SEALED_MAX = 1024,
    SPREAD_MS = 1000,
    OPEN_MS = 60 * 1000, /* what is not written then goes into the class-B inbox */
};

bool lease_wanted(const agent_t *agent) {
    return agent->account->server[0] && agent->account->lease_hours > 0;
}

static void server_of(agent_t *agent, const secrets_t *secrets, box_server_t *ret_server) {
    *ret_server = (box_server_t){.url = agent->account->server,
                                 .ca_pem = buf_bytes(&agent->account->server_ca),
                                 .token = buf_bytes(&secrets->device_token),
                                 .account = agent->account->address,
                                 .push_key = secrets->push_key,
                                 .go_on = agent_go_on,
                                 .arg = agent};
}

bool lease_over(const agent_t *agent) {
    return agent->leased && clk_mono_ms(agent->clk) >= agent->leased_until;
}

/* Over by either clock: the wall clock may have been set back. */
static bool lease_holds(const agent_t *agent) {
    return agent->lease.expires > clk_unix(agent->clk) &&
           agent->lease_ends > clk_mono_ms(agent->clk);
}

/* ---- leaving one ---- */

static err_t *put(agent_t *agent, const box_server_t *server) {
    CLEANUP(mem_free) char *path = NULL;
    uint64_t known = 0;
    int64_t life = agent->account->lease_hours * 3600;
    int64_t expires = clk_unix(agent->clk) + life, ends = clk_mono_ms(agent->clk) + life * 1000;
    TRY(box_lease_epoch(server, &known));
    if (!agent->key.kek) return err_new(ERR_BUSY, "locked meanwhile");
    if (known >= agent->key.epoch) { /* behind: this device was made anew */
        TRY(account_path(agent->account, "box.key", &path));
        TRY(box_key_renew(agent->bag, agent->rnd, path, known, &agent->key));
    }
    TRY(box_lease_put(server, agent->key.kek, agent->key.epoch, expires, &agent->lease));
    agent->lease_ends = ends;
    return NULL;
}

err_t *lease_renew(agent_t *agent) {
    CLEANUP(secrets_done) secrets_t secrets;
    box_server_t server;
    secrets_init(&secrets);
    TRY(secrets_load(agent->account, agent->bag, &secrets));
    server_of(agent, &secrets, &server);
    TRY(put(agent, &server));
    log_line(agent->log, LOG_INFO, "lease epoch=%llu hours=%lld",
             (unsigned long long)agent->lease.epoch, (long long)agent->account->lease_hours);
    return NULL;
}

err_t *lease_revoke(agent_t *agent, const secrets_t *secrets) {
    box_server_t server;
    server_of(agent, secrets, &server);
    server.go_on = agent_unstopped; /* nothing is left that a command could want */
    err_t *e = box_lease_revoke(&server);
    if (!e || err_code(e) != ERR_NOT_FOUND) return e;
    err_free(e);
    return NULL;
}

/* ---- using one ---- */

/* The database is open for this one look, whatever comes. */
static err_t *write_mail(agent_t *agent, bytes_t kek) {
    CLEANUP(mem_free) char *key = NULL, *db = NULL;
    CLEANUP(secret_free) secret_t *database = NULL;
    int64_t begin = clk_mono_ms(agent->clk);
    TRY(account_path(agent->account, "box.key", &key));
    TRY(account_path(agent->account, "mail.db", &db));
    TRY(box_key_open_leased(agent->bag, key, kek, &database));
    TRY(box_db_open(db, database, &agent->db));
    agent->leased = true;
    agent->leased_until = clk_mono_ms(agent->clk) + OPEN_MS;
    agent->busy = true;
    bool before = agent->imap != NULL;
    err_t *e = agent_look(agent);
    if (e && err_code(e) != ERR_BUSY && before && agent->leased) { /* it died since */
        err_free(e);
        agent_disconnect(agent);
        e = agent_look(agent);
    }
    agent->busy = false;
    if (agent->leased) agent_close(agent); /* else it was unlocked meanwhile */
    agent->lease_ms = clk_mono_ms(agent->clk) - begin;
    if (!e) agent->leases_used++;
    return e;
}

static err_t *use(agent_t *agent, const box_server_t *server, const char *event, bytes_t sealed) {
    CLEANUP(buf_done) buf_t kek;
    buf_init_secret(&kek, SEALED_MAX);
    if (!lease_holds(agent)) return err_new(ERR_DENIED, "the lease is over");
    TRY(box_lease_open(server, &agent->lease, event, sealed, &kek));
    return write_mail(agent, buf_bytes(&kek));
}

/* Asks for the key where it did not come along. ERR_NOT_FOUND: not for this event. */
static err_t *ask_and_use(agent_t *agent, const box_server_t *server, const char *event) {
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, SEALED_MAX);
    TRY(box_lease_ask(server, event, &sealed));
    return use(agent, server, event, buf_bytes(&sealed));
}

typedef struct {
    agent_t *agent;
    const box_server_t *server;
} heard_t;

/* Mail that can't be written goes into the class-B inbox, where nobody reads it. */
static void without_lease(agent_t *agent, err_t *why) {
    log_error(agent->log, LOG_WARNING, why, "no lease for this mail");
    agent->want_sync = true;
}

static err_t *take_mail(const heard_t *heard, const json_t *data) {
    CLEANUP(buf_done) buf_t sealed;
    agent_t *agent = heard->agent;
    json_t *release = NULL;
    bytes_t account, event;
    buf_init(&sealed, SEALED_MAX);
    TRY(jso_get_string(data, "account", LIMIT_LEASE_ACCOUNT, true, &account));
    TRY(jso_get_string(data, "event", LIMIT_LEASE_EVENT, true, &event));
    if (!bytes_eq_str(account, agent->account->address) || agent->db) return NULL;
    TRY(jso_get_object(data, "release", false, &release));
    if (release) TRY(jso_get_base64(release, "sealed", true, &sealed));
    err_t *e = release ? use(agent, heard->server, (const char *)event.p, buf_bytes(&sealed))
                       : ask_and_use(agent, heard->server, (const char *)event.p);
    if (e) without_lease(agent, e);
    return NULL;
}

static err_t *on_event(void *arg, const box_event_t *event) {
    const heard_t *heard = arg;
    CLEANUP(jso_free) json_t *data = NULL;
    agent_t *agent = heard->agent;
    agent->stream_ms = 0;
    if (event->id.n && event->id.n < sizeof agent->stream_last) {
        bytes_put(agent->stream_last, event->id);
        agent->stream_last[event->id.n] = '\0';
    }
    if (strcmp(event->type, "hello") == 0 || strcmp(event->type, "resync") == 0) {
        agent->want_sync = true;                             /* what came before it is not told */
        if (agent->idling) err_ignore(agent_connect(agent)); /* it tells from now on, not IDLE */
    }
    if (strcmp(event->type, "mail") != 0) return NULL;
    TRY(jso_parse_object(event->data, &data));
    return take_mail(heard, data);
}

/* ---- the stream ---- */

static void close_stream(agent_t *agent) { box_stream_free(STEAL(agent->stream)); }

static void stream_failed(agent_t *agent, err_t *e) {
    uint16_t spread = 0;
    close_stream(agent);
    agent->want_sync = true; /* and IDLE in its place */
    err_ignore(rnd_fill(agent->rnd, &spread, sizeof spread));
    agent->stream_ms = agent->stream_ms ? agent->stream_ms * 2 : STREAM_FIRST_MS;
    if (agent->stream_ms > STREAM_LAST_MS) agent->stream_ms = STREAM_LAST_MS;
    agent->stream_next = clk_mono_ms(agent->clk) + agent->stream_ms + spread % SPREAD_MS;
    log_error(agent->log, LOG_INFO, e, "stream");
}

/* Only while locked with a lease that holds: else nothing can be done with what it says. */
static bool stream_wanted(const agent_t *agent) {
    return lease_wanted(agent) && !agent->db && lease_holds(agent);
}

static err_t *with_server(agent_t *agent, err_t *(*deed)(agent_t *agent, const box_server_t *s)) {
    CLEANUP(secrets_done) secrets_t secrets;
    box_server_t server;
    secrets_init(&secrets);
    TRY(secrets_load(agent->account, agent->bag, &secrets));
    server_of(agent, &secrets, &server);
    return deed(agent, &server);
}

static err_t *open_stream(agent_t *agent, const box_server_t *server) {
    agent->stream_heard = clk_mono_ms(agent->clk);
    return box_stream_open(server, agent->server_tls, agent->clk, agent->stream_last,
                           &agent->stream);
}

static err_t *read_stream(agent_t *agent, const box_server_t *server) {
    heard_t heard = {.agent = agent, .server = server};
    agent->stream_heard = clk_mono_ms(agent->clk);
    return box_stream_take(agent->stream, on_event, &heard);
}

int lease_fd(const agent_t *agent) { return agent->stream ? box_stream_fd(agent->stream) : -1; }

int64_t lease_due(const agent_t *agent) {
    if (!stream_wanted(agent)) return agent->stream ? 0 : -1;
    return agent->stream ? agent->stream_heard + SILENCE_MS : agent->stream_next;
}

void lease_step(agent_t *agent, bool readable) {
    int64_t now = clk_mono_ms(agent->clk);
    err_t *e = NULL;
    if (!stream_wanted(agent)) {
        close_stream(agent);
        return;
    }
    if (agent->stream && readable) e = with_server(agent, read_stream);
    else if (agent->stream && now >= agent->stream_heard + SILENCE_MS)
        e = err_new(ERR_TIMEOUT, "the stream says nothing any more");
    else if (!agent->stream && now >= agent->stream_next) e = with_server(agent, open_stream);
    if (e) stream_failed(agent, e);
}
