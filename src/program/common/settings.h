/*
 * coffer.conf as the programs see it: every key that Coffer understands, with its default. Read
 * once at start; an unknown key is an error, so that a typing mistake is found at once.
 */
#ifndef COFFER_PROGRAM_SETTINGS_H
#define COFFER_PROGRAM_SETTINGS_H

#include "base/err.h"
#include "crypto/cms.h"
#include "crypto/crl.h"
#include "format/conf.h"
#include "program/common/settings_ldap.h"
#include "program/common/settings_mail.h"
#include "program/common/settings_mail_account.h"
#include "program/common/settings_mailbox.h"

/* Where to listen; address "" means: not at all. */
typedef struct {
    char address[64];
    uint16_t port;
} settings_listen_t;

/* What an event does to certificates. */
typedef struct {
    bool revoke;
    crl_reason_t reason;
} settings_policy_t;

typedef struct {
    conf_t *conf; /* owned; strings below are borrowed from it unless they say otherwise */
    char *dir;    /* owned: the instance's directory, absolute */

    /* [instance] */
    const char *organisation;
    const char *url;      /* https://host:port */
    bool require_sandbox; /* refuse to run without Landlock and seccomp */

    /* [web] */
    settings_listen_t listen;      /* HTTPS for everything */
    settings_listen_t http_listen; /* plain HTTP for what is signed */
    settings_listen_t mtls_listen; /* HTTPS that asks for client certificates, for MDM */
    const char *mtls_url;          /* how devices reach mtls_listen, or "" */
    int64_t workers;               /* threads that handle requests */
    int64_t per_address;           /* connections of one peer address on one listener */
    bool cheap_passwords;          /* tests only */

    /* [enrol] */
    const char *identity_profile;
    const char *signing_profile;  /* of a certificate for mail as well; "": none */
    const char *mail_key_profile; /* of keys that mail is encrypted to; "": none */
    bool mail_key_approved, mail_key_old_p12;
    mail_account_t mail_account; /* [mail_account] */
    bytes_t factory_cas;         /* list of PEM files, see conf_list_next */
    cms_cipher_t profile_cipher;

    /* [scep] */
    const char *scep_url; /* or "": url + /scep */
    bool scep_des3;
    bool scep_des;
    bool scep_sha1;
    int64_t challenge_ttl_s;
    int64_t rate;  /* requests a second of one peer address that cost a key; 0: no limit */
    int64_t burst; /* of them at once */
    const char *root_profiles[64]; /* certificate profiles that a SCEP client can't have */
    size_t root_profiles_n;
    int64_t renewal_window_s; /* 0: at any time */
    int64_t renewal_grace_s;
    int64_t clock_skew_s;
    int64_t pending_ttl_s;
    char *manual_profiles; /* owned: certificate profiles with approval = manual, one a line */
    char *modern_profiles; /* owned: those with old_ciphers = no */
    char *mail_profiles;   /* owned: those with purpose = sign or encrypt */

    /* [revocation] */
    const char *revocation_url; /* prefix in certificates, or "": the keeper finds one */
    int64_t crl_lifetime_s, crl_every_s, delta_every_s, ocsp_lifetime_s;
    settings_policy_t on_checkout, on_erase, on_lost, on_leave;

    /* [mdm] */
    bool sign_message;
    int64_t access_rights;
    bool check_out_when_removed;

    settings_ldap_t ldap;       /* [ldap] */
    settings_mail_t mail;       /* [mail] */
    settings_mailbox_t mailbox; /* [mailbox] */

    /* [push] */
    const char *push_url;         /* https://api.push.apple.com:443 */
    const char *push_certificate; /* PEM file, relative to dir; "" : pushing is off */
    const char *push_key;         /* PEM file */
    const char *push_ca;          /* PEM file, or "" for the system's */
    const char *push_topic;       /* or "": from the certificate */
} settings_t;

/* Loads DIR/coffer.conf. ERR_NOT_FOUND says how to make an instance. */
err_t *settings_load(const char *dir, settings_t *ret_settings) WARN_UNUSED;
void settings_done(settings_t *settings);

/* A path of the configuration: absolute as it is, else below the instance (mem_free). */
err_t *settings_path(const settings_t *settings, const char *path, char **ret_path) WARN_UNUSED;
/* "host:port", "[::1]:port"; empty text gives address "". */
err_t *settings_parse_listen(const char *text, settings_listen_t *ret_listen) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(settings_t, settings_done)

#endif
