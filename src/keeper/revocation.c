/*
 * See revocation.h. Worker threads; `lock` guards builds and responders.
 */
#include "keeper/revocation.h"

#include <pthread.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    ISSUERS = LIMIT_DEVICE_CAS + 2, /* by generation, then the mail CA, then the root */
    BACKDATE_S = 60 * 60,
    RESPONDER_LIFE_S = 2 * LIMIT_KEEPER_OCSP_LIFETIME_S,
    SUBJECT_MAX = 2,
};

typedef struct {
    uint64_t id; /* 0: free */
    int64_t began;
    crl_builder_t *builder; /* NULL: a thread works on it */
    char *about;
} build_t;

struct revocation {
    char *url;
    pthread_mutex_t lock;
    build_t builds[LIMIT_KEEPER_CRL_BUILDS];
    uint64_t last_id;
    responder_t responders[ISSUERS];
};

err_t *revocation_new(const char *url, revocation_t **ret_revocation) {
    if (strlen(url) == 0 || strlen(url) > LIMIT_CRL_URL / 2 || !text_printable(bytes_str(url)))
        return err_new(ERR_INVALID, "the URL of revocation is empty, too long or not printable");
    CLEANUP(revocation_free) revocation_t *revocation = mem_zalloc(sizeof *revocation);
    if (!revocation) return err_nomem();
    (void)pthread_mutex_init(&revocation->lock, NULL);
    revocation->url = mem_strdup(url);
    if (!revocation->url) return err_nomem();
    *ret_revocation = STEAL(revocation);
    return NULL;
}

static void build_clear(build_t *build) {
    crl_builder_free(build->builder);
    mem_free(build->about);
    *build = (build_t){0};
}

void responder_done(responder_t *responder) {
    pkey_free(responder->key);
    cert_free(responder->cert);
    *responder = (responder_t){0};
}

void revocation_free(revocation_t *revocation) {
    if (!revocation) return;
    for (size_t i = 0; i < LIMIT_KEEPER_CRL_BUILDS; i++) build_clear(&revocation->builds[i]);
    for (size_t i = 0; i < ISSUERS; i++) responder_done(&revocation->responders[i]);
    (void)pthread_mutex_destroy(&revocation->lock);
    mem_free(revocation->url);
    mem_free(revocation);
}

/* The place of a CA's responder, and the CA. */
static err_t *find_ca(const keyring_t *keys, const char *name, size_t *ret_at,
                      const char **ret_name, const cert_t **ret_cert, const pkey_t **ret_key) {
    bytes_t wanted = bytes_str(name);
    size_t at = 0;
    while (at < keys->device_cas_n && !bytes_eq_str(wanted, keys->device_cas[at].name)) at++;
    bool root = bytes_eq_str(wanted, KEY_ROOT);
    if (bytes_eq_str(wanted, KEY_MAIL_CA) && keys->mail_ca) {
        *ret_at = ISSUERS - 2;
        *ret_name = KEY_MAIL_CA;
        *ret_cert = keys->mail_ca;
        *ret_key = keys->mail_ca_key;
        return NULL;
    }
    if (!root && at == keys->device_cas_n) return err_new(ERR_NOT_FOUND, "there is no CA %s", name);
    const device_ca_t *ca = &keys->device_cas[root ? 0 : at];
    *ret_at = root ? ISSUERS - 1 : at;
    *ret_name = root ? KEY_ROOT : ca->name;
    *ret_cert = root ? keys->root : ca->cert;
    *ret_key = root ? keys->root_key : ca->key;
    return NULL;
}

err_t *revocation_ca(const keyring_t *keys, const char *name, const cert_t **ret_cert,
                     const pkey_t **ret_key) {
    size_t at;
    const char *plain;
    return find_ca(keys, name, &at, &plain, ret_cert, ret_key);
}

/* ---- URLs ---- */

/* A name as one segment of a path, RFC 3986 section 2.3. */
static err_t *add_segment(const char *name, buf_t *out) {
    for (const char *c = name; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' || *c == '.';
        if (plain) TRY(buf_add_byte(out, (uint8_t)*c));
        else TRY(buf_printf(out, "%%%02X", (uint8_t)*c));
    }
    return NULL;
}

err_t *revocation_crl_url(const revocation_t *revocation, const char *issuer, const char *profile,
                          bool delta, char **ret_url) {
    CLEANUP(buf_done) buf_t url;
    buf_init(&url, LIMIT_CRL_URL);
    TRY(buf_printf(&url, "%s/ca/crl/", revocation->url));
    TRY(add_segment(issuer, &url));
    if (profile[0]) {
        TRY(buf_add_byte(&url, '/'));
        TRY(add_segment(profile, &url));
    }
    TRY(buf_add_str(&url, delta ? ".delta.crl" : ".crl"));
    return buf_steal_str(&url, ret_url);
}

err_t *revocation_ocsp_url(const revocation_t *revocation, char **ret_url) {
    char *url = mem_printf("%s/ocsp", revocation->url);
    if (!url) return err_nomem();
    *ret_url = url;
    return NULL;
}

err_t *revocation_ca_url(const revocation_t *revocation, const char *issuer, char **ret_url) {
    char *url = mem_printf("%s/ca/%s.der", revocation->url, issuer);
    if (!url) return err_nomem();
    *ret_url = url;
    return NULL;
}

/* ---- lists in the making ---- */

static build_t *find_build(revocation_t *revocation, uint64_t id) {
    for (size_t i = 0; i < LIMIT_KEEPER_CRL_BUILDS; i++)
        if (revocation->builds[i].id == id) return &revocation->builds[i];
    return NULL;
}

err_t *revocation_build_put(revocation_t *revocation, crl_builder_t *builder, const char *about,
                            int64_t now, uint64_t *ret_id) {
    char *copy = mem_strdup(about);
    if (!copy) {
        crl_builder_free(builder);
        return err_nomem();
    }
    (void)pthread_mutex_lock(&revocation->lock);
    for (size_t i = 0; i < LIMIT_KEEPER_CRL_BUILDS; i++) {
        build_t *old = &revocation->builds[i];
        if (old->id && now - old->began > LIMIT_KEEPER_CRL_BUILD_S) build_clear(old);
    }
    build_t *build = find_build(revocation, 0);
    if (build) *build = (build_t){++revocation->last_id, now, builder, copy};
    if (build) *ret_id = build->id;
    (void)pthread_mutex_unlock(&revocation->lock);
    if (build) return NULL;
    crl_builder_free(builder);
    mem_free(copy);
    return err_new(ERR_BUSY, "too many revocation lists are in the making");
}

err_t *revocation_build_take(revocation_t *revocation, uint64_t id, crl_builder_t **ret_builder,
                             char **ret_about) {
    (void)pthread_mutex_lock(&revocation->lock);
    build_t *build = id ? find_build(revocation, id) : NULL;
    bool there = build && build->builder;
    if (there) {
        *ret_builder = STEAL(build->builder);
        *ret_about = STEAL(build->about);
    }
    (void)pthread_mutex_unlock(&revocation->lock);
    return there ? NULL : err_new(ERR_NOT_FOUND, "no such revocation list is in the making");
}

void revocation_build_return(revocation_t *revocation, uint64_t id, crl_builder_t *builder,
                             char *about) {
    (void)pthread_mutex_lock(&revocation->lock);
    build_t *build = find_build(revocation, id);
    if (build && builder) {
        build->builder = STEAL(builder);
        build->about = STEAL(about);
    } else if (build) {
        build_clear(build); /* it failed or is done */
    }
    (void)pthread_mutex_unlock(&revocation->lock);
    crl_builder_free(builder);
    mem_free(about);
}

/* ---- OCSP responders ---- */

static err_t *certify(const cert_t *ca, const pkey_t *ca_key, const pkey_t *key, const clk_t *clk,
                      const rnd_t *rnd, cert_t **ret_cert) {
    static const char *const ekus[] = {OID_EKU_OCSP_SIGNING};
    name_entry_t subject[SUBJECT_MAX];
    size_t n = 0;
    const char *organisation = cert_subject_get(ca, "O");
    uint8_t serial[CERT_SERIAL_SIZE];
    int64_t now = clk_unix(clk);
    if (organisation) subject[n++] = (name_entry_t){"O", organisation};
    subject[n++] = (name_entry_t){"CN", "OCSP Responder"};
    TRY(cert_serial_random(rnd, serial));
    cert_spec_t spec = {
        .subject = subject,
        .subject_n = n,
        .serial = BYTES_ARRAY(serial),
        .not_before = now - BACKDATE_S,
        .not_after = now + RESPONDER_LIFE_S,
        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
        .ekus = ekus,
        .ekus_n = 1,
        .ocsp_nocheck = true,
        .lint = CERT_LINT_RFC5280, /* it lives too short to be worth a list */
        .key = key,
    };
    if (spec.not_before < cert_not_before(ca)) spec.not_before = cert_not_before(ca);
    if (spec.not_after > cert_not_after(ca)) spec.not_after = cert_not_after(ca);
    TRY_WRAP(cert_issue(&spec, ca, ca_key, ret_cert), "OCSP responder");
    return NULL;
}

static err_t *make_responder(const cert_t *ca, const pkey_t *ca_key, const clk_t *clk,
                             const rnd_t *rnd, responder_t *ret_responder) {
    CLEANUP(responder_done) responder_t made = {0};
    TRY(ocsp_issuer_init(ca, &made.issuer));
    TRY(pkey_generate(PKEY_P256, 0, &made.key));
    TRY(ocsp_key_hash(made.key, made.key_hash));
    TRY(certify(ca, ca_key, made.key, clk, rnd, &made.cert));
    *ret_responder = made;
    made = (responder_t){0};
    return NULL;
}

static err_t *note_issued(const char *issuer, const cert_t *cert, vault_issued_t *issued) {
    issued->issuer = issuer;
    issued->profile = mem_strdup("ocsp-responder");
    issued->owner = mem_strdup("keeper");
    if (!issued->profile || !issued->owner) return err_nomem();
    issued->cert = cert_share(cert);
    return NULL;
}

/* Good as long as what it signs now is, or as the CA itself. */
static bool is_good(const responder_t *responder, const cert_t *ca, int64_t now) {
    if (!responder->cert) return false;
    int64_t end = cert_not_after(responder->cert);
    bool ours = bytes_eq(cert_issuer_der(responder->cert), cert_subject_der(ca));
    return ours && (end >= now + LIMIT_KEEPER_OCSP_LIFETIME_S || end == cert_not_after(ca));
}

err_t *revocation_responder(revocation_t *revocation, const keyring_t *keys, const char *issuer,
                            const clk_t *clk, const rnd_t *rnd, vault_issued_t *issued,
                            responder_t *ret_responder) {
    size_t at = 0;
    const char *name;
    const cert_t *ca;
    const pkey_t *ca_key;
    TRY(find_ca(keys, issuer, &at, &name, &ca, &ca_key));
    responder_t *slot = &revocation->responders[at];
    (void)pthread_mutex_lock(&revocation->lock);
    err_t *e = NULL;
    if (!is_good(slot, ca, clk_unix(clk))) {
        responder_t made = {0};
        e = make_responder(ca, ca_key, clk, rnd, &made);
        if (!e) e = note_issued(name, made.cert, issued);
        if (!e) {
            responder_done(slot);
            *slot = made;
        } else {
            responder_done(&made);
        }
    }
    if (!e) {
        *ret_responder = *slot;
        ret_responder->key = pkey_share(slot->key);
        ret_responder->cert = cert_share(slot->cert);
    }
    (void)pthread_mutex_unlock(&revocation->lock);
    return e;
}
