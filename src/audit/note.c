/*
 * Audit entries with a flat list of details: see note.h. Inside a db_write.
 */
#include "audit/note.h"

#include <stdarg.h>

#include "base/limits.h"
#include "format/json.h"

static err_t *detail_text(va_list args, buf_t *out) {
    CLEANUP(jso_free) json_t *detail = NULL;
    TRY(jso_object(&detail));
    for (const char *name = va_arg(args, const char *); name; name = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);
        if (value) TRY(jso_set_str(detail, name, value));
    }
    return jso_write(detail, false, out);
}

err_t *audit_note(const audit_t *audit, db_conn_t *conn, const char *actor, const char *action,
                  const char *object, ...) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_JSON_BYTES);
    va_list args;
    va_start(args, object);
    err_t *e = detail_text(args, &text);
    va_end(args);
    if (e) return e;
    const char *detail = NULL;
    TRY(buf_cstr(&text, &detail));
    return audit_append(audit, conn, bytes_str(actor), bytes_str(action), bytes_str(object),
                        detail);
}
