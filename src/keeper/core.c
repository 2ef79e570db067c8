/*
 * Dispatch: one table says who may ask what and when the answer may leave. See core.h.
 * Worker threads; late answers come from the vault's writer thread.
 */
#include "keeper/core.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "ipc/frame.h"
#include "keeper/intent.h"
#include "keeper/intent_backup.h"
#include "keeper/intent_blob.h"
#include "keeper/intent_escrow.h"
#include "keeper/intent_lease.h"
#include "keeper/intent_mail.h"
#include "keeper/intent_mailbox.h"
#include "keeper/intent_revocation.h"
#include "keeper/intent_sync.h"

/* When an allowed use is recorded. A refused one always is. */
typedef enum {
    RECORD_NOT,    /* touches no key and gives nothing away */
    RECORD_BESIDE, /* recorded at once, but the answer does not wait for the disk */
    RECORD_FIRST,  /* durable before the answer leaves */
} record_t;

typedef struct {
    uint16_t intent;
    const char *name;
    unsigned roles; /* 1 << role_t */
    record_t record;
    enum { TALLY_NEVER, TALLY_FAILURES, TALLY_ALL } tally; /* what the log may count together */
    intent_fn handle;
} rule_t;

enum {
    ANYONE = 1 << ROLE_WEB | 1 << ROLE_COURIER | 1 << ROLE_MAILGATE | 1 << ROLE_COMMAND,
    WEB = 1 << ROLE_WEB | 1 << ROLE_COMMAND,
    WEB_COURIER = WEB | 1 << ROLE_COURIER,
    COURIER = 1 << ROLE_COURIER,
    MAILGATE = 1 << ROLE_MAILGATE,
};

static const rule_t rules[] = {
    {KEEPER_STATUS, "status", ANYONE, RECORD_NOT, TALLY_NEVER, intent_status},
    {KEEPER_PUBLIC, "public", ANYONE, RECORD_BESIDE, TALLY_NEVER, intent_public},
    {KEEPER_SCEP_OPEN, "scep-open", WEB, RECORD_BESIDE, TALLY_FAILURES, intent_scep_open},
    {KEEPER_SCEP_OPEN_ID, "scep-open-id", WEB, RECORD_BESIDE, TALLY_FAILURES, intent_scep_open_id},
    {KEEPER_SCEP_ISSUE, "scep-issue", WEB, RECORD_FIRST, TALLY_NEVER, intent_scep_issue},
    {KEEPER_SCEP_REPEAT, "scep-repeat", WEB, RECORD_FIRST, TALLY_NEVER, intent_scep_repeat},
    {KEEPER_SCEP_REFUSE, "scep-refuse", WEB, RECORD_BESIDE, TALLY_ALL, intent_scep_refuse},
    {KEEPER_SCEP_CRL, "scep-crl", WEB, RECORD_BESIDE, TALLY_ALL, intent_scep_crl},
    {KEEPER_NEXT_CA, "next-ca", WEB, RECORD_FIRST, TALLY_NEVER, intent_next_ca},
    {KEEPER_DEVICE_CAS, "device-cas", ANYONE, RECORD_BESIDE, TALLY_NEVER, intent_device_cas},
    {KEEPER_SIGN_PROFILE, "sign-profile", WEB, RECORD_FIRST, TALLY_NEVER, intent_sign_profile},
    {KEEPER_SEAL_PROFILE, "seal-profile", WEB, RECORD_BESIDE, TALLY_NEVER, intent_seal_profile},
    {KEEPER_SEAL_SECRET, "seal-secret", WEB, RECORD_BESIDE, TALLY_NEVER, intent_seal_secret},
    {KEEPER_FILL_SECRET, "fill-secret", WEB, RECORD_FIRST, TALLY_NEVER, intent_fill_secret},
    {KEEPER_SIGN_AUDIT_HEAD, "sign-audit-head", WEB_COURIER | MAILGATE, RECORD_FIRST, TALLY_NEVER,
     intent_sign_audit_head},
    {KEEPER_CRL_BEGIN, "crl-begin", WEB, RECORD_NOT, TALLY_NEVER, intent_crl_begin},
    {KEEPER_CRL_ADD, "crl-add", WEB, RECORD_NOT, TALLY_NEVER, intent_crl_add},
    {KEEPER_CRL_SIGN, "crl-sign", WEB, RECORD_FIRST, TALLY_NEVER, intent_crl_sign},
    {KEEPER_OCSP_SIGN, "ocsp-sign", WEB, RECORD_BESIDE, TALLY_NEVER, intent_ocsp_sign},
    {KEEPER_OFFICERS_ACTIVATE, "officers-activate", WEB, RECORD_FIRST, TALLY_NEVER,
     intent_officers_activate},
    {KEEPER_OFFICERS_SET, "officers-set", WEB, RECORD_NOT, TALLY_NEVER, intent_officers_set},
    {KEEPER_ESCROW_ARCHIVE, "escrow-archive", WEB, RECORD_FIRST, TALLY_NEVER,
     intent_escrow_archive},
    {KEEPER_ESCROW_SMIME, "escrow-smime", WEB, RECORD_FIRST, TALLY_NEVER, intent_escrow_smime},
    {KEEPER_ESCROW_IMPORT, "escrow-import", WEB, RECORD_FIRST, TALLY_NEVER, intent_escrow_import},
    {KEEPER_ESCROW_DEAL, "escrow-deal", WEB, RECORD_FIRST, TALLY_NEVER, intent_escrow_deal},
    {KEEPER_ESCROW_REWRAP, "escrow-rewrap", WEB, RECORD_FIRST, TALLY_NEVER, intent_escrow_rewrap},
    {KEEPER_ESCROW_DRILL, "escrow-drill", WEB, RECORD_FIRST, TALLY_NEVER, intent_escrow_drill},
    {KEEPER_ESCROW_FILL, "escrow-fill", WEB, RECORD_FIRST, TALLY_NEVER, intent_escrow_fill},
    {KEEPER_ESCROW_DELIVER, "escrow-deliver", WEB, RECORD_FIRST, TALLY_NEVER,
     intent_escrow_deliver},
    {KEEPER_LEASE_PUT, "lease-put", WEB, RECORD_FIRST, TALLY_NEVER, intent_lease_put},
    {KEEPER_LEASE_RELEASE, "lease-release", WEB, RECORD_FIRST, TALLY_NEVER, intent_lease_release},
    {KEEPER_LEASE_REVOKE, "lease-revoke", WEB, RECORD_FIRST, TALLY_NEVER, intent_lease_revoke},
    {KEEPER_LEASE_RESET, "lease-reset", WEB, RECORD_FIRST, TALLY_NEVER, intent_lease_reset},
    {KEEPER_LEASE_LIST, "lease-list", WEB, RECORD_NOT, TALLY_NEVER, intent_lease_list},
    {KEEPER_RECEIVER_MAKE, "receiver-make", WEB, RECORD_FIRST, TALLY_NEVER, intent_receiver_make},
    {KEEPER_SECRET_TAKE, "secret-take", WEB, RECORD_FIRST, TALLY_NEVER, intent_secret_take},
    {KEEPER_SECRET_PROVE, "secret-prove", WEB, RECORD_FIRST, TALLY_NEVER, intent_secret_prove},
    {KEEPER_STORAGE_KEY, "storage-key", WEB, RECORD_NOT, TALLY_NEVER, intent_storage_key},
    {KEEPER_STORAGE_KEY_NEW, "storage-key-new", WEB, RECORD_FIRST, TALLY_NEVER,
     intent_storage_key_new},
    {KEEPER_BLOB_KEYS, "blob-keys", WEB, RECORD_FIRST, TALLY_NEVER, intent_blob_keys},
    {KEEPER_SYNC_CHECKPOINT, "sync-checkpoint", WEB, RECORD_FIRST, TALLY_NEVER,
     intent_sync_checkpoint},
    {KEEPER_BACKUP_BEGIN, "backup-begin", WEB, RECORD_FIRST, TALLY_NEVER, intent_backup_begin},
    {KEEPER_BACKUP_COPY, "backup-copy", WEB, RECORD_NOT, TALLY_NEVER, intent_backup_copy},
    {KEEPER_BACKUP_READ, "backup-read", WEB, RECORD_NOT, TALLY_NEVER, intent_backup_read},
    {KEEPER_BACKUP_FINISH, "backup-finish", WEB, RECORD_FIRST, TALLY_NEVER, intent_backup_finish},
    {KEEPER_MAIL_ALLOW, "mail-allow", WEB, RECORD_FIRST, TALLY_NEVER, intent_mail_allow},
    {KEEPER_MAIL_SIGN, "mail-sign", MAILGATE, RECORD_BESIDE, TALLY_NEVER, intent_mail_sign},
    {KEEPER_MAILBOX_SEAL, "mailbox-seal", WEB, RECORD_FIRST, TALLY_NEVER, intent_mailbox_seal},
    {KEEPER_MAILBOX_OPEN, "mailbox-open", COURIER, RECORD_FIRST, TALLY_NEVER, intent_mailbox_open},
    {KEEPER_MAIL_OPEN, "mail-open", MAILGATE, RECORD_FIRST, TALLY_NEVER, intent_mail_open},
    {KEEPER_LOG, "log", WEB, RECORD_BESIDE, TALLY_NEVER, intent_log},
};

static const rule_t *rule_find(uint16_t intent) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].intent == intent) return &rules[i];
    return NULL;
}

/* One request until its answer is out and its entry is on disk. */
typedef struct {
    vault_op_t op; /* first: the writer gives it back */
    keeper_finish_t finish;
    bool answered;
    buf_t body;
} call_t;

static void call_free(call_t *call) {
    vault_op_done(&call->op);
    buf_done(&call->body);
    mem_free(call);
}

static void on_recorded(vault_op_t *op, err_t *e) {
    call_t *call = (call_t *)(void *)op;
    if (call->answered) err_free(e);
    else call->finish.fn(call->finish.arg, e, e ? BYTES_NONE : buf_bytes(&call->body));
    call_free(call);
}

/* Texts from requests go into the log cut at a character and never as malformed UTF-8. */
static void clean(char *text, size_t max) {
    size_t n = strnlen(text, max);
    while (n && !text_utf8_valid(bytes_make(text, n)) && ((uint8_t)text[n - 1] & 0x80)) n--;
    text[n] = '\0';
    if (!text_utf8_valid(bytes_make(text, n)))
        for (size_t i = 0; i < n; i++)
            if ((uint8_t)text[i] & 0x80) text[i] = '?';
}

void intent_about(intent_answer_t *answer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(answer->op->object, sizeof answer->op->object, format, args);
    va_end(args);
    clean(answer->op->object, LIMIT_KEEPER_OBJECT);
}

static void set_outcome(vault_op_t *op, const err_t *e) {
    if (!e) {
        (void)snprintf(op->outcome, sizeof op->outcome, "ok");
        return;
    }
    char text[LIMIT_KEEPER_OUTCOME + 1];
    (void)snprintf(op->outcome, sizeof op->outcome, "%s: %s", err_code_name(err_code(e)),
                   err_text(e, text, sizeof text));
    clean(op->outcome, LIMIT_KEEPER_OUTCOME);
}

/* Hands the entry to the writer, then answers; the order keeps a use from going unrecorded. */
static void answer_beside(const keeper_core_t *core, call_t *call, err_t *e) {
    keeper_finish_t finish = call->finish;
    buf_t body = call->body;
    buf_init_secret(&call->body, 0);
    call->answered = true;
    err_t *full = vault_submit(core->vault, &call->op);
    if (full) {
        call_free(call);
        if (e) err_free(full);
        else e = full;
    }
    finish.fn(finish.arg, e, e ? BYTES_NONE : buf_bytes(&body));
    buf_done(&body);
}

static void answer_after(const keeper_core_t *core, call_t *call) {
    call->op.waits = true;
    err_t *full = vault_submit(core->vault, &call->op);
    if (full) on_recorded(&call->op, full);
}

static err_t *run(const keeper_core_t *core, const rule_t *rule, const intent_call_t *request,
                  call_t *call) {
    if (!rule) return err_new(ERR_DENIED, "the keeper knows no such intent");
    if (!(rule->roles & 1U << request->role))
        return err_new(ERR_DENIED, "%s may not ask the keeper to %s", role_name(request->role),
                       rule->name);
    intent_answer_t answer = {.op = &call->op};
    buf_init_secret(&answer.body, FRAME_BODY_MAX);
    err_t *e = rule->handle(core, request, &answer);
    call->body = answer.body;
    if (e && !answer.keep_rows) vault_op_done(&call->op); /* no rows for what did not happen */
    return e;
}

void keeper_core_handle(const keeper_core_t *core, role_t role, uint16_t intent, bytes_t body,
                        keeper_finish_t finish) {
    call_t *call = mem_zalloc(sizeof *call);
    if (!call) {
        finish.fn(finish.arg, err_nomem(), BYTES_NONE);
        return;
    }
    const rule_t *rule = rule_find(intent);
    buf_init_secret(&call->body, 0);
    call->finish = finish;
    call->op.done = on_recorded;
    call->op.role = role_name(role);
    call->op.intent = rule ? rule->name : "unknown";
    intent_call_t request = {role, body};
    vault_expect(core->vault);
    if (!rule) (void)snprintf(call->op.object, sizeof call->op.object, "intent %u", intent);
    err_t *e = run(core, rule, &request, call);
    set_outcome(&call->op, e);
    if (rule) call->op.tally = rule->tally == TALLY_ALL || (e && rule->tally == TALLY_FAILURES);
    if (!e && rule->record == RECORD_NOT) {
        finish.fn(finish.arg, NULL, buf_bytes(&call->body));
        call_free(call);
    } else if (!e && (rule->record == RECORD_FIRST || vault_is_failing(core->vault))) {
        answer_after(core, call);
    } else {
        answer_beside(core, call, e);
    }
    vault_expect_done(core->vault);
}
