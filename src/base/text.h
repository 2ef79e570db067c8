/*
 * Text encodings and numbers: hex, base64 (RFC 4648), percent-encoding (RFC 3986), decimal,
 * UTF-8 validation, RFC 3339 times. All pure and total: bad input gives ERR_INVALID.
 */
#ifndef COFFER_BASE_TEXT_H
#define COFFER_BASE_TEXT_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

err_t *text_hex(bytes_t data, buf_t *out) WARN_UNUSED; /* appends lower-case hex */
err_t *text_unhex(bytes_t hex, buf_t *out) WARN_UNUSED;
/* Hex into a new string (mem_free). */
err_t *text_hex_new(bytes_t data, char **ret_hex) WARN_UNUSED;

/* Standard alphabet with padding, one line. */
err_t *text_base64(bytes_t data, buf_t *out) WARN_UNUSED;
/* URL alphabet without padding (RFC 4648 section 5). */
err_t *text_base64url(bytes_t data, buf_t *out) WARN_UNUSED;
/* Accepts either alphabet, optional padding, and ASCII white space between characters. */
err_t *text_unbase64(bytes_t text, buf_t *out) WARN_UNUSED;

/* Decodes %XX; `plus_is_space` for form bodies only (a SCEP query keeps its plus signs). */
err_t *text_unpercent(bytes_t text, bool plus_is_space, buf_t *out) WARN_UNUSED;
/* Encodes all but the unreserved characters. */
err_t *text_percent(bytes_t text, buf_t *out) WARN_UNUSED;

/* Whole text must be one number in the range; no sign for u64, no white space. */
err_t *text_u64(bytes_t text, uint64_t max, uint64_t *ret_value) WARN_UNUSED;
err_t *text_i64(bytes_t text, int64_t *ret_value) WARN_UNUSED;

bool text_utf8_valid(bytes_t text);
/* No control characters (C0, DEL, C1) and none that turn the direction of writing (Unicode UAX 9),
 * valid UTF-8: fit for a name shown to people. */
bool text_printable(bytes_t text);
/* Takes the first character off; a byte that is none gives U+FFFD. False at the end. */
bool text_next(bytes_t *rest, uint32_t *ret_point);
/* Appends a stranger's text so that it steers no terminal and turns no line: controls (C0, DEL, C1)
 * become spaces, but line ends and tabs where `lines`; marks of direction are left out; what is no
 * UTF-8 becomes U+FFFD. */
err_t *text_defuse(bytes_t text, bool lines, buf_t *out) WARN_UNUSED;
/* ASCII case folded comparison. */
bool text_eq_fold(bytes_t a, bytes_t b);
/* In place, ASCII only. */
void text_lower(char *text);
bytes_t text_trim(bytes_t text); /* ASCII white space at both ends */
/* Splits off what stands before the first `separator`; false at the end of `rest`. */
bool text_split(bytes_t *rest, uint8_t separator, bytes_t *ret_field);

enum { TEXT_TIME_SIZE = 21 }; /* "2026-11-22T04:19:00Z" and NUL */
/* Seconds since 1970 UTC as RFC 3339. Returns out. */
const char *text_time(int64_t unix_seconds, char out[TEXT_TIME_SIZE]);
err_t *text_parse_time(bytes_t text, int64_t *ret_unix_seconds) WARN_UNUSED;
/* "90s", "15m", "12h", "30d", "2y" (365 days) in seconds. */
err_t *text_duration(bytes_t text, int64_t *ret_seconds) WARN_UNUSED;

enum { TEXT_UUID_SIZE = 37 };
/* A version 4 UUID of 16 random bytes, upper case as Apple writes them. Returns out. */
const char *text_uuid(const uint8_t random[16], char out[TEXT_UUID_SIZE]);

#endif
