/*
 * What a directory sends, as text and over the wire from coffer-courier, with what must hold: an
 * escaped value can't end where it stands, a folded name folds to itself.
 */
#include <stdlib.h>

#include "directory/entry.h"
#include "directory/ldap_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };

static void filters(bytes_t input) {
    buf_t out;
    buf_init(&out, ROOM);
    err_t *e = ldaptext_filter_value(input, &out);
    for (size_t i = 0; i < out.n && !e; i++)
        if (out.p[i] == '(' || out.p[i] == ')' || out.p[i] == '*' || out.p[i] == 0) abort();
    err_free(e);
    (void)ldaptext_filter_whole(input);
    buf_done(&out);
}

static void names(bytes_t input) {
    buf_t once, twice, value;
    buf_init(&once, ROOM);
    buf_init(&twice, ROOM);
    buf_init(&value, ROOM);
    err_t *e = ldaptext_dn_fold(input, &once);
    if (!e) {
        bool under = false;
        e = ldaptext_dn_fold(buf_bytes(&once), &twice);
        /* Escapes may make it longer than what is taken. */
        if (!e && !bytes_eq(buf_bytes(&once), buf_bytes(&twice))) abort();
        if (!e) e = ldaptext_dn_under(input, buf_bytes(&once), &under);
        if (!e && !under) abort();
    }
    err_free(e);
    /* A value, whatever it is, stays one value. */
    e = buf_add_str(&value, "cn=");
    if (!e) e = ldaptext_dn_value(input, &value);
    if (!e) e = buf_add_str(&value, ",dc=x");
    buf_clear(&once);
    if (!e && !bytes_has_nul(input)) {
        bool under = false;
        e = ldaptext_dn_under(buf_bytes(&value), BYTES_LIT("dc=x"), &under);
        if (!e && !under) abort();
    }
    err_free(e);
    buf_done(&once);
    buf_done(&twice);
    buf_done(&value);
}

static void entries(bytes_t input) {
    arena_t *arena = NULL;
    directory_entry_t entry;
    buf_t again;
    buf_init(&again, ROOM);
    wire_reader_t r = wire_reader(input);
    err_t *e = arena_new(ROOM, &arena);
    if (!e) e = directory_entry_read(&r, arena, &entry);
    if (!e) e = directory_entry_write(&entry, &again);
    if (!e && !bytes_starts(input, buf_bytes(&again))) abort();
    err_free(e);
    buf_done(&again);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t input = bytes_make(data, size);
    char guid[TEXT_UUID_SIZE];
    uint8_t raw[16];
    ldaptext_url_t url;
    filters(input);
    names(input);
    entries(input);
    err_t *e = ldaptext_url(input, &url);
    if (!e) (void)ldaptext_is_loopback(&url);
    err_free(e);
    e = ldaptext_guid(input, guid);
    if (!e) {
        err_free(ldaptext_unguid(bytes_str(guid), raw));
        if (!bytes_eq(BYTES_ARRAY(raw), input)) abort();
    }
    err_free(e);
    return 0;
}
