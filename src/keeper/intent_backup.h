/*
 * The intents of backups, for core.c's table. Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_BACKUP_H
#define COFFER_KEEPER_INTENT_BACKUP_H

#include "keeper/intent.h"

err_t *intent_backup_begin(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_backup_copy(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_backup_read(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_backup_finish(const keeper_core_t *, const intent_call_t *,
                            intent_answer_t *) WARN_UNUSED;

#endif
