/*
 * Names of certificates: see cert_id.h. Runs in the keeper and coffer-web on foreign bytes; any
 * thread.
 */
#include "crypto/cert_id.h"

#include "crypto/cert.h"
#include "crypto/der_internal.h"

static bool open_pair(bytes_t der, bytes_t *ret_issuer, bytes_t *ret_rest) {
    bytes_t outer = der, inner;
    return der_check(der) && der_take(&outer, DER_SEQUENCE, &inner) && !outer.n &&
           der_take_whole(&inner, DER_SEQUENCE, ret_issuer) && (*ret_rest = inner, true);
}

err_t *cert_id_subject(bytes_t der, bytes_t *ret_issuer, bytes_t *ret_subject) {
    bytes_t issuer, rest, subject;
    if (!open_pair(der, &issuer, &rest) || !der_take_whole(&rest, DER_SEQUENCE, &subject) || rest.n)
        return err_new(ERR_INVALID, "RFC 8894 section 3.3.3: not an IssuerAndSubject");
    *ret_issuer = issuer;
    *ret_subject = subject;
    return NULL;
}

err_t *cert_id_serial(bytes_t der, bytes_t *ret_issuer, bytes_t *ret_serial) {
    bytes_t issuer, rest, serial;
    if (!open_pair(der, &issuer, &rest) || !der_take_unsigned(&rest, &serial) || rest.n ||
        serial.n == 0 || serial.n > CERT_SERIAL_SIZE)
        return err_new(ERR_INVALID, "RFC 5652 section 10.2.4: not an IssuerAndSerialNumber");
    *ret_issuer = issuer;
    *ret_serial = serial;
    return NULL;
}
