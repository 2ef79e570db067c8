/*
 * Mail addresses as people's names here: see directory.h. Pure; any thread.
 */
#include "base/limits.h"
#include "base/text.h"
#include "directory/directory.h"

err_t *directory_check_email(arena_t *arena, bytes_t email, const char **ret_email) {
    bytes_t trimmed = text_trim(email);
    size_t at = bytes_find(trimmed, '@');
    if (trimmed.n > LIMIT_EMAIL)
        return err_new(ERR_INVALID, "a mail address has at most %d characters", LIMIT_EMAIL);
    if (at == 0 || at + 1 >= trimmed.n ||
        bytes_find(bytes_from(trimmed, at + 1), '@') != trimmed.n - at - 1 ||
        !text_printable(trimmed) || bytes_find(trimmed, ' ') != trimmed.n)
        return err_new(ERR_INVALID, "that is no mail address: it is written name@example.org");
    bytes_t copy;
    TRY(arena_copy(arena, trimmed, &copy));
    char *text = (char *)(uintptr_t)copy.p; /* our own fresh copy */
    text_lower(text);
    *ret_email = text;
    return NULL;
}
