/*
 * The answer of a server that streams events: no bytes crash, and how they are cut does not matter.
 */
#include <stdlib.h>
#include <string.h>

#include "box/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static err_t *count(void *arg, const box_event_t *event) {
    size_t *sum = arg;
    *sum = *sum * 31 + event->data.n + event->id.n + strlen(event->type);
    return NULL;
}

static size_t run(bytes_t data, size_t step, bool *ret_failed) {
    box_events_t events;
    size_t sum = 0;
    err_t *e = NULL;
    box_events_init(&events);
    for (size_t at = 0; at < data.n && !e; at += step)
        e = box_events_feed(&events, bytes_slice(data, at, step), count, &sum);
    *ret_failed = e != NULL;
    err_free(e);
    box_events_done(&events);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool whole_failed = false, cut_failed = false;
    size_t whole = run(bytes_make(data, size), size ? size : 1, &whole_failed);
    size_t cut = run(bytes_make(data, size), 1, &cut_failed);
    if (whole != cut || whole_failed != cut_failed) abort();
    return 0;
}
