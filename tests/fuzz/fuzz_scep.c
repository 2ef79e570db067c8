/* SCEP messages from strangers: the CMS around them and their attributes (RFC 8894). */
#include <stddef.h>
#include <stdint.h>

#include "pki/scep.h"
#include "pki/scep_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    scep_request_t request = {0};
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, 1 << 20);
    err_t *e = scep_request_parse(bytes_make(data, size), true, &request);
    if (!e) scep_request_done(&request);
    err_free(e);
    err_free(scep_decode_get_message(bytes_make(data, size), &message));
    return 0;
}
