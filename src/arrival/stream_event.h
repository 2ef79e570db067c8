/*
 * What devices read from their stream: server-sent events (HTML standard section 9.2), frozen in
 * docs/formats/stream.md. Pure.
 */
#ifndef COFFER_ARRIVAL_STREAM_EVENT_H
#define COFFER_ARRIVAL_STREAM_EVENT_H

#include "base/buf.h"
#include "format/json.h"
#include "store/mailboxes.h"

/* `last`: where the stream stands. */
err_t *stream_event_hello(const char *device_id, int64_t last, buf_t *out) WARN_UNUSED;
/* `release` (borrowed): the answer of a release of the lease for it, or NULL. */
err_t *stream_event_mail(const db_mail_event_t *event, json_t *release, buf_t *out) WARN_UNUSED;
/* Events were lost: the device looks at everything itself. */
err_t *stream_event_resync(int64_t last, buf_t *out) WARN_UNUSED;
/* A comment, so that both sides notice when the other is gone. */
err_t *stream_event_heartbeat(buf_t *out) WARN_UNUSED;

#endif
