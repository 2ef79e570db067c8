/*
 * Locks that were found lately. A message asks for each of its people again; until somebody writes
 * to the store or moves a revocation list in, the answer is the same. Dates are looked at every
 * LIFE_S anew, and what a directory said every time.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "program/common/mailbook_internal.h"

enum { LOCKS = 1024, GROUPS = 2048, LIFE_S = 60, TICK_MS = 2000 };

/* What mail_recipient_t has behind `sender`. */
typedef struct {
    int64_t at;
    mail_lock_t lock;
    mail_source_t source;
    mail_revocation_t revocation;
    bool pinned;
    cms_capable_t capable;
    cert_t *cert;
    char reason[sizeof((mail_recipient_t *)NULL)->reason];
} kept_t;

static void share(void *value) {
    kept_t *kept = value;
    kept->cert = cert_share(kept->cert);
}

static void drop(void *value) { cert_free(((kept_t *)value)->cert); }

err_t *mailbook_recall_init(mailbook_t *b) {
    TRY(memo_new(&(memo_options_t){.slots = LOCKS, sizeof(kept_t), share, drop}, &b->kept));
    return memo_new(&(memo_options_t){.slots = GROUPS, .size = 1}, &b->no_groups);
}

/* When the directory of lists changed; false while it may change within the same tick. */
static bool lists_stand(const mailbook_t *b, int64_t *ret_ms) {
    struct stat st = {0};
    *ret_ms = 0;
    if (!b->lists_dir || stat(b->lists_dir, &st) != 0) return true;
    *ret_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return clk_unix_ms(b->clk) > *ret_ms + TICK_MS;
}

static bool moment_now(const mailbook_t *b, mail_moment_t *ret_moment) {
    mail_moment_t moment = {0};
    err_t *e = db_version(b->sources.db, &moment.version);
    moment.known = !e && lists_stand(b, &moment.beside);
    err_free(e);
    *ret_moment = moment;
    return moment.known;
}

static memo_stamp_t stamp_of(const mail_moment_t *m) {
    return (memo_stamp_t){m->version, m->beside};
}

bool mailbook_recall(void *arg, bytes_t address, int64_t at, mail_moment_t *ret_moment,
                     mail_recipient_t *r) {
    const mailbook_t *b = arg;
    kept_t kept;
    if (!moment_now(b, ret_moment)) return false;
    if (!memo_get(b->kept, address, stamp_of(ret_moment), &kept)) return false;
    if (at < kept.at || at - kept.at >= LIFE_S || at > cert_not_after(kept.cert)) {
        cert_free(kept.cert);
        return false;
    }
    r->lock = kept.lock;
    r->source = kept.source;
    r->revocation = kept.revocation;
    r->pinned = kept.pinned;
    r->capable = kept.capable;
    r->cert = kept.cert;
    memcpy(r->reason, kept.reason, sizeof r->reason);
    return true;
}

void mailbook_remember(void *arg, bytes_t address, int64_t at, const mail_moment_t *moment,
                       const mail_recipient_t *r) {
    const mailbook_t *b = arg;
    if (r->source == MAIL_SOURCE_DIRECTORY) return;
    kept_t kept = {.at = at,
                   .lock = r->lock,
                   .source = r->source,
                   .revocation = r->revocation,
                   .pinned = r->pinned,
                   .capable = r->capable,
                   .cert = r->cert};
    memcpy(kept.reason, r->reason, sizeof kept.reason);
    memo_put(b->kept, address, stamp_of(moment), &kept);
}

/* ---- groups ---- */

bool mailbook_is_no_group(const mailbook_t *b, bytes_t address, memo_stamp_t *ret_stamp,
                          bool *ret_known) {
    char is = 0;
    *ret_stamp = (memo_stamp_t){0};
    err_t *e = db_version(b->sources.db, &ret_stamp->version);
    *ret_known = !e;
    err_free(e);
    return *ret_known && memo_get(b->no_groups, address, *ret_stamp, &is);
}
