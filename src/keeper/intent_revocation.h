/*
 * The intents of revocation, for core.c's table. Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_REVOCATION_H
#define COFFER_KEEPER_INTENT_REVOCATION_H

#include "keeper/intent.h"

err_t *intent_crl_begin(const keeper_core_t *, const intent_call_t *,
                        intent_answer_t *) WARN_UNUSED;
err_t *intent_crl_add(const keeper_core_t *, const intent_call_t *, intent_answer_t *) WARN_UNUSED;
err_t *intent_crl_sign(const keeper_core_t *, const intent_call_t *, intent_answer_t *) WARN_UNUSED;
err_t *intent_ocsp_sign(const keeper_core_t *, const intent_call_t *,
                        intent_answer_t *) WARN_UNUSED;

#endif
