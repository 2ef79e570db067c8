/*
 * Reads coffer.conf: see settings.h. At the start of every program, before its threads.
 */
#include "program/common/settings.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/common/blob_conf.h"
#include "program/common/sync_conf.h"

/* Of one peer address, see [scep] rate and burst. */
enum { RATE = 10, RATE_MAX = 100000, BURST = 100, BURST_MAX = 1000000 };

static const char *const instance_keys[] = {"organisation", "url", "require_sandbox", NULL};
static const char *const web_keys[] = {"listen",  "http_listen", "mtls_listen",     "mtls_url",
                                       "workers", "per_address", "cheap_passwords", NULL};
static const char *const enrol_keys[] = {
    "identity_profile", "signing_profile", "mail_key_profile", "mail_key_delivery",
    "mail_key_files",   "factory_ca",      "profile_cipher",   NULL};
static const char *const scep_keys[] = {
    "url",   "allow_3des",     "allow_des",     "allow_sha1", "challenge_lifetime", "rate",
    "burst", "renewal_window", "renewal_grace", "clock_skew", "pending_lifetime",   NULL};
static const char *const mdm_keys[] = {"sign_message", "access_rights", "check_out_when_removed",
                                       NULL};
static const char *const push_keys[] = {"url", "certificate", "key", "ca", "topic", NULL};
static const char *const revocation_keys[] = {
    "url",         "crl_lifetime", "crl_interval", "delta_interval", "ocsp_lifetime",
    "on_checkout", "on_erase",     "on_lost",      "on_leave",       NULL};
static const char *const keeper_keys[] = {"master_key", "workers", "takes_per_day", NULL};
static const char *const profile_keys[] = {
    "ca",    "keys",     "validity",    "key_usage", "eku",   "subject",  "subject_required",
    "names", "approval", "old_ciphers", "purpose",   "rules", "policies", "mail_domains",
    NULL};

static const char *const notify_keys[] = {"admins", NULL};
static const char *const smtp_keys[] = {"url", "from", "tls", "user", "password_file", "ca", NULL};
static const char *const webhook_keys[] = {"url", "secret_file", "ca", NULL};
static const char *const expiry_keys[] = {"notices", "interval", "holders", "brake", NULL};
static const char *const watch_keys[] = {"target", NULL};
static const char *const action_keys[] = {"run", "timeout", NULL};

/* Of [mail_policy NAME]; [mail_policy] has more. */
#define MAIL_POLICY_RULES                                                                          \
    "encrypt", "sign", "protect_headers", "hide_subject", "own_copy", "tags", "harvest", "verify", \
        "decrypt", "decrypt_unprotected", "reencrypt"
static const char *const mail_rule_keys[] = {MAIL_POLICY_RULES, NULL};
static const char *const mail_policy_keys[] = {MAIL_POLICY_RULES,
                                               "domains",
                                               "authserv_id",
                                               "report_address",
                                               "report_mailbox",
                                               "tag_encrypt",
                                               "tag_plain",
                                               "organisation_certificate",
                                               NULL};
static const char *const mailgate_keys[] = {"listen_out",
                                            "listen_in",
                                            "listen_out_tls",
                                            "listen_in_tls",
                                            "clients_out",
                                            "clients_in",
                                            "xforward_clients",
                                            "next_out",
                                            "next_in",
                                            "next_out_tls",
                                            "next_in_tls",
                                            "next_out_ca",
                                            "next_in_ca",
                                            "next_out_name",
                                            "next_in_name",
                                            "hostname",
                                            "domains",
                                            "certificate",
                                            "key",
                                            "spool",
                                            "spool_max",
                                            "max_message",
                                            "max_recipients",
                                            "connections",
                                            "per_client",
                                            "workers",
                                            "timeout",
                                            "next_timeout",
                                            "delivery_timeout",
                                            NULL};

static const conf_known_t known[] = {
    {"instance", instance_keys},
    {"web", web_keys},
    {"enrol", enrol_keys},
    {"scep", scep_keys},
    {"mdm", mdm_keys},
    {"push", push_keys},
    {"revocation", revocation_keys},
    {"mail_policy", mail_policy_keys},
    {"mail_policy *", mail_rule_keys},
    {"ldap", SETTINGS_LDAP_KEYS},
    {"sync", SYNC_CONF_KEYS},
    {"sync_policy *", SYNC_CONF_POLICY_KEYS},
    {"sync_storage", BLOB_CONF_KEYS},
    {"sync_store *", BLOB_CONF_STORE_KEYS},
    {"ldap-group *", SETTINGS_LDAP_GROUP_KEYS},
    {"mail", SETTINGS_MAIL_KEYS},
    {"mail_account", SETTINGS_MAIL_ACCOUNT_KEYS},
    {"mailbox", SETTINGS_MAILBOX_KEYS},
    {"keeper", keeper_keys}, /* read by the keeper alone */
    {"certificate-profile *", profile_keys},
    {"notify", notify_keys}, /* these: notify_conf.c, expiry_conf.c */
    {"smtp", smtp_keys},
    {"webhook *", webhook_keys},
    {"expiry", expiry_keys},
    {"watch *", watch_keys},
    {"action *", action_keys},
    {"mailgate", mailgate_keys}, /* read by coffer-mailgate alone */
};

err_t *settings_parse_listen(const char *text, settings_listen_t *ret_listen) {
    bytes_t t = text_trim(bytes_str(text));
    settings_listen_t listen = {0};
    if (t.n == 0) {
        *ret_listen = listen;
        return NULL;
    }
    size_t colon = t.n;
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] == ':') colon = i;
    bytes_t address = bytes_slice(t, 0, colon);
    if (address.n > 1 && address.p[0] == '[' && address.p[address.n - 1] == ']')
        address = bytes_slice(address, 1, address.n - 2);
    uint64_t port = 0;
    if (colon == t.n || address.n == 0 || address.n >= sizeof listen.address)
        return err_new(ERR_INVALID, "an address to listen on is written 0.0.0.0:8443, not %s",
                       text);
    TRY_WRAP(text_u64(bytes_from(t, colon + 1), 65535, &port), "port in %s", text);
    bytes_put(listen.address, address);
    listen.port = (uint16_t)port;
    *ret_listen = listen;
    return NULL;
}

static err_t *listen_key(conf_t *conf, const char *key, const char *fallback,
                         settings_listen_t *ret_listen) {
    const char *text = NULL;
    TRY(conf_get_string(conf, "web", key, fallback, &text));
    TRY_WRAP(settings_parse_listen(text, ret_listen), "coffer.conf: [web] %s", key);
    return NULL;
}

static err_t *load_web(settings_t *s) {
    conf_t *c = s->conf;
    TRY(conf_need_string(c, "instance", "organisation", &s->organisation));
    TRY(conf_need_string(c, "instance", "url", &s->url));
    if (strncmp(s->url, "https://", 8) != 0 || s->url[strlen(s->url) - 1] == '/')
        return err_new(ERR_INVALID, "coffer.conf: [instance] url is written https://host:port");
    TRY(conf_get_bool(c, "instance", "require_sandbox", true, &s->require_sandbox));
    TRY(listen_key(c, "listen", "0.0.0.0:8443", &s->listen));
    TRY(listen_key(c, "http_listen", "", &s->http_listen));
    TRY(listen_key(c, "mtls_listen", "", &s->mtls_listen));
    TRY(conf_get_string(c, "web", "mtls_url", "", &s->mtls_url));
    TRY(conf_get_int(c, "web", "workers", 1, 256, 32, &s->workers));
    TRY(conf_get_int(c, "web", "per_address", 1, LIMIT_HTTP_CONNECTIONS, LIMIT_HTTP_PER_ADDRESS,
                     &s->per_address));
    TRY(conf_get_bool(c, "web", "cheap_passwords", false, &s->cheap_passwords));
    if (!s->listen.address[0]) return err_new(ERR_INVALID, "coffer.conf: [web] listen is empty");
    return NULL;
}

/* A list of profiles, one a line: NAME is added if its section says so. */
static err_t *add_line(buf_t *list, bool add, const char *name) {
    if (!add) return NULL;
    TRY(buf_add_str(list, name));
    return buf_add_byte(list, '\n');
}

/* What of certificate profiles is coffer-web's to decide; the keeper reads the rest. */
static err_t *load_certificate_profiles(settings_t *s) {
    static const char *const approvals[] = {"automatic", "manual", NULL};
    static const char *const purposes[] = {"auth", "sign", "encrypt", "server", NULL};
    enum { PURPOSE_SIGN = 1, PURPOSE_ENCRYPT = 2 };
    size_t cursor = 0;
    const char *section = NULL, *name = NULL, *text = NULL;
    CLEANUP(buf_done) buf_t manual, modern, mail;
    buf_init(&mail, LIMIT_CONFIG_BYTES);
    buf_init(&manual, LIMIT_CONFIG_BYTES);
    buf_init(&modern, LIMIT_CONFIG_BYTES);
    TRY(buf_add_str(&mail,
                    "mail-signing\nmail-encrypt\nmail-encrypt-p256\n")); /* the built-in ones */
    while (conf_next_named(s->conf, "certificate-profile", &cursor, &section, &name)) {
        size_t approval = 0, purpose = 0;
        bool old = true;
        TRY(conf_get_choice(s->conf, section, "approval", approvals, 0, &approval));
        TRY(conf_get_bool(s->conf, section, "old_ciphers", true, &old));
        TRY(add_line(&manual, approval == 1, name));
        TRY(add_line(&modern, !old, name));
        TRY(conf_get_choice(s->conf, section, "purpose", purposes, 0, &purpose));
        TRY(add_line(&mail, purpose == PURPOSE_SIGN || purpose == PURPOSE_ENCRYPT, name));
    }
    TRY(buf_cstr(&mail, &text));
    if (!(s->mail_profiles = mem_strdup(text))) return err_nomem();
    TRY(buf_cstr(&manual, &text));
    if (!(s->manual_profiles = mem_strdup(text))) return err_nomem();
    TRY(buf_cstr(&modern, &text));
    return (s->modern_profiles = mem_strdup(text)) ? NULL : err_nomem();
}

static err_t *load_scep(settings_t *s) {
    enum { DAY_S = 86400, YEAR_S = 365 * DAY_S };
    conf_t *c = s->conf;
    TRY(conf_get_string(c, "scep", "url", "", &s->scep_url));
    TRY(conf_get_bool(c, "scep", "allow_3des", true, &s->scep_des3));
    TRY(conf_get_bool(c, "scep", "allow_des", false, &s->scep_des));
    TRY(conf_get_bool(c, "scep", "allow_sha1", false, &s->scep_sha1));
    TRY(conf_get_duration(c, "scep", "challenge_lifetime", 60, (int64_t)30 * DAY_S,
                          LIMIT_CHALLENGE_TTL_S, &s->challenge_ttl_s));
    TRY(conf_get_duration(c, "scep", "renewal_window", 0, (int64_t)30 * YEAR_S, (int64_t)90 * DAY_S,
                          &s->renewal_window_s));
    TRY(conf_get_duration(c, "scep", "renewal_grace", 0, YEAR_S, 0, &s->renewal_grace_s));
    TRY(conf_get_duration(c, "scep", "clock_skew", 60, YEAR_S, DAY_S, &s->clock_skew_s));
    TRY(conf_get_duration(c, "scep", "pending_lifetime", 60, YEAR_S, (int64_t)7 * DAY_S,
                          &s->pending_ttl_s));
    return load_certificate_profiles(s);
}

static err_t *load_enrol(settings_t *s) {
    static const char *const ciphers[] = {"aes256", "aes128", "3des", NULL};
    static const cms_cipher_t values[] = {CMS_AES256_CBC, CMS_AES128_CBC, CMS_DES3_CBC};
    static const char *const deliveries[] = {"automatic", "approved", NULL};
    static const char *const files[] = {"aes256", "3des", NULL};
    conf_t *c = s->conf;
    size_t cipher = 0, delivery = 0, file = 0;
    TRY(conf_get_string(c, "enrol", "identity_profile", "device-identity", &s->identity_profile));
    TRY(conf_get_string(c, "enrol", "signing_profile", "", &s->signing_profile));
    TRY(conf_get_string(c, "enrol", "mail_key_profile", "", &s->mail_key_profile));
    TRY(conf_get_choice(c, "enrol", "mail_key_delivery", deliveries, 0, &delivery));
    TRY(conf_get_choice(c, "enrol", "mail_key_files", files, 0, &file));
    s->mail_key_approved = delivery == 1;
    s->mail_key_old_p12 = file == 1;
    TRY(conf_get_list(c, "enrol", "factory_ca", NULL, &s->factory_cas));
    TRY(conf_get_choice(c, "enrol", "profile_cipher", ciphers, 0, &cipher));
    TRY(settings_load_mail_account(c, &s->mail_account));
    if (mail_account_is_set(&s->mail_account) && !s->mail_key_profile[0])
        return err_new(ERR_USAGE, "[mail_account] comes with mail keys: set [enrol] "
                                  "mail_key_profile");
    s->profile_cipher = values[cipher];
    return load_scep(s);
}

/* tls-server is the one of the built-in profiles that the root certifies. */
static err_t *load_root_profiles(settings_t *s) {
    static const char *const cas[] = {"device", "root", "mail", NULL};
    static const char *const purposes[] = {"auth", "sign", "encrypt", "server", NULL};
    enum { ROOT = 1, PURPOSE_SERVER = 3 };
    const size_t max = sizeof s->root_profiles / sizeof s->root_profiles[0];
    const char *section = NULL, *name = NULL;
    size_t cursor = 0, ca = 0, purpose = 0;
    bool server = false;
    while (conf_next_named(s->conf, "certificate-profile", &cursor, &section, &name)) {
        bool is_server = strcmp(name, "tls-server") == 0;
        server = server || is_server;
        TRY(conf_get_choice(s->conf, section, "purpose", purposes, is_server ? PURPOSE_SERVER : 0,
                            &purpose));
        TRY(conf_get_choice(s->conf, section, "ca", cas, purpose == PURPOSE_SERVER ? ROOT : 0,
                            &ca));
        if (ca != ROOT) continue;
        if (s->root_profiles_n == max - 1)
            return err_new(ERR_LIMIT, "coffer.conf: more than %zu certificate profiles", max - 1);
        s->root_profiles[s->root_profiles_n++] = name;
    }
    if (!server) s->root_profiles[s->root_profiles_n++] = "tls-server";
    return NULL;
}

static err_t *load_limits(settings_t *s) {
    TRY(conf_get_int(s->conf, "scep", "rate", 0, RATE_MAX, RATE, &s->rate));
    return conf_get_int(s->conf, "scep", "burst", 1, BURST_MAX, BURST, &s->burst);
}

static err_t *load_mdm(settings_t *s) {
    conf_t *c = s->conf;
    TRY(conf_get_bool(c, "mdm", "sign_message", true, &s->sign_message));
    TRY(conf_get_int(c, "mdm", "access_rights", 1, 8191, 8191, &s->access_rights));
    TRY(conf_get_bool(c, "mdm", "check_out_when_removed", true, &s->check_out_when_removed));
    TRY(conf_get_string(c, "push", "url", "https://api.push.apple.com:443", &s->push_url));
    TRY(conf_get_string(c, "push", "certificate", "", &s->push_certificate));
    TRY(conf_get_string(c, "push", "key", "", &s->push_key));
    TRY(conf_get_string(c, "push", "ca", "", &s->push_ca));
    TRY(conf_get_string(c, "push", "topic", "", &s->push_topic));
    if (!s->sign_message && !s->mtls_url[0])
        return err_new(ERR_INVALID, "coffer.conf: without [mdm] sign_message devices need "
                                    "[web] mtls_listen and mtls_url");
    return NULL;
}

/* "no", or the reason. */
static err_t *load_policy(settings_t *s, const char *key, const char *fallback,
                          settings_policy_t *ret_policy) {
    const char *text = NULL;
    settings_policy_t policy = {.revoke = true};
    TRY(conf_get_string(s->conf, "revocation", key, fallback, &text));
    if (bytes_eq_str(bytes_str(text), "no")) policy.revoke = false;
    else
        TRY_WRAP(crl_reason_parse(bytes_str(text), &policy.reason),
                 "coffer.conf: [revocation] %s is no, or a reason", key);
    /* A hold must be somebody's wish, since only a person can end it; the others are none. */
    if (policy.reason == CRL_REMOVE || policy.reason == CRL_CA_COMPROMISE ||
        policy.reason == CRL_HOLD)
        return err_new(ERR_INVALID, "coffer.conf: [revocation] %s: %s is no policy", key, text);
    *ret_policy = policy;
    return NULL;
}

static err_t *load_revocation(settings_t *s) {
    enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };
    static const char section[] = "revocation";
    conf_t *c = s->conf;
    TRY(conf_get_string(c, section, "url", "", &s->revocation_url));
    TRY(conf_get_duration(c, section, "crl_lifetime", HOUR_S, LIMIT_KEEPER_CRL_LIFETIME_S,
                          (int64_t)7 * DAY_S, &s->crl_lifetime_s));
    TRY(conf_get_duration(c, section, "crl_interval", MINUTE_S, LIMIT_KEEPER_CRL_LIFETIME_S, DAY_S,
                          &s->crl_every_s));
    TRY(conf_get_duration(c, section, "delta_interval", MINUTE_S, LIMIT_KEEPER_CRL_LIFETIME_S,
                          HOUR_S, &s->delta_every_s));
    TRY(conf_get_duration(c, section, "ocsp_lifetime", HOUR_S, LIMIT_KEEPER_OCSP_LIFETIME_S,
                          (int64_t)4 * DAY_S, &s->ocsp_lifetime_s));
    if (s->crl_every_s >= s->crl_lifetime_s || s->delta_every_s >= s->crl_lifetime_s)
        return err_new(ERR_INVALID, "coffer.conf: [revocation] lists would end before the next "
                                    "ones: make crl_lifetime longer");
    TRY(load_policy(s, "on_checkout", "cessationOfOperation", &s->on_checkout));
    TRY(load_policy(s, "on_erase", "cessationOfOperation", &s->on_erase));
    TRY(load_policy(s, "on_lost", "keyCompromise", &s->on_lost));
    return load_policy(s, "on_leave", "affiliationChanged", &s->on_leave);
}

err_t *settings_load(const char *dir, settings_t *ret_settings) {
    CLEANUP(settings_done) settings_t s = {0};
    CLEANUP(mem_free) char *path = NULL;
    char *real = realpath(dir, NULL);
    if (!real)
        return err_new(ERR_NOT_FOUND,
                       "there is no instance in %s: make one with coffer init --dir %s ...", dir,
                       dir);
    s.dir = real;
    TRY(file_path(s.dir, "coffer.conf", &path));
    err_t *e = conf_load_file(path, &s.conf);
    if (e && err_code(e) == ERR_NOT_FOUND)
        return err_wrap(e, "there is no instance in %s: make one with coffer init", dir);
    if (e) return e;
    TRY(conf_check_known(s.conf, known, sizeof known / sizeof known[0]));
    TRY(load_web(&s));
    TRY(load_enrol(&s));
    TRY(load_root_profiles(&s));
    TRY(load_limits(&s));
    TRY(load_mdm(&s));
    TRY(load_revocation(&s));
    TRY(settings_load_ldap(s.conf, &s.ldap));
    TRY(settings_load_mail(s.conf, &s.mail));
    TRY(settings_load_mailbox(s.conf, &s.mailbox));
    *ret_settings = s;
    s = (settings_t){0};
    return NULL;
}

void settings_done(settings_t *settings) {
    conf_free(settings->conf);
    mem_free(settings->dir);
    settings_ldap_done(&settings->ldap);
    mem_free(settings->manual_profiles);
    mem_free(settings->modern_profiles);
    mem_free(settings->mail_profiles);
    *settings = (settings_t){0};
}

err_t *settings_path(const settings_t *settings, const char *path, char **ret_path) {
    if (path[0] != '/') return file_path(settings->dir, path, ret_path);
    char *copy = mem_strdup(path);
    if (!copy) return err_nomem();
    *ret_path = copy;
    return NULL;
}
