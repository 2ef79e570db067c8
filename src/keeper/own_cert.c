/*
 * See own_cert.h.
 */
#include "keeper/own_cert.h"

#include <stdio.h>

enum {
    BACKDATE_S = 60 * 60, /* devices' clocks may be slow */
    COMMON_NAME_MAX = 64, /* ub-common-name, RFC 5280 appendix A.1 */
};

err_t *own_cert_issue(const own_issuer_t *by, const char *role, int64_t validity_s,
                      const cert_spec_t *rest, cert_t **ret_cert) {
    char common[COMMON_NAME_MAX + 1];
    int n = snprintf(common, sizeof common, "%s %s", by->organisation, role);
    bool fits = n > 0 && (size_t)n < sizeof common;
    name_entry_t subject[] = {{"O", by->organisation}, {"CN", fits ? common : role}};
    uint8_t serial[CERT_SERIAL_SIZE];
    TRY(cert_serial_random(by->rnd, serial));
    int64_t now = clk_unix(by->clk);
    cert_spec_t spec = *rest;
    spec.subject = subject;
    spec.subject_n = 2;
    spec.serial = BYTES_ARRAY(serial);
    spec.not_before = now - BACKDATE_S;
    spec.not_after = now + validity_s;
    if (by->issuer && spec.not_before < cert_not_before(by->issuer))
        spec.not_before = cert_not_before(by->issuer);
    if (by->issuer && spec.not_after > cert_not_after(by->issuer))
        spec.not_after = cert_not_after(by->issuer);
    spec.lint = CERT_LINT_RFC5280;
    TRY_WRAP(cert_issue(&spec, by->issuer, by->issuer_key, ret_cert), "%s", role);
    return NULL;
}

err_t *own_cert_keep(vault_t *vault, const char *name, const pkey_t *key, const cert_t *cert) {
    CLEANUP(secret_free) secret_t *private_key = NULL;
    CLEANUP(buf_done) buf_t public_der;
    buf_init(&public_der, LIMIT_CERTIFICATE_BYTES);
    TRY(pkey_private_der(key, &private_key));
    TRY(pkey_public_der(key, &public_der));
    return vault_key_put(vault, &(vault_key_t){
                                    .name = name,
                                    .kind = VAULT_KEY_PRIVATE,
                                    .private_key = secret_bytes(private_key),
                                    .public_der = buf_bytes(&public_der),
                                    .certificate = cert ? cert_der(cert) : BYTES_NONE,
                                });
}
