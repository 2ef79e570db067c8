/*
 * Signed notes (C2SP signed-note): text that a key of a log signed. Ed25519 signatures alone (type
 * 0x01), over the text itself as the standard wants it. A note holds no control characters, so
 * none of Coffer's other signatures, which are over a domain and a NUL, counts for one; keep a key
 * for notes alone all the same. Pure; any thread.
 */
#ifndef COFFER_CRYPTO_NOTE_H
#define COFFER_CRYPTO_NOTE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/pkey.h"

/*
 * Appends the note: `text` (its last line ends with a newline), an empty line and the signature
 * line of `name` (no spaces, no '+'). ERR_USAGE for a text or name that can't be.
 */
err_t *note_sign(const pkey_t *key, const char *name, bytes_t text, buf_t *out) WARN_UNUSED;
/*
 * The text, borrowed from the note, if this key signed it under this name; ERR_VERIFY if not.
 * Signatures of others are passed over. ERR_INVALID or ERR_LIMIT for what is no note.
 */
err_t *note_open(bytes_t note, const pkey_t *key, const char *name, bytes_t *ret_text) WARN_UNUSED;
/* "name+12345678+base64": how verifiers are told the key (Go's sumdb/note). Ed25519 only. */
err_t *note_verifier_text(const pkey_t *key, const char *name, buf_t *out) WARN_UNUSED;
/* The other way; the name is borrowed from the text. ERR_INVALID unless it is the one form of it.
 */
err_t *note_verifier_parse(bytes_t text, bytes_t *ret_name, pkey_t **ret_key) WARN_UNUSED;

#endif
