/*
 * What Exchange says on a connection that is watched: the first byte says in what pieces the rest
 * comes, which must not matter. What must hold: no crash, the subscription's id is short and fit to
 * be sent back, codes are letters and digits, and there are no more news than the limit.
 */
#include <stdlib.h>

#include "arrival/ews_watch.h"
#include "arrival/hook.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT = 32 * 1024 };

static void check(const ews_watch_t *w) {
    if (w->answer.count > LIMIT_EWS_NEWS || w->pause_s < 0 || w->pause_s > LIMIT_EWS_PAUSE_S)
        abort();
    if (w->subscription && !text_printable(bytes_str(w->subscription))) abort();
    for (const char *c = w->answer.code; *c; c++)
        if (*c <= 0x20 || *c > 0x7e) abort();
    for (size_t i = 0; i < w->answer.count; i++)
        if (w->answer.news[i] <= ARRIVAL_UIDVALIDITY_MAX) abort();
}

static err_t *ask(ews_watch_t *w) {
    CLEANUP(buf_done) buf_t out;
    mail_server_t server;
    buf_init_secret(&out, OUT);
    TRY(mail_server_ews(BYTES_LIT("https://mail.example.org"), &server));
    const ews_request_t request = {&server, "a@example.org", "a", BYTES_LIT("b"), false};
    return ews_watch_ask(w, &request, &out);
}

/* Ends at the first error, as the courier does. */
static void run(ews_watch_t *w, bytes_t data, size_t piece) {
    err_t *e = ask(w);
    while (!e && data.n) {
        e = ews_watch_input(w, bytes_slice(data, 0, piece));
        data = bytes_from(data, piece);
        check(w);
        if (!e && w->state == EWS_ASKS && w->closes) break;
        if (!e && w->state == EWS_ASKS) e = ask(w);
    }
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ews_watch_t w;
    if (size == 0) return 0;
    ews_watch_init(&w, data[0] & 1);
    run(&w, bytes_make(data + 1, size - 1), (size_t)(data[0] >> 1) + 1);
    ews_watch_done(&w);
    return 0;
}
