/*
 * An IMAP server's side of a watched mailbox. The first byte says how it is cut into pieces; what
 * must hold: no command holds what the server said, numbers are IMAP's, nothing is kept while idle.
 */
#include <stdlib.h>

#include "arrival/imap_watch.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 22 };

static void check_out(const buf_t *out) {
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i] > 0x7e || (out->p[i] < 0x20 && out->p[i] != '\r' && out->p[i] != '\n'))
            abort();
}

static err_t *step(imap_watch_t *w, bytes_t piece, buf_t *out) {
    TRY(imap_watch_input(w, piece, out));
    if (w->state == IMAP_LOGIN) TRY(imap_watch_login(w, "alice", BYTES_LIT("secret"), out));
    if (w->news) {
        arrival_t a = imap_watch_news(w);
        if (a.uidvalidity < 1 || a.uidvalidity > UINT32_MAX || a.uid > UINT32_MAX) abort();
    }
    if (w->folders.count > LIMIT_ARRIVAL_FOLDERS) abort();
    for (const imap_folder_t *f = w->folders.first; f; f = f->next)
        if (!f->name[0] || f->arrival.uidvalidity < 1 || f->arrival.uid < 0) abort();
    if (w->state == IMAP_IDLE) imap_folders_done(&w->folders);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const arrival_t from = {"INBOX", size > 1 ? data[1] % 3 : 0, 5, size > 1 ? data[1] / 3 : 0};
    imap_watch_t w;
    buf_t out;
    err_t *e = NULL;
    if (size < 2) return 0;
    size_t cut = data[0] ? data[0] : size;
    bytes_t rest = bytes_make(data + 2, size - 2);
    imap_watch_init(&w, &from);
    buf_init(&out, OUT_MAX);
    while (rest.n && !e) {
        e = step(&w, bytes_slice(rest, 0, cut), &out);
        rest = bytes_from(rest, cut);
    }
    if (!e) e = imap_watch_look(&w, &out);
    check_out(&out);
    err_free(e);
    imap_watch_done(&w);
    buf_done(&out);
    return 0;
}
