/*
 * Answering OCSP requests: see revoke.h. RFC 6960, in the profile of RFC 5019. The usual request
 * (one certificate, no nonce) is answered from memory, or from a status that was signed ahead and
 * lies in the database; the keeper is asked live for the rest, so often and no more: who wants
 * nonces all day gets answers without, which RFC 5019 section 4 lets us do.
 * Runs in coffer-web: answers on any worker thread, signing ahead on the revocation thread.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "pki/revoke_internal.h"

enum {
    RESPONSE_MAX = 256 * 1024,
    RELOAD_MS = 10 * 60 * 1000, /* another node may have revoked */
    MARGIN_S = 60,              /* a status that ends so soon is signed anew */
    LIVE_BURST = 200,           /* statuses signed on demand at once ... */
    LIVE_PER_S = 50,            /* ... and in the long run; */
    LIVE_RESERVE = 100,         /* so many are not for nonces but for what was not yet signed */
    ARENA_MAX = 2 * 1024 * 1024,
    KEEP_S = 86400,
};

void ocsp_answer_init(ocsp_answer_t *answer) {
    *answer = (ocsp_answer_t){0};
    buf_init(&answer->der, RESPONSE_MAX);
}

void ocsp_answer_done(ocsp_answer_t *answer) { buf_done(&answer->der); }

static err_t *refuse(ocsp_refusal_t why, ocsp_answer_t *answer) {
    uint8_t der[OCSP_REFUSAL_SIZE];
    ocsp_refusal(why, der);
    buf_clear(&answer->der);
    answer->cacheable = false;
    return buf_add(&answer->der, BYTES_ARRAY(der));
}

/* ---- responders ---- */

static bool responder_known(revoker_t *revoker, bytes_t fingerprint, ocsp_responder_t *ret) {
    bool found = false;
    (void)pthread_mutex_lock(&revoker->lock);
    for (size_t i = 0; i < REVOKER_RESPONDERS && !found; i++) {
        const ocsp_responder_t *r = &revoker->responders[i];
        if (!r->cert || memcmp(cert_sha256(r->cert), fingerprint.p, fingerprint.n) != 0) continue;
        *ret = *r;
        ret->cert = cert_share(r->cert);
        found = true;
    }
    (void)pthread_mutex_unlock(&revoker->lock);
    return found;
}

static err_t *responder_remember(revoker_t *revoker, const cert_t *cert, ocsp_responder_t *ret) {
    ocsp_responder_t made = {0};
    TRY(ocsp_key_hash(cert_key(cert), made.key_hash));
    made.cert = cert_share(cert);
    *ret = made;
    made.cert = cert_share(cert);
    (void)pthread_mutex_lock(&revoker->lock);
    ocsp_responder_t *slot = &revoker->responders[revoker->responders_next++ % REVOKER_RESPONDERS];
    cert_t *old = slot->cert;
    *slot = made;
    (void)pthread_mutex_unlock(&revoker->lock);
    cert_free(old);
    return NULL;
}

typedef struct {
    arena_t *arena;
    bytes_t fingerprint, der;
    int64_t not_after;
    bool found;
} responder_job_t;

static err_t *load_responder(db_conn_t *conn, void *arg) {
    responder_job_t *job = arg;
    return db_ocsp_responders_get(conn, job->arena, job->fingerprint, &job->der, &job->found);
}

static err_t *keep_responder(db_conn_t *conn, void *arg) {
    const responder_job_t *job = arg;
    return db_ocsp_responders_put(conn, job->fingerprint, job->der, job->not_after);
}

static err_t *responder_find(revoker_t *revoker, bytes_t fingerprint, bool *ret_found,
                             ocsp_responder_t *ret) {
    *ret_found = responder_known(revoker, fingerprint, ret);
    if (*ret_found) return NULL;
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(arena_new(ARENA_MAX, &arena));
    responder_job_t job = {.arena = arena, .fingerprint = fingerprint};
    TRY(db_read(revoker->o.db, load_responder, &job));
    if (!job.found) return NULL;
    TRY(cert_parse_der(job.der, &cert));
    TRY(responder_remember(revoker, cert, ret));
    *ret_found = true;
    return NULL;
}

/* One that just signed. */
static err_t *responder_meet(revoker_t *revoker, const cert_t *cert, ocsp_responder_t *ret) {
    bytes_t fingerprint = bytes_make(cert_sha256(cert), CERT_SHA256_SIZE);
    return responder_known(revoker, fingerprint, ret) ? NULL
                                                      : responder_remember(revoker, cert, ret);
}

/* ---- one response ---- */

static ocsp_single_t single_of(const ocsp_cert_id_t *id, const db_ocsp_status_t *s) {
    return (ocsp_single_t){.serial = id->serial,
                           .hash = id->hash,
                           .status = s->status ? OCSP_REVOKED : OCSP_GOOD,
                           .reason = (crl_reason_t)s->reason,
                           .revoked_at = s->revoked_at,
                           .this_update = s->this_update,
                           .next_update = s->next_update};
}

static err_t *respond(const revoker_issuer_t *issuer, const ocsp_single_t *list, size_t n,
                      bytes_t nonce, bytes_t signature, const ocsp_responder_t *responder,
                      ocsp_answer_t *answer) {
    ocsp_data_t data = {.issuer = &issuer->id,
                        .responder = responder->key_hash,
                        .list = list,
                        .n = n,
                        .produced_at = list[0].this_update,
                        .nonce = nonce};
    answer->cacheable = n == 1 && !nonce.n;
    answer->this_update = list[0].this_update;
    answer->next_update = list[0].next_update;
    if (signature.n >= 2 * sizeof answer->tag)
        memcpy(answer->tag, signature.p + sizeof answer->tag, sizeof answer->tag);
    return ocsp_response(&data, signature, responder->cert, &answer->der);
}

static err_t *respond_signed(revoker_t *revoker, const revoker_issuer_t *issuer,
                             const ocsp_cert_id_t *id, const db_ocsp_status_t *s,
                             ocsp_answer_t *answer, bool *ret_done) {
    ocsp_responder_t responder = {0};
    bool found = false;
    TRY(responder_find(revoker, BYTES_ARRAY(s->responder), &found, &responder));
    *ret_done = found;
    if (!found) return NULL;
    ocsp_single_t single = single_of(id, s);
    err_t *e = respond(issuer, &single, 1, BYTES_NONE, bytes_make(s->signature, s->signature_n),
                       &responder, answer);
    cert_free(responder.cert);
    return e;
}

/* ---- live ---- */

static bool may_sign(revoker_t *revoker, int reserve) {
    int64_t now = clk_mono_ms(revoker->o.clk);
    (void)pthread_mutex_lock(&revoker->lock);
    if (!revoker->live_ms) revoker->live_budget = LIVE_BURST;
    else revoker->live_budget += (double)(now - revoker->live_ms) * LIVE_PER_S / 1000;
    if (revoker->live_budget > LIVE_BURST) revoker->live_budget = LIVE_BURST;
    revoker->live_ms = now ? now : 1;
    bool may = revoker->live_budget >= 1 + reserve;
    if (may) revoker->live_budget -= 1;
    (void)pthread_mutex_unlock(&revoker->lock);
    return may;
}

typedef struct {
    revoker_t *revoker;
    const ocsp_request_t *request;
    const revoker_issuer_t *issuer;
    db_ocsp_known_t known[LIMIT_OCSP_CERTIDS];
    ocsp_single_t list[LIMIT_OCSP_CERTIDS];
    db_ocsp_status_t signed_status; /* what the keeper just signed */
    uint64_t stamp;
} exchange_t;

static err_t *look_up(db_conn_t *conn, void *arg) {
    exchange_t *x = arg;
    for (size_t i = 0; i < x->request->ids_n; i++) {
        CLEANUP(buf_done) buf_t serial;
        const char *text = NULL;
        buf_init(&serial, 2 * LIMIT_OCSP_REQUEST);
        TRY(text_hex(x->request->ids[i].serial, &serial));
        TRY(buf_cstr(&serial, &text));
        TRY(db_ocsp_get(conn, x->issuer->name, text, &x->known[i]));
    }
    return NULL;
}

static err_t *take_signature(void *arg, size_t index, bytes_t signature) {
    db_ocsp_status_t *s = (db_ocsp_status_t *)arg + index;
    if (signature.n > sizeof s->signature) return err_new(ERR_LIMIT, "OCSP signature");
    bytes_put(s->signature, signature);
    s->signature_n = signature.n;
    return NULL;
}

static db_ocsp_status_t status_now(int64_t revoked_ms, int64_t reason, int64_t now,
                                   int64_t lifetime) {
    return (db_ocsp_status_t){.status = revoked_ms ? OCSP_REVOKED : OCSP_GOOD,
                              .reason = revoked_ms ? reason : 0,
                              .revoked_at = revoked_ms / 1000,
                              .this_update = now,
                              .next_update = now + lifetime};
}

static err_t *sign_live(exchange_t *x, bytes_t nonce, ocsp_answer_t *answer) {
    const revoker_options_t *o = &x->revoker->o;
    size_t n = x->request->ids_n;
    int64_t now = clk_unix(o->clk);
    CLEANUP(cert_free) cert_t *cert = NULL;
    for (size_t i = 0; i < n; i++) {
        db_ocsp_status_t s =
            status_now(x->known[i].revoked_ms, x->known[i].reason, now, o->ocsp_lifetime_s);
        x->list[i] = single_of(&x->request->ids[i], &s);
        x->signed_status = s;
    }
    keeper_ocsp_t ask = {.issuer = x->issuer->name,
                         .this_update = now,
                         .next_update = now + o->ocsp_lifetime_s,
                         .joint = true,
                         .nonce = nonce,
                         .list = x->list,
                         .n = n};
    TRY(keeper_ocsp_sign(o->keeper, &ask, take_signature, &x->signed_status, &cert));
    db_ocsp_status_t *s = &x->signed_status;
    memcpy(s->responder, cert_sha256(cert), sizeof s->responder);
    ocsp_responder_t responder = {0};
    TRY(responder_meet(x->revoker, cert, &responder));
    err_t *e = respond(x->issuer, x->list, n, nonce, bytes_make(s->signature, s->signature_n),
                       &responder, answer);
    cert_free(responder.cert);
    return e;
}

/* ---- requests ---- */

static bool is_fresh(const revoker_t *revoker, const db_ocsp_status_t *s) {
    int64_t now = clk_unix(revoker->o.clk);
    return s->signature_n && s->this_update <= now && now + MARGIN_S < s->next_update;
}

static void remember(exchange_t *x, const ocsp_key_t *key, const db_ocsp_status_t *s) {
    ocsp_cached_t cached = {.status = *s, .loaded_ms = clk_mono_ms(x->revoker->o.clk)};
    ocsp_cache_put(x->revoker->cache, key, &cached, x->stamp);
}

static err_t *answer_cached(exchange_t *x, const ocsp_key_t *key, ocsp_answer_t *answer,
                            bool *ret_done) {
    ocsp_cached_t cached;
    *ret_done = false;
    if (!ocsp_cache_get(x->revoker->cache, key, &cached) || !is_fresh(x->revoker, &cached.status) ||
        clk_mono_ms(x->revoker->o.clk) - cached.loaded_ms > RELOAD_MS)
        return NULL;
    return respond_signed(x->revoker, x->issuer, &x->request->ids[0], &cached.status, answer,
                          ret_done);
}

/* The status signed ahead, if it is what is true now. */
static err_t *answer_stored(exchange_t *x, const ocsp_key_t *key, ocsp_answer_t *answer,
                            bool *ret_done) {
    const db_ocsp_known_t *known = &x->known[0];
    const db_ocsp_status_t *s = &known->signed_status;
    *ret_done = false;
    if (x->request->ids[0].hash != OCSP_SHA1 || !is_fresh(x->revoker, s) ||
        s->revoked_at != known->revoked_ms / 1000 ||
        (known->revoked_ms && s->reason != known->reason))
        return NULL;
    TRY(respond_signed(x->revoker, x->issuer, &x->request->ids[0], s, answer, ret_done));
    if (*ret_done) remember(x, key, s);
    return NULL;
}

static err_t *answer_one(exchange_t *x, ocsp_answer_t *answer) {
    bool done = false, live = x->request->nonce.n && may_sign(x->revoker, LIVE_RESERVE);
    ocsp_key_t key;
    const ocsp_cert_id_t *id = &x->request->ids[0];
    if (!revoker_key(x->revoker, x->issuer, id->hash, id->serial, &key))
        return refuse(OCSP_UNAUTHORIZED, answer);
    if (!live) TRY(answer_cached(x, &key, answer, &done));
    if (done) return NULL;
    x->stamp = ocsp_cache_stamp(x->revoker->cache);
    TRY(db_read(x->revoker->o.db, look_up, x));
    if (!x->known[0].found) return refuse(OCSP_UNAUTHORIZED, answer);
    if (!live) TRY(answer_stored(x, &key, answer, &done));
    if (done) return NULL;
    if (!live && !may_sign(x->revoker, 0)) return refuse(OCSP_TRY_LATER, answer);
    bytes_t nonce = live ? x->request->nonce : BYTES_NONE;
    TRY(sign_live(x, nonce, answer));
    if (!nonce.n) remember(x, &key, &x->signed_status);
    return NULL;
}

static err_t *answer_many(exchange_t *x, ocsp_answer_t *answer) {
    if (!may_sign(x->revoker, LIVE_RESERVE)) return refuse(OCSP_TRY_LATER, answer);
    TRY(db_read(x->revoker->o.db, look_up, x));
    for (size_t i = 0; i < x->request->ids_n; i++)
        if (!x->known[i].found) return refuse(OCSP_UNAUTHORIZED, answer);
    return sign_live(x, x->request->nonce, answer);
}

/* The one CA that all are of; responses of two responders don't fit into one. */
static const revoker_issuer_t *issuer_of(const revoker_t *revoker, const ocsp_request_t *request) {
    for (size_t i = 0; i < revoker->issuers_n; i++) {
        size_t n = 0;
        while (n < request->ids_n && ocsp_issuer_is(&revoker->issuers[i].id, &request->ids[n])) n++;
        if (n == request->ids_n) return &revoker->issuers[i];
    }
    return NULL;
}

static err_t *answer_request(revoker_t *revoker, const ocsp_request_t *request,
                             ocsp_answer_t *answer) {
    const revoker_issuer_t *issuer = issuer_of(revoker, request);
    if (!issuer) return refuse(OCSP_UNAUTHORIZED, answer);
    CLEANUP(mem_free) exchange_t *x = mem_zalloc(sizeof *x);
    if (!x) return err_nomem();
    x->revoker = revoker;
    x->request = request;
    x->issuer = issuer;
    err_t *e = request->ids_n == 1 ? answer_one(x, answer) : answer_many(x, answer);
    if (!e || (err_code(e) != ERR_UNAVAILABLE && err_code(e) != ERR_BUSY)) return e;
    err_free(e); /* the keeper is starting, or has too much to do */
    return refuse(OCSP_TRY_LATER, answer);
}

err_t *ocsp_answer(revoker_t *revoker, bytes_t der, ocsp_answer_t *ret_answer) {
    CLEANUP(ocsp_answer_done) ocsp_answer_t answer;
    ocsp_request_t request;
    ocsp_answer_init(&answer);
    err_t *e = ocsp_request_parse(der, &request);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e) TRY(refuse(OCSP_MALFORMED_REQUEST, &answer));
    else TRY(answer_request(revoker, &request, &answer));
    err_free(e);
    *ret_answer = answer;
    ocsp_answer_init(&answer);
    return NULL;
}

/* ---- ahead ---- */

typedef struct {
    revoker_t *revoker;
    const revoker_issuer_t *issuer;
    arena_t *arena;
    const char *after, *last;
    int64_t now;
    size_t count;
    db_ocsp_due_t due[LIMIT_KEEPER_OCSP_BATCH];
    ocsp_single_t list[LIMIT_KEEPER_OCSP_BATCH];
    db_ocsp_status_t statuses[LIMIT_KEEPER_OCSP_BATCH];
    uint8_t serials[LIMIT_KEEPER_OCSP_BATCH][CERT_SERIAL_SIZE];
    responder_job_t responder;
} ahead_t;

static err_t *find_due(db_conn_t *conn, void *arg) {
    ahead_t *x = arg;
    return db_ocsp_due(conn, x->arena, x->issuer->name, x->after, x->now,
                       x->now + x->revoker->o.ocsp_lifetime_s / 2, LIMIT_KEEPER_OCSP_BATCH, x->due,
                       &x->count, &x->last);
}

static err_t *keep_statuses(db_conn_t *conn, void *arg) {
    ahead_t *x = arg;
    TRY(keep_responder(conn, &x->responder));
    for (size_t i = 0; i < x->count; i++)
        TRY(db_ocsp_put(conn, x->issuer->name, x->due[i].serial, &x->statuses[i]));
    return NULL;
}

static err_t *prepare(ahead_t *x) {
    CLEANUP(buf_done) buf_t serial;
    buf_init(&serial, LIMIT_SERIAL_BYTES);
    for (size_t i = 0; i < x->count; i++) {
        buf_clear(&serial);
        TRY(text_unhex(bytes_str(x->due[i].serial), &serial));
        if (serial.n > CERT_SERIAL_SIZE) return err_new(ERR_INTERNAL, "serial number of ours");
        bytes_put(x->serials[i], buf_bytes(&serial));
        x->statuses[i] = status_now(x->due[i].revoked_ms, x->due[i].reason, x->now,
                                    x->revoker->o.ocsp_lifetime_s);
        ocsp_cert_id_t id = {.serial = bytes_make(x->serials[i], serial.n)};
        x->list[i] = single_of(&id, &x->statuses[i]);
    }
    return NULL;
}

static err_t *sign_page(ahead_t *x) {
    const revoker_options_t *o = &x->revoker->o;
    CLEANUP(cert_free) cert_t *cert = NULL;
    x->now = clk_unix(o->clk);
    TRY(db_read(o->db, find_due, x));
    if (!x->count) return NULL;
    TRY(prepare(x));
    keeper_ocsp_t ask = {.issuer = x->issuer->name,
                         .this_update = x->now,
                         .next_update = x->now + o->ocsp_lifetime_s,
                         .list = x->list,
                         .n = x->count};
    TRY(keeper_ocsp_sign(o->keeper, &ask, take_signature, x->statuses, &cert));
    for (size_t i = 0; i < x->count; i++)
        memcpy(x->statuses[i].responder, cert_sha256(cert), DB_OCSP_FINGERPRINT);
    x->responder = (responder_job_t){.fingerprint = bytes_make(cert_sha256(cert), CERT_SHA256_SIZE),
                                     .der = cert_der(cert),
                                     .not_after = cert_not_after(cert)};
    return db_write(o->db, keep_statuses, x);
}

static err_t *sign_issuer(ahead_t *x, const _Atomic bool *stop, size_t *ret_count) {
    char after[2 * CERT_SERIAL_SIZE + 8] = "";
    do {
        CLEANUP(arena_free) arena_t *arena = NULL;
        TRY(arena_new(ARENA_MAX, &arena));
        x->arena = arena;
        x->after = after;
        TRY(sign_page(x));
        *ret_count += x->count;
        (void)snprintf(after, sizeof after, "%s", x->last);
    } while (after[0] && !*stop);
    return NULL;
}

err_t *ocsp_sign_due(revoker_t *revoker, const _Atomic bool *stop, size_t *ret_count) {
    CLEANUP(mem_free) ahead_t *x = mem_zalloc(sizeof *x);
    if (!x) return err_nomem();
    x->revoker = revoker;
    size_t count = 0;
    for (size_t i = 0; i < revoker->issuers_n && !*stop; i++) {
        x->issuer = &revoker->issuers[i];
        TRY_WRAP(sign_issuer(x, stop, &count), "OCSP statuses of %s", x->issuer->name);
    }
    *ret_count = count;
    return NULL;
}

static err_t *purge(db_conn_t *conn, void *arg) {
    const int64_t *before = arg;
    return db_ocsp_purge(conn, *before);
}

err_t *ocsp_purge(revoker_t *revoker) {
    int64_t before = clk_unix(revoker->o.clk) - KEEP_S;
    return db_write(revoker->o.db, purge, &before);
}
