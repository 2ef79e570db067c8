/*
 * CertRep, the answer of a SCEP server (RFC 8894 sections 3.2.1, 3.3.2). Pure; keeper only.
 */
#ifndef COFFER_KEEPER_CERTREP_H
#define COFFER_KEEPER_CERTREP_H

#include "base/rnd.h"
#include "keeper/client.h"

/* pkiStatus 0: `leaf` alone, enveloped to the request's signer, signed. Appends DER. */
err_t *certrep_success(const cms_signer_t *signer, const rnd_t *rnd, const cert_t *leaf,
                       const keeper_scep_reply_t *reply, buf_t *out) WARN_UNUSED;
/* pkiStatus 0 with a revocation list (DER) instead, RFC 8894 section 4.5. */
err_t *certrep_crl(const cms_signer_t *signer, const rnd_t *rnd, bytes_t crl,
                   const keeper_scep_reply_t *reply, buf_t *out) WARN_UNUSED;
/* pkiStatus 2 or 3, no envelope; info and text (may be "") only with FAILURE. */
err_t *certrep_refusal(const cms_signer_t *signer, const rnd_t *rnd, keeper_scep_status_t status,
                       scep_fail_info_t info, const char *text, const keeper_scep_reply_t *reply,
                       buf_t *out) WARN_UNUSED;

#endif
