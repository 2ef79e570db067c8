/*
 * Naming a certificate from outside: IssuerAndSubject (RFC 8894 section 3.3.3) and
 * IssuerAndSerialNumber (RFC 5652 section 10.2.4). Pure; any thread.
 */
#ifndef COFFER_CRYPTO_CERT_ID_H
#define COFFER_CRYPTO_CERT_ID_H

#include "base/bytes.h"
#include "base/err.h"

/* Both Names as whole DER, borrowed. ERR_INVALID unless `der` is exactly this, in DER. */
err_t *cert_id_subject(bytes_t der, bytes_t *ret_issuer, bytes_t *ret_subject) WARN_UNUSED;
/*
 * The issuer's Name as whole DER and the serial number's magnitude without leading zeros (1 to
 * CERT_SERIAL_SIZE bytes, as cert_serial gives it), borrowed. ERR_INVALID unless exactly this.
 */
err_t *cert_id_serial(bytes_t der, bytes_t *ret_issuer, bytes_t *ret_serial) WARN_UNUSED;

#endif
