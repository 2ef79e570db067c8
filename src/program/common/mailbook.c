/*
 * The mail book over store and directory: see mailbook.h.
 */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "mail/judge.h"
#include "program/common/mailbook_internal.h"
#include "store/certs.h"
#include "store/mail_book.h"

enum {
    ARENA_MAX = 16 * 1024 * 1024,
    FILE_MAX = 1024 * 1024,
    OWN_MAX = 128,
    HARVESTED_MAX = 64,
    CERTS_KEPT = 1024, /* parsed: as many people as write to one another within a while */
};

/* ---- lifecycle ---- */

static err_t *read_anchors(mailbook_t *b) {
    bytes_t list = b->settings->mail.trust_anchors, item;
    while (conf_list_next(&list, &item)) {
        CLEANUP(mem_free) char *name = mem_strndup((const char *)item.p, item.n);
        CLEANUP(mem_free) char *path = NULL;
        CLEANUP(buf_done) buf_t pem;
        buf_init(&pem, FILE_MAX);
        if (!name) return err_nomem();
        TRY(settings_path(b->settings, name, &path));
        TRY_WRAP(file_read(path, &pem), "coffer.conf: [mail] trust_anchors");
        TRY_WRAP(cert_parse_pem_list(buf_bytes(&pem), &b->roots),
                 "coffer.conf: [mail] trust_anchors %s", name);
    }
    return NULL;
}

err_t *mailbook_new(const settings_t *settings, const clk_t *clk, mailbook_t **ret_book) {
    CLEANUP(mailbook_free) mailbook_t *b = mem_zalloc(sizeof *b);
    if (!b) return err_nomem();
    b->settings = settings;
    b->clk = clk;
    (void)pthread_mutex_init(&b->lock, NULL);
    TRY(cert_cache_new(CERTS_KEPT, &b->certs));
    TRY(mailbook_recall_init(b));
    TRY(read_anchors(b));
    if (settings->mail.revocation_lists[0])
        TRY(settings_path(settings, settings->mail.revocation_lists, &b->lists_dir));
    *ret_book = STEAL(b);
    return NULL;
}

void mailbook_free(mailbook_t *b) {
    if (!b) return;
    mailbook_trust_release(b, b->trust);
    mailbook_crl_done(&b->lists);
    cert_list_done(&b->roots);
    cert_list_done(&b->mail_cas);
    cert_cache_free(b->certs);
    memo_free(b->kept);
    memo_free(b->no_groups);
    mem_free(b->lists_dir);
    (void)pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

const char *mailbook_lists(const mailbook_t *b) { return b->lists_dir; }
const mail_book_t *mailbook_book(const mailbook_t *b) { return &b->book; }

mail_algorithms_t mailbook_algorithms(const mailbook_t *b) {
    return (mail_algorithms_t){.gcm = b->settings->mail.gcm, .oaep = b->settings->mail.oaep};
}

/* ---- one question ---- */

typedef struct {
    mailbook_t *book;
    arena_t *arena;
    const char *address;
    trust_t *trust;
    cert_list_t roots; /* of this address */
    bool has_capable;
    bytes_t capabilities;
    db_mail_own_t *own;
    db_mail_cert_t *harvested;
    db_mail_member_t *members;
    size_t n;
} ask_t;

static void ask_done(ask_t *a) {
    if (a->book) mailbook_trust_release(a->book, a->trust);
    cert_list_done(&a->roots);
    arena_free(a->arena);
}
DEFINE_CLEANUP_VALUE(ask_t, ask_done)

static err_t *ask_begin(mailbook_t *b, bytes_t address, ask_t *a) {
    bytes_t copy;
    a->book = b;
    TRY(arena_new(ARENA_MAX, &a->arena));
    TRY(arena_copy(a->arena, address, &copy));
    a->address = (const char *)copy.p;
    TRY(mailbook_trust_get(b, &a->trust));
    return mailbook_trust_roots(a->trust, address, &a->roots);
}

/* Certificates, DER one after another. What can't be read is left out: it is in nobody's way. */
static err_t *read_certs(cert_cache_t *cache, bytes_t der, cert_list_t *list) {
    while (der.n) {
        CLEANUP(cert_free) cert_t *cert = NULL;
        size_t n = cert_der_size(der);
        if (!n) return NULL;
        err_t *e = cert_cache_parse(cache, bytes_slice(der, 0, n), &cert);
        if (e && err_code(e) == ERR_NOMEM) return e;
        err_free(e);
        if (cert) TRY(cert_list_add(list, cert));
        if (cert) cert_cache_keep(cache, cert);
        der = bytes_from(der, n);
    }
    return NULL;
}

static cms_capable_t capable_of(const ask_t *a) {
    cms_capable_t capable = {0};
    if (a->has_capable) err_ignore(cms_capable_read(a->capabilities, &capable));
    return capable;
}

/* The first of the list, with the others beside it. */
static err_t *add(const ask_t *a, const cert_list_t *certs, bool pinned, mail_candidates_t *list) {
    if (!certs->n || list->n == LIMIT_MAIL_CANDIDATES) return NULL;
    mail_candidate_t one = {.cert = certs->certs[0],
                            .chain = {certs->certs + 1, certs->n - 1},
                            .capable = capable_of(a),
                            .pinned = pinned || mailbook_trust_pins(a->trust, certs->certs[0]),
                            .roots = a->roots};
    return mail_candidates_add(list, &one);
}

static err_t *read_peer(db_conn_t *conn, ask_t *a) {
    return db_mail_peers_get(conn, a->arena, a->address, &a->capabilities, &a->has_capable);
}

/* ---- sources ---- */

static err_t *read_own(db_conn_t *conn, void *arg) {
    ask_t *a = arg;
    TRY(read_peer(conn, a));
    return db_mail_own_of(conn, a->arena, a->address, OWN_MAX, &a->own, &a->n);
}

/* A key that was brought along is of another CA, but ours to keep: an admin took it in. */
static err_t *find_own(void *arg, bytes_t address, mail_candidates_t *list) {
    ask_t a CLEANUP(ask_done) = {0};
    mailbook_t *b = arg;
    TRY(ask_begin(b, address, &a));
    TRY(db_read(b->sources.db, read_own, &a));
    for (size_t i = 0; i < a.n; i++) {
        cert_list_t certs CLEANUP(cert_list_done) = {0};
        TRY(read_certs(b->certs, a.own[i].der, &certs));
        if (!certs.n) continue;
        bool ours = bytes_eq(cert_issuer_der(certs.certs[0]), cert_subject_der(b->sources.mail_ca));
        TRY(add(&a, &certs, a.own[i].archived && !ours, list));
    }
    return NULL;
}

static err_t *read_harvested(db_conn_t *conn, void *arg) {
    ask_t *a = arg;
    TRY(read_peer(conn, a));
    return db_mail_certs_of(conn, a->arena, a->address, HARVESTED_MAX, &a->harvested, &a->n);
}

static err_t *find_harvested(void *arg, bytes_t address, mail_candidates_t *list) {
    ask_t a CLEANUP(ask_done) = {0};
    mailbook_t *b = arg;
    TRY(ask_begin(b, address, &a));
    TRY(db_read(b->sources.db, read_harvested, &a));
    for (size_t i = 0; i < a.n; i++) {
        cert_list_t certs CLEANUP(cert_list_done) = {0};
        TRY(read_certs(b->certs, a.harvested[i].der, &certs));
        TRY(read_certs(b->certs, a.harvested[i].chain, &certs));
        TRY(add(&a, &certs, false, list));
    }
    /* What an admin approved needs no mail to be known. */
    for (size_t i = 0; i < a.trust->n; i++) {
        cert_list_t one = {.certs = &a.trust->at[i].cert, .n = 1};
        if (!a.trust->at[i].ca && mail_cert_is_for(a.trust->at[i].cert, address))
            TRY(add(&a, &one, true, list));
    }
    return NULL;
}

static err_t *read_only_peer(db_conn_t *conn, void *arg) { return read_peer(conn, arg); }

static err_t *find_directory(void *arg, bytes_t address, mail_candidates_t *list) {
    ask_t a CLEANUP(ask_done) = {0};
    cert_list_t found CLEANUP(cert_list_done) = {0};
    mailbook_t *b = arg;
    if (!b->sources.remote) return NULL;
    TRY(ask_begin(b, address, &a));
    TRY(db_read(b->sources.db, read_only_peer, &a));
    err_t *e = directory_find_certificates(b->sources.remote, address, &found);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        return NULL;
    }
    if (e) return e;
    for (size_t i = 0; i < found.n; i++) {
        cert_list_t one = {.certs = &found.certs[i], .n = 1};
        TRY(add(&a, &one, false, list));
    }
    return NULL;
}

static err_t *read_group(db_conn_t *conn, void *arg) {
    ask_t *a = arg;
    TRY(db_mail_groups_of(conn, a->arena, a->address, LIMIT_MAIL_GROUP + 1, &a->members, &a->n));
    if (a->n > LIMIT_MAIL_GROUP) return err_new(ERR_LIMIT, "%s has too many members", a->address);
    return NULL;
}

static err_t *expand(void *arg, arena_t *arena, bytes_t address, bool *ret_found,
                     bytes_t **ret_members, size_t *ret_n) {
    ask_t a CLEANUP(ask_done) = {0};
    const mailbook_t *b = arg;
    bytes_t copy;
    memo_stamp_t stamp;
    bool known = false;
    if (mailbook_is_no_group(b, address, &stamp, &known)) return NULL;
    TRY(arena_new(ARENA_MAX, &a.arena));
    TRY(arena_copy(a.arena, address, &copy));
    a.address = (const char *)copy.p;
    TRY(db_read(b->sources.db, read_group, &a));
    if (!a.n && known) memo_put(b->no_groups, address, stamp, "");
    if (!a.n) return NULL;
    TRY(arena_alloc(arena, a.n * sizeof **ret_members, ret_members));
    for (size_t i = 0; i < a.n; i++)
        TRY(arena_copy(arena, bytes_str(a.members[i].member), &(*ret_members)[i]));
    *ret_n = a.n;
    *ret_found = true;
    return NULL;
}

/* ---- revocation ---- */

typedef struct {
    arena_t *arena;
    const cert_t *cert;
    db_certificate_t row;
    bool found;
} own_cert_t;

static err_t *read_own_cert(db_conn_t *conn, void *arg) {
    own_cert_t *x = arg;
    return db_certificates_by_fingerprint(
        conn, x->arena, bytes_make(cert_sha256(x->cert), CERT_SHA256_SIZE), &x->row, &x->found);
}

err_t *mailbook_revocation(void *arg, const cert_t *cert, const cert_list_t *chain, int64_t at,
                           mail_revocation_t *ret_revocation) {
    mailbook_t *b = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA_MAX, &arena));
    own_cert_t own = {.arena = arena, .cert = cert};
    TRY(db_read(b->sources.db, read_own_cert, &own));
    if (!own.found) return mailbook_crl_ask(b, cert, chain, at, ret_revocation);
    bool revoked = own.row.revoked_ms && own.row.revoked_ms / 1000 <= at;
    *ret_revocation = revoked ? MAIL_REVOCATION_REVOKED : MAIL_REVOCATION_GOOD;
    return NULL;
}

err_t *mailbook_revoked(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked) {
    mail_revocation_t revocation = MAIL_REVOCATION_UNKNOWN;
    mailbook_t *b = arg;
    TRY(mailbook_revocation(b, cert, &b->mail_cas, at, &revocation));
    *ret_revoked = revocation == MAIL_REVOCATION_REVOKED;
    return NULL;
}

/*
 * Our own mail CA is verified here once and is then where chains end: its signature by the root
 * (P-384) costs more than all else that is done for a message.
 */
static err_t *trust_mail_ca(mailbook_t *b) {
    const cert_chain_t chain = {.roots = &b->roots, .at = clk_unix(b->clk)};
    err_t *e = cert_verify_chain(b->sources.mail_ca, &chain);
    if (!e) return cert_list_add(&b->roots, b->sources.mail_ca);
    if (err_code(e) != ERR_VERIFY) return e;
    err_free(e); /* then every certificate of its says why */
    return NULL;
}

err_t *mailbook_open(mailbook_t *b, const mailbook_sources_t *sources) {
    b->sources = *sources;
    TRY(cert_list_add(&b->roots, sources->root));
    TRY(cert_list_add(&b->mail_cas, sources->mail_ca));
    TRY(trust_mail_ca(b));
    b->book = (mail_book_t){.find = {find_own, find_harvested, find_directory},
                            .expand = expand,
                            .revoked = mailbook_revocation,
                            .recall = mailbook_recall,
                            .remember = mailbook_remember,
                            .arg = b,
                            .roots = &b->roots,
                            .intermediates = &b->mail_cas,
                            .demand_revocation = b->settings->mail.demand_revocation};
    return NULL;
}
