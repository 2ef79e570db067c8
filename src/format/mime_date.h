/*
 * Dates of header fields: RFC 5322 section 3.3 with the obsolete forms of section 4.3. Pure.
 */
#ifndef COFFER_FORMAT_MIME_DATE_H
#define COFFER_FORMAT_MIME_DATE_H

#include <stdbool.h>

#include "base/bytes.h"

/* "Mon, 26 Jan 2026 20:38:03 +0000" in seconds since 1970 UTC. False: not to be read. */
bool mime_date_read(bytes_t value, int64_t *ret_unix);

#endif
