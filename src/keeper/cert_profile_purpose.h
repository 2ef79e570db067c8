/*
 * What certificates are for: the defaults of each purpose, and which combinations are refused
 * whatever the configuration says (RFC 5280 section 4.2.1.3, S/MIME Baseline Requirements section
 * 7.1.2.3). Pure; any thread.
 */
#ifndef COFFER_KEEPER_CERT_PROFILE_PURPOSE_H
#define COFFER_KEEPER_CERT_PROFILE_PURPOSE_H

#include "keeper/cert_profile.h"

/* Cuts to CERT_PROFILE_TEXT bytes. */
void cert_profile_set_text(char out[CERT_PROFILE_TEXT + 1], const char *text);
/* A profile of this name with the purpose's defaults. */
void cert_profile_begin(cert_profile_purpose_t purpose, const char *name,
                        cert_profile_t *ret_profile);
/* The rules, and the reserved certificate policy that goes with them (mailbox-validated). */
void cert_profile_set_rules(cert_profile_t *profile, cert_lint_rules_t rules);
/* ERR_INVALID says which key is wrong for the purpose, and why. */
err_t *cert_profile_purpose_check(const cert_profile_t *profile) WARN_UNUSED;
const char *cert_profile_purpose_name(cert_profile_purpose_t purpose);

#endif
