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
    /* Servers' certificates are made by `coffer init`, not for a process on the net; S/MIME keys
     * are made here with theirs. */
    if (profile->ca != CERT_PROFILE_DEVICE_CA)
        return err_new(ERR_DENIED, "profile %s, rule ca: not by this way", name);
    *ret_profile = profile;
    return NULL;
}

/* Where relying parties learn of its revocation; not of what the root issues. */
typedef struct {
    char *crl, *ocsp, *ca;
} urls_t;

static void urls_done(urls_t *urls) {
    mem_free(urls->crl);
    mem_free(urls->ocsp);
    mem_free(urls->ca);
}
DEFINE_CLEANUP_VALUE(urls_t, urls_done)

/* The CA of a profile: the device CAs' current generation, the mail CA, the root. */
typedef struct {
    const char *name;
    const cert_t *cert;
    const pkey_t *key;
} issuer_t;

static issuer_t issuer_of(const keyring_t *keys, const cert_profile_t *profile) {
    switch (profile->ca) {
    case CERT_PROFILE_ROOT_CA: return (issuer_t){KEY_ROOT, keys->root, keys->root_key};
    case CERT_PROFILE_MAIL_CA: return (issuer_t){KEY_MAIL_CA, keys->mail_ca, keys->mail_ca_key};
    case CERT_PROFILE_DEVICE_CA: break;
    }
    return (issuer_t){keys->device_ca->name, keys->device_ca->cert, keys->device_ca->key};
}

static err_t *find_urls(const keeper_core_t *core, const cert_profile_t *profile, urls_t *urls) {
    if (!core->revocation || profile->ca == CERT_PROFILE_ROOT_CA) return NULL;
    const char *ca = issuer_of(core->keys, profile).name;
    TRY(revocation_crl_url(core->revocation, ca, profile->name, false, &urls->crl));
    TRY(revocation_ocsp_url(core->revocation, &urls->ocsp));
    return revocation_ca_url(core->revocation, ca, &urls->ca);
}

err_t *intent_issue_cert(const keeper_core_t *core, const cert_profile_t *profile,
                         const pkey_t *key, const name_entry_t *subject, size_t subject_n,
                         const san_entry_t *names, size_t names_n, cert_t **ret_cert) {
    issuer_t ca = issuer_of(core->keys, profile);
    uint8_t serial[CERT_SERIAL_SIZE];
    TRY(cert_serial_random(core->rnd, serial));
    const char *ekus[CERT_PROFILE_ITEMS], *policies[CERT_PROFILE_POLICIES];
    for (size_t i = 0; i < profile->ekus_n; i++) ekus[i] = profile->ekus[i];
    for (size_t i = 0; i < profile->policies_n; i++) policies[i] = profile->policies[i];
    unsigned usage = 0;
    TRY(cert_profile_usage(profile, key, &usage));
    CLEANUP(urls_done) urls_t urls = {0};
    TRY(find_urls(core, profile, &urls));
    int64_t now = clk_unix(core->clk), end = now + profile->validity_s;
    cert_spec_t spec = {
        .subject = subject,
        .subject_n = subject_n,
        .sans = names,
        .sans_n = names_n,
        .serial = BYTES_ARRAY(serial),
        .not_before = now - BACKDATE_S,
        .not_after = end < cert_not_after(ca.cert) ? end : cert_not_after(ca.cert),
        .key_usage = usage,
        .ekus = ekus,
        .ekus_n = profile->ekus_n,
        .policies = policies,
        .policies_n = profile->policies_n,
        .lint = profile->rules,
        .crl_url = urls.crl,
        .ocsp_url = urls.ocsp,
        .ca_issuers_url = urls.ca,
        .key = key,
    };
    if (spec.not_before < cert_not_before(ca.cert)) spec.not_before = cert_not_before(ca.cert);
    return cert_issue(&spec, ca.cert, ca.key, ret_cert);
}

err_t *intent_record_cert(const keyring_t *keys, intent_answer_t *answer,
                          const cert_profile_t *profile, const char *owner, cert_t *cert) {
    vault_issued_t *issued = &answer->op->issued;
    issued->profile = mem_strdup(profile->name);
    issued->owner = mem_strdup(owner);
    if (!issued->profile || !issued->owner) return err_nomem();
    issued->issuer = issuer_of(keys, profile).name;
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
    size_t subject_n = 0;
    const name_entry_t *subject = csr_subject_entries(csr, &subject_n);
    TRY(intent_issue_cert(core, profile, csr_key(csr), subject, subject_n, names, names_n, &cert));
    TRY(intent_record_cert(core->keys, answer, profile, request->owner, cert));
    *ret_cert = answer->op->issued.cert;
    return NULL;
}
