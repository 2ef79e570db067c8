/*
 * What coffer-sim prints: see sim.h. Standard output, one write a line, main thread.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "format/json.h"
#include "program/sim/sim.h"

enum { LINE_MAX_BYTES = 4096 };

static err_t *json_line(unsigned step, const char *event, const char *text, buf_t *line) {
    CLEANUP(jso_free) json_t *object = NULL;
    TRY(jso_object(&object));
    TRY(jso_set_time(object, "time", clk_unix(clk_real())));
    if (step) TRY(jso_set_int(object, "step", (int64_t)step));
    TRY(jso_set_str(object, "event", event));
    TRY(jso_set_str(object, "text", text));
    return jso_write(object, false, line);
}

static void say(const sim_out_t *out, unsigned step, const char *event, const char *text) {
    CLEANUP(buf_done) buf_t line;
    buf_init(&line, LINE_MAX_BYTES * (size_t)8);
    if (out->quiet) return;
    err_t *e = NULL;
    if (out->json) e = json_line(step, event, text, &line);
    else if (step) e = buf_printf(&line, "%2u. %s", step, text);
    else e = buf_printf(&line, "    %s", text);
    if (!e) e = buf_add_byte(&line, '\n');
    if (!e) e = file_write_fd(STDOUT_FILENO, buf_bytes(&line));
    err_free(e); /* a closed standard output must not end an enrolment half-way */
}

void sim_step(sim_out_t *out, const char *event, const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say(out, ++out->step, event, text);
}

void sim_note(const sim_out_t *out, const char *event, const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say(out, 0, event, text);
}

int sim_exit_status(const err_t *e) {
    if (!e) return 0;
    switch (err_code(e)) {
    case ERR_USAGE: return 2;
    case ERR_NOT_FOUND: return 3;
    case ERR_AUTH:
    case ERR_DENIED: return 4;
    case ERR_VERIFY: return 5;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_EXISTS:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: return 1;
    }
    return 1;
}
