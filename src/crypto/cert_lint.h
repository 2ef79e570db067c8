/*
 * Linting a certificate: does its DER keep the rules of RFC 5280 (and the standards it leans on)
 * and, for mail, of the CA/Browser Forum's S/MIME Baseline Requirements ("SMBR", version 1.0.16)?
 * Pure functions without allocation, any thread; a few microseconds for a certificate of ours.
 * Nothing is said of trust, dates against a clock, or revocation.
 */
#ifndef COFFER_CRYPTO_CERT_LINT_H
#define COFFER_CRYPTO_CERT_LINT_H

#include "base/bytes.h"
#include "base/err.h"

typedef enum { CERT_LINT_NOTICE, CERT_LINT_WARNING, CERT_LINT_ERROR } cert_lint_severity_t;

/* Which rules. RFC 5280's are in each of them. */
typedef enum {
    CERT_LINT_NONE, /* looks at nothing */
    CERT_LINT_RFC5280,
    CERT_LINT_SMIME_STRICT,
    CERT_LINT_SMIME_MULTIPURPOSE,
    CERT_LINT_SMIME_LEGACY,
    /*
     * As the certificate says: the generation of a policy reserved by SMBR section 7.1.6.1; else
     * multipurpose if it is for emailProtection and names a mailbox; else RFC 5280.
     */
    CERT_LINT_AUTO,
} cert_lint_rules_t;

/* One rule; static. */
typedef struct {
    const char *id;      /* "rfc5280_serial_length", "smbr_validity" */
    const char *section; /* "RFC 5280 4.1.2.2", "SMBR 6.3.2" */
    const char *text;    /* what is wrong when it is broken; a sentence without its full stop */
    cert_lint_severity_t severity;
} cert_lint_rule_t;

enum { CERT_LINT_DETAIL = 96, CERT_LINT_FINDINGS = 64 };

typedef struct {
    const cert_lint_rule_t *rule;
    char detail[CERT_LINT_DETAIL]; /* what it is about, printable ASCII; may be "" */
} cert_lint_finding_t;

typedef struct {
    cert_lint_rules_t rules;          /* what was applied; never AUTO */
    size_t n;                         /* findings kept, in the order found */
    size_t errors, warnings, notices; /* of all */
    cert_lint_finding_t findings[CERT_LINT_FINDINGS];
} cert_lint_t;

/* A Certificate. Malformed DER is a finding too. Signatures are not verified. */
void cert_lint(bytes_t der, cert_lint_rules_t rules, cert_lint_t *ret_lint);
/* A TBSCertificate, before it is signed. */
void cert_lint_tbs(bytes_t tbs, cert_lint_rules_t rules, cert_lint_t *ret_lint);
/* The same for who issues: ERR_DENIED naming the first error's rule if there is any. */
err_t *cert_lint_demand(bytes_t tbs, cert_lint_rules_t rules) WARN_UNUSED;

/* All rules, each once. */
const cert_lint_rule_t *cert_lint_rules(size_t *ret_n);
/* "rfc5280", "smime-strict", ..., "auto"; static. */
const char *cert_lint_rules_name(cert_lint_rules_t rules);
/* "error", "warning", "notice". */
const char *cert_lint_severity_name(cert_lint_severity_t severity);

#endif
