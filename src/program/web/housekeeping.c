/*
 * coffer-web's own recurring work, on one thread: has the keeper sign the head of the audit
 * chain, drops offers and challenges long expired, and tells the keeper for whom the mail gateway
 * may sign and decrypt; once a day it tells people how often their mailboxes were opened.
 */

#include "escrow/lease_digest.h"
#include "escrow/leases.h"
#include "program/common/head.h"
#include "program/web/api_mail_policy.h"
#include "program/web/web.h"
#include "store/challenges.h"
#include "store/enrolments.h"
#include "store/mailboxes.h"
#include "store/scep.h"

enum {
    HEAD_EVERY_S = 10,              /* how old an unsigned entry may become */
    PURGE_EVERY = 360,              /* rounds between two purges: an hour */
    KEEP_EXPIRED_MS = 7 * 86400000, /* expired offers are kept so long, to explain a refusal */
};

static err_t *purge(db_conn_t *conn, void *arg) {
    const int64_t *before_ms = arg;
    TRY(db_challenges_purge(conn, *before_ms));
    TRY(db_scep_pending_purge(conn, *before_ms));
    TRY(leases_purge(conn, clk_unix_ms(clk_real())));
    TRY(db_mail_events_purge(conn, clk_unix_ms(clk_real()) - LIMIT_ARRIVAL_KEEP_S * 1000LL));
    return db_enrolments_purge(conn, *before_ms);
}

static void run(background_t *work) {
    web_t *web = background_web(work);
    for (unsigned round = 0;; round++) {
        bool stop = background_wait(work, HEAD_EVERY_S);
        log_error(&web->log, LOG_WARNING, head_sign(web->db, &web->audit, web->keeper),
                  "signing the audit head");
        if (stop) return;
        if (web->settings.mailbox.digest)
            log_error(&web->log, LOG_WARNING, lease_digest_run(web->escrow), "digest of releases");
        if (round % PURGE_EVERY != 0) continue;
        int64_t before_ms = clk_unix_ms(clk_real()) - KEEP_EXPIRED_MS;
        log_error(&web->log, LOG_WARNING, db_write(web->db, purge, &before_ms),
                  "dropping expired offers");
        log_error(&web->log, LOG_WARNING, mail_policy_apply_all(web, background_stopping(work)),
                  "mail policy for the keeper");
    }
}

err_t *housekeeping_start(web_t *web, background_t **ret_work) {
    return background_start(web, "housekeeping", run, ret_work);
}
