/*
 * Names where case and composition do not count: two names with one key are one file on macOS or
 * Windows. Pure. The only place that includes utf8proc.
 */
#ifndef COFFER_SYNC_NAME_H
#define COFFER_SYNC_NAME_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * Appends the key: Unicode's full case folding and NFC (UAX 15, canonical caseless matching). Of a
 * name that is no UTF-8 there is none, and nothing is appended. A key is written once, by whoever
 * names the file; readers compare keys and never work them out again, so a newer Unicode changes
 * no old folder.
 */
err_t *sync_name_fold(bytes_t name, buf_t *out) WARN_UNUSED;

#endif
