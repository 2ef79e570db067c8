/*
 * For the files of src/crypto only: names and extensions from strict DER into plain values. The
 * input passed der_check, except where a function says that it looks itself; what is returned
 * lives in the arena or is borrowed from the input.
 */
#ifndef COFFER_CRYPTO_NAME_DER_INTERNAL_H
#define COFFER_CRYPTO_NAME_DER_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "crypto/name.h"

typedef struct {
    const name_entry_t *entries;
    size_t n;
    const char *text; /* RFC 2253 with UTF-8 left readable */
} name_values_t;

/* A Name, given whole. ERR_INVALID for an entry that is no printable text; ERR_LIMIT. */
err_t *name_der_read(bytes_t name, arena_t *arena, name_values_t *ret_values) WARN_UNUSED;
/* A character string of this tag as UTF-8, whatever it holds (even controls); appends. */
err_t *text_der_read(uint8_t tag, bytes_t content, buf_t *out) WARN_UNUSED;
/* The same into the arena; ERR_INVALID naming `what` if it isn't printable. */
err_t *text_der_printable(uint8_t tag, bytes_t content, const char *what, arena_t *arena,
                          const char **ret_text) WARN_UNUSED;
/* An OBJECT IDENTIFIER, given whole, as dotted text. */
err_t *oid_der_dotted(bytes_t oid, arena_t *arena, const char **ret_text) WARN_UNUSED;
/* A Time of RFC 5280 section 4.1.2.5, taken off rest, as seconds since 1970 UTC. */
err_t *time_der_take(bytes_t *rest, int64_t *ret_seconds) WARN_UNUSED;
/* An AlgorithmIdentifier, taken off rest, whole. */
bool algorithm_der_take(bytes_t *rest, bytes_t *ret_whole);

/* The last octet of id-ce (2.5.29) extensions that are read. */
typedef enum {
    EXT_SUBJECT_KEY_ID = 0x0e,
    EXT_KEY_USAGE = 0x0f,
    EXT_SUBJECT_ALT_NAME = 0x11,
    EXT_BASIC_CONSTRAINTS = 0x13,
    EXT_AUTHORITY_KEY_ID = 0x23,
    EXT_EXTENDED_KEY_USAGE = 0x25,
} ext_id_t;

typedef struct {
    bytes_t oid;   /* whole */
    bytes_t value; /* content of extnValue, not yet checked */
    bool critical;
} ext_t;

typedef struct {
    ext_t list[LIMIT_EXTENSIONS];
    size_t n;
} ext_list_t;

/* The content of Extensions. ERR_INVALID if one comes twice, ERR_LIMIT. */
err_t *ext_list_read(bytes_t content, ext_list_t *ret_list) WARN_UNUSED;
/* NULL if absent. */
const ext_t *ext_find(const ext_list_t *list, ext_id_t id);
bool ext_is(const ext_t *ext, ext_id_t id);

typedef struct {
    const san_entry_t *sans;
    size_t sans_n;
    const char *const *ekus; /* dotted OIDs */
    size_t ekus_n;
    unsigned key_usage;
    bool ca;
} ext_values_t;

/* What certificates and requests have in common; looks at the values' form itself. */
err_t *ext_values_read(const ext_list_t *list, arena_t *arena, ext_values_t *ret) WARN_UNUSED;
/* The two key identifiers (RFC 5280 section 4.2.1.1 and 4.2.1.2); none if absent. */
err_t *ext_key_ids_read(const ext_list_t *list, arena_t *arena, bytes_t *ret_subject,
                        bytes_t *ret_authority) WARN_UNUSED;

#endif
