/*
 * Directory people as bytes: see entry.h. Pure; any thread.
 */
#include "directory/entry.h"

#include "base/limits.h"
#include "base/text.h"

const char *directory_role_name(directory_role_t role) {
    switch (role) {
    case DIRECTORY_NOBODY: return "none";
    case DIRECTORY_MEMBER: return "member";
    case DIRECTORY_ADMIN: return "admin";
    }
    return "none";
}

err_t *directory_entry_write(const directory_entry_t *entry, buf_t *out) {
    TRY(wire_put_str(out, entry->external_id));
    TRY(wire_put_str(out, entry->dn));
    TRY(wire_put_str(out, entry->email));
    TRY(wire_put_str(out, entry->name));
    TRY(wire_put_str(out, entry->login));
    TRY(wire_put_u8(out, (uint8_t)entry->role));
    return wire_put_bool(out, entry->disabled);
}

static err_t *read_text(wire_reader_t *r, size_t max, arena_t *arena, const char **ret_text) {
    bytes_t text, copy;
    TRY(wire_get_bytes(r, max, &text));
    if (!text_printable(text)) return err_new(ERR_INVALID, "a directory entry is not text");
    TRY(arena_copy(arena, text, &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *directory_entry_read(wire_reader_t *r, arena_t *arena, directory_entry_t *ret_entry) {
    directory_entry_t e = {0};
    uint8_t role = 0;
    TRY(read_text(r, LIMIT_LDAP_EXTERNAL_ID, arena, &e.external_id));
    TRY(read_text(r, LIMIT_LDAP_DN, arena, &e.dn));
    TRY(read_text(r, LIMIT_EMAIL, arena, &e.email));
    TRY(read_text(r, LIMIT_NAME, arena, &e.name));
    TRY(read_text(r, LIMIT_NAME, arena, &e.login));
    TRY(wire_get_u8(r, &role));
    TRY(wire_get_bool(r, &e.disabled));
    if (role > DIRECTORY_ADMIN || !e.external_id[0] || !e.email[0])
        return err_new(ERR_INVALID, "a directory entry is not whole");
    e.role = (directory_role_t)role;
    *ret_entry = e;
    return NULL;
}
