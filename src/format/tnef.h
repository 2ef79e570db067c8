/*
 * TNEF, what Outlook calls winmail.dat: attachments packed into one (MS-OXTNEF). Read as a stream:
 * memory is bounded by the attributes that name things, the attachments' bytes pass through. Pure;
 * a reader belongs to one thread.
 */
#ifndef COFFER_FORMAT_TNEF_H
#define COFFER_FORMAT_TNEF_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct {
    /* An attachment begins; its bytes; its end with the best name there is (UTF-8, unsafe; may be
     * empty). May be NULL. */
    err_t *(*begin)(void *arg);
    err_t *(*data)(void *arg, bytes_t data);
    err_t *(*end)(void *arg, bytes_t name);
    void *arg;
} tnef_handler_t;

typedef struct tnef_reader tnef_reader_t;

/* handler is borrowed. */
err_t *tnef_reader_new(const tnef_handler_t *handler, tnef_reader_t **ret_reader) WARN_UNUSED;
void tnef_reader_free(tnef_reader_t *reader); /* takes NULL; gives no events */
/* ERR_INVALID: no TNEF. ERR_LIMIT past LIMIT_TNEF_ATTACHMENTS. No further call after an error. */
err_t *tnef_feed(tnef_reader_t *reader, bytes_t data) WARN_UNUSED;
/* Ends the last attachment. ERR_INVALID if it is cut off; what was given until then stands. */
err_t *tnef_finish(tnef_reader_t *reader) WARN_UNUSED;

DEFINE_CLEANUP(tnef_reader_t, tnef_reader_free)

#endif
