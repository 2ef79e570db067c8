/*
 * What the files of over-the-air enrolment share. Private to src/device/enrol*.c.
 */
#ifndef COFFER_DEVICE_ENROL_INTERNAL_H
#define COFFER_DEVICE_ENROL_INTERNAL_H

#include "device/device_internal.h"

/* The attributes a device signs in phases 2 and 3; in the arena, "" where absent. */
typedef struct {
    const char *udid;
    const char *serial;
    const char *product;
    const char *version;
    bytes_t challenge; /* none in phase 3 */
} enrol_attributes_t;

/* Pure. ERR_INVALID, ERR_LIMIT. */
err_t *enrol_attributes_parse(bytes_t plist, arena_t *arena,
                              enrol_attributes_t *ret_attributes) WARN_UNUSED;

/* The factory signed: answers with the profile that holds the first SCEP payload. */
err_t *enrol_phase2(devices_t *devices, arena_t *arena, const enrol_attributes_t *attributes,
                    const char *peer, device_answer_t *answer) WARN_UNUSED;
/* One of our identities signed: answers with the encrypted profile. */
err_t *enrol_phase3(devices_t *devices, arena_t *arena, const enrol_attributes_t *attributes,
                    const cert_t *identity, const db_certificate_t *row, const char *peer,
                    device_answer_t *answer) WARN_UNUSED;
/* A challenge for the identity: SCEP's subject is the organisation and the enrolment's id. */
err_t *enrol_identity_challenge(devices_t *devices, db_conn_t *conn, arena_t *arena,
                                const db_enrolment_t *enrolment, const char *udid,
                                buf_t *ret_challenge) WARN_UNUSED;
/* ERR_DENIED unless the enrolment may still go on. */
err_t *enrol_check_expiry(const devices_t *devices, const db_enrolment_t *enrolment) WARN_UNUSED;
/* ERR_DENIED when the person who enrols was disabled meanwhile. *ret_email (may be NULL) lies in
 * the arena. */
err_t *enrol_check_person(db_conn_t *conn, arena_t *arena, const db_enrolment_t *enrolment,
                          const char **ret_email) WARN_UNUSED;

#endif
