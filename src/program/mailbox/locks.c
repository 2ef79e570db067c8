/*
 * Who can read an encrypted message: the mailbox's own book of certificates, judged as everywhere
 * in Coffer (mail/recipients.h). Certificates come from files that a person gives, which need no
 * chain, and from trusted signers of mail that was read here. See mailbox.h.
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "program/mailbox/mailbox.h"

enum { ADDRESSES = 500, ADDRESS_MAX = 320 };

typedef struct {
    agent_t *agent;
    cert_list_t given, roots;
} book_t;

static void book_done(book_t *book) {
    cert_list_done(&book->given);
    cert_list_done(&book->roots);
}
DEFINE_CLEANUP_VALUE(book_t, book_done)

static err_t *find_given(void *arg, bytes_t address, mail_candidates_t *list) {
    const book_t *book = arg;
    (void)address; /* whom each is for is looked at by who asks */
    for (size_t i = 0; i < book->given.n && i < LIMIT_MAIL_CANDIDATES; i++) {
        const mail_candidate_t candidate = {.cert = book->given.certs[i], .pinned = true};
        TRY(mail_candidates_add(list, &candidate));
    }
    return NULL;
}

static err_t *add_peer(void *arg, bytes_t certificate) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(cert_parse_der(certificate, &cert));
    const mail_candidate_t candidate = {.cert = cert};
    return mail_candidates_add(arg, &candidate);
}

static err_t *find_seen(void *arg, bytes_t address, mail_candidates_t *list) {
    const book_t *book = arg;
    return box_db_peers(book->agent->db, address, add_peer, list);
}

err_t *locks_find(agent_t *agent, const bytes_t *addresses, size_t n, bytes_t certificates,
                  mail_recipients_t *ret_locks) {
    book_t own CLEANUP(book_done) = {.agent = agent};
    const mail_book_t book = {
        .find = {find_given, find_seen, NULL}, .arg = &own, .roots = &own.roots};
    if (certificates.n) TRY(cert_parse_pem_list(certificates, &own.given));
    if (own.given.n > LIMIT_MAIL_CANDIDATES)
        return err_new(ERR_LIMIT, "more than %d certificates", LIMIT_MAIL_CANDIDATES);
    if (agent->account->server_ca.n)
        TRY(cert_parse_pem_list(buf_bytes(&agent->account->server_ca), &own.roots));
    return mail_recipients_find(&book, addresses, n, BYTES_NONE, clk_unix(agent->clk), ret_locks);
}

err_t *locks_demand(const mail_recipients_t *locks) {
    for (size_t i = 0; i < locks->n; i++) {
        const mail_recipient_t *r = &locks->at[i];
        int length = (int)r->address.n;
        const char *address = (const char *)r->address.p;
        if (r->lock == MAIL_LOCK_READY) continue;
        if (r->lock == MAIL_LOCK_NO_CERTIFICATE)
            return err_new(ERR_DENIED, "there is no certificate for %.*s: nothing was sent", length,
                           address);
        return err_new(ERR_DENIED, "%.*s could not read it: %s (%s); nothing was sent", length,
                       address, mail_lock_name(r->lock), r->reason);
    }
    return NULL;
}

err_t *locks_put(const mail_recipients_t *locks, json_t *list) {
    for (size_t i = 0; i < locks->n; i++) {
        const mail_recipient_t *r = &locks->at[i];
        bool given = r->lock == MAIL_LOCK_READY && r->source == MAIL_SOURCE_OWN;
        json_t *item = NULL;
        TRY(jso_add_object(list, &item));
        TRY(jso_set_string(item, "address", r->address));
        TRY(jso_set_str(item, "lock", mail_lock_name(r->lock)));
        TRY(jso_set_str(item, "reason", given ? "from a file" : r->reason));
    }
    return NULL;
}

err_t *locks_answer(agent_t *agent, const json_t *ask, json_t *out) {
    mail_recipients_t locks CLEANUP(mail_recipients_done) = {0};
    bytes_t addresses[ADDRESSES], certificates = BYTES_NONE;
    json_t *list = NULL, *items = NULL;
    TRY(jso_get_array(ask, "addresses", ADDRESSES, true, &list));
    TRY(jso_get_string(ask, "certificates", LIMIT_BOX_COMMAND, false, &certificates));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(jso_at_string(list, i, ADDRESS_MAX, &addresses[i]));
    TRY(locks_find(agent, addresses, json_array_size(list), certificates, &locks));
    TRY(jso_set_bool(out, "all", locks.all));
    TRY(jso_set_array(out, "recipients", &items));
    return locks_put(&locks, items);
}
