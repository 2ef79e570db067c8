/*
 * What a device sends to the check-in and command channels (Apple's schema mdm/checkin and the
 * common keys of command responses), taken apart before anybody looks at who sent it. Pure.
 */
#ifndef COFFER_DEVICE_MDM_MESSAGE_H
#define COFFER_DEVICE_MDM_MESSAGE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "format/plist.h"

typedef enum {
    MDM_AUTHENTICATE,
    MDM_TOKEN_UPDATE,
    MDM_CHECK_OUT,
    MDM_USER_AUTHENTICATE,
    MDM_SET_BOOTSTRAP_TOKEN,
    MDM_GET_BOOTSTRAP_TOKEN,
    MDM_GET_TOKEN,
    MDM_DECLARATIVE_MANAGEMENT,
} mdm_checkin_type_t;

const char *mdm_checkin_name(mdm_checkin_type_t type); /* Apple's MessageType */

/* Texts lie in the document and end with NUL; absent ones are "". */
typedef struct {
    mdm_checkin_type_t type;
    plist_doc_t *doc; /* owned */
    const char *key;  /* EnrollmentID, or else UDID; "" only for bootstrap tokens, see the schema */
    const char *udid;
    bool user_channel; /* UserID or EnrollmentUserID: of a person on a Mac or Shared iPad */
    const char *topic;
    /* Authenticate */
    const char *serial_number;
    const char *product;
    const char *os_version;
    const char *build;
    const char *name;
    /* TokenUpdate */
    bytes_t token;
    const char *push_magic;
    bytes_t unlock_token; /* none: the device did not send one */
    bool awaiting_configuration;
    /* SetBootstrapToken */
    bytes_t bootstrap_token; /* none: delete it */
} mdm_checkin_t;

/* ERR_INVALID, ERR_LIMIT; names the key. */
err_t *mdm_checkin_parse(bytes_t body, mdm_checkin_t *ret_message) WARN_UNUSED;
void mdm_checkin_done(mdm_checkin_t *message);

typedef enum {
    MDM_IDLE,
    MDM_ACKNOWLEDGED,
    MDM_ERROR,
    MDM_COMMAND_FORMAT_ERROR,
    MDM_NOT_NOW,
} mdm_status_t;

typedef struct {
    mdm_status_t status;
    plist_doc_t *doc; /* owned */
    plist_t *dict;    /* borrowed from doc */
    const char *key;
    bool user_channel;
    const char *command_uuid; /* "" only for Idle */
} mdm_result_t;

err_t *mdm_result_parse(bytes_t body, mdm_result_t *ret_result) WARN_UNUSED;
void mdm_result_done(mdm_result_t *result);
/*
 * The ErrorChain as JSON: an array of at most LIMIT_ERROR_CHAIN objects with code, domain and
 * description. "" if there is none. Appends; NUL is not counted.
 */
err_t *mdm_error_chain(const mdm_result_t *result, buf_t *out) WARN_UNUSED;
/* What the first error of the chain says, for people; borrowed; "" if it says nothing. */
const char *mdm_error_text(const mdm_result_t *result);

DEFINE_CLEANUP_VALUE(mdm_checkin_t, mdm_checkin_done)
DEFINE_CLEANUP_VALUE(mdm_result_t, mdm_result_done)

#endif
