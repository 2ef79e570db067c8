/*
 * The intents of mail, for core.c's table. Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_MAIL_H
#define COFFER_KEEPER_INTENT_MAIL_H

#include "keeper/intent.h"

err_t *intent_mail_allow(const keeper_core_t *, const intent_call_t *,
                         intent_answer_t *) WARN_UNUSED;
err_t *intent_mail_sign(const keeper_core_t *, const intent_call_t *,
                        intent_answer_t *) WARN_UNUSED;
err_t *intent_mail_open(const keeper_core_t *, const intent_call_t *,
                        intent_answer_t *) WARN_UNUSED;

#endif
