/*
 * Checkpoints of the log of device chains. Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_SYNC_H
#define COFFER_KEEPER_INTENT_SYNC_H

#include "keeper/intent.h"

err_t *intent_sync_checkpoint(const keeper_core_t *, const intent_call_t *,
                              intent_answer_t *) WARN_UNUSED;
/* Appends the SubjectPublicKeyInfo of the key that signs them. */
err_t *sync_log_public(const keeper_core_t *core, buf_t *out) WARN_UNUSED;

#endif
