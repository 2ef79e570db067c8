/*
 * Policy: see policy.h. Called by the workers.
 */
#include "program/mailgate/policy.h"

#include "base/mem.h"

struct policy {
    policy_options_t options;
};

err_t *policy_new(const policy_options_t *options, policy_t **ret_policy) {
    policy_t *p = mem_zalloc(sizeof *p);
    if (!p) return err_nomem();
    p->options = *options;
    *ret_policy = p;
    return NULL;
}

void policy_free(policy_t *policy) { mem_free(policy); }

void policy_outcome_done(policy_outcome_t *outcome) {
    for (size_t i = 0; i < outcome->mails_n; i++) mem_free(outcome->mails[i].rcpts);
    mem_free(outcome->mails);
    *outcome = (policy_outcome_t){0};
}

/* As it is, to everybody. */
err_t *policy_run(policy_t *policy, const policy_message_t *m, policy_outcome_t *ret_outcome) {
    CLEANUP(policy_outcome_done) policy_outcome_t outcome = {.reply = {.code = 250}};
    (void)policy;
    outcome.mails = mem_array(1, sizeof *outcome.mails);
    if (!outcome.mails) return err_nomem();
    outcome.mails_n = 1;
    outcome.mails[0] = (policy_mail_t){.from = m->envelope->from,
                                       .fd = m->fd,
                                       .size = m->size,
                                       .smtputf8 = m->envelope->smtputf8,
                                       .eightbit = m->eightbit};
    policy_rcpt_t *rcpts = mem_array(m->envelope->rcpts_n, sizeof *rcpts);
    if (!rcpts) return err_nomem();
    for (size_t i = 0; i < m->envelope->rcpts_n; i++)
        rcpts[i] = (policy_rcpt_t){m->envelope->rcpts[i].address, (int)i};
    outcome.mails[0].rcpts = rcpts;
    outcome.mails[0].rcpts_n = m->envelope->rcpts_n;
    *ret_outcome = outcome;
    outcome = (policy_outcome_t){0};
    return NULL;
}
