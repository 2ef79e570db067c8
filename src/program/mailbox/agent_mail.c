/*
 * Unlocking, locking, and looking for mail: see mailbox.h. What may be done with new mail depends
 * on what is open: the database while unlocked, else the class-B inbox.
 */
#include <string.h>

#include "base/mem.h"
#include "program/mailbox/mailbox.h"

/* ---- opening and closing ---- */

void agent_close(agent_t *agent) {
    box_key_done(&agent->key);
    agent->shut = agent->held && agent->db != NULL;
    if (agent->shut) { /* who uses it finds it shut, and comes back here */
        box_db_shut(agent->db);
        return;
    }
    box_db_close(STEAL(agent->db));
    agent->leased = false;
    if (agent->imap) imap_forget(agent->imap);
}

typedef struct {
    agent_t *agent;
    uint64_t taken;
} merge_t;

/* Mail that came while locked; twice is fine. A folder that has got another UIDVALIDITY since is
 * synced from the server anyway. */
static err_t *merge_item(void *arg, const box_item_t *item) {
    merge_t *m = arg;
    box_folder_t folder;
    const imap_message_t message = {
        .uid = item->uid, .flags = item->flags, .message = item->message};
    TRY(box_db_begin(m->agent->db));
    err_t *e = box_db_folder(m->agent->db, item->folder, item->uidvalidity, &folder);
    if (!e) e = box_sync_keep(m->agent->db, m->agent->rnd, folder.id, &message, NULL);
    if (!e) e = box_db_commit(m->agent->db);
    if (e) box_db_rollback(m->agent->db);
    else m->taken++;
    return e;
}

static err_t *merge_inbox(agent_t *agent) {
    CLEANUP(mem_free) char *dir = NULL;
    merge_t merge = {.agent = agent};
    size_t merged = 0, bad = 0;
    TRY(account_path(agent->account, "inbox", &dir));
    TRY(box_inbox_merge(agent->bag, dir, merge_item, &merge, &merged, &bad));
    if (merged || bad)
        log_line(agent->log, bad ? LOG_WARNING : LOG_INFO, "merged=%zu unreadable=%zu", merged,
                 bad);
    TRY(box_inbox_aside(dir, &bad)); /* also at an unlock before, if nothing was fetched then */
    if (bad) agent->compare = true;
    return NULL;
}

static err_t *open_database(agent_t *agent) {
    CLEANUP(mem_free) char *key = NULL, *db = NULL;
    TRY(account_path(agent->account, "box.key", &key));
    TRY(account_path(agent->account, "mail.db", &db));
    box_key_done(&agent->key);
    TRY(box_key_open(agent->bag, key, &agent->key));
    TRY(box_db_open(db, agent->key.database, &agent->db));
    return box_key_renew(agent->bag, agent->rnd, key, 0, &agent->key);
}

/* After the last wrong passcode nothing stays open, wherever it was typed. */
static err_t *judge(agent_t *agent, err_t *e) {
    keybag_state_t state;
    if (!e) return NULL;
    err_t *unknown = keybag_state(agent->bag, &state);
    if (!unknown && state.destroyed) agent_close(agent);
    err_free(unknown);
    return e;
}

err_t *agent_change(agent_t *agent, bytes_t from, bytes_t to) {
    return judge(agent, keybag_change(agent->bag, from, to));
}

/* While mail is fetched into it the database stays as it is. */
static err_t *unlock_held(agent_t *agent, bytes_t passcode) {
    if (!agent->leased) return judge(agent, keybag_unlock(agent->bag, passcode));
    agent->yields = true;
    return err_new(ERR_BUSY, "mail is being fetched: try again in a moment");
}

err_t *agent_unlock(agent_t *agent, bytes_t passcode) {
    if (agent->held && agent->db) return unlock_held(agent, passcode);
    TRY(judge(agent, keybag_unlock(agent->bag, passcode)));
    agent_close(agent);
    err_t *e = open_database(agent);
    if (!e) e = merge_inbox(agent);
    if (!e) e = cursor_load(agent->account, agent->bag, &agent->cursor);
    if (e) {
        agent_close(agent);
        keybag_lock(agent->bag, 0);
        return e;
    }
    agent->want_sync = true;
    agent->backoff_ms = 0;
    agent->lease = (box_lease_t){0}; /* another KEK since */
    agent->want_lease = lease_wanted(agent);
    agent->lease_again = 0;
    agent->stream_last[0] = '\0';
    log_line(agent->log, LOG_INFO, "unlocked epoch=%llu", (unsigned long long)agent->key.epoch);
    return NULL;
}

/* ---- the server ---- */

void agent_disconnect(agent_t *agent) {
    agent->idling = false;
    agent->newest = 0;
    imap_free(STEAL(agent->imap));
}

static err_t *log_in(agent_t *agent) {
    CLEANUP(secrets_done) secrets_t secrets;
    const account_t *a = agent->account;
    secrets_init(&secrets);
    TRY(secrets_load(a, agent->bag, &secrets));
    const imap_login_t login = {.host = a->imap_host,
                                .port = a->imap_port,
                                .tls = a->imap_tls,
                                .user = a->user,
                                .password = buf_bytes(&secrets.password),
                                .token = buf_bytes(&secrets.token),
                                .go_on = agent_go_on,
                                .arg = agent};
    return imap_open(&login, agent->tls, agent->clk, &agent->imap);
}

err_t *agent_connect(agent_t *agent) {
    if (agent->imap && agent->idling) {
        agent->idling = false;
        err_t *e = imap_idle_end(agent->imap);
        if (!e) return NULL;
        err_free(e); /* a connection that died while it was idle */
        agent_disconnect(agent);
    }
    return agent->imap ? NULL : log_in(agent);
}

/* Between batches: commands are answered, and the lock timer holds. */
static bool pause_work(void *arg) {
    agent_t *agent = arg;
    const box_db_t *had = agent->db;
    agent_serve(agent);
    agent_tick(agent);
    if (lease_over(agent)) agent->want_sync = true;
    return agent->stop || agent->wiped || agent->db != had || lease_over(agent);
}

static err_t *find_inbox(void *arg, const box_folder_info_t *info) {
    box_cursor_t *cursor = arg;
    if (strcmp(info->name, "INBOX") == 0)
        *cursor = (box_cursor_t){.uidvalidity = info->uidvalidity,
                                 .next_uid =
                                     info->last_uid < UINT32_MAX ? info->last_uid + 1 : UINT32_MAX};
    return NULL;
}

/* So that a locked agent knows what is new. */
static err_t *move_cursor(agent_t *agent) {
    TRY(box_db_folders(agent->db, find_inbox, &agent->cursor));
    return cursor_save(agent->account, agent->bag, &agent->cursor);
}

/* All that the server has of INBOX is here now, what could not be merged, too. */
static err_t *settle(agent_t *agent) {
    CLEANUP(mem_free) char *dir = NULL;
    TRY(account_path(agent->account, "inbox", &dir));
    TRY(box_inbox_settle(dir));
    agent->compare = false;
    return NULL;
}

static err_t *into_database(agent_t *agent, box_sync_t *sync) {
    sync->whole = agent->compare;
    TRY(box_sync_all(sync, agent->db));
    if (!sync->stopped && agent->compare) TRY(settle(agent));
    return agent->db ? move_cursor(agent) : NULL;
}

static err_t *into_inbox(agent_t *agent, box_sync_t *sync) {
    CLEANUP(mem_free) char *dir = NULL;
    TRY(account_path(agent->account, "inbox", &dir));
    if (!agent->cursor.uidvalidity) TRY(cursor_load(agent->account, agent->bag, &agent->cursor));
    box_cursor_t before = agent->cursor;
    err_t *e = box_sync_collect(sync, agent->bag, dir, &agent->cursor);
    if (before.uidvalidity != agent->cursor.uidvalidity ||
        before.next_uid != agent->cursor.next_uid) {
        err_t *saved = cursor_save(agent->account, agent->bag, &agent->cursor);
        if (e) err_free(saved);
        else e = saved;
    }
    return e;
}

/*
 * What came between the look and IDLE is not told by IDLE: another look, but once for each message,
 * for a server may show one that it does not give.
 */
static err_t *begin_idle(agent_t *agent) {
    CLEANUP(mem_free) uint32_t *uids = NULL;
    imap_selected_t inbox;
    size_t n = 0;
    TRY(imap_select(agent->imap, "INBOX", &inbox));
    TRY(imap_uids(agent->imap, agent->cursor.next_uid, &uids, &n));
    TRY(imap_idle_begin(agent->imap));
    agent->idling = true;
    bool fresh = n && uids[n - 1] > agent->newest;
    if (fresh) agent->newest = uids[n - 1];
    if (fresh || imap_has_news(agent->imap)) agent->want_sync = true;
    return NULL;
}

err_t *agent_look(agent_t *agent) {
    box_sync_t sync = {.rnd = agent->rnd, .pause = pause_work, .arg = agent};
    TRY(agent_connect(agent));
    sync.imap = agent->imap;
    TRY(agent->db ? into_database(agent, &sync) : into_inbox(agent, &sync));
    if (sync.stopped || agent->wiped) return NULL;
    if (sync.fetched)
        log_line(agent->log, LOG_INFO, "fetched=%llu into=%s", (unsigned long long)sync.fetched,
                 agent->leased ? "mailbox, by a lease"
                 : agent->db   ? "mailbox"
                               : "inbox");
    agent->synced_at = clk_unix(agent->clk);
    bool idle = imap_can_idle(agent->imap) && !agent->leased && !agent->stream;
    return idle ? begin_idle(agent) : NULL;
}

/* ---- the end ---- */

/* Only what ending the lease takes stays in memory; the password goes. */
static err_t *keep_for_the_end(agent_t *agent) {
    CLEANUP(secrets_done) secrets_t secrets;
    secrets_init(&secrets);
    TRY(secrets_load(agent->account, agent->bag, &secrets));
    TRY(buf_add(&agent->last.device_token, buf_bytes(&secrets.device_token)));
    agent->last.push_key = STEAL(secrets.push_key);
    return NULL;
}

err_t *agent_wipe(agent_t *agent) {
    if (agent->account->server[0]) err_ignore(keep_for_the_end(agent)); /* fine without */
    err_t *e = keybag_destroy(agent->bag);     /* without the keys the rest is noise */
    if (!agent->busy) agent_disconnect(agent); /* else whoever uses it ends soon */
    agent_close(agent);
    if (e) return e;
    account_remove(agent->account);
    agent->wiped = true;
    log_line(agent->log, LOG_INFO, "wiped");
    return NULL;
}

const char *agent_end_lease(agent_t *agent) {
    if (!agent->account->server[0]) return NULL;
    err_t *e = agent->last.push_key ? lease_revoke(agent, &agent->last)
                                    : err_new(ERR_DENIED, "not unlocked since the agent's start");
    if (!e) return NULL;
    log_error(agent->log, LOG_WARNING, e, "the lease is not ended");
    return "the server could not be told: a lease that is there ends at its time, or by coffer "
           "device lost";
}
