/*
 * Counters: see counters.h.
 */
#include "program/mailgate/counters.h"

#include "ipc/wire.h"

err_t *counters_write(const counters_t *c, buf_t *out) {
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {
        {"connections_total", c->connections},
        {"connected", c->connected},
        {"turned_away_total", c->turned_away},
        {"messages_total", c->messages},
        {"delivered_total", c->delivered},
        {"refused_total", c->refused},
        {"deferred_total", c->deferred},
        {"repeats_total", c->repeats},
        {"hop_connections_total", c->hop_connections},
        {"spool_bytes", c->spool_bytes},
    };
    const size_t n = sizeof all / sizeof all[0];
    TRY(wire_put_u32(out, (uint32_t)n));
    for (size_t i = 0; i < n; i++) {
        TRY(wire_put_str(out, all[i].name));
        TRY(wire_put_u64(out, all[i].value));
    }
    return NULL;
}
