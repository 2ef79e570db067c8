/*
 * Trust of `coffer mail`: see mail_anchors.h.
 */
#include "program/coffer/mail_anchors.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/mail_keys.h"
#include "program/coffer/remote.h"

enum { CRL_MAX = 128 * 1024 * 1024 };

static err_t *read_crls(const args_t *args, mail_anchors_t *t) {
    size_t cursor = 0;
    for (const char *path; (path = args_each(args, "crl", &cursor));) {
        CLEANUP(buf_done) buf_t data;
        buf_init(&data, CRL_MAX);
        if (t->n == MAIL_CRLS_MAX)
            return err_new(ERR_LIMIT, "more than %d revocation lists", MAIL_CRLS_MAX);
        TRY(file_read(path, &data));
        TRY_WRAP(crl_parse(buf_bytes(&data), &t->crls[t->n]), "%s", path);
        t->n++;
    }
    return NULL;
}

/* The instance's own root, where it lies on this machine. */
static err_t *read_own_root(const char *dir, mail_anchors_t *t) {
    char *path CLEANUP(mem_free) = NULL;
    CLEANUP(buf_done) buf_t data;
    buf_init(&data, LIMIT_CMS_BYTES);
    TRY(file_path(dir, "public/root.pem", &path));
    TRY(file_read(path, &data));
    return cert_parse_pem_list(buf_bytes(&data), &t->roots);
}

err_t *mail_anchors_read(cli_t *cli, const args_t *args, bool ask, mail_anchors_t *t) {
    t->cli = cli;
    TRY(mail_certs_read(args, "root", &t->roots));
    TRY(mail_certs_read(args, "chain", &t->intermediates));
    TRY(read_crls(args, t));
    if (!ask) return NULL;
    const char *dir = args_value(args, "dir");
    t->instance = dir || args_value(args, "server");
    return dir ? read_own_root(dir, t) : NULL;
}

void mail_anchors_done(mail_anchors_t *t) {
    for (size_t i = 0; i < t->n; i++) crl_free(t->crls[i]);
    cert_list_done(&t->roots);
    cert_list_done(&t->intermediates);
    *t = (mail_anchors_t){0};
}

/* Revoked then: what was signed before is still good, unless somebody else may have had the key. */
static bool counts(int64_t when, crl_reason_t reason, int64_t at) {
    return when <= at || reason == CRL_KEY_COMPROMISE || reason == CRL_CA_COMPROMISE;
}

/* Is the list one that this certificate's issuer made? */
static err_t *is_issuers(const crl_t *crl, const cert_list_t *certs, bool *ret_good) {
    for (size_t i = 0; i < certs->n && !*ret_good; i++) {
        if (!bytes_eq(cert_subject_der(certs->certs[i]), crl_issuer_der(crl))) continue;
        err_t *e = crl_verify(crl, certs->certs[i]);
        if (e && err_code(e) == ERR_NOMEM) return e;
        *ret_good = !e;
        err_free(e);
    }
    return NULL;
}

static err_t *ask_lists(const mail_anchors_t *t, const cert_t *cert, const cert_list_t *others,
                        int64_t at, mail_revocation_t *ret) {
    for (size_t i = 0; i < t->n && *ret != MAIL_REVOCATION_REVOKED; i++) {
        bool good = false, revoked = false;
        crl_reason_t reason = CRL_UNSPECIFIED;
        int64_t when = 0;
        if (!bytes_eq(cert_issuer_der(cert), crl_issuer_der(t->crls[i]))) continue;
        TRY(is_issuers(t->crls[i], &t->roots, &good));
        TRY(is_issuers(t->crls[i], others, &good));
        if (!good) continue;
        TRY(crl_ask(t->crls[i], cert_serial(cert), &revoked, &reason, &when));
        if (revoked && counts(when, reason, at)) *ret = MAIL_REVOCATION_REVOKED;
        else if (crl_is_current(t->crls[i], clk_unix(t->cli->clk))) *ret = MAIL_REVOCATION_GOOD;
    }
    return NULL;
}

static err_t *ask_instance(const mail_anchors_t *t, const cert_t *cert, int64_t at,
                           mail_revocation_t *ret) {
    char *path CLEANUP(mem_free) = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    bytes_t revoked = BYTES_NONE, name = BYTES_NONE;
    crl_reason_t reason = CRL_UNSPECIFIED;
    int64_t when;
    TRY(remote_path(&path, "/certificates/%", cert_sha256_hex(cert)));
    err_t *e = remote_call(t->cli, "GET", path, NULL, &json);
    if (e && err_code(e) == ERR_NOT_FOUND) { /* somebody else's */
        err_free(e);
        return NULL;
    }
    if (e) return err_wrap(e, "whether the signer's certificate was revoked");
    *ret = MAIL_REVOCATION_GOOD;
    TRY(jso_get_string(json, "revoked", LIMIT_NAME, false, &revoked));
    if (!revoked.n) return NULL;
    TRY(jso_get_string(json, "reason", LIMIT_NAME, false, &name));
    if (name.n) TRY(crl_reason_parse(name, &reason));
    TRY(text_parse_time(revoked, &when));
    if (counts(when, reason, at)) *ret = MAIL_REVOCATION_REVOKED;
    return NULL;
}

err_t *mail_anchors_revocation(mail_anchors_t *t, const cert_t *cert, const cert_list_t *others,
                               int64_t at, mail_revocation_t *ret) {
    mail_revocation_t found = MAIL_REVOCATION_UNKNOWN;
    TRY(ask_lists(t, cert, others, at, &found));
    if (found != MAIL_REVOCATION_REVOKED && t->instance) TRY(ask_instance(t, cert, at, &found));
    *ret = found;
    return NULL;
}
