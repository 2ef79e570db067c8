/*
 * Sessions in memory: see session.h. Any process that serves people; any thread, under one lock.
 */
#include "http/session.h"

#include <pthread.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum { FINDER = 16, PROOF = 32, CSRF = 32 };

typedef struct {
    char *subject; /* NULL: a free place */
    uint8_t finder[FINDER];
    uint8_t proof[PROOF];
    char csrf[SESSION_CSRF_SIZE];
    int64_t begun_unix;
    int64_t begun_ms; /* monotonic */
    int64_t used_ms;  /* monotonic */
} entry_t;

struct sessions {
    pthread_mutex_t lock;
    const clk_t *clk;
    const rnd_t *rnd;
    int64_t idle_ms;
    int64_t life_ms;
    entry_t *entries;
    size_t max;
    size_t room; /* grows towards max */
};

void session_done(session_t *session) {
    mem_free(session->subject);
    mem_wipe(session->csrf, sizeof session->csrf);
    session->subject = NULL;
}

static void entry_clear(entry_t *entry) {
    mem_free(entry->subject);
    mem_wipe(entry, sizeof *entry);
}

err_t *sessions_new(const clk_t *clk, const rnd_t *rnd, int64_t idle_s, int64_t life_s, size_t max,
                    sessions_t **ret_sessions) {
    if (max == 0 || max > LIMIT_SESSIONS || idle_s <= 0 || life_s <= 0)
        return err_new(ERR_USAGE, "session limits out of range");
    sessions_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    *s = (sessions_t){
        .clk = clk, .rnd = rnd, .idle_ms = idle_s * 1000, .life_ms = life_s * 1000, .max = max};
    pthread_mutex_init(&s->lock, NULL);
    *ret_sessions = s;
    return NULL;
}

void sessions_free(sessions_t *sessions) {
    if (!sessions) return;
    for (size_t i = 0; i < sessions->room; i++) entry_clear(&sessions->entries[i]);
    mem_free(sessions->entries);
    pthread_mutex_destroy(&sessions->lock);
    mem_free(sessions);
}

static bool expired(const sessions_t *s, const entry_t *entry, int64_t now) {
    return now - entry->used_ms >= s->idle_ms || now - entry->begun_ms >= s->life_ms;
}

/* More room, up to max; false when there is none to be had. */
static bool grow(sessions_t *s) {
    if (s->room == s->max) return false;
    size_t room = s->room ? s->room * 2 : 16;
    if (room > s->max) room = s->max;
    entry_t *entries = mem_array(room, sizeof *entries);
    if (!entries) return false;
    if (s->room) memcpy(entries, s->entries, s->room * sizeof *entries);
    mem_wipe(s->entries, s->room * sizeof *entries);
    mem_free(s->entries);
    s->entries = entries;
    s->room = room;
    return true;
}

/* A free or dead place, a new one, or that of the session used longest ago. */
static entry_t *place(sessions_t *s) {
    int64_t now = clk_mono_ms(s->clk);
    entry_t *oldest = NULL;
    for (size_t i = 0; i < s->room; i++) {
        entry_t *entry = &s->entries[i];
        if (!entry->subject) return entry;
        if (expired(s, entry, now)) return entry_clear(entry), entry;
        if (!oldest || entry->used_ms < oldest->used_ms) oldest = entry;
    }
    size_t before = s->room;
    if (grow(s)) return &s->entries[before];
    if (oldest) entry_clear(oldest);
    return oldest;
}

static err_t *base64url_into(bytes_t data, char *out, size_t size) {
    CLEANUP(buf_done) buf_t text;
    buf_init_secret(&text, size + 4); /* base64 reserves room for padding */
    TRY(text_base64url(data, &text));
    if (text.n >= size) return err_new(ERR_INTERNAL, "the encoding is longer than its place");
    bytes_put(out, buf_bytes(&text));
    out[text.n] = '\0';
    return NULL;
}

err_t *session_create(sessions_t *sessions, const char *subject,
                      char ret_token[SESSION_TOKEN_SIZE]) {
    uint8_t random[FINDER + PROOF + CSRF];
    char token[SESSION_TOKEN_SIZE];
    entry_t fresh = {.subject = NULL};
    TRY(rnd_fill(sessions->rnd, random, sizeof random));
    TRY(base64url_into(bytes_make(random, FINDER + PROOF), token, sizeof token));
    TRY(base64url_into(bytes_make(random + FINDER + PROOF, CSRF), fresh.csrf, sizeof fresh.csrf));
    memcpy(fresh.finder, random, FINDER);
    memcpy(fresh.proof, random + FINDER, PROOF);
    fresh.begun_unix = clk_unix(sessions->clk);
    fresh.begun_ms = fresh.used_ms = clk_mono_ms(sessions->clk);
    fresh.subject = mem_strdup(subject);
    if (!fresh.subject) return err_nomem();
    pthread_mutex_lock(&sessions->lock);
    entry_t *entry = place(sessions);
    if (entry) *entry = fresh;
    pthread_mutex_unlock(&sessions->lock);
    if (!entry) mem_free(fresh.subject);
    mem_wipe(random, sizeof random);
    if (entry) memcpy(ret_token, token, sizeof token);
    mem_wipe(token, sizeof token);
    mem_wipe(&fresh, sizeof fresh);
    return entry ? NULL : err_nomem();
}

/* Under the lock: the live entry of a token, or NULL. */
static entry_t *entry_find(sessions_t *s, const uint8_t raw[FINDER + PROOF]) {
    int64_t now = clk_mono_ms(s->clk);
    for (size_t i = 0; i < s->room; i++) {
        entry_t *entry = &s->entries[i];
        if (!entry->subject || memcmp(entry->finder, raw, FINDER) != 0) continue;
        if (!bytes_eq_ct(bytes_make(entry->proof, PROOF), bytes_make(raw + FINDER, PROOF)))
            return NULL;
        if (!expired(s, entry, now)) return entry;
        entry_clear(entry);
        return NULL;
    }
    return NULL;
}

static err_t *token_decode(bytes_t token, uint8_t out[FINDER + PROOF]) {
    CLEANUP(buf_done) buf_t raw;
    buf_init_secret(&raw, FINDER + PROOF + 4);
    if (token.n != SESSION_TOKEN_SIZE - 1) return err_new(ERR_AUTH, "no such session");
    err_t *e = text_unbase64(token, &raw);
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (e || raw.n != FINDER + PROOF) return err_new(ERR_AUTH, "no such session");
    memcpy(out, raw.p, FINDER + PROOF);
    return NULL;
}

err_t *session_check(sessions_t *sessions, bytes_t token, session_t *ret_session) {
    uint8_t raw[FINDER + PROOF];
    TRY(token_decode(token, raw));
    session_t session = {.subject = NULL};
    err_t *e = NULL;
    pthread_mutex_lock(&sessions->lock);
    entry_t *entry = entry_find(sessions, raw);
    if (!entry) {
        e = err_new(ERR_AUTH, "no such session");
    } else {
        entry->used_ms = clk_mono_ms(sessions->clk);
        session.begun_unix = entry->begun_unix;
        memcpy(session.csrf, entry->csrf, sizeof session.csrf);
        session.subject = mem_strdup(entry->subject);
        if (!session.subject) e = err_nomem();
    }
    pthread_mutex_unlock(&sessions->lock);
    mem_wipe(raw, sizeof raw);
    if (!e) *ret_session = session;
    mem_wipe(session.csrf, sizeof session.csrf);
    return e;
}

err_t *session_check_csrf(const session_t *session, bytes_t csrf) {
    if (!bytes_eq_ct(bytes_str(session->csrf), csrf))
        return err_new(ERR_DENIED, "the form is not from this session; load the page again");
    return NULL;
}

void session_drop(sessions_t *sessions, bytes_t token) {
    uint8_t raw[FINDER + PROOF];
    err_t *e = token_decode(token, raw);
    if (!e) {
        pthread_mutex_lock(&sessions->lock);
        entry_t *entry = entry_find(sessions, raw);
        if (entry) entry_clear(entry);
        pthread_mutex_unlock(&sessions->lock);
    }
    err_free(e);
}

void session_drop_subject(sessions_t *sessions, const char *subject) {
    pthread_mutex_lock(&sessions->lock);
    for (size_t i = 0; i < sessions->room; i++) {
        entry_t *entry = &sessions->entries[i];
        if (entry->subject && strcmp(entry->subject, subject) == 0) entry_clear(entry);
    }
    pthread_mutex_unlock(&sessions->lock);
}

size_t sessions_count(sessions_t *sessions) {
    size_t n = 0;
    pthread_mutex_lock(&sessions->lock);
    int64_t now = clk_mono_ms(sessions->clk);
    for (size_t i = 0; i < sessions->room; i++)
        if (sessions->entries[i].subject && !expired(sessions, &sessions->entries[i], now)) n++;
    pthread_mutex_unlock(&sessions->lock);
    return n;
}
