/*
 * Revocation lists of foreign CAs (RFC 5280 section 5): files that an admin keeps in a directory,
 * DER or PEM. Read again when the directory changed: new lists are to be moved in by rename.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/common/mailbook_internal.h"

/* A directory that changed this short ago may change again within the same tick of its clock. */
enum { TICK_MS = 2000 };

void mailbook_crl_done(lists_t *lists) {
    for (size_t i = 0; i < lists->n; i++) {
        mem_free(lists->at[i].name);
        crl_free(lists->at[i].crl);
    }
    mem_free(lists->at);
    *lists = (lists_t){0};
}
DEFINE_CLEANUP_VALUE(lists_t, mailbook_crl_done)

/* What is no list is passed over: an admin's note may lie among them. */
static err_t *read_one(const char *dir, const char *name, lists_t *lists) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t data;
    CLEANUP(crl_free) crl_t *crl = NULL;
    buf_init(&data, 2 * (size_t)LIMIT_CRL_BYTES);
    TRY(file_path(dir, name, &path));
    err_t *e = file_read(path, &data);
    if (!e) e = crl_parse(buf_bytes(&data), &crl);
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (!crl) return NULL;
    list_t *at = mem_resize(lists->at, (lists->n + 1) * sizeof *at);
    if (!at) return err_nomem();
    lists->at = at;
    at[lists->n] = (list_t){.name = mem_strdup(name), .crl = STEAL(crl)};
    return at[lists->n++].name ? NULL : err_nomem();
}

static void closedir_p(DIR **dir) {
    if (*dir) (void)closedir(*dir);
}

static err_t *read_dir(const char *path, lists_t *lists) {
    CLEANUP(closedir) DIR *dir = opendir(path);
    if (!dir) return errno == ENOENT ? NULL : err_errno(errno, "cannot read %s", path);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        if (lists->n == LIMIT_MAIL_LISTS)
            return err_new(ERR_LIMIT, "more than %d files in %s", LIMIT_MAIL_LISTS, path);
        TRY(read_one(path, entry->d_name, lists));
    }
    return NULL;
}

/* Under the lock. */
static err_t *refresh(mailbook_t *b) {
    struct stat st = {0};
    int64_t now = clk_unix_ms(b->clk);
    if (stat(b->lists_dir, &st) != 0 && errno != ENOENT)
        return err_errno(errno, "cannot read %s", b->lists_dir);
    int64_t changed = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    if (b->lists.read_ms && b->lists.dir_ms == changed && b->lists.read_ms > changed + TICK_MS)
        return NULL;
    lists_t lists CLEANUP(mailbook_crl_done) = {.dir_ms = changed, .read_ms = now};
    TRY(read_dir(b->lists_dir, &lists));
    mailbook_crl_done(&b->lists);
    b->lists = lists;
    lists = (lists_t){0};
    return NULL;
}

/* Whether the list is signed by this issuer; remembered. */
static err_t *is_signed_by(list_t *list, const cert_t *issuer, bool *ret_good) {
    if (memcmp(list->issuer, cert_sha256(issuer), CERT_SHA256_SIZE) != 0) {
        err_t *e = crl_verify(list->crl, issuer);
        if (e && err_code(e) == ERR_NOMEM) return e;
        memcpy(list->issuer, cert_sha256(issuer), CERT_SHA256_SIZE);
        list->bad = e != NULL;
        err_free(e);
    }
    *ret_good = !list->bad;
    return NULL;
}

/*
 * On a list, however old: revoked. Not on a list that stands: good, unless the certificate has
 * expired, when its entry may have been taken off (RFC 5280 section 5).
 */
static err_t *ask_list(const mailbook_t *b, const list_t *list, const cert_t *cert, int64_t at,
                       mail_revocation_t *ret_revocation) {
    int64_t now = clk_unix(b->clk), since = 0;
    bool revoked = false;
    crl_reason_t reason;
    TRY(crl_ask(list->crl, cert_serial(cert), &revoked, &reason, &since));
    if (revoked && reason != CRL_REMOVE && since <= at) *ret_revocation = MAIL_REVOCATION_REVOKED;
    else if (*ret_revocation == MAIL_REVOCATION_UNKNOWN && crl_is_current(list->crl, now) &&
             (revoked || cert_not_after(cert) >= now))
        *ret_revocation = MAIL_REVOCATION_GOOD;
    return NULL;
}

static err_t *ask_lists(mailbook_t *b, const cert_t *cert, const cert_list_t *issuers, int64_t at,
                        mail_revocation_t *ret_revocation) {
    for (size_t i = 0; i < issuers->n; i++) {
        const cert_t *issuer = issuers->certs[i];
        if (!bytes_eq(cert_subject_der(issuer), cert_issuer_der(cert))) continue;
        err_t *e = cert_verify_signed_by_key(cert, cert_key(issuer));
        bool wrong = e != NULL;
        err_free(e);
        for (size_t k = 0; k < b->lists.n && !wrong; k++) {
            bool good = false;
            if (!bytes_eq(crl_issuer_der(b->lists.at[k].crl), cert_issuer_der(cert))) continue;
            TRY(is_signed_by(&b->lists.at[k], issuer, &good));
            if (good) TRY(ask_list(b, &b->lists.at[k], cert, at, ret_revocation));
        }
    }
    return NULL;
}

static err_t *gather_issuers(mailbook_t *b, const cert_list_t *chain, cert_list_t *issuers) {
    trust_t *trust = NULL;
    for (size_t i = 0; chain && i < chain->n; i++) TRY(cert_list_add(issuers, chain->certs[i]));
    for (size_t i = 0; i < b->roots.n; i++) TRY(cert_list_add(issuers, b->roots.certs[i]));
    TRY(mailbook_trust_get(b, &trust));
    err_t *e = NULL;
    for (size_t i = 0; i < trust->n && !e; i++)
        if (trust->at[i].ca) e = cert_list_add(issuers, trust->at[i].cert);
    mailbook_trust_release(b, trust);
    return e;
}

err_t *mailbook_crl_ask(mailbook_t *b, const cert_t *cert, const cert_list_t *chain, int64_t at,
                        mail_revocation_t *ret_revocation) {
    cert_list_t issuers CLEANUP(cert_list_done) = {0};
    mail_revocation_t revocation = MAIL_REVOCATION_UNKNOWN;
    if (!b->lists_dir) {
        *ret_revocation = revocation;
        return NULL;
    }
    TRY(gather_issuers(b, chain, &issuers));
    (void)pthread_mutex_lock(&b->lock);
    err_t *e = refresh(b);
    if (!e) e = ask_lists(b, cert, &issuers, at, &revocation);
    (void)pthread_mutex_unlock(&b->lock);
    if (!e) *ret_revocation = revocation;
    return e;
}
