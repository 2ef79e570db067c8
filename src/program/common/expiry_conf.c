/*
 * Reads [expiry], [watch NAME] and [action NAME]: see expiry_conf.h. At a program's start.
 */
#include "program/common/expiry_conf.h"

#include "base/text.h"

enum { DAYS_MAX = 3650, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, BRAKE = 1000 };

static err_t *add_threshold(expiry_conf_t *x, bytes_t item) {
    uint64_t days = 0;
    size_t at = x->days_n;
    TRY_WRAP(text_u64(item, DAYS_MAX, &days), "coffer.conf: [expiry] notices");
    if (days == 0) return err_new(ERR_INVALID, "coffer.conf: [expiry] notices: 0 days");
    if (x->days_n == LIMIT_EXPIRY_THRESHOLDS)
        return err_new(ERR_LIMIT, "coffer.conf: [expiry] notices: more than %d",
                       LIMIT_EXPIRY_THRESHOLDS);
    for (; at > 0 && x->days[at - 1] < (int64_t)days; at--) x->days[at] = x->days[at - 1];
    if (at > 0 && x->days[at - 1] == (int64_t)days)
        return err_new(ERR_INVALID, "coffer.conf: [expiry] notices: %d twice", (int)days);
    x->days[at] = (int64_t)days;
    x->days_n++;
    return NULL;
}

static err_t *load_watches(conf_t *c, expiry_conf_t *x) {
    const char *section = NULL, *name = NULL;
    size_t cursor = 0;
    while (conf_next_named(c, "watch", &cursor, &section, &name)) {
        if (x->watches_n == LIMIT_WATCH_CONF)
            return err_new(ERR_LIMIT, "coffer.conf: more than %d [watch] sections",
                           LIMIT_WATCH_CONF);
        watch_conf_t *watch = &x->watches[x->watches_n++];
        watch->name = name;
        TRY(conf_need_string(c, section, "target", &watch->target));
    }
    return NULL;
}

static err_t *load_actions(conf_t *c, expiry_conf_t *x) {
    const char *section = NULL, *name = NULL;
    size_t cursor = 0;
    while (conf_next_named(c, "action", &cursor, &section, &name)) {
        if (x->actions_n == LIMIT_ACTIONS)
            return err_new(ERR_LIMIT, "coffer.conf: more than %d [action] sections", LIMIT_ACTIONS);
        action_conf_t *action = &x->actions[x->actions_n++];
        action->name = name;
        TRY(conf_need_string(c, section, "run", &action->run));
        TRY(conf_get_duration(c, section, "timeout", 1, LIMIT_ACTION_S, MINUTE_S,
                              &action->timeout_s));
        if (action->run[0] != '/')
            return err_new(ERR_INVALID, "coffer.conf: [action %s] run is the path of a program",
                           name);
    }
    return NULL;
}

err_t *expiry_conf_load(const settings_t *settings, expiry_conf_t *ret_conf) {
    conf_t *c = settings->conf;
    expiry_conf_t *x = ret_conf;
    bytes_t list, item;
    *x = (expiry_conf_t){0};
    TRY(conf_get_list(c, "expiry", "notices", "60, 30, 14, 7, 1", &list));
    while (conf_list_next(&list, &item)) TRY(add_threshold(x, item));
    TRY(conf_get_duration(c, "expiry", "interval", MINUTE_S, DAY_S, (int64_t)6 * HOUR_S,
                          &x->interval_s));
    TRY(conf_get_bool(c, "expiry", "holders", true, &x->holders));
    TRY(conf_get_int(c, "expiry", "brake", 1, LIMIT_EXPIRY_BRAKE, BRAKE, &x->brake));
    TRY(load_watches(c, x));
    return load_actions(c, x);
}
