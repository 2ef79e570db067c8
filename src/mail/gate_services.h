/*
 * What the gateway's decisions need from outside (gate.h): policy, who can read, keys that lie in
 * the keeper, files. The program makes them of store, keeper and directory; tests make them of
 * files. All functions are called from many threads at once and may block.
 */
#ifndef COFFER_MAIL_GATE_SERVICES_H
#define COFFER_MAIL_GATE_SERVICES_H

#include "base/clk.h"
#include "base/rnd.h"
#include "crypto/cms.h"
#include "crypto/cms_unwrap.h"
#include "mail/gate_policy.h"
#include "mail/recipients.h"
#include "mail/spool.h"
#include "mail/verdict.h"

typedef struct {
    const rnd_t *rnd;
    const clk_t *clk;
    const char *authserv_id;    /* RFC 8601 section 2.5: who writes Authentication-Results */
    const char *const *domains; /* ours, lower case */
    size_t domains_n;
    const char *report_address; /* spam reports come to it; NULL: none */
    const char *report_mailbox; /* and go there */
    const char *tag_encrypt;    /* in the subject: "[encrypt]"; NULL: none */
    const char *tag_plain;      /* "[plain]" */
    uint64_t max;               /* bytes of a message inside */
    uint64_t room;              /* bytes of files there is for all messages together; 0: no limit.
                                 * One that needs more by itself is refused for good. */
} gate_options_t;

/* Whose rules: of the sender (GATE_SCOPE_FROM) or what a recipient asks for (GATE_SCOPE_TO). */
typedef enum { GATE_SCOPE_FROM, GATE_SCOPE_TO } gate_scope_t;

typedef struct {
    /* The rule for an address, all levels applied onto *rule. */
    err_t *(*policy)(void *arg, gate_scope_t scope, bytes_t address, gate_rule_t *rule);
    /* Who can read: mail_recipients_find (recipients.h) with the instance's book and trust. */
    err_t *(*recipients)(void *arg, const bytes_t *addresses, size_t n, int64_t at,
                         mail_recipients_t *ret_list);
    mail_algorithms_t allowed; /* beyond what everybody reads */
    /* The organisation's own key, to which everything is encrypted too; may be NULL. */
    const cert_t *organisation;
    /*
     * Signs for a person: appends detached SignedData over content of this SHA-256, with the
     * person's certificate. No hash: only asks whether that can be done. *ret_found false: the
     * person has no key for that. May be NULL.
     */
    err_t *(*sign)(void *arg, bytes_t address, bytes_t sha256, buf_t *out, bool *ret_found);
    /*
     * Whether one of the recipient's archived keys is what `r` names (*ret_cert, owned by the
     * caller). May be NULL: no decryption.
     */
    err_t *(*find_key)(void *arg, bytes_t address, const cms_recipient_t *r, cert_t **ret_cert,
                       bool *ret_found);
    /* The content key, `n` bytes, out of what is wrapped for that key. ERR_VERIFY, ERR_DENIED,
     * ERR_BUSY (too many: the message stays closed), ERR_UNAVAILABLE (4xx). */
    err_t *(*unwrap)(void *arg, bytes_t address, const cert_t *cert, const cms_wrapped_t *wrapped,
                     uint8_t *ret_key, size_t n);
    /* For judging signatures on mail from this address (or none): trusted and helpful certificates,
     * the caller's; revoked ones. */
    err_t *(*trust)(void *arg, bytes_t from, cert_list_t *ret_roots,
                    cert_list_t *ret_intermediates);
    err_t *(*revoked)(void *arg, const cert_t *cert, int64_t at, bool *ret_revoked);
    /* A verdict over incoming mail: learn from it. Failure is noted, the mail goes on. May be NULL.
     */
    err_t *(*harvest)(void *arg, const mail_verdict_t *verdict);
    /* A new empty file that has no name, read and written by offset; the caller closes it. */
    err_t *(*new_file)(void *arg, int *ret_fd);
    /* Room on the disk for so many bytes of such files, and given back: see spool_files_t. May be
     * NULL. */
    err_t *(*take_room)(void *arg, uint64_t bytes);
    void (*give_room)(void *arg, uint64_t bytes);
    void *arg;
} gate_services_t;

#endif
