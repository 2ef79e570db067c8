/*
 * See imap_folder.h. coffer-courier's thread of watched mailboxes.
 */
#include "arrival/imap_folder.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

/* A name: an atom, or a quoted text with its escapes taken off. false: no such thing. */
static bool get_name(bytes_t *rest, char name[LIMIT_ARRIVAL_FOLDER + 1]) {
    bool quoted = rest->n && rest->p[0] == '"';
    size_t i = quoted ? 1 : 0, n = 0;
    for (; i < rest->n && rest->p[i] != (quoted ? '"' : ' '); i++) {
        if (quoted && rest->p[i] == '\\' && i + 1 < rest->n) i++;
        if (rest->p[i] < 0x20 || rest->p[i] > 0x7e || n == LIMIT_ARRIVAL_FOLDER) return false;
        name[n++] = (char)rest->p[i];
    }
    name[n] = '\0';
    *rest = bytes_from(*rest, quoted ? i + 1 : i);
    return n > 0 && rest->n && rest->p[0] == ' ';
}

/* NAME number pairs in parentheses; others' values are passed over. */
static void get_item(bytes_t *rest, bytes_t *ret_name, bytes_t *ret_value) {
    size_t n = bytes_find(*rest, ' ');
    *ret_name = bytes_slice(*rest, 0, n);
    *rest = bytes_from(*rest, n + 1);
    size_t end = 0;
    while (end < rest->n && rest->p[end] != ' ' && rest->p[end] != ')') end++;
    *ret_value = bytes_slice(*rest, 0, end);
    *rest = bytes_from(*rest, end < rest->n && rest->p[end] == ' ' ? end + 1 : end);
}

static err_t *get_items(bytes_t rest, arrival_t *a, bool *ret_useful) {
    uint64_t validity = 0, next = 0, modseq = 0;
    if (!bytes_starts(rest, BYTES_LIT(" ("))) return NULL;
    rest = bytes_from(rest, 2);
    while (rest.n && rest.p[0] != ')') {
        bytes_t name, value;
        get_item(&rest, &name, &value);
        if (text_eq_fold(name, BYTES_LIT("UIDVALIDITY")))
            TRY(err_recode(text_u64(value, UINT32_MAX, &validity), ERR_INVALID));
        if (text_eq_fold(name, BYTES_LIT("UIDNEXT")))
            TRY(err_recode(text_u64(value, UINT32_MAX, &next), ERR_INVALID));
        if (text_eq_fold(name, BYTES_LIT("HIGHESTMODSEQ")))
            TRY(err_recode(text_u64(value, INT64_MAX, &modseq), ERR_INVALID));
    }
    a->uidvalidity = (int64_t)validity;
    a->uid = next ? (int64_t)next - 1 : 0;
    a->modseq = (int64_t)modseq;
    *ret_useful = validity > 0 && next > 0;
    return NULL;
}

static imap_folder_t *find(const imap_folders_t *folders, const char *name) {
    imap_folder_t *f = folders->first;
    while (f && strcmp(f->name, name) != 0) f = f->next;
    return f;
}

static err_t *add(imap_folders_t *folders, const char *name, imap_folder_t **ret_folder) {
    size_t n = strlen(name) + 1;
    imap_folder_t *f = mem_zalloc(sizeof *f + n);
    if (!f) return err_nomem();
    memcpy(f->name, name, n);
    f->next = folders->first;
    folders->first = f;
    folders->count++;
    *ret_folder = f;
    return NULL;
}

err_t *imap_folders_take(imap_folders_t *folders, bytes_t status, bool asked) {
    char name[LIMIT_ARRIVAL_FOLDER + 1];
    arrival_t a = {0};
    bool useful = false;
    if (!get_name(&status, name) || text_eq_fold(bytes_str(name), BYTES_LIT("INBOX"))) return NULL;
    TRY(get_items(status, &a, &useful));
    imap_folder_t *f = useful ? find(folders, name) : NULL;
    if (!useful || (!f && folders->count >= LIMIT_ARRIVAL_FOLDERS)) return NULL;
    bool happened = f && !f->asked;
    if (!f) TRY(add(folders, name, &f));
    a.folder = f->name;
    f->arrival = a;
    f->asked = asked && !happened;
    return NULL;
}

void imap_folders_done(imap_folders_t *folders) {
    for (imap_folder_t *next; folders->first; folders->first = next) {
        next = folders->first->next;
        mem_free(folders->first);
    }
    folders->count = 0;
}
