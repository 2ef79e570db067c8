/*
 * How many connections each client address has: see loop_internal.h. The event thread's.
 */
#include "base/mem.h"
#include "program/mailgate/loop_internal.h"

/* FNV-1a; a stranger can't choose addresses freely, and the allowed networks are few. */
static size_t bucket_of(const address_t *address) {
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < sizeof address->bytes; i++)
        hash = (hash ^ address->bytes[i]) * 16777619U;
    return hash % (sizeof((loop_t *)NULL)->clients / sizeof(client_t *));
}

bool clients_enter(loop_t *loop, const address_t *address, client_t **ret_client) {
    client_t **bucket = &loop->clients[bucket_of(address)];
    client_t *c = *bucket;
    while (c && memcmp(&c->address, address, sizeof *address) != 0) c = c->next;
    if (c && c->count >= (size_t)loop->options.conf->per_client) return false;
    if (!c) {
        c = mem_zalloc(sizeof *c);
        if (!c) return false;
        c->address = *address;
        c->next = *bucket;
        *bucket = c;
    }
    c->count++;
    *ret_client = c;
    return true;
}

void clients_leave(loop_t *loop, client_t *client) {
    if (!client || --client->count) return;
    client_t **at = &loop->clients[bucket_of(&client->address)];
    while (*at != client) at = &(*at)->next;
    *at = client->next;
    mem_free(client);
}
