/*
 * Requests that wait for a person's approval (RFC 8894 section 4.4): the admin's side.
 * Safe from many threads at once.
 */
#ifndef COFFER_PKI_PENDING_H
#define COFFER_PKI_PENDING_H

#include "pki/pki.h"

/* Whether the certificate profile's requests wait for approval. */
bool pki_needs_approval(const pki_t *pki, const char *profile);

/*
 * Lets the certificate be issued when the client asks next. ERR_NOT_FOUND; ERR_BUSY if it was
 * decided already or has expired. Audited.
 */
err_t *pki_pending_approve(pki_t *pki, const char *id, const char *actor) WARN_UNUSED;
/* Refuses it; the client reads the reason (may be "", at most LIMIT_SCEP_REASON bytes). */
err_t *pki_pending_deny(pki_t *pki, const char *id, const char *reason,
                        const char *actor) WARN_UNUSED;

#endif
