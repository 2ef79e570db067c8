/*
 * Reports as table, CSV and JSON: see report.h. In the command line.
 */
#include "program/coffer/report_internal.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { LINE_BYTES = 64 * 1024 };

const char *report_date(int64_t seconds, char out[REPORT_DATE]) {
    char whole[TEXT_TIME_SIZE];
    (void)text_time(seconds, whole);
    memcpy(out, whole, REPORT_DATE - 1);
    out[REPORT_DATE - 1] = '\0';
    return out;
}

err_t *report_write(FILE *out, bytes_t data) {
    if (data.n && fwrite(data.p, 1, data.n, out) != data.n)
        return err_errno(errno ? errno : EIO, "cannot write the report");
    return NULL;
}

/* ---- CSV ---- */

err_t *report_csv_field(buf_t *out, const char *text) {
    /* OWASP: these begin a formula, the last two once a spreadsheet has trimmed the field */
    bool formula = text[0] && strchr("=+-@\t\r", text[0]) != NULL;
    TRY(buf_add_byte(out, '"'));
    if (formula) TRY(buf_add_byte(out, '\''));
    for (const char *c = text; *c; c++) {
        if (*c == '"') TRY(buf_add_byte(out, '"'));
        TRY(buf_add_byte(out, (uint8_t)*c));
    }
    return buf_add_byte(out, '"');
}

static err_t *csv_head(report_t *r) {
    return report_write(r->o.out,
                        BYTES_LIT("not_after,days_left,subject,issuer,serial,fingerprint,profile,"
                                  "source,holder,device,cause,cause_text\r\n"));
}

static err_t *csv_row(report_t *r, const report_row_t *row) {
    const char *const fields[] = {row->subject,    row->issuer, row->serial, row->fingerprint,
                                  row->profile,    row->source, row->holder, row->device,
                                  row->cause_code, row->cause};
    char time[TEXT_TIME_SIZE];
    TRY(buf_printf(&r->line, "%s,%lld", text_time(row->not_after, time),
                   (long long)row->days_left));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        TRY(buf_add_byte(&r->line, ','));
        TRY(report_csv_field(&r->line, fields[i]));
    }
    return buf_add_str(&r->line, "\r\n");
}

/* ---- table ---- */

static err_t *text_head(report_t *r) {
    return report_write(r->o.out, BYTES_LIT("UNTIL        DAYS  CERTIFICATE\n"));
}

/* A terminal obeys control characters: none of a stranger's reaches it. */
static err_t *add_safe(buf_t *out, const char *text) {
    bool fits = text_printable(bytes_str(text));
    for (const char *c = text; *c; c++)
        TRY(buf_add_byte(out, fits || (*c >= 0x20 && *c < 0x7f) ? (uint8_t)*c : '?'));
    return NULL;
}

static err_t *text_row(report_t *r, const report_row_t *row) {
    buf_t *b = &r->line;
    char date[REPORT_DATE];
    const char *const about[][2] = {{"profile ", row->profile},
                                    {"seen at ", row->source},
                                    {"of ", row->holder},
                                    {"device ", row->device},
                                    {"", row->cause}};
    bool first = true;
    TRY(buf_printf(b, "%s  %5lld  ", report_date(row->not_after, date), (long long)row->days_left));
    TRY(add_safe(b, row->subject));
    for (size_t i = 0; i < sizeof about / sizeof about[0]; i++) {
        if (!about[i][1][0]) continue;
        TRY(buf_printf(b, "%s%s", first ? "\n                   " : "; ", about[i][0]));
        TRY(add_safe(b, about[i][1]));
        first = false;
    }
    return buf_add_byte(b, '\n');
}

/* ---- JSON ---- */

static err_t *json_row(report_t *r, const report_row_t *row) {
    CLEANUP(jso_free) json_t *object = NULL;
    const char *const fields[][2] = {{"subject", row->subject},  {"issuer", row->issuer},
                                     {"serial", row->serial},    {"fingerprint", row->fingerprint},
                                     {"profile", row->profile},  {"source", row->source},
                                     {"holder", row->holder},    {"device", row->device},
                                     {"cause", row->cause_code}, {"cause_text", row->cause}};
    TRY(jso_object(&object));
    TRY(jso_set_time(object, "not_after", row->not_after));
    TRY(jso_set_int(object, "days_left", row->days_left));
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        TRY(jso_set_str(object, fields[i][0], fields[i][1][0] ? fields[i][1] : NULL));
    if (r->total) TRY(buf_add_str(&r->line, ",\n"));
    return jso_write(object, false, &r->line);
}

/* ---- all ---- */

err_t *report_new(const report_options_t *options, report_t **ret_report) {
    CLEANUP(report_free) report_t *r = mem_zalloc(sizeof *r);
    if (!r) return err_nomem();
    r->o = *options;
    buf_init(&r->line, LINE_BYTES);
    switch (options->format) {
    case REPORT_TEXT: TRY(text_head(r)); break;
    case REPORT_CSV: TRY(csv_head(r)); break;
    case REPORT_JSON: TRY(report_write(r->o.out, BYTES_LIT("{\"certificates\":[\n"))); break;
    case REPORT_HTML:
        r->rows = tmpfile();
        r->months = mem_array(REPORT_MONTHS, sizeof *r->months);
        if (!r->months) return err_nomem();
        if (!r->rows) return err_errno(errno, "cannot make a temporary file");
        break;
    }
    *ret_report = STEAL(r);
    return NULL;
}

void report_free(report_t *report) {
    if (!report) return;
    if (report->rows) (void)fclose(report->rows);
    mem_free(report->months);
    buf_done(&report->line);
    mem_free(report);
}

err_t *report_add(report_t *r, const report_row_t *row) {
    buf_clear(&r->line);
    switch (r->o.format) {
    case REPORT_TEXT: TRY(text_row(r, row)); break;
    case REPORT_CSV: TRY(csv_row(r, row)); break;
    case REPORT_JSON: TRY(json_row(r, row)); break;
    case REPORT_HTML: TRY(report_html_add(r, row)); break;
    }
    r->total++;
    return report_write(r->rows ? r->rows : r->o.out, buf_bytes(&r->line));
}

err_t *report_finish(report_t *r) {
    switch (r->o.format) {
    case REPORT_TEXT:
        buf_clear(&r->line);
        TRY(buf_printf(&r->line, "%lld certificate%s end%s within %ld days\n", (long long)r->total,
                       r->total == 1 ? "" : "s", r->total == 1 ? "s" : "", r->o.within));
        TRY(report_write(r->o.out, buf_bytes(&r->line)));
        break;
    case REPORT_CSV: break;
    case REPORT_JSON: TRY(report_write(r->o.out, BYTES_LIT("\n]}\n"))); break;
    case REPORT_HTML: TRY(report_html_finish(r)); break;
    }
    return fflush(r->o.out) == 0 ? NULL : err_errno(errno, "cannot write the report");
}
