/*
 * coffer.conf for a new instance: see init_conf.h. docs/configuration.md tells the same at length.
 */
#include "program/coffer/init_conf.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "program/coffer/suggest.h"

enum { NAME_MAX_BYTES = 64, VALUE_MAX = 140 }; /* bytes; a line of coffer.conf has at most 194 */

const init_key_t INIT_KEYS[] = {
    {"instance", "organisation", "", "Shown to people and written into certificates."},
    {"instance", "url", "",
     "How devices and people reach this server. It is in every enrolled "
     "device: keep it."},
    {"instance", "require_sandbox", "yes",
     "Refuse to run where the kernel has no Landlock or seccomp."},
    {"web", "listen", "0.0.0.0:8443", "HTTPS for everything."},
    {"web", "http_listen", "0.0.0.0:8080",
     "Plain HTTP for SCEP and CA certificates alone (SCEP messages protect themselves).\n"
     "Without it there is no plain HTTP."},
    {"web", "mtls_listen", "0.0.0.0:8444",
     "HTTPS that asks devices for their certificate, instead of signed messages."},
    {"web", "mtls_url", "https://coffer.example.org:8444", "How devices reach mtls_listen."},
    {"web", "workers", "32", "Threads that handle requests."},
    {"web", "per_address", "1024",
     "Connections of one address; more where many devices come through one (NAT, a proxy)."},
    {"web", "cheap_passwords", "",
     "For tests only: hashes passwords so cheaply that they can be guessed."},
    {"enrol", "identity_profile", "device-identity",
     "The certificate profile of devices' identities."},
    {"enrol", "signing_profile", "mail-signing",
     "Another certificate profile: devices get a certificate for signing mail as well."},
    {"enrol", "mail_key_profile", "mail-encrypt",
     "Devices get the keys that their person's mail is encrypted to, kept by the keeper."},
    {"enrol", "factory_ca", "factory-ca.pem",
     "PEM files (separated by commas) of the CAs that sign devices' factory certificates.\n"
     "Without one no device can enrol."},
    {"enrol", "profile_cipher", "aes256",
     "How phase 3 encrypts profiles to a device: aes256, aes128, 3des."},
    {"scep", "url", "http://coffer.example.org:8080/scep",
     "What devices are told; without it the URL with /scep."},
    {"scep", "allow_3des", "yes", "Old SCEP clients encrypt with nothing better."},
    {"scep", "allow_des", "no",
     "Very old SCEP clients encrypt with single DES, which is no protection: their challenge can\n"
     "be read by who listens. Debian's scepclient needs this and allow_sha1."},
    {"scep", "allow_sha1", "no", "Very old SCEP clients sign with nothing better."},
    {"scep", "challenge_lifetime", "1h", "How long a one-time challenge is good."},
    {"scep", "rate", "10",
     "SCEP requests, log-ins and enrolments a second of one address; 0: no limit."},
    {"scep", "burst", "100", "How many of them may come at once."},
    {"scep", "renewal_window", "90d", "How long before its expiry a certificate may be renewed."},
    {"scep", "renewal_grace", "0d", "How long after its expiry it still may."},
    {"scep", "clock_skew", "1d", "How far a client's clock may be off."},
    {"scep", "pending_lifetime", "7d", "How long a request waits for a person's approval."},
    {"revocation", "url", "http://coffer.example.org:8080",
     "Where lists and OCSP are fetched: written into every certificate. Without it the URL of\n"
     "SCEP without /scep, or the instance's."},
    {"revocation", "crl_lifetime", "7d", "How long a revocation list is good."},
    {"revocation", "crl_interval", "1d", "How often full lists are issued at least."},
    {"revocation", "delta_interval", "1h", "How often delta lists are issued at least."},
    {"revocation", "ocsp_lifetime", "4d", "How long an OCSP status is good."},
    {"revocation", "on_checkout", "cessationOfOperation",
     "Why certificates are revoked when a device leaves management, or no."},
    {"revocation", "on_erase", "cessationOfOperation", "When a device was erased by command."},
    {"revocation", "on_lost", "keyCompromise", "By coffer device lost."},
    {"revocation", "on_leave", "affiliationChanged", "By coffer user disable --left."},
    {"mdm", "sign_message", "yes", "Devices sign their messages (Mdm-Signature); no: mutual TLS."},
    {"mdm", "access_rights", "8191", "What the server may do; 8191 is everything."},
    {"mdm", "check_out_when_removed", "yes", "A device tells when the profile is removed."},
    {"mailbox", "imap_ca", "imap/ca.pem",
     "Trust this CA for IMAP servers of watched mailboxes instead of the system's."},
    {"mailbox", "reconcile", "15m", "Look at watched mailboxes so often, whatever servers say."},
    {"push", "certificate", "push/cert.pem",
     "The APNs certificate for MDM and its key, PEM. Without them pushing is off and devices\n"
     "obey only when they call by themselves."},
    {"push", "key", "push/key.pem", "The certificate's private key."},
    {"push", "url", "https://api.push.apple.com:443", "Apple's push service."},
    {"push", "ca", "push/ca.pem", "Trust this CA for it instead of the system's."},
    {"push", "topic", "com.apple.mgmt.External.example",
     "The topic of pushes; without it the UID in the certificate's subject."},
    {"notify", "admins", "it@example.org",
     "Who gets what concerns admins (separated by commas); without it everybody with that role."},
    {"smtp", "url", "smtp://mail.example.org:587",
     "The mail server for notices: smtp://host:587 or smtps://host:465. Without it no mails."},
    {"smtp", "from", "coffer@example.org", "The sender's address."},
    {"smtp", "tls", "required", "STARTTLS: required, if-there, none."},
    {"smtp", "user", "coffer", "To log in with."},
    {"smtp", "password_file", "smtp-password",
     "Its password, in a file that only Coffer may read."},
    {"smtp", "ca", "mail-ca.pem", "Trust this CA for it instead of the system's."},
    {"expiry", "notices", "60, 30, 14, 7, 1",
     "Days before a certificate's end at which notices go, once each."},
    {"expiry", "interval", "6h", "How often everything watched is looked at."},
    {"expiry", "holders", "yes", "Holders get a mail about their own certificates."},
    {"expiry", "brake", "1000",
     "More certificates than these at once are held back, and an alarm goes instead."},
    {"ldap", "url", "ldaps://dc1.example.org, ldaps://dc2.example.org",
     "People from LDAP or Active Directory: servers, tried in order."},
    {"ldap", "starttls", "no", "TLS by StartTLS, for ldap://."},
    {"ldap", "insecure", "no", "Allow ldap:// without TLS, to this machine alone."},
    {"ldap", "ca", "ldap/ca.pem", "Trust this CA for them instead of the system's."},
    {"ldap", "bind_dn", "cn=coffer,dc=example,dc=org", "Whom to search as."},
    {"ldap", "bind_password_file", "ldap/password", "File with the password, mode 0600."},
    {"ldap", "base", "dc=example,dc=org", "Where to search."},
    {"ldap", "user_base", "ou=people,dc=example,dc=org",
     "Where people are, if not the whole base."},
    {"ldap", "group_base", "ou=groups,dc=example,dc=org", "Where groups are."},
    {"ldap", "schema", "rfc2307",
     "rfc2307, or ad for Active Directory: sets the defaults of what follows."},
    {"ldap", "user_filter", "(&(objectClass=inetOrgPerson)(mail=*))", "Which entries are people."},
    {"ldap", "group_filter", "(objectClass=groupOfNames)", "Which entries are groups."},
    {"ldap", "id_attribute", "entryUUID", "What stays when an entry is renamed."},
    {"ldap", "mail_attribute", "mail", "A person's address."},
    {"ldap", "name_attribute", "cn", "A person's name."},
    {"ldap", "login_attribute", "uid", "A person's short name."},
    {"ldap", "login_names", "mail", "What a person may type at log-in."},
    {"ldap", "groups", "member",
     "member: groups name people; memberof: people's entries name groups."},
    {"ldap", "nested_groups", "no", "Groups in groups; Active Directory alone."},
    {"ldap", "admin_groups", "cn=coffer-admins,ou=groups,dc=example,dc=org",
     "Whose members are admins; several are separated by ;."},
    {"ldap", "member_groups", "cn=staff,ou=groups,dc=example,dc=org",
     "Whose members may enrol; without it everyone may."},
    {"ldap", "page_size", "500", "Entries asked for at once."},
    {"ldap", "timeout", "10s", "For connecting and for each answer."},
    {"ldap", "sync_interval", "1h",
     "How often people are made as the directory has them; 0s: by hand."},
    {"ldap", "brake", "20", "Percent of people that may vanish by one sync."},
    {"ldap", "publish", "device-identity",
     "Certificate profiles whose certificates are put into people's entries."},
    {"ldap", "certificate_attributes", "userCertificate;binary, userSMIMECertificate", "Where to."},
    {"mailgate", "listen_out", "127.0.0.1:10025",
     "The mail gateway: where mail of our people comes in (docs/guides/mail-gateway.md). Off by "
     "default."},
    {"mailgate", "listen_in", "127.0.0.1:10026", "Where mail for our people comes in."},
    {"mailgate", "next_out", "smtp:127.0.0.1:10027",
     "Where it goes on to: smtp:host:port, smtps:host:port, lmtp:host:port, lmtp:unix:/path."},
    {"mailgate", "next_in", "lmtp:unix:/var/run/dovecot/lmtp", "The same for mail to our people."},
    {"mailgate", "next_out_tls", "verify",
     "verify: TLS with a verified certificate; none: for this machine's addresses alone."},
    {"mailgate", "next_in_tls", "verify", "The same for next_in."},
    {"mailgate", "next_out_name", "mail.example.org",
     "The name that its certificate must have, if not the host's."},
    {"mailgate", "next_in_name", "mail.example.org", "The same for next_in."},
    {"mailgate", "next_out_ca", "mail-ca.pem", "Trust this CA for it instead of the system's."},
    {"mailgate", "next_in_ca", "mail-ca.pem", "The same for next_in."},
    {"mailgate", "clients_out", "127.0.0.0/8, ::1",
     "Whose mail is taken on listen_out: networks, separated by commas."},
    {"mailgate", "clients_in", "127.0.0.0/8, ::1", "The same for listen_in."},
    {"mailgate", "domains", "example.org, example.com",
     "Recipients' domains that listen_in takes; without it any."},
    {"mailgate", "xforward_clients", "127.0.0.0/8, ::1",
     "Who is believed about his clients (XFORWARD)."},
    {"mailgate", "certificate", "tls/cert.pem", "The listeners' TLS certificate, PEM."},
    {"mailgate", "key", "tls/key.pem", "Its key."},
    {"mailgate", "listen_out_tls", "starttls",
     "off, starttls (offered), required, implicit (from the first byte)."},
    {"mailgate", "listen_in_tls", "starttls", "The same for listen_in."},
    {"mailgate", "hostname", "gate.example.org",
     "How the gateway calls itself; without it the machine's name."},
    {"mailgate", "spool", "mailgate",
     "Directory for messages on their way and for what is remembered of deliveries."},
    {"mailgate", "spool_max", "1073741824", "Bytes of messages on their way at once."},
    {"mailgate", "max_message", "52428800", "Bytes of one message."},
    {"mailgate", "max_recipients", "1000", "Recipients of one message."},
    {"mailgate", "connections", "4096", "Clients at once."},
    {"mailgate", "per_client", "500", "Of them from one address."},
    {"mailgate", "workers", "16", "Messages that are treated and delivered at once."},
    {"mailgate", "timeout", "5m", "Patience with a silent client."},
    {"mailgate", "next_timeout", "5m", "Patience with each answer of a next hop."},
    {"mailgate", "delivery_timeout", "5m",
     "Patience with its answer to a whole message; less than the sender's own."},
    {"sync", "enabled", "no", "Serve the sync of files (docs/guides/file-service.md)."},
    {"sync", "keep_versions", "90d",
     "How long versions stay that a newer one replaced, and files that were deleted."},
    {"sync", "upload_grace", "7d", "How long data stay that nobody committed."},
    {"sync", "may_sync", "yes", "People may sync; sections [sync_policy NAME] say it for some."},
    {"sync", "may_share", "yes", "They may share with people of the organisation."},
    {"sync", "may_share_outside", "no", "They may make links for outsiders."},
    {"sync", "quota", "50G", "Of each person; without it or with 0 there is none."},
    {"sync", "folders", "Work, Patients",
     "Names at the top of a region that may be synced; without it all."},
    {"sync_storage", "quorum", "1",
     "How many stores must have a blob before it counts; without it more than half of them."},
    {"sync_storage", "grace", "7d",
     "How long a blob that nobody needs is kept: longer than the time between two backups."},
    {"sync_storage", "orphan_grace", "30d",
     "Age at which an object in a store that belongs to no blob is removed."},
    {"sync_storage", "scrub_interval", "30d", "How often every copy is read and checked."},
    {"sync_storage", "scrub_rate", "20", "MiB a second that a scrub reads at most."},
    {"keeper", "master_key", "file", "Where the vault's master key comes from: file."},
    {"keeper", "workers", "0", "Threads of the key process; 0: one a core."},
    {"keeper", "takes_per_day", "20000", "Secrets of a kind taken from devices in 24 hours."},
};
const size_t INIT_KEYS_N = sizeof INIT_KEYS / sizeof INIT_KEYS[0];

static const char head[] =
    "# The configuration of this instance of Coffer. coffer.conf(5) and docs/configuration.md\n"
    "# explain it. A line begun with # is a comment; what is commented out below is the default\n"
    "# or an example. Paths are relative to this directory. After a change: restart cofferd.\n";

static const char tail[] =
    "\n"
    "# Certificate profiles: the rules under which the key process certifies. Built in are\n"
    "# device-identity, scep-client, tls-server, mail-signing, mail-encrypt; a section changes\n"
    "# one or makes a new one.\n"
    "#[certificate-profile scep-client]\n"
    "# auth, sign, encrypt (mail) or server; decides the other defaults.\n"
    "#purpose = auth\n"
    "# device or root\n"
    "#ca = device\n"
    "# Keys that are accepted: rsa:MIN-MAX, p256, p384.\n"
    "#keys = rsa:2048-4096, p256\n"
    "#validity = 365d\n"
    "# digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, keyAgreement\n"
    "#key_usage = digitalSignature, keyEncipherment\n"
    "# serverAuth, clientAuth, codeSigning, emailProtection, ocspSigning, or a dotted OID\n"
    "#eku = clientAuth\n"
    "# What may stand in the subject, and what must.\n"
    "#subject = CN, O, OU, UID, serialNumber\n"
    "#subject_required = CN\n"
    "# Kinds of subjectAltName: email, dns, uri, upn, ip, none.\n"
    "#names = email, dns, uri, upn\n"
    "# What the linter demands: rfc5280; for mail smime-strict or smime-multipurpose.\n"
    "#rules = rfc5280\n"
    "#approval = automatic\n"
    "#old_ciphers = yes\n"
    "\n"
    "# Where the ciphertext of synced files lies, a section a copy; without any in blobs/.\n"
    "#[sync_store first]\n"
    "# disk or s3 (docs/guides/file-stores.md)\n"
    "#kind = disk\n"
    "#path = /srv/coffer-files\n"
    "\n"
    "# Notices by HTTP: JSON, signed with the secret in a file (docs/guides/expiry.md).\n"
    "#[webhook chat]\n"
    "#url = https://chat.example.org/hook\n"
    "#secret_file = chat-secret\n"
    "\n"
    "# Certificates from elsewhere to watch: file:PATH, tls:HOST:PORT[,starttls=smtp|imap|ldap]\n"
    "#[watch intranet]\n"
    "#target = tls:intranet.example.org:443\n"
    "\n"
    "# Programs that run for notices about certificates that end, with JSON on standard input.\n"
    "#[action ticket]\n"
    "#run = /usr/local/lib/coffer/ticket\n"
    "#timeout = 1m\n";

static const init_key_t *find_key(const char *name) {
    const char *dot = strchr(name, '.');
    for (size_t i = 0; dot && i < INIT_KEYS_N; i++) {
        size_t n = (size_t)(dot - name);
        if (strlen(INIT_KEYS[i].section) == n && memcmp(INIT_KEYS[i].section, name, n) == 0 &&
            strcmp(INIT_KEYS[i].key, dot + 1) == 0)
            return &INIT_KEYS[i];
    }
    return NULL;
}

static err_t *unknown_key(const char *name) {
    char names[sizeof INIT_KEYS / sizeof INIT_KEYS[0]][NAME_MAX_BYTES];
    suggest_t suggest;
    suggest_init(&suggest, name);
    for (size_t i = 0; i < INIT_KEYS_N; i++) {
        (void)snprintf(names[i], sizeof names[i], "%s.%s", INIT_KEYS[i].section, INIT_KEYS[i].key);
        suggest_offer(&suggest, names[i]);
    }
    if (suggest.best)
        return err_new(ERR_USAGE, "coffer.conf has no \"%s\": did you mean %s?", name,
                       suggest.best);
    return err_new(ERR_USAGE, "coffer.conf has no \"%s\": a key is written SECTION.KEY", name);
}

err_t *init_conf_set(init_values_t *values, const char *name, const char *value) {
    const init_key_t *key = find_key(name);
    bytes_t v = bytes_str(value);
    if (!key) return unknown_key(name);
    if (v.n == 0 || v.n > VALUE_MAX || !text_printable(v) || text_trim(v).n != v.n)
        return err_new(ERR_USAGE,
                       "the value of %s must have 1 to %d printable bytes, without blanks around",
                       name, VALUE_MAX);
    for (size_t i = 0; i < values->n; i++) {
        if (values->sets[i].key != key) continue;
        values->sets[i].value = value;
        return NULL;
    }
    if (values->n == INIT_SETS_MAX) return err_new(ERR_USAGE, "too many values");
    values->sets[values->n++] = (init_set_t){key, value};
    return NULL;
}

static const char *value_of(const init_values_t *values, const init_key_t *key) {
    for (size_t i = 0; i < values->n; i++)
        if (values->sets[i].key == key) return values->sets[i].value;
    return NULL;
}

static err_t *write_help(const char *help, buf_t *out) {
    bytes_t rest = bytes_str(help), line;
    while (text_split(&rest, '\n', &line))
        TRY(buf_printf(out, "# %.*s\n", (int)line.n, (const char *)line.p));
    return NULL;
}

err_t *init_conf_write(const init_values_t *values, buf_t *out) {
    const char *section = "";
    TRY(buf_add_str(out, head));
    for (size_t i = 0; i < INIT_KEYS_N; i++) {
        const init_key_t *key = &INIT_KEYS[i];
        const char *value = value_of(values, key);
        if (!value && !key->shown[0]) continue; /* for tests only */
        if (strcmp(section, key->section) != 0) TRY(buf_printf(out, "\n[%s]\n", key->section));
        section = key->section;
        TRY(write_help(key->help, out));
        if (value) TRY(buf_printf(out, "%s = %s\n", key->key, value));
        else TRY(buf_printf(out, "#%s = %s\n", key->key, key->shown));
    }
    return buf_add_str(out, tail);
}
