/*
 * Addresses and networks of clients: "127.0.0.0/8, ::1, 10.1.0.0/16". IPv4 is kept as mapped IPv6.
 */
#ifndef COFFER_PROGRAM_MAILGATE_NETWORKS_H
#define COFFER_PROGRAM_MAILGATE_NETWORKS_H

#include <sys/socket.h>

#include "base/bytes.h"
#include "base/err.h"

enum { NETWORKS_MAX = 64, ADDRESS_TEXT = 64 };

typedef struct {
    uint8_t bytes[16];
} address_t;

typedef struct {
    struct {
        address_t address;
        unsigned bits;
    } nets[NETWORKS_MAX];
    size_t n;
} networks_t;

/* A list separated by commas. */
err_t *networks_parse(bytes_t list, networks_t *ret_networks) WARN_UNUSED;
bool networks_have(const networks_t *networks, const address_t *address);
/* Whether one of them is everybody. */
bool networks_are_open(const networks_t *networks);

/* False for what is neither IPv4 nor IPv6. `text` is how it is written. */
bool address_of(const struct sockaddr_storage *peer, address_t *ret_address,
                char text[ADDRESS_TEXT]);
bool address_is_loopback(const struct sockaddr *address);

#endif
