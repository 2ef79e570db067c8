/*
 * What is not synced: see scan.h. Pure. In the client.
 */
#include <fnmatch.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "sync/engine/scan.h"

enum { RULE_MAX = 512 };

static bool matches(bytes_t rule, const char *path, bool folder) {
    char pattern[RULE_MAX];
    const char *name = strrchr(path, '/');
    rule = text_trim(rule);
    if (rule.n == 0 || rule.n >= sizeof pattern || rule.p[0] == '#') return false;
    if (rule.p[rule.n - 1] == '/') {
        if (!folder) return false;
        rule.n--;
    }
    bool whole = bytes_find(rule, '/') != rule.n;
    if (rule.n && rule.p[0] == '/') rule = bytes_from(rule, 1);
    bytes_put(pattern, rule);
    pattern[rule.n] = '\0';
    return fnmatch(pattern, whole || !name ? path : name + 1, whole ? FNM_PATHNAME : 0) == 0;
}

bool sync_ignored(bytes_t rules, const char *path, bool folder) {
    bytes_t rule = BYTES_NONE;
    while (text_split(&rules, '\n', &rule))
        if (matches(rule, path, folder)) return true;
    return false;
}

static bool begins(const char *path, const char *with) {
    size_t n = strlen(with);
    return strncmp(path, with, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool sync_chosen(const char *const *folders, const char *path) {
    if (!folders) return true;
    for (; *folders; folders++)
        if (begins(path, *folders) || begins(*folders, path)) return true;
    return false;
}

bool sync_allowed(const char *const *names, const char *path) {
    while (*path == '/') path++;
    size_t n = strcspn(path, "/");
    if (!names || n == 0) return true;
    for (; *names; names++)
        if (strlen(*names) == n && strncmp(path, *names, n) == 0) return true;
    return false;
}
