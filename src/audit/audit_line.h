/*
 * Reads the pieces of one line of an audit export: strict, as docs/formats/audit.md writes them
 * and no other way. Pure; for the verifier.
 */
#ifndef COFFER_AUDIT_AUDIT_LINE_H
#define COFFER_AUDIT_AUDIT_LINE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Each takes what it reads off the front of *line; ERR_INVALID if something else stands there. */

/* Exactly this. */
err_t *audit_line_literal(bytes_t *line, const char *literal) WARN_UNUSED;
/* A quoted text, decoded and appended to out. */
err_t *audit_line_text(bytes_t *line, buf_t *out) WARN_UNUSED;
/* A decimal number, without leading zeros. */
err_t *audit_line_number(bytes_t *line, int64_t *ret_number) WARN_UNUSED;
/* Quoted lower-case hex of exactly n bytes. */
err_t *audit_line_hex(bytes_t *line, uint8_t *out, size_t n) WARN_UNUSED;
/* Quoted base64, decoded and appended to out. */
err_t *audit_line_base64(bytes_t *line, buf_t *out) WARN_UNUSED;

#endif
