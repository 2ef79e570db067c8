/*
 * See record.h. On whichever thread leads the transaction.
 */
#include "arrival/record.h"

#include <stdio.h>

#include "arrival/app_push.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "store/app_pushes.h"
#include "store/jobs.h"
#include "store/lease_events.h"
#include "store/tokens.h"

enum { NAME_BYTES = 16 };

static const char EVENT_KEY[] = "arrival.event_key"; /* in the table meta, as hex */

static err_t *add_field(buf_t *out, const char *text) {
    return buf_printf(out, "%zu:%s", strlen(text), text);
}

err_t *arrival_event_key(db_conn_t *conn, arena_t *arena, uint8_t ret_key[ARRIVAL_KEY_SIZE]) {
    CLEANUP(buf_done) buf_t text, key;
    uint8_t fresh[ARRIVAL_KEY_SIZE];
    const char *hex = NULL;
    bool found = false;
    buf_init_secret(&text, 2 * ARRIVAL_KEY_SIZE + 1);
    buf_init_secret(&key, ARRIVAL_KEY_SIZE);
    TRY(db_meta_get(conn, arena, EVENT_KEY, &hex, &found));
    if (!found) {
        TRY(rnd_fill(rnd_real(), fresh, sizeof fresh));
        err_t *e = text_hex(BYTES_ARRAY(fresh), &text);
        mem_wipe(fresh, sizeof fresh);
        TRY(e);
        TRY(buf_cstr(&text, &hex));
        TRY(db_meta_set(conn, EVENT_KEY, hex));
    }
    TRY_WRAP(text_unhex(bytes_str(hex), &key), "%s in the database", EVENT_KEY);
    if (key.n != ARRIVAL_KEY_SIZE)
        return err_new(ERR_INTERNAL, "%s in the database is of another length", EVENT_KEY);
    bytes_put(ret_key, buf_bytes(&key));
    return NULL;
}

err_t *arrival_event_name(bytes_t key, const char *account, const arrival_t *arrival,
                          char ret_name[ARRIVAL_EVENT_SIZE]) {
    CLEANUP(buf_done) buf_t text;
    uint8_t hash[DIGEST_SHA256_SIZE];
    char name[ARRIVAL_EVENT_SIZE] = "mail-";
    buf_init(&text, LIMIT_EMAIL + LIMIT_ARRIVAL_FOLDER + 200);
    TRY(add_field(&text, account));
    TRY(add_field(&text, arrival->folder));
    TRY(buf_printf(&text, "%lld/%lld/%lld", (long long)arrival->uidvalidity,
                   (long long)arrival->uid, (long long)arrival->modseq));
    TRY(digest_hmac_sha256(key, buf_bytes(&text), hash));
    for (size_t i = 0; i < NAME_BYTES; i++) (void)snprintf(name + 5 + 2 * i, 3, "%02x", hash[i]);
    memcpy(ret_name, name, sizeof name);
    return NULL;
}

/*
 * A UID is given once and rises (RFC 9051 section 2.3.1.1), so what is not above the last one was
 * heard before: by a hook that was doubled, delayed or played again. Far below it is no old news
 * but a sign that the last one was a lie; other uidvalidity: another folder of that name.
 */
static bool is_old(const db_mail_mark_t *mark, const arrival_t *a) {
    if (mark->uidvalidity != a->uidvalidity) return false;
    if (a->uid == 0) return a->modseq != 0 && a->modseq <= mark->modseq;
    if (a->uid > mark->uid) return false;
    return mark->uid - a->uid < LIMIT_ARRIVAL_UID_STEP;
}

err_t *arrival_is_old(db_conn_t *conn, arena_t *arena, const char *account,
                      const arrival_t *arrival, bool *ret_old) {
    db_mail_mark_t mark;
    bool found = false;
    TRY(db_mailbox_folders_find(conn, arena, account, arrival->folder, &mark, &found));
    *ret_old = found && is_old(&mark, arrival);
    return NULL;
}

/* A server that invents folders does not fill the database with them. */
static err_t *remember(db_conn_t *conn, arena_t *arena, const char *account, const arrival_t *a) {
    db_mail_mark_t mark;
    bool found = false;
    int64_t folders = 0;
    TRY(db_mailbox_folders_find(conn, arena, account, a->folder, &mark, &found));
    if (!found) TRY(db_mailbox_folders_count(conn, account, &folders));
    if (folders >= LIMIT_ARRIVAL_FOLDERS) return NULL;
    bool same = found && mark.uidvalidity == a->uidvalidity;
    mark = (db_mail_mark_t){.account = account,
                            .folder = a->folder,
                            .uidvalidity = a->uidvalidity,
                            .uid = a->uid ? a->uid
                                   : same ? mark.uid
                                          : 0,
                            .modseq = a->modseq ? a->modseq
                                      : same    ? mark.modseq
                                                : 0};
    return db_mailbox_folders_put(conn, &mark);
}

/* One job a device and account: a later event takes the place of one that still waits. */
static err_t *push_app(db_conn_t *conn, arena_t *arena, const db_mail_event_t *event) {
    db_app_push_t push;
    bool found = false;
    TRY(db_app_pushes_find(conn, arena, event->device_id, &push, &found));
    if (!found) return NULL;
    CLEANUP(mem_free) char *name = mem_printf("%s %s", event->device_id, event->account);
    CLEANUP(mem_free) char *payload = mem_printf("{\"event\":\"%s\"}", event->event);
    if (!name || !payload) return err_nomem();
    return db_jobs_put(conn, APP_PUSH_RELEASE_JOB, name, payload, event->created_ms,
                       event->created_ms);
}

static err_t *tell(db_conn_t *conn, arena_t *arena, const char *account, const arrival_t *a,
                   int64_t now_ms) {
    char name[ARRIVAL_EVENT_SIZE];
    uint8_t key[ARRIVAL_KEY_SIZE];
    const bool opaque = a->uidvalidity > ARRIVAL_UIDVALIDITY_MAX;
    const char **devices = NULL;
    size_t count = 0;
    TRY(arrival_event_key(conn, arena, key));
    err_t *e = arrival_event_name(BYTES_ARRAY(key), account, a, name);
    mem_wipe(key, sizeof key);
    TRY(e);
    TRY(db_mail_devices(conn, arena, account, LIMIT_ARRIVAL_DEVICES, &devices, &count));
    for (size_t i = 0; i < count; i++) {
        const db_lease_event_t lease = {
            .device_id = devices[i], .account = account, .event = name, .created_ms = now_ms};
        const db_mail_event_t event = {.device_id = devices[i],
                                       .account = account,
                                       .event = name,
                                       .folder = opaque ? "" : a->folder,
                                       .uidvalidity = opaque ? 0 : a->uidvalidity,
                                       .uid = opaque ? 0 : a->uid,
                                       .modseq = opaque ? 0 : a->modseq,
                                       .created_ms = now_ms};
        TRY(db_lease_events_add(conn, &lease, LIMIT_LEASE_EVENTS));
        TRY(db_mail_events_add(conn, &event));
        TRY(push_app(conn, arena, &event));
    }
    return db_mailboxes_told(conn, account, now_ms);
}

err_t *arrival_record(db_conn_t *conn, arena_t *arena, const db_mailbox_t *box,
                      const arrival_t *arrival, int64_t now_ms, arrival_end_t *ret_end) {
    bool old = false;
    TRY(arrival_is_old(conn, arena, box->account, arrival, &old));
    if (old) {
        *ret_end = ARRIVAL_OLD;
        return NULL;
    }
    TRY(remember(conn, arena, box->account, arrival));
    /* A clock that was turned back must not make it wait for the time that was. */
    bool soon = box->event_ms <= now_ms && now_ms - box->event_ms < ARRIVAL_GATHER_MS;
    if (!soon) {
        TRY(db_mailbox_waits_remove(conn, box->account));
        TRY(tell(conn, arena, box->account, arrival, now_ms));
        *ret_end = ARRIVAL_TOLD;
        return NULL;
    }
    const db_mail_mark_t wait = {.account = box->account,
                                 .folder = arrival->folder,
                                 .uidvalidity = arrival->uidvalidity,
                                 .uid = arrival->uid,
                                 .modseq = arrival->modseq,
                                 .due_ms = box->event_ms + ARRIVAL_GATHER_MS};
    TRY(db_mailbox_waits_put(conn, &wait));
    *ret_end = ARRIVAL_WAITS;
    return NULL;
}

err_t *arrival_settle(db_conn_t *conn, arena_t *arena, const db_mailbox_t *box,
                      const arrival_t *arrival, int64_t now_ms, arrival_end_t *ret_end) {
    db_mail_mark_t mark;
    bool found = false;
    TRY(db_mailbox_folders_find(conn, arena, box->account, arrival->folder, &mark, &found));
    *ret_end = ARRIVAL_OLD;
    if (!found) return remember(conn, arena, box->account, arrival);
    if (arrival->uid == 0) return NULL; /* nothing was ever in there */
    return arrival_record(conn, arena, box, arrival, now_ms, ret_end);
}

err_t *arrival_flush(db_conn_t *conn, arena_t *arena, int64_t now_ms, size_t limit,
                     size_t *ret_count) {
    db_mail_mark_t *marks = NULL;
    size_t count = 0;
    TRY(db_mailbox_waits_due(conn, arena, now_ms, now_ms + ARRIVAL_GATHER_MS, limit, &marks,
                             &count));
    for (size_t i = 0; i < count; i++) {
        const arrival_t a = {marks[i].folder, marks[i].uidvalidity, marks[i].uid, marks[i].modseq};
        TRY(db_mailbox_waits_remove(conn, marks[i].account));
        TRY(tell(conn, arena, marks[i].account, &a, now_ms));
    }
    *ret_count = count;
    return NULL;
}
