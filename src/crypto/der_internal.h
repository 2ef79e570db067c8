/*
 * For the files of src/crypto only: strict DER (X.690 section 10), reading without allocation and
 * writing into a buf_t. Reading is two steps: der_check once over the whole object, then a cursor
 * of der_next and der_take over what is known to be well formed.
 */
#ifndef COFFER_CRYPTO_DER_INTERNAL_H
#define COFFER_CRYPTO_DER_INTERNAL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_UTF8 = 0x0c,
    DER_NUMERIC = 0x12,
    DER_PRINTABLE = 0x13,
    DER_T61 = 0x14,
    DER_IA5 = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_UNIVERSAL = 0x1c,
    DER_BMP = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT = 0x80,             /* [n], primitive: DER_CONTEXT | n */
    DER_CONTEXT_CONSTRUCTED = 0xa0, /* [n], constructed */
};

/* One element: identifier octet, content octets, and the element as a whole. Borrowed. */
typedef struct {
    uint8_t tag;
    bytes_t content;
    bytes_t whole;
} der_t;

/*
 * Whether `der` is exactly one element in DER: low tag numbers, shortest definite lengths, each
 * inside its parent, at most LIMIT_DER_DEPTH deep, and universal primitives as X.690 says (a
 * context tag hides a type, so nothing is said of those). String types are told by form alone.
 */
bool der_check(bytes_t der);

/* Takes the first element off rest; false (and rest as it was) if there is none well formed. */
bool der_next(bytes_t *rest, der_t *ret_element);
/* The same if its identifier octet is `tag`. */
bool der_take(bytes_t *rest, uint8_t tag, bytes_t *ret_content);
/* The same, the element as a whole. */
bool der_take_whole(bytes_t *rest, uint8_t tag, bytes_t *ret_whole);
/* Whether rest begins with this identifier octet. */
static inline bool der_at(bytes_t rest, uint8_t tag) { return rest.n && rest.p[0] == tag; }
/* A BIT STRING of whole octets. */
bool der_take_octets(bytes_t *rest, bytes_t *ret_octets);
/* A positive INTEGER's magnitude, without leading zeros. */
bool der_take_unsigned(bytes_t *rest, bytes_t *ret_magnitude);

/* The forms of content octets that hide behind a context tag. */
bool der_is_oid(bytes_t content);
bool der_is_bits(bytes_t content);
bool der_is_integer(bytes_t content);

/* Order of a SET OF's encodings (X.690 section 11.6): below, equal, above zero. */
int der_compare(bytes_t a, bytes_t b);

err_t *der_put_head(buf_t *out, uint8_t tag, size_t length) WARN_UNUSED;
err_t *der_put(buf_t *out, uint8_t tag, bytes_t content) WARN_UNUSED;
/* A non-negative INTEGER from its magnitude. */
err_t *der_put_unsigned(buf_t *out, bytes_t magnitude) WARN_UNUSED;
/* A BIT STRING of whole octets. */
err_t *der_put_octets(buf_t *out, bytes_t octets) WARN_UNUSED;
/* UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5). ERR_USAGE past 9999. */
err_t *der_put_time(buf_t *out, int64_t unix_seconds) WARN_UNUSED;
/* Makes room at `at` and puts data there. */
err_t *der_insert(buf_t *out, size_t at, bytes_t data) WARN_UNUSED;
/* Puts a head before what was written from `start` on. */
err_t *der_enclose(buf_t *out, size_t start, uint8_t tag) WARN_UNUSED;

#endif
