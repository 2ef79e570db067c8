/*
 * Making the keys of a new instance: see init.h. One thread, no other process has the instance.
 */
#include "keeper/init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/init_files.h"
#include "keeper/keyring.h"
#include "keeper/master.h"

enum {
    YEAR_S = 365 * 24 * 60 * 60,
    ROOT_YEARS = 20,
    PROFILE_SIGNER_YEARS = 10,
    STORAGE_KEY = 32, /* bytes */
    TLS_NAMES = 3,
};

/* What is in the making; owns everything. */
typedef struct {
    const keeper_init_t *init;
    vault_t *vault;
    pkey_t *root_key, *profile_key, *audit_key, *tls_key;
    cert_t *root, *mail_ca, *profile_cert, *tls_cert;
    cert_list_t device_ca; /* the CA first, then the RA if it has one */
} work_t;

static void work_done(work_t *w) {
    vault_free(w->vault);
    pkey_free(w->root_key);
    pkey_free(w->profile_key);
    pkey_free(w->audit_key);
    pkey_free(w->tls_key);
    cert_free(w->root);
    cert_list_done(&w->device_ca);
    cert_free(w->mail_ca);
    cert_free(w->profile_cert);
    cert_free(w->tls_cert);
}
DEFINE_CLEANUP_VALUE(work_t, work_done)

/* Under the root, or self-signed when there is none yet. */
static own_issuer_t issuer_of(const work_t *w) {
    const keeper_init_t *init = w->init;
    return (own_issuer_t){init->organisation, w->root, w->root_key, init->clk, init->rnd};
}

static err_t *issue(work_t *w, const char *role, int64_t validity_s, const cert_spec_t *rest,
                    cert_t **ret_cert) {
    own_issuer_t root = issuer_of(w);
    return own_cert_issue(&root, role, validity_s, rest, ret_cert);
}

static err_t *make_root(work_t *w) {
    TRY(pkey_generate(PKEY_P384, 0, &w->root_key));
    cert_spec_t spec = {
        .is_ca = true,
        .key_usage = KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN,
        .key = w->root_key,
    };
    TRY(issue(w, "Root CA", (int64_t)ROOT_YEARS * YEAR_S, &spec, &w->root));
    return own_cert_keep(w->vault, KEY_ROOT, w->root_key, w->root);
}

static err_t *make_device_ca(work_t *w) {
    own_issuer_t root = issuer_of(w);
    device_ca_spec_t spec = w->init->device_ca;
    if (spec.kind == PKEY_RSA && spec.bits == 0) spec.bits = LIMIT_RSA_BITS_MIN;
    return device_ca_make(w->vault, &root, 1, &spec, &w->device_ca);
}

static err_t *make_mail_ca(work_t *w) {
    own_issuer_t root = issuer_of(w);
    TRY(mail_ca_make(w->vault, &root, &w->mail_ca));
    return lease_key_ensure(w->vault);
}

static err_t *make_profile_signer(work_t *w) {
    static const char *const ekus[] = {OID_EKU_CODE_SIGNING, OID_EKU_EMAIL_PROTECTION};
    TRY(pkey_generate(PKEY_RSA, LIMIT_RSA_BITS_MIN, &w->profile_key));
    cert_spec_t spec = {
        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
        .ekus = ekus,
        .ekus_n = 2,
        .key = w->profile_key,
    };
    TRY(issue(w, "Profile Signer", (int64_t)PROFILE_SIGNER_YEARS * YEAR_S, &spec,
              &w->profile_cert));
    return own_cert_keep(w->vault, KEY_PROFILE_SIGNER, w->profile_key, w->profile_cert);
}

static err_t *make_inner_keys(work_t *w) {
    TRY(pkey_generate(PKEY_ED25519, 0, &w->audit_key));
    TRY(own_cert_keep(w->vault, KEY_AUDIT, w->audit_key, NULL));
    CLEANUP(secret_free) secret_t *storage = NULL;
    TRY(secret_random(w->init->rnd, STORAGE_KEY, &storage));
    return vault_key_put(w->vault, &(vault_key_t){
                                       .name = KEY_STORAGE,
                                       .kind = VAULT_KEY_SECRET,
                                       .private_key = secret_bytes(storage),
                                   });
}

static bool is_ip(const char *host) {
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static err_t *make_tls(work_t *w) {
    const cert_profile_t *profile = cert_profiles_find(w->init->profiles, "tls-server");
    if (!profile) return err_new(ERR_INTERNAL, "there is no certificate profile tls-server");
    const char *host = w->init->host;
    san_entry_t names[TLS_NAMES] = {{is_ip(host) ? SAN_IP : SAN_DNS, host}};
    size_t n = 1;
    if (bytes_eq_str(bytes_str(host), "localhost")) {
        names[n++] = (san_entry_t){SAN_IP, "127.0.0.1"};
        names[n++] = (san_entry_t){SAN_IP, "::1"};
    }
    const char *ekus[CERT_PROFILE_ITEMS];
    for (size_t i = 0; i < profile->ekus_n; i++) ekus[i] = profile->ekus[i];
    TRY(pkey_generate(PKEY_P256, 0, &w->tls_key));
    TRY(cert_profile_check_key(profile, w->tls_key));
    cert_spec_t spec = {
        .sans = names,
        .sans_n = n,
        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
        .ekus = ekus,
        .ekus_n = profile->ekus_n,
        .key = w->tls_key,
    };
    return issue(w, "HTTPS", profile->validity_s, &spec, &w->tls_cert);
}

static err_t *make_vault(work_t *w, const char *vault_dir) {
    const keeper_init_t *init = w->init;
    CLEANUP(secret_free) secret_t *master = NULL;
    TRY(master_provider("file")->create(vault_dir, init->rnd, &master));
    vault_options_t options = {vault_dir, master, init->clk, init->rnd};
    TRY(vault_open(&options, true, &w->vault));
    TRY(make_root(w));
    TRY(make_device_ca(w));
    TRY(make_mail_ca(w));
    TRY(make_profile_signer(w));
    TRY(make_inner_keys(w));
    TRY(make_tls(w));
    vault_free(STEAL(w->vault)); /* folds the write-ahead log into the database */
    return NULL;
}

static err_t *check(const keeper_init_t *init) {
    bytes_t organisation = bytes_str(init->organisation), host = bytes_str(init->host);
    if (organisation.n == 0 || organisation.n > LIMIT_KEEPER_ORGANISATION ||
        !text_printable(organisation))
        return err_new(ERR_USAGE, "the organisation's name must have 1 to %d printable bytes",
                       LIMIT_KEEPER_ORGANISATION);
    bool fine = host.n > 0 && host.n <= 253;
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        fine &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '.' || c == '-' || c == ':';
    }
    if (!fine) return err_new(ERR_USAGE, "the host must be a DNS name or an IP address");
    return NULL;
}

err_t *keeper_init(const keeper_init_t *init) {
    TRY(check(init));
    CLEANUP(init_files_done) init_files_t files = {0};
    TRY(init_files_begin(init->dir, &files));
    CLEANUP(work_done) work_t w = {.init = init};
    err_t *e = make_vault(&w, files.vault_new);
    if (!e) {
        init_parts_t parts = {w.root,     w.device_ca.certs[0], w.mail_ca,
                              w.tls_cert, w.audit_key,          w.tls_key};
        e = init_files_write(&files, &parts);
    }
    if (!e) e = init_files_commit(&files);
    if (e) init_files_undo(&files);
    return e;
}
