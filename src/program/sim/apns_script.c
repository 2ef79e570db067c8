/*
 * Faults of the push stand-in: see apns_script.h. Pure; main thread.
 */
#include "program/sim/apns_script.h"

#include "base/text.h"

enum { WORDS = 4 };

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {{400, "BadDeviceToken"},    {403, "BadCertificate"},  {410, "Unregistered"},
               {413, "PayloadTooLarge"},   {429, "TooManyRequests"}, {500, "InternalServerError"},
               {503, "ServiceUnavailable"}};

static const char *reason_of(unsigned status) {
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return NULL;
}

static size_t split_words(bytes_t line, bytes_t words[WORDS]) {
    size_t n = 0;
    bytes_t word;
    while (n < WORDS && text_split(&line, ' ', &word))
        if (word.n) words[n++] = word;
    return n;
}

static err_t *parse_rule(const bytes_t *w, size_t n, apns_rule_t *rule) {
    uint64_t status = 0;
    int64_t seconds = 0;
    if (n == 2 && bytes_eq_str(w[0], "badtoken")) {
        *rule = (apns_rule_t){.kind = RULE_BADTOKEN, .token = w[1]};
        return NULL;
    }
    if (n < 3) return err_new(ERR_USAGE, "unknown rule");
    TRY(text_u64(w[2], 1000000000, &rule->count));
    if (n == 3 && bytes_eq_str(w[1], "after")) {
        bool goaway = bytes_eq_str(w[0], "goaway");
        if (!goaway && !bytes_eq_str(w[0], "close")) return err_new(ERR_USAGE, "unknown rule");
        rule->kind = goaway ? RULE_GOAWAY : RULE_CLOSE;
        return NULL;
    }
    if (!bytes_eq_str(w[1], "next")) return err_new(ERR_USAGE, "unknown rule");
    if (n == 4 && bytes_eq_str(w[0], "stall")) {
        TRY(text_duration(w[3], &seconds));
        rule->kind = RULE_STALL;
        rule->stall_ms = seconds * 1000;
        return NULL;
    }
    if (n != 3) return err_new(ERR_USAGE, "unknown rule");
    TRY(text_u64(w[0], 599, &status));
    if (!reason_of((unsigned)status))
        return err_new(ERR_USAGE, "status %u is not one of APNs", (unsigned)status);
    rule->kind = RULE_STATUS;
    rule->status = (unsigned)status;
    return NULL;
}

err_t *apns_script_parse(bytes_t text, apns_script_t *ret_script) {
    apns_script_t script = {0};
    bytes_t line;
    for (size_t number = 1; text_split(&text, '\n', &line); number++) {
        bytes_t words[WORDS];
        line = text_trim(line);
        if (line.n == 0 || line.p[0] == '#') continue;
        if (script.n == APNS_RULES)
            return err_new(ERR_USAGE, "more than %d rules in a script", APNS_RULES);
        err_t *e = parse_rule(words, split_words(line, words), &script.rules[script.n]);
        if (e) return err_recode(err_wrap(e, "script line %zu", number), ERR_USAGE);
        script.n++;
    }
    *ret_script = script;
    return NULL;
}

static void apply(const apns_script_t *script, apns_rule_t *rule, const char *token,
                  apns_fault_t *fault, bool *next_used) {
    switch (rule->kind) {
    case RULE_STATUS:
    case RULE_STALL:
        if (*next_used || rule->count == 0) return;
        *next_used = true;
        rule->count--;
        if (rule->kind == RULE_STALL) {
            fault->stall_ms = rule->stall_ms;
        } else {
            fault->status = rule->status;
            fault->reason = reason_of(rule->status);
        }
        return;
    case RULE_GOAWAY: fault->goaway = fault->goaway || rule->count == script->requests; return;
    case RULE_CLOSE: fault->close = fault->close || rule->count == script->requests; return;
    case RULE_BADTOKEN:
        if (!text_eq_fold(rule->token, bytes_str(token))) return;
        fault->status = 400;
        fault->reason = "BadDeviceToken";
        return;
    }
}

apns_fault_t apns_script_next(apns_script_t *script, const char *token) {
    apns_fault_t fault = {0};
    bool next_used = false;
    script->requests++;
    for (size_t i = 0; i < script->n; i++)
        apply(script, &script->rules[i], token, &fault, &next_used);
    return fault;
}
