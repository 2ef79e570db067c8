/*
 * Networks: see networks.h. Parsed at start; read by the event thread.
 */
#include "program/mailgate/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "format/conf.h"

static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void from_v4(const struct in_addr *v4, address_t *out) {
    memcpy(out->bytes, MAPPED, sizeof MAPPED);
    memcpy(out->bytes + sizeof MAPPED, v4, 4);
}

static err_t *parse_one(bytes_t item, address_t *ret_address, unsigned *ret_bits) {
    char text[ADDRESS_TEXT];
    struct in_addr v4;
    size_t slash = bytes_find(item, '/');
    uint64_t bits = 0;
    bool is_v4 = false;
    if (slash >= sizeof text)
        return err_new(ERR_INVALID, "no network: %.*s", (int)item.n, (const char *)item.p);
    memcpy(text, item.p, slash);
    text[slash] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1) {
        is_v4 = true;
        from_v4(&v4, ret_address);
    } else if (inet_pton(AF_INET6, text, ret_address->bytes) != 1) {
        return err_new(ERR_INVALID, "no network: %.*s; write 10.1.0.0/16 or ::1", (int)item.n,
                       (const char *)item.p);
    }
    bits = is_v4 ? 32 : 128;
    if (slash != item.n)
        TRY_WRAP(text_u64(bytes_from(item, slash + 1), bits, &bits), "bits of %.*s", (int)item.n,
                 (const char *)item.p);
    *ret_bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return NULL;
}

err_t *networks_parse(bytes_t list, networks_t *ret_networks) {
    networks_t networks = {0};
    bytes_t item = BYTES_NONE;
    while (conf_list_next(&list, &item)) {
        if (networks.n == NETWORKS_MAX)
            return err_new(ERR_LIMIT, "more than %d networks", NETWORKS_MAX);
        TRY(parse_one(item, &networks.nets[networks.n].address, &networks.nets[networks.n].bits));
        networks.n++;
    }
    *ret_networks = networks;
    return NULL;
}

static bool has(const address_t *net, unsigned bits, const address_t *address) {
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(net->bytes, address->bytes, whole) != 0) return false;
    if (rest == 0) return true;
    unsigned mask = (0xff00U >> rest) & 0xff;
    return ((net->bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool networks_have(const networks_t *networks, const address_t *address) {
    for (size_t i = 0; i < networks->n; i++)
        if (has(&networks->nets[i].address, networks->nets[i].bits, address)) return true;
    return false;
}

bool networks_are_open(const networks_t *networks) {
    for (size_t i = 0; i < networks->n; i++) {
        unsigned bits = networks->nets[i].bits;
        if (bits < 8) return true;
        if (bits >= 96 && bits < 104 && memcmp(networks->nets[i].address.bytes, MAPPED, 12) == 0)
            return true;
    }
    return false;
}

bool address_of(const struct sockaddr_storage *peer, address_t *ret_address,
                char text[ADDRESS_TEXT]) {
    char shown[INET6_ADDRSTRLEN];
    if (peer->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, peer, sizeof in);
        from_v4(&in.sin_addr, ret_address);
        if (!inet_ntop(AF_INET, &in.sin_addr, shown, sizeof shown)) return false;
    } else if (peer->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, peer, sizeof in6);
        memcpy(ret_address->bytes, &in6.sin6_addr, 16);
        if (memcmp(ret_address->bytes, MAPPED, sizeof MAPPED) == 0) {
            struct in_addr v4;
            memcpy(&v4, ret_address->bytes + 12, 4);
            if (!inet_ntop(AF_INET, &v4, shown, sizeof shown)) return false;
        } else if (!inet_ntop(AF_INET6, &in6.sin6_addr, shown, sizeof shown)) {
            return false;
        }
    } else {
        return false;
    }
    (void)snprintf(text, ADDRESS_TEXT, "%s", shown);
    return true;
}

bool address_is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_UNIX) return true;
    struct sockaddr_storage copy = {0};
    networks_t loopback;
    address_t a;
    char text[ADDRESS_TEXT];
    memcpy(&copy, address,
           address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                         : sizeof(struct sockaddr_in6));
    err_t *e = networks_parse(BYTES_LIT("127.0.0.0/8, ::1"), &loopback);
    if (e) {
        err_free(e);
        return false;
    }
    return address_of(&copy, &a, text) && networks_have(&loopback, &a);
}
