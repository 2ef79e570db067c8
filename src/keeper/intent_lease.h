/*
 * The intents of leases, for core.c's table. Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_LEASE_H
#define COFFER_KEEPER_INTENT_LEASE_H

#include "keeper/intent.h"

err_t *intent_lease_put(const keeper_core_t *, const intent_call_t *,
                        intent_answer_t *) WARN_UNUSED;
err_t *intent_lease_release(const keeper_core_t *, const intent_call_t *,
                            intent_answer_t *) WARN_UNUSED;
err_t *intent_lease_revoke(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_lease_reset(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_lease_list(const keeper_core_t *, const intent_call_t *,
                         intent_answer_t *) WARN_UNUSED;

#endif
