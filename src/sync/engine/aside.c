/*
 * Names of files that are out of their place: see aside.h. Pure. In the client.
 */
#include "sync/engine/aside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char prefix[] = "aside-";
enum { FIELDS = 5, DIGITS = 16, HEX = 16 };

void sync_aside_name(const sync_stat_t *expect, uint64_t own_inode,
                     char ret_name[SYNC_ASIDE_NAME]) {
    (void)snprintf(ret_name, SYNC_ASIDE_NAME,
                   "%s%016" PRIx64 "-%016" PRIx64 "-%016" PRIx64 "-%016" PRIx64 "-%016" PRIx64,
                   prefix, expect->inode, expect->size, (uint64_t)expect->mtime,
                   (uint64_t)expect->mtime_ns, own_inode);
}

bool sync_aside_expected(const sync_stat_t *now, const sync_stat_t *expect) {
    return now->kind == expect->kind && now->inode == expect->inode &&
           (now->kind == SYNC_ENTRY_FOLDER ||
            (now->size == expect->size && now->mtime == expect->mtime &&
             now->mtime_ns == expect->mtime_ns));
}

static bool parse(const char *name, uint64_t ret_field[FIELDS]) {
    size_t at = sizeof prefix - 1;
    if (strlen(name) != at + (size_t)FIELDS * (DIGITS + 1) - 1 || strncmp(name, prefix, at) != 0)
        return false;
    for (int field = 0; field < FIELDS; field++, at += DIGITS + 1) {
        ret_field[field] = 0;
        for (size_t i = at; i < at + DIGITS; i++) {
            char c = name[i];
            bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
            if (!digit && !letter) return false;
            ret_field[field] = ret_field[field] * HEX + (uint64_t)(digit ? c - '0' : c - 'a' + 10);
        }
        if (field + 1 < FIELDS && name[at + DIGITS] != '-') return false;
    }
    return true;
}

bool sync_aside_lost(const char *name, const sync_stat_t *now, char ret_back[SYNC_ASIDE_NAME]) {
    uint64_t field[FIELDS];
    if (!parse(name, field)) return false;
    bool own = field[4] && now->inode == field[4];
    bool expected =
        now->inode == field[0] &&
        (now->kind != SYNC_ENTRY_FILE ||
         (now->size == field[1] && (uint64_t)now->mtime == field[2] && now->mtime_ns == field[3]));
    if (own || expected) return false;
    (void)snprintf(ret_back, SYNC_ASIDE_NAME, "recovered %s", name + sizeof prefix - 1);
    return true;
}
