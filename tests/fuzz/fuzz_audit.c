/*
 * The verifier of audit exports on foreign bytes.
 */
#include "audit/audit_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    audit_report_t report;
    err_ignore(audit_verify_bytes(bytes_make(data, size), NULL, &report));
    return 0;
}
