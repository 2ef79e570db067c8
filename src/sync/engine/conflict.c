/*
 * Conflict copies' names: see conflict.h. Pure. In the client.
 */
#include "sync/engine/conflict.h"

#include <stdio.h>

#include "base/text.h"
#include "sync/engine/engine.h"
#include "sync/name.h"

static const char mark[] = " (conflict, ";

enum { TAIL_MAX = 96, DEVICE_MAX = 40, TRIES_MAX = 100000, EXTENSION_MAX = 32 };

/* Where ".txt" begins; a name's end if there is none. */
static size_t extension(bytes_t name) {
    for (size_t i = name.n; i > 1 && name.n - i < EXTENSION_MAX; i--)
        if (name.p[i - 1] == '.') return i - 1;
    return name.n;
}

/* At most n bytes, and no letter cut in two. */
static bytes_t cut(bytes_t text, size_t n) {
    if (text.n <= n) return text;
    while (n && (text.p[n] & 0xc0) == 0x80) n--;
    return bytes_slice(text, 0, n);
}

static bool taken(sync_tree_t *tree, uint32_t parent, bytes_t name) {
    return sync_tree_child(tree, SYNC_GOAL, parent, name) != SYNC_NO_NODE ||
           sync_tree_child(tree, SYNC_LOCAL, parent, name) != SYNC_NO_NODE ||
           sync_tree_child(tree, SYNC_REMOTE, parent, name) != SYNC_NO_NODE;
}

err_t *sync_conflict_make(sync_tree_t *tree, uint32_t parent, bytes_t name,
                          const sync_plan_config_t *config, buf_t *out) {
    char tail[TAIL_MAX], day[TEXT_TIME_SIZE];
    size_t dot = extension(name), before = out->n;
    bytes_t end = bytes_from(name, dot);
    bytes_t device = cut(bytes_str(config->device), DEVICE_MAX);
    (void)text_time(config->now, day);
    day[10] = '\0';
    for (unsigned number = 1; number < TRIES_MAX; number++) {
        int n = number == 1 ? snprintf(tail, sizeof tail, "%s%.*s, %s)", mark, (int)device.n,
                                       (const char *)device.p, day)
                            : snprintf(tail, sizeof tail, "%s%.*s, %s %u)", mark, (int)device.n,
                                       (const char *)device.p, day, number);
        for (char *c = tail; *c; c++)
            if (*c == '/') *c = '-';
        out->n = before;
        TRY(buf_add(
            out, cut(bytes_slice(name, 0, dot), (size_t)LIMIT_SYNC_FILE_NAME - (size_t)n - end.n)));
        TRY(buf_add(out, bytes_make(tail, (size_t)n)));
        TRY(buf_add(out, end));
        if (!taken(tree, parent, bytes_from(buf_bytes(out), before))) return NULL;
    }
    return err_new(ERR_LIMIT, "too many conflict copies of one file");
}

static bool has_mark(bytes_t name, size_t *ret_at) {
    bytes_t wanted = BYTES_LIT(" (conflict, ");
    for (size_t i = 0; i + wanted.n <= name.n; i++)
        if (bytes_eq(bytes_slice(name, i, wanted.n), wanted)) {
            *ret_at = i;
            return bytes_find(bytes_from(name, i), ')') != name.n - i;
        }
    return false;
}

bool sync_conflict_name(bytes_t name) {
    size_t at = 0;
    return has_mark(name, &at);
}

bool sync_conflict_of(bytes_t name, bytes_t of) {
    size_t at = 0, dot = extension(of);
    if (!has_mark(name, &at)) return false;
    bytes_t end = bytes_from(of, dot);
    return bytes_starts(of, bytes_slice(name, 0, at)) && name.n >= end.n &&
           bytes_eq(bytes_from(name, name.n - end.n), end);
}

err_t *sync_conflict_set(sync_tree_t *tree, uint32_t node, const sync_fact_t *fact) {
    CLEANUP(buf_done) buf_t fold;
    sync_fact_t folded = *fact;
    const sync_fact_t *kept = NULL;
    buf_init(&fold, LIMIT_SYNC_FOLD);
    TRY(sync_name_fold(fact->name, &fold));
    folded.fold = buf_bytes(&fold);
    TRY(sync_tree_fact(tree, &folded, &kept));
    sync_tree_set(tree, node, SYNC_GOAL, kept);
    return NULL;
}
