/*
 * Renewal (RFC 8894 sections 2.3 and 3.3.1.2): by RenewalReq, or by a PKCSReq that a certificate
 * of ours signed. The old certificate is the authorisation, so everything about it is looked at:
 * who issued it, our record, revocation, dates, whose it is, and that the new one says the same.
 * Any worker thread of coffer-web.
 */
#include "base/mem.h"
#include "pki/scep_internal.h"
#include "store/devices.h"
#include "store/people.h"

enum { DAY_S = 24 * 60 * 60, NAMES_MAX = 16 * 1024 };

static err_t *check_dates(scep_exchange_t *x, const db_certificate_t *old) {
    const pki_options_t *o = &x->pki->o;
    int64_t now = clk_unix(o->clk);
    if (old->not_before > now + o->clock_skew_s)
        return SCEP_NO(x, SCEP_FAIL_BAD_TIME, NEXT_CLOCK, "certificate %s is not valid yet",
                       old->serial);
    if (now > old->not_after + o->renewal_grace_s)
        return SCEP_NO(x, SCEP_FAIL_BAD_TIME, NEXT_PROFILE,
                       "certificate %s expired %lld days ago: too late to renew it", old->serial,
                       (long long)((now - old->not_after) / DAY_S));
    if (o->renewal_window_s && now < old->not_after - o->renewal_window_s)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_LATER,
                       "certificate %s may be renewed in %lld days, not before", old->serial,
                       (long long)((old->not_after - o->renewal_window_s - now) / DAY_S + 1));
    return NULL;
}

/* The person has not left and the device has not un-enrolled. */
static err_t *check_holder(db_conn_t *conn, scep_exchange_t *x, const db_certificate_t *old) {
    bool found = false;
    db_person_t person;
    db_device_t device;
    if (old->person_id[0]) {
        TRY(db_people_by_id(conn, x->arena, old->person_id, &person, &found));
        if (!found || person.disabled)
            return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                           "the person of certificate %s is disabled", old->serial);
        x->grant.email = person.email;
    }
    TRY(pki_device_of(conn, x->arena, old->fingerprint, &device, &found));
    if (found && strcmp(device.state, "removed") == 0)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE,
                       "the device of certificate %s has left management", old->serial);
    if (found) x->grant.udid = device.udid;
    return NULL;
}

static err_t *check_old(db_conn_t *conn, void *arg) {
    scep_exchange_t *x = arg;
    db_certificate_t old;
    bool found = false;
    int64_t renewals = 0;
    bytes_t fingerprint = bytes_make(cert_sha256(x->signer), PKI_HASH);
    TRY(db_certificates_by_fingerprint(conn, x->arena, fingerprint, &old, &found));
    if (!found)
        return SCEP_NO(x, SCEP_FAIL_BAD_CERT_ID, NEXT_PROFILE,
                       "certificate %s is not in the records", cert_serial_hex(x->signer));
    x->grant = (scep_grant_t){.profile = old.profile,
                              .names = "",
                              .enrolment_id = old.enrolment_id,
                              .person_id = old.person_id,
                              .email = "",
                              .udid = "",
                              .renewed_from = old.fingerprint};
    if (old.revoked_ms)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE, "certificate %s is revoked",
                       old.serial);
    TRY(check_dates(x, &old));
    TRY(check_holder(conn, x, &old));
    TRY(db_renewals_count(conn, fingerprint, &renewals));
    if (renewals >= LIMIT_SCEP_RENEWALS)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE,
                       "certificate %s was renewed %d times already", old.serial,
                       LIMIT_SCEP_RENEWALS);
    return NULL;
}

static bool has_san(const san_entry_t *list, size_t n, const san_entry_t *wanted) {
    for (size_t i = 0; i < n; i++)
        if (list[i].kind == wanted->kind && strcmp(list[i].value, wanted->value) == 0) return true;
    return false;
}

/* The same subject, and the same names or none: a renewal changes the key and the dates only. */
static err_t *check_same(scep_exchange_t *x) {
    size_t old_n = 0, new_n = 0;
    const san_entry_t *old = cert_sans(x->signer, &old_n), *new = csr_sans(x->csr, &new_n);
    if (strcmp(cert_subject(x->signer), csr_subject(x->csr)) != 0)
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                       "a renewal keeps its subject %s; asked for was %s", cert_subject(x->signer),
                       csr_subject(x->csr));
    for (size_t i = 0; i < new_n; i++)
        if (!has_san(old, old_n, &new[i]))
            return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                           "a renewal keeps its names; %s is new", new[i].value);
    for (size_t i = 0; new_n && i < old_n; i++)
        if (!has_san(new, new_n, &old[i]))
            return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_STOP,
                           "a renewal keeps its names; %s is missing", old[i].value);
    return NULL;
}

static err_t *take_names(scep_exchange_t *x) {
    size_t n = 0;
    const san_entry_t *sans = cert_sans(x->signer, &n);
    CLEANUP(buf_done) buf_t text;
    bytes_t copy;
    buf_init(&text, NAMES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (sans[i].kind == SAN_OTHER)
            return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE,
                           "the certificate has a name that can't be renewed: %s", sans[i].value);
        TRY(buf_add_str(&text, i ? " " : ""));
        TRY(buf_add_str(&text, pki_san_kind_name(sans[i].kind)));
        TRY(buf_add_str(&text, ":"));
        TRY(buf_add_str(&text, sans[i].value));
    }
    TRY(arena_copy(x->arena, buf_bytes(&text), &copy));
    x->grant.names = (const char *)copy.p;
    return NULL;
}

static err_t *take_owner(scep_exchange_t *x) {
    bytes_t copy;
    if (x->grant.enrolment_id[0]) {
        x->grant.owner = x->grant.enrolment_id;
        return NULL;
    }
    CLEANUP(mem_free) char *owner = mem_printf("renewed:%s", cert_serial_hex(x->signer));
    if (!owner) return err_nomem();
    TRY(arena_copy(x->arena, bytes_str(owner), &copy));
    x->grant.owner = (const char *)copy.p;
    return NULL;
}

err_t *scep_renew_check(scep_exchange_t *x) {
    if (!x->signer_ours) /* micromdm/scep issue 117: any certificate would do */
        return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE,
                       "a renewal is signed by the certificate to renew, one of this CA");
    TRY(db_read(x->pki->o.db, check_old, x));
    TRY(check_same(x));
    TRY(take_names(x));
    TRY(scep_check_mailboxes(x, x->grant.email));
    return take_owner(x);
}
