/*
 * Tables and fields: see output.h. Main thread.
 */
#include "program/coffer/output.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/table.h"

enum { CELL_MAX = 4 * 1024 * 1024, FLATTEN_DEPTH = 6, NAME_MAX_BYTES = 256, NOTE_MAX = 8 * 1024 };

err_t *output_json(cli_t *cli, const json_t *json) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, CLI_OUTPUT_MAX);
    TRY(jso_write(json, cli->terminal, &out));
    if (out.n == 0 || out.p[out.n - 1] != '\n') TRY(buf_add_byte(&out, '\n'));
    return cli_print(cli, &out);
}

/* "2026-11-22T04:19:00Z" in the reader's time zone. */
static err_t *add_time(bytes_t text, int64_t unix_s, buf_t *out) {
    time_t t = (time_t)unix_s;
    struct tm local;
    char shown[32];
    if (!localtime_r(&t, &local) || strftime(shown, sizeof shown, "%Y-%m-%d %H:%M", &local) == 0)
        return buf_add(out, text);
    return buf_add_str(out, shown);
}

static err_t *add_text(bytes_t text, bool local, buf_t *out) {
    int64_t unix_s = 0;
    if (text.n == 0) return buf_add_str(out, "-");
    if (!local || text.n != TEXT_TIME_SIZE - 1 || text.p[10] != 'T') return buf_add(out, text);
    err_t *e = text_parse_time(text, &unix_s);
    if (!e) return add_time(text, unix_s, out);
    err_free(e);
    return buf_add(out, text);
}

err_t *output_value(const json_t *value, bool local, buf_t *out) {
    if (!value || json_is_null(value)) return buf_add_str(out, "-");
    if (json_is_string(value))
        return add_text(bytes_make(json_string_value(value), json_string_length(value)), local,
                        out);
    if (json_is_boolean(value)) return buf_add_str(out, json_is_true(value) ? "yes" : "no");
    if (json_is_integer(value))
        return buf_printf(out, "%" PRId64, (int64_t)json_integer_value(value));
    if (json_is_real(value)) return buf_printf(out, "%g", json_real_value(value));
    return jso_write(value, false, out);
}

/* "a.b" of an object; NULL if it is not there. */
static const json_t *reach(const json_t *object, const char *member) {
    char name[NAME_MAX_BYTES];
    for (const char *dot; object && (dot = strchr(member, '.')); member = dot + 1) {
        size_t n = (size_t)(dot - member);
        if (n >= sizeof name) return NULL;
        memcpy(name, member, n);
        name[n] = '\0';
        object = json_object_get(object, name);
    }
    return json_object_get(object, member);
}

static err_t *add_row(table_t *table, const json_t *item, const column_t *columns, bool local) {
    for (const column_t *c = columns; c->member; c++) {
        CLEANUP(buf_done) buf_t cell;
        buf_init(&cell, CELL_MAX);
        TRY(output_value(reach(item, c->member), local, &cell));
        TRY(table_add(table, buf_bytes(&cell)));
    }
    return NULL;
}

static err_t *write_table(cli_t *cli, const json_t *list, const column_t *columns) {
    CLEANUP(table_done) table_t table = {0};
    CLEANUP(buf_done) buf_t out;
    size_t n = 0;
    buf_init(&out, CLI_OUTPUT_MAX);
    while (columns[n].member) n++;
    TRY(table_init(&table, n));
    for (size_t i = 0; i < n; i++) TRY(table_add(&table, bytes_str(columns[i].title)));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(add_row(&table, json_array_get(list, i), columns, cli->terminal));
    TRY(table_write(&table, cli->terminal, &out));
    return cli_print(cli, &out);
}

err_t *output_list(cli_t *cli, const json_t *object, const char *member, const column_t *columns,
                   const char *none) {
    if (cli->json) return output_json(cli, object);
    const json_t *list = json_object_get(object, member);
    if (!json_is_array(list))
        return err_new(ERR_INVALID, "the server's answer has no list \"%s\"", member);
    /* The head alone is what a script expects of an empty list. */
    if (json_array_size(list) == 0 && cli->terminal) return cli_say(cli, "%s\n", none);
    return write_table(cli, list, columns);
}

static err_t *flatten(table_t *table, const char *prefix, const json_t *object, bool local,
                      unsigned depth) {
    for (void *it = json_object_iter((json_t *)(uintptr_t)object); it;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        CLEANUP(mem_free)
        char *name = mem_printf("%s%s%s", prefix, prefix[0] ? "." : "", json_object_iter_key(it));
        if (!name) return err_nomem();
        const json_t *value = json_object_iter_value(it);
        if (json_is_object(value) && json_object_size(value) && depth < FLATTEN_DEPTH) {
            TRY(flatten(table, name, value, local, depth + 1));
            continue;
        }
        CLEANUP(buf_done) buf_t cell;
        buf_init(&cell, CELL_MAX);
        TRY(output_value(value, local, &cell));
        TRY(table_add(table, bytes_str(name)));
        TRY(table_add(table, buf_bytes(&cell)));
    }
    return NULL;
}

err_t *output_fields(cli_t *cli, const json_t *object) {
    CLEANUP(table_done) table_t table = {0};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, CLI_OUTPUT_MAX);
    if (cli->json) return output_json(cli, object);
    TRY(table_init(&table, 2));
    TRY(flatten(&table, "", object, cli->terminal, 0));
    TRY(table_write(&table, cli->terminal, &out));
    return cli_print(cli, &out);
}

err_t *output_done(cli_t *cli, const json_t *object, const char *format, ...) {
    if (cli->json) {
        CLEANUP(jso_free) json_t *empty = NULL;
        TRY(jso_object(&empty));
        return output_json(cli, object ? object : empty);
    }
    va_list list;
    va_start(list, format);
    err_t *e = cli_say_list(cli->out, format, list);
    va_end(list);
    return e ? e : cli_say(cli, "\n");
}

void output_note(cli_t *cli, const char *name, const char *text) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, NOTE_MAX);
    err_t *e = table_escape(bytes_str(text), &out);
    (void)fprintf(cli->err, "  %-12s %.*s\n", name, e ? 1 : (int)out.n,
                  e ? "?" : (const char *)out.p);
    err_free(e);
}
