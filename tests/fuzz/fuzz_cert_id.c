/* Foreign names of certificates: what is taken lies inside the input. */
#include <stdlib.h>

#include "crypto/cert.h"
#include "crypto/cert_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_inside(const uint8_t *data, size_t size, bytes_t part) {
    if (part.p < data || part.p + part.n > data + size || part.n == 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t issuer, rest;
    err_t *e = cert_id_subject(bytes_make(data, size), &issuer, &rest);
    if (!e) {
        must_be_inside(data, size, issuer);
        must_be_inside(data, size, rest);
    }
    err_free(e);
    e = cert_id_serial(bytes_make(data, size), &issuer, &rest);
    if (!e) {
        must_be_inside(data, size, issuer);
        must_be_inside(data, size, rest);
        if (rest.n > CERT_SERIAL_SIZE) abort();
    }
    err_free(e);
    return 0;
}
