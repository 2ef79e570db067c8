/*
 * PKCSReq and RenewalReq (RFC 8894 section 3.3.1): authorising, waiting for approval, issuing.
 * Challenge, certificate, transaction, audit and trace are one transaction. Any worker thread of
 * coffer-web.
 */
#include "audit/note.h"
#include "base/text.h"
#include "pki/pending.h"
#include "pki/scep_internal.h"

enum { ID_RANDOM = 6 }; /* bytes of a pending request's id */

/* ---- what was before ---- */

/* A certificate that expired, was revoked or is for another key answers no repeated request. */
static err_t *find_repeatable(db_conn_t *conn, scep_exchange_t *x) {
    bytes_t fingerprint;
    db_certificate_t row;
    bool found = false;
    TRY(db_scep_transactions_get(conn, x->arena, x->request.transaction_id,
                                 BYTES_ARRAY(x->requester), &fingerprint, &found));
    if (!found) return NULL;
    TRY(db_certificates_by_fingerprint(conn, x->arena, fingerprint, &row, &found));
    if (!found || row.revoked_ms || row.not_after < clk_unix(x->pki->o.clk)) return NULL;
    if (x->csr && !bytes_eq(row.spki_sha256, BYTES_ARRAY(x->spki))) return NULL;
    x->earlier = fingerprint;
    x->grant.profile = row.profile;
    x->grant.enrolment_id = row.enrolment_id;
    return NULL;
}

static bool is_waiting(const scep_exchange_t *x) {
    return x->pending_found && strcmp(x->pending.state, "issued") != 0;
}

err_t *scep_find_earlier(db_conn_t *conn, void *arg) {
    scep_exchange_t *x = arg;
    TRY(find_repeatable(conn, x));
    TRY(db_scep_pending_get(conn, x->arena, x->request.transaction_id, BYTES_ARRAY(x->requester),
                            &x->pending, &x->pending_found));
    if (is_waiting(x)) x->earlier = BYTES_NONE; /* of the two it is the later request */
    return NULL;
}

err_t *scep_repeat(scep_exchange_t *x, buf_t *out) {
    x->outcome = "repeated";
    x->next = NEXT_INSTALL;
    return keeper_scep_repeat(x->pki->o.keeper, x->earlier, &x->reply, out);
}

/* ---- the challenge ---- */

typedef struct {
    scep_exchange_t *x;
    db_challenge_t row;
    db_enrolment_t enrolment;
    bool found, enrolment_found, person_found;
    db_person_t person;
} challenge_t;

static err_t *find_challenge(db_conn_t *conn, void *arg) {
    challenge_t *c = arg;
    arena_t *arena = c->x->arena;
    TRY(db_challenges_by_hash(conn, arena, BYTES_ARRAY(c->x->hash), &c->row, &c->found));
    if (!c->found || !c->row.enrolment_id[0]) return NULL;
    TRY(db_enrolments_by_id(conn, arena, c->row.enrolment_id, &c->enrolment, &c->enrolment_found));
    if (!c->enrolment_found) return NULL;
    return db_people_by_id(conn, arena, c->enrolment.person_id, &c->person, &c->person_found);
}

static bool is_fresh(const scep_exchange_t *x, const challenge_t *c) {
    return c->found && !c->row.used_ms && clk_unix_ms(x->pki->o.clk) <= c->row.expires_ms;
}

/* A person may still decide, or the client fetch what was decided for it. */
static bool is_open(const scep_exchange_t *x) {
    return x->pending_found && clk_unix_ms(x->pki->o.clk) <= x->pending.expires_ms &&
           (strcmp(x->pending.state, "waiting") == 0 || strcmp(x->pending.state, "approved") == 0);
}

/* All that is to be known, in one read: what was before, and the challenge if it decides. */
static err_t *find_all(db_conn_t *conn, void *arg) {
    challenge_t *c = arg;
    scep_exchange_t *x = c->x;
    TRY(scep_find_earlier(conn, x));
    if (is_open(x) || csr_challenge(x->csr).n == 0) return NULL;
    TRY(find_challenge(conn, c));
    if (!is_fresh(x, c)) return NULL;
    /*
     * A repeat has the challenge that it used up. With a fresh one it is a new request, maybe for
     * another name, of a client that names its transactions by its key.
     */
    x->earlier = BYTES_NONE;
    x->pending_found = false;
    return NULL;
}

static err_t *look_up(scep_exchange_t *x, challenge_t *c) {
    bytes_t password = csr_challenge(x->csr);
    if (password.n) TRY(pki_challenge_hash(password, x->hash));
    return db_read(x->pki->o.db, find_all, c);
}

static err_t *check_challenge(scep_exchange_t *x, const challenge_t *c) {
    const char *subject = csr_subject(x->csr);
    if (csr_challenge(x->csr).n == 0) {
        x->next = NEXT_PROFILE;
        return err_new(ERR_AUTH, "the request has no challenge password");
    }
    if (!c->found) {
        x->next = NEXT_PROFILE;
        return err_new(ERR_AUTH, "the challenge is not known here");
    }
    x->grant =
        (scep_grant_t){.profile = c->row.profile,
                       .names = c->row.sans,
                       .owner = c->row.enrolment_id[0] ? c->row.enrolment_id : c->row.created_by,
                       .enrolment_id = c->row.enrolment_id,
                       .person_id = c->enrolment_found ? c->enrolment.person_id : "",
                       .email = c->person_found ? c->person.email : "",
                       .udid = c->row.device_udid,
                       .challenge_hash = BYTES_ARRAY(x->hash)};
    if (c->row.enrolment_id[0] && !c->enrolment_found)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE, "the enrolment is gone");
    if (c->enrolment_found && (!c->person_found || c->person.disabled))
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                       "the account that this enrolment belongs to is disabled");
    if (c->row.used_ms)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE, "the challenge was used before");
    if (!is_fresh(x, c))
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE, "the challenge has expired");
    if (c->row.subject[0] && strcmp(c->row.subject, subject) != 0)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                       "the challenge is for the subject %s, not for %s", c->row.subject, subject);
    TRY(scep_check_mailboxes(x, x->grant.email));
    return pki_names_check(x->csr, c->row.sans);
}

static err_t *check_own_key(scep_exchange_t *x) {
    if (pkey_same_public(csr_key(x->csr), cert_key(x->signer))) return NULL;
    return err_new(ERR_VERIFY, "the message is not signed by the key to be certified");
}

/*
 * A PKCSReq that a certificate of ours signed is a renewal (Cisco, macOS) unless it brings a
 * challenge that is good: macOS sends the used one of its profile along.
 */
static err_t *authorise(scep_exchange_t *x, const challenge_t *c) {
    bool renewal = x->request.type == SCEP_RENEWAL_REQ || (x->signer_ours && !is_fresh(x, c));
    if (renewal) return scep_renew_check(x);
    TRY(check_own_key(x));
    return check_challenge(x, c);
}

/* ---- issuing ---- */

static err_t *use_challenge(db_conn_t *conn, const scep_exchange_t *x, int64_t now) {
    bool used = false;
    if (x->grant.challenge_hash.n == 0) return NULL;
    TRY(db_challenges_use(conn, x->grant.challenge_hash, now, &used));
    return used ? NULL : err_new(ERR_DENIED, "the challenge was used before");
}

static err_t *record_certificate(db_conn_t *conn, scep_exchange_t *x, int64_t now) {
    const scep_grant_t *g = &x->grant;
    bytes_t fingerprint = bytes_make(cert_sha256(x->issued), PKI_HASH);
    const keeper_ca_t *ca = pki_device_ca_by_subject(x->pki, cert_issuer_der(x->issued));
    if (!ca) return err_new(ERR_INTERNAL, "the keeper certified under a CA that is not known here");
    TRY(db_certificates_add(conn, &(db_certificate_t){
                                      .fingerprint = fingerprint,
                                      .issuer = ca->name,
                                      .serial = cert_serial_hex(x->issued),
                                      .profile = g->profile,
                                      .subject = cert_subject(x->issued),
                                      .enrolment_id = g->enrolment_id,
                                      .person_id = g->person_id,
                                      .spki_sha256 = BYTES_ARRAY(x->spki),
                                      .not_before = cert_not_before(x->issued),
                                      .not_after = cert_not_after(x->issued),
                                      .der = cert_der(x->issued),
                                      .created_ms = now,
                                  }));
    if (g->renewed_from.n) TRY(db_renewals_add(conn, fingerprint, g->renewed_from, now));
    TRY(pki_publish(x->pki, conn, fingerprint, g->profile, now));
    return db_scep_transactions_add(conn, x->request.transaction_id, BYTES_ARRAY(x->requester),
                                    fingerprint, now);
}

static err_t *record(db_conn_t *conn, void *arg) {
    scep_exchange_t *x = arg;
    const scep_grant_t *g = &x->grant;
    int64_t now = clk_unix_ms(x->pki->o.clk);
    bool renewal = g->renewed_from.n != 0, changed = true;
    TRY(use_challenge(conn, x, now));
    TRY(record_certificate(conn, x, now));
    if (x->pending_found) TRY(db_scep_pending_issued(conn, x->pending.id, &changed));
    if (!changed) return err_new(ERR_BUSY, "the approval was used by another request");
    if (g->enrolment_id[0] && !renewal) TRY(db_enrolments_certified(conn, g->enrolment_id));
    TRY(scep_trace_add(conn, x));
    return audit_note(
        x->pki->o.audit, conn, "scep", renewal ? "certificate.renew" : "certificate.issue",
        cert_serial_hex(x->issued), "profile", g->profile, "subject", cert_subject(x->issued),
        "enrolment", g->enrolment_id[0] ? g->enrolment_id : NULL, "from",
        renewal ? cert_serial_hex(x->signer) : NULL, "approval",
        x->pending_found ? x->pending.id : NULL, "peer", x->peer, NULL);
}

static err_t *issue(scep_exchange_t *x, buf_t *out) {
    CLEANUP(buf_done) buf_t der;
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    buf_init(&certrep, out->max);
    keeper_request_t request = {.profile = x->grant.profile,
                                .csr = csr_der(x->csr),
                                .names = x->grant.names,
                                .owner = x->grant.owner};
    TRY(keeper_scep_issue(x->pki->o.keeper, &request, &x->reply, &der, &certrep));
    TRY(cert_parse_der_known(buf_bytes(&der), csr_key(x->csr), &x->issued));
    x->outcome = x->grant.renewed_from.n ? "renewed" : "issued";
    x->next = NEXT_INSTALL;
    TRY(db_write(x->pki->o.db, record, x));
    return buf_add(out, buf_bytes(&certrep));
}

static err_t *issue_once(scep_exchange_t *x, buf_t *out) {
    const uint8_t *claim = x->grant.challenge_hash.n ? x->hash : x->requester;
    TRY(pki_claim(x->pki, claim));
    err_t *e = issue(x, out);
    pki_release(x->pki, claim);
    return e;
}

/* ---- approval ---- */

static err_t *pending_reply(scep_exchange_t *x, buf_t *out) {
    x->outcome = "pending";
    x->next = NEXT_POLL;
    return keeper_scep_pending(x->pki->o.keeper, &x->reply, out);
}

static err_t *pending_add(db_conn_t *conn, void *arg) {
    scep_exchange_t *x = arg;
    const scep_grant_t *g = &x->grant;
    int64_t now = clk_unix_ms(x->pki->o.clk), waiting = 0;
    TRY(db_scep_pending_count(conn, &waiting));
    if (waiting >= LIMIT_SCEP_PENDING)
        return err_new(ERR_UNAVAILABLE, "%d requests wait for approval", LIMIT_SCEP_PENDING);
    TRY(use_challenge(conn, x, now));
    TRY(db_scep_pending_forget(conn, x->request.transaction_id, BYTES_ARRAY(x->requester), now));
    x->pending = (db_scep_pending_t){.id = x->pending.id,
                                     .transaction_id = x->request.transaction_id,
                                     .requester = BYTES_ARRAY(x->requester),
                                     .state = "waiting",
                                     .reason = "",
                                     .profile = g->profile,
                                     .subject = csr_subject(x->csr),
                                     .names = g->names,
                                     .owner = g->owner,
                                     .enrolment_id = g->enrolment_id,
                                     .person_id = g->person_id,
                                     .udid = g->udid,
                                     .renewed_from = g->renewed_from,
                                     .csr = csr_der(x->csr),
                                     .peer = x->peer,
                                     .created_ms = now,
                                     .expires_ms = now + x->pki->o.pending_ttl_s * 1000,
                                     .decided_by = ""};
    TRY(db_scep_pending_add(conn, &x->pending));
    x->outcome = "pending";
    x->next = NEXT_POLL;
    TRY(scep_trace_add(conn, x));
    return audit_note(x->pki->o.audit, conn, "scep", "certificate.pending", x->pending.id,
                      "profile", g->profile, "subject", x->pending.subject, "enrolment",
                      g->enrolment_id[0] ? g->enrolment_id : NULL, "peer", x->peer, NULL);
}

static err_t *wait_for_approval(scep_exchange_t *x, buf_t *out) {
    uint8_t random[ID_RANDOM];
    char id[2 * ID_RANDOM + 1] = "";
    CLEANUP(buf_done) buf_t hex;
    buf_init(&hex, sizeof id);
    TRY(rnd_fill(x->pki->o.rnd, random, sizeof random));
    TRY(text_hex(BYTES_ARRAY(random), &hex));
    bytes_put(id, buf_bytes(&hex));
    x->pending.id = id;
    err_t *e = db_write(x->pki->o.db, pending_add, x);
    x->pending.id = "";
    if (e && err_code(e) != ERR_EXISTS) return e; /* the same request came twice at once */
    err_free(e);
    return pending_reply(x, out);
}

static err_t *take_pending(scep_exchange_t *x) {
    const db_scep_pending_t *p = &x->pending;
    x->grant = (scep_grant_t){.profile = p->profile,
                              .names = p->names,
                              .owner = p->owner,
                              .enrolment_id = p->enrolment_id,
                              .person_id = p->person_id,
                              .udid = p->udid};
    if (!x->csr) TRY(csr_parse_der(p->csr, &x->csr));
    TRY(pkey_spki_sha256(csr_key(x->csr), x->spki));
    if (!bytes_eq(csr_der(x->csr), p->csr)) {
        /* A client that asks anew signs anew: key and wishes are what must be the same. */
        CLEANUP(csr_free) csr_t *first = NULL;
        TRY(csr_parse_der(p->csr, &first));
        if (!pkey_same_public(csr_key(first), csr_key(x->csr)) ||
            strcmp(csr_subject(first), csr_subject(x->csr)) != 0)
            return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                           "this transactionID belongs to another request");
        csr_t *swapped = x->csr; /* what was approved is what is certified */
        x->csr = first;
        first = swapped;
    }
    return NULL;
}

err_t *scep_issue_pending(scep_exchange_t *x, buf_t *out) {
    const db_scep_pending_t *p = &x->pending;
    TRY(take_pending(x));
    if (strcmp(p->state, "denied") == 0)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE, "denied%s%s",
                       p->reason[0] ? ": " : "", p->reason);
    if (clk_unix_ms(x->pki->o.clk) > p->expires_ms)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE,
                       "nobody approved the request in time");
    if (strcmp(p->state, "waiting") == 0) return pending_reply(x, out);
    if (strcmp(p->state, "issued") == 0)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE,
                       "the certificate of this transaction is no longer valid");
    if (p->renewed_from.n) TRY(scep_renew_check(x));
    return issue_once(x, out);
}

/* The proof of possession holds: the keeper opens no envelope with a request that fails it. */
err_t *scep_issue_request(scep_exchange_t *x, buf_t *out) {
    TRY(pkey_spki_sha256(csr_key(x->csr), x->spki));
    if (!x->signer_ours && x->request.type != SCEP_RENEWAL_REQ) TRY(check_own_key(x));
    challenge_t c = {.x = x};
    TRY(look_up(x, &c));
    if (x->earlier.n) return scep_repeat(x, out);
    if (is_waiting(x)) return scep_issue_pending(x, out);
    x->pending_found = false;
    TRY(authorise(x, &c));
    TRY(scep_check_profile_algorithms(x, x->grant.profile));
    if (pki_needs_approval(x->pki, x->grant.profile)) return wait_for_approval(x, out);
    return issue_once(x, out);
}
