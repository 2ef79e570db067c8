/*
 * Where mail servers are: names to addresses for coffer-courier's thread of watched mailboxes,
 * without holding it up (base/lookup.h). What was found is used for some minutes; a server of many
 * mailboxes is looked for once. A resolver that does not answer holds up nobody but those who need
 * it. One thread.
 */
#ifndef COFFER_PROGRAM_FINDER_H
#define COFFER_PROGRAM_FINDER_H

#include <sys/socket.h>

#include "arrival/mail_server.h"
#include "base/clk.h"
#include "base/lookup.h"

enum { FINDER_PLACES = 16, FINDER_KEY = MAIL_SERVER_HOST_SIZE + MAIL_SERVER_PORT_SIZE + 1 };

typedef struct {
    char key[FINDER_KEY]; /* host and port */
    lookup_t *lookup;     /* under way, or NULL */
    int64_t until_ms;     /* what is known is used so long; of a look-up: it may take so long */
    struct sockaddr_storage address;
    socklen_t size; /* 0: it was not found */
    char problem[160];
} finder_place_t;

typedef struct {
    const clk_t *clk;
    int epoll; /* borrowed */
    finder_place_t places[FINDER_PLACES];
    unsigned next;
} finder_t;

/* `epoll` shows an event with a NULL pointer when something was found: finder_collect then. */
void finder_init(finder_t *f, const clk_t *clk, int epoll);
void finder_done(finder_t *f);
/* *ret_place: where it is, until the next call; or NULL: ask again after finder_collect.
 * ERR_UNAVAILABLE: there is no such name, or nobody answers. */
err_t *finder_ask(finder_t *f, const mail_server_t *server,
                  const finder_place_t **ret_place) WARN_UNUSED;
/* Takes what was found. */
void finder_collect(finder_t *f);
/* Nobody was there: it is looked for again next time. */
void finder_forget(finder_t *f, const mail_server_t *server);

#endif
