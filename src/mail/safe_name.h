/*
 * A file name of our own out of one that a stranger wrote: no directories, no control or direction
 * characters, nothing that a shell, a file system or Windows takes for something else.
 */
#ifndef COFFER_MAIL_SAFE_NAME_H
#define COFFER_MAIL_SAFE_NAME_H

#include "mail/verdict.h"

enum { SAFE_NAME_MAX = 200 }; /* bytes, below what file systems allow */

/*
 * Appends DIGEST-PATH-NAME: 16 hex digits of the content's SHA-256, the part's path with - for /
 * and dots kept, and what is left of the name (or "part" and an ending after the type). Two parts
 * get the same only if content, place and name are the same.
 */
err_t *safe_name(const mail_part_t *part, buf_t *out) WARN_UNUSED;

#endif
