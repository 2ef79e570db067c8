/*
 * Who may sync what: see sync_conf.h. At start one thread, then any.
 */
#include "program/common/sync_conf.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/mail_book.h"

#define SECTION "sync"

enum { DAY_S = 86400, KEEP_S = 90 * DAY_S, GRACE_S = 7 * DAY_S, NOT_SAID = -1 };
/* A section's name has at most 48 bytes, an id 64 digits: its beginning is enough. */
enum { DEVICE_LEAST = 16 };

/* ---- reading ---- */

err_t *sync_conf_size(bytes_t text, int64_t *ret_bytes) {
    static const char units[] = "KMGT";
    uint64_t value = 0;
    unsigned shift = 0;
    text = text_trim(text);
    const char *unit = text.n ? strchr(units, text.p[text.n - 1]) : NULL;
    if (unit && *unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        text = bytes_slice(text, 0, text.n - 1);
    }
    TRY(text_u64(text, (uint64_t)INT64_MAX >> shift, &value));
    *ret_bytes = (int64_t)(value << shift);
    return NULL;
}

static err_t *load_flag(conf_t *conf, const char *section, const char *key, int fallback,
                        int *ret_flag) {
    const char *text = NULL;
    bool flag = false;
    TRY(conf_get_string(conf, section, key, NULL, &text));
    *ret_flag = fallback;
    if (!text) return NULL;
    TRY(conf_get_bool(conf, section, key, false, &flag));
    *ret_flag = flag;
    return NULL;
}

static err_t *load_folders(conf_t *conf, const char *section, sync_rule_t *rule) {
    const char *text = NULL;
    bytes_t list, item;
    CLEANUP(buf_done) buf_t names;
    buf_init(&names, 64 * 1024);
    TRY(conf_get_string(conf, section, "folders", NULL, &text));
    if (!text) return NULL;
    TRY(conf_get_list(conf, section, "folders", NULL, &list));
    while (conf_list_next(&list, &item)) {
        if (bytes_find(item, '/') != item.n || !text_printable(item))
            return err_new(ERR_INVALID, "coffer.conf: [%s] folders: names without '/'", section);
        if (names.n) TRY(buf_add_byte(&names, '\n'));
        TRY(buf_add(&names, item));
    }
    return buf_steal_str(&names, &rule->folders);
}

static err_t *load_rule(conf_t *conf, const char *section, bool first, sync_rule_t *rule) {
    const char *quota = NULL;
    TRY(load_flag(conf, section, "may_sync", first ? 1 : NOT_SAID, &rule->may_sync));
    TRY(load_flag(conf, section, "may_share", first ? 1 : NOT_SAID, &rule->may_share));
    /* Out of the organisation only where somebody says so. */
    TRY(load_flag(conf, section, "may_share_outside", first ? 0 : NOT_SAID,
                  &rule->may_share_outside));
    TRY(conf_get_string(conf, section, "quota", first ? "0" : NULL, &quota));
    rule->quota = NOT_SAID;
    if (quota)
        TRY_WRAP(sync_conf_size(bytes_str(quota), &rule->quota), "coffer.conf: [%s] quota",
                 section);
    return load_folders(conf, section, rule);
}

/* A domain, an address, "group:ADDRESS", "device:HEX". */
static err_t *add_policy(conf_t *conf, const char *section, const char *name, sync_conf_t *out) {
    if (out->rules_n == LIMIT_SYNC_POLICIES)
        return err_new(ERR_LIMIT, "coffer.conf: more than %d sections of sync_policy",
                       LIMIT_SYNC_POLICIES);
    sync_rule_t *rule = &out->rules[out->rules_n++];
    int n = snprintf(rule->name, sizeof rule->name, "%s", name);
    if (n <= 0 || (size_t)n >= sizeof rule->name || !text_printable(bytes_str(name)) ||
        strchr(name, ' '))
        return err_new(ERR_INVALID,
                       "coffer.conf: [%s]: it is for a domain, an address, group:ADDRESS or "
                       "device:ID",
                       section);
    text_lower(rule->name);
    if (strncmp(rule->name, "device:", 7) == 0 &&
        (strlen(rule->name + 7) < DEVICE_LEAST ||
         strspn(rule->name + 7, "0123456789abcdef") != strlen(rule->name + 7)))
        return err_new(ERR_INVALID, "coffer.conf: [%s]: a device is its id's first %d digits",
                       section, DEVICE_LEAST);
    return load_rule(conf, section, false, rule);
}

/* Off unless it says which key: a device's id. */
static err_t *load_recovery(conf_t *conf, sync_conf_t *out) {
    CLEANUP(buf_done) buf_t id;
    const char *text = NULL;
    buf_init(&id, 2 * SYNC_HASH);
    TRY(conf_get_string(conf, SECTION, "recovery", NULL, &text));
    if (!text || strcmp(text, "off") == 0) return NULL;
    err_t *e = strlen(text) == 2 * (size_t)SYNC_HASH ? text_unhex(bytes_str(text), &id) : NULL;
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (id.n != SYNC_HASH)
        return err_new(ERR_INVALID, "coffer.conf: [" SECTION "] recovery: off, or the id that "
                                    "coffer sync recovery-key showed");
    bytes_put(out->recovery, buf_bytes(&id));
    out->has_recovery = true;
    return NULL;
}

static err_t *load(conf_t *conf, sync_conf_t *out) {
    const char *section = NULL, *name = NULL;
    out->rules = mem_array(LIMIT_SYNC_POLICIES, sizeof *out->rules);
    if (!out->rules) return err_nomem();
    TRY(conf_get_bool(conf, SECTION, "enabled", false, &out->enabled));
    TRY(conf_get_duration(conf, SECTION, "keep_versions", 0, 3650LL * DAY_S, KEEP_S, &out->keep_s));
    TRY(conf_get_duration(conf, SECTION, "upload_grace", 3600, 365LL * DAY_S, GRACE_S,
                          &out->grace_s));
    TRY(load_recovery(conf, out));
    out->rules_n = 1;
    TRY(load_rule(conf, SECTION, true, &out->rules[0]));
    for (size_t cursor = 0; conf_next_named(conf, "sync_policy", &cursor, &section, &name);)
        TRY(add_policy(conf, section, name, out));
    return NULL;
}

void sync_conf_done(sync_conf_t *conf) {
    for (size_t i = 0; i < conf->rules_n; i++) mem_free(conf->rules[i].folders);
    mem_free(conf->rules);
    *conf = (sync_conf_t){0};
}

err_t *sync_conf_load(const settings_t *settings, sync_conf_t *ret_conf) {
    CLEANUP(sync_conf_done) sync_conf_t out = {0};
    TRY(load(settings->conf, &out));
    *ret_conf = out;
    out = (sync_conf_t){0};
    return NULL;
}

/* ---- asking ---- */

static void apply(sync_policy_t *policy, const sync_rule_t *rule) {
    if (rule->may_sync >= 0) policy->may_sync = rule->may_sync;
    if (rule->may_share >= 0) policy->may_share = rule->may_share;
    if (rule->may_share_outside >= 0) policy->may_share_outside = rule->may_share_outside;
    if (rule->quota >= 0) policy->quota = rule->quota;
    if (rule->folders) policy->folders = rule->folders[0] ? rule->folders : NULL;
}

static bool has_group(const char *group, const char *email, db_conn_t *conn, arena_t *arena,
                      err_t **e) {
    db_mail_member_t *rows = NULL;
    size_t n = 0;
    *e = db_mail_groups_of(conn, arena, group, LIMIT_LIST_PAGE, &rows, &n);
    for (size_t i = 0; !*e && i < n; i++)
        if (strcmp(rows[i].member, email) == 0) return true;
    return false;
}

/* Does the rule of this rank (1 domain, 2 group, 3 address, 4 device) hold? */
static err_t *holds(const sync_rule_t *rule, unsigned rank, db_conn_t *conn, arena_t *arena,
                    const char *email, const char *device, bool *ret_holds) {
    static const char group[] = "group:", dev[] = "device:";
    const char *at = strchr(email, '@');
    bool is_group = strncmp(rule->name, group, sizeof group - 1) == 0;
    bool is_device = strncmp(rule->name, dev, sizeof dev - 1) == 0;
    err_t *e = NULL;
    *ret_holds = false;
    if (is_group) {
        if (rank == 2)
            *ret_holds = has_group(rule->name + sizeof group - 1, email, conn, arena, &e);
    } else if (is_device) {
        const char *id = rule->name + sizeof dev - 1;
        *ret_holds = rank == 4 && device && strncmp(device, id, strlen(id)) == 0;
    } else if (strchr(rule->name, '@')) {
        *ret_holds = rank == 3 && strcmp(rule->name, email) == 0;
    } else {
        *ret_holds = rank == 1 && at && strcmp(rule->name, at + 1) == 0;
    }
    return e;
}

err_t *sync_conf_policy(void *ctx, db_conn_t *conn, arena_t *arena, const db_person_t *person,
                        const uint8_t *device, sync_policy_t *ret_policy) {
    const sync_conf_t *conf = ctx;
    sync_policy_t policy = {0};
    CLEANUP(mem_free) char *hex = NULL;
    if (device) TRY(text_hex_new(bytes_make(device, SYNC_HASH), &hex));
    apply(&policy, &conf->rules[0]);
    for (unsigned rank = 1; rank <= 4; rank++)
        for (size_t i = 1; i < conf->rules_n; i++) {
            bool yes = false;
            TRY(holds(&conf->rules[i], rank, conn, arena, person->email, hex, &yes));
            if (yes) apply(&policy, &conf->rules[i]);
        }
    *ret_policy = policy;
    return NULL;
}
