/*
 * Form bodies: see form.h. Pure; the input is foreign.
 */
#include "http/form.h"

#include "base/text.h"
#include "http/query.h"

/* Decodes into the arena; text_unpercent never grows its input. */
static err_t *decode(arena_t *arena, bytes_t encoded, bytes_t *ret_decoded) {
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, encoded.n); /* passwords come this way */
    TRY(text_unpercent(encoded, true, &out));
    if (bytes_has_nul(buf_bytes(&out))) return err_new(ERR_INVALID, "a field holds a NUL");
    return arena_copy(arena, buf_bytes(&out), ret_decoded);
}

err_t *http_form_parse(arena_t *arena, bytes_t body, http_form_t *ret_form) {
    http_form_t form = {.n = 0};
    bytes_t rest = body;
    bytes_t name;
    bytes_t value;
    while (http_query_next(&rest, &name, &value)) {
        if (form.n == HTTP_FORM_FIELDS) return err_new(ERR_LIMIT, "the form has too many fields");
        http_field_t *field = &form.fields[form.n];
        TRY_WRAP(decode(arena, name, &field->name), "the form is malformed");
        TRY_WRAP(decode(arena, value, &field->value), "the form is malformed");
        form.n++;
    }
    *ret_form = form;
    return NULL;
}

err_t *http_form_need(const http_form_t *form, const char *name, bytes_t *ret_value) {
    const http_field_t *hit = NULL;
    for (size_t i = 0; i < form->n; i++) {
        if (!bytes_eq_str(form->fields[i].name, name)) continue;
        if (hit) return err_new(ERR_INVALID, "the form gives \"%s\" twice", name);
        hit = &form->fields[i];
    }
    if (!hit) return err_new(ERR_INVALID, "the form lacks \"%s\"", name);
    *ret_value = hit->value;
    return NULL;
}

bytes_t http_form_get(const http_form_t *form, const char *name) {
    for (size_t i = 0; i < form->n; i++)
        if (bytes_eq_str(form->fields[i].name, name)) return form->fields[i].value;
    return BYTES_NONE;
}
