/*
 * Configuration profiles as Coffer makes them (Apple "Configuration Profile Reference"; schema
 * TopLevel, CommonPayloadKeys, com.apple.security.scep, com.apple.mdm). Private to src/device.
 */
#ifndef COFFER_DEVICE_PAYLOAD_H
#define COFFER_DEVICE_PAYLOAD_H

#include "device/device_internal.h"

/*
 * The keys all payloads have: type, version, identifier (reverse host and `suffix`: stable, so
 * that a new profile replaces the old one), a fresh UUID (also in ret_uuid unless NULL), display
 * name, organisation.
 */
err_t *payload_common(const devices_t *devices, plist_t *dict, const char *type, const char *suffix,
                      const char *display_name, char ret_uuid[TEXT_UUID_SIZE]) WARN_UNUSED;
/*
 * A UUID that is the same whenever it is made for this payload of this enrolment, so that a profile
 * that is delivered again replaces no identity. Of version 4's shape, out of a hash.
 */
err_t *payload_stable_uuid(const devices_t *devices, const char *suffix, const char *enrolment_id,
                           char ret_uuid[TEXT_UUID_SIZE]) WARN_UNUSED;

/* What a SCEP payload asks a device for. All borrowed. */
typedef struct {
    const char *suffix; /* of the PayloadIdentifier */
    const char *display_name;
    const name_entry_t *subject;
    size_t subject_n;
    const char *mailbox; /* rfc822Name, or NULL */
    int usage;           /* Apple's Key Usage: 1 signing, 4 encryption, 5 both */
    bytes_t challenge;
    const char *uuid; /* or NULL: a fresh one */
} payload_scep_t;

enum { PAYLOAD_SCEP_SIGN = 1, PAYLOAD_SCEP_BOTH = 5, PAYLOAD_SUBJECT = 2 };

/* com.apple.security.scep into the dictionary. */
err_t *payload_scep(const devices_t *devices, plist_t *dict,
                    const payload_scep_t *scep) WARN_UNUSED;
/* The subject of a device's identity: the organisation and this common name. */
void payload_identity_subject(const devices_t *devices, const char *common_name,
                              name_entry_t ret_subject[PAYLOAD_SUBJECT]);
/*
 * The subject of a mail certificate: the mailbox as common name, or as emailAddress when it is
 * longer than a common name can be (64, RFC 5280 appendix A.1).
 */
void payload_mail_subject(const char *mailbox, name_entry_t *ret_subject);
/* A subject as csr_subject will print it (into the arena). */
err_t *payload_subject_text(const devices_t *devices, arena_t *arena, const name_entry_t *subject,
                            size_t subject_n, const char **ret_text) WARN_UNUSED;

/* What a challenge for payload_scep is good for. */
typedef struct {
    const char *profile;
    const char *subject; /* as text */
    const char *names;   /* "email:a@example.org", or "" */
    const char *udid;
} payload_grant_t;

/* A one-time challenge, inside the caller's transaction. */
err_t *payload_challenge(devices_t *devices, db_conn_t *conn, const db_enrolment_t *enrolment,
                         const payload_grant_t *grant, buf_t *ret_challenge) WARN_UNUSED;
/* A certificate payload. */
err_t *payload_certificate(const devices_t *devices, plist_t *dict, const char *type,
                           const char *suffix, const cert_t *cert) WARN_UNUSED;
/* com.apple.mdm. */
err_t *payload_mdm(const devices_t *devices, plist_t *dict, const char *identity_uuid) WARN_UNUSED;
/* Writes, has the keeper sign, and answers 200 with it. */
err_t *payload_sign(const devices_t *devices, const plist_t *profile,
                    device_answer_t *answer) WARN_UNUSED;

#endif
