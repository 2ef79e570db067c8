/*
 * Delivery status notifications (RFC 3464, RFC 3462, RFC 6533 for addresses in UTF-8): tells a
 * sender who did not get his message and why. Pure.
 */
#ifndef COFFER_SMTP_REPORT_H
#define COFFER_SMTP_REPORT_H

#include "smtp/envelope.h"
#include "smtp/reply.h"

typedef struct {
    const char *hostname; /* who reports */
    const char *id;       /* letters and digits, of this report alone */
    int64_t unix_s;       /* now */
    const smtp_envelope_t *envelope;
    const smtp_status_t *statuses; /* of its recipients; those refused for good are reported */
    const bool *relayed;           /* not NULL: these of them are, as handed on, and no other */
    bytes_t header;                /* of the message: sent back with the report */
} smtp_report_t;

/* Whether the recipient's failure is to be told at all (NOTIFY, RFC 3461 section 4.1). */
bool smtp_report_wants(const smtp_rcpt_t *rcpt);
/* Appends the whole message, to be sent from <> to the envelope's sender. ASCII, apart from a
 * sender's address that isn't. */
err_t *smtp_report_write(const smtp_report_t *report, buf_t *out) WARN_UNUSED;
/* How many bytes of `message` are its header block, the empty line left out; at most `max`. */
size_t smtp_report_header(bytes_t message, size_t max);

#endif
