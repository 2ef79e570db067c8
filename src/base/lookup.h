/*
 * Names to addresses without holding up who asks: getaddrinfo(3) on a thread of its own, whose end
 * shows at a descriptor. Who gives up earlier leaves; what comes then is freed by the thread. A
 * lookup_t is one thread's.
 */
#ifndef COFFER_BASE_LOOKUP_H
#define COFFER_BASE_LOOKUP_H

#include <netdb.h>

#include "base/err.h"

typedef struct lookup lookup_t;

/* Looks for TCP addresses of `host`, a name or an address, with `port`. */
err_t *lookup_start(const char *host, const char *port, lookup_t **ret_lookup) WARN_UNUSED;
void lookup_free(lookup_t *lookup); /* at any time; takes NULL */
/* Readable when it is done. */
int lookup_fd(const lookup_t *lookup);
/* When it is done: the list, which lookup_list_free frees. ERR_UNAVAILABLE: there is no such name,
 * or nobody knows. ERR_BUSY: not done yet. */
err_t *lookup_take(lookup_t *lookup, struct addrinfo **ret_list) WARN_UNUSED;

static inline void lookup_list_free(struct addrinfo *list) {
    if (list) freeaddrinfo(list);
}
DEFINE_CLEANUP(struct addrinfo, lookup_list_free)
DEFINE_CLEANUP(lookup_t, lookup_free)

#endif
