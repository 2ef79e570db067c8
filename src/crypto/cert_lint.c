/*
 * The linter's frame: see cert_lint.h. Takes a certificate apart (RFC 5280 section 4.1) as far as
 * its form allows, chooses the rules, and collects findings. Runs in the keeper before each
 * signature, and in `coffer cert lint`. Pure; any thread.
 */
#include "crypto/cert_lint.h"

#include <stdarg.h>
#include <stdio.h>

#include "crypto/cert_lint_internal.h"

static const cert_lint_rule_t rules_table[] = {
#define X(id, severity, section, text) {#id, section, text, CERT_LINT_##severity},
    LINT_RULES(X)
#undef X
};

const cert_lint_rule_t *cert_lint_rules(size_t *ret_n) {
    *ret_n = sizeof rules_table / sizeof rules_table[0];
    return rules_table;
}

const char *cert_lint_rules_name(cert_lint_rules_t rules) {
    switch (rules) {
    case CERT_LINT_NONE: return "none";
    case CERT_LINT_RFC5280: return "rfc5280";
    case CERT_LINT_SMIME_STRICT: return "smime-strict";
    case CERT_LINT_SMIME_MULTIPURPOSE: return "smime-multipurpose";
    case CERT_LINT_SMIME_LEGACY: return "smime-legacy";
    case CERT_LINT_AUTO: return "auto";
    }
    return "none";
}

const char *cert_lint_severity_name(cert_lint_severity_t severity) {
    switch (severity) {
    case CERT_LINT_NOTICE: return "notice";
    case CERT_LINT_WARNING: return "warning";
    case CERT_LINT_ERROR: return "error";
    }
    return "error";
}

void lint_say(lint_t *x, lint_id_t id, const char *format, ...) {
    cert_lint_t *out = x->out;
    const cert_lint_rule_t *rule = &rules_table[id];
    out->errors += rule->severity == CERT_LINT_ERROR;
    out->warnings += rule->severity == CERT_LINT_WARNING;
    out->notices += rule->severity == CERT_LINT_NOTICE;
    if (out->n == CERT_LINT_FINDINGS) return;
    cert_lint_finding_t *finding = &out->findings[out->n++];
    finding->rule = rule;
    finding->detail[0] = '\0';
    if (!format) return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding->detail, sizeof finding->detail, format, args);
    va_end(args);
}

const lint_ext_t *lint_ext_oid(const lint_t *x, bytes_t oid) {
    for (size_t i = 0; i < x->exts_n; i++)
        if (bytes_eq(x->exts[i].oid, oid)) return &x->exts[i];
    return NULL;
}

const lint_ext_t *lint_ext(const lint_t *x, uint8_t id_ce) {
    const uint8_t oid[] = {0x55, 0x1d, id_ce};
    return lint_ext_oid(x, BYTES_ARRAY(oid));
}

const char *lint_oid(bytes_t oid, char out[LINT_OID_TEXT]) {
    size_t at = 0;
    uint64_t arc = 0;
    out[0] = '\0';
    for (size_t i = 0; i < oid.n && at < LINT_OID_TEXT - 1; i++) {
        if (arc >> 56) return "a long object identifier";
        arc = arc << 7 | (oid.p[i] & 0x7f);
        if (oid.p[i] & 0x80) continue;
        uint64_t first = arc < 40 ? 0 : arc < 80 ? 1 : 2;
        int n = at ? snprintf(out + at, LINT_OID_TEXT - at, ".%llu", (unsigned long long)arc)
                   : snprintf(out, LINT_OID_TEXT, "%llu.%llu", (unsigned long long)first,
                              (unsigned long long)(arc - 40 * first));
        at += n > 0 ? (size_t)n : 0;
        arc = 0;
    }
    return out;
}

/* ---- taking apart ---- */

/* version [0] EXPLICIT INTEGER { v1(0), v2(1), v3(2) } DEFAULT v1 */
static bool take_version(lint_t *x, bytes_t *tbs) {
    bytes_t inside, version;
    x->version = 1;
    if (!der_at(*tbs, DER_CONTEXT_CONSTRUCTED | 0)) return true;
    if (!der_take(tbs, DER_CONTEXT_CONSTRUCTED | 0, &inside) ||
        !der_take(&inside, DER_INTEGER, &version) || inside.n || version.n != 1 || version.p[0] > 2)
        return false;
    x->default_version = version.p[0] == 0;
    x->version = version.p[0] + 1U;
    return true;
}

static bool take_unique_ids(lint_t *x, bytes_t *tbs) {
    bytes_t bits;
    for (uint8_t n = 1; n <= 2; n++) {
        if (!der_at(*tbs, DER_CONTEXT | n)) continue;
        x->unique_id = true;
        if (!der_take(tbs, DER_CONTEXT | n, &bits) || !der_is_bits(bits)) return false;
    }
    return true;
}

/* Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
static bool take_extension(lint_t *x, bytes_t *list) {
    bytes_t fields, flag = BYTES_NONE;
    lint_ext_t ext = {0};
    if (x->exts_n == LIMIT_EXTENSIONS || !der_take(list, DER_SEQUENCE, &fields) ||
        !der_take(&fields, DER_OID, &ext.oid))
        return false;
    if (der_at(fields, DER_BOOLEAN) && !der_take(&fields, DER_BOOLEAN, &flag)) return false;
    if (!der_take(&fields, DER_OCTET_STRING, &ext.value) || fields.n) return false;
    ext.critical = flag.n && flag.p[0];
    ext.broken = !der_check(ext.value);
    char text[LINT_OID_TEXT];
    if (flag.n && !ext.critical)
        lint_say(x, LINT_rfc5280_der_default, "critical of %s", lint_oid(ext.oid, text));
    if (lint_ext_oid(x, ext.oid))
        lint_say(x, LINT_rfc5280_extension_twice, "%s", lint_oid(ext.oid, text));
    else x->exts[x->exts_n++] = ext;
    return true;
}

static bool take_extensions(lint_t *x, bytes_t tbs) {
    bytes_t inside, list;
    if (!tbs.n) return true;
    x->extensions_there = true;
    if (!der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 3, &inside) || tbs.n ||
        !der_take(&inside, DER_SEQUENCE, &list) || inside.n)
        return false;
    if (!list.n) lint_say(x, LINT_rfc5280_extensions_empty, NULL);
    while (list.n)
        if (!take_extension(x, &list)) return false;
    return true;
}

/* TBSCertificate's fields, section 4.1 */
static bool take_tbs(lint_t *x, bytes_t tbs) {
    return take_version(x, &tbs) && der_take(&tbs, DER_INTEGER, &x->serial) &&
           der_take_whole(&tbs, DER_SEQUENCE, &x->algorithm) &&
           der_take(&tbs, DER_SEQUENCE, &x->issuer) && der_take(&tbs, DER_SEQUENCE, &x->validity) &&
           der_take(&tbs, DER_SEQUENCE, &x->subject) && der_take(&tbs, DER_SEQUENCE, &x->spki) &&
           take_unique_ids(x, &tbs) && take_extensions(x, tbs);
}

static bool take_certificate(lint_t *x, bytes_t der) {
    bytes_t fields, tbs, signature;
    return der_take(&der, DER_SEQUENCE, &fields) && der_take(&fields, DER_SEQUENCE, &tbs) &&
           der_take_whole(&fields, DER_SEQUENCE, &x->outer_algorithm) &&
           der_take_octets(&fields, &signature) && !fields.n && take_tbs(x, tbs);
}

/* ---- the whole ---- */

static void run(bytes_t der, bool whole, cert_lint_rules_t rules, cert_lint_t *out) {
    out->rules = rules;
    out->n = out->errors = out->warnings = out->notices = 0;
    if (rules == CERT_LINT_NONE) return;
    lint_t x = {.out = out};
    bytes_t tbs, rest = der;
    bool good = der.n <= LIMIT_CERTIFICATE_BYTES && der_check(der);
    if (!good) {
        lint_say(&x, LINT_rfc5280_der, NULL);
    } else if (whole ? !take_certificate(&x, der)
                     : !der_take(&rest, DER_SEQUENCE, &tbs) || !take_tbs(&x, tbs)) {
        lint_say(&x, LINT_rfc5280_structure, NULL);
        good = false;
    }
    if (rules == CERT_LINT_AUTO) out->rules = good ? lint_choose(&x) : CERT_LINT_RFC5280;
    if (!good) return;
    x.rules = out->rules;
    lint_fields(&x);
    lint_extensions(&x);
    lint_names(&x);
    if (x.rules != CERT_LINT_RFC5280) lint_smime(&x);
}

void cert_lint(bytes_t der, cert_lint_rules_t rules, cert_lint_t *ret_lint) {
    run(der, true, rules, ret_lint);
}

void cert_lint_tbs(bytes_t tbs, cert_lint_rules_t rules, cert_lint_t *ret_lint) {
    run(tbs, false, rules, ret_lint);
}

err_t *cert_lint_demand(bytes_t tbs, cert_lint_rules_t rules) {
    if (rules == CERT_LINT_NONE) return NULL;
    cert_lint_t lint;
    cert_lint_tbs(tbs, rules, &lint);
    for (size_t i = 0; i < lint.n; i++) {
        const cert_lint_finding_t *f = &lint.findings[i];
        if (f->rule->severity != CERT_LINT_ERROR) continue;
        return err_new(ERR_DENIED, "the certificate would break the rule %s (%s): %s%s%s%s",
                       f->rule->id, f->rule->section, f->rule->text, f->detail[0] ? " (" : "",
                       f->detail, f->detail[0] ? ")" : "");
    }
    return lint.errors ? err_new(ERR_DENIED, "the certificate would break too many rules") : NULL;
}
