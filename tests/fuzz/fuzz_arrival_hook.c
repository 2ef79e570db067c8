/*
 * What a mail server's hook says, with what must hold: names are fit to be shown and short, numbers
 * are IMAP's, nothing of sender and subject is kept.
 */
#include <stdlib.h>

#include "arrival/hook.h"
#include "base/limits.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA = 1 << 20 };

static void check(const arrival_hook_t *hook) {
    const arrival_t *a = &hook->arrival;
    if (!hook->login[0] || strlen(hook->login) > LIMIT_EMAIL) abort();
    if (!a->folder[0] || strlen(a->folder) > LIMIT_ARRIVAL_FOLDER) abort();
    if (!text_printable(bytes_str(hook->login)) || !text_printable(bytes_str(a->folder))) abort();
    if (a->uid < 1 || a->uid > UINT32_MAX || a->uidvalidity < 1 || a->uidvalidity > UINT32_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    arena_t *arena = NULL;
    arrival_hook_t hook;
    bool new_mail = false;
    err_t *e = arena_new(ARENA, &arena);
    if (!e) e = arrival_hook_parse(arena, bytes_make(data, size), &hook, &new_mail);
    if (!e && new_mail) check(&hook);
    err_free(e);
    arena_free(arena);
    return 0;
}
