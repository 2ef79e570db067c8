/*
 * Paths and mailboxes of SMTP (RFC 5321 section 4.1.2, RFC 6531 for UTF-8) and xtext (RFC 3461
 * section 4). Pure.
 */
#ifndef COFFER_SMTP_ADDRESS_H
#define COFFER_SMTP_ADDRESS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * Takes "<address>" off the front of *rest (blanks before it are forgiven, a source route is
 * dropped). "<>" gives an empty address. ERR_INVALID: not a path; ERR_LIMIT: too long.
 */
err_t *smtp_path_take(bytes_t *rest, bytes_t *ret_address) WARN_UNUSED;

/* local@domain or local@[literal]; UTF-8 is fine here. */
bool smtp_mailbox_valid(bytes_t address);
/* What stands behind the last @, or none. */
bytes_t smtp_domain(bytes_t address);
bool smtp_is_ascii(bytes_t text);

/* ERR_INVALID for what is not xtext. */
err_t *smtp_xtext_decode(bytes_t text, buf_t *out) WARN_UNUSED;
bool smtp_xtext_valid(bytes_t text);
err_t *smtp_xtext_encode(bytes_t data, buf_t *out) WARN_UNUSED;

#endif
