/*
 * See finder.h. coffer-courier's thread of watched mailboxes.
 */
#include "program/courier/finder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    KNOWN_MS = 300 * 1000, /* an address is used so long */
    FAILED_MS = 5 * 1000,  /* and that there is none */
    FIND_MS = 30 * 1000,   /* a resolver may take so long */
};

void finder_init(finder_t *f, const clk_t *clk, int epoll) {
    *f = (finder_t){.clk = clk, .epoll = epoll};
}

static void end_lookup(finder_t *f, finder_place_t *place) {
    if (!place->lookup) return;
    /* Its thread may hold the descriptor open for a while. */
    (void)epoll_ctl(f->epoll, EPOLL_CTL_DEL, lookup_fd(place->lookup), NULL);
    lookup_free(place->lookup);
    place->lookup = NULL;
}

void finder_done(finder_t *f) {
    for (size_t i = 0; i < FINDER_PLACES; i++) end_lookup(f, &f->places[i]);
}

static void make_key(const mail_server_t *server, char out[FINDER_KEY]) {
    (void)snprintf(out, FINDER_KEY, "%s %s", server->host, server->port);
}

static finder_place_t *find(finder_t *f, const char *key) {
    for (size_t i = 0; i < FINDER_PLACES; i++)
        if (strcmp(f->places[i].key, key) == 0) return &f->places[i];
    return NULL;
}

/* One that nobody waits for, in turn; NULL: all are under way. */
static finder_place_t *make_room(finder_t *f) {
    for (size_t i = 0; i < FINDER_PLACES; i++) {
        finder_place_t *place = &f->places[f->next++ % FINDER_PLACES];
        if (!place->lookup) return place;
    }
    return NULL;
}

static err_t *start(finder_t *f, const mail_server_t *server, finder_place_t *place) {
    struct epoll_event event = {.events = EPOLLIN};
    CLEANUP(lookup_free) lookup_t *lookup = NULL;
    TRY(lookup_start(server->host, server->port, &lookup));
    if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, lookup_fd(lookup), &event) != 0)
        return err_errno(errno, "epoll");
    *place = (finder_place_t){.until_ms = clk_mono_ms(f->clk) + FIND_MS, .lookup = STEAL(lookup)};
    make_key(server, place->key);
    return NULL;
}

err_t *finder_ask(finder_t *f, const mail_server_t *server, const finder_place_t **ret_place) {
    char key[FINDER_KEY];
    make_key(server, key);
    finder_place_t *place = find(f, key);
    if (place && place->lookup) {
        *ret_place = NULL;
        return NULL;
    }
    if (place && place->until_ms > clk_mono_ms(f->clk)) {
        if (place->size == 0) return err_new(ERR_UNAVAILABLE, "%s", place->problem);
        *ret_place = place;
        return NULL;
    }
    if (!place) place = make_room(f);
    if (place) TRY(start(f, server, place));
    *ret_place = NULL;
    return NULL;
}

static void note(finder_t *f, finder_place_t *place, err_t *problem) {
    (void)err_text(problem, place->problem, sizeof place->problem);
    err_free(problem);
    place->until_ms = clk_mono_ms(f->clk) + FAILED_MS;
}

static void collect(finder_t *f, finder_place_t *place) {
    CLEANUP(lookup_list_free) struct addrinfo *list = NULL;
    err_t *e = lookup_take(place->lookup, &list);
    if (e && err_code(e) == ERR_BUSY) {
        bool late = clk_mono_ms(f->clk) >= place->until_ms;
        if (late) {
            end_lookup(f, place);
            note(f, place, e);
        } else err_free(e);
        return;
    }
    end_lookup(f, place);
    if (e) {
        note(f, place, e);
        return;
    }
    if (list->ai_addrlen > sizeof place->address) return; /* there is no such address */
    memcpy(&place->address, list->ai_addr, list->ai_addrlen);
    place->size = list->ai_addrlen;
    place->until_ms = clk_mono_ms(f->clk) + KNOWN_MS;
}

void finder_collect(finder_t *f) {
    for (size_t i = 0; i < FINDER_PLACES; i++)
        if (f->places[i].lookup) collect(f, &f->places[i]);
}

void finder_forget(finder_t *f, const mail_server_t *server) {
    char key[FINDER_KEY];
    make_key(server, key);
    finder_place_t *place = find(f, key);
    if (place && !place->lookup) place->until_ms = 0;
}
