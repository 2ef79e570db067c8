/*
 * Is a signer to be believed? Chain and dates at the time of signing (at
 * arrival where the options say so), revocation, and whether the
 * certificate speaks for the address the message claims to be from.
 */
#ifndef COFFER_MAIL_JUDGE_H
#define COFFER_MAIL_JUDGE_H

#include "mail/reader.h"

/* Fills signature->judged. */
err_t *mail_judge(mail_signature_t *signature, const mail_verdict_t *verdict,
                  const mail_reader_options_t *options,
                  const mail_reader_handler_t *handler) WARN_UNUSED;
/* Whether the certificate names the address (rfc822Name, RFC 5280 section 4.2.1.6), never by CN. */
bool mail_cert_is_for(const cert_t *cert, bytes_t address);

#endif
