/*
 * What the intent_*.c share: an answer in the making, and the readers of what several bodies have
 * in common. Bodies are written by client.c. Inside the keeper only.
 */
#ifndef COFFER_KEEPER_INTENT_H
#define COFFER_KEEPER_INTENT_H

#include "ipc/wire.h"
#include "keeper/client.h"
#include "keeper/core.h"

typedef struct {
    role_t role;
    bytes_t body;
} intent_call_t;

/* What a handler fills in. Its op becomes the log entry and the rows. */
typedef struct {
    buf_t body; /* the answer; wiped */
    vault_op_t *op;
    bool keep_rows; /* the operation's rows are written with an error too: a try that counts */
} intent_answer_t;

/* An error becomes the answer and the log entry's outcome; rows are then not written. */
typedef err_t *(*intent_fn)(const keeper_core_t *core, const intent_call_t *call,
                            intent_answer_t *answer);

/* Says in the log what it was about; cut to LIMIT_KEEPER_OBJECT bytes. */
void intent_about(intent_answer_t *answer, const char *format, ...) PRINTF_LIKE(2, 3);

typedef struct {
    char *profile;
    bytes_t csr;
    char *names;
    char *owner;
} intent_request_t;

err_t *intent_get_request(wire_reader_t *r, intent_request_t *ret_request) WARN_UNUSED;
void intent_request_done(intent_request_t *request);
/* The signer's bytes borrow from the message. ERR_INVALID for an unknown cipher. */
err_t *intent_get_scep_reply(wire_reader_t *r, keeper_scep_reply_t *ret_reply) WARN_UNUSED;
err_t *intent_get_cipher(wire_reader_t *r, cms_cipher_t *ret_cipher) WARN_UNUSED;
/* An identifier for a log and an AAD: 1..max printable bytes. */
err_t *intent_get_name(wire_reader_t *r, size_t max, const char *what, char **ret_name) WARN_UNUSED;

/* Certifies under the profile and puts the certificate into the operation's record. */
err_t *intent_certify(const keeper_core_t *core, const intent_request_t *request,
                      intent_answer_t *answer, const cert_t **ret_cert) WARN_UNUSED;

/* Certifies a key under a profile: serial, dates, usages, URLs are the profile's and the CA's. */
err_t *intent_issue_cert(const keeper_core_t *core, const cert_profile_t *profile,
                         const pkey_t *key, const name_entry_t *subject, size_t subject_n,
                         const san_entry_t *names, size_t names_n, cert_t **ret_cert) WARN_UNUSED;
/* Puts it into the operation's record and the log's entry. */
err_t *intent_record_cert(const keyring_t *keys, intent_answer_t *answer,
                          const cert_profile_t *profile, const char *owner,
                          cert_t *cert) WARN_UNUSED;

/* A certificate that this keeper's device CA issued and recorded. ERR_NOT_FOUND, ERR_VERIFY. */
err_t *intent_find_issued(const keeper_core_t *core, bytes_t fingerprint,
                          cert_t **ret_cert) WARN_UNUSED;
/* The bytes of an audit chain's head that are signed; appended. */
err_t *intent_audit_message(const char *node, int64_t seq, bytes_t hash, int64_t unix_ms,
                            bytes_t key_id, buf_t *out) WARN_UNUSED;

err_t *intent_status(const keeper_core_t *, const intent_call_t *, intent_answer_t *) WARN_UNUSED;
err_t *intent_public(const keeper_core_t *, const intent_call_t *, intent_answer_t *) WARN_UNUSED;
err_t *intent_log(const keeper_core_t *, const intent_call_t *, intent_answer_t *) WARN_UNUSED;
err_t *intent_scep_open(const keeper_core_t *, const intent_call_t *,
                        intent_answer_t *) WARN_UNUSED;
err_t *intent_scep_open_id(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_scep_issue(const keeper_core_t *, const intent_call_t *,
                         intent_answer_t *) WARN_UNUSED;
err_t *intent_scep_repeat(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_scep_refuse(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_scep_crl(const keeper_core_t *, const intent_call_t *, intent_answer_t *) WARN_UNUSED;
err_t *intent_next_ca(const keeper_core_t *, const intent_call_t *, intent_answer_t *) WARN_UNUSED;
err_t *intent_device_cas(const keeper_core_t *, const intent_call_t *,
                         intent_answer_t *) WARN_UNUSED;
err_t *intent_sign_profile(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_seal_profile(const keeper_core_t *, const intent_call_t *,
                           intent_answer_t *) WARN_UNUSED;
err_t *intent_seal_secret(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_fill_secret(const keeper_core_t *, const intent_call_t *,
                          intent_answer_t *) WARN_UNUSED;
err_t *intent_sign_audit_head(const keeper_core_t *, const intent_call_t *,
                              intent_answer_t *) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(intent_request_t, intent_request_done)

#endif
