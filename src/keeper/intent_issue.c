/*
 * Certifying: a request becomes a certificate only under a profile's rules (RFC 5280, RFC 2986).
 * Worker threads.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "keeper/intent.h"

enum {
    BACKDATE_S = 60 * 60,    /* a device's clock may be slow */
    NAMES_ARENA = 64 * 1024, /* bytes */
};

static err_t *find_profile(const keeper_core_t *core, const char *name,
                           const cert_profile_t **ret_profile) {
    const cert_profile_t *profile = cert_profiles_find(core->profiles, name);
    if (!profile) return err_new(ERR_DENIED, "there is no certificate profile %s", name);
    /* Servers' certificates are made by `coffer init`, not for a process on the net. */
    if (profile->ca == CERT_PROFILE_ROOT_CA)
        return err_new(ERR_DENIED, "profile %s, rule ca: not by this way", name);
    *ret_profile = profile;
    return NULL;
}

/* Where relying parties learn of its revocation; of device CAs' certificates alone. */
typedef struct {
    char *crl, *ocsp, *ca;
} urls_t;

static void urls_done(urls_t *urls) {
    mem_free(urls->crl);
    mem_free(urls->ocsp);
    mem_free(urls->ca);
}
DEFINE_CLEANUP_VALUE(urls_t, urls_done)

static err_t *find_urls(const keeper_core_t *core, const cert_profile_t *profile, urls_t *urls) {
    if (!core->revocation || profile->ca != CERT_PROFILE_DEVICE_CA) return NULL;
    const char *ca = core->keys->device_ca->name;
    TRY(revocation_crl_url(core->revocation, ca, profile->name, false, &urls->crl));
    TRY(revocation_ocsp_url(core->revocation, &urls->ocsp));
    return revocation_ca_url(core->revocation, ca, &urls->ca);
}

static err_t *issue(const keeper_core_t *core, const cert_profile_t *profile, const csr_t *csr,
                    const san_entry_t *names, size_t names_n, cert_t **ret_cert) {
    bool root = profile->ca == CERT_PROFILE_ROOT_CA;
    const keyring_t *keys = core->keys;
    const cert_t *ca = root ? keys->root : keys->device_ca->cert;
    uint8_t serial[CERT_SERIAL_SIZE];
    TRY(cert_serial_random(core->rnd, serial));
    const char *ekus[CERT_PROFILE_ITEMS];
    for (size_t i = 0; i < profile->ekus_n; i++) ekus[i] = profile->ekus[i];
    CLEANUP(urls_done) urls_t urls = {0};
    TRY(find_urls(core, profile, &urls));
    int64_t now = clk_unix(core->clk), end = now + profile->validity_s;
    cert_spec_t spec = {
        .sans = names,
        .sans_n = names_n,
        .serial = BYTES_ARRAY(serial),
        .not_before = now - BACKDATE_S,
        .not_after = end < cert_not_after(ca) ? end : cert_not_after(ca),
        .key_usage = profile->key_usage,
        .ekus = ekus,
        .ekus_n = profile->ekus_n,
        .crl_url = urls.crl,
        .ocsp_url = urls.ocsp,
        .ca_issuers_url = urls.ca,
        .key = csr_key(csr),
    };
    if (spec.not_before < cert_not_before(ca)) spec.not_before = cert_not_before(ca);
    spec.subject = csr_subject_entries(csr, &spec.subject_n);
    return cert_issue(&spec, ca, root ? keys->root_key : keys->device_ca->key, ret_cert);
}

static err_t *record(const keyring_t *keys, intent_answer_t *answer, const cert_profile_t *profile,
                     const char *owner, cert_t *cert) {
    vault_issued_t *issued = &answer->op->issued;
    issued->profile = mem_strdup(profile->name);
    issued->owner = mem_strdup(owner);
    if (!issued->profile || !issued->owner) return err_nomem();
    issued->issuer = profile->ca == CERT_PROFILE_ROOT_CA ? KEY_ROOT : keys->device_ca->name;
    issued->cert = cert_share(cert);
    intent_about(answer, "profile=%s owner=%s serial=%s subject=%s", profile->name, owner,
                 cert_serial_hex(cert), cert_subject(cert));
    return NULL;
}

err_t *intent_certify(const keeper_core_t *core, const intent_request_t *request,
                      intent_answer_t *answer, const cert_t **ret_cert) {
    intent_about(answer, "profile=%s owner=%s", request->profile, request->owner);
    const cert_profile_t *profile = NULL;
    TRY(find_profile(core, request->profile, &profile));
    CLEANUP(csr_free) csr_t *csr = csr_cache_take(core->csrs, request->csr);
    bool verified = csr != NULL;
    if (!csr) TRY_WRAP(csr_parse_der(request->csr, &csr), "certification request");
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(NAMES_ARENA, &arena));
    const san_entry_t *names = NULL;
    size_t names_n = 0;
    TRY(cert_profile_names(bytes_str(request->names), arena, &names, &names_n));
    TRY(cert_profile_check(profile, csr, names, names_n));
    if (!verified) TRY_WRAP(csr_verify(csr), "proof of possession (RFC 2986 section 4.2)");
    CLEANUP(cert_free) cert_t *cert = NULL;
    TRY(issue(core, profile, csr, names, names_n, &cert));
    TRY(record(core->keys, answer, profile, request->owner, cert));
    *ret_cert = answer->op->issued.cert;
    return NULL;
}
