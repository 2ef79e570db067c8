/*
 * The PKI context: CA certificates from the keeper, and whether a certificate is an identity of
 * ours. Runs in coffer-web, on any worker thread.
 */
#include "pki/pki.h"

#include "base/limits.h"
#include "base/mem.h"
#include "directory/publish.h"
#include "format/conf.h"
#include "pki/pki_internal.h"

enum { DAY_S = 24 * 60 * 60 };

static err_t *fetch(keeper_t *keeper, keeper_public_t which, cert_t **ret_cert) {
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    TRY(keeper_public(keeper, which, &der));
    return cert_parse_der(buf_bytes(&der), ret_cert);
}

/* Generations change by a restart only. */
static err_t *fetch_cas(pki_t *pki) {
    TRY(keeper_device_cas(pki->o.keeper, &pki->cas));
    bool next = false;
    for (size_t i = 0; i < pki->cas.n; i++) {
        if (pki->cas.list[i].state == KEEPER_CA_CURRENT) pki->ca = &pki->cas.list[i];
        next |= pki->cas.list[i].state == KEEPER_CA_NEXT;
    }
    if (!pki->ca) return err_new(ERR_INVALID, "the keeper has no current device CA");
    return next ? keeper_next_ca(pki->o.keeper, &pki->next_ca) : NULL;
}

err_t *pki_new(const pki_options_t *options, pki_t **ret_pki) {
    CLEANUP(pki_free) pki_t *pki = mem_zalloc(sizeof *pki);
    if (!pki) return err_nomem();
    pki->o = *options;
    buf_init(&pki->next_ca, LIMIT_FRAME_BYTES);
    if (pki->o.challenge_ttl_s == 0) pki->o.challenge_ttl_s = LIMIT_CHALLENGE_TTL_S;
    if (pki->o.pending_ttl_s == 0) pki->o.pending_ttl_s = 7 * DAY_S;
    if (pki->o.clock_skew_s == 0) pki->o.clock_skew_s = DAY_S;
    (void)pthread_mutex_init(&pki->verified_lock, NULL);
    (void)pthread_mutex_init(&pki->flight_lock, NULL);
    pki->verified = mem_array(PKI_VERIFIED_SLOTS, PKI_HASH);
    if (!pki->verified) return err_nomem();
    TRY(cert_cache_new(PKI_CERTS, &pki->certs));
    TRY_WRAP(fetch(options->keeper, KEEPER_PUBLIC_ROOT, &pki->root), "root CA certificate");
    TRY_WRAP(fetch_cas(pki), "device CA certificates");
    TRY_WRAP(fetch(options->keeper, KEEPER_PUBLIC_MAIL_CA, &pki->mail_ca), "mail CA certificate");
    TRY_WRAP(fetch(options->keeper, KEEPER_PUBLIC_PROFILE_SIGNER, &pki->profile_signer),
             "profile signer's certificate");
    *ret_pki = STEAL(pki);
    return NULL;
}

void pki_free(pki_t *pki) {
    if (!pki) return;
    cert_free(pki->root);
    keeper_cas_done(&pki->cas);
    buf_done(&pki->next_ca);
    cert_free(pki->mail_ca);
    cert_free(pki->profile_signer);
    cert_cache_free(pki->certs);
    mem_free(pki->verified);
    (void)pthread_mutex_destroy(&pki->verified_lock);
    (void)pthread_mutex_destroy(&pki->flight_lock);
    mem_free(pki);
}

const cert_t *pki_root(const pki_t *pki) { return pki->root; }
const cert_t *pki_mail_ca(const pki_t *pki) { return pki->mail_ca; }
const cert_t *pki_device_ca(const pki_t *pki) { return pki->ca->cert; }
const keeper_cas_t *pki_device_cas(const pki_t *pki) { return &pki->cas; }
void pki_use_revoker(pki_t *pki, revoker_t *revoker) { pki->revoker = revoker; }

const keeper_ca_t *pki_device_ca_by_subject(const pki_t *pki, bytes_t subject_der) {
    for (size_t i = 0; i < pki->cas.n; i++)
        if (bytes_eq(cert_subject_der(pki->cas.list[i].cert), subject_der))
            return &pki->cas.list[i];
    return NULL;
}

const keeper_ca_t *pki_device_ca_by_name(const pki_t *pki, bytes_t name) {
    for (size_t i = 0; i < pki->cas.n; i++)
        if (bytes_eq_str(name, pki->cas.list[i].name)) return &pki->cas.list[i];
    return NULL;
}
const cert_t *pki_profile_signer(const pki_t *pki) { return pki->profile_signer; }

cert_cache_t *pki_certs(const pki_t *pki) { return pki->certs; }

static size_t slot_of(const uint8_t fingerprint[PKI_HASH]) {
    size_t sets = PKI_VERIFIED_SLOTS / PKI_VERIFIED_WAYS;
    return ((size_t)fingerprint[0] << 8 | fingerprint[1]) % sets * PKI_VERIFIED_WAYS;
}

static bool verified_before(pki_t *pki, const uint8_t fingerprint[PKI_HASH]) {
    (void)pthread_mutex_lock(&pki->verified_lock);
    const uint8_t(*set)[PKI_HASH] = &pki->verified[slot_of(fingerprint)];
    bool hit = false;
    for (size_t i = 0; i < PKI_VERIFIED_WAYS && !hit; i++)
        hit = memcmp(set[i], fingerprint, PKI_HASH) == 0;
    (void)pthread_mutex_unlock(&pki->verified_lock);
    return hit;
}

static void remember_verified(pki_t *pki, const uint8_t fingerprint[PKI_HASH]) {
    (void)pthread_mutex_lock(&pki->verified_lock);
    uint8_t(*set)[PKI_HASH] = &pki->verified[slot_of(fingerprint)];
    memmove(set[1], set[0], (size_t)PKI_HASH * (PKI_VERIFIED_WAYS - 1));
    memcpy(set[0], fingerprint, PKI_HASH);
    (void)pthread_mutex_unlock(&pki->verified_lock);
}

/*
 * The record alone would do for a store that nobody tampers with; the CA's signature is asked for
 * too, so that a row put into the database from outside makes no identity.
 */
err_t *pki_check_signature(pki_t *pki, const cert_t *cert) {
    const uint8_t *fingerprint = cert_sha256(cert);
    if (verified_before(pki, fingerprint)) return NULL;
    const keeper_ca_t *ca = pki_device_ca_by_subject(pki, cert_issuer_der(cert));
    if (!ca || cert_is_ca(cert))
        return err_new(ERR_VERIFY, "certificate %s is not from this organisation's device CA",
                       cert_subject(cert));
    TRY_WRAP(cert_verify_signed_by_key(cert, cert_key(ca->cert)),
             "certificate %s is not from this organisation's device CA", cert_subject(cert));
    remember_verified(pki, fingerprint);
    return NULL;
}

err_t *pki_identity_row_check(pki_t *pki, const cert_t *cert, const db_certificate_t *row) {
    TRY(pki_check_signature(pki, cert));
    int64_t now = clk_unix(pki->o.clk);
    if (row->revoked_ms) return err_new(ERR_VERIFY, "certificate %s is revoked", row->serial);
    if (now < row->not_before)
        return err_new(ERR_VERIFY, "certificate %s is not valid yet", row->serial);
    if (now > row->not_after) return err_new(ERR_VERIFY, "certificate %s has expired", row->serial);
    return NULL;
}

err_t *pki_identity_check(pki_t *pki, db_conn_t *conn, arena_t *arena, const cert_t *cert,
                          db_certificate_t *ret_row) {
    TRY(pki_check_signature(pki, cert));
    bool found = false;
    db_certificate_t row;
    TRY(db_certificates_by_fingerprint(conn, arena, bytes_make(cert_sha256(cert), PKI_HASH), &row,
                                       &found));
    if (!found)
        return err_new(ERR_VERIFY, "certificate %s is not in the records", cert_serial_hex(cert));
    TRY(pki_identity_row_check(pki, cert, &row));
    *ret_row = row;
    return NULL;
}

err_t *pki_publish(const pki_t *pki, db_conn_t *conn, bytes_t fingerprint, const char *profile,
                   int64_t now_ms) {
    bytes_t list = pki->o.publish_profiles, one;
    while (conf_list_next(&list, &one))
        if (bytes_eq_str(one, profile)) return directory_publish_ask(conn, fingerprint, now_ms);
    return NULL;
}
