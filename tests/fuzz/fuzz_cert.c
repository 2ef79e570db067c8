/* Foreign certificates: parsing, every accessor, writing back. */
#include <stdlib.h>

#include "crypto/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t input = bytes_make(data, size);
    cert_t *cert = NULL;
    err_t *e = cert_parse_der(input, &cert);
    if (e) {
        err_free(e);
        err_ignore(cert_parse_pem(input, &cert));
    }
    if (!cert) return 0;
    cert_t *again = NULL;
    e = cert_parse_der(cert_der(cert), &again);
    if (e || !cert_same(cert, again)) abort(); /* what is kept must be readable */
    err_ignore(cert_verify_signed_by_key(cert, cert_key(cert)));
    cert_list_t list = {0};
    err_ignore(cert_list_add(&list, cert));
    cert_chain_t chain = {.roots = &list, .at = 1767225600, .hostname = "example.org"};
    err_ignore(cert_verify_chain(cert, &chain));
    cert_list_done(&list);
    cert_free(again);
    cert_free(cert);
    return 0;
}
