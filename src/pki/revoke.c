/*
 * Revoking: see revoke.h. Runs in coffer-web: the deed inside a db_write, the context
 * on any.
 */
#include "pki/revoke.h"

#include <stdio.h>

#include "audit/note.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "pki/pki_internal.h"
#include "pki/revoke_internal.h"

enum { PERSON_PAGE = 500 };

/* ---- the context ---- */

static err_t *make(revoker_t *revoker, const revoker_options_t *options) {
    revoker->o = *options;
    const keeper_cas_t *cas = pki_device_cas(options->pki);
    for (size_t i = 0; i < cas->n; i++)
        revoker->issuers[revoker->issuers_n++] =
            (revoker_issuer_t){.name = cas->list[i].name, .ca = cas->list[i].cert};
    revoker->issuers[revoker->issuers_n++] =
        (revoker_issuer_t){.name = "mail-ca", .ca = pki_mail_ca(options->pki)};
    revoker->issuers[revoker->issuers_n++] =
        (revoker_issuer_t){.name = "root", .ca = pki_root(options->pki)};
    for (size_t i = 0; i < revoker->issuers_n; i++)
        TRY(ocsp_issuer_init(revoker->issuers[i].ca, &revoker->issuers[i].id));
    TRY(file_mkdir(options->crl_dir, 0700));
    return ocsp_cache_new(&revoker->cache);
}

err_t *revoker_new(const revoker_options_t *options, revoker_t **ret_revoker) {
    CLEANUP(revoker_free) revoker_t *revoker = mem_zalloc(sizeof *revoker);
    if (!revoker) return err_nomem();
    (void)pthread_mutex_init(&revoker->lock, NULL);
    TRY(make(revoker, options));
    /* What was revoked last, before a stop or a crash, may be on no list yet. */
    atomic_store(&revoker->changed, true);
    *ret_revoker = STEAL(revoker);
    return NULL;
}

void revoker_free(revoker_t *revoker) {
    if (!revoker) return;
    for (size_t i = 0; i < REVOKER_RESPONDERS; i++) cert_free(revoker->responders[i].cert);
    ocsp_cache_free(revoker->cache);
    (void)pthread_mutex_destroy(&revoker->lock);
    mem_free(revoker);
}

const revoker_issuer_t *revoker_issuer(const revoker_t *revoker, const char *name) {
    for (size_t i = 0; i < revoker->issuers_n; i++)
        if (bytes_eq_str(bytes_str(name), revoker->issuers[i].name)) return &revoker->issuers[i];
    return NULL;
}

bool revoker_key(const revoker_t *revoker, const revoker_issuer_t *issuer, ocsp_hash_t hash,
                 bytes_t serial, ocsp_key_t *ret_key) {
    ocsp_key_t key = {.issuer = (uint8_t)(issuer - revoker->issuers),
                      .hash = (uint8_t)hash,
                      .n = (uint8_t)serial.n};
    if (serial.n == 0 || serial.n > sizeof key.serial) return false;
    bytes_put(key.serial, serial);
    *ret_key = key;
    return true;
}

/* ---- telling the cache ---- */

static void note_pending(revoker_t *revoker, const char *issuer, bytes_t serial) {
    const revoker_issuer_t *known = revoker_issuer(revoker, issuer);
    ocsp_key_t key;
    if (!known || !revoker_key(revoker, known, OCSP_SHA1, serial, &key)) return;
    (void)pthread_mutex_lock(&revoker->lock);
    if (revoker->pending_n < REVOKER_PENDING) revoker->pending[revoker->pending_n++] = key;
    else revoker->pending_n = REVOKER_PENDING + 1;
    (void)pthread_mutex_unlock(&revoker->lock);
}

/* After the commit, before who revoked hears of it. */
static void on_commit(void *arg) {
    revoker_t *revoker = arg;
    (void)pthread_mutex_lock(&revoker->lock);
    if (revoker->pending_n > REVOKER_PENDING) ocsp_cache_drop_all(revoker->cache);
    else
        for (size_t i = 0; i < revoker->pending_n; i++) {
            ocsp_key_t key = revoker->pending[i];
            ocsp_cache_drop(revoker->cache, &key);
            key.hash = OCSP_SHA256;
            ocsp_cache_drop(revoker->cache, &key);
        }
    revoker->pending_n = 0;
    (void)pthread_mutex_unlock(&revoker->lock);
    atomic_store(&revoker->changed, true);
}

/* ---- revoking ---- */

static err_t *check_reason(const db_cert_brief_t *cert, crl_reason_t reason) {
    bool held = cert->revoked_ms && cert->reason == CRL_HOLD;
    if (reason == CRL_CA_COMPROMISE)
        return err_new(ERR_DENIED, "cACompromise is for a CA's certificate alone");
    if (reason == CRL_REMOVE && !held)
        return err_new(ERR_DENIED, "removeFromCRL ends a certificateHold; certificate %s is %s",
                       cert->serial, cert->revoked_ms ? "revoked for good" : "not on hold");
    /* RFC 5280 section 5.3.1: what is revoked for good doesn't come back by a hold. */
    if (reason == CRL_HOLD && cert->revoked_ms && !held)
        return err_new(ERR_DENIED, "certificate %s is revoked for good already", cert->serial);
    return NULL;
}

err_t *revoke_certificate(revoker_t *revoker, db_conn_t *conn, const db_cert_brief_t *cert,
                          crl_reason_t reason, const char *actor, const char *why) {
    TRY(check_reason(cert, reason));
    CLEANUP(buf_done) buf_t serial;
    buf_init(&serial, LIMIT_SERIAL_BYTES);
    TRY_WRAP(text_unhex(bytes_str(cert->serial), &serial), "serial number %s", cert->serial);
    int64_t now = clk_unix_ms(revoker->o.clk);
    TRY(db_revocations_put(conn, &(db_revocation_t){
                                     .fingerprint = cert->fingerprint,
                                     .issuer = cert->issuer,
                                     .serial = buf_bytes(&serial),
                                     .profile = cert->profile,
                                     .reason = reason,
                                     .revoked_ms = cert->revoked_ms ? cert->revoked_ms : now,
                                     .changed_ms = now,
                                     .not_after = cert->not_after,
                                     .actor = actor,
                                     .why = why,
                                 }));
    TRY(db_ocsp_drop(conn, cert->issuer, cert->serial));
    TRY(pki_publish(revoker->o.pki, conn, cert->fingerprint, cert->profile, now));
    note_pending(revoker, cert->issuer, buf_bytes(&serial));
    TRY(db_after_commit(conn, on_commit, revoker));
    return audit_note(revoker->o.audit, conn, actor,
                      reason == CRL_REMOVE ? "certificate.unhold" : "certificate.revoke",
                      cert->serial, "reason", crl_reason_name(reason), "subject", cert->subject,
                      "profile", cert->profile, "why", why, NULL);
}

static const char *event_name(revoke_event_t event) {
    switch (event) {
    case REVOKE_ON_CHECKOUT: return "policy: on_checkout";
    case REVOKE_ON_ERASE: return "policy: on_erase";
    case REVOKE_ON_LOST: return "policy: on_lost";
    case REVOKE_ON_LEAVE: return "policy: on_leave";
    }
    return "policy";
}

/* What is on hold is revoked for good; what is for good or expired stays as it is. */
static err_t *revoke_list(revoker_t *revoker, db_conn_t *conn, const db_cert_brief_t *certs,
                          size_t count, revoke_event_t event, const char *actor,
                          size_t *ret_count) {
    int64_t now = clk_unix(revoker->o.clk);
    for (size_t i = 0; i < count; i++) {
        bool done = certs[i].revoked_ms && certs[i].reason != CRL_HOLD;
        if (done || certs[i].not_after < now) continue;
        TRY(revoke_certificate(revoker, conn, &certs[i], revoker->o.policy[event].reason, actor,
                               event_name(event)));
        ++*ret_count;
    }
    return NULL;
}

err_t *revoke_device(revoker_t *revoker, db_conn_t *conn, arena_t *arena, bytes_t identity,
                     revoke_event_t event, const char *actor, size_t *ret_count) {
    size_t count = 0, revoked = 0;
    db_cert_brief_t *certs = NULL;
    if (revoker && revoker->o.policy[event].revoke) {
        TRY(db_cert_briefs_of_identity(conn, arena, identity, &certs, &count));
        TRY(revoke_list(revoker, conn, certs, count, event, actor, &revoked));
    }
    *ret_count = revoked;
    return NULL;
}

err_t *revoke_person(revoker_t *revoker, db_conn_t *conn, arena_t *arena, const char *person_id,
                     revoke_event_t event, const char *actor, size_t *ret_count) {
    size_t count = PERSON_PAGE, revoked = 0;
    db_cert_filter_t filter = {.person_id = person_id, .enrolment_id = "", .profile = ""};
    bytes_t after = BYTES_NONE;
    while (revoker->o.policy[event].revoke && count == PERSON_PAGE) {
        db_cert_brief_t *certs = NULL;
        TRY(db_cert_briefs_list(conn, arena, &filter, after, PERSON_PAGE, &certs, &count));
        TRY(revoke_list(revoker, conn, certs, count, event, actor, &revoked));
        if (count) after = certs[count - 1].fingerprint;
    }
    *ret_count = revoked;
    return NULL;
}

err_t *revoke_find(db_conn_t *conn, arena_t *arena, const char *text, db_cert_brief_t *ret_cert) {
    CLEANUP(buf_done) buf_t raw, hex;
    buf_init(&raw, LIMIT_SERIAL_BYTES);
    buf_init(&hex, 2 * LIMIT_SERIAL_BYTES + 1);
    /* As openssl prints it, too: upper case, colons. */
    for (const char *c = text; *c; c++)
        if (*c != ':') TRY(buf_add_byte(&hex, (uint8_t)(*c >= 'A' && *c <= 'F' ? *c + 32 : *c)));
    const char *plain = NULL;
    TRY(buf_cstr(&hex, &plain));
    TRY_WRAP(text_unhex(buf_bytes(&hex), &raw), "a certificate is named by its serial number or "
                                                "SHA-256 fingerprint in hex");
    bool found = false;
    if (raw.n == PKI_HASH)
        TRY(db_cert_briefs_by_fingerprint(conn, arena, buf_bytes(&raw), ret_cert, &found));
    if (found) return NULL;
    db_cert_brief_t *rows = NULL;
    size_t count = 0;
    TRY(db_cert_briefs_by_serial(conn, arena, plain, &rows, &count));
    if (count > 1) return err_new(ERR_INVALID, "several CAs have a %s: give the fingerprint", text);
    if (!count) return err_new(ERR_NOT_FOUND, "there is no certificate %s", text);
    *ret_cert = rows[0];
    return NULL;
}
