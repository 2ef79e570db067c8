/*
 * What coffer.conf says of the expiry watch: [expiry], [watch NAME], [action NAME].
 */
#ifndef COFFER_PROGRAM_EXPIRY_CONF_H
#define COFFER_PROGRAM_EXPIRY_CONF_H

#include "base/limits.h"
#include "program/common/settings.h"

typedef struct {
    const char *name;
    const char *target;
} watch_conf_t;

typedef struct {
    const char *name;
    const char *run; /* absolute path of a program */
    int64_t timeout_s;
} action_conf_t;

typedef struct {
    int64_t days[LIMIT_EXPIRY_THRESHOLDS]; /* descending */
    size_t days_n;
    int64_t interval_s;
    int64_t brake; /* certificates noticed in one run */
    bool holders;  /* they get mails too */
    watch_conf_t watches[LIMIT_WATCH_CONF];
    size_t watches_n;
    action_conf_t actions[LIMIT_ACTIONS];
    size_t actions_n;
} expiry_conf_t;

/* Strings are borrowed from the settings. Checks [watch] targets. */
err_t *expiry_conf_load(const settings_t *settings, expiry_conf_t *ret_conf) WARN_UNUSED;

#endif
