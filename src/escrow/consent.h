/*
 * Officers' consent to the delivery of a person's mail keys to a new device of his. What they sign
 * on their own machines (record cofferDL) names person, device certificate, set and end; the server
 * checks it here, and the keeper once more before it delivers.
 */
#ifndef COFFER_ESCROW_CONSENT_H
#define COFFER_ESCROW_CONSENT_H

#include "escrow/escrow.h"
#include "store/certs.h"
#include "store/devices.h"
#include "store/mail_consents.h"
#include "store/officers.h"

typedef struct {
    db_mail_consent_t row;
    const char *person; /* address */
    db_device_t device;
    db_certificate_t certificate;
    db_officer_set_t set; /* the one that is asked */
    bool has_certificate, has_set;
    db_mail_consent_answer_t *answers;
    const char **answerers; /* addresses, in order of answers */
    size_t answers_n;
} consent_view_t;

/* Inside a db_read. ERR_NOT_FOUND. */
err_t *consent_view(db_conn_t *conn, arena_t *arena, const char *id,
                    consent_view_t *ret_view) WARN_UNUSED;
/* "waiting", "expired", "given", "used", "denied", "void"; static or the row's. */
const char *consent_state(const db_mail_consent_t *row, int64_t now_ms);

/*
 * An officer's signature (record cofferSG). With enough of them the device is due to get the keys.
 * ERR_DENIED: not an officer of the set, the device's own person, one who made a
 * credential of that person's, decided already, expired, or the
 * device has another identity by now; ERR_EXISTS: answered before; ERR_VERIFY: signed something
 * else. *ret_person: id of whose keys they are, in the arena.
 */
err_t *consent_approve(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                       const char *id, bytes_t record, const char **ret_person) WARN_UNUSED;
/* One officer's no ends the request; the device is told nothing. */
err_t *consent_deny(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, const char *id,
                    const char *reason) WARN_UNUSED;

#endif
