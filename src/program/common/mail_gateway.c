/*
 * The gate of an instance: see mail_gateway.h.
 */
#include "program/common/mail_gateway.h"

#include "base/file.h"
#include "base/mem.h"
#include "program/common/mail_gateway_internal.h"

enum { PEM_MAX = 64 * 1024, RULES = 2048, SIGNERS = 1024 };

/* ---- services ---- */

static err_t *on_policy(void *arg, gate_scope_t scope, bytes_t address, gate_rule_t *rule) {
    const mail_gateway_t *g = arg;
    uint8_t key[MEMO_KEY_MAX];
    memo_stamp_t stamp = {0};
    gate_rule_t over = {0};
    if (address.n >= sizeof key) return mail_policy_find(&g->conf, g->db, scope, address, rule);
    key[0] = (uint8_t)scope;
    bytes_put(key + 1, address);
    const bytes_t name = bytes_make(key, address.n + 1);
    TRY(db_version(g->db, &stamp.version));
    if (!memo_get(g->rules, name, stamp, &over)) {
        TRY(mail_policy_find(&g->conf, g->db, scope, address, &over));
        memo_put(g->rules, name, stamp, &over);
    }
    gate_rule_apply(rule, &over);
    return NULL;
}

static err_t *on_recipients(void *arg, const bytes_t *addresses, size_t n, int64_t at,
                            mail_recipients_t *ret_list) {
    const mail_gateway_t *g = arg;
    return mail_recipients_find(mailbook_book(g->book), addresses, n, BYTES_NONE, at, ret_list);
}

static err_t *on_trust(void *arg, bytes_t from, cert_list_t *ret_roots,
                       cert_list_t *ret_intermediates) {
    return mailbook_trust(((mail_gateway_t *)arg)->book, from, ret_roots, ret_intermediates);
}

static err_t *on_revoked(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked) {
    return mailbook_revoked(((mail_gateway_t *)arg)->book, cert, at, ret_revoked);
}

static err_t *on_harvest(void *arg, const mail_verdict_t *verdict) {
    mailbook_learned_t learned;
    return mailbook_harvest(((mail_gateway_t *)arg)->book, verdict, "mailgate", &learned);
}

static err_t *on_new_file(void *arg, int *ret_fd) {
    const mail_gateway_t *g = arg;
    return g->o.files.new_file(g->o.files.arg, ret_fd);
}

static err_t *on_take_room(void *arg, uint64_t bytes) {
    return spool_files_take(&((mail_gateway_t *)arg)->o.files, bytes);
}

static void on_give_room(void *arg, uint64_t bytes) {
    spool_files_give(&((mail_gateway_t *)arg)->o.files, bytes);
}

/* ---- making ---- */

static err_t *read_cert(const settings_t *settings, const char *name, cert_t **ret_cert) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, PEM_MAX);
    TRY(settings_path(settings, name, &path));
    TRY(file_read(path, &pem));
    TRY_WRAP(cert_parse_pem(buf_bytes(&pem), ret_cert), "%s", path);
    return NULL;
}

static const char *or_null(const char *text) { return text[0] ? text : NULL; }

static err_t *set_options(mail_gateway_t *g) {
    const mail_policy_conf_t *c = &g->conf;
    g->domains = mem_array(c->domains_n + 1, sizeof *g->domains);
    if (!g->domains) return err_nomem();
    for (size_t i = 0; i < c->domains_n; i++) g->domains[i] = c->domains[i];
    g->options = (gate_options_t){
        .rnd = rnd_real(),
        .clk = g->o.clk,
        .authserv_id = c->authserv_id[0] ? c->authserv_id : g->o.hostname,
        .domains = g->domains,
        .domains_n = c->domains_n,
        .report_address = or_null(c->report_address),
        .report_mailbox = or_null(c->report_mailbox),
        .tag_encrypt = or_null(c->tag_encrypt),
        .tag_plain = or_null(c->tag_plain),
        .max = g->o.max_message * 2,
        .room = g->o.room,
    };
    return NULL;
}

static void set_services(mail_gateway_t *g) {
    g->services = (gate_services_t){
        .policy = on_policy,
        .recipients = on_recipients,
        .allowed = mailbook_algorithms(g->book),
        .organisation = g->organisation,
        .sign = mail_gateway_sign,
        .find_key = mail_gateway_find_key,
        .unwrap = mail_gateway_unwrap,
        .trust = on_trust,
        .revoked = on_revoked,
        .harvest = on_harvest,
        .new_file = on_new_file,
        .take_room = on_take_room,
        .give_room = on_give_room,
        .arg = g,
    };
}

err_t *mail_gateway_new(const mail_gateway_options_t *options, mail_gateway_t **ret_gateway) {
    CLEANUP(mail_gateway_free) mail_gateway_t *g = mem_zalloc(sizeof *g);
    if (!g) return err_nomem();
    g->o = *options;
    TRY(mail_policy_conf_load(options->settings, &g->conf));
    TRY(mailbook_new(options->settings, options->clk, &g->book));
    TRY(read_cert(options->settings, "public/root.pem", &g->root));
    TRY(read_cert(options->settings, "public/mail-ca.pem", &g->mail_ca));
    if (g->conf.organisation[0])
        TRY_WRAP(read_cert(options->settings, g->conf.organisation, &g->organisation),
                 "[mail_policy] organisation_certificate");
    TRY(memo_new(&(memo_options_t){.slots = RULES, .size = sizeof(gate_rule_t)}, &g->rules));
    TRY(memo_new(&(memo_options_t){.slots = SIGNERS, .size = sizeof(int64_t)}, &g->signers));
    TRY(set_options(g));
    set_services(g);
    TRY(gate_new(&g->options, &g->services, &g->gate));
    *ret_gateway = STEAL(g);
    return NULL;
}

void mail_gateway_free(mail_gateway_t *g) {
    if (!g) return;
    gate_free(g->gate);
    mailbook_free(g->book);
    memo_free(g->rules);
    memo_free(g->signers);
    cert_free(g->root);
    cert_free(g->mail_ca);
    cert_free(g->organisation);
    mem_free(g->domains);
    mail_policy_conf_done(&g->conf);
    mem_free(g);
}

const char *mail_gateway_lists(const mail_gateway_t *g) { return mailbook_lists(g->book); }

err_t *mail_gateway_open(mail_gateway_t *g, db_t *db, const audit_t *audit, keeper_t *keeper) {
    g->db = db;
    g->keeper = keeper;
    return mailbook_open(
        g->book,
        &(mailbook_sources_t){.db = db, .audit = audit, .root = g->root, .mail_ca = g->mail_ca});
}

const gate_t *mail_gateway_gate(const mail_gateway_t *g) { return g->gate; }
