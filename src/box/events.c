/*
 * Server-sent events over HTTP/1.1: see events.h. In coffer-mailbox.
 */
#include "box/events.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { STATUS, FIELDS, SIZE, CHUNK, BEHIND, TRAILER, BODY };
enum { LINE_MAX_BYTES = 8 * 1024, ID_MAX = 256, CHUNK_DIGITS = 8 };

void box_events_init(box_events_t *events) {
    *events = (box_events_t){.part = STATUS};
    buf_init(&events->line, LINE_MAX_BYTES);
    buf_init(&events->text, BOX_EVENT_MAX);
    buf_init(&events->data, BOX_EVENT_MAX);
    buf_init(&events->id, ID_MAX);
}

void box_events_done(box_events_t *events) {
    buf_done(&events->line);
    buf_done(&events->text);
    buf_done(&events->data);
    buf_done(&events->id);
}

/* ---- events ---- */

static err_t *dispatch(box_events_t *e, box_on_event_t on, void *arg) {
    err_t *failed = NULL;
    if (e->data.n) {
        box_event_t event = {.type = e->type[0] ? e->type : "message",
                             .data = bytes_make(e->data.p, e->data.n - 1), /* its last LF */
                             .id = buf_bytes(&e->id)};
        failed = on(arg, &event);
    }
    buf_clear(&e->data);
    e->type[0] = '\0';
    return failed;
}

static err_t *take_field(box_events_t *e, bytes_t name, bytes_t value) {
    if (bytes_eq_str(name, "data")) {
        TRY(buf_add(&e->data, value));
        return buf_add_byte(&e->data, '\n');
    }
    if (bytes_eq_str(name, "event") && value.n < sizeof e->type) {
        bytes_put(e->type, value);
        e->type[value.n] = '\0';
    }
    if (bytes_eq_str(name, "id") && !bytes_has_nul(value)) {
        buf_clear(&e->id);
        return buf_add(&e->id, value);
    }
    return NULL;
}

static err_t *take_line(box_events_t *e, bytes_t line, box_on_event_t on, void *arg) {
    if (!line.n) return dispatch(e, on, arg);
    size_t colon = bytes_find(line, ':');
    if (colon == 0) return NULL; /* a comment */
    bytes_t value = bytes_from(line, colon + 1);
    if (value.n && value.p[0] == ' ') value = bytes_from(value, 1);
    return take_field(e, bytes_slice(line, 0, colon), value);
}

/* Lines end in LF or CR LF: ours do. */
static err_t *take_body(box_events_t *e, bytes_t data, box_on_event_t on, void *arg) {
    while (data.n) {
        size_t n = bytes_find(data, '\n');
        TRY(buf_add(&e->text, bytes_slice(data, 0, n)));
        data = bytes_from(data, n);
        if (!data.n) return NULL;
        data = bytes_from(data, 1);
        bytes_t line = buf_bytes(&e->text);
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        TRY(take_line(e, line, on, arg));
        buf_clear(&e->text);
    }
    return NULL;
}

/* ---- the answer ---- */

static err_t *check_status(box_events_t *e) {
    switch (e->status) {
    case 200: return NULL;
    case 401:
    case 403: return err_new(ERR_AUTH, "the server does not know this device's token");
    case 404: return err_new(ERR_NOT_FOUND, "the server has no stream for devices");
    default: return err_new(ERR_UNAVAILABLE, "the stream was answered with %u", e->status);
    }
}

static err_t *take_status(box_events_t *e, bytes_t line) {
    uint64_t status = 0;
    if (!bytes_starts(line, BYTES_LIT("HTTP/1.")) || line.n < 12)
        return err_new(ERR_INVALID, "not an HTTP answer");
    TRY(text_u64(bytes_slice(line, 9, 3), 999, &status));
    e->status = (unsigned)status;
    e->part = FIELDS;
    return NULL;
}

static err_t *take_head(box_events_t *e, bytes_t line) {
    if (!line.n) {
        e->part = e->chunked ? SIZE : BODY;
        return check_status(e);
    }
    size_t colon = bytes_find(line, ':');
    if (text_eq_fold(bytes_slice(line, 0, colon), BYTES_LIT("Transfer-Encoding")))
        e->chunked = text_eq_fold(text_trim(bytes_from(line, colon + 1)), BYTES_LIT("chunked"));
    return NULL;
}

static err_t *take_size(box_events_t *e, bytes_t line) {
    size_t digits = 0;
    e->left = 0;
    for (; digits < line.n && digits <= CHUNK_DIGITS; digits++) {
        uint8_t c = line.p[digits];
        unsigned value = c >= '0' && c <= '9'   ? c - (unsigned)'0'
                         : c >= 'a' && c <= 'f' ? c - 'a' + 10U
                         : c >= 'A' && c <= 'F' ? c - 'A' + 10U
                                                : 16;
        if (value == 16) break;
        e->left = e->left << 4 | value;
    }
    if (!digits || digits > CHUNK_DIGITS) return err_new(ERR_INVALID, "not a chunk's size");
    e->part = e->left ? CHUNK : TRAILER;
    return NULL;
}

static err_t *take_trailer(box_events_t *e, bytes_t line) {
    if (!line.n) e->ended = true;
    return NULL;
}

static err_t *take_head_line(box_events_t *e, bytes_t line) {
    switch (e->part) {
    case STATUS: return take_status(e, line);
    case FIELDS: return take_head(e, line);
    case SIZE: return take_size(e, line);
    case TRAILER: return take_trailer(e, line);
    default: e->part = SIZE; return line.n ? err_new(ERR_INVALID, "a chunk's end") : NULL;
    }
}

/* One line of the head or between chunks; *data moves behind what was taken. */
static err_t *take_part(box_events_t *e, bytes_t *data) {
    size_t n = bytes_find(*data, '\n');
    TRY(buf_add(&e->line, bytes_slice(*data, 0, n)));
    *data = bytes_from(*data, n);
    if (!data->n) return NULL;
    *data = bytes_from(*data, 1);
    bytes_t line = buf_bytes(&e->line);
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    TRY(take_head_line(e, line));
    buf_clear(&e->line);
    return NULL;
}

err_t *box_events_feed(box_events_t *e, bytes_t data, box_on_event_t on, void *arg) {
    while (data.n && !e->ended) {
        if (e->part == BODY) return take_body(e, data, on, arg);
        if (e->part != CHUNK) {
            TRY(take_part(e, &data));
            continue;
        }
        bytes_t now = bytes_slice(data, 0, e->left > SIZE_MAX ? SIZE_MAX : (size_t)e->left);
        TRY(take_body(e, now, on, arg));
        e->left -= now.n;
        data = bytes_from(data, now.n);
        if (!e->left) e->part = BEHIND;
    }
    return NULL;
}
