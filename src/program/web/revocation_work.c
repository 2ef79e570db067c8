/*
 * Revocation's background work, on one thread: issues lists that are due or that a revocation made
 * old, and signs OCSP statuses ahead. What fails is logged and tried again.
 */

#include "program/web/web.h"

enum {
    LOOK_EVERY_S = 5,   /* how long a list may miss a revocation */
    SIGN_EVERY = 60,    /* looks between two walks through all certificates: five minutes */
    PURGE_EVERY = 1440, /* two hours */
};

static void run(background_t *work) {
    web_t *web = background_web(work);
    const _Atomic bool *stop = background_stopping(work);
    for (unsigned round = 0; !*stop; round++) {
        err_t *e = crl_issue_due(web->revoker, stop);
        if (*stop) {
            err_free(e); /* the next start does it */
            break;
        }
        log_error(&web->log, LOG_WARNING, e, "issuing revocation lists");
        size_t count = 0;
        if (round % SIGN_EVERY == 0)
            log_error(&web->log, LOG_WARNING, ocsp_sign_due(web->revoker, stop, &count),
                      "signing OCSP statuses");
        if (count) log_line(&web->log, LOG_INFO, "signed %zu OCSP statuses", count);
        if (round % PURGE_EVERY == PURGE_EVERY - 1)
            log_error(&web->log, LOG_WARNING, ocsp_purge(web->revoker), "dropping OCSP statuses");
        if (background_wait(work, LOOK_EVERY_S)) break;
    }
}

err_t *revocation_work_start(web_t *web, background_t **ret_work) {
    return background_start(web, "revocation", run, ret_work);
}
