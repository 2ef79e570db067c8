/*
 * Rules for what is not synced, one a line:
 *   NAME     files and folders of that name, wherever they lie; * ? [...] as in shells
 *   A/B      that path from the synced folder on
 *   NAME/    folders only
 *   # ...    a comment
 * What is synced already stays so, whatever the rules say.
 */
#ifndef COFFER_SYNC_ENGINE_SCAN_H
#define COFFER_SYNC_ENGINE_SCAN_H

#include "base/bytes.h"

bool sync_ignored(bytes_t rules, const char *path, bool folder);
/* Whether the path is one of `folders`, below one, or above one. NULL: all are. */
bool sync_chosen(const char *const *folders, const char *path);
/* Whether the first name of the path is one of `names`; NULL: all are. "" is. */
bool sync_allowed(const char *const *names, const char *path);

#endif
