/*
 * See mail_account_payload.h. Schema: mdm/profiles/com.apple.mail.managed. Any worker thread of
 * coffer-web.
 */
#include "device/mail_account_payload.h"

#include <string.h>

#include "base/mem.h"
#include "device/payload.h"

#define SUFFIX "coffer.mail.account"

typedef struct {
    const char *host, *port, *tls, *user, *authentication;
} side_t;

static const side_t incoming = {"IncomingMailServerHostName", "IncomingMailServerPortNumber",
                                "IncomingMailServerUseSSL", "IncomingMailServerUsername",
                                "IncomingMailServerAuthentication"};
static const side_t outgoing = {"OutgoingMailServerHostName", "OutgoingMailServerPortNumber",
                                "OutgoingMailServerUseSSL", "OutgoingMailServerUsername",
                                "OutgoingMailServerAuthentication"};

static err_t *add_side(plist_t *dict, const side_t *side, const mail_account_t *account,
                       const char *host, int64_t port, const char *user) {
    TRY(plist_set_string(dict, side->host, host));
    TRY(plist_set_int(dict, side->port, port));
    TRY(plist_set_bool(dict, side->tls, account->tls));
    TRY(plist_set_string(dict, side->user, user));
    return plist_set_string(dict, side->authentication, "EmailAuthPassword");
}

/* The device asks its owner for the password; nobody here knows it. */
static err_t *add_servers(plist_t *dict, const mail_account_t *account, const char *mailbox) {
    size_t before = bytes_find(bytes_str(mailbox), '@');
    CLEANUP(mem_free)
    char *user =
        account->local_part ? mem_printf("%.*s", (int)before, mailbox) : mem_strdup(mailbox);
    if (!user) return err_nomem();
    TRY(plist_set_string(dict, "EmailAccountType", "EmailTypeIMAP"));
    TRY(add_side(dict, &incoming, account, account->imap_host, account->imap_port, user));
    TRY(add_side(dict, &outgoing, account, account->smtp_host, account->smtp_port, user));
    return plist_set_bool(dict, "OutgoingPasswordSameAsIncomingPassword", true);
}

/* What the user may change is what he could do wrong without losing anything: the switch. */
static err_t *add_encryption(plist_t *dict, mail_encrypt_t encrypt, const char *key_uuid) {
    bool always = encrypt == MAIL_ENCRYPT_ALWAYS;
    TRY(plist_set_bool(dict, "SMIMEEncryptionEnabled", true));
    TRY(plist_set_string(dict, "SMIMEEncryptionCertificateUUID", key_uuid));
    TRY(plist_set_bool(dict, "SMIMEEncryptionCertificateUUIDUserOverrideable", false));
    TRY(plist_set_bool(dict, "SMIMEEncryptByDefault", encrypt != MAIL_ENCRYPT_OFFER));
    TRY(plist_set_bool(dict, "SMIMEEncryptByDefaultUserOverrideable", !always));
    return plist_set_bool(dict, "SMIMEEnableEncryptionPerMessageSwitch", !always);
}

/*
 * The signing identity lies in the management profile, and a payload names none of another profile:
 * its owner picks it.
 */
static err_t *add_signing(const devices_t *devices, plist_t *dict) {
    const char *profile = devices->o.signing_profile;
    if (!profile || !profile[0]) return NULL;
    TRY(plist_set_bool(dict, "SMIMESigningEnabled", true));
    TRY(plist_set_bool(dict, "SMIMESigningUserOverrideable", true));
    return plist_set_bool(dict, "SMIMESigningCertificateUUIDUserOverrideable", true);
}

err_t *mail_account_add(const devices_t *devices, const mail_account_owner_t *owner,
                        plist_t *array) {
    const mail_account_t *account = &devices->o.mail_account;
    char uuid[TEXT_UUID_SIZE];
    plist_t *dict = NULL;
    if (!mail_account_is_set(account)) return NULL;
    bool described = account->description && account->description[0];
    TRY(payload_stable_uuid(devices, SUFFIX, owner->person_id, uuid));
    TRY(plist_array_add_dict(array, &dict));
    TRY(payload_common(devices, dict, "com.apple.mail.managed", SUFFIX, "Mail account", NULL));
    TRY(plist_set_string(dict, "PayloadUUID", uuid));
    TRY(plist_set_string(dict, "EmailAccountDescription",
                         described ? account->description : devices->o.organisation));
    if (owner->name[0]) TRY(plist_set_string(dict, "EmailAccountName", owner->name));
    TRY(plist_set_string(dict, "EmailAddress", owner->mailbox));
    TRY(add_servers(dict, account, owner->mailbox));
    TRY(add_encryption(dict, account->encrypt, owner->key_uuid));
    return add_signing(devices, dict);
}
