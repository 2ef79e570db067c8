/*
 * The report as one HTML page: see report.h. No script, nothing from elsewhere: a strict Content
 * Security Policy in the page says so, with the style sheet's hash. The boxes that hide parts work
 * by CSS alone. In the command line.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "program/coffer/report_internal.h"

enum {
    BARS_MAX = 36, /* months; more become years */
    CHART_HEIGHT = 160,
    BAR_WIDTH = 22,
    BAR_STEP = 28,
    CHART_BOTTOM = 40,
    COPY_PIECE = 64 * 1024,
    DIGEST_TEXT = 64,
};

static const char style[] =
    ":root{color-scheme:light dark;--own:#2f6fb3;--foreign:#8a5ab8;--ended:#c0392b;--line:#8884}"
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .3rem}p{margin:.3rem 0}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0}"
    "th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:top;overflow-wrap:anywhere}th{font-weight:600}"
    "td:first-child,td:nth-child(2){white-space:nowrap}small{opacity:.75}"
    "svg{max-width:100%;height:auto;margin:1rem 0}svg text{font-size:10px;fill:currentColor}"
    ".bo{fill:var(--own)}.bf{fill:var(--foreign)}.be{fill:var(--ended)}.ax{stroke:var(--line)}"
    "tr.ended td:first-child{color:var(--ended);font-weight:600}"
    "nav a{margin-right:.8rem}label{margin-right:1rem}"
    ".key i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}"
    ".ko{background:var(--own)}.kf{background:var(--foreign)}.ke{background:var(--ended)}"
    "#own:not(:checked)~main tr.own,#foreign:not(:checked)~main tr.foreign,"
    "#later:not(:checked)~main tr.later{display:none}"
    "@media print{nav,input,label{display:none}}";

static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};

/* ---- rows ---- */

static err_t *text_cell(buf_t *b, const char *text) { return buf_add_xml(b, bytes_str(text)); }

/* Markup needs valid UTF-8 without controls; a stranger's name may be anything. */
static err_t *safe_cell(buf_t *b, const char *text) {
    bytes_t t = bytes_str(text);
    if (text_printable(t)) return text_cell(b, text);
    for (size_t i = 0; i < t.n; i++) {
        uint8_t c = t.p[i] >= 0x20 && t.p[i] < 0x7f ? t.p[i] : '?';
        TRY(buf_add_xml(b, bytes_make(&c, 1)));
    }
    return NULL;
}

static err_t *month_of(report_t *r, int64_t not_after, report_month_t **ret_month) {
    char date[REPORT_DATE];
    uint64_t year = 0, month = 0;
    (void)report_date(not_after, date);
    TRY(text_u64(bytes_make(date, 4), 9999, &year));
    TRY(text_u64(bytes_make(date + 5, 2), 12, &month));
    report_month_t *last = r->months_n ? &r->months[r->months_n - 1] : NULL;
    if (!last || last->year != (int)year || last->month != (int)month) {
        if (r->months_n == REPORT_MONTHS)
            return err_new(ERR_LIMIT, "the report has more than %d months", REPORT_MONTHS);
        last = &r->months[r->months_n++];
        last->year = (int)year;
        last->month = (int)(month ? month : 1);
        last->offset = ftell(r->rows);
    }
    *ret_month = last;
    return NULL;
}

static void count_cause(report_month_t *m, const char *code) {
    size_t i = 0;
    while (i < m->causes_n && strcmp(m->causes[i], code) != 0) i++;
    if (i == REPORT_CAUSES) return;
    if (i == m->causes_n) {
        (void)snprintf(m->causes[i], sizeof m->causes[i], "%s", code);
        m->causes_n++;
    }
    m->cause_counts[i]++;
}

err_t *report_html_add(report_t *r, const report_row_t *row) {
    report_month_t *month = NULL;
    buf_t *b = &r->line;
    char date[REPORT_DATE];
    bool foreign = row->source[0] != '\0', ended = row->not_after <= r->o.now;
    TRY(month_of(r, row->not_after, &month));
    month->total++;
    month->foreign += foreign;
    month->ended += ended;
    if (row->cause_code[0]) count_cause(month, row->cause_code);
    TRY(buf_printf(b, "<tr class=\"%s%s%s\"><td>%s</td><td>%lld</td><td>",
                   foreign ? "foreign" : "own", ended ? " ended" : "",
                   row->cause_code[0] ? "" : " later", report_date(row->not_after, date),
                   (long long)row->days_left));
    TRY(safe_cell(b, row->subject));
    TRY(buf_add_str(b, "<br><small>"));
    TRY(safe_cell(b, foreign ? row->source : row->profile));
    TRY(buf_add_str(b, ", serial number "));
    TRY(safe_cell(b, row->serial));
    TRY(buf_add_str(b, "</small></td><td>"));
    TRY(safe_cell(b, row->holder));
    if (row->holder[0] && row->device[0]) TRY(buf_add_str(b, "<br>"));
    TRY(safe_cell(b, row->device));
    TRY(buf_add_str(b, "</td><td>"));
    TRY(safe_cell(b, row->cause));
    return buf_add_str(b, "</td></tr>\n");
}

/* ---- chart ---- */

typedef struct {
    char label[12];
    int64_t own, foreign, ended;
} bar_t;

static size_t make_bars(const report_t *r, bar_t *bars) {
    bool years = r->months_n > BARS_MAX;
    size_t n = 0;
    for (size_t i = 0; i < r->months_n; i++) {
        const report_month_t *m = &r->months[i];
        char label[sizeof bars->label];
        if (years) (void)snprintf(label, sizeof label, "%04d", m->year % 10000);
        else (void)snprintf(label, sizeof label, "%04d-%02d", m->year % 10000, m->month % 100);
        if (n == 0 || strcmp(bars[n - 1].label, label) != 0) {
            if (n == REPORT_MONTHS) break;
            bars[n] = (bar_t){0};
            memcpy(bars[n++].label, label, sizeof label);
        }
        bars[n - 1].ended += m->ended;
        bars[n - 1].foreign += m->foreign;
        bars[n - 1].own += m->total;
    }
    return n;
}

static err_t *add_bar(buf_t *b, const bar_t *bar, size_t i, int64_t most) {
    /* Each on top of the one before: ended, then foreign, then own. */
    int64_t own = bar->own - bar->foreign - bar->ended;
    const int64_t parts[] = {bar->ended, bar->foreign, own > 0 ? own : 0};
    static const char *const classes[] = {"be", "bf", "bo"};
    size_t x = i * BAR_STEP + 4;
    int64_t y = CHART_HEIGHT;
    for (size_t p = 0; p < 3; p++) {
        int64_t height = parts[p] * (CHART_HEIGHT - 20) / most;
        if (parts[p] && height == 0) height = 1;
        if (!parts[p]) continue;
        y -= height;
        TRY(buf_printf(b, "<rect class=\"%s\" x=\"%zu\" y=\"%lld\" width=\"%d\" height=\"%lld\"/>",
                       classes[p], x, (long long)y, BAR_WIDTH, (long long)height));
    }
    TRY(buf_printf(b, "<text x=\"%zu\" y=\"%lld\">%lld</text>", x, (long long)y - 3,
                   (long long)bar->own));
    return buf_printf(b, "<text x=\"%zu\" y=\"%d\" transform=\"rotate(45 %zu %d)\">%s</text>\n", x,
                      CHART_HEIGHT + 12, x, CHART_HEIGHT + 12, bar->label);
}

static err_t *add_chart(const report_t *r, buf_t *b) {
    bar_t bars[REPORT_MONTHS];
    size_t n = make_bars(r, bars);
    int64_t most = 1;
    if (n == 0) return NULL;
    for (size_t i = 0; i < n; i++)
        if (bars[i].own > most) most = bars[i].own;
    size_t width = n * BAR_STEP + BAR_STEP;
    TRY(buf_printf(b,
                   "<svg role=\"img\" aria-label=\"Certificates by the month of their end\" "
                   "width=\"%zu\" height=\"%d\" viewBox=\"0 0 %zu %d\">\n",
                   width, CHART_HEIGHT + CHART_BOTTOM, width, CHART_HEIGHT + CHART_BOTTOM));
    TRY(buf_printf(b, "<line class=\"ax\" x1=\"0\" y1=\"%d\" x2=\"%zu\" y2=\"%d\"/>\n",
                   CHART_HEIGHT, width, CHART_HEIGHT));
    for (size_t i = 0; i < n; i++) TRY(add_bar(b, &bars[i], i, most));
    return buf_add_str(b, "</svg>\n<p class=\"key\"><i class=\"ko\"></i>issued here "
                          "<i class=\"kf\"></i>seen elsewhere <i class=\"ke\"></i>ended</p>\n");
}

/* ---- the page ---- */

static err_t *add_head(const report_t *r, buf_t *b) {
    uint8_t digest[DIGEST_SHA256_SIZE];
    char time[TEXT_TIME_SIZE];
    TRY(digest_sha256(bytes_make(style, sizeof style - 1), digest));
    TRY(buf_add_str(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                       "style-src 'sha256-"));
    TRY(text_base64(BYTES_ARRAY(digest), b));
    TRY(buf_add_str(b, "'; base-uri 'none'; form-action 'none'\">\n"
                       "<meta name=\"referrer\" content=\"no-referrer\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n<title>"));
    TRY(safe_cell(b, r->o.title));
    TRY(buf_printf(b, ": certificates that end</title>\n<style>%s</style></head><body>\n<h1>",
                   style));
    TRY(safe_cell(b, r->o.title));
    return buf_printf(b,
                      ": certificates that end</h1>\n<p>%lld end within %ld days, or ended in the "
                      "last 30. As of %s.</p>\n",
                      (long long)r->total, r->o.within, text_time(r->o.now, time));
}

static err_t *add_overview(const report_t *r, buf_t *b) {
    TRY(add_chart(r, b));
    TRY(buf_add_str(b, "<nav>"));
    for (size_t i = 0; i < r->months_n; i++) {
        const report_month_t *m = &r->months[i];
        TRY(buf_printf(b, "<a href=\"#m%04d-%02d\">%s %d</a> ", m->year, m->month,
                       month_names[m->month - 1], m->year));
    }
    return buf_add_str(
        b, "</nav>\n<p></p>\n<input type=\"checkbox\" id=\"own\" checked><label for=\"own\">issued "
           "here</label>\n<input type=\"checkbox\" id=\"foreign\" checked><label "
           "for=\"foreign\">seen elsewhere</label>\n<input type=\"checkbox\" id=\"later\" "
           "checked><label for=\"later\">those not late yet</label>\n<main>\n");
}

static err_t *add_month_head(const report_month_t *m, buf_t *b) {
    TRY(buf_printf(b, "<section id=\"m%04d-%02d\"><h2>%s %d</h2>\n<p>%lld certificate%s", m->year,
                   m->month, month_names[m->month - 1], m->year, (long long)m->total,
                   m->total == 1 ? "" : "s"));
    if (m->ended) TRY(buf_printf(b, ", %lld ended", (long long)m->ended));
    for (size_t i = 0; i < m->causes_n; i++) {
        TRY(buf_add_str(b, i ? ", " : ". Why not renewed: "));
        TRY(safe_cell(b, m->causes[i]));
        TRY(buf_printf(b, " %lld", (long long)m->cause_counts[i]));
    }
    return buf_add_str(b, "</p>\n<table><thead><tr><th>Until</th><th>Days</th><th>Certificate</th>"
                          "<th>Holder, device</th><th>Why not renewed</th></tr></thead><tbody>\n");
}

static err_t *copy_rows(report_t *r, long from, long to) {
    uint8_t piece[COPY_PIECE];
    if (fseek(r->rows, from, SEEK_SET) != 0) return err_errno(errno, "temporary file");
    for (long left = to - from; left > 0;) {
        size_t want = left < COPY_PIECE ? (size_t)left : COPY_PIECE;
        size_t got = fread(piece, 1, want, r->rows);
        if (got == 0) return err_new(ERR_IO, "the temporary file is short");
        TRY(report_write(r->o.out, bytes_make(piece, got)));
        left -= (long)got;
    }
    return NULL;
}

err_t *report_html_finish(report_t *r) {
    CLEANUP(buf_done) buf_t b;
    long end = ftell(r->rows);
    buf_init(&b, (size_t)4 * 1024 * 1024);
    if (end < 0) return err_errno(errno, "temporary file");
    TRY(add_head(r, &b));
    TRY(add_overview(r, &b));
    TRY(report_write(r->o.out, buf_bytes(&b)));
    for (size_t i = 0; i < r->months_n; i++) {
        buf_clear(&b);
        TRY(add_month_head(&r->months[i], &b));
        TRY(report_write(r->o.out, buf_bytes(&b)));
        TRY(copy_rows(r, r->months[i].offset, i + 1 < r->months_n ? r->months[i + 1].offset : end));
        TRY(report_write(r->o.out, BYTES_LIT("</tbody></table></section>\n")));
    }
    return report_write(r->o.out, BYTES_LIT("</main></body></html>\n"));
}
