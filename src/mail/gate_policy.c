/*
 * Rules: see gate_policy.h. Pure; any thread.
 */
#include "mail/gate_policy.h"

#include "base/text.h"

static const char *const modes[] = {
    [GATE_NEVER] = "never",
    [GATE_ALL_OR_PLAIN] = "all-or-plain",
    [GATE_SPLIT] = "split",
    [GATE_REQUIRE] = "require",
};
enum { MODES = sizeof modes / sizeof *modes };

static const char *const flags[] = {
    [GATE_SIGN] = "sign",
    [GATE_PROTECT] = "protect_headers",
    [GATE_HIDE_SUBJECT] = "hide_subject",
    [GATE_OWN_COPY] = "own_copy",
    [GATE_TAG] = "tags",
    [GATE_HARVEST] = "harvest",
    [GATE_VERIFY] = "verify",
    [GATE_DECRYPT] = "decrypt",
    [GATE_DECRYPT_CBC] = "decrypt_unprotected",
    [GATE_REENCRYPT] = "reencrypt",
};
_Static_assert(sizeof flags / sizeof *flags == GATE_FLAGS, "every flag has a name");

const char *gate_encrypt_name(gate_encrypt_t mode) { return modes[mode]; }
const char *gate_flag_name(gate_flag_t flag) { return flags[flag]; }

bool gate_encrypt_parse(bytes_t text, gate_encrypt_t *ret_mode) {
    for (size_t i = 0; i < MODES; i++) {
        if (!bytes_eq_str(text, modes[i])) continue;
        *ret_mode = (gate_encrypt_t)i;
        return true;
    }
    return false;
}

gate_rule_t gate_rule_default(void) {
    return (gate_rule_t){
        .has_encrypt = true,
        .encrypt = GATE_NEVER,
        .has = (1u << GATE_FLAGS) - 1,
        .flags = 1u << GATE_PROTECT | 1u << GATE_HIDE_SUBJECT | 1u << GATE_OWN_COPY |
                 1u << GATE_TAG | 1u << GATE_HARVEST | 1u << GATE_VERIFY,
    };
}

void gate_rule_apply(gate_rule_t *rule, const gate_rule_t *over) {
    if (over->has_encrypt) {
        rule->has_encrypt = true;
        rule->encrypt = over->encrypt;
    }
    rule->flags = (rule->flags & ~over->has) | (over->flags & over->has);
    rule->has |= over->has;
}

static bool is_yes(bytes_t text) {
    return bytes_eq_str(text, "yes") || bytes_eq_str(text, "true") || bytes_eq_str(text, "on");
}
static bool is_no(bytes_t text) {
    return bytes_eq_str(text, "no") || bytes_eq_str(text, "false") || bytes_eq_str(text, "off");
}

static err_t *set_encrypt(gate_rule_t *rule, bytes_t text, bool unset) {
    gate_encrypt_t mode = GATE_NEVER;
    if (!unset && !gate_encrypt_parse(text, &mode))
        return err_new(ERR_INVALID, "encrypt is never, all-or-plain, split or require");
    rule->has_encrypt = !unset;
    rule->encrypt = mode;
    return NULL;
}

err_t *gate_rule_set(gate_rule_t *rule, bytes_t name, bytes_t text) {
    bool unset = !text.n || bytes_eq_str(text, "inherit");
    if (bytes_eq_str(name, "encrypt")) return set_encrypt(rule, text, unset);
    for (unsigned i = 0; i < GATE_FLAGS; i++) {
        if (!bytes_eq_str(name, flags[i])) continue;
        unsigned bit = 1u << i;
        if (!unset && !is_yes(text) && !is_no(text))
            return err_new(ERR_INVALID, "%s is yes or no", flags[i]);
        rule->has = unset ? rule->has & ~bit : rule->has | bit;
        rule->flags = !unset && is_yes(text) ? rule->flags | bit : rule->flags & ~bit;
        return NULL;
    }
    return err_new(ERR_INVALID, "mail policy knows no setting %.*s",
                   (int)(name.n < 40 ? name.n : 40), (const char *)name.p);
}

err_t *gate_rule_write(const gate_rule_t *rule, buf_t *out) {
    const char *space = "";
    if (rule->has_encrypt) {
        TRY(buf_printf(out, "encrypt=%s", modes[rule->encrypt]));
        space = " ";
    }
    for (unsigned i = 0; i < GATE_FLAGS; i++) {
        if (!(rule->has & 1u << i)) continue;
        TRY(buf_printf(out, "%s%s=%s", space, flags[i], rule->flags & 1u << i ? "yes" : "no"));
        space = " ";
    }
    return NULL;
}

err_t *gate_rule_read(bytes_t text, gate_rule_t *ret_rule) {
    gate_rule_t rule = {0};
    bytes_t item;
    while (text_split(&text, ' ', &item)) {
        item = text_trim(item);
        if (!item.n) continue;
        size_t n = bytes_find(item, '=');
        if (n == item.n)
            return err_new(ERR_INVALID, "mail policy is written NAME=VALUE, such as sign=yes");
        TRY(gate_rule_set(&rule, bytes_make(item.p, n), bytes_from(item, n + 1)));
    }
    *ret_rule = rule;
    return NULL;
}
