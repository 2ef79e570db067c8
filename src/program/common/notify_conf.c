/*
 * Reads [notify], [smtp] and [webhook NAME]: see notify_conf.h. At a program's start.
 */
#include "program/common/notify_conf.h"

#include "base/mem.h"
#include "notify/mail.h"

static err_t *load_admins(conf_t *c, notify_conf_t *n) {
    bytes_t list, item;
    size_t at = 0;
    TRY(conf_get_list(c, "notify", "admins", NULL, &list));
    n->admin_text = mem_zalloc(list.n + 2);
    if (!n->admin_text) return err_nomem();
    while (conf_list_next(&list, &item)) {
        char *address = n->admin_text + at;
        if (n->notify.admins_n == LIMIT_NOTICE_RECIPIENTS)
            return err_new(ERR_LIMIT, "coffer.conf: [notify] more than %d admins",
                           LIMIT_NOTICE_RECIPIENTS);
        bytes_put(address, item);
        at += item.n + 1; /* the comma's place holds the NUL */
        TRY_WRAP(mail_address_check(address), "coffer.conf: [notify] admins");
        n->admins[n->notify.admins_n++] = address;
    }
    return NULL;
}

static err_t *load_smtp(conf_t *c, notify_conf_t *n) {
    static const char *const levels[] = {"required", "if-there", "none", NULL};
    static const smtp_tls_t values[] = {SMTP_TLS_REQUIRED, SMTP_TLS_IF_THERE, SMTP_TLS_NONE};
    size_t level = 0;
    TRY(conf_get_string(c, "smtp", "url", "", &n->smtp_url));
    TRY(conf_get_string(c, "smtp", "from", "", &n->smtp_from));
    TRY(conf_get_string(c, "smtp", "user", "", &n->smtp_user));
    TRY(conf_get_string(c, "smtp", "password_file", "", &n->smtp_password_file));
    TRY(conf_get_string(c, "smtp", "ca", "", &n->smtp_ca));
    TRY(conf_get_choice(c, "smtp", "tls", levels, 0, &level));
    n->smtp_tls = values[level];
    n->notify.mail = n->smtp_url[0] != '\0';
    if (!n->notify.mail) return NULL;
    bytes_t url = bytes_str(n->smtp_url);
    bool smtps = bytes_starts(url, BYTES_LIT("smtps://"));
    if (!smtps && !bytes_starts(url, BYTES_LIT("smtp://")))
        return err_new(ERR_INVALID, "coffer.conf: [smtp] url is written smtp://host:587 or "
                                    "smtps://host:465");
    TRY_WRAP(mail_address_check(n->smtp_from), "coffer.conf: [smtp] from");
    if (!n->smtp_user[0] != !n->smtp_password_file[0])
        return err_new(ERR_INVALID, "coffer.conf: [smtp] user and password_file belong together");
    if (n->smtp_user[0] && !smtps && n->smtp_tls != SMTP_TLS_REQUIRED)
        return err_new(ERR_INVALID, "coffer.conf: [smtp] a password needs tls = required");
    return NULL;
}

static err_t *load_webhooks(conf_t *c, notify_conf_t *n) {
    const char *section = NULL, *name = NULL;
    size_t cursor = 0;
    while (conf_next_named(c, "webhook", &cursor, &section, &name)) {
        if (n->notify.webhooks_n == LIMIT_NOTICE_RECIPIENTS)
            return err_new(ERR_LIMIT, "coffer.conf: more than %d webhooks",
                           LIMIT_NOTICE_RECIPIENTS);
        webhook_conf_t *hook = &n->webhooks[n->notify.webhooks_n];
        hook->name = name;
        TRY(conf_need_string(c, section, "url", &hook->url));
        TRY(conf_need_string(c, section, "secret_file", &hook->secret_file));
        TRY(conf_get_string(c, section, "ca", "", &hook->ca));
        bytes_t url = bytes_str(hook->url);
        if (!bytes_starts(url, BYTES_LIT("https://")) && !bytes_starts(url, BYTES_LIT("http://")))
            return err_new(ERR_INVALID, "coffer.conf: [webhook %s] url is written https://...",
                           name);
        n->webhook_names[n->notify.webhooks_n++] = name;
    }
    return NULL;
}

err_t *notify_conf_load(const settings_t *settings, notify_conf_t *ret_conf) {
    notify_conf_t *n = ret_conf;
    *n = (notify_conf_t){.notify = {.instance = settings->url}};
    n->notify.admins = n->admins;
    n->notify.webhooks = n->webhook_names;
    err_t *e = load_admins(settings->conf, n);
    if (!e) e = load_smtp(settings->conf, n);
    if (!e) e = load_webhooks(settings->conf, n);
    if (e) notify_conf_done(n);
    return e;
}

void notify_conf_done(notify_conf_t *conf) {
    mem_free(conf->admin_text);
    *conf = (notify_conf_t){0};
}
