/* OCSP requests and CRL entries: any bytes give a value or an error, and never more. */
#include <stdlib.h>

#include "crypto/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ocsp_request_t request;
    err_t *e = ocsp_request_parse(bytes_make(data, size), &request);
    if (!e && (request.ids_n == 0 || request.ids_n > LIMIT_OCSP_CERTIDS)) abort();
    if (!e && request.nonce.n > LIMIT_OCSP_NONCE) abort();
    err_free(e);
    bytes_t rest = bytes_make(data, size);
    crl_entry_t entry;
    e = crl_entry_take(&rest, &entry);
    if (!e && (entry.serial.n == 0 || !crl_reason_name(entry.reason))) abort();
    err_free(e);
    return 0;
}
