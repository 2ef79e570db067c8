/*
 * For the files of src/audit only: checks shared by writing and verifying, and the literal
 * pieces of an export's lines, so that both sides cannot drift apart.
 */
#ifndef COFFER_AUDIT_AUDIT_INTERNAL_H
#define COFFER_AUDIT_AUDIT_INTERNAL_H

#include "audit/audit.h"

#define AUDIT_LINE_HEADER "{\"type\":\"coffer-audit\",\"version\":1,\"exported_ms\":"
#define AUDIT_LINE_KEY    "{\"type\":\"key\",\"key_id\":"
#define AUDIT_LINE_ENTRY  "{\"type\":\"entry\",\"node\":"
#define AUDIT_LINE_HEAD   "{\"type\":\"head\",\"node\":"
#define AUDIT_LINE_END    "{\"type\":\"end\",\"entries\":"
#define AUDIT_PUBLIC_KEY  ",\"public_key\":"
#define AUDIT_SEQ         ",\"seq\":"
#define AUDIT_UNIX_MS     ",\"unix_ms\":"
#define AUDIT_ACTOR       ",\"actor\":"
#define AUDIT_ACTION      ",\"action\":"
#define AUDIT_OBJECT      ",\"object\":"
#define AUDIT_DETAIL      ",\"detail\":"
#define AUDIT_PREV_HASH   ",\"prev_hash\":"
#define AUDIT_HASH        ",\"hash\":"
#define AUDIT_KEY_ID      ",\"key_id\":"
#define AUDIT_SIGNATURE   ",\"signature\":"
#define AUDIT_HEADS       ",\"heads\":"

enum { AUDIT_SIGNATURE_MAX = 1024, AUDIT_PUBLIC_KEY_MAX = 4096 }; /* bytes, decoded */

/* ERR_INVALID, ERR_LIMIT unless the text is clean UTF-8 of least..most bytes. */
err_t *audit_text_check(const char *what, bytes_t text, size_t least, size_t most) WARN_UNUSED;
/* The texts of an entry; numbers and hashes are not looked at. */
err_t *audit_row_check(const audit_row_t *row) WARN_UNUSED;

#endif
