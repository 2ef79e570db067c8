/*
 * The mail gateway's policy: see mail_policy.h.
 */
#include "program/common/mail_policy.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/mail_policy.h"

#define SECTION "mail_policy"
enum { ARENA = 64 * 1024 };

/* ---- names ---- */

static bool is_name(bytes_t text) {
    size_t at = bytes_find(text, '@');
    if (at == 0 || at + 1 == text.n) return false;
    bytes_t domain = at < text.n ? bytes_from(text, at + 1) : text;
    for (size_t i = 0; i < domain.n; i++) {
        uint8_t c = domain.p[i];
        bool ok =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c >= 0x80;
        if (!ok) return false;
    }
    return domain.n > 0 && text_printable(text) && bytes_find(text, ' ') == text.n;
}

err_t *mail_policy_name(bytes_t text, char out[MAIL_POLICY_NAME]) {
    static const bytes_t to = {(const uint8_t *)"to:", 3};
    char name[MAIL_POLICY_NAME];
    text = text_trim(text);
    if (text.n >= MAIL_POLICY_NAME || bytes_has_nul(text))
        return err_new(ERR_INVALID, "a policy's name is too long");
    bytes_put(name, text);
    name[text.n] = '\0';
    text_lower(name);
    bytes_t rest = bytes_str(name);
    if (bytes_starts(rest, to)) rest = bytes_from(rest, to.n);
    else if (bytes_eq_str(rest, "*")) rest = BYTES_LIT("any");
    if (!is_name(rest))
        return err_new(ERR_INVALID, "a policy is for * (everybody), a domain or an address; with "
                                    "to: before it for mail to them");
    memcpy(out, name, sizeof name);
    return NULL;
}

/* ---- coffer.conf ---- */

static err_t *load_rule(const settings_t *s, const char *section, gate_rule_t *rule) {
    const char *text = NULL;
    TRY(conf_get_string(s->conf, section, "encrypt", "", &text));
    TRY_WRAP(gate_rule_set(rule, BYTES_LIT("encrypt"), bytes_str(text)), "coffer.conf: [%s]",
             section);
    for (unsigned i = 0; i < GATE_FLAGS; i++) {
        const char *name = gate_flag_name((gate_flag_t)i);
        TRY(conf_get_string(s->conf, section, name, "", &text));
        TRY_WRAP(gate_rule_set(rule, bytes_str(name), bytes_str(text)), "coffer.conf: [%s]",
                 section);
    }
    return NULL;
}

static err_t *add_rule(const settings_t *s, const char *section, const char *name,
                       mail_policy_conf_t *conf) {
    if (conf->rules_n == LIMIT_MAIL_POLICIES)
        return err_new(ERR_LIMIT,
                       "coffer.conf: more than %d sections of mail_policy; the others "
                       "go into the store",
                       LIMIT_MAIL_POLICIES);
    mail_policy_rule_t *rule = &conf->rules[conf->rules_n];
    TRY_WRAP(mail_policy_name(bytes_str(name), rule->name), "coffer.conf: [%s]", section);
    TRY(load_rule(s, section, &rule->rule));
    conf->rules_n++;
    return NULL;
}

static err_t *load_domains(const settings_t *s, mail_policy_conf_t *conf) {
    bytes_t list, item;
    TRY(conf_get_list(s->conf, SECTION, "domains", NULL, &list));
    if (!list.n) TRY(conf_get_list(s->conf, "mailgate", "domains", NULL, &list));
    for (bytes_t rest = list; conf_list_next(&rest, &item);) conf->domains_n++;
    conf->domains = mem_array(conf->domains_n + 1, sizeof *conf->domains);
    if (!conf->domains) return err_nomem();
    for (size_t i = 0; conf_list_next(&list, &item); i++) {
        if (item.n >= sizeof *conf->domains)
            return err_new(ERR_INVALID, "coffer.conf: [" SECTION "] domains: too long");
        bytes_put(conf->domains[i], item);
        text_lower(conf->domains[i]);
    }
    return NULL;
}

static err_t *check_reports(const mail_policy_conf_t *c) {
    if (!c->report_address[0] == !c->report_mailbox[0]) return NULL;
    return err_new(ERR_INVALID,
                   "coffer.conf: [" SECTION "] report_address and report_mailbox belong together");
}

static err_t *load(const settings_t *s, mail_policy_conf_t *c) {
    const char *section = NULL, *name = NULL;
    size_t cursor = 0;
    c->rules = mem_array(LIMIT_MAIL_POLICIES, sizeof *c->rules);
    if (!c->rules) return err_nomem();
    TRY(add_rule(s, SECTION, "*", c));
    while (conf_next_named(s->conf, SECTION, &cursor, &section, &name))
        TRY(add_rule(s, section, name, c));
    TRY(load_domains(s, c));
    TRY(conf_get_string(s->conf, SECTION, "authserv_id", "", &c->authserv_id));
    TRY(conf_get_string(s->conf, SECTION, "report_address", "", &c->report_address));
    TRY(conf_get_string(s->conf, SECTION, "report_mailbox", "", &c->report_mailbox));
    TRY(conf_get_string(s->conf, SECTION, "tag_encrypt", "[encrypt]", &c->tag_encrypt));
    TRY(conf_get_string(s->conf, SECTION, "tag_plain", "[plain]", &c->tag_plain));
    TRY(conf_get_string(s->conf, SECTION, "organisation_certificate", "", &c->organisation));
    return check_reports(c);
}

err_t *mail_policy_conf_load(const settings_t *settings, mail_policy_conf_t *ret_conf) {
    CLEANUP(mail_policy_conf_done) mail_policy_conf_t conf = {0};
    TRY(load(settings, &conf));
    *ret_conf = conf;
    conf = (mail_policy_conf_t){0};
    return NULL;
}

void mail_policy_conf_done(mail_policy_conf_t *conf) {
    mem_free(conf->rules);
    mem_free(conf->domains);
    *conf = (mail_policy_conf_t){0};
}

/* ---- what holds ---- */

/* The names under which rules for an address stand, the least telling first. */
typedef struct {
    char level[3][MAIL_POLICY_NAME];
} names_t;

static void make_names(gate_scope_t scope, bytes_t address, names_t *names) {
    const char *to = scope == GATE_SCOPE_TO ? "to:" : "";
    size_t at = address.n;
    bool fits = address.n <= LIMIT_EMAIL && !bytes_has_nul(address);
    while (at && address.p[at - 1] != '@') at--;
    bytes_t domain = bytes_from(address, at);
    *names = (names_t){0};
    (void)snprintf(names->level[0], MAIL_POLICY_NAME, "%s*", to);
    if (!fits || !at) return;
    (void)snprintf(names->level[1], MAIL_POLICY_NAME, "%s%.*s", to, (int)domain.n,
                   (const char *)domain.p);
    (void)snprintf(names->level[2], MAIL_POLICY_NAME, "%s%.*s", to, (int)address.n,
                   (const char *)address.p);
    for (size_t i = 1; i < 3; i++) text_lower(names->level[i]);
}

typedef struct {
    arena_t *arena;
    const names_t *names;
    db_mail_policy_t *rows;
    size_t n;
} stored_t;

static err_t *read_rows(db_conn_t *conn, void *arg) {
    stored_t *s = arg;
    return db_mail_policy_of(conn, s->arena, s->names->level[0], s->names->level[1],
                             s->names->level[2], &s->rows, &s->n);
}

/* The file first, then the store, at each level. */
static err_t *apply(const mail_policy_conf_t *conf, const stored_t *stored, const char *name,
                    gate_rule_t *rule) {
    if (!name[0]) return NULL;
    for (size_t i = 0; i < conf->rules_n; i++)
        if (strcmp(conf->rules[i].name, name) == 0) gate_rule_apply(rule, &conf->rules[i].rule);
    for (size_t i = 0; i < stored->n; i++) {
        gate_rule_t over;
        if (strcmp(stored->rows[i].name, name) != 0) continue;
        TRY_WRAP(gate_rule_read(bytes_str(stored->rows[i].settings), &over),
                 "the stored mail policy of %s", name);
        gate_rule_apply(rule, &over);
    }
    return NULL;
}

err_t *mail_policy_find(const mail_policy_conf_t *conf, db_t *db, gate_scope_t scope,
                        bytes_t address, gate_rule_t *rule) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    names_t names;
    stored_t stored = {.names = &names};
    make_names(scope, address, &names);
    TRY(arena_new(ARENA, &arena));
    stored.arena = arena;
    TRY(db_read(db, read_rows, &stored));
    for (size_t i = 0; i < 3; i++) TRY(apply(conf, &stored, names.level[i], rule));
    return NULL;
}
