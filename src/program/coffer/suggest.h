/*
 * "Did you mean ...?": the nearest of several words. Pure.
 */
#ifndef COFFER_PROGRAM_COFFER_SUGGEST_H
#define COFFER_PROGRAM_COFFER_SUGGEST_H

#include <stddef.h>

typedef struct {
    const char *typed;
    const char *best; /* NULL as long as nothing is near enough */
    size_t distance;
} suggest_t;

void suggest_init(suggest_t *suggest, const char *typed);
void suggest_offer(suggest_t *suggest, const char *word);

#endif
