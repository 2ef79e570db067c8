/*
 * Reads what a mail server's hook says: see hook.h. Any thread.
 */
#include "arrival/hook.h"

#include "base/limits.h"
#include "base/text.h"
#include "format/json.h"

/* IMAP's numbers (RFC 9051 section 2.3.1.1). */
enum { EVENT_MAX = 64 };
#define NUMBER_MAX 4294967295LL

static err_t *get_text(arena_t *arena, const json_t *object, const char *name, size_t max,
                       const char **ret_text) {
    bytes_t text, copy;
    TRY(jso_get_string(object, name, max, true, &text));
    if (text.n == 0 || !text_printable(text))
        return err_new(ERR_INVALID, "\"%s\" of the hook is no name", name);
    TRY(arena_copy(arena, text, &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *arrival_hook_parse(arena_t *arena, bytes_t body, arrival_hook_t *ret_hook, bool *ret_new) {
    CLEANUP(jso_free) json_t *object = NULL;
    arrival_hook_t hook = {0};
    bytes_t event;
    if (body.n > LIMIT_ARRIVAL_HOOK)
        return err_new(ERR_LIMIT, "a hook says at most %d bytes", LIMIT_ARRIVAL_HOOK);
    TRY(jso_parse_object(body, &object));
    TRY(jso_get_string(object, "event", EVENT_MAX, true, &event));
    if (!text_eq_fold(event, BYTES_LIT("messageNew"))) {
        *ret_new = false;
        return NULL;
    }
    TRY(get_text(arena, object, "user", LIMIT_EMAIL, &hook.login));
    TRY(get_text(arena, object, "folder", LIMIT_ARRIVAL_FOLDER, &hook.arrival.folder));
    TRY(jso_get_int(object, "imap-uidvalidity", 1, NUMBER_MAX, true, &hook.arrival.uidvalidity));
    TRY(jso_get_int(object, "imap-uid", 1, NUMBER_MAX, true, &hook.arrival.uid));
    text_lower((char *)(uintptr_t)hook.login); /* our own copy */
    *ret_hook = hook;
    *ret_new = true;
    return NULL;
}
