/*
 * Queries, forms, cookies and Authorization headers on foreign bytes, with what must hold of the
 * results: nothing lies outside the input, nothing grows.
 */
#include <stdlib.h>

#include "http/auth.h"
#include "http/form.h"
#include "http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(bytes_t outer, bytes_t inner) {
    if (inner.n && (inner.p < outer.p || inner.p + inner.n > outer.p + outer.n)) abort();
}

static void queries(bytes_t input) {
    bytes_t rest = input;
    bytes_t name;
    bytes_t value;
    size_t total = 0;
    while (http_query_next(&rest, &name, &value)) {
        within(input, name);
        within(input, value);
        total += name.n + value.n;
    }
    if (total > input.n) abort();
    buf_t out;
    bool found = false;
    uint64_t number = 0;
    buf_init(&out, 4096);
    err_ignore(http_query_get(input, "message", HTTP_PLUS_KEPT, &out, &found));
    err_ignore(http_query_get(input, "a", HTTP_PLUS_SPACE, &out, &found));
    err_ignore(http_query_u64(input, "n", 1000, 7, &number));
    if (number > 1000) abort();
    buf_done(&out);
}

static void forms(bytes_t input) {
    arena_t *arena = NULL;
    http_form_t form;
    err_t *e = arena_new(1 << 20, &arena);
    if (!e) e = http_form_parse(arena, input, &form);
    for (size_t i = 0; !e && i < form.n; i++)
        if (bytes_has_nul(form.fields[i].name) || form.fields[i].value.n > input.n) abort();
    err_free(e);
    arena_free(arena);
}

static void credentials(bytes_t input) {
    buf_t name;
    buf_t password;
    bytes_t value = BYTES_NONE;
    bool found = false;
    buf_init(&name, 256);
    buf_init_secret(&password, 1024);
    err_ignore(http_auth_basic(input, &name, &password, &found));
    if (name.n + password.n > input.n) abort();
    err_ignore(http_auth_bearer(input, &value, &found));
    within(input, value);
    value = BYTES_NONE;
    err_ignore(http_cookie_get(input, "session", &value, &found));
    within(input, value);
    buf_done(&name);
    buf_done(&password);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t input = bytes_make(data, size);
    queries(input);
    forms(input);
    credentials(input);
    return 0;
}
