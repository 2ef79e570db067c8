/*
 * Choosing a lock: see recipients.h. A certificate is judged by its address, purpose, strength,
 * chain, dates and revocation (RFC 8550), each at the time asked for.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/judge.h"
#include "mail/lock_internal.h"

const char *mail_lock_name(mail_lock_t lock) {
    switch (lock) {
    case MAIL_LOCK_READY: return "ready";
    case MAIL_LOCK_NO_CERTIFICATE: return "no-certificate";
    case MAIL_LOCK_EXPIRED: return "expired";
    case MAIL_LOCK_REVOKED: return "revoked";
    case MAIL_LOCK_USAGE: return "wrong-usage";
    case MAIL_LOCK_WEAK: return "weak";
    case MAIL_LOCK_UNTRUSTED: return "not-trusted";
    case MAIL_LOCK_UNAVAILABLE: return "unavailable";
    case MAIL_LOCK_ADDRESS: return "bad-address";
    }
    return "";
}

const char *mail_source_name(mail_source_t source) {
    switch (source) {
    case MAIL_SOURCE_OWN: return "own";
    case MAIL_SOURCE_HARVESTED: return "harvested";
    case MAIL_SOURCE_DIRECTORY: return "directory";
    }
    return "";
}

const char *mail_revocation_name(mail_revocation_t revocation) {
    switch (revocation) {
    case MAIL_REVOCATION_UNKNOWN: return "unknown";
    case MAIL_REVOCATION_GOOD: return "good";
    case MAIL_REVOCATION_REVOKED: return "revoked";
    }
    return "";
}

/* ---- candidates ---- */

static bool known(const mail_candidates_t *list, const cert_t *cert) {
    for (size_t i = 0; i < list->n; i++)
        if (cert_same(list->at[i].cert, cert)) return true;
    return false;
}

static err_t *add_all(cert_list_t *list, const cert_list_t *more) {
    for (size_t i = 0; more && i < more->n; i++) TRY(cert_list_add(list, more->certs[i]));
    return NULL;
}

err_t *mail_candidates_add(mail_candidates_t *list, const mail_candidate_t *candidate) {
    cert_list_t chain CLEANUP(cert_list_done) = {0}, roots CLEANUP(cert_list_done) = {0};
    if (known(list, candidate->cert)) return NULL;
    if (list->n == LIMIT_MAIL_CANDIDATES)
        return err_new(ERR_LIMIT, "more than %d certificates of one address",
                       LIMIT_MAIL_CANDIDATES);
    TRY(add_all(&chain, &candidate->chain));
    TRY(add_all(&roots, &candidate->roots));
    mail_candidate_t *at = mem_resize(list->at, (list->n + 1) * sizeof *at);
    if (!at) return err_nomem();
    list->at = at;
    at[list->n] = *candidate;
    at[list->n].cert = cert_share(candidate->cert);
    at[list->n].chain = chain;
    at[list->n].roots = roots;
    chain = roots = (cert_list_t){0};
    list->n++;
    return NULL;
}

void mail_candidates_done(mail_candidates_t *list) {
    for (size_t i = 0; i < list->n; i++) {
        cert_free(list->at[i].cert);
        cert_list_done(&list->at[i].chain);
        cert_list_done(&list->at[i].roots);
    }
    mem_free(list->at);
    *list = (mail_candidates_t){0};
}

/* ---- judging one ---- */

typedef struct {
    mail_lock_t lock;
    mail_revocation_t revocation;
    char why[200];
} judgement_t;

static void because(judgement_t *j, mail_lock_t lock, const char *why) {
    j->lock = lock;
    (void)snprintf(j->why, sizeof j->why, "%s", why);
}

static void because_dates(judgement_t *j, const cert_t *cert, int64_t at) {
    char time[TEXT_TIME_SIZE];
    bool early = at < cert_not_before(cert);
    int64_t when = early ? cert_not_before(cert) : cert_not_after(cert);
    j->lock = MAIL_LOCK_EXPIRED;
    (void)snprintf(j->why, sizeof j->why, early ? "not valid before %s" : "expired on %s",
                   text_time(when, time));
}

static void because_chain(judgement_t *j, const cert_t *cert, cert_fault_t fault, int64_t at) {
    switch (fault) {
    case CERT_FAULT_NONE:
    case CERT_FAULT_CHAIN:
        j->lock = MAIL_LOCK_UNTRUSTED;
        (void)snprintf(j->why, sizeof j->why, "its issuer is not trusted here: %.150s",
                       cert_issuer(cert));
        return;
    case CERT_FAULT_PURPOSE:
        because(j, MAIL_LOCK_USAGE, "its chain is not for encrypting mail");
        return;
    case CERT_FAULT_WEAK:
        because(j, MAIL_LOCK_WEAK, "a key or signature in its chain is too weak");
        return;
    case CERT_FAULT_DATES:
        if (at < cert_not_before(cert) || at > cert_not_after(cert)) because_dates(j, cert, at);
        else because(j, MAIL_LOCK_EXPIRED, "a certificate of its chain is not valid at that time");
        return;
    }
}

static bool weak_key(const cert_t *cert) {
    return pkey_kind(cert_key(cert)) == PKEY_RSA && pkey_bits(cert_key(cert)) < LIMIT_RSA_BITS_MIN;
}

static err_t *judge_chain(const mail_book_t *book, const mail_candidate_t *c,
                          const cert_list_t *others, int64_t at, judgement_t *j) {
    cert_list_t roots CLEANUP(cert_list_done) = {0};
    cert_fault_t fault = CERT_FAULT_NONE;
    TRY(add_all(&roots, book->roots));
    TRY(add_all(&roots, &c->roots));
    if (c->pinned) TRY(cert_list_add(&roots, c->cert));
    const cert_chain_t chain = {
        .intermediates = others, .roots = &roots, .at = at, .purpose = CERT_PURPOSE_MAIL_ENCRYPT};
    err_t *e = cert_judge_chain(c->cert, &chain, &fault);
    if (!e) return NULL;
    if (err_code(e) != ERR_VERIFY) return e;
    err_free(e);
    because_chain(j, c->cert, fault, at);
    return NULL;
}

static err_t *judge(const mail_book_t *book, const mail_candidate_t *c, int64_t at,
                    judgement_t *j) {
    cert_list_t others CLEANUP(cert_list_done) = {0};
    *j = (judgement_t){.lock = MAIL_LOCK_READY};
    TRY(add_all(&others, book->intermediates));
    TRY(add_all(&others, &c->chain));
    if (book->revoked) TRY(book->revoked(book->arg, c->cert, &others, at, &j->revocation));
    if (weak_key(c->cert)) because(j, MAIL_LOCK_WEAK, "its key is too short");
    else if (!cert_may_receive_mail(c->cert))
        because(j, MAIL_LOCK_USAGE, "it is not for encrypting mail");
    else if (j->revocation == MAIL_REVOCATION_REVOKED) because(j, MAIL_LOCK_REVOKED, "revoked");
    else TRY(judge_chain(book, c, &others, at, j));
    if (j->lock == MAIL_LOCK_READY && j->revocation == MAIL_REVOCATION_UNKNOWN &&
        book->demand_revocation)
        because(j, MAIL_LOCK_UNAVAILABLE,
                "whether it was revoked can't be told: there is no list of its issuer");
    return NULL;
}

/* ---- choosing ---- */

/* A signing certificate says less about why than one that was meant for this. */
static int rank(mail_lock_t lock) {
    switch (lock) {
    case MAIL_LOCK_READY: return 3;
    case MAIL_LOCK_EXPIRED:
    case MAIL_LOCK_REVOKED:
    case MAIL_LOCK_WEAK:
    case MAIL_LOCK_UNTRUSTED:
    case MAIL_LOCK_UNAVAILABLE: return 2;
    case MAIL_LOCK_USAGE: return 1;
    case MAIL_LOCK_NO_CERTIFICATE:
    case MAIL_LOCK_ADDRESS: return 0;
    }
    return 0;
}

/* Of one source the pinned one, then the newest; an earlier source's stands unless this is better.
 */
static bool better(const mail_candidate_t *c, const judgement_t *j, mail_source_t source,
                   const mail_recipient_t *r) {
    if (!r->cert) return true;
    if (rank(j->lock) != rank(r->lock)) return rank(j->lock) > rank(r->lock);
    if (source != r->source) return false;
    if (c->pinned != r->pinned) return c->pinned;
    if (cert_not_before(c->cert) != cert_not_before(r->cert))
        return cert_not_before(c->cert) > cert_not_before(r->cert);
    return cert_not_after(c->cert) > cert_not_after(r->cert);
}

static void take(const mail_candidate_t *c, const judgement_t *j, mail_source_t source,
                 mail_recipient_t *r) {
    cert_free(r->cert);
    r->cert = cert_share(c->cert);
    r->lock = j->lock;
    r->source = source;
    r->revocation = j->revocation;
    r->pinned = c->pinned;
    r->capable = c->capable;
    (void)snprintf(r->reason, sizeof r->reason, "%s", j->why);
}

static err_t *look(const mail_book_t *book, mail_source_t source, bytes_t folded, int64_t at,
                   mail_recipient_t *r) {
    mail_candidates_t list CLEANUP(mail_candidates_done) = {0};
    TRY(book->find[source](book->arg, folded, &list));
    for (size_t i = 0; i < list.n; i++) {
        judgement_t j;
        if (!mail_cert_is_for(list.at[i].cert, folded)) continue;
        TRY(judge(book, &list.at[i], at, &j));
        if (better(&list.at[i], &j, source, r)) take(&list.at[i], &j, source, r);
    }
    return NULL;
}

static bool away(const err_t *e) {
    err_code_t code = err_code(e);
    return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_BUSY;
}

/* A source that is away may have had a lock: nothing is final then. */
static void say_away(mail_recipient_t *r, const char *why) {
    char before[101];
    (void)snprintf(before, sizeof before, "%.100s", r->reason);
    (void)snprintf(r->reason, sizeof r->reason, "can't be looked up now: %.100s%s%s", why,
                   before[0] ? "; the certificate known: " : "", before);
    r->lock = MAIL_LOCK_UNAVAILABLE;
}

static void say_ready(mail_recipient_t *r) {
    const char *revocation = r->revocation == MAIL_REVOCATION_UNKNOWN ? ", revocation unknown" : "";
    const char *where = "";
    switch (r->source) {
    case MAIL_SOURCE_OWN: where = "of our own"; break;
    case MAIL_SOURCE_HARVESTED: where = "from signed mail"; break;
    case MAIL_SOURCE_DIRECTORY: where = "from the directory"; break;
    }
    (void)snprintf(r->reason, sizeof r->reason, "%s%s%s", where,
                   r->pinned ? ", approved by an admin" : "", revocation);
}

err_t *mail_lock_find(const mail_book_t *book, bytes_t folded, int64_t at,
                      mail_recipient_t *recipient) {
    char why[128] = "";
    mail_moment_t moment = {0};
    if (book->recall && book->recall(book->arg, folded, at, &moment, recipient)) return NULL;
    recipient->lock = MAIL_LOCK_NO_CERTIFICATE;
    for (int s = 0; s < MAIL_SOURCES && recipient->lock != MAIL_LOCK_READY; s++) {
        if (!book->find[s]) continue;
        err_t *e = look(book, (mail_source_t)s, folded, at, recipient);
        if (!e) continue;
        if (!away(e)) return e;
        (void)err_text(e, why, sizeof why);
        err_free(e);
    }
    if (recipient->lock == MAIL_LOCK_READY) {
        say_ready(recipient);
        if (book->remember && moment.known)
            book->remember(book->arg, folded, at, &moment, recipient);
    } else if (why[0]) say_away(recipient, why);
    else if (recipient->lock == MAIL_LOCK_NO_CERTIFICATE)
        (void)snprintf(recipient->reason, sizeof recipient->reason,
                       "no certificate is known for this address");
    return NULL;
}
