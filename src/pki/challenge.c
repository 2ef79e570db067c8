/*
 * One-time SCEP challenges: random, stored hashed, bound to a profile, a subject, names and a
 * device, with an expiry. Redeeming happens in scep.c, in the transaction of the issuance.
 */
#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "pki/pki_internal.h"

enum { CHALLENGE_RANDOM = 20 }; /* bytes: 160 bits */

err_t *pki_challenge_hash(bytes_t challenge, uint8_t out[PKI_HASH]) {
    return digest_sha256(challenge, out);
}

err_t *pki_challenge_add(pki_t *pki, db_conn_t *conn, const pki_challenge_t *spec,
                         buf_t *ret_challenge) {
    uint8_t random[CHALLENGE_RANDOM], hash[PKI_HASH];
    CLEANUP(buf_done) buf_t text;
    buf_init_secret(&text, LIMIT_SCEP_CHALLENGE);
    TRY(rnd_fill(pki->o.rnd, random, sizeof random));
    err_t *e = text_base64url(BYTES_ARRAY(random), &text);
    mem_wipe(random, sizeof random);
    if (e) return e;
    TRY(pki_challenge_hash(buf_bytes(&text), hash));
    int64_t now = clk_unix_ms(pki->o.clk);
    int64_t ttl = spec->ttl_s ? spec->ttl_s : pki->o.challenge_ttl_s;
    TRY(db_challenges_add(conn, &(db_challenge_t){
                                    .hash = BYTES_ARRAY(hash),
                                    .profile = spec->profile,
                                    .subject = spec->subject,
                                    .sans = spec->names,
                                    .enrolment_id = spec->enrolment_id,
                                    .device_udid = spec->device_udid,
                                    .created_by = spec->created_by,
                                    .created_ms = now,
                                    .expires_ms = now + ttl * 1000,
                                }));
    return buf_add(ret_challenge, buf_bytes(&text));
}

typedef struct {
    pki_t *pki;
    const pki_challenge_t *spec;
    buf_t *out;
} challenge_job_t;

static err_t *challenge_write(db_conn_t *conn, void *arg) {
    challenge_job_t *job = arg;
    TRY(pki_challenge_add(job->pki, conn, job->spec, job->out));
    return audit_note(job->pki->o.audit, conn, job->spec->created_by, "scep.challenge", "",
                      "profile", job->spec->profile, "subject", job->spec->subject, "names",
                      job->spec->names, NULL);
}

err_t *pki_challenge_new(pki_t *pki, const pki_challenge_t *spec, buf_t *ret_challenge) {
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, LIMIT_SCEP_CHALLENGE);
    TRY(pki_names_validate(bytes_str(spec->names)));
    TRY(pki_subject_validate(bytes_str(spec->subject)));
    challenge_job_t job = {.pki = pki, .spec = spec, .out = &out};
    TRY(db_write(pki->o.db, challenge_write, &job));
    return buf_add(ret_challenge, buf_bytes(&out));
}

err_t *pki_claim(pki_t *pki, const uint8_t hash[PKI_HASH]) {
    size_t free_slot = PKI_IN_FLIGHT;
    bool taken = false;
    (void)pthread_mutex_lock(&pki->flight_lock);
    for (size_t i = 0; i < PKI_IN_FLIGHT; i++) {
        if (!pki->flight_used[i]) free_slot = i;
        else if (memcmp(pki->flight[i], hash, PKI_HASH) == 0) taken = true;
    }
    if (!taken && free_slot < PKI_IN_FLIGHT) {
        pki->flight_used[free_slot] = true;
        memcpy(pki->flight[free_slot], hash, PKI_HASH);
    }
    (void)pthread_mutex_unlock(&pki->flight_lock);
    if (taken) return err_new(ERR_BUSY, "this challenge is being used by another request");
    if (free_slot == PKI_IN_FLIGHT) return err_new(ERR_UNAVAILABLE, "too many enrolments at once");
    return NULL;
}

void pki_release(pki_t *pki, const uint8_t hash[PKI_HASH]) {
    (void)pthread_mutex_lock(&pki->flight_lock);
    for (size_t i = 0; i < PKI_IN_FLIGHT; i++)
        if (pki->flight_used[i] && memcmp(pki->flight[i], hash, PKI_HASH) == 0)
            pki->flight_used[i] = false;
    (void)pthread_mutex_unlock(&pki->flight_lock);
}
