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
/* com.apple.security.scep into the dictionary, for this subject common name and challenge. */
err_t *payload_scep(const devices_t *devices, plist_t *dict, const char *suffix,
                    const char *common_name, bytes_t challenge,
                    char ret_uuid[TEXT_UUID_SIZE]) WARN_UNUSED;
/* The subject of payload_scep as csr_subject will print it (into the arena). */
err_t *payload_subject_text(const devices_t *devices, arena_t *arena, const char *common_name,
                            const char **ret_text) WARN_UNUSED;
/* A one-time challenge for payload_scep, inside the caller's transaction. */
err_t *payload_challenge(devices_t *devices, db_conn_t *conn, const db_enrolment_t *enrolment,
                         const char *udid, const char *subject, buf_t *ret_challenge) WARN_UNUSED;
/* A certificate payload. */
err_t *payload_certificate(const devices_t *devices, plist_t *dict, const char *type,
                           const char *suffix, const cert_t *cert) WARN_UNUSED;
/* com.apple.mdm. */
err_t *payload_mdm(const devices_t *devices, plist_t *dict, const char *identity_uuid) WARN_UNUSED;
/* Writes, has the keeper sign, and answers 200 with it. */
err_t *payload_sign(const devices_t *devices, const plist_t *profile,
                    device_answer_t *answer) WARN_UNUSED;

#endif
