/*
 * Lines of a device's stream: see stream_event.h. JSON has no line ends inside, so each event is
 * one data line.
 */
#include "arrival/stream_event.h"

static err_t *put(const char *type, int64_t id, const json_t *data, buf_t *out) {
    TRY(buf_printf(out, "id: %lld\nevent: %s\ndata: ", (long long)id, type));
    TRY(jso_write(data, false, out));
    return buf_add_str(out, "\n\n");
}

err_t *stream_event_hello(const char *device_id, int64_t last, buf_t *out) {
    CLEANUP(jso_free) json_t *data = NULL;
    TRY(jso_object(&data));
    TRY(jso_set_str(data, "device", device_id));
    return put("hello", last, data, out);
}

err_t *stream_event_mail(const db_mail_event_t *event, json_t *release, buf_t *out) {
    CLEANUP(jso_free) json_t *data = NULL;
    TRY(jso_object(&data));
    TRY(jso_set_str(data, "event", event->event));
    TRY(jso_set_str(data, "account", event->account));
    TRY(jso_set_str(data, "folder", event->folder));
    TRY(jso_set_int(data, "uidvalidity", event->uidvalidity));
    TRY(jso_set_int(data, "uid", event->uid));
    TRY(jso_set_int(data, "modseq", event->modseq));
    TRY(jso_set_time(data, "at", event->created_ms / 1000));
    if (release) TRY(jso_set(data, "release", json_incref(release)));
    return put("mail", event->seq, data, out);
}

err_t *stream_event_resync(int64_t last, buf_t *out) {
    CLEANUP(jso_free) json_t *data = NULL;
    TRY(jso_object(&data));
    return put("resync", last, data, out);
}

err_t *stream_event_heartbeat(buf_t *out) { return buf_add_str(out, ":\n\n"); }
