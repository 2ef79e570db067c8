/*
 * What coffer-mailgate counts, for /metrics. On a request worker.
 */
#include "base/mem.h"
#include "ipc/wire.h"
#include "program/common/mailgate_wire.h"
#include "program/web/web.h"

enum { PATIENCE_MS = 1000, ANSWER_MAX = 4096 };

static err_t *write_counters(bytes_t answer, buf_t *out) {
    wire_reader_t r = wire_reader(answer);
    uint32_t n = 0;
    TRY(wire_get_u32(&r, &n));
    if (n > MAILGATE_COUNTERS_MAX) return err_new(ERR_LIMIT, "%u counters", n);
    for (uint32_t i = 0; i < n; i++) {
        CLEANUP(mem_free) char *name = NULL;
        uint64_t value = 0;
        TRY(wire_get_str(&r, MAILGATE_NAME_MAX, &name));
        TRY(wire_get_u64(&r, &value));
        TRY(buf_printf(out, "coffer_mailgate_%s %llu\n", name, (unsigned long long)value));
    }
    return wire_done(&r);
}

/* A gateway that is away must not take the other numbers with it. */
err_t *mailgate_metrics(web_t *web, buf_t *out) {
    CLEANUP(buf_done) buf_t answer;
    buf_init(&answer, ANSWER_MAX);
    if (!web->mailgate_rpc) return NULL;
    err_t *e = rpc_call(web->mailgate_rpc, MAILGATE_COUNTERS, BYTES_NONE, PATIENCE_MS, &answer);
    bool up = e == NULL;
    err_free(e);
    TRY(buf_printf(out,
                   "# HELP coffer_mailgate_up Whether coffer-mailgate answers.\n"
                   "# TYPE coffer_mailgate_up gauge\ncoffer_mailgate_up %d\n",
                   up));
    return up ? write_counters(buf_bytes(&answer), out) : NULL;
}

/* Only where coffer.conf turns the gateway on. */
err_t *mailgate_metrics_init(web_t *web) {
    const char *out = "", *in = "";
    TRY(conf_get_string(web->settings.conf, "mailgate", "listen_out", "", &out));
    TRY(conf_get_string(web->settings.conf, "mailgate", "listen_in", "", &in));
    return out[0] || in[0] ? rpc_client_new(-1, &web->mailgate_rpc) : NULL;
}
